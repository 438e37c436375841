//! Rows and queries, a file per thing: the only place that knows Diesel and the two databases.
//!
//! Every function takes a connection; the caller owns the transaction. Updates that several may race for are guarded in
//! their WHERE clause and say whether they hit.

pub mod account;
pub mod alert;
pub mod attention;
pub mod audit;
pub mod backup;
pub mod batch;
pub mod bug;
pub mod catalogue;
mod connect;
pub mod db;
pub mod error;
pub mod evacuation;
pub mod fairness;
pub mod faq;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod graduation;
pub mod host;
pub mod import;
pub mod job;
pub mod limit;
pub mod linode;
pub mod mail;
pub mod migration;
pub mod name_index;
pub mod ownership;
pub mod placement;
pub mod programme;
pub mod pulse;
pub mod readiness;
pub mod receipt;
pub mod registration;
pub mod retention;
pub mod schema;
pub mod schema_migrations;
pub mod search;
mod together;
pub mod trial;
pub mod types;
pub mod wake;
pub mod wave;
