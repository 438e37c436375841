//! Migrations as staff's list shows them: filtered, newest first, a page at a time.

use diesel::prelude::*;

use super::Migration;
use crate::domain::ids::{HostId, LinodeId, MigrationId};
use crate::domain::job::JobState;
use crate::domain::linode::KernelFamily;
use crate::domain::migration::{AT_WORK, MigrationKind, MigrationState};
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::name_index;
use crate::store::schema::{
    accounts, config_profiles, hosts, jobs, kernels, linodes, migration_events, migrations,
};

/// A migration in a list.
pub struct MigrationRow {
    pub migration: Migration,
    pub linode: String,
    pub account: String,
    pub source: String,
    pub destination: String,
}

#[derive(Debug, Clone, Default)]
pub struct MigrationFilter {
    pub states: Vec<MigrationState>,
    pub host: Option<HostId>,
    pub linode: Option<LinodeId>,
    /// Parts of the Linode's label, its account's name, or its people's: see `store::name_index`.
    pub text: String,
    pub kind: Option<MigrationKind>,
    pub source: Option<HostId>,
    pub made_since: Option<Time>,
    /// Started from the first moment on, before the second; ways back aside.
    pub started: Option<(Time, Time)>,
    /// Only what was started at all.
    pub begun: bool,
    /// Only with (or without) a try that failed.
    pub failed_try: Option<bool>,
    /// Only with a try that failed from the first moment on, before the second; ways back aside.
    pub tried: Option<(Time, Time)>,
    /// Only these.
    pub among: Option<Vec<MigrationId>>,
    /// Only of Linodes that have a config profile with a kernel of the family 2.4.
    pub old_kernel: bool,
    pub made_before: Option<Time>,
    /// Oldest first, and keys the other way round.
    pub oldest_first: bool,
}

/// Only rows of which this is true, if there is a value for it.
macro_rules! narrow {
    ($query:ident, $value:expr, |$it:ident| $rule:expr) => {
        if let Some($it) = $value {
            $query = $query.filter($rule);
        }
    };
}

/// Newest first, unless the filter says otherwise; `before`: the key of the last row seen.
pub fn migrations(
    conn: &mut Db,
    filter: &MigrationFilter,
    before: Option<MigrationId>,
    limit: i64,
) -> Result<Vec<MigrationRow>> {
    let mut query = migrations::table
        .inner_join(linodes::table)
        .inner_join(accounts::table)
        .select((Migration::as_select(), linodes::label, accounts::name))
        .into_boxed();
    query = if filter.oldest_first {
        query.order(migrations::id)
    } else {
        query.order(migrations::id.desc())
    };
    if !filter.states.is_empty() {
        query = query.filter(migrations::state.eq_any(filter.states.clone()));
    }
    if let Some(host) = filter.host {
        query = query.filter(
            migrations::source_host_id
                .eq(host)
                .or(migrations::destination_host_id.eq(host)),
        );
    }
    for condition in name_index::linodes_with(conn, &filter.text) {
        query = query.filter(condition);
    }
    narrow!(query, filter.linode, |it| migrations::linode_id.eq(it));
    narrow!(query, filter.kind, |it| migrations::kind.eq(it));
    narrow!(query, filter.source, |it| migrations::source_host_id.eq(it));
    narrow!(query, filter.made_since, |it| migrations::offered_at.ge(it));
    if let Some((from, to)) = filter.started {
        query = query
            .filter(migrations::started_at.ge(from))
            .filter(migrations::started_at.lt(to))
            .filter(migrations::kind.ne(MigrationKind::Return));
    }
    if filter.begun {
        query = query.filter(migrations::started_at.is_not_null());
    }
    if let Some(wanted) = filter.failed_try {
        let failed = diesel::dsl::exists(failed_tries());
        query = if wanted {
            query.filter(failed)
        } else {
            query.filter(diesel::dsl::not(failed))
        };
    }
    if let Some((from, to)) = filter.tried {
        let tries = failed_tries()
            .filter(migration_events::at.ge(from))
            .filter(migration_events::at.lt(to));
        query = query
            .filter(diesel::dsl::exists(tries))
            .filter(migrations::kind.ne(MigrationKind::Return));
    }
    if let Some(among) = &filter.among {
        query = query.filter(migrations::id.eq_any(among.clone()));
    }
    narrow!(query, filter.made_before, |it| migrations::offered_at
        .lt(it));
    if filter.old_kernel {
        query = query.filter(diesel::dsl::exists(old_kernels()));
    }
    if filter.oldest_first {
        narrow!(query, before, |it| migrations::id.gt(it));
    } else {
        narrow!(query, before, |it| migrations::id.lt(it));
    }
    let rows: Vec<(Migration, String, String)> = query.limited(limit).load(conn)?;
    with_hosts(conn, rows)
}

