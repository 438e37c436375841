//! What staff hold back: jobs of a host, of a kind, or of a kind on a host. Few rows, read with every claim.

use diesel::prelude::*;

use crate::domain::ids::{HostId, JobPauseId, UserId};
use crate::domain::job::JobKind;
use crate::domain::time::Time;
use crate::store::db::{Db, columns};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{hosts, job_pauses, users};

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = job_pauses)]
pub struct JobPause {
    pub id: JobPauseId,
    /// `None`: on every host.
    pub host_id: Option<HostId>,
    /// `None`: every kind that may wait.
    pub kind: Option<JobKind>,
    pub reason: String,
    pub made_at: Time,
}

impl JobPause {
    pub fn holds(&self, host: HostId, kind: JobKind) -> bool {
        kind.may_wait()
            && self.host_id.is_none_or(|it| it == host)
            && self.kind.is_none_or(|it| it == kind)
    }
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = job_pauses)]
pub struct NewPause<'a> {
    pub host_id: Option<HostId>,
    pub kind: Option<JobKind>,
    pub reason: &'a str,
    pub made_by: UserId,
    pub made_at: Time,
}

/// A duplicate if the same is paused.
pub fn insert(conn: &mut Db, new: &NewPause<'_>) -> Result<JobPauseId> {
    Ok(diesel::insert_into(job_pauses::table)
        .values(new)
        .returning(job_pauses::id)
        .get_result(conn)?)
}

/// What it was; `None`: it has ended.
pub fn end(conn: &mut Db, id: JobPauseId) -> Result<Option<JobPause>> {
    Ok(diesel::delete(job_pauses::table.find(id))
        .returning(columns::<JobPause>())
        .get_result(conn)
        .optional()?)
}

pub fn all(conn: &mut Db) -> Result<Vec<JobPause>> {
    Ok(job_pauses::table
        .order(job_pauses::id)
        .select(JobPause::as_select())
        .at_most::<1000>()
        .load(conn)?)
}

/// With its host's name and who made it, oldest first.
pub fn list(conn: &mut Db) -> Result<Vec<(JobPause, Option<String>, String)>> {
    Ok(job_pauses::table
        .left_join(hosts::table)
        .inner_join(users::table)
        .order(job_pauses::id)
        .select((JobPause::as_select(), hosts::name.nullable(), users::email))
        .at_most::<1000>()
        .load(conn)?)
}
