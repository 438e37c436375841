//! A receipt is made in the transaction in which its move finishes, and never again: what is renamed, moved on or dropped
//! later changes nothing of it. Of moves that finished before there were receipts it is made when it is first asked for.

use super::keys::signing_key;
use crate::app::App;
use crate::app::context::{PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::linode::profile::translation::stored;
use crate::domain::ids::{AccountId, HostId, MigrationId};
use crate::domain::migration::Side;
use crate::domain::migration::forecast::whole_s;
use crate::domain::receipt::{
    Account, Address, Digests, Disk, Downtime, FORMAT, Linode, Numbered, Place, Profiles, Receipt,
    Times, VERSION, Versions, image, sealed,
};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::host::Host;
use crate::store::migration::Migration;
use crate::wire;

impl App {
    /// The file of a receipt, as it was signed. `account`: whose the move must be; `None` for staff.
    pub fn receipt(&self, account: Option<AccountId>, id: MigrationId) -> Result<String> {
        let (row, body) = self.db.read(|conn| {
            let row = store::migration::migration(conn, id)?
                .filter(|row| account.is_none_or(|account| account == row.account_id))
                .ok_or(AppError::NotFound)?;
            Ok::<_, AppError>((row, store::receipt::body(conn, id)?))
        })?;
        if let Some(body) = body {
            return Ok(body);
        }
        if row.finished_at.is_none() {
            return Err(AppError::NotFound);
        }
        self.transact(PORTAL, |tx| {
            tx.issue_receipt(&row)?;
            store::receipt::body(tx.conn, id)?.ok_or(AppError::NotFound)
        })
    }
}

impl Tx<'_> {
    /// Of a move that finishes in this transaction. It finishes also where its receipt cannot be signed: that is made when it
    /// is asked for.
    pub(in crate::app) fn receipt_at_its_end(&mut self, id: MigrationId) -> Result<()> {
        let row = store::migration::migration(self.conn, id)?.ok_or(AppError::NotFound)?;
        match self.issue_receipt(&row) {
            Err(AppError::Fault(why)) => {
                tracing::error!(migration = %id, %why, "no receipt yet");
                Ok(())
            }
            done => done,
        }
    }

    /// Signs and keeps the receipt of a move that is finished, unless there is one. Of one whose digests are gone there is
    /// none.
    fn issue_receipt(&mut self, row: &Migration) -> Result<()> {
        let Some(receipt) = told(self.conn, row, self.now)? else {
            return Ok(());
        };
        let key = signing_key(self)?;
        let body = sealed::seal(&receipt, &key).map_err(|error| {
            AppError::Fault(format!("receipt of migration {}: {error}", row.id))
        })?;
        Ok(store::receipt::insert(self.conn, row.id, &body, self.now)?)
    }
}

/// What the rows say of a move.
fn told(conn: &mut Db, row: &Migration, now: Time) -> Result<Option<Receipt>> {
    let disks = disks(conn, row)?;
    let Some(times) = times(row).filter(|_| !disks.is_empty()) else {
        return Ok(None);
    };
    let linode = store::linode::linode(conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    let account = store::account::account(conn, row.account_id)?.ok_or(AppError::NotFound)?;
    let (source, destination) = (
        host(conn, row.source_host_id)?,
        host(conn, row.destination_host_id)?,
    );
    let addresses = store::linode::address::ips_of(conn, linode.id)?;
    Ok(Some(Receipt {
        format: FORMAT.to_owned(),
        version: VERSION,
        issued: now,
        migration: row.id,
        kind: row.kind,
        linode: Linode {
            id: linode.id,
            label: linode.label,
        },
        account: Account {
            id: row.account_id,
            name: account.name,
        },
        from: place(&source),
        to: place(&destination),
        downtime: Downtime {
            was_running: row.was_running,
            measured_s: row.down_s(),
            foretold_s: row.foretold_ms.map(whole_s),
            foretold_most_s: row.foretold_most_ms.map(whole_s),
        },
        times,
        digests: Digests {
            algorithm: image::ALGORITHM.to_owned(),
            chunk_bytes: wire::CHUNK as u64,
        },
        disks,
        addresses: (addresses.into_iter())
            .map(|ip| Address {
                address: ip.address,
                prefix: ip.prefix,
                kind: ip.kind,
            })
            .collect(),
        profiles: Profiles {
            before: profiles(row.profiles_before.as_deref())?,
            after: profiles(row.profiles_after.as_deref())?,
        },
        versions: Versions {
            portal: env!("CARGO_PKG_VERSION").to_owned(),
            source_agent: source.agent_version,
            destination_agent: destination.agent_version,
        },
    }))
}

/// `None`: it is not finished.
fn times(row: &Migration) -> Option<Times> {
    // What an earlier try left does not count.
    let started = (row.running_at)
        .filter(|at| row.was_running && row.stopped_at.is_some_and(|stopped| *at >= stopped));
    Some(Times {
        asked: row.queued_at,
        begun: row.started_at,
        stopped: row.stopped_at,
        started,
        finished: row.finished_at?,
    })
}

fn host(conn: &mut Db, id: HostId) -> Result<Host> {
    store::host::host(conn, id)?.ok_or(AppError::NotFound)
}

fn place(of: &Host) -> Place {
    Place {
        host: of.name.clone(),
        platform: of.platform,
    }
}

fn profiles(text: Option<&str>) -> Result<Vec<Numbered>> {
    let all = stored(text)?.into_iter();
    Ok(all.map(|(id, profile)| Numbered { id, profile }).collect())
}

/// Those that both hosts reported in the round that moved it.
fn disks(conn: &mut Db, row: &Migration) -> Result<Vec<Disk>> {
    let digests = store::migration::digests(conn, row.id)?;
    let disks = store::linode::disk::disks_of(conn, row.linode_id)?;
    let of = |disk, side| {
        digests
            .iter()
            .find(|digest| digest.is_of(disk, side, row.epoch))
    };
    Ok(disks
        .into_iter()
        .filter_map(|disk| {
            let source = of(disk.id, Side::Source)?;
            let destination = of(disk.id, Side::Destination)?;
            Some(Disk {
                id: disk.id,
                label: disk.label,
                size_bytes: u64::try_from(destination.size_bytes).ok()?,
                source_root: source.root.clone(),
                destination_root: destination.root.clone(),
            })
        })
        .collect())
}
