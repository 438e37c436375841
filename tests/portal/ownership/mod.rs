//! The promise: a Linode runs once, whatever the world does.

mod pages;
pub mod promise;
