//! The tables, as Diesel knows them; `migrations/` has what the databases enforce.

#![allow(
    clippy::wildcard_imports,
    reason = "what diesel's table! macro expands to"
)]

pub use super::schema_promise::{
    alerts, hold_words, holds, incarnations, joint_acts, portal, proofs,
};
pub use super::schema_trail::{audit_events, audit_head, programme_texts};

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    accounts (id) {
        id -> BigInt,
        name -> Text,
        created_at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    users (id) {
        id -> BigInt,
        account_id -> Nullable<BigInt>,
        email -> Text,
        name -> Text,
        role -> Text,
        password_hash -> Nullable<Text>,
        timezone -> Text,
        disabled -> Bool,
        created_at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    plans (id) {
        id -> BigInt,
        label -> Text,
        ram_mb -> BigInt,
        disk_mb -> BigInt,
        vcpus -> Integer,
        cpu_weight -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    kernels (id) {
        id -> Text,
        label -> Text,
        platform -> Text,
        family -> Text,
        maps_to -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    hosts (id) {
        id -> BigInt,
        name -> Text,
        platform -> Text,
        role -> Text,
        plan_id -> Nullable<BigInt>,
        state -> Text,
        memory_mb -> BigInt,
        disk_mb -> BigInt,
        disk_free_mb -> Nullable<BigInt>,
        slots -> Integer,
        cap_mb_s -> Nullable<Integer>,
        tells_changes -> Bool,
        transfer_address -> Nullable<Text>,
        fingerprint -> Nullable<Text>,
        credential_hash -> Nullable<Text>,
        next_credential_hash -> Nullable<Text>,
        agent_version -> Nullable<Text>,
        unknown_disks -> Text,
        last_seen_at -> Nullable<Utc>,
        created_at -> Utc,
        kernels -> Text,
        emptying_since -> Nullable<Utc>,
        protocol -> Integer,
        ledger_id -> Nullable<Text>,
        ledger_serial -> Nullable<BigInt>,
        ledger_machine -> Nullable<Text>,
        ledger_place -> Nullable<Text>,
        ledger_moved_at -> Nullable<Utc>,
        ledger_fault -> Text,
        ledger_fault_at -> Nullable<Utc>,
        reported_in -> Nullable<Text>,
        waived_in -> Nullable<Text>,
        contrary -> Text,
        sealed_here -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    enrolment_tokens (hash) {
        hash -> Text,
        host_id -> BigInt,
        expires_at -> Utc,
        used_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    linodes (id) {
        id -> BigInt,
        account_id -> BigInt,
        label -> Text,
        plan_id -> BigInt,
        host_id -> BigInt,
        epoch -> BigInt,
        fetched -> Bool,
        status -> Text,
        status_at -> Utc,
        mac -> Text,
        boot_config_id -> Nullable<BigInt>,
        console -> Nullable<Text>,
        created_at -> Utc,
        console_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    disks (id) {
        id -> BigInt,
        linode_id -> BigInt,
        label -> Text,
        size_mb -> BigInt,
        filesystem -> Text,
        created_at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    config_profiles (id) {
        id -> BigInt,
        linode_id -> BigInt,
        label -> Text,
        kernel_id -> Text,
        devices -> Text,
        root_device -> Text,
        read_only_root -> Bool,
        run_level -> Text,
        ram_limit_mb -> BigInt,
        vcpus -> Integer,
        comments -> Text,
        helpers -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    ips (id) {
        id -> BigInt,
        address -> Text,
        linode_id -> BigInt,
        host_id -> BigInt,
        prefix -> Integer,
        gateway -> Nullable<Text>,
        kind -> Text,
        rdns -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    programme (id) {
        id -> BigInt,
        state -> Text,
        irc_url -> Text,
        forum_url -> Text,
        seats -> Nullable<BigInt>,
        offer_days -> Integer,
        way_back_days -> Integer,
        max_overall -> Integer,
        max_per_link -> Integer,
        max_warm_passes -> Integer,
        watch_s -> Integer,
        changed_at -> Utc,
        opens_at -> Nullable<Utc>,
        expected_end_at -> Nullable<Utc>,
        ended_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    registrations (id) {
        id -> BigInt,
        linode_id -> BigInt,
        account_id -> BigInt,
        requested_by -> BigInt,
        state -> Text,
        reason -> Text,
        requested_at -> Utc,
        decided_at -> Nullable<Utc>,
        decided_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    migrations (id) {
        id -> BigInt,
        kind -> Text,
        linode_id -> BigInt,
        account_id -> BigInt,
        registration_id -> Nullable<BigInt>,
        parent_id -> Nullable<BigInt>,
        source_host_id -> BigInt,
        destination_host_id -> BigInt,
        state -> Text,
        step -> Nullable<Text>,
        round -> Integer,
        epoch -> BigInt,
        base_epoch -> Nullable<BigInt>,
        was_running -> Bool,
        kernels_accepted -> Bool,
        stop_limit_s -> Integer,
        offered_by -> Nullable<BigInt>,
        offered_at -> Utc,
        expires_at -> Utc,
        not_before -> Nullable<Utc>,
        queued_at -> Nullable<Utc>,
        queued_by -> Nullable<BigInt>,
        started_at -> Nullable<Utc>,
        stopped_at -> Nullable<Utc>,
        committed_at -> Nullable<Utc>,
        finished_at -> Nullable<Utc>,
        way_back_until -> Nullable<Utc>,
        closed_at -> Nullable<Utc>,
        cancel_asked -> Bool,
        failure -> Text,
        failure_detail -> Text,
        total_bytes -> BigInt,
        sent_bytes -> BigInt,
        warm_passes -> Integer,
        profiles_before -> Nullable<Text>,
        profiles_after -> Nullable<Text>,
        remind_at -> Nullable<Utc>,
        calendar_seq -> Integer,
        running_at -> Nullable<Utc>,
        reason -> Text,
        step_job_id -> Nullable<BigInt>,
        way_back_watched_s -> Nullable<BigInt>,
        purged_at -> Nullable<Utc>,
        uncached -> Nullable<Bool>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    migration_events (id) {
        id -> BigInt,
        migration_id -> BigInt,
        at -> Utc,
        state -> Text,
        step -> Nullable<Text>,
        message -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    digests (migration_id, disk_id, side) {
        migration_id -> BigInt,
        disk_id -> BigInt,
        side -> Text,
        epoch -> BigInt,
        size_bytes -> BigInt,
        root -> Text,
        at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    jobs (id) {
        id -> BigInt,
        host_id -> BigInt,
        linode_id -> BigInt,
        migration_id -> Nullable<BigInt>,
        kind -> Text,
        state -> Text,
        epoch -> BigInt,
        attempt -> Integer,
        run_after -> Utc,
        lease_hash -> Nullable<Text>,
        lease_until -> Nullable<Utc>,
        cancel_asked -> Bool,
        requested_by -> Nullable<BigInt>,
        entered_at -> Utc,
        started_at -> Nullable<Utc>,
        finished_at -> Nullable<Utc>,
        progress -> Nullable<Text>,
        progress_at -> Nullable<Utc>,
        message -> Text,
        detail -> Text,
        failures -> Integer,
        losses -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    sessions (id) {
        id -> BigInt,
        hash -> Text,
        user_id -> BigInt,
        created_at -> Utc,
        seen_at -> Utc,
        expires_at -> Utc,
        address -> Text,
        user_agent -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    api_tokens (id) {
        id -> BigInt,
        hash -> Text,
        user_id -> BigInt,
        label -> Text,
        scope -> Text,
        created_at -> Utc,
        used_at -> Nullable<Utc>,
        expires_at -> Nullable<Utc>,
        prefix -> Text,
        form -> Nullable<Text>,
        revoked_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    password_resets (hash) {
        hash -> Text,
        user_id -> BigInt,
        created_at -> Utc,
        expires_at -> Utc,
        used_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    sign_in_failures (id) {
        id -> BigInt,
        email -> Text,
        address -> Text,
        at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    outbox (id) {
        id -> BigInt,
        kind -> Text,
        recipient -> Text,
        subject -> Text,
        text_body -> Text,
        html_body -> Text,
        state -> Text,
        attempts -> Integer,
        next_at -> Utc,
        last_error -> Text,
        created_at -> Utc,
        sent_at -> Nullable<Utc>,
        calendar -> Nullable<Text>,
        stale_at -> Nullable<Utc>,
        bug_id -> Nullable<BigInt>,
    }
}

diesel::joinable!(holds -> linodes (linode_id));
diesel::joinable!(hold_words -> hosts (host_id));
diesel::joinable!(joint_acts -> hosts (host_id));
diesel::joinable!(users -> accounts (account_id));
diesel::joinable!(linodes -> accounts (account_id));
diesel::joinable!(linodes -> plans (plan_id));
diesel::joinable!(linodes -> hosts (host_id));
diesel::joinable!(disks -> linodes (linode_id));
diesel::joinable!(config_profiles -> linodes (linode_id));
diesel::joinable!(config_profiles -> kernels (kernel_id));
diesel::joinable!(ips -> linodes (linode_id));
diesel::joinable!(registrations -> linodes (linode_id));
diesel::joinable!(registrations -> accounts (account_id));
diesel::joinable!(migrations -> linodes (linode_id));
diesel::joinable!(migrations -> accounts (account_id));
diesel::joinable!(migrations -> registrations (registration_id));
diesel::joinable!(migration_events -> migrations (migration_id));
diesel::joinable!(digests -> migrations (migration_id));
diesel::joinable!(digests -> disks (disk_id));
diesel::joinable!(jobs -> hosts (host_id));
diesel::joinable!(jobs -> linodes (linode_id));
diesel::joinable!(jobs -> migrations (migration_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(api_tokens -> users (user_id));
diesel::joinable!(password_resets -> users (user_id));
diesel::joinable!(enrolment_tokens -> hosts (host_id));
diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    users,
    plans,
    kernels,
    hosts,
    enrolment_tokens,
    linodes,
    disks,
    config_profiles,
    ips,
    programme,
    registrations,
    migrations,
    migration_events,
    digests,
    jobs,
    sessions,
    api_tokens,
    password_resets,
    sign_in_failures,
    outbox,
    portal,
    incarnations,
    holds,
    hold_words,
    proofs,
    joint_acts,
    alerts
);
