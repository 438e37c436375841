//! What a wave gives out, in the background: each is one transaction with its place in it, so that a portal that dies leaves
//! nothing half done and any other goes on. Members of an account get one mail of what was given together.

use std::time::{Duration, Instant};

use super::{advance, gate};
use crate::app::App;
use crate::app::batch::{Act, Told, tell_account};
use crate::app::context::{Actor, PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::evacuation;
use crate::app::migration::offer;
use crate::domain::batch::BatchKind;
use crate::domain::ids::{AccountId, LinodeId, MigrationId, WaveId};
use crate::domain::migration::MigrationState;
use crate::domain::placement;
use crate::domain::registration::RegistrationState;
use crate::domain::time::Time;
use crate::domain::wave::gate::Gate;
use crate::domain::wave::{WaveEvent, WaveKind, WaveState};
use crate::store;
use crate::store::db::lock_scheduler;
use crate::store::wave::{Item, Settled, Wave};

/// What finds no place now is tried again after this.
const AGAIN_S: i64 = 300;
/// What is given within this time is told by one mail.
const TOGETHER_S: i64 = 60;

/// What a look at a wave did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// One was given, put off or refused: there may be another.
    Went,
    /// Nothing is to be given now.
    Rests,
}

/// Why one is not given anything.
enum No {
    Never(String),
    NotNow(String),
}

impl App {
    /// Some of each that goes on, for so long in all; says whether more may be to come at once.
    pub fn work_waves(&self, most: Duration) -> Result<bool> {
        let (running, untold) = self.db.read(|conn| {
            let running = store::wave::in_states(conn, &[WaveState::Running])?;
            Ok::<_, AppError>((running, store::wave::with_untold(conn)?))
        })?;
        let each = most / u32::try_from(running.len().max(1)).unwrap_or(1);
        let mut more = false;
        for wave in &running {
            let until = Instant::now() + each;
            loop {
                if self.work_wave(wave.id)? == Step::Rests {
                    break;
                }
                if Instant::now() >= until {
                    more = true;
                    break;
                }
            }
        }
        let running = running.into_iter().map(|wave| wave.id);
        let all: std::collections::BTreeSet<WaveId> = running.chain(untold).collect();
        for id in all {
            self.tell_wave(id)?;
        }
        Ok(more)
    }

    /// Gives the next one of a wave out, if one may be now; or ends it.
    fn work_wave(&self, id: WaveId) -> Result<Step> {
        let found = self.db.read(|conn| store::wave::wave(conn, id))?;
        let Some(wave) = found else {
            return Ok(Step::Rests);
        };
        let Some(actor) = self.who_runs(&wave)? else {
            return self.transact(PORTAL, |tx| {
                lock_scheduler(tx.conn)?;
                if let Some(wave) = running(tx, id)? {
                    gate::shut(tx, &wave, "who let it go may not do so any more")?;
                }
                Ok(Step::Rests)
            });
        };
        let mut taken = None;
        let done = self.transact(actor.who(), |tx| give_next(tx, &actor, (id, &mut taken)));
        let (linode, no) = match (done, taken) {
            (Ok(step), _) => return Ok(step),
            (Err(error), None) => return Err(error),
            (Err(away @ AppError::Away(_)), _) => return Err(away),
            (Err(AppError::Conflict(why) | AppError::Later(why)), Some(of)) => {
                (of, No::NotNow(why))
            }
            (Err(AppError::Invalid { message, .. }), Some(of)) => (of, No::NotNow(message)),
            // One that is broken does not hold up those behind it.
            (Err(error), Some(of)) => {
                tracing::error!(linode = %of, wave = %id, %error, "it could not be given out");
                let why = "It could not be done: the portal's log has the cause.".to_owned();
                (of, No::NotNow(why))
            }
        };
        self.transact(actor.who(), |tx| note(tx, (id, linode), &no))?;
        Ok(Step::Went)
    }

    /// Who let it go, if they still may: looked at again and again, as it goes on without them.
    fn who_runs(&self, wave: &Wave) -> Result<Option<Actor>> {
        let Some(by) = wave.run_by else {
            return Ok(None);
        };
        let user = self.db.read(|conn| store::account::user(conn, by))?;
        let right = crate::domain::account::Right::Moves;
        let able = user.filter(|it| !it.disabled && it.may(right) && it.may(wave.kind.right()));
        Ok(able.map(|user| Actor::of(&user, &wave.address, None)))
    }

    /// Tells members what was given to their Linodes: each account in one transaction, so that each is told once.
    fn tell_wave(&self, id: WaveId) -> Result<()> {
        let now = self.now();
        let found = self.db.read(|conn| {
            let wave = store::wave::wave(conn, id)?;
            Ok::<_, AppError>(wave.zip(Some(store::wave::untold(conn, id)?)))
        })?;
        let Some((wave, accounts)) = found else {
            return Ok(());
        };
        for (account, since) in accounts {
            let is_old = since.is_none_or(|at| at.plus_s(TOGETHER_S) <= now);
            self.transact_at(now, PORTAL, |tx| {
                // More may be given to it in a moment.
                let waits = !is_old
                    && wave.state == WaveState::Running
                    && store::wave::account_waits(tx.conn, (id, account), now)?;
                if waits {
                    Ok(())
                } else {
                    tell(tx, &wave, account)
                }
            })?;
        }
        Ok(())
    }
}

fn running(tx: &mut Tx<'_>, id: WaveId) -> Result<Option<Wave>> {
    let wave = store::wave::wave(tx.conn, id)?;
    Ok(wave.filter(|wave| wave.state == WaveState::Running))
}

