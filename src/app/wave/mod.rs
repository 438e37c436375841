//! Waves: staff make one, look at it, let it go, pause it, let it go on, skip one of it, stop it. What it gives out meanwhile is
//! in [`work`], what keeps it from that in [`gate`].

pub mod gate;
pub mod pause;
pub mod whom;
mod work;

use super::App;
use super::context::{Actor, Tx};
use super::error::{AppError, Result};
use super::{evacuation, idempotency};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{LinodeId, WaveId};
use crate::domain::string_enum::StringEnum;
use crate::domain::text::unreadable;
use crate::domain::wave::numbers::Numbers;
use crate::domain::wave::{
    self as rules, NotNow, Sequence, WaveEvent, WaveKind, WaveState, Window, in_sequence,
};
use crate::store;
use crate::store::db::{lock_scheduler, wake_on_commit};
use crate::store::wake::Wake;
use crate::store::wave::{Change, NewWave, Settled, Wave};
use crate::string_enum;
use whom::Whom;

/// Linodes that one wave may have.
pub const MOST: usize = 5000;
const MOST_NAME: usize = 80;

string_enum! {
    /// What staff do with a wave by a named button.
    pub enum Deed { Start = "start", Pause = "pause", Resume = "resume", Stop = "stop" }
}

/// What staff ask for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    pub kind: WaveKind,
    pub whom: Whom,
    /// Of an evacuation, for its members.
    pub reason: String,
    pub sequence: Sequence,
    pub numbers: Numbers,
    pub window: Option<Window>,
    /// The form's own mark.
    pub once: String,
}

impl App {
    /// Makes one, for staff to look at; nothing is given out yet. A form that was sent before gives what it made then.
    pub fn make_wave(&self, actor: &Actor, wanted: &Wanted) -> Result<WaveId> {
        actor.require(Right::Moves)?;
        actor.require(wanted.kind.right())?;
        idempotency::check_once(&wanted.once)?;
        let (name, reason) = checked(wanted)?;
        self.transact(actor.who(), |tx| {
            if let Some(made) = store::wave::made(tx.conn, actor.user, &wanted.once)? {
                return Ok(made);
            }
            let found = whom::candidates(tx.conn, wanted.kind, &wanted.whom)?;
            let all = in_sequence(found, wanted.sequence);
            let new = row(wanted, (&name, &reason), (actor, tx.now));
            let id = store::wave::insert(tx.conn, &new, &all)?;
            let words = format!(
                "{}: {name}, {} Linodes, {:?}",
                wanted.kind,
                all.len(),
                wanted.numbers
            );
            tx.audit(Action::Wave, Object::Wave(id), ("", words))?;
            Ok(id)
        })
    }

    /// Does it; twice is once.
    pub fn do_with_wave(&self, actor: &Actor, id: WaveId, deed: Deed) -> Result<()> {
        actor.require(Right::Moves)?;
        self.transact(actor.who(), |tx| {
            lock_scheduler(tx.conn)?;
            let wave = store::wave::wave(tx.conn, id)?.ok_or(AppError::NotFound)?;
            let event = match deed {
                Deed::Start => WaveEvent::Start,
                Deed::Pause => WaveEvent::Pause,
                Deed::Resume => WaveEvent::Resume,
                Deed::Stop => WaveEvent::Stop,
            };
            if matches!(deed, Deed::Start | Deed::Resume) {
                actor.require(wave.kind.right())?;
            }
            if !advance(tx, &wave, event, &format!("{} paused it", actor.name))? {
                return Ok(());
            }
            if deed == Deed::Start
                && let Some(host) = wave.source_host_id
            {
                evacuation::begin(tx, host, &wave.reason)?;
            }
            if matches!(deed, Deed::Start | Deed::Resume) {
                let change = Change {
                    run_by: Some(actor.user),
                    address: Some(&actor.address),
                    ..Change::default()
                };
                let same = (WaveState::Running, WaveState::Running);
                store::wave::advance(tx.conn, id, same, &change)?;
                store::wave::bring_forward(tx.conn, id)?;
            }
            // Moves of it that wait may begin now, or go by other limits.
            Ok(wake_on_commit(tx.conn, Wake::Reconcile)?)
        })
    }

