//! The tables of hosts' silence, as Diesel knows them; the others are in [`super::schema`].

#![allow(
    clippy::wildcard_imports,
    reason = "what diesel's table! macro expands to"
)]

diesel::table! {
    host_silence (day, host_id) {
        day -> BigInt,
        host_id -> BigInt,
        silent_s -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    silence_looks (id) {
        id -> BigInt,
        began_at -> Utc,
        looked_at -> Utc,
    }
}
