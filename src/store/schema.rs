//! The tables, as Diesel knows them; `migrations/` has what the databases enforce. Generated: `tests/portal/store/schema.rs` says how.

#![allow(
    clippy::wildcard_imports,
    reason = "what diesel's table! macro expands to"
)]

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

    alerts (id) {
        id -> Text,
        told_at -> Utc,
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
        subject -> Nullable<Text>,
    }
}

diesel::table! {
    audit_head (id) {
        id -> BigInt,
        hash -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    batch_accounts (batch_id, account_id) {
        batch_id -> BigInt,
        account_id -> BigInt,
        told_at -> Nullable<Utc>,
    }
}

diesel::table! {
    batch_items (batch_id, item_id) {
        batch_id -> BigInt,
        item_id -> BigInt,
        account_id -> BigInt,
        outcome -> Nullable<Text>,
        why -> Text,
        linode_id -> BigInt,
        destination_host_id -> Nullable<BigInt>,
        closes -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    batches (id) {
        id -> BigInt,
        kind -> Text,
        state -> Text,
        made_by -> BigInt,
        made_at -> Utc,
        address -> Text,
        reason -> Text,
        once -> Text,
        ended_at -> Nullable<Utc>,
        source_host_id -> Nullable<BigInt>,
        not_before -> Nullable<Utc>,
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

    bug_hits (bug_id, user_id) {
        bug_id -> BigInt,
        user_id -> BigInt,
        at -> Utc,
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

    check_answers (migration_id, position) {
        migration_id -> BigInt,
        position -> Integer,
        address -> Text,
        port -> Integer,
        path -> Text,
        status -> Integer,
        home_ok -> Nullable<Bool>,
        home_said -> Text,
        ok -> Nullable<Bool>,
        said -> Text,
        asked_at -> Nullable<Utc>,
    }
}

diesel::table! {
    check_plans (linode_id) {
        linode_id -> BigInt,
        goes_home -> Bool,
        limit_s -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    check_runs (migration_id) {
        migration_id -> BigInt,
        state -> Text,
        goes_home -> Bool,
        limit_s -> Integer,
        until -> Nullable<Utc>,
        went_home -> Bool,
        comes_up -> Bool,
        why -> Text,
        console -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    checks (linode_id, position) {
        linode_id -> BigInt,
        position -> Integer,
        address -> Text,
        port -> Integer,
        path -> Text,
        status -> Integer,
        ok -> Nullable<Bool>,
        said -> Text,
        asked_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    chosen_times (migration_id) {
        migration_id -> BigInt,
        at -> Utc,
        zone -> Text,
        local -> Text,
        zones -> Text,
    }
}

diesel::table! {
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

    half_sign_ins (hash) {
        hash -> Text,
        user_id -> BigInt,
        expires_at -> Utc,
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

    holds (linode_id) {
        linode_id -> BigInt,
        since -> Utc,
        reason -> Text,
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
    host_silence (day, host_id) {
        day -> BigInt,
        host_id -> BigInt,
        silent_s -> BigInt,
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
        boot_id -> Nullable<Text>,
        unseen -> Text,
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

    job_pauses (id) {
        id -> BigInt,
        host_id -> Nullable<BigInt>,
        kind -> Nullable<Text>,
        reason -> Text,
        made_by -> BigInt,
        made_at -> Utc,
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

    linode_weights (linode_id) {
        linode_id -> BigInt,
        weight -> BigInt,
        reason -> Text,
        set_at -> Utc,
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
        never_both -> Text,
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
        begin_at -> Nullable<Utc>,
        patience_s -> Integer,
        late_told -> Bool,
        in_step_at -> Nullable<Utc>,
        pass_s -> Integer,
        copied_s -> Nullable<Integer>,
        offer_again -> Bool,
        down_limit_s -> Nullable<Integer>,
        changed_b_s -> BigInt,
        foretold_ms -> Nullable<BigInt>,
        foretold_most_ms -> Nullable<BigInt>,
        try_first_since -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    move_times (id) {
        id -> BigInt,
        timezone -> Text,
        per_hour -> Nullable<Integer>,
        changed_at -> Utc,
        stops_at_once -> Integer,
        quiet_cap_mb_s -> Nullable<Integer>,
    }
}

diesel::table! {
    muted_mails (user_id, kind) {
        user_id -> BigInt,
        kind -> Text,
    }
}

diesel::table! {
    name_words (of_what, id, word) {
        of_what -> Text,
        id -> BigInt,
        word -> Text,
    }
}

diesel::table! {
    names (nr) {
        nr -> BigInt,
        of_what -> Text,
        id -> BigInt,
        text -> Text,
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
        receipt_of -> Nullable<BigInt>,
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
        asker -> Text,
    }
}

diesel::table! {
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
        moves_paused_at -> Nullable<Utc>,
        moves_paused_by -> Text,
        moves_paused_why -> Text,
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
    quiet_hours (weekday) {
        weekday -> Integer,
        begins -> Integer,
        ends -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    readiness_limits (id) {
        id -> BigInt,
        moves_least -> BigInt,
        reached_least_percent -> BigInt,
        serious_bugs_most -> BigInt,
        down_median_most_s -> BigInt,
        down_p90_most_s -> BigInt,
        unfair_hosts_most -> BigInt,
        went_back_most_percent -> BigInt,
        failed_jobs_most -> BigInt,
        silent_hosts_most -> BigInt,
        changed_at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    receipt_keys (id) {
        id -> Text,
        public -> Text,
        secret -> Text,
        made_at -> Utc,
        retired_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    receipts (migration_id) {
        migration_id -> BigInt,
        body -> Text,
        made_at -> Utc,
    }
}

diesel::table! {
    recovery_codes (user_id, hash) {
        user_id -> BigInt,
        hash -> Text,
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
    second_factors (user_id) {
        user_id -> BigInt,
        sealed -> Text,
        used_step -> BigInt,
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
        proved_at -> Nullable<Utc>,
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
        network -> Text,
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

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    timings (id) {
        id -> BigInt,
        linode_id -> BigInt,
        plan_id -> BigInt,
        part -> Text,
        host_id -> BigInt,
        peer_id -> Nullable<BigInt>,
        ms -> BigInt,
        disk_bytes -> BigInt,
        sent_bytes -> BigInt,
        at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    trials (id) {
        id -> BigInt,
        migration_id -> BigInt,
        asked_at -> Utc,
        asked_by -> Nullable<BigInt>,
        job_id -> BigInt,
        host_id -> BigInt,
        state -> Text,
        outcome -> Text,
        detail -> Text,
        console -> Text,
        began_at -> Nullable<Utc>,
        ended_at -> Nullable<Utc>,
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
    usage_rounds (host_id, step, slot) {
        host_id -> BigInt,
        step -> BigInt,
        slot -> BigInt,
        rolled -> Bool,
        data -> Binary,
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
        staff_role -> Nullable<Text>,
        second_factor_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    wave_items (wave_id, linode_id) {
        wave_id -> BigInt,
        linode_id -> BigInt,
        account_id -> BigInt,
        registration_id -> Nullable<BigInt>,
        place -> Integer,
        state -> Text,
        migration_id -> Nullable<BigInt>,
        why -> Text,
        again_at -> Nullable<Utc>,
        given_at -> Nullable<Utc>,
        told_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Utc;

    waves (id) {
        id -> BigInt,
        name -> Text,
        kind -> Text,
        state -> Text,
        made_by -> BigInt,
        made_at -> Utc,
        once -> Text,
        run_by -> Nullable<BigInt>,
        address -> Text,
        source_host_id -> Nullable<BigInt>,
        reason -> Text,
        sequence -> Text,
        canary -> Integer,
        watch_s -> Integer,
        at_once -> Integer,
        per_host -> Integer,
        out_most -> Integer,
        window_begins -> Nullable<Integer>,
        window_ends -> Nullable<Integer>,
        least -> Integer,
        failed_percent -> Integer,
        slow_percent -> Integer,
        bugs_most -> Integer,
        unfair_most -> Integer,
        started_at -> Nullable<Utc>,
        gate_from -> Nullable<Utc>,
        why -> Text,
        paused_at -> Nullable<Utc>,
        ended_at -> Nullable<Utc>,
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

diesel::joinable!(api_tokens -> users (user_id));
diesel::joinable!(batch_accounts -> accounts (account_id));
diesel::joinable!(batch_accounts -> batches (batch_id));
diesel::joinable!(batch_items -> accounts (account_id));
diesel::joinable!(batch_items -> batches (batch_id));
diesel::joinable!(batch_items -> hosts (destination_host_id));
diesel::joinable!(batch_items -> linodes (linode_id));
diesel::joinable!(batches -> hosts (source_host_id));
diesel::joinable!(batches -> users (made_by));
diesel::joinable!(bug_events -> bugs (bug_id));
diesel::joinable!(bug_hits -> bugs (bug_id));
diesel::joinable!(bug_hits -> users (user_id));
diesel::joinable!(bug_migrations -> bugs (bug_id));
diesel::joinable!(bug_migrations -> migrations (migration_id));
diesel::joinable!(bug_posts -> bugs (bug_id));
diesel::joinable!(bug_posts -> users (author_id));
diesel::joinable!(check_answers -> migrations (migration_id));
diesel::joinable!(check_plans -> linodes (linode_id));
diesel::joinable!(check_runs -> migrations (migration_id));
diesel::joinable!(checks -> linodes (linode_id));
diesel::joinable!(chosen_times -> migrations (migration_id));
diesel::joinable!(config_profiles -> kernels (kernel_id));
diesel::joinable!(config_profiles -> linodes (linode_id));
diesel::joinable!(digests -> disks (disk_id));
diesel::joinable!(digests -> migrations (migration_id));
diesel::joinable!(disks -> linodes (linode_id));
diesel::joinable!(enrolment_tokens -> hosts (host_id));
diesel::joinable!(faq_questions -> users (asked_by));
diesel::joinable!(half_sign_ins -> users (user_id));
diesel::joinable!(hold_words -> hosts (host_id));
diesel::joinable!(holds -> linodes (linode_id));
diesel::joinable!(ips -> linodes (linode_id));
diesel::joinable!(job_pauses -> hosts (host_id));
diesel::joinable!(job_pauses -> users (made_by));
diesel::joinable!(jobs -> hosts (host_id));
diesel::joinable!(jobs -> linodes (linode_id));
diesel::joinable!(jobs -> migrations (migration_id));
diesel::joinable!(joint_acts -> hosts (host_id));
diesel::joinable!(linode_weights -> linodes (linode_id));
diesel::joinable!(linodes -> accounts (account_id));
diesel::joinable!(linodes -> hosts (host_id));
diesel::joinable!(linodes -> plans (plan_id));
diesel::joinable!(migration_events -> migrations (migration_id));
diesel::joinable!(migrations -> accounts (account_id));
diesel::joinable!(migrations -> linodes (linode_id));
diesel::joinable!(migrations -> registrations (registration_id));
diesel::joinable!(muted_mails -> users (user_id));
diesel::joinable!(password_resets -> users (user_id));
diesel::joinable!(receipts -> migrations (migration_id));
diesel::joinable!(recovery_codes -> users (user_id));
diesel::joinable!(registrations -> accounts (account_id));
diesel::joinable!(registrations -> linodes (linode_id));
diesel::joinable!(second_factors -> users (user_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(users -> accounts (account_id));
diesel::joinable!(wave_items -> accounts (account_id));
diesel::joinable!(wave_items -> linodes (linode_id));
diesel::joinable!(wave_items -> migrations (migration_id));
diesel::joinable!(wave_items -> waves (wave_id));
diesel::joinable!(waves -> hosts (source_host_id));
diesel::joinable!(waves -> users (made_by));
diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    alerts,
    api_tokens,
    audit_events,
    audit_head,
    batch_accounts,
    batch_items,
    batches,
    bug_digests,
    bug_events,
    bug_facts,
    bug_files,
    bug_hits,
    bug_migrations,
    bug_notes,
    bug_posts,
    bugs,
    check_answers,
    check_plans,
    check_runs,
    checks,
    chosen_times,
    config_profiles,
    digests,
    disks,
    enrolment_tokens,
    faq_entries,
    faq_questions,
    half_sign_ins,
    hold_words,
    holds,
    host_fairness,
    host_silence,
    hosts,
    incarnations,
    ips,
    job_pauses,
    jobs,
    joint_acts,
    kernels,
    linode_weights,
    linodes,
    migration_events,
    migrations,
    move_times,
    muted_mails,
    name_words,
    names,
    outbox,
    password_resets,
    plans,
    portal,
    programme,
    programme_texts,
    proofs,
    quiet_hours,
    readiness_limits,
    receipt_keys,
    receipts,
    recovery_codes,
    registrations,
    second_factors,
    sessions,
    sign_in_failures,
    silence_looks,
    timings,
    trials,
    usage_days,
    usage_rounds,
    users,
    wave_items,
    waves,
    weight_rule,
);
