//! The claim of a job: one conditional statement, the hottest of all.

use diesel::backend::Backend;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, HasSqlType, Text};
use diesel::sqlite::Sqlite;

use super::Job;
use crate::domain::ids::HostId;
use crate::domain::job::{JobKind, JobState};
use crate::domain::time::Time;
use crate::store::db::{Both, Db};
use crate::store::error::{Result, StoreError};
use crate::store::schema::{holds, job_pauses, jobs, migrations};
use crate::store::types::Utc;

/// The oldest runnable job of a host becomes leased, in one statement; another job of the same Linode at work on the
/// host holds it back, and so does a hold of the Linode, and a pause by staff, unless the job brings a stopped Linode up again (`JobKind::NEVER_WAIT`, and the stop at a destination that could not start it). While the portal recovers its memory, no move goes on. Both drivers keep the statement prepared (it has a query id).
#[derive(QueryId)]
pub struct Claim {
    pub host: HostId,
    pub now: Time,
    pub until: Time,
    pub lease_hash: String,
}

impl Query for Claim {
    type SqlType = <jobs::table as AsQuery>::SqlType;
}

impl Claim {
    fn walk<'b, DB>(&'b self, mut out: AstPass<'_, 'b, DB>, lock: &str) -> QueryResult<()>
    where
        DB: Backend + HasSqlType<Utc> + HasSqlType<BigInt> + HasSqlType<Text>,
        Time: diesel::serialize::ToSql<Utc, DB>,
        HostId: diesel::serialize::ToSql<BigInt, DB>,
        String: diesel::serialize::ToSql<Text, DB>,
    {
        out.push_sql("UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_until = ");
        out.push_bind_param::<Utc, _>(&self.until)?;
        out.push_sql(", lease_hash = ");
        out.push_bind_param::<Text, _>(&self.lease_hash)?;
        out.push_sql(", started_at = ");
        out.push_bind_param::<Utc, _>(&self.now)?;
        // `state = 'pending'` stands outside too: without it two claims may take one job on PostgreSQL.
        out.push_sql(" WHERE state = 'pending' AND id = (SELECT j.id FROM jobs j WHERE j.state = 'pending' AND j.host_id = ");
        out.push_bind_param::<BigInt, _>(&self.host)?;
        out.push_sql(" AND (j.run_after <= ");
        out.push_bind_param::<Utc, _>(&self.now)?;
        // One that was never put off is due whatever the clock of the portal was that entered it.
        out.push_sql(
            " OR j.run_after <= j.entered_at) AND NOT EXISTS (SELECT 1 FROM jobs l WHERE l.state = 'leased' AND l.host_id = j.host_id AND l.linode_id = j.linode_id) AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.linode_id = j.linode_id) AND (j.migration_id IS NULL AND j.kind <> 'start' OR NOT EXISTS (SELECT 1 FROM portal p WHERE p.recovery_since IS NOT NULL)) AND (NOT EXISTS (SELECT 1 FROM job_pauses w WHERE (w.host_id IS NULL OR w.host_id = j.host_id) AND (w.kind IS NULL OR w.kind = j.kind)) OR j.kind IN ('final_copy', 'start') OR j.kind = 'stop_seal' AND EXISTS (SELECT 1 FROM migrations m WHERE m.id = j.migration_id AND m.destination_host_id = j.host_id)) ORDER BY j.run_after, j.id LIMIT 1",
        );
        out.push_sql(lock);
        out.push_sql(
            ") RETURNING id, host_id, linode_id, migration_id, kind, state, epoch, attempt, run_after, lease_hash, lease_until, cancel_asked, requested_by, entered_at, started_at, finished_at, progress, progress_at, message, detail, failures, losses",
        );
        Ok(())
    }
}

impl QueryFragment<Pg> for Claim {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.walk(out, " FOR UPDATE OF j SKIP LOCKED")
    }
}
impl QueryFragment<Sqlite> for Claim {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.walk(out, "")
    }
}

/// Claims; `None` if nothing is runnable. Two claims racing for two jobs of one Linode: one of them gets `None`.
pub fn claim(conn: &mut Db, claim: Claim) -> Result<Option<Job>> {
    let claimed = Both(claim)
        .get_result::<Job>(conn)
        .optional()
        .map_err(StoreError::from);
    match claimed {
        Err(error) if error.is_duplicate() => Ok(None),
        other => other,
    }
}

/// Is there anything this host could claim now? Cheap, and takes no lock.
pub fn anything_for(conn: &mut Db, host: HostId, now: Time) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(
        jobs::table
            .filter(jobs::state.eq(JobState::Pending))
            .filter(jobs::host_id.eq(host))
            .filter((jobs::run_after.le(now)).or(jobs::run_after.le(jobs::entered_at)))
            .filter(diesel::dsl::not(diesel::dsl::exists(
                holds::table.filter(holds::linode_id.eq(jobs::linode_id)),
            )))
            .filter(
                diesel::dsl::not(diesel::dsl::exists(pausing()))
                    .or(jobs::kind.eq_any(JobKind::NEVER_WAIT))
                    .or(jobs::kind
                        .eq(JobKind::StopSeal)
                        .and(diesel::dsl::exists(at_destination()))),
            ),
    ))
    .get_result(conn)?)
}

/// What staff hold this job back by, if they may.
#[diesel::dsl::auto_type]
fn pausing() -> _ {
    let of_host = job_pauses::host_id
        .is_null()
        .or(job_pauses::host_id.eq(jobs::host_id.nullable()));
    let of_kind = job_pauses::kind
        .is_null()
        .or(job_pauses::kind.eq(jobs::kind.nullable()));
    job_pauses::table.filter(of_host).filter(of_kind)
}

/// This job's migration, if the job is at its destination.
#[diesel::dsl::auto_type]
fn at_destination() -> _ {
    migrations::table
        .filter(migrations::id.nullable().eq(jobs::migration_id))
        .filter(migrations::destination_host_id.eq(jobs::host_id))
}
