//! xenbeta: members register Linodes for a Xen beta, staff configure migrations, one click moves them.
//!
//! Imports point down only: `bin → web, work → app → store, mail → domain`; `bin → agent → wire → domain`.

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "portal")]
pub mod app;
#[cfg(feature = "portal")]
pub mod config;
pub mod domain;
#[cfg(feature = "portal")]
pub mod mail;
#[cfg(feature = "portal")]
pub mod store;
#[cfg(feature = "portal")]
pub mod web;
pub mod wire;
#[cfg(feature = "portal")]
pub mod work;
