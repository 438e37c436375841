//! Staff empty a host: its Linodes are moved to others of its kind, without an offer or a click. Who is moved so, why, and
//! by when is staff's; a member may only have it sooner.

use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use std::collections::{BTreeSet, HashMap};

use super::App;
use super::bulk::{self, AT_ONCE, Answer, Outcome};
use super::context::{Actor, Tx};
use super::error::AppError;
use super::host::liveness::SILENT_S;
use super::mail::compose;
use super::migration::event_details::EventDetails;
use super::migration::guard::one_live;
use super::migration::offer;
use super::migration::schedule;
use crate::domain::evacuation::{self as planner, Candidate, Plan, Stands};
use crate::domain::ids::{HostId, LinodeId, MigrationId};
use crate::domain::markdown::Markdown;
use crate::domain::migration::{Event, MigrationKind, MigrationState};
use crate::domain::placement::Door;
use crate::domain::placement::fitting::{self, Place};
use crate::domain::time::Time;
use crate::mail::MoveOff;
use crate::store;
use crate::store::batch::{Batch, Item};
use crate::store::db::{Db, wake_on_commit};
use crate::store::evacuation::{Hanging, Progress};
use crate::store::host::Host;
use crate::store::migration::NewMigration;
use crate::store::wake::Wake;

/// A time may be this far ahead, and a reason this long.
pub const MOST_DAYS: i64 = 30;
pub const MOST_WHY: usize = 500;

/// What staff ask for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Read by members.
    pub why: String,
    /// `None`: now.
    pub at: Option<Time>,
    pub moves: Vec<Wanted>,
}

/// One Linode with where it is to go.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub linode: LinodeId,
    pub to: HostId,
    /// Its last move may be confirmed for that, which closes its way back.
    pub close: bool,
}

/// How emptying a host stands.
#[derive(Debug, Clone)]
pub struct Emptying {
    pub since: Time,
    pub progress: Progress,
    /// Who is left, with why.
    pub plan: Plan,
}

impl App {
    /// How far it is, if staff empty this host, and what hangs on it besides its Linodes.
    pub fn emptying(
        &self,
        actor: &Actor,
        host: &Host,
    ) -> Result<(Option<Emptying>, Hanging), AppError> {
        actor.require(Right::Read)?;
        let now = self.now();
        self.db.read(|conn| {
            let emptying = match host.emptying_since {
                Some(since) => Some(Emptying {
                    since,
                    progress: store::evacuation::progress(conn, host.id, since, now)?,
                    plan: plan_of(conn, host.id, now.plus_s(-SILENT_S))?,
                }),
                None => None,
            };
            Ok((emptying, store::evacuation::hanging(conn, host.id)?))
        })
    }

    /// Who would go where, as things stand.
    pub fn evacuation_plan(&self, actor: &Actor, host: HostId) -> Result<Plan, AppError> {
        actor.require(Right::Read)?;
        let heard_since = self.now().plus_s(-SILENT_S);
        self.db.read(|conn| plan_of(conn, host, heard_since))
    }

    /// Empties a host of these: it takes no new Linodes from now on, and each is queued to move to the host named beside it.
    /// Everything is looked at anew; one that is being moved off already counts as done, so that a form sent twice does its
    /// work once.
    pub fn evacuate(
        &self,
        actor: &Actor,
        host: HostId,
        order: &Order,
    ) -> Result<Outcome<LinodeId>, AppError> {
        let order = &self.begin_evacuation(actor, host, order)?;
        bulk::each(
            (self, actor),
            &order.moves,
            |it| it.linode,
            |tx, moves| evacuate_all(tx, (actor, host, order), moves),
        )
    }

    /// Looks at what is asked, and closes the host; its Linodes are moved by what follows, here or in a batch.
    pub fn begin_evacuation(
        &self,
        actor: &Actor,
        host: HostId,
        order: &Order,
    ) -> Result<Order, AppError> {
        actor.require(Right::Evacuation)?;
        let order = checked(order, self.now())?;
        self.transact(actor.who(), |tx| drain(tx, host, &order))?;
        Ok(order)
    }
}

