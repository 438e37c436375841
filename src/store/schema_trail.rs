//! The tables of the announcement's texts and of the audit trail, as Diesel knows them; the others are in [`super::schema`].

#![allow(
    clippy::wildcard_imports,
    reason = "what diesel's table! macro expands to"
)]

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    programme_texts (section) {
        section -> Text,
        body -> Text,
        changed_at -> Utc,
        changed_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    audit_events (id) {
        id -> BigInt,
        at -> Utc,
        actor -> Text,
        address -> Text,
        action -> Text,
        object -> Text,
        before -> Text,
        after -> Text,
        hash -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    audit_head (id) {
        id -> BigInt,
        hash -> Text,
    }
}
