//! Threads of bugs, for members' and staff's pages alike.

pub mod thread_view;
