//! What the sample Linodes used in the two weeks before the demo: made up, as their simulated hosts would have told it, so
//! that no chart is empty. From then on their agents tell it.

use std::collections::BTreeMap;

use xenbeta::app::App;
use xenbeta::app::error::AppError;
use xenbeta::app::fairness::rollup::interval;
use xenbeta::domain::fairness::judge::{Guest, divide, judge};
use xenbeta::domain::fairness::usage::Usage;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::domain::platform::Platform;
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::store::fairness::pack::{DAY_STEP, DayPart, pack_day, pack_round};
use xenbeta::store::fairness::usage::{Metered, Packed};

use super::hosts::{CPUS_UML, CPUS_XEN, WANTS};
use crate::Failure;

const DAY: i64 = 86_400;
const DAYS: i64 = 14;
/// Days that are left to the portal to pack.
const UNPACKED: i64 = 2;

pub fn make_up(app: &App) -> Result<(), Failure> {
    let now = app.now().utc().timestamp();
    Ok(app.db.write(|conn| {
        for host in store::host::all(conn)? {
            let linodes = store::fairness::usage::metered_on(conn, host.id)?;
            if !linodes.is_empty() {
                of_host(conn, host.id, host.platform, &linodes, now)?;
            }
        }
        Ok::<_, AppError>(())
    })?)
}

fn of_host(
    conn: &mut Db,
    host: HostId,
    platform: Platform,
    linodes: &[Metered],
    now: i64,
) -> Result<(), StoreError> {
    let today = now / DAY;
    for day in today - DAYS..today - UNPACKED {
        packed_day(conn, host, platform, linodes, day)?;
    }
    let span = |from: i64, until: i64, step: i64| {
        (from..until).step_by(usize::try_from(step).unwrap_or(1))
    };
    // The last hour in samples, the last day in minutes; before it, ten minutes.
    let minutes = (now - DAY) / DAY_STEP * DAY_STEP;
    let tens = span((today - UNPACKED) * DAY, minutes, DAY_STEP);
    rounds(conn, host, platform, linodes, DAY_STEP, tens)?;
    let samples = (now - 3600) / 60 * 60;
    let last = now / 10 * 10 - 10;
    rounds(
        conn,
        host,
        platform,
        linodes,
        60,
        span(minutes, samples, 60),
    )?;
    rounds(conn, host, platform, linodes, 10, span(samples, last, 10))
}

fn rounds(
    conn: &mut Db,
    host: HostId,
    platform: Platform,
    linodes: &[Metered],
    step: i64,
    slots: impl Iterator<Item = i64>,
) -> Result<(), StoreError> {
    let (mut rows, mut intervals) = (Vec::new(), Vec::new());
    for slot in slots {
        let sums = used(platform, linodes, slot, step);
        intervals.push(interval(host, slot, &sums));
        rows.push(Packed {
            host,
            slot,
            data: pack_round(step, &sums.into_iter().collect::<Vec<_>>()),
        });
    }
    store::fairness::usage::set_rounds(conn, step, &rows)?;
    if step == 10 {
        // The portal makes minutes of them at once.
        return Ok(());
    }
    store::fairness::set(conn, step, &intervals)
}

fn packed_day(
    conn: &mut Db,
    host: HostId,
    platform: Platform,
    linodes: &[Metered],
    day: i64,
) -> Result<(), StoreError> {
    let mut parts: BTreeMap<LinodeId, Vec<DayPart>> = BTreeMap::new();
    let mut sums: BTreeMap<LinodeId, Usage> = BTreeMap::new();
    for index in 0..144_u8 {
        let slot = day * DAY + i64::from(index) * DAY_STEP;
        for (linode, usage) in used(platform, linodes, slot, DAY_STEP) {
            *sums.entry(linode).or_default() += usage;
            parts
                .entry(linode)
                .or_default()
                .push(DayPart { index, host, usage });
        }
    }
    let rows: Vec<_> = parts
        .into_iter()
        .map(|(linode, parts)| (linode, day, pack_day(&parts)))
        .collect();
    store::fairness::usage::set_days(conn, &rows)?;
    store::fairness::set(conn, DAY, &[interval(host, day * DAY, &sums)])
}

/// Dealt out as the simulated hosts do it: by weight on Xen, alike under UML.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds of an interval"
)]
fn used(
    platform: Platform,
    linodes: &[Metered],
    slot: i64,
    step: i64,
) -> BTreeMap<LinodeId, Usage> {
    let ms = step * 1000;
    let cpus = match platform {
        Platform::Uml => CPUS_UML,
        Platform::Xen => CPUS_XEN,
    };
    let wants: Vec<f64> = linodes
        .iter()
        .map(|it| WANTS * wave(it.id, slot) * ms as f64)
        .collect();
    let weights: Vec<f64> = linodes
        .iter()
        .map(|it| {
            if platform == Platform::Uml {
                1.0
            } else {
                it.plan_weight as f64
            }
        })
        .collect();
    let got = divide(cpus * ms as f64, &wants, &weights);
    let guests: Vec<Guest> = linodes
        .iter()
        .zip(got.iter().zip(&wants))
        .map(|(it, (got, want))| Guest {
            weight: it.plan_weight,
            got_ms: *got as u64,
            wait_ms: Some((want - got).max(0.0) as u64),
        })
        .collect();
    let judged = judge(&guests, ms.unsigned_abs());
    linodes
        .iter()
        .zip(guests.iter().zip(judged.due_ms))
        .map(|(it, (guest, due_ms))| {
            let contended = |value: u64| if judged.contended { value } else { 0 };
            let usage = Usage {
                covered_ms: ms.unsigned_abs(),
                judged_ms: ms.unsigned_abs(),
                contended_ms: contended(ms.unsigned_abs()),
                cpu_ms: guest.got_ms,
                wait_ms: guest.wait_ms.unwrap_or(0),
                got_ms: contended(guest.got_ms),
                due_ms: contended(due_ms),
                reads: guest.got_ms / 20,
                writes: guest.got_ms / 40,
                read_bytes: guest.got_ms * 400,
                write_bytes: guest.got_ms * 250,
                net_in_bytes: guest.got_ms * 90,
                net_out_bytes: guest.got_ms * 300,
                weight: it.plan_weight,
                io_priority: xenbeta::domain::fairness::shares::io_priority(it.ram_mb),
            };
            (it.id, usage)
        })
        .collect()
}

/// Busy by day and quiet by night, each Linode at its own time.
fn wave(linode: LinodeId, at: i64) -> f64 {
    let turn = |length: i64| {
        ((at + linode.0 * 397).rem_euclid(length) as f64 / length as f64 * std::f64::consts::TAU)
            .sin()
    };
    1.0 + 0.5 * turn(DAY) + 0.3 * turn(7200)
}
