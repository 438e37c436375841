//! The FAQ: entries, questions, and the form of both.

pub mod edit;
pub mod form;
pub mod list;
mod shared;
