//! A Linode, and what its member changes of it.

mod never_both;
mod profile;
mod rename;
mod staff;
