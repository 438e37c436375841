//! The tables of move times and mail choices, as Diesel knows them; the others are in [`super::schema`].

#![allow(
    clippy::wildcard_imports,
    reason = "what diesel's table! macro expands to"
)]

use super::schema::users;

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    move_times (id) {
        id -> BigInt,
        timezone -> Text,
        per_hour -> Nullable<Integer>,
        changed_at -> Utc,
    }
}

diesel::table! {
    quiet_hours (weekday) {
        weekday -> Integer,
        begins -> Integer,
        ends -> Integer,
    }
}

diesel::table! {
    muted_mails (user_id, kind) {
        user_id -> BigInt,
        kind -> Text,
    }
}

diesel::joinable!(muted_mails -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(muted_mails, users);
