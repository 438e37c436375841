//! How a page of a member's migration finds it.

use crate::domain::ids::MigrationId;
use crate::domain::time::Time;
use crate::store;
use crate::store::migration::page::MigrationDetail;
use crate::web::extract::Member;
use crate::web::fault::Fault;
use crate::web::page::{Area, Page};
use crate::web::portal::{self, Portal};

pub(super) async fn find(
    portal: &Portal,
    member: &Member,
    id: i64,
) -> Result<(MigrationDetail, Time), Fault> {
    let account = member.account;
    let now = portal.now();
    let found = portal::read(portal, move |conn| {
        store::migration::page::migration(conn, Some(account), MigrationId(id), now)
    })
    .await?;
    Ok((found.ok_or(Fault::NotFound)?, now))
}

pub(super) fn page_of(member: &Member, detail: &MigrationDetail, title: String) -> Page {
    let linode = &detail.linode;
    member
        .page(Area::Linodes, title)
        .crumb("Linodes", "/members/")
        .crumb(&linode.label, format!("/members/linodes/{}", linode.id))
}

pub(crate) fn at_migration(fault: Fault, id: i64) -> Fault {
    fault.at(
        format!("/members/migrations/{id}"),
        "See how the migration stands",
    )
}
