//! What a host is known by, and what it last said of ownership; columns of the hosts' table.

use diesel::prelude::*;

use crate::domain::ids::HostId;
use crate::domain::migration::MigrationState;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::schema::{hosts, linodes, migrations};
use crate::wire::LedgerMark;

/// What changed of what a host last said of ownership.
pub struct Memory<'a> {
    pub reported_in: Option<&'a str>,
    pub contrary: Option<&'a str>,
    pub sealed_here: Option<&'a str>,
    /// Of the host.
    pub boot: Option<&'a str>,
    pub unseen: Option<&'a str>,
}

pub fn set_memory(conn: &mut Db, id: HostId, memory: &Memory<'_>) -> Result<()> {
    let host = || hosts::table.find(id);
    if let Some(incarnation) = memory.reported_in {
        diesel::update(host())
            .set(hosts::reported_in.eq(incarnation))
            .execute(conn)?;
    }
    if let Some(contrary) = memory.contrary {
        diesel::update(host())
            .set(hosts::contrary.eq(contrary))
            .execute(conn)?;
    }
    if let Some(sealed_here) = memory.sealed_here {
        diesel::update(host())
            .set(hosts::sealed_here.eq(sealed_here))
            .execute(conn)?;
    }
    if let Some(boot) = memory.boot {
        diesel::update(host())
            .set(hosts::boot_id.eq(boot))
            .execute(conn)?;
    }
    if let Some(unseen) = memory.unseen {
        diesel::update(host())
            .set(hosts::unseen.eq(unseen))
            .execute(conn)?;
    }
    Ok(())
}

/// How many Linodes it owns, and how many moves it takes part in that are not over.
pub fn depends_on(conn: &mut Db, id: HostId) -> Result<(i64, i64)> {
    let owned = linodes::table
        .filter(linodes::host_id.eq(id))
        .count()
        .get_result(conn)?;
    let open = [
        MigrationState::Preparing,
        MigrationState::Copying,
        MigrationState::Holding,
        MigrationState::Switching,
        MigrationState::Finished,
        MigrationState::Returning,
    ];
    let moves = migrations::table
        .filter(
            migrations::source_host_id
                .eq(id)
                .or(migrations::destination_host_id.eq(id)),
        )
        .filter(migrations::state.eq_any(open))
        .count()
        .get_result(conn)?;
    Ok((owned, moves))
}

/// The ledger that a host is known by from now on. `moved_at`: it was found at another place then.
pub fn pin_ledger(
    conn: &mut Db,
    id: HostId,
    ledger: &LedgerMark,
    moved_at: Option<Time>,
) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set((
            hosts::ledger_id.eq(&ledger.id),
            hosts::ledger_serial.eq(ledger.serial),
            hosts::ledger_machine.eq(&ledger.machine),
            hosts::ledger_place.eq(&ledger.place),
        ))
        .execute(conn)?;
    if moved_at.is_some() {
        diesel::update(hosts::table.find(id))
            .set(hosts::ledger_moved_at.eq(moved_at))
            .execute(conn)?;
    }
    Ok(())
}

/// Its next poll's ledger is pinned, whichever it is.
pub fn unpin_ledger(conn: &mut Db, id: HostId) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set((
            hosts::ledger_id.eq(None::<String>),
            hosts::ledger_serial.eq(None::<i64>),
            hosts::ledger_machine.eq(None::<String>),
            hosts::ledger_place.eq(None::<String>),
            hosts::ledger_moved_at.eq(None::<Time>),
            hosts::ledger_fault.eq(""),
            hosts::ledger_fault_at.eq(None::<Time>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Why its ledger is not trusted any more; `false` if it was not before.
pub fn set_ledger_fault(conn: &mut Db, id: HostId, fault: &str, now: Time) -> Result<bool> {
    Ok(
        diesel::update(hosts::table.find(id).filter(hosts::ledger_fault.eq("")))
            .set((
                hosts::ledger_fault.eq(fault),
                hosts::ledger_fault_at.eq(now),
            ))
            .execute(conn)?
            == 1,
    )
}

pub fn set_protocol(conn: &mut Db, id: HostId, protocol: i32) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set(hosts::protocol.eq(protocol))
        .execute(conn)?;
    Ok(())
}

/// The recovery of this incarnation does not wait for it.
pub fn set_waived(conn: &mut Db, id: HostId, incarnation: &str) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set(hosts::waived_in.eq(incarnation))
        .execute(conn)?;
    Ok(())
}