/// One of a batch, while its host is still to be emptied.
pub(super) fn evacuate_one(
    tx: &mut Tx<'_>,
    actor: &Actor,
    (of, it): (&Batch, &Item),
) -> Result<Result<(), String>, AppError> {
    let (host, to) = of.source_host_id.zip(it.to).ok_or(AppError::NotFound)?;
    let source = store::host::host(tx.conn, host)?.ok_or(AppError::NotFound)?;
    if source.emptying_since.is_none() {
        return Ok(Err(format!(
            "{} is not being emptied any more.",
            source.name
        )));
    }
    let order = Order {
        why: of.reason.clone(),
        at: of.not_before,
        moves: Vec::new(),
    };
    let wanted = Wanted {
        linode: it.linode_id,
        to,
        close: it.closes,
    };
    let answers = evacuate_all(tx, (actor, host, &order), &[wanted])?;
    Ok(answers
        .into_iter()
        .next()
        .map_or(Ok(()), |(_, answer)| answer))
}

fn plan_of(conn: &mut Db, host: HostId, heard_since: Time) -> Result<Plan, AppError> {
    let places = store::graduation::places(conn, heard_since)?;
    let source = places.iter().find(|place| place.room.host == host);
    let source = source.cloned().ok_or(AppError::NotFound)?;
    let residents = store::evacuation::residents(conn, host, None)?;
    Ok(planner::plan(source, residents, places))
}

/// Why, in words that members can be shown.
pub(super) fn checked_why(why: &str) -> Result<String, AppError> {
    let why = Markdown::parse(why.trim(), MOST_WHY)
        .map_err(|fault| AppError::invalid("why", fault.to_string()))?;
    if why.is_empty() {
        let message = "Say why, in words for the members it concerns";
        return Err(AppError::invalid("why", message));
    }
    Ok(why.as_str().to_owned())
}

fn checked(order: &Order, now: Time) -> Result<Order, AppError> {
    let why = checked_why(&order.why)?;
    if let Some(at) = order.at
        && (at <= now || at > now.plus_days(MOST_DAYS))
    {
        let message = format!("Choose a time in the future, within {MOST_DAYS} days");
        return Err(AppError::invalid("at", message));
    }
    if order.moves.is_empty() || order.moves.len() > AT_ONCE {
        return Err(AppError::conflict(format!(
            "There must be at least one Linode to evacuate, and at most {AT_ONCE} at once."
        )));
    }
    Ok(Order {
        why,
        ..order.clone()
    })
}

/// Closes a host whose Linodes are moved off it one after the other, by what follows.
pub(super) fn begin(tx: &mut Tx<'_>, host: HostId, why: &str) -> Result<(), AppError> {
    drain(tx, host, &now_for(why))
}

fn now_for(why: &str) -> Order {
    Order {
        why: why.to_owned(),
        at: None,
        moves: Vec::new(),
    }
}

/// Moves one off, to the host that the plan has for it now, while its host is still to be emptied; or says why it cannot be.
pub(super) fn move_off(
    tx: &mut Tx<'_>,
    actor: &Actor,
    (host, why): (HostId, &str),
    linode: LinodeId,
) -> Result<Result<(), String>, AppError> {
    let row = store::host::host(tx.conn, host)?.ok_or(AppError::NotFound)?;
    if row.emptying_since.is_none() {
        return Ok(Err(format!("{} is not being emptied any more.", row.name)));
    }
    let places = store::graduation::places(tx.conn, tx.now.plus_s(-SILENT_S))?;
    let source = places.iter().find(|place| place.room.host == host);
    let source = source.cloned().ok_or(AppError::NotFound)?;
    let residents = store::evacuation::residents(tx.conn, host, Some(&[linode]))?;
    let plan = planner::plan(source, residents, places);
    let Some((_, to)) = plan.moves().next() else {
        let why = plan.lines.first().map(|line| plan.reason(line));
        return Ok(Err(
            why.unwrap_or_else(|| "it is not there any more".to_owned())
        ));
    };
    let wanted = Wanted {
        linode,
        to,
        close: false,
    };
    let answers = evacuate_all(tx, (actor, host, &now_for(why)), &[wanted])?;
    Ok(answers
        .into_iter()
        .next()
        .map_or(Ok(()), |(_, answer)| answer))
}

