//! The tables of what the portal knows of its own memory, as Diesel knows them; the others are in [`super::schema`].

#![allow(
    clippy::wildcard_imports,
    reason = "what diesel's table! macro expands to"
)]

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    portal (id) {
        id -> BigInt,
        incarnation -> Text,
        revision -> BigInt,
        recovery_since -> Nullable<Utc>,
        recovery_why -> Text,
        database_mark -> Text,
        watched_s -> BigInt,
        watched_at -> Nullable<Utc>,
        clock_jump_s -> Nullable<BigInt>,
        clock_jump_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    incarnations (id) {
        id -> Text,
        began_revision -> BigInt,
        began_at -> Utc,
        why -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    holds (linode_id) {
        linode_id -> BigInt,
        since -> Utc,
        reason -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    hold_words (linode_id, host_id) {
        linode_id -> BigInt,
        host_id -> BigInt,
        granted -> BigInt,
        sealed -> BigInt,
        generation -> Nullable<BigInt>,
        running -> Nullable<Bool>,
        at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    proofs (linode_id) {
        linode_id -> BigInt,
        host_id -> BigInt,
        epoch -> BigInt,
        running -> Bool,
        at -> Utc,
        watched_s -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    joint_acts (id) {
        id -> BigInt,
        kind -> Text,
        host_id -> BigInt,
        evidence -> Text,
        state -> Text,
        asked_by -> BigInt,
        asked_at -> Utc,
        decided_by -> Nullable<BigInt>,
        decided_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    alerts (id) {
        id -> Text,
        told_at -> Utc,
    }
}
