//! The tables of bugs and of the FAQ, as Diesel knows them.

#![allow(
    clippy::wildcard_imports,
    reason = "what diesel's table! macro expands to"
)]

use super::schema::{linodes, migrations, users};

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bugs (id) {
        id -> BigInt,
        title -> Text,
        happened -> Text,
        expected -> Text,
        reproduce -> Text,
        state -> Text,
        severity -> Text,
        component -> Text,
        duplicate_of -> Nullable<BigInt>,
        root_id -> BigInt,
        opened_by -> BigInt,
        account_id -> BigInt,
        once -> Text,
        version -> Integer,
        opened_at -> Utc,
        changed_at -> Utc,
        hidden_at -> Nullable<Utc>,
        hidden_by -> Nullable<BigInt>,
        hidden_reason -> Text,
        told -> Bool,
        news_due -> Nullable<Utc>,
        news_at -> Nullable<Utc>,
        news_post -> BigInt,
        news_until -> BigInt,
        news_reader -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bug_posts (id) {
        id -> BigInt,
        bug_id -> BigInt,
        author_id -> BigInt,
        by_staff -> Bool,
        body -> Text,
        once -> Text,
        at -> Utc,
        hidden_at -> Nullable<Utc>,
        hidden_by -> Nullable<BigInt>,
        hidden_reason -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bug_notes (id) {
        id -> BigInt,
        bug_id -> BigInt,
        author_id -> BigInt,
        body -> Text,
        once -> Text,
        at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bug_events (id) {
        id -> BigInt,
        bug_id -> BigInt,
        author_id -> BigInt,
        what -> Text,
        before -> Text,
        after -> Text,
        duplicate_of -> Nullable<BigInt>,
        at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bug_hits (bug_id, user_id) {
        bug_id -> BigInt,
        user_id -> BigInt,
        at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bug_facts (bug_id, kind) {
        bug_id -> BigInt,
        kind -> Text,
        value -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bug_files (id) {
        id -> BigInt,
        bug_id -> BigInt,
        post_id -> Nullable<BigInt>,
        author_id -> BigInt,
        account_id -> Nullable<BigInt>,
        by_staff -> Bool,
        name -> Text,
        kind -> Text,
        size -> BigInt,
        content -> Binary,
        at -> Utc,
        hidden_at -> Nullable<Utc>,
        hidden_by -> Nullable<BigInt>,
        hidden_reason -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bug_migrations (bug_id, migration_id) {
        bug_id -> BigInt,
        migration_id -> BigInt,
        linked_by -> BigInt,
        at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    faq_entries (id) {
        id -> BigInt,
        slug -> Text,
        question -> Text,
        answer -> Text,
        position -> BigInt,
        dated_at -> Utc,
        retired_at -> Nullable<Utc>,
        version -> Integer,
        changed_at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    faq_questions (id) {
        id -> BigInt,
        asked_by -> BigInt,
        account_id -> BigInt,
        question -> Text,
        state -> Text,
        entry_id -> Nullable<BigInt>,
        answer -> Nullable<Text>,
        answered_by -> Nullable<BigInt>,
        answered_at -> Nullable<Utc>,
        once -> Text,
        asked_at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    bug_digests (id) {
        id -> BigInt,
        at -> Utc,
    }
}

diesel::table! {
    name_words (of_what, id, word) {
        of_what -> Text,
        id -> BigInt,
        word -> Text,
    }
}

diesel::joinable!(bug_posts -> bugs (bug_id));
diesel::joinable!(bug_events -> bugs (bug_id));
diesel::joinable!(bug_hits -> bugs (bug_id));
diesel::joinable!(bug_migrations -> bugs (bug_id));
diesel::joinable!(bug_migrations -> migrations (migration_id));
diesel::allow_tables_to_appear_in_same_query!(
    bugs,
    bug_posts,
    bug_notes,
    bug_events,
    bug_hits,
    bug_facts,
    bug_files,
    bug_migrations
);
diesel::allow_tables_to_appear_in_same_query!(faq_entries, faq_questions);
diesel::allow_tables_to_appear_in_same_query!(bugs, users);
diesel::allow_tables_to_appear_in_same_query!(bug_hits, users);
diesel::allow_tables_to_appear_in_same_query!(bug_posts, users);
diesel::allow_tables_to_appear_in_same_query!(faq_questions, users);
diesel::allow_tables_to_appear_in_same_query!(bug_migrations, migrations);
diesel::allow_tables_to_appear_in_same_query!(bug_migrations, linodes);
diesel::joinable!(faq_questions -> users (asked_by));
diesel::joinable!(bug_hits -> users (user_id));
diesel::joinable!(bug_posts -> users (author_id));
