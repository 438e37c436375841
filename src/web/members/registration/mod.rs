//! `/members/xenbeta`: a row per Linode (register, wait, go on, withdraw), and what the beta is and tests, in the texts of the
//! announcement.

pub mod act;
pub mod row;
pub mod show;
