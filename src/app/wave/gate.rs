//! Looks at the gates of waves: before the next one is given out, and before the next move begins, in the same transaction and
//! under the scheduler's lock.

use std::collections::{BTreeMap, BTreeSet};

use super::advance;
use crate::app::App;
use crate::app::context::{Actor, PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::domain::account::Right;
use crate::domain::fairness::judge::{Verdict, verdict};
use crate::domain::ids::{HostId, WaveId};
use crate::domain::placement::{WaveLimit, Waves};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::domain::time::zone::Tz;
use crate::domain::wave::gate::{self as rules, Gate, Move, Seen};
use crate::domain::wave::{Far, WaveEvent, WaveState, holds_moves};
use crate::store;
use crate::store::db::Db;
use crate::store::fairness::pack::DAY_STEP;
use crate::store::wave::Wave;
use crate::store::wave::moves::{MoveRow, OfWave};

/// How far back a host's fairness is looked at, and with which time before the wave it is compared.
const LATELY_S: i64 = 86_400;
const BEFORE_S: i64 = 7 * 86_400;

/// How a wave stands before its gates.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub far: Far,
    pub seen: Seen,
    pub gate: Gate,
}

impl App {
    pub fn wave_gates(&self, actor: &Actor, id: WaveId) -> Result<Look> {
        actor.require(Right::Read)?;
        let now = self.now();
        self.db.read(|conn| {
            let wave = store::wave::wave(conn, id)?.ok_or(AppError::NotFound)?;
            look(conn, &wave, now)
        })
    }
}

pub(super) fn look(conn: &mut Db, wave: &Wave, now: Time) -> Result<Look> {
    let rows = store::wave::moves::all(conn, wave.id)?;
    let moves: Vec<Move> = rows.iter().map(MoveRow::as_move).collect();
    let far = rules::far(&moves, now, i64::from(wave.watch_s));
    let mut seen = rules::seen(&moves, wave.gate_from);
    seen.is_canary = wave.pace().is_canary(far);
    if let Some(from) = wave.gate_from
        && !rows.is_empty()
    {
        seen.bugs = store::wave::moves::bugs_naming(conn, &rows, from)?;
        seen.unfair = unfair(conn, (wave, &rows), (from, now))?;
    }
    let gate = rules::judge(&wave.rules(), &seen);
    Ok(Look { far, seen, gate })
}

/// Hosts that it moves to and that divide their CPU unfairly since, and did not in the week before it.
fn unfair(
    conn: &mut Db,
    (wave, rows): (&Wave, &[MoveRow]),
    (from, now): (Time, Time),
) -> Result<i64> {
    let hosts: BTreeSet<HostId> = rows.iter().map(|it| it.destination).collect();
    let second = |at: Time| at.utc().timestamp();
    let lately = (second(from.max(now.plus_s(-LATELY_S))), second(now));
    let mut worse = unfair_of(conn, &hosts, lately)?;
    if worse.is_empty() {
        return Ok(0);
    }
    let begun = wave.started_at.unwrap_or(from);
    let before = (second(begun.plus_s(-BEFORE_S)), second(begun));
    let were = unfair_of(conn, &worse, before)?;
    worse.retain(|host| !were.contains(host));
    Ok(i64::try_from(worse.len()).unwrap_or(i64::MAX))
}

fn unfair_of(
    conn: &mut Db,
    hosts: &BTreeSet<HostId>,
    times: (i64, i64),
) -> Result<BTreeSet<HostId>> {
    let all = store::wave::moves::fairness(conn, hosts, DAY_STEP, times)?;
    let is_unfair = |it: &&store::fairness::Summary| verdict(&it.figures()) == Verdict::Unfair;
    Ok(all.iter().filter(is_unfair).map(|it| it.host_id).collect())
}

/// Pauses a wave whose gate has closed, in the portal's name. Under the scheduler's lock.
pub(super) fn close(tx: &mut Tx<'_>, wave: &Wave) -> Result<Look> {
    let look = look(tx.conn, wave, tx.now)?;
    if let Gate::Closed(why) = look.gate {
        shut(tx, wave, &why.to_string())?;
    }
    Ok(look)
}

pub(super) fn shut(tx: &mut Tx<'_>, wave: &Wave, why: &str) -> Result<()> {
    tracing::warn!(wave = %wave.id, name = wave.name, why, "a wave is paused by itself");
    let why = format!("{}{why}", store::wave::BY_ITSELF);
    advance(&mut tx.by(PORTAL), wave, WaveEvent::Pause, &why)?;
    Ok(())
}

/// Pauses all waves whose gates have closed: before moves are let begin. Under the scheduler's lock.
pub(in crate::app) fn close_all(tx: &mut Tx<'_>) -> Result<()> {
    for wave in store::wave::in_states(tx.conn, &[WaveState::Running])? {
        close(tx, &wave)?;
    }
    Ok(())
}

/// Is it a time of day at which this wave gives something out?
pub(super) fn is_window_open(conn: &mut Db, wave: &Wave, now: Time) -> Result<bool> {
    let Some(window) = wave.window() else {
        return Ok(true);
    };
    let zone: Tz = store::programme::move_times::limits(conn)?.0.zone;
    Ok(window.is_open(now, &zone))
}

/// What waves allow of their moves now.
pub(in crate::app) fn limits(conn: &mut Db, now: Time) -> Result<Waves> {
    let open = store::wave::in_states(conn, &WaveState::those(holds_moves))?;
    if open.is_empty() {
        return Ok(Waves::default());
    }
    let mut limits = BTreeMap::new();
    for wave in &open {
        // What members take up begins when they like; what staff begin keeps to its window.
        let is_time = wave.kind.is_offered() || is_window_open(conn, wave, now)?;
        let at_once = match wave.state {
            WaveState::Running if is_time => wave.at_once,
            _ => 0,
        };
        let limit = WaveLimit {
            at_once,
            per_host: wave.per_host,
        };
        limits.insert(wave.id, limit);
    }
    let moves = store::wave::moves::at_work(conn)?;
    Ok(Waves {
        of: moves.iter().map(|it| (it.migration, it.wave)).collect(),
        limits,
        holding: moves.iter().filter_map(OfWave::holding).collect(),
    })
}
