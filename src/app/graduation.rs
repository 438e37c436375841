//! The second move: the plan for the beta fleet, and offers made of it, many at once.

use std::collections::{BTreeSet, HashMap};

use super::App;
use super::bulk::{self, AT_ONCE, Answer, Outcome};
use super::context::{Actor, Tx};
use super::error::{AppError, Result};
use super::host::liveness::SILENT_S;
use super::migration::offer::{self, Offer};
use crate::domain::account::Right;
use crate::domain::graduation::{self as planner, Candidate, Plan, Stands};
use crate::domain::ids::{HostId, LinodeId, RegistrationId};
use crate::domain::migration::MigrationKind;
use crate::domain::placement::fitting::{self, Place};
use crate::domain::programme::Deed;
use crate::store;
use crate::store::batch::Item;
use crate::store::db::Db;
use crate::store::graduation::Which;

impl App {
    /// Who of the beta would go where, as things stand.
    pub fn graduation_plan(&self, actor: &Actor) -> Result<Plan> {
        actor.require(Right::Read)?;
        let heard_since = self.now().plus_s(-SILENT_S);
        let (fleet, places) = self.db.read(|conn| {
            let fleet = store::graduation::fleet(conn, Which::All)?;
            Ok::<_, AppError>((fleet, store::graduation::places(conn, heard_since)?))
        })?;
        Ok(planner::plan(fleet, places))
    }

    /// Offers each of these Linodes a place on the host named beside it. Everything is looked at anew; one that is offered
    /// this place already counts as done, so that a form sent twice makes its offers once.
    pub fn offer_graduations(
        &self,
        actor: &Actor,
        pairs: &[(LinodeId, HostId)],
    ) -> Result<Outcome<LinodeId>> {
        actor.require(Right::Graduation)?;
        if pairs.is_empty() || pairs.len() > AT_ONCE {
            return Err(AppError::conflict(format!(
                "Choose at least one Linode, and at most {AT_ONCE} at once."
            )));
        }
        bulk::each(
            (self, actor),
            pairs,
            |pair| pair.0,
            |tx, pairs| offer_all(tx, actor, pairs),
        )
    }
}

/// One of a batch.
pub(super) fn offer_one(tx: &mut Tx<'_>, actor: &Actor, it: &Item) -> Result<Result<(), String>> {
    let to = it.to.ok_or(AppError::NotFound)?;
    let answers = offer_all(tx, actor, &[(it.linode_id, to)])?;
    Ok(answers
        .into_iter()
        .next()
        .map_or(Ok(()), |(_, answer)| answer))
}

/// A conflict is the whole transaction's; what is refused for a Linode of its own is its answer.
fn offer_all(tx: &mut Tx<'_>, actor: &Actor, pairs: &[(LinodeId, HostId)]) -> Result<Vec<Answer>> {
    store::programme::hold(tx.conn)?;
    let programme = store::programme::get(tx.conn, tx.now)?;
    super::programme::allows(&programme, tx.now, Deed::Offer(MigrationKind::Graduation))?;
    let linodes: Vec<LinodeId> = pairs.iter().map(|(linode, _)| *linode).collect();
    lock_all(tx.conn, &linodes)?;
    // In one order, so that two who do this at once do not wait for each other.
    let hosts: BTreeSet<HostId> = pairs.iter().map(|(_, host)| *host).collect();
    for host in hosts {
        if store::host::host(tx.conn, host)?.is_none() {
            return Err(AppError::NotFound);
        }
        store::host::lock(tx.conn, host)?;
    }
    let fleet: HashMap<LinodeId, Candidate> =
        store::graduation::fleet(tx.conn, Which::These(&linodes))?
            .into_iter()
            .map(|it| (it.linode, it))
            .collect();
    let mut places: HashMap<HostId, Place> =
        store::graduation::places(tx.conn, tx.now.plus_s(-SILENT_S))?
            .into_iter()
            .map(|place| (place.room.host, place))
            .collect();
    let until = tx.now.plus_days(i64::from(programme.offer_days));
    let mut answers = Vec::with_capacity(pairs.len());
    for (linode, to) in pairs {
        let (Some(candidate), Some(place)) = (fleet.get(linode), places.get_mut(to)) else {
            answers.push((*linode, Err("It is not in the beta any more.".to_owned())));
            continue;
        };
        let registration = match possible(candidate, place) {
            Ok(Some(registration)) => registration,
            Ok(None) => {
                answers.push((*linode, Ok(())));
                continue;
            }
            Err(why) => {
                answers.push((*linode, Err(why)));
                continue;
            }
        };
        let row = store::linode::linode(tx.conn, *linode)?.ok_or(AppError::NotFound)?;
        let offer = Offer {
            kind: MigrationKind::Graduation,
            registration,
            to: *to,
            until,
        };
        offer::make(tx, actor, &row, offer)?;
        place.room.promise(&candidate.guest().need);
        answers.push((*linode, Ok(())));
    }
    Ok(answers)
}

/// What each Linode's offer depends on, before any of it is looked at: its live registration, and what is not over of its
/// migrations.
fn lock_all(conn: &mut Db, linodes: &[LinodeId]) -> Result<()> {
    store::registration::locked_live(conn, linodes)?;
    store::migration::locked_of_linodes(conn, linodes)?;
    Ok(())
}

/// The registration to offer it for; `None`: this very place is offered already.
fn possible(candidate: &Candidate, place: &Place) -> Result<Option<RegistrationId>, String> {
    let registration = match &candidate.stands {
        Stands::Ready { registration, .. } => *registration,
        Stands::Offered { to, .. } if *to == place.room.host => return Ok(None),
        Stands::Offered { .. } => return Err("A place on another host is offered.".to_owned()),
        Stands::Moving(_) => return Err("It is being moved.".to_owned()),
        Stands::WayBackOpen(id) => {
            return Err(format!(
                "Its last move (migration {id}) is not confirmed, and the way back is open."
            ));
        }
        Stands::NotRegistered => return Err("It has no approved registration.".to_owned()),
    };
    fitting::takes(place, &candidate.guest())
        .map(|()| Some(registration))
        .map_err(|obstacle| {
            let (host, why) = (&place.room.name, obstacle.of_one());
            format!("{host} cannot take this Linode: {why}.")
        })
}
