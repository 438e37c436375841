//! Rows and queries, a file per thing: the only place that knows Diesel and the two databases.
//!
//! Every function takes a connection; the caller owns the transaction. Updates that several may race for are guarded in
//! their WHERE clause and say whether they hit.

pub mod audit;
pub mod backup;
pub mod bug_files;
pub mod bug_hide;
pub mod bug_links;
pub mod bug_news;
pub mod bug_pages;
pub mod bugs;
pub mod db;
pub mod ending;
pub mod evacuation;
pub mod fairness;
pub mod faq;
pub mod fleet;
pub mod graduation;
pub mod holds;
pub mod hosts;
pub mod import;
pub mod jobs;
pub mod joint_acts;
pub mod listen;
pub mod migrate;
pub mod migrations;
pub mod move_times;
pub mod names;
pub mod notices;
pub mod outbox;
pub mod pages_hosts;
pub mod pages_members;
pub mod pages_people;
pub mod pages_staff;
pub mod people;
pub mod portal;
pub mod programme;
pub mod proofs;
pub mod pulse;
pub mod readiness;
pub mod registrations;
pub mod schema;
pub mod schema_board;
pub mod schema_fairness;
pub mod schema_home;
pub mod schema_readiness;
pub mod schema_trail;
pub mod search;
pub mod silence;
pub mod tokens;
pub mod types;
pub mod usage;
pub mod usage_pack;
pub mod usage_pages;
pub mod wake;
pub mod weights;
