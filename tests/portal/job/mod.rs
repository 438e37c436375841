//! Jobs, and what becomes of them.

mod attempts;
mod pauses;
mod words;
