//! Moves all the time: offers, clicks, ways back.

use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::{MigrationKind, MigrationState};
use xenbeta::domain::registration::RegistrationState;
use xenbeta::store;
use xenbeta::store::migration::Migration;

use crate::support::fleet::XEN1;
use crate::support::hand::now_click;
use crate::world::World;

impl World {
    /// The newest move to the beta.
    pub fn beta(&self, linode: LinodeId) -> Option<Migration> {
        self.migrations(linode)
            .into_iter()
            .find(|row| row.kind == MigrationKind::Beta)
    }

    /// Does what comes next for a Linode: there, or back. What is refused is no fault: the portal may be recovering.
    pub fn go_on(&self, linode: LinodeId) -> bool {
        let app = self.app();
        let member = app.member();
        let done = match self.beta(linode) {
            Some(row) => match row.state {
                MigrationState::Finished => app.way_back(&member, row.id).map(|_| ()),
                MigrationState::Failed => app.retry_migration(&member, row.id).map(|_| ()),
                MigrationState::Offered => app.migrate(&member, linode, now_click()).map(|_| ()),
                MigrationState::Returned | MigrationState::Cancelled | MigrationState::Expired => {
                    self.offer_and_click(linode)
                }
                _ => return false,
            },
            None => self.offer_and_click(linode),
        };
        match done {
            Ok(()) => {
                app.reconcile().ok();
                true
            }
            Err(error) => {
                self.note(format!("{linode}: {error}"));
                false
            }
        }
    }

    fn offer_and_click(&self, linode: LinodeId) -> Result<(), xenbeta::app::error::AppError> {
        let app = self.app();
        let newest = app
            .db
            .read(|conn| store::registration::newest_of(conn, linode))?
            .filter(|it| {
                matches!(
                    it.state,
                    RegistrationState::Requested | RegistrationState::Approved
                )
            });
        if newest.is_none() {
            app.register(&app.member(), &[linode])?;
        }
        let row = app
            .db
            .read(|conn| store::registration::newest_of(conn, linode))?
            .ok_or(xenbeta::app::error::AppError::NotFound)?;
        if row.state == RegistrationState::Requested {
            app.approve(&app.staff(), &[row.id])?;
        }
        app.offer(&app.staff(), row.id, Some(XEN1))?;
        app.migrate(&app.member(), linode, now_click())?;
        Ok(())
    }
}
