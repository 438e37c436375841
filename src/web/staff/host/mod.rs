//! Hosts: the list, one of them, and its agent's coming and going.

pub mod enrol;
pub mod joint_view;
pub mod list;
pub mod shared;
pub mod show;
