//! What staff and members do about what does not mend by itself.

use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::words::{JobState, LinodeStatus, MigrationState};
use xenbeta::store::{holds, jobs};

use crate::judge::Acts;
use crate::world::World;

impl World {
    /// Why a Linode is held, if it is.
    pub fn hold(&self, linode: LinodeId) -> Option<String> {
        let hold = self.app().db.read(|conn| holds::of(conn, linode)).ok()??;
        Some(hold.reason)
    }

    /// One act for one Linode, if there is one.
    pub fn act(&self, linode: LinodeId, why: &str, acts: &mut Acts) {
        let app = self.app();
        let newest = self.migrations(linode).into_iter().next();
        let switching = newest
            .as_ref()
            .is_some_and(|row| row.state == MigrationState::Switching);
        if switching {
            let failed = app
                .db
                .read(|conn| jobs::of_linode(conn, linode, 5))
                .unwrap_or_default()
                .into_iter()
                .find(|job| job.state == JobState::Failed);
            if let Some(job) = failed
                && app.retry_job(&app.staff(), job.id).is_ok()
            {
                acts.staff += 1;
                self.note(format!("staff try job {} ({}) again: {why}", job.id, job.kind));
            }
        } else if self.status(linode) == LinodeStatus::Offline {
            acts.boots += 1;
            self.note(format!("the member boots {linode}: {why}"));
            self.boot(linode);
        }
    }

    pub fn act_on_hosts(&self, _acts: &mut Acts) {}
}