/// The host takes no new Linodes while it is emptied. Refused if nobody can be moved off it.
fn drain(tx: &mut Tx<'_>, id: HostId, order: &Order) -> Result<(), AppError> {
    store::host::lock(tx.conn, id)?;
    let host = store::host::host(tx.conn, id)?.ok_or(AppError::NotFound)?;
    let doors = store::host::room::doors(tx.conn, tx.now.plus_s(-SILENT_S), Some(&[id]))?;
    if let Some(blocked) = doors.get(&id).and_then(Door::blocked) {
        return Err(AppError::conflict(format!(
            "{} cannot be emptied: {blocked}.",
            host.name
        )));
    }
    if host.emptying_since.is_some() {
        return Ok(());
    }
    store::host::set_emptying(tx.conn, id, tx.now)?;
    let after = format!("draining, to be emptied: {}", order.why);
    tx.audit(Action::HostEmpty, Object::Host(id), (host.state, after))
}

/// A conflict is the whole transaction's; what is refused for a Linode of its own is its answer.
fn evacuate_all(
    tx: &mut Tx<'_>,
    (actor, host, order): (&Actor, HostId, &Order),
    moves: &[Wanted],
) -> Result<Vec<Answer>, AppError> {
    store::programme::hold(tx.conn)?;
    let linodes: Vec<LinodeId> = moves.iter().map(|it| it.linode).collect();
    store::registration::locked_live(tx.conn, &linodes)?;
    store::migration::locked_of_linodes(tx.conn, &linodes)?;
    // In one order, so that two who do this at once do not wait for each other.
    let hosts: BTreeSet<HostId> = moves.iter().map(|it| it.to).chain([host]).collect();
    for id in hosts {
        if store::host::host(tx.conn, id)?.is_none() {
            return Err(AppError::NotFound);
        }
        store::host::lock(tx.conn, id)?;
    }
    drain(tx, host, order)?;
    let mut places: HashMap<HostId, Place> =
        store::graduation::places(tx.conn, tx.now.plus_s(-SILENT_S))?
            .into_iter()
            .map(|place| (place.room.host, place))
            .collect();
    let source = places.get(&host).cloned().ok_or(AppError::NotFound)?;
    let residents: HashMap<LinodeId, Candidate> =
        store::evacuation::residents(tx.conn, host, Some(&linodes))?
            .into_iter()
            .map(|it| (it.linode, it))
            .collect();
    let recent = store::migration::page::recent_moves(tx.conn)?;
    let act = Act {
        actor,
        order,
        downtime: compose::expected_downtime(&recent),
    };
    let mut answers = Vec::with_capacity(moves.len());
    for wanted in moves {
        let answer = match (residents.get(&wanted.linode), places.get_mut(&wanted.to)) {
            (Some(candidate), Some(place)) => match possible(&source, candidate, place, *wanted) {
                Ok(Possible::Now) => {
                    act.make(tx, candidate, *wanted)?;
                    place.room.promise(&candidate.guest(&source).need);
                    Ok(())
                }
                Ok(Possible::Already) => Ok(()),
                Err(why) => Err(why),
            },
            _ if store::evacuation::was_moved_off(tx.conn, host, wanted.linode)? => Ok(()),
            _ => Err(format!("It is not on {} any more.", source.room.name)),
        };
        answers.push((wanted.linode, answer));
    }
    Ok(answers)
}

enum Possible {
    Now,
    /// It is being moved off.
    Already,
}

