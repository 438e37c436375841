//! Mail in the transaction that causes it, and what becomes of it in the outbox.

pub mod compose;
pub mod kinds;
pub mod outbox;
pub(super) mod reminders;
