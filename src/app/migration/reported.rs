//! What an agent's report of a step adds to the migration's row.

use crate::domain::migration::Step;
use crate::domain::time::Time;
use crate::store::job::Job;
use crate::store::migration::{Change, Migration};
use crate::wire::Report;

/// What a report adds to the migration's row.
pub(in crate::app) fn facts(row: &Migration, job: &Job, now: Time, report: &Report) -> Change {
    let more = |sent: u64| {
        Some(
            row.sent_bytes
                .saturating_add(i64::try_from(sent).unwrap_or(i64::MAX)),
        )
    };
    let mut change = Change::default();
    match report {
        Report::Source {
            running,
            total_bytes,
            ..
        } => {
            change.was_running = Some(*running);
            change.total_bytes = i64::try_from(*total_bytes).ok();
        }
        Report::Warm {
            passes,
            sent_bytes,
            rest_bytes,
            last_pass_s,
            ..
        } => {
            let before = if row.step == Some(Step::TopUp) {
                row.warm_passes
            } else {
                0
            };
            change.warm_passes = Some(before.saturating_add(i32::try_from(*passes).unwrap_or(0)));
            change.sent_bytes = more(*sent_bytes);
            let took = job.started_at.map_or(0, |began| now.seconds_since(began));
            // Of several passes the first is the long one: that is no measure for the next.
            let each = took / i64::from((*passes).max(1));
            change.pass_s = i32::try_from(each.max(0)).ok();
            // What a pass sends is what had changed since the one before; of the first few, its agent says what is left.
            let (changed, within_ms) =
                match row.in_step_at.filter(|_| row.step == Some(Step::TopUp)) {
                    Some(last) => (*sent_bytes, now.millis_since(last)),
                    None => (
                        *rest_bytes,
                        last_pass_s.and_then(millis).unwrap_or(each * 1000),
                    ),
                };
            let each_s = |bytes: i64| bytes.saturating_mul(1000) / within_ms.max(1000);
            change.changed_b_s = i64::try_from(changed).ok().map(each_s);
        }
        // The agent keeps across its own crashes what it found at the first try.
        Report::Sealed { was_running, .. } if row.step == Some(Step::StopSeal) => {
            change.was_running = Some(*was_running);
        }
        Report::Copied {
            sent_bytes,
            uncached,
            ..
        } => {
            change.sent_bytes = more(*sent_bytes);
            change.uncached = *uncached;
        }
        Report::Started {
            running: true,
            started_after_s,
            ..
        } if row.step == Some(Step::Start) => {
            change.running_at = started_at(job, now, *started_after_s);
        }
        Report::Done
        | Report::Adopted { .. }
        | Report::Sealed { .. }
        | Report::Started { .. }
        | Report::StartFailedSealed { .. }
        | Report::Stopped { .. }
        | Report::Proof { .. }
        | Report::Checked { .. }
        | Report::Tried { .. }
        | Report::Console { .. } => {}
    }
    change
}

/// When the guest had been started, by the agent's count from the moment it took the order.
fn started_at(job: &Job, now: Time, after_s: Option<f64>) -> Option<Time> {
    let taken = job.started_at?;
    let most = now.millis_since(taken).max(0);
    let after = after_s.and_then(millis)?;
    Some(taken.plus_millis(after.min(most)))
}

/// An agent's number of seconds is only a number: what cannot be is not kept.
pub(super) fn millis(seconds: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "bounded")]
    let ms = (seconds * 1000.0) as i64;
    (0.0..=1e9).contains(&seconds).then_some(ms)
}
