//! The programme: its state and limits, its end, its texts, and when moves may begin.

pub mod end;
pub mod move_times;
pub mod show;
pub mod texts;
