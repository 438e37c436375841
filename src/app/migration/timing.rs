//! What agents say that stops, starts and last copies took is kept: forecasts stand on it.

use super::reported::millis;
use crate::app::context::Tx;
use crate::app::error::{AppError, Result};
use crate::domain::migration::forecast::Part;
use crate::store;
use crate::store::job::Job;
use crate::store::migration::timing::NewTiming;
use crate::wire::Report;

/// What is beyond a day is no time that anything took.
const MOST_S: f64 = 86_400.0;

pub(in crate::app) fn note(tx: &mut Tx<'_>, job: &Job, report: &Report) -> Result<()> {
    let (stopped, copied, started) = match report {
        Report::Sealed {
            stopped_after_s, ..
        }
        | Report::Stopped {
            stopped_after_s, ..
        } => (*stopped_after_s, None, None),
        Report::Copied { seconds, .. } => (None, Some(*seconds), None),
        Report::Started {
            running: true,
            started_after_s,
            stopped_after_s,
            ..
        } => (*stopped_after_s, None, *started_after_s),
        Report::Started { running: false, .. }
        | Report::Done
        | Report::Adopted { .. }
        | Report::Source { .. }
        | Report::Warm { .. }
        | Report::StartFailedSealed { .. }
        | Report::Console { .. }
        | Report::Proof { .. }
        | Report::Checked { .. }
        | Report::Tried { .. } => return Ok(()),
    };
    let parts = [
        (Part::Stop, stopped),
        (Part::LastCopy, copied),
        (Part::Start, started),
    ];
    for (part, seconds) in parts {
        let seconds = seconds.filter(|seconds| *seconds <= MOST_S);
        if let Some(ms) = seconds.and_then(millis) {
            put(tx, job, report, (part, ms))?;
        }
    }
    Ok(())
}

fn put(tx: &mut Tx<'_>, job: &Job, report: &Report, (part, ms): (Part, i64)) -> Result<()> {
    let Some(linode) = store::linode::linode(tx.conn, job.linode_id)? else {
        return Ok(());
    };
    let mut new = NewTiming {
        linode_id: linode.id,
        plan_id: linode.plan_id,
        part,
        host_id: job.host_id,
        peer_id: None,
        ms,
        disk_bytes: 0,
        sent_bytes: 0,
        at: tx.now,
    };
    if let (Report::Copied { sent_bytes, .. }, Some(id)) = (report, job.migration_id) {
        let row = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
        new.host_id = row.source_host_id;
        new.peer_id = Some(row.destination_host_id);
        let source = store::host::host(tx.conn, row.source_host_id)?.ok_or(AppError::NotFound)?;
        new.disk_bytes = store::migration::timing::read_bytes(tx.conn, &row, &source)?;
        new.sent_bytes = i64::try_from(*sent_bytes).unwrap_or(i64::MAX);
    }
    Ok(store::migration::timing::put(tx.conn, &new)?)
}
