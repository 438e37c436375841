//! `/staff/waves`: many moves let go one after the other, behind gates; and the switch that holds all moves back.

pub mod deed;
pub mod form;
pub mod items;
pub mod list;
pub mod new;
pub mod pause;
mod shared;
pub mod show;
