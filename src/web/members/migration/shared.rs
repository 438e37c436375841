//! How a page of a member's migration finds it.

use crate::domain::ids::MigrationId;
use crate::domain::time::Time;
use crate::store;
use crate::store::migration::page::MigrationDetail;
use crate::web::extract::Member;
use crate::web::fault::{Fault, Result};
use crate::web::portal;

pub(super) async fn find(member: &Member, id: i64) -> Result<(MigrationDetail, Time)> {
    let account = member.account;
    let now = member.portal.now();
    let found = portal::read(&member.portal, move |conn| {
        store::migration::page::migration(conn, Some(account), MigrationId(id), now)
    })
    .await?;
    Ok((found.ok_or(Fault::NotFound)?, now))
}

pub(super) fn url_of(id: MigrationId) -> String {
    format!("/members/migrations/{id}")
}

pub(crate) fn at_migration(fault: Fault, id: i64) -> Fault {
    fault.at(url_of(MigrationId(id)), "See how the migration stands")
}
