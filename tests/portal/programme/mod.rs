//! The programme: what staff set, and its end.

mod end;
mod settings;