/// `taken`: whom it was about to be given to, for whoever has to say why it was not.
fn give_next(
    tx: &mut Tx<'_>,
    actor: &Actor,
    (id, taken): (WaveId, &mut Option<LinodeId>),
) -> Result<Step> {
    store::programme::hold(tx.conn)?;
    lock_scheduler(tx.conn)?;
    let Some(wave) = running(tx, id)? else {
        return Ok(Step::Rests);
    };
    let look = gate::close(tx, &wave)?;
    if matches!(look.gate, Gate::Closed(_)) {
        return Ok(Step::Rests);
    }
    if !store::wave::waits(tx.conn, id)? {
        if look.far.out == 0 {
            advance(&mut tx.by(PORTAL), &wave, WaveEvent::RunOut, "")?;
        }
        return Ok(Step::Rests);
    }
    let may = wave.pace().more(look.far) > 0
        && store::wave::moves_paused(tx.conn)?.is_none()
        && gate::is_window_open(tx.conn, &wave, tx.now)?;
    let next = if may {
        store::wave::next_item(tx.conn, id, tx.now)?
    } else {
        None
    };
    let Some(item) = next else {
        return Ok(Step::Rests);
    };
    *taken = Some(item.linode_id);
    match give(&mut tx.quietly(), actor, (&wave, &item))? {
        Ok(migration) => {
            let to = Settled::Given(migration);
            store::wave::settle(tx.conn, (id, item.linode_id), &to, tx.now)?;
        }
        Err(no) => note(tx, (id, item.linode_id), &no)?,
    }
    Ok(Step::Went)
}

fn note(tx: &mut Tx<'_>, of: (WaveId, LinodeId), no: &No) -> Result<()> {
    let to = match no {
        No::Never(why) => Settled::Refused(why),
        No::NotNow(why) => Settled::PutOff(why, tx.now.plus_s(AGAIN_S)),
    };
    store::wave::settle(tx.conn, of, &to, tx.now)?;
    Ok(())
}

/// The move that was made for it; where it goes is looked at now, with what hosts take now.
fn give(
    tx: &mut Tx<'_>,
    actor: &Actor,
    (wave, item): (&Wave, &Item),
) -> Result<Result<MigrationId, No>> {
    let done = match wave.kind {
        WaveKind::Beta | WaveKind::Graduation => offer_one(tx, actor, (wave.kind, item))?,
        WaveKind::Evacuation => begin_one(tx, actor, (wave, item))?,
    };
    if let Err(no) = done {
        return Ok(Err(no));
    }
    let newest = store::migration::of_linode(tx.conn, item.linode_id)?;
    let made = newest
        .first()
        .filter(|row| row.offered_at == tx.now && row.kind == wave.kind.moves());
    Ok(made.map(|row| row.id).ok_or_else(|| {
        No::Never("It has a move already that was made beside this wave.".to_owned())
    }))
}

fn offer_one(
    tx: &mut Tx<'_>,
    actor: &Actor,
    (kind, item): (WaveKind, &Item),
) -> Result<Result<(), No>> {
    let id = item.registration_id.ok_or(AppError::NotFound)?;
    let registration = store::registration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
    if registration.state != RegistrationState::Approved {
        let state = registration.state;
        return Ok(Err(No::Never(format!("Its registration is {state}."))));
    }
    let linode = store::linode::linode(tx.conn, item.linode_id)?.ok_or(AppError::NotFound)?;
    let here = store::host::host(tx.conn, linode.host_id)?.ok_or(AppError::NotFound)?;
    let next = placement::next(here.standing()).map(|(next, _)| next);
    if next != Some(kind.moves()) {
        let why = format!(
            "It is on {} by now, where this wave has no place for it.",
            here.name
        );
        return Ok(Err(No::Never(why)));
    }
    let moves = store::migration::locked_of_linode(tx.conn, linode.id)?;
    let live = moves
        .iter()
        .any(|row| crate::domain::migration::is_live(row.state));
    if live {
        let why = "It has an offer or a move already that was made beside this wave.";
        return Ok(Err(No::Never(why.to_owned())));
    }
    offer::offer_one(tx, actor, registration.id, None)?;
    Ok(Ok(()))
}

fn begin_one(
    tx: &mut Tx<'_>,
    actor: &Actor,
    (wave, item): (&Wave, &Item),
) -> Result<Result<(), No>> {
    let host = wave.source_host_id.ok_or(AppError::NotFound)?;
    let linode = store::linode::linode(tx.conn, item.linode_id)?.ok_or(AppError::NotFound)?;
    if linode.host_id != host {
        let why = "It is not on the host any more.";
        return Ok(Err(No::Never(why.to_owned())));
    }
    let moved = evacuation::move_off(tx, actor, (host, &wave.reason), linode.id)?;
    Ok(moved.map_err(No::NotNow))
}

/// One mail for all that an account was given and not told of.
fn tell(tx: &mut Tx<'_>, wave: &Wave, account: AccountId) -> Result<()> {
    let given = store::wave::take_untold(tx.conn, (wave.id, account), tx.now)?;
    let mut lines = Vec::with_capacity(given.len());
    for (item, label) in given {
        // What came to nothing meanwhile was told of otherwise.
        let stands = match item.migration_id {
            Some(id) => store::migration::migration(tx.conn, id)?.is_some_and(|row| {
                !matches!(
                    row.state,
                    MigrationState::Expired | MigrationState::Cancelled
                )
            }),
            None => false,
        };
        if stands {
            lines.push(Told {
                linode: item.linode_id,
                line: label,
            });
        }
    }
    let act = Act {
        kind: match wave.kind {
            WaveKind::Beta => BatchKind::Configure,
            WaveKind::Graduation => BatchKind::Graduate,
            WaveKind::Evacuation => BatchKind::Evacuate,
        },
        reason: &wave.reason,
        at: None::<Time>,
    };
    tell_account(tx, account, act, &lines)
}
