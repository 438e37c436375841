//! What waits for staff, derived from rows, and which of it they were told of by mail.

use std::collections::HashSet;

use diesel::prelude::*;

use super::db::{Both, Db};
use super::error::Result;
use super::schema::{alerts, holds, hosts, jobs, joint_acts, linodes, migrations, portal};
use crate::domain::host::HostState;
use crate::domain::ids::{HostId, JobId, JointActId, LinodeId, MigrationId};
use crate::domain::job::JobState;
use crate::domain::migration::AT_WORK;
use crate::domain::ownership::joint::{JointKind, JointState};
use crate::domain::time::Time;
use crate::domain::wave::WaveState;
use crate::store::limit::Limit;
use crate::store::wave;

/// Of each kind at most, in one look: a mail names the first few anyway.
const MOST: i64 = 200;

/// One thing that waits for staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The same for as long as it stands.
    pub id: String,
    pub line: String,
    /// Where it is seen to.
    pub path: String,
}

impl Alert {
    fn new(id: impl Into<String>, line: String, path: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            line,
            path: path.into(),
        }
    }
}

/// What has stood since `since`, of what may put itself right; and at once, what does not.
pub fn standing(conn: &mut Db, since: Time) -> Result<Vec<Alert>> {
    let mut all = of_portal(conn, since)?;
    all.extend(of_holds(conn, since)?);
    all.extend(of_ledgers(conn)?);
    all.extend(of_joint_acts(conn)?);
    all.extend(of_waves(conn)?);
    all.extend(of_steps(conn)?);
    Ok(all)
}

fn of_portal(conn: &mut Db, since: Time) -> Result<Vec<Alert>> {
    let (recovery, jump): (Option<Time>, Option<i64>) = portal::table
        .find(1_i64)
        .select((portal::recovery_since, portal::clock_jump_s))
        .get_result(conn)?;
    let mut all = Vec::new();
    if recovery.is_some_and(|began| began <= since) {
        let line = "The portal puts its memory right, and waits for hosts that do not report: no Linode changes hands.";
        all.push(Alert::new("recovery", line.to_owned(), "/staff/recovery"));
    }
    if let Some(seconds) = jump {
        let line = format!(
            "The portal's clock jumped by {seconds} seconds: nothing begins or ends by it until somebody has looked."
        );
        all.push(Alert::new("clock", line, "/staff"));
    }
    Ok(all)
}

fn of_holds(conn: &mut Db, since: Time) -> Result<Vec<Alert>> {
    let held: Vec<(LinodeId, String, String)> = holds::table
        .inner_join(linodes::table)
        .filter(holds::since.le(since))
        .order(holds::linode_id)
        .select((linodes::id, linodes::label, holds::reason))
        .at_most::<MOST>()
        .load(conn)?;
    Ok(held
        .into_iter()
        .map(|(id, label, reason)| {
            let line = format!("{label} is held: {reason}");
            Alert::new(format!("held {id}"), line, "/staff/held")
        })
        .collect())
}

fn of_ledgers(conn: &mut Db) -> Result<Vec<Alert>> {
    let faults: Vec<(HostId, String, String)> = hosts::table
        .filter(hosts::ledger_fault.ne(""))
        .filter(hosts::state.ne(HostState::Quarantined))
        .order(hosts::id)
        .select((hosts::id, hosts::name, hosts::ledger_fault))
        .at_most::<MOST>()
        .load(conn)?;
    Ok(faults
        .into_iter()
        .map(|(id, name, fault)| {
            let line = format!("{name} gets no work: {fault}.");
            Alert::new(format!("ledger {id}"), line, format!("/staff/hosts/{id}"))
        })
        .collect())
}

fn of_joint_acts(conn: &mut Db) -> Result<Vec<Alert>> {
    let asked: Vec<(JointActId, JointKind, HostId, String)> = joint_acts::table
        .inner_join(hosts::table)
        .filter(joint_acts::state.eq(JointState::Asked))
        .order(joint_acts::id)
        .select((joint_acts::id, joint_acts::kind, hosts::id, hosts::name))
        .at_most::<MOST>()
        .load(conn)?;
    Ok(asked
        .into_iter()
        .map(|(id, kind, host, name)| {
            let what = match kind {
                JointKind::Takeover => format!("taking {name} over"),
                JointKind::Waive => format!("not waiting for {name}"),
                JointKind::TrustLedger => format!("trusting the ledger of {name}"),
            };
            let line = format!("Somebody asked for {what}; another of staff has to agree.");
            Alert::new(format!("joint {id}"), line, format!("/staff/hosts/{host}"))
        })
        .collect())
}

/// Waves that paused by themselves: staff know of those that they paused.
fn of_waves(conn: &mut Db) -> Result<Vec<Alert>> {
    let paused = wave::in_states(conn, &[WaveState::Paused])?;
    let by_itself = |it: &&wave::Wave| it.why.starts_with(wave::BY_ITSELF);
    Ok(paused
        .iter()
        .filter(by_itself)
        .map(|it| {
            let since = it.paused_at.map(|at| at.to_string()).unwrap_or_default();
            let line = format!("The wave “{}” is paused. {}.", it.name, it.why);
            let path = format!("/staff/waves/{}", it.id);
            Alert::new(format!("wave {} {since}", it.id), line, path)
        })
        .collect())
}

/// Moves that stand because their step's job failed for good.
fn of_steps(conn: &mut Db) -> Result<Vec<Alert>> {
    let stuck: Vec<(JobId, MigrationId, String)> = migrations::table
        .inner_join(linodes::table)
        .inner_join(jobs::table.on(migrations::step_job_id.eq(jobs::id.nullable())))
        .filter(migrations::state.eq_any(AT_WORK))
        .filter(jobs::state.eq(JobState::Failed))
        .order(migrations::id)
        .select((jobs::id, migrations::id, linodes::label))
        .at_most::<MOST>()
        .load(conn)?;
    Ok(stuck
        .into_iter()
        .map(|(job, id, label)| {
            let line = format!("The migration of {label} stands: its step failed on its host.");
            let path = format!("/staff/migrations/{id}");
            Alert::new(format!("job {job}"), line, path)
        })
        .collect())
}

/// Those that staff were told of.
pub fn told(conn: &mut Db) -> Result<HashSet<String>> {
    let ids: Vec<String> = alerts::table.select(alerts::id).load(conn)?;
    Ok(ids.into_iter().collect())
}

/// `false` if another portal has told them.
pub fn tell(conn: &mut Db, id: &str, now: Time) -> Result<bool> {
    let new = Both(
        diesel::insert_into(alerts::table)
            .values((alerts::id.eq(id), alerts::told_at.eq(now)))
            .on_conflict_do_nothing(),
    );
    Ok(new.execute(conn)? == 1)
}

/// They stand no more.
pub fn forget(conn: &mut Db, ids: &[String]) -> Result<()> {
    diesel::delete(alerts::table.filter(alerts::id.eq_any(ids.to_vec()))).execute(conn)?;
    Ok(())
}
