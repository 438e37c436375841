//! Rows of a migration's page: its steps, who did what, the bugs that explain it.

use crate::store::audit::AuditRow;
use crate::store::bug::Bug;
use crate::store::job::list::JobRow;
use crate::web::ui::names::job_name;
use crate::web::ui::{Link, Tag, When, Zone};

#[derive(Debug)]
pub struct StepRow {
    pub link: Link,
    pub host: String,
    pub state: Tag,
    pub attempt: i32,
    pub started: Option<When>,
    pub finished: Option<When>,
    pub message: String,
}

#[derive(Debug)]
pub struct TrailRow {
    pub at: When,
    pub actor: String,
    pub action: String,
    pub change: String,
}

pub fn step(row: &JobRow, zone: Zone) -> StepRow {
    StepRow {
        link: Link::new(
            format!("/staff/jobs/{}", row.job.id),
            format!("{} (job {})", job_name(row.job.kind), row.job.id),
        ),
        host: row.host.clone(),
        state: Tag::job(row.job.state),
        attempt: row.job.attempt,
        started: row.job.started_at.map(|at| zone.precise(at)),
        finished: row.job.finished_at.map(|at| zone.precise(at)),
        message: row.job.message.clone(),
    }
}

pub fn trail(row: &AuditRow, zone: Zone) -> TrailRow {
    TrailRow {
        at: zone.precise(row.at),
        actor: if row.address.is_empty() {
            row.actor.clone()
        } else {
            format!("{} ({})", row.actor, row.address)
        },
        action: row.action.clone(),
        change: if row.before.is_empty() {
            row.after.clone()
        } else {
            format!("{} → {}", row.before, row.after)
        },
    }
}

pub fn bug(bug: &Bug) -> Link {
    Link::new(
        format!("/staff/bugs/{}", bug.id),
        format!("bug {}: {}", bug.id, bug.title),
    )
}