fn with_hosts(conn: &mut Db, rows: Vec<(Migration, String, String)>) -> Result<Vec<MigrationRow>> {
    let of = rows
        .iter()
        .flat_map(|(row, ..)| [row.source_host_id, row.destination_host_id])
        .collect();
    let names = crate::store::host::host_names(conn, of)?;
    let name = |id: HostId| names.get(&id).cloned().unwrap_or_default();
    Ok(rows
        .into_iter()
        .map(|(migration, linode, account)| MigrationRow {
            source: name(migration.source_host_id),
            destination: name(migration.destination_host_id),
            migration,
            linode,
            account,
        })
        .collect())
}

/// Migrations at work that need staff: their present step has failed for good, or its host is silent; at most 1,000.
pub fn stuck(conn: &mut Db, silent_since: Time) -> Result<Vec<MigrationId>> {
    Ok(migrations::table
        .inner_join(jobs::table.on(jobs::id.nullable().eq(migrations::step_job_id)))
        .inner_join(hosts::table.on(hosts::id.eq(jobs::host_id)))
        .filter(migrations::state.eq_any(AT_WORK))
        .filter(
            jobs::state
                .eq(JobState::Failed)
                .or(crate::store::host::silence::is_silent(silent_since)),
        )
        .order(migrations::id)
        .select(migrations::id)
        .at_most::<1000>()
        .load(conn)?)
}

/// A migration's Linode's profiles with an old kernel.
#[diesel::dsl::auto_type]
fn old_kernels() -> _ {
    let old: KernelFamily = KernelFamily::V24;
    config_profiles::table
        .inner_join(kernels::table)
        .filter(config_profiles::linode_id.eq(migrations::linode_id))
        .filter(kernels::family.eq(old))
}

/// A migration's events of tries that failed.
#[diesel::dsl::auto_type]
fn failed_tries() -> _ {
    let failed: MigrationState = MigrationState::Failed;
    migration_events::table
        .filter(migration_events::migration_id.eq(migrations::id))
        .filter(migration_events::state.eq(failed))
}

/// Migrations by state, each with since when the first of them waits or runs: since its offer, its click, its last begin, its end.
pub fn oldest(conn: &mut Db) -> Result<Vec<(MigrationState, i64, Option<Time>)>> {
    type Row = (
        MigrationState,
        i64,
        Option<Time>,
        Option<Time>,
        Option<Time>,
        Option<Time>,
    );
    let rows: Vec<Row> = migrations::table
        .group_by(migrations::state)
        .select((
            migrations::state,
            diesel::dsl::count_star(),
            diesel::dsl::min(migrations::offered_at),
            diesel::dsl::min(migrations::queued_at),
            diesel::dsl::min(migrations::started_at),
            diesel::dsl::min(migrations::finished_at),
        ))
        .load(conn)?;
    let oldest = |(state, count, offered, queued, started, finished): Row| {
        let since = match state {
            MigrationState::Offered => offered,
            MigrationState::Queued => queued,
            MigrationState::Finished => finished,
            _ => started,
        };
        (state, count, since)
    };
    Ok(rows.into_iter().map(oldest).collect())
}