    /// One that waits does not go in this wave.
    pub fn skip_in_wave(&self, actor: &Actor, id: WaveId, linode: LinodeId) -> Result<()> {
        actor.require(Right::Moves)?;
        self.transact(actor.who(), |tx| {
            let wave = store::wave::wave(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if !rules::is_open(wave.state) {
                return Err(AppError::conflict(format!(
                    "{} is over: nothing of it is to come.",
                    wave.name
                )));
            }
            let item = store::wave::item(tx.conn, id, linode)?.ok_or(AppError::NotFound)?;
            if !store::wave::settle(tx.conn, (id, linode), &Settled::Skipped, tx.now)? {
                return match item.state {
                    // The second press of two.
                    rules::ItemState::Skipped => Ok(()),
                    _ => Err(AppError::conflict(
                        "It does not wait any more: what was given to it is on its migration's page.",
                    )),
                };
            }
            let after = format!("Linode {linode} skipped");
            tx.audit(Action::Wave, Object::Wave(id), (wave.state, after))
        })
    }
}

/// A wave's next state, written with its line in the trail. `false`: it was so already.
pub(super) fn advance(tx: &mut Tx<'_>, wave: &Wave, event: WaveEvent, why: &str) -> Result<bool> {
    let to = match rules::next(wave.state, event) {
        Ok(to) => to,
        Err(NotNow::Already) => return Ok(false),
        Err(NotNow::Otherwise) => {
            return Err(AppError::conflict(format!(
                "{} is {}: this is not possible now.",
                wave.name, wave.state
            )));
        }
    };
    let now = tx.now;
    let change = match event {
        WaveEvent::Start => Change {
            started_at: Some(now),
            gate_from: Some(now),
            ..Change::default()
        },
        WaveEvent::Pause => Change {
            why: Some(why),
            paused_at: Some(Some(now)),
            ..Change::default()
        },
        // What was seen before is known to who lets it go on: the gates count anew.
        WaveEvent::Resume => Change {
            why: Some(""),
            paused_at: Some(None),
            gate_from: Some(now),
            ..Change::default()
        },
        WaveEvent::Stop | WaveEvent::RunOut => Change {
            ended_at: Some(now),
            ..Change::default()
        },
    };
    if !store::wave::advance(tx.conn, wave.id, (wave.state, to), &change)? {
        return Err(AppError::conflict(
            "The wave changed at the same moment. Load the page anew.",
        ));
    }
    let after = match event {
        WaveEvent::Pause => format!("{to}: {why}"),
        _ => to.as_str().to_owned(),
    };
    tx.audit(Action::Wave, Object::Wave(wave.id), (wave.state, after))?;
    Ok(true)
}

/// Its name and its reason, if it can be as it is asked for.
fn checked(wanted: &Wanted) -> Result<(String, String)> {
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > MOST_NAME {
        let message = format!("Give it a name of {MOST_NAME} characters or fewer");
        return Err(AppError::invalid("name", message));
    }
    if name.chars().any(unreadable) {
        return Err(AppError::invalid("name", "Use letters, digits and signs"));
    }
    if let Some(number) = wanted.numbers.out_of_bounds() {
        let message = format!("Enter a number from {} to {}", number.least, number.most);
        return Err(AppError::invalid(number.name, message));
    }
    let reason = match wanted.kind {
        WaveKind::Beta | WaveKind::Graduation => String::new(),
        WaveKind::Evacuation => {
            if wanted.whom.host.is_none() {
                return Err(AppError::invalid("host", "Choose the host to empty"));
            }
            evacuation::checked_why(&wanted.reason)?
        }
    };
    Ok((name.to_owned(), reason))
}

fn row<'a>(
    wanted: &'a Wanted,
    (name, reason): (&'a str, &'a str),
    (actor, now): (&'a Actor, crate::domain::time::Time),
) -> NewWave<'a> {
    let numbers = wanted.numbers;
    NewWave {
        name,
        kind: wanted.kind,
        state: WaveState::Draft,
        made_by: actor.user,
        made_at: now,
        once: &wanted.once,
        address: &actor.address,
        source_host_id: wanted.whom.host.filter(|_| !wanted.kind.is_offered()),
        reason,
        sequence: wanted.sequence,
        canary: numbers.canary,
        watch_s: numbers.watch_min * 60,
        at_once: numbers.at_once,
        per_host: numbers.per_host,
        out_most: numbers.out_most,
        window_begins: wanted.window.map(|it| i32::from(it.begins)),
        window_ends: wanted.window.map(|it| i32::from(it.ends)),
        least: numbers.least,
        failed_percent: numbers.failed_percent,
        slow_percent: numbers.slow_percent,
        bugs_most: numbers.bugs_most,
        unfair_most: numbers.unfair_most,
    }
}
