//! A host's ledger is known by its identity (rule 17): another one, one that went back, or a copy gets no work.

use crate::app::context::{Agent, PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::host::liveness::SILENT_S;
use crate::domain::audit::{Action, Object};
use crate::domain::ownership::{LedgerId, LedgerVerdict, judge_ledger};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::host::Host;
use crate::wire::{LedgerMark, POLL_WAIT_S, Poll};

/// How long a ledger that turns up at another place waits for work, in seconds: if it is a copy, the agent at the former
/// place polls within this, and both are found out.
pub(in crate::app) const SETTLE_S: i64 = POLL_WAIT_S as i64 + 10;

/// A ledger that is at its place since then gets work.
pub(in crate::app) fn settled(now: Time) -> Time {
    now.plus_s(-SETTLE_S)
}

/// What a poll says of the host's ledger and agent.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::app) enum Finding {
    AsKnown,
    /// To be written down: it is further on, seen for the first time, or (`moved`) at another place.
    News {
        ledger: Option<LedgerMark>,
        moved: bool,
        protocol: i32,
    },
    /// A poll of the same agent from before the one heard last, that was late on its way: nothing in it counts.
    Overtaken,
    Fault(&'static str),
}

fn pinned(host: &Host) -> Option<LedgerId> {
    Some(LedgerId {
        id: host.ledger_id.clone()?,
        serial: host.ledger_serial?,
        machine: host.ledger_machine.clone()?,
        place: host.ledger_place.clone()?,
    })
}

fn id_of(mark: &LedgerMark) -> LedgerId {
    LedgerId {
        id: mark.id.clone(),
        serial: mark.serial,
        machine: mark.machine.clone(),
        place: mark.place.clone(),
    }
}

/// Does a lower counter come from a message that was overtaken? So it does while the agent at the same place goes on being
/// heard; if nothing else comes any more, its ledger went back.
fn is_overtaken(host: &Host, shown: Option<&LedgerMark>, now: Time) -> bool {
    let at_its_place = shown.is_some_and(|shown| {
        host.ledger_machine.as_ref() == Some(&shown.machine)
            && host.ledger_place.as_ref() == Some(&shown.place)
    });
    let heard = |at| (0..SILENT_S).contains(&now.seconds_since(at));
    at_its_place && host.last_seen_at.is_some_and(heard)
}

pub(in crate::app) fn judge(host: &Host, poll: &Poll, now: Time) -> Finding {
    let pinned = pinned(host);
    let shown = poll.ledger.as_ref().filter(|mark| is_well_formed(mark));
    let verdict = judge_ledger(pinned.as_ref(), shown.map(id_of).as_ref());
    if verdict == LedgerVerdict::WentBack && is_overtaken(host, shown, now) {
        return Finding::Overtaken;
    }
    if let Some(fault) = fault(verdict) {
        return Finding::Fault(fault);
    }
    let protocol = i32::try_from(poll.protocol.max(1)).unwrap_or(1);
    let is_news = match (&pinned, shown) {
        (Some(pinned), Some(shown)) => *pinned != id_of(shown),
        (None, shown) => shown.is_some(),
        (Some(_), None) => false,
    };
    if !is_news && host.protocol == protocol {
        return Finding::AsKnown;
    }
    Finding::News {
        ledger: shown.filter(|_| is_news).cloned(),
        moved: verdict == LedgerVerdict::Moved,
        protocol,
    }
}

/// Why a ledger is not trusted, in words for staff.
fn fault(verdict: LedgerVerdict) -> Option<&'static str> {
    match verdict {
        LedgerVerdict::Known | LedgerVerdict::First | LedgerVerdict::Moved => None,
        LedgerVerdict::Other => Some(
            "its agent shows another ledger than the one it was enrolled with, or none: the host was set up anew, or its agent is of an older release",
        ),
        LedgerVerdict::WentBack => Some(
            "its ledger went back: an old state folder was put back, or two agents use copies of one",
        ),
        LedgerVerdict::Elsewhere => Some("its ledger turned up on another machine"),
    }
}

fn is_well_formed(mark: &LedgerMark) -> bool {
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    hex(&mark.id, 32) && hex(&mark.machine, 64) && hex(&mark.place, 64) && mark.serial >= 0
}

/// Writes down what was found under the host's lock.
pub(in crate::app) fn write(tx: &mut Tx<'_>, agent: &Agent, finding: &Finding) -> Result<()> {
    let object = Object::Host(agent.host);
    match finding {
        Finding::AsKnown | Finding::Overtaken => {}
        Finding::News {
            ledger,
            moved,
            protocol,
        } => {
            store::host::set_protocol(tx.conn, agent.host, *protocol)?;
            let Some(ledger) = ledger else {
                return Ok(());
            };
            let host = store::host::host(tx.conn, agent.host)?.ok_or(AppError::NotFound)?;
            store::host::pin_ledger(tx.conn, agent.host, ledger, moved.then_some(tx.now))?;
            if host.ledger_id.is_none() {
                tx.by(PORTAL)
                    .audit(Action::LedgerPin, object, ("", &ledger.id))?;
            }
        }
        Finding::Fault(fault) => {
            if store::host::set_ledger_fault(tx.conn, agent.host, fault, tx.now)? {
                tracing::error!(
                    host = agent.name,
                    fault,
                    "a ledger is not trusted: the host gets no work"
                );
                tx.by(PORTAL)
                    .audit(Action::LedgerFault, object, ("", fault))?;
            }
        }
    }
    Ok(())
}

/// May a host be enrolled with this ledger? Not with another one than it is known by, while Linodes depend on what that
/// one says.
pub(in crate::app) fn may_enrol(
    conn: &mut Db,
    host: &Host,
    (ledger, fingerprint): (Option<&LedgerMark>, &str),
) -> Result<()> {
    let shown = ledger.map(id_of);
    let is_its_own = match pinned(host) {
        Some(pinned) => matches!(
            judge_ledger(Some(&pinned), shown.as_ref()),
            LedgerVerdict::Known | LedgerVerdict::Moved
        ),
        // An agent of the last release showed no ledger; its transfer key lies beside it.
        None => host
            .fingerprint
            .as_deref()
            .is_none_or(|known| known == fingerprint),
    };
    if is_its_own {
        return Ok(());
    }
    let (owned, moves) = store::host::depends_on(conn, host.id)?;
    if owned == 0 && moves == 0 {
        return Ok(());
    }
    let message = format!(
        "{} owns {owned} Linodes and takes part in {moves} moves under another ledger. Put its old state folder back; if the host is lost for good, two staff can take it over on its page",
        host.name
    );
    Err(AppError::invalid("ledger", message))
}
