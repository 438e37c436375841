//! HTTP in, pages and JSON out. A handler parses into domain types, checks who asks, makes one call into `app` (or one
//! read from `store`), and presents: 10 to 40 lines. Nothing here decides what the product does.
//!
//! Rules of the room: no state change on GET; POST answers 303; every POST form goes through [`extract::Form`], which
//! checks the form token; every answer goes through [`layer::edge`], which sets the headers and turns faults into pages.

pub mod again;
pub mod agent;
pub mod bounds;
pub mod bug;
mod context;
pub(in crate::web) mod csrf;
pub mod csv;
pub mod extract;
pub mod fault;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod layer;
pub mod members;
mod method;
pub mod migration;
pub mod ops;
pub mod page;
pub mod portal;
pub mod programme_text;
pub mod public;
pub mod routes;
pub mod server;
pub mod settings;
pub mod staff;
pub mod ui;
pub mod v4;
