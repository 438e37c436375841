//! Jobs, and what becomes of them.

mod attempts;
mod words;
