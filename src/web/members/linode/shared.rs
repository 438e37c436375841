//! How a page of a member's Linode finds it.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::{JobId, LinodeId};
use crate::store;
use crate::store::linode::Linode;
use crate::store::linode::page::LinodeDetail;
use crate::web::extract::Member;
use crate::web::fault::{Fault, Result};
use crate::web::page::{Area, Page};
use crate::web::portal::{self, Portal};

pub(in crate::web::members) async fn find(member: &Member, id: i64) -> Result<LinodeDetail> {
    let account = member.account;
    portal::find(&member.portal, move |conn| {
        store::linode::page::linode(conn, account, LinodeId(id))
    })
    .await
}

pub(in crate::web::members) fn url_of(linode: &Linode) -> String {
    format!("/members/linodes/{}", linode.id)
}

/// A page below the Linode's own.
pub(in crate::web::members) fn page_of(
    member: &Member,
    linode: &Linode,
    title: impl Into<String>,
) -> Page {
    member
        .page(Area::Linodes, title)
        .crumb("Linodes", "/members/")
        .crumb(&linode.label, url_of(linode))
}

/// A conflict leads back to the Linode, where one sees how it stands.
pub(in crate::web::members) fn at_linode(fault: Fault, id: i64) -> Fault {
    fault.at(format!("/members/linodes/{id}"), "Back to the Linode")
}

const LOOK: Duration = Duration::from_millis(100);

/// Waits for the end of a job that answers its reader's question; `false`: it took longer than this.
pub(super) async fn is_over(portal: &Portal, job: JobId, wait: Duration) -> Result<bool> {
    let deadline = Instant::now() + wait;
    loop {
        let row = portal::read(portal, move |conn| store::job::job(conn, job)).await?;
        if row.is_none_or(|row| row.finished_at.is_some()) {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}
