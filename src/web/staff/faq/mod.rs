//! The FAQ: entries, questions, and the form of both.

pub mod form;
pub mod list;
