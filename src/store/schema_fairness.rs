//! The tables of usage, fairness and weights, as Diesel knows them; the others are in [`super::schema`].

#![allow(
    clippy::wildcard_imports,
    reason = "what diesel's table! macro expands to"
)]

use super::schema::{hosts, linodes, plans};

diesel::table! {
    usage_rounds (host_id, step, slot) {
        host_id -> BigInt,
        step -> BigInt,
        slot -> BigInt,
        rolled -> Bool,
        data -> Binary,
    }
}

diesel::table! {
    usage_days (linode_id, day) {
        linode_id -> BigInt,
        day -> BigInt,
        data -> Binary,
    }
}

diesel::table! {
    host_fairness (host_id, step, slot) {
        host_id -> BigInt,
        step -> BigInt,
        slot -> BigInt,
        judged_ms -> BigInt,
        contended_ms -> BigInt,
        guests -> BigInt,
        jain -> BigInt,
        worst_id -> Nullable<BigInt>,
        worst_ratio -> BigInt,
        worst_excess_ms -> BigInt,
        least_id -> Nullable<BigInt>,
        least_ratio -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    weight_rule (id) {
        id -> BigInt,
        kind -> Text,
        base -> BigInt,
        unit_mb -> BigInt,
        changed_at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    linode_weights (linode_id) {
        linode_id -> BigInt,
        weight -> BigInt,
        reason -> Text,
        set_at -> Utc,
    }
}

diesel::joinable!(linode_weights -> linodes (linode_id));
diesel::allow_tables_to_appear_in_same_query!(linode_weights, linodes);
diesel::allow_tables_to_appear_in_same_query!(linode_weights, plans);
diesel::allow_tables_to_appear_in_same_query!(linode_weights, hosts);