fn possible(
    source: &Place,
    candidate: &Candidate,
    place: &Place,
    wanted: Wanted,
) -> Result<Possible, String> {
    match candidate.stands {
        Stands::Free { .. } => {}
        Stands::Evacuating { .. } => return Ok(Possible::Already),
        Stands::Moving(id) => return Err(format!("It is being moved (migration {id}).")),
        Stands::WayBackOpen(_) if wanted.close => {}
        Stands::WayBackOpen(id) => {
            return Err(format!(
                "Its last move (migration {id}) is not confirmed, and the way back is open."
            ));
        }
    }
    let name = &place.room.name;
    if !planner::is_alike(source, place) {
        return Err(format!(
            "{name} cannot take this Linode: it is of another platform, role or plan."
        ));
    }
    fitting::takes(place, &candidate.guest(source))
        .map(|()| Possible::Now)
        .map_err(|obstacle| format!("{name} cannot take this Linode: {}.", obstacle.of_one()))
}

/// What is the same for all that are moved.
struct Act<'a> {
    actor: &'a Actor,
    order: &'a Order,
    downtime: String,
}

impl Act<'_> {
    /// Queues one, with the rows that were in its way ended, its log, mail and audit entry.
    fn make(&self, tx: &mut Tx<'_>, of: &Candidate, wanted: Wanted) -> Result<(), AppError> {
        let (now, actor) = (tx.now, self.actor);
        let linode = store::linode::linode(tx.conn, wanted.linode)?.ok_or(AppError::NotFound)?;
        let told = clear(tx, of)?;
        offer::close_evacuations(tx, &linode)?;
        let instead = "Staff move it off its host instead; what was copied is dropped.";
        offer::replace_failed(tx, linode.id, instead)?;
        let new = NewMigration {
            kind: MigrationKind::Evacuation,
            linode_id: linode.id,
            account_id: linode.account_id,
            // It is no move of the beta: the registration and what follows from it stay as they are.
            registration_id: None,
            parent_id: None,
            source_host_id: linode.host_id,
            destination_host_id: wanted.to,
            state: MigrationState::Queued,
            epoch: linode.epoch,
            base_epoch: None,
            offered_by: Some(actor.user),
            offered_at: now,
            // Its member may have it sooner, not later.
            expires_at: self.order.at.unwrap_or(now),
            queued_at: Some(now),
            queued_by: Some(actor.user),
            kernels_accepted: false,
            stop_limit_s: 60,
        };
        let hosts = [new.source_host_id, new.destination_host_id];
        let begins = schedule::begins(tx.conn, (linode.id, hosts), (self.order.at, false))?;
        let times = begins.zip(self.order.at);
        let row =
            store::evacuation::insert(tx.conn, &new, &self.order.why, times).map_err(one_live)?;
        let said = "Staff move it to another host, because its present one is being emptied.";
        tx.log(&row, said)?;
        compose::post_move_off(tx, &linode, &row, told, &self.downtime)?;
        wake_on_commit(tx.conn, Wake::Reconcile)?;
        let host = |id: HostId| format!("host {id}");
        let hosts = (host(row.source_host_id), host(row.destination_host_id));
        tx.audit(Action::Evacuate, Object::Migration(row.id), hosts)
    }
}

/// Ends what is in the way of one; what its member is told of that.
fn clear(tx: &mut Tx<'_>, of: &Candidate) -> Result<MoveOff, AppError> {
    let mut told = MoveOff::default();
    match of.stands {
        Stands::Free { offer: Some(offer) } => {
            let why = "Its host is being emptied, and this offer ended with that.";
            end(tx, offer, Event::Cancel, why)?;
            told.offer_ended = true;
        }
        Stands::WayBackOpen(last) => {
            let why = "Its new host is being emptied: staff confirmed the move, and its way back is closed.";
            end(tx, last, Event::Confirm, why)?;
            told.way_back_closed = true;
        }
        Stands::Free { offer: None } | Stands::Evacuating { .. } | Stands::Moving(_) => {}
    }
    Ok(told)
}

fn end(tx: &mut Tx<'_>, id: MigrationId, event: Event, message: &str) -> Result<(), AppError> {
    let given = EventDetails::saying(message);
    tx.apply(id, event, &given)?
        .taken()
        .map(drop)
        .map_err(|refused| AppError::conflict(format!("Migration {id}: {refused}.")))
}
