//! The checks of one move, as they stood when it began: what each answered at home, and after the move.

use diesel::prelude::*;

use crate::domain::ids::MigrationId;
use crate::domain::linode::check::{Check, CheckPlan, CheckProgress, CheckState};
use crate::domain::time::Time;
use crate::store::db::{Db, by_key};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::linode::check::{from_columns, http_columns};
use crate::store::schema::{check_answers, check_runs};

/// How the checks of one move stand.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = check_runs)]
pub struct CheckRun {
    pub migration_id: MigrationId,
    pub state: CheckState,
    /// If one does not answer, the way back begins by itself.
    pub goes_home: bool,
    pub limit_s: i32,
    /// By then each must have answered; `None` before they are asked.
    pub until: Option<Time>,
    /// The way back began by itself.
    pub went_home: bool,
    /// It does, and is to run there, whatever became of it; until its member shuts it down.
    pub comes_up: bool,
    /// What kept them from being asked, or the Linode from going home, in words for its member.
    pub why: String,
    /// The console's last lines, of one that did not answer.
    pub console: String,
}

impl CheckRun {
    pub fn new(migration: MigrationId, plan: CheckPlan) -> Self {
        Self {
            migration_id: migration,
            state: CheckState::Waiting,
            goes_home: plan.goes_home,
            limit_s: plan.limit_s,
            until: None,
            went_home: false,
            comes_up: false,
            why: String::new(),
            console: String::new(),
        }
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = check_answers)]
pub struct CheckedRow {
    migration_id: MigrationId,
    pub position: i32,
    address: String,
    port: i32,
    path: String,
    status: i32,
    /// As it should, or not; `None`: its host could not ask.
    pub home_ok: Option<bool>,
    pub home_said: String,
    /// After the move, likewise.
    pub ok: Option<bool>,
    pub said: String,
    pub asked_at: Option<Time>,
}

impl CheckedRow {
    /// With what it answered at home.
    pub fn new(
        migration: MigrationId,
        (position, check): (i32, &Check),
        (ok, said): (Option<bool>, &str),
    ) -> Self {
        let (path, status) = http_columns(check);
        Self {
            migration_id: migration,
            position,
            address: check.address.clone(),
            port: i32::from(check.port),
            path,
            status,
            home_ok: ok,
            home_said: said.to_owned(),
            ok: None,
            said: String::new(),
            asked_at: None,
        }
    }

    pub fn check(&self) -> Check {
        from_columns(&self.address, self.port, (&self.path, self.status))
    }

    pub fn asked(&self) -> CheckProgress {
        CheckProgress {
            at_home: self.home_ok == Some(true),
            abroad: self.ok,
        }
    }
}

pub fn run(conn: &mut Db, of: MigrationId) -> Result<Option<CheckRun>> {
    Ok(by_key!(conn, check_runs, of, CheckRun))
}

pub fn answers(conn: &mut Db, of: MigrationId) -> Result<Vec<CheckedRow>> {
    Ok(check_answers::table
        .filter(check_answers::migration_id.eq(of))
        .order(check_answers::position)
        .select(CheckedRow::as_select())
        .at_most::<100>()
        .load(conn)?)
}

/// Takes the place of what an earlier try of the move found at home.
pub fn begin(conn: &mut Db, run: &CheckRun, with: &[CheckedRow]) -> Result<()> {
    let of = run.migration_id;
    diesel::delete(check_answers::table.filter(check_answers::migration_id.eq(of)))
        .execute(conn)?;
    diesel::delete(check_runs::table.find(of)).execute(conn)?;
    if with.is_empty() {
        return Ok(());
    }
    diesel::insert_into(check_runs::table)
        .values(run)
        .execute(conn)?;
    for row in with {
        diesel::insert_into(check_answers::table)
            .values(row)
            .execute(conn)?;
    }
    Ok(())
}

/// What a step of a run stores.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = check_runs)]
pub struct RunChange {
    pub state: Option<CheckState>,
    pub until: Option<Time>,
    pub went_home: Option<bool>,
    pub comes_up: Option<bool>,
    pub why: Option<String>,
    pub console: Option<String>,
}

pub fn change(conn: &mut Db, of: MigrationId, change: &RunChange) -> Result<()> {
    diesel::update(check_runs::table.find(of))
        .set(change)
        .execute(conn)?;
    Ok(())
}

/// What one answered after the move.
pub fn answered(
    conn: &mut Db,
    of: (MigrationId, i32),
    (ok, said): (Option<bool>, &str),
    at: Time,
) -> Result<()> {
    diesel::update(check_answers::table.find(of))
        .set((
            check_answers::ok.eq(ok),
            check_answers::said.eq(said),
            check_answers::asked_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}
