//! Jobs as lists show them: filtered, newest first, a page at a time.

use diesel::prelude::*;

use super::Job;
use crate::domain::ids::{AccountId, HostId, JobId, LinodeId, MigrationId};
use crate::domain::job::{JobKind, JobState};
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::linode::{self, Linode};
use crate::store::name_index;
use crate::store::schema::{hosts, jobs, linodes};

/// A job as a Linode's members see it.
#[derive(Queryable)]
pub struct QueuedJob {
    pub id: JobId,
    pub kind: JobKind,
    pub state: JobState,
    pub host: String,
    pub entered_at: Time,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub message: String,
}

/// A Linode's jobs, newest first, as [`QueuedJob`].
#[diesel::dsl::auto_type]
pub(in crate::store) fn queue(linode: LinodeId) -> _ {
    jobs::table
        .inner_join(hosts::table)
        .filter(jobs::linode_id.eq(linode))
        .order(jobs::id.desc())
        .select((
            jobs::id,
            jobs::kind,
            jobs::state,
            hosts::name,
            jobs::entered_at,
            jobs::started_at,
            jobs::finished_at,
            jobs::message,
        ))
}

/// A Linode's jobs, newest first, older than `before`; `None` for no such Linode, and for
/// somebody else's.
pub fn job_history(
    conn: &mut Db,
    account: AccountId,
    id: LinodeId,
    before: Option<JobId>,
    limit: i64,
) -> Result<Option<(Linode, Vec<QueuedJob>)>> {
    let Some(linode) = linode::linode_of(conn, account, id)? else {
        return Ok(None);
    };
    let jobs = queue(id)
        .filter(jobs::id.lt(before.unwrap_or(JobId(i64::MAX))))
        .limited(limit)
        .load(conn)?;
    Ok(Some((linode, jobs)))
}

/// A job in a list.
pub struct JobRow {
    pub job: Job,
    pub linode: String,
    pub host: String,
}

#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub state: Option<JobState>,
    pub host: Option<HostId>,
    pub linode: Option<LinodeId>,
    pub kind: Option<JobKind>,
    /// Parts of the Linode's label, its account's name, or its people's: see `store::name_index`.
    pub text: String,
    pub ended_since: Option<Time>,
    pub entered_before: Option<Time>,
}

/// Newest first; `before`: the key of the last row seen.
pub fn jobs(
    conn: &mut Db,
    filter: &JobFilter,
    before: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobRow>> {
    let mut query = jobs::table
        .inner_join(linodes::table)
        .inner_join(hosts::table)
        .select((Job::as_select(), linodes::label, hosts::name))
        .order(jobs::id.desc())
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(jobs::state.eq(state));
    }
    if let Some(host) = filter.host {
        query = query.filter(jobs::host_id.eq(host));
    }
    if let Some(linode) = filter.linode {
        query = query.filter(jobs::linode_id.eq(linode));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(jobs::kind.eq(kind));
    }
    for condition in name_index::linodes_with(conn, &filter.text) {
        query = query.filter(condition);
    }
    if let Some(since) = filter.ended_since {
        query = query.filter(jobs::finished_at.ge(since));
    }
    if let Some(at) = filter.entered_before {
        query = query.filter(jobs::entered_at.lt(at));
    }
    if let Some(before) = before {
        query = query.filter(jobs::id.lt(before));
    }
    let rows: Vec<(Job, String, String)> = query.limited(limit).load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(job, linode, host)| JobRow { job, linode, host })
        .collect())
}

pub fn job(conn: &mut Db, id: JobId) -> Result<Option<JobRow>> {
    let row: Option<(Job, String, String)> = jobs::table
        .inner_join(linodes::table)
        .inner_join(hosts::table)
        .filter(jobs::id.eq(id))
        .select((Job::as_select(), linodes::label, hosts::name))
        .at_most::<1>()
        .get_result(conn)
        .optional()?;
    Ok(row.map(|(job, linode, host)| JobRow { job, linode, host }))
}

/// The jobs of a migration with their hosts' names, in order.
pub fn jobs_of_migration(conn: &mut Db, id: MigrationId) -> Result<Vec<JobRow>> {
    let rows: Vec<(Job, String, String)> = jobs::table
        .inner_join(linodes::table)
        .inner_join(hosts::table)
        .filter(jobs::migration_id.eq(id))
        .order(jobs::id)
        .select((Job::as_select(), linodes::label, hosts::name))
        .at_most::<1000>()
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(job, linode, host)| JobRow { job, linode, host })
        .collect())
}
