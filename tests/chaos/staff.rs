//! What staff and members do about what does not mend by itself.

use xenbeta::app::error::AppError;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::domain::job::JobState;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::ownership::joint::JointKind;
use xenbeta::store;

use crate::judge::Acts;
use crate::support::fleet::PASSWORD;
use crate::support::jobs;
use crate::world::World;

impl World {
    /// Why a Linode is held, if it is.
    pub fn hold(&self, linode: LinodeId) -> Option<String> {
        let hold = self
            .app()
            .db
            .read(|conn| store::ownership::hold::of(conn, linode))
            .ok()??;
        Some(hold.reason)
    }

    /// One act for one Linode, if there is one.
    pub fn act(&self, linode: LinodeId, why: &str, acts: &mut Acts) {
        let app = self.app();
        if self.hold(linode).is_some() {
            match app.believe(&app.staff(), linode) {
                Ok(believed) => {
                    acts.staff += 1;
                    self.note(format!("staff believe the hosts of {linode}: {believed:?}"));
                }
                Err(error) => self.note(format!("believe {linode}: {error}")),
            }
            return;
        }
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
                self.note(format!(
                    "staff try job {} ({}) again: {why}",
                    job.id, job.kind
                ));
            }
        } else if self.status(linode) == LinodeStatus::Offline {
            acts.boots += 1;
            self.note(format!("the member boots {linode}: {why}"));
            self.boot(linode);
        }
    }

    /// Two staff trust a ledger again whose host was told apart from itself: the harness has put the right one back.
    pub fn act_on_hosts(&self, acts: &mut Acts) {
        let app = self.app();
        let Ok(all) = app.db.read(store::host::all) else {
            return;
        };
        for host in all.iter().filter(|host| !host.ledger_fault.is_empty()) {
            match self.two_staff(JointKind::TrustLedger, host.id) {
                Ok(()) => {
                    acts.staff += 1;
                    self.note(format!(
                        "two staff trust the ledger of {}: {}",
                        host.name, host.ledger_fault
                    ));
                }
                Err(error) => self.note(format!("trust {}: {error}", host.name)),
            }
        }
    }

    /// One asks, the other agrees.
    pub fn two_staff(&self, kind: JointKind, host: HostId) -> Result<(), AppError> {
        let app = self.app();
        let evidence = "The harness did this, and has put it right.";
        let act = app.ask_joint(&app.staff(), PASSWORD, (kind, host), evidence)?;
        app.decide_joint(&app.second_staff(), PASSWORD, act, true)?;
        Ok(())
    }
}
