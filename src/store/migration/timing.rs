//! What stops, starts and last copies took: what forecasts stand on.

use diesel::prelude::*;

use super::Migration;
use crate::domain::ids::{HostId, LinodeId, PlanId};
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::Step;
use crate::domain::migration::forecast::{
    self, Basis, Forecast, LastCopy, Measured, Part, Samples, Work,
};
use crate::domain::platform::Platform;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::host::{self, Host};
use crate::store::limit::Limit;
use crate::store::linode;
use crate::store::schema::{hosts, timings};

/// The last of each kind that a forecast looks at.
const LAST: i64 = 20;

#[derive(Debug, Clone, Copy, Insertable)]
#[diesel(table_name = timings)]
pub struct NewTiming {
    pub linode_id: LinodeId,
    pub plan_id: PlanId,
    pub part: Part,
    pub host_id: HostId,
    pub peer_id: Option<HostId>,
    pub ms: i64,
    pub disk_bytes: i64,
    pub sent_bytes: i64,
    pub at: Time,
}

pub fn put(conn: &mut Db, new: &NewTiming) -> Result<()> {
    diesel::insert_into(timings::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// How long the Linode will be off if it is stopped now; `None`: it is off.
pub fn forecast(conn: &mut Db, of: &Migration, now: Time) -> Result<Option<Forecast>> {
    let Some(linode) = linode::linode(conn, of.linode_id)? else {
        return Ok(None);
    };
    if linode.status == LinodeStatus::Offline {
        return Ok(None);
    }
    let source = host::host(conn, of.source_host_id)?;
    let destination = host::host(conn, of.destination_host_id)?;
    let Some((source, destination)) = source.zip(destination) else {
        return Ok(None);
    };
    let disk_bytes = read_bytes(conn, of, &source)?;
    let since_pass = |at| now.seconds_since(at).saturating_add(i64::from(of.pass_s));
    let work = Work {
        disk_bytes,
        changed_bytes: forecast::changed(of.changed_b_s, of.in_step_at.map_or(0, since_pass)),
        stop_limit_s: of.stop_limit_s,
        in_pass: of.step == Some(Step::TopUp),
    };
    let measured = measured(conn, (linode.id, linode.plan_id), [&source, &destination])?;
    Ok(Some(forecast::forecast(work, &measured)))
}

/// What a last copy of this move reads besides what changed: the whole disks, unless their host can tell what that is.
pub fn read_bytes(conn: &mut Db, of: &Migration, source: &Host) -> Result<i64> {
    if source.tells_changes {
        return Ok(0);
    }
    if of.total_bytes > 0 {
        return Ok(of.total_bytes);
    }
    let disks = linode::disk::disks_of(conn, of.linode_id)?;
    Ok(disks.iter().map(|disk| disk.size_mb << 20).sum())
}

/// All that is of use for a move of this Linode between these hosts.
fn measured(
    conn: &mut Db,
    of: (LinodeId, PlanId),
    [source, destination]: [&Host; 2],
) -> Result<Measured> {
    let copies = timings::table
        .filter(timings::part.eq(Part::LastCopy))
        .order(timings::id.desc())
        .select((timings::ms, timings::disk_bytes, timings::sent_bytes));
    let mut last: Vec<(i64, i64, i64)> = copies
        .filter(timings::host_id.eq(source.id))
        .filter(timings::peer_id.eq(destination.id))
        .at_most::<LAST>()
        .load(conn)?;
    if last.is_empty() {
        last = copies.at_most::<LAST>().load(conn)?;
    }
    let copy = |(ms, disk_bytes, sent_bytes)| LastCopy {
        ms,
        disk_bytes,
        sent_bytes,
    };
    Ok(Measured {
        stops: samples(conn, of, (Part::Stop, source.platform))?,
        starts: samples(conn, of, (Part::Start, destination.platform))?,
        last_copies: last.into_iter().map(copy).collect(),
    })
}

/// The Linode's own on hosts of this platform, as another takes other times for it; before it has any, those of others of its
/// plan.
fn samples(
    conn: &mut Db,
    (linode, plan): (LinodeId, PlanId),
    (part, platform): (Part, Platform),
) -> Result<Samples> {
    let alike = hosts::table
        .filter(hosts::platform.eq(platform))
        .select(hosts::id);
    let of_part = timings::table
        .filter(timings::part.eq(part))
        .filter(timings::host_id.eq_any(alike))
        .order(timings::id.desc())
        .select(timings::ms);
    let ms = of_part
        .filter(timings::linode_id.eq(linode))
        .at_most::<LAST>()
        .load(conn)?;
    if !ms.is_empty() {
        return Ok(Samples { of: Basis::Own, ms });
    }
    let ms = of_part
        .filter(timings::plan_id.eq(plan))
        .at_most::<LAST>()
        .load(conn)?;
    Ok(Samples {
        of: Basis::Plan,
        ms,
    })
}
