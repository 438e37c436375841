//! HTTP in, pages and JSON out. A handler parses into domain types, checks who asks, makes one call into `app` (or one
//! read from `store`), and presents: 10 to 40 lines. Nothing here decides what the product does.
//!
//! Rules of the room: no state change on GET; POST answers 303; every POST form goes through [`extract::Form`], which
//! checks the form token; every answer goes through [`layer::edge`], which sets the headers and turns faults into pages.

pub mod agent;
pub mod announcement;
pub mod assets;
pub mod csv;
pub mod error;
pub mod extract;
pub mod layer;
pub mod live;
pub mod members;
pub mod ops;
pub mod page;
pub mod portal;
pub mod routes;
pub mod server;
pub mod settings;
pub mod staff;
pub mod ui;
