//! What a member names on a Linode besides its config profiles: itself, its disk images, and its addresses' reverse names.
//! Hosts know Linodes and disks by their numbers, so they do not have to be told; the next order has the new label.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::app::linode::shared::own_linode;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{DiskId, IpId, LinodeId};
use crate::domain::linode::IpKind;
use crate::domain::values::{GroupName, Label, ReverseName};
use crate::store;
use crate::store::db::{lock_scheduler, wake_on_commit};
use crate::store::wake::Wake;

impl App {
    /// Gives a Linode another label, by which its account knows it. Anything may be going on with it meanwhile.
    pub fn rename_linode(&self, actor: &Actor, id: LinodeId, label: &Label) -> Result<()> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            // One at a time of an account, so that the label which the trail says it had is the one it had.
            store::account::lock_writer(tx.conn, actor.user, Some(account))?;
            let linode = own_linode(tx.conn, account, id)?;
            if linode.label == label.as_str() {
                return Ok(());
            }
            let taken =
                || AppError::invalid("label", "Another Linode of your account has this label");
            store::linode::rename_linode(tx.conn, id, label.as_str())
                .map_err(AppError::if_taken(taken))?;
            let names = (linode.label.as_str(), label.as_str());
            tx.audit(Action::LinodeRename, Object::Linode(id), names)
        })
    }

    /// Linodes of an account with the same name are never both down for a move. Empty: it stands alone.
    pub fn set_never_both(&self, actor: &Actor, id: LinodeId, name: &GroupName) -> Result<()> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            // Of a stop and this one is first.
            lock_scheduler(tx.conn)?;
            let linode = own_linode(tx.conn, account, id)?;
            if linode.never_both == name.as_str() {
                return Ok(());
            }
            store::linode::never_both::set(tx.conn, id, name.as_str())?;
            wake_on_commit(tx.conn, Wake::Reconcile)?;
            let names = (linode.never_both.as_str(), name.as_str());
            tx.audit(Action::NeverBoth, Object::Linode(id), names)
        })
    }

    pub fn rename_disk(
        &self,
        actor: &Actor,
        linode: LinodeId,
        id: DiskId,
        label: &Label,
    ) -> Result<()> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            let linode = own_linode(tx.conn, account, linode)?;
            let disks = store::linode::disk::disks_of(tx.conn, linode.id)?;
            let disk = disks
                .iter()
                .find(|it| it.id == id)
                .ok_or(AppError::NotFound)?;
            if disk.label == label.as_str() {
                return Ok(());
            }
            let taken =
                || AppError::invalid("label", "Another disk image of this Linode has this name");
            if disks.iter().any(|it| it.label == label.as_str()) {
                return Err(taken());
            }
            store::linode::disk::rename_disk(tx.conn, id, label.as_str())
                .map_err(AppError::if_taken(taken))?;
            let names = (disk.label.as_str(), label.as_str());
            tx.audit(Action::DiskRename, Object::Disk(linode.id, id), names)
        })
    }

    /// Sets or (with an empty name) takes away the reverse name of a public address.
    pub fn set_reverse_name(
        &self,
        actor: &Actor,
        linode: LinodeId,
        id: IpId,
        name: &ReverseName,
    ) -> Result<()> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            let linode = own_linode(tx.conn, account, linode)?;
            let ip = store::linode::address::ips_of(tx.conn, linode.id)?
                .into_iter()
                .find(|it| it.id == id)
                .ok_or(AppError::NotFound)?;
            if ip.kind == IpKind::Private {
                return Err(AppError::conflict("A private address has no reverse name."));
            }
            if ip.rdns == name.as_str() {
                return Ok(());
            }
            store::linode::address::set_rdns(tx.conn, id, name.as_str())?;
            let names = (ip.rdns.as_str(), name.as_str());
            tx.audit(Action::Rdns, Object::Address(linode.id, &ip.address), names)
        })
    }
}
