//! Linodes that are held, the portal's memory, and what takes two staff.

pub mod held;
pub mod joint;
pub mod joint_case;
pub mod recovery;
