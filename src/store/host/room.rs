//! How much room hosts have, with what is promised of it.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::all;
use crate::domain::host::HostState;
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::job::{self, JobKind, JobState};
use crate::domain::migration::{self, MigrationKind, MigrationState};
use crate::domain::placement::{self, Door, Link, Room, Shut};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::schema::hosts;

/// Whose rooms, as whom they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct RoomQuery {
    /// An agent heard of before this is silent.
    pub heard_since: Time,
    /// The Linode that a place is sought for: copies of it that a host keeps make way for it, or serve it again.
    pub of: Option<LinodeId>,
}

/// What is promised on a host.
#[derive(Debug, Clone, Copy, QueryableByName)]
struct Promised {
    #[diesel(sql_type = BigInt)]
    host: HostId,
    #[diesel(sql_type = BigInt)]
    memory_mb: i64,
    #[diesel(sql_type = BigInt)]
    disk_mb: i64,
    /// … of that, disks that are on their way.
    #[diesel(sql_type = BigInt)]
    coming_mb: i64,
}

/// Every host with what is promised on it. `asked.of` as [`RoomQuery`] says.
pub fn rooms(conn: &mut Db, asked: RoomQuery) -> Result<Vec<Room>> {
    let promised: HashMap<HostId, Promised> = promised(conn, asked.of)?
        .into_iter()
        .map(|it| (it.host, it))
        .collect();
    let doors = doors(conn, asked.heard_since, None)?;
    let room = |host: super::Host| {
        let promised = promised.get(&host.id);
        let coming_mb = promised.map_or(0, |it| it.coming_mb);
        Some(Room {
            host: host.id,
            platform: host.platform,
            role: host.role,
            plan: host.plan_id,
            door: *doors.get(&host.id)?,
            memory_mb: host.memory_mb,
            memory_promised_mb: promised.map_or(0, |it| it.memory_mb),
            disk_mb: host.disk_mb,
            disk_promised_mb: promised.map_or(0, |it| it.disk_mb),
            disk_found_mb: host.disk_free_mb.map(|free| free - coming_mb),
            name: host.name,
        })
    };
    // One that came between the statements is in the next look.
    Ok(all(conn)?.into_iter().filter_map(room).collect())
}

/// Which hosts take part in moves: of these, or of all. Only what that hangs on is read.
pub fn doors(
    conn: &mut Db,
    heard_since: Time,
    of: Option<&[HostId]>,
) -> Result<BTreeMap<HostId, Door>> {
    let is_enrolled = hosts::credential_hash
        .is_not_null()
        .and(hosts::fingerprint.is_not_null())
        .and(hosts::ledger_fault.eq(""));
    let mut query = hosts::table
        .select((
            hosts::id,
            hosts::state,
            is_enrolled,
            hosts::last_seen_at,
            hosts::slots,
        ))
        .into_boxed();
    if let Some(ids) = of {
        query = query.filter(hosts::id.eq_any(ids.to_vec()));
    }
    let rows: Vec<(HostId, HostState, bool, Option<Time>, i32)> = query.load(conn)?;
    let door = |(host, state, enrolled, seen, slots): (_, _, _, Option<Time>, _)| {
        let door = Door {
            state,
            enrolled,
            // As `silence` says: one that was never heard of has no agent, either.
            heard: seen.is_none_or(|at| at >= heard_since),
            slots,
        };
        (host, door)
    };
    Ok(rows.into_iter().map(door).collect())
}

/// Which of the two hosts of a move cannot do its part now, and why.
pub fn shut(conn: &mut Db, heard_since: Time, link: &Link) -> Result<Option<(HostId, Shut)>> {
    let doors = doors(conn, heard_since, Some(&[link.source, link.destination]))?;
    Ok(placement::shut(link, &doors))
}

/// In one statement, so that a Linode that changes hands meanwhile counts at one host or at the other. A Linode counts once
/// on a host, whatever it has there: it lives there, or a live move brings it (until the commit, after which it lives
/// there), or may come back; and its disks alone where a move that failed keeps them for another try, where a way back left
/// them, and until they are purged. Where a way back led, the disks of before stand beside those that came until it is
/// confirmed: they count once more each.
fn promised(conn: &mut Db, but_copies_of: Option<LinodeId>) -> Result<Vec<Promised>> {
    let sql = format!(
        "WITH there AS ( \
           SELECT host_id AS host, id AS linode, 1 AS whole, 0 AS coming FROM linodes \
           UNION ALL SELECT destination_host_id, linode_id, 1, 1 FROM migrations WHERE state IN ({live}) \
           UNION ALL SELECT source_host_id, linode_id, CASE WHEN kind = {back} THEN 0 ELSE 1 END, 0 FROM migrations WHERE state = {finished} \
           UNION ALL SELECT destination_host_id, linode_id, 0, 0 FROM migrations WHERE state = {failed} AND started_at IS NOT NULL \
           UNION ALL SELECT host_id, linode_id, 0, 0 FROM jobs WHERE state IN ({open}) AND kind IN ({going}) \
         ), once AS ( \
           SELECT host, linode, MAX(whole) AS whole, MAX(CASE WHEN host = host_id THEN 0 ELSE coming END) AS coming \
           FROM there JOIN linodes ON linodes.id = linode GROUP BY host, linode \
           UNION ALL SELECT destination_host_id, linode_id, 0, 0 FROM migrations WHERE state = {finished} AND kind = {back} \
         ), sized AS (SELECT linode_id, SUM(size_mb) AS size_mb FROM disks GROUP BY linode_id) \
         SELECT host, CAST(SUM(whole * plans.ram_mb) AS BIGINT) AS memory_mb, \
                CAST(SUM(COALESCE(size_mb, 0)) AS BIGINT) AS disk_mb, \
                CAST(SUM(coming * COALESCE(size_mb, 0)) AS BIGINT) AS coming_mb \
         FROM once JOIN linodes ON linodes.id = linode JOIN plans ON plans.id = linodes.plan_id \
              LEFT JOIN sized ON sized.linode_id = linode \
         WHERE whole = 1 OR linode <> {but} GROUP BY host",
        live = words(&MigrationState::those(migration::is_live)),
        back = words(&[MigrationKind::Return]),
        finished = words(&[MigrationState::Finished]),
        failed = words(&[MigrationState::Failed]),
        open = words(&JobState::those(job::is_open)),
        going = words(&[JobKind::Release, JobKind::Purge]),
        but = but_copies_of.map_or(0, |it| it.0),
    );
    let query = diesel::sql_query(sql);
    Ok(match conn {
        Db::Pg(conn) => query.load(conn)?,
        Db::Sqlite(conn) => query.load(conn)?,
    })
}

/// Words of our own, never input, as a list of SQL.
fn words<W: StringEnum>(of: &[W]) -> String {
    let quoted: Vec<String> = of.iter().map(|it| format!("'{}'", it.as_str())).collect();
    quoted.join(", ")
}
