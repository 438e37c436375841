//! Parts of pages: each a small template struct that puts itself, escaped, into a larger one with `{{ part }}`.

mod action;
pub mod chart;
mod field;
mod field_name;
mod link;
pub mod list;
pub mod local_time;
pub mod markdown;
pub mod names;
pub mod qr;
pub mod room;
mod tag;
mod time;
pub mod units;
pub mod usage;

pub use action::Action;
pub use field::{Choice, Field, FormState, Input, Problems};
pub use field_name::field_name;
pub use link::Link;
pub use list::Pager;
pub use tag::{Tag, Tone};
pub use time::{When, ZONES, Zone};
