//! Linodes and their config profiles.

pub mod translate;
