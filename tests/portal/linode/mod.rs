//! A Linode, and what its member changes of it.

mod profile;
mod rename;
