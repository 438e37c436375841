//! The page kit: what every page carries, its place in the tabs, what it says once, how a handler answers with it; a
//! list, and the page that asks before something is done.

mod answer;
mod confirm;
mod flash;
mod layout;
mod list;
mod nav;
mod refused;

pub use answer::{html, html_status, moved, own_path, refused, said, see_other, see_other_saying};
pub use confirm::ConfirmPage;
pub use flash::Flash;
pub use layout::Page;
pub(in crate::web) use list::filters;
pub use list::{FROM_FILTERS, FROM_TABS, Filters, ROWS, UNREADABLE, age, clipped};
pub use nav::{Area, jump};
pub use refused::DonePage;
