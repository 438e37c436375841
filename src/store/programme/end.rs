//! What the end of the beta concerns: how many of what, and the registrations that it closes.

use diesel::prelude::*;

use crate::domain::ids::RegistrationId;
use crate::domain::migration::{self, AT_WORK, MigrationKind, MigrationState};
use crate::domain::placement::Standing;
use crate::domain::registration::RegistrationState;
use crate::domain::string_enum::StringEnum;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::graduation::stand;
use crate::store::limit::Limit;
use crate::store::schema::{hosts, linodes, migrations, registrations};

/// How many of what, when the beta ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concerned {
    /// Registrations that wait for review.
    pub waiting: i64,
    /// Approved, and their Linodes have neither moved nor been told to.
    pub approved: i64,
    /// Offers to move into the beta that nobody has taken up.
    pub offers: i64,
    pub queued: i64,
    pub running: i64,
    /// Moves whose way back is open.
    pub way_backs: i64,
    /// Linodes on beta hosts.
    pub on_beta_hosts: i64,
    /// Offers to graduate that nobody has taken up.
    pub graduation_offers: i64,
}

fn offers(conn: &mut Db, kind: MigrationKind) -> Result<i64> {
    Ok(migrations::table
        .filter(migrations::kind.eq(kind))
        .filter(migrations::state.eq(MigrationState::Offered))
        .count()
        .get_result(conn)?)
}

fn in_states(conn: &mut Db, states: &[MigrationState]) -> Result<i64> {
    Ok(migrations::table
        .filter(migrations::state.eq_any(states.to_vec()))
        .filter(
            migrations::kind
                .ne(MigrationKind::Return)
                .or(migrations::state.ne(MigrationState::Finished)),
        )
        .count()
        .get_result(conn)?)
}

pub fn concerned(conn: &mut Db) -> Result<Concerned> {
    let waiting = crate::store::registration::count(conn, RegistrationState::Requested)?;
    let approved = count_closable(conn)? - waiting;
    Ok(Concerned {
        waiting,
        approved,
        offers: offers(conn, MigrationKind::Beta)?,
        queued: in_states(conn, &[MigrationState::Queued])?,
        running: in_states(conn, &AT_WORK)?,
        way_backs: in_states(conn, &[MigrationState::Finished])?,
        on_beta_hosts: linodes::table
            .inner_join(hosts::table)
            .filter(stand(Standing::InBeta))
            .count()
            .get_result(conn)?,
        graduation_offers: offers(conn, MigrationKind::Graduation)?,
    })
}

/// Waiting, or approved for a Linode outside the beta with no move under way.
#[diesel::dsl::auto_type]
fn closable() -> _ {
    let requested: RegistrationState = RegistrationState::Requested;
    let approved: RegistrationState = RegistrationState::Approved;
    let states: Vec<MigrationState> = MigrationState::those(migration::is_under_way);
    let outside: stand = stand(Standing::Outside);
    registrations::state
        .eq(requested)
        .or(registrations::state
            .eq(approved)
            .and(outside)
            .and(diesel::dsl::not(diesel::dsl::exists(
                migrations::table
                    .filter(migrations::linode_id.eq(registrations::linode_id))
                    .filter(migrations::state.eq_any(states)),
            ))))
}

pub fn count_closable(conn: &mut Db) -> Result<i64> {
    Ok(registrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(closable())
        .count()
        .get_result(conn)?)
}

/// Registrations that the end closes, oldest first.
pub fn closable_ids(conn: &mut Db, limit: i64) -> Result<Vec<RegistrationId>> {
    Ok(registrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(closable())
        .order(registrations::id)
        .select(registrations::id)
        .limited(limit)
        .load(conn)?)
}

/// Is it still one of them?
pub fn is_closable(conn: &mut Db, id: RegistrationId) -> Result<bool> {
    Ok(registrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(registrations::id.eq(id))
        .filter(closable())
        .select(registrations::id)
        .at_most::<1>()
        .get_result::<RegistrationId>(conn)
        .optional()?
        .is_some())
}
