//! Mail: when it is written, how it goes out, what is attached.

mod alert;
mod calendar;
mod list;
mod outbox;
