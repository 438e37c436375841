//! Registering Linodes for the beta, and what staff decide about it.

pub(super) mod record;

use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use std::collections::BTreeSet;

use record::{Decided, decide};

use super::App;
use super::bulk::{self, AT_ONCE, Answer, Outcome};
use super::context::{Actor, Tx};
use super::error::{AppError, Result};
use super::linode::shared::own_linode;
use super::mail::kinds::LinodeMail;
use super::migration::event_details::EventDetails;
use crate::domain::batch::ItemOutcome;
use crate::domain::ids::{AccountId, LinodeId, RegistrationId};
use crate::domain::migration::{self, MigrationKind, MigrationState};
use crate::domain::placement::Standing;
use crate::domain::programme::Deed;
use crate::domain::registration::{
    self, Circumstances, Event, NotEligible, Refused, RegistrationState,
};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::linode::Linode;
use crate::store::registration::NewRegistration;

impl App {
    /// Registers Linodes of the actor's account. Asking again for one that is registered changes nothing and counts
    /// as done, so that a form sent twice registers once.
    pub fn register(&self, actor: &Actor, linodes: &[LinodeId]) -> Result<Outcome<LinodeId>> {
        let account = actor.require_account()?;
        if linodes.is_empty() || linodes.len() > AT_ONCE {
            let message = format!("Choose at least one Linode, and at most {AT_ONCE} at once");
            return Err(AppError::invalid("linode", message));
        }
        let linodes: BTreeSet<LinodeId> = linodes.iter().copied().collect();
        let linodes: Vec<LinodeId> = linodes.into_iter().collect();
        // None is registered if one of them is not theirs.
        let found = self.db.read(|conn| store::linode::some(conn, &linodes))?;
        if found.iter().filter(|it| it.account_id == account).count() != linodes.len() {
            return Err(AppError::NotFound);
        }
        bulk::each(
            (self, actor),
            &linodes,
            |id| *id,
            |tx, some| register_some(tx, (actor, account), some),
        )
    }

    /// Withdraws a registration of the actor's account, and with it an offer not yet taken up.
    pub fn withdraw(&self, actor: &Actor, id: RegistrationId) -> Result<()> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            let registration =
                store::registration::locked(tx.conn, id)?.filter(|row| row.account_id == account).ok_or(AppError::NotFound)?;
            let open = store::migration::locked_of_linode(tx.conn, registration.linode_id)?;
            let here = store::linode::linode(tx.conn, registration.linode_id)?.map(|linode| linode.host_id);
            let here = here.map(|host| store::host::host(tx.conn, host)).transpose()?.flatten();
            if registration.state == RegistrationState::Approved
                && here.is_some_and(|host| host.standing() != Standing::Outside)
            {
                return Err(AppError::conflict(
                    "This Linode is in the beta already. To leave the beta, use the way back of its move, or ask staff.",
                ));
            }
            for row in open {
                match row.state {
                    // One that failed cannot be tried again without it; what it copied is dropped.
                    MigrationState::Offered | MigrationState::Queued | MigrationState::Failed
                        if row.registration_id == Some(id) && row.kind != MigrationKind::Return =>
                    {
                        let cancel = migration::Event::Cancel;
                        tx.apply(row.id, cancel, &EventDetails::default())?.taken()
                            .map_err(|refused| AppError::conflict(format!("The offer cannot be ended: {refused}.")))?;
                    }
                    state if migration::holds_registration(row.kind, state) => {
                        return Err(AppError::conflict(
                            "This Linode is being migrated. Cancel the migration first, then withdraw.",
                        ));
                    }
                    _ => {}
                }
            }
            match decide(tx, &registration, Event::Withdraw, "")? {
                // A second click finds it done.
                Decided::Now | Decided::Before => Ok(()),
                Decided::Refused(refused) => Err(AppError::conflict(format!("This cannot be withdrawn: {refused}."))),
            }
        })
    }

    pub fn approve(
        &self,
        actor: &Actor,
        ids: &[RegistrationId],
    ) -> Result<Outcome<RegistrationId>> {
        self.decide_many(actor, ids, Verdict::Approve)
    }

    /// Declines with a reason that the member reads.
    pub fn decline(
        &self,
        actor: &Actor,
        ids: &[RegistrationId],
        reason: &str,
    ) -> Result<Outcome<RegistrationId>> {
        let reason = self::reason(reason, "the member")?;
        self.decide_many(actor, ids, Verdict::Decline { reason })
    }

    /// One transaction each, so that one that cannot be decided does not hold up the others.
    fn decide_many(
        &self,
        actor: &Actor,
        ids: &[RegistrationId],
        verdict: Verdict<'_>,
    ) -> Result<Outcome<RegistrationId>> {
        actor.require(Right::Registrations)?;
        let mut many = Outcome::default();
        for &id in ids {
            let answer = match self.transact(actor.who(), |tx| decide_one(tx, id, verdict))? {
                Decided::Now | Decided::Before => Ok(()),
                Decided::Refused(why) => Err(why.to_string()),
            };
            many.note(id, answer);
        }
        Ok(many)
    }
}

/// Why staff do something to a Linode, as typed for those who read it.
pub(super) fn reason<'a>(typed: &'a str, for_whom: &str) -> Result<&'a str> {
    let reason = typed.trim();
    if reason.is_empty() || reason.chars().count() > 1000 {
        return Err(AppError::invalid(
            "reason",
            format!("Give {for_whom} a reason, in 1000 characters or fewer"),
        ));
    }
    Ok(reason)
}

/// Of a batch: what came of it, or why it is refused.
pub(super) fn approve_one(
    tx: &mut Tx<'_>,
    id: RegistrationId,
) -> Result<Result<ItemOutcome, String>> {
    Ok(outcome(decide_one(tx, id, Verdict::Approve)?))
}

pub(super) fn decline_one(
    tx: &mut Tx<'_>,
    id: RegistrationId,
    reason: &str,
) -> Result<Result<ItemOutcome, String>> {
    Ok(outcome(decide_one(tx, id, Verdict::Decline { reason })?))
}

fn outcome(of: Decided) -> Result<ItemOutcome, String> {
    match of {
        Decided::Now => Ok(ItemOutcome::Done),
        Decided::Before => Ok(ItemOutcome::Before),
        Decided::Refused(why) => Err(why.to_string()),
    }
}

/// Has nobody decided it yet?
pub(super) fn waits(conn: &mut Db, id: RegistrationId) -> Result<bool> {
    let row = store::registration::registration(conn, id)?;
    Ok(row.is_some_and(|row| row.state == RegistrationState::Requested))
}

/// What staff say to a registration.
#[derive(Clone, Copy)]
enum Verdict<'a> {
    Approve,
    Decline { reason: &'a str },
}

fn decide_one(tx: &mut Tx<'_>, id: RegistrationId, verdict: Verdict<'_>) -> Result<Decided> {
    let (event, reason, mail) = match verdict {
        Verdict::Approve => {
            store::programme::hold(tx.conn)?;
            let programme = store::programme::get(tx.conn, tx.now)?;
            super::programme::allows(&programme, tx.now, Deed::Approve)?;
            (Event::Approve, "", LinodeMail::Approved)
        }
        Verdict::Decline { reason } => (Event::Decline, reason, LinodeMail::Declined { reason }),
    };
    let Some(row) = store::registration::locked(tx.conn, id)? else {
        return Ok(Decided::Refused(Refused::Missing));
    };
    let decided = decide(tx, &row, event, reason)?;
    if let Decided::Now = decided
        && let Some(linode) = store::linode::linode(tx.conn, row.linode_id)?
    {
        tx.mail_about(&linode, mail)?;
    }
    Ok(decided)
}

fn register_some(
    tx: &mut Tx<'_>,
    (actor, account): (&Actor, AccountId),
    linodes: &[LinodeId],
) -> Result<Vec<Answer>> {
    store::programme::hold(tx.conn)?;
    // Looked at only now: a limit that is set from here on comes after this. Without one nobody takes another's place, and many
    // can register at once.
    if store::programme::get(tx.conn, tx.now)?.seats.is_some() {
        store::programme::lock_seats(tx.conn)?;
    }
    // Two forms that share a Linode would each wait for what the other one has written.
    store::account::lock_writer(tx.conn, actor.user, Some(account))?;
    let mut answers = Vec::with_capacity(linodes.len());
    for id in linodes {
        let linode = own_linode(tx.conn, account, *id)?;
        let answer = match register_one(tx, actor, &linode)? {
            None | Some(NotEligible::Waiting | NotEligible::Approved) => Ok(()),
            Some(reason) => Err(reason.to_string()),
        };
        answers.push((*id, answer));
    }
    Ok(answers)
}

/// Why it was not registered, if it was not.
fn register_one(tx: &mut Tx<'_>, actor: &Actor, linode: &Linode) -> Result<Option<NotEligible>> {
    if let Err(reason) = registration::eligible(&circumstances(tx.conn, tx.now, linode)?) {
        return Ok(Some(reason));
    }
    let new = NewRegistration {
        linode_id: linode.id,
        account_id: linode.account_id,
        requested_by: actor.user,
        state: RegistrationState::Requested,
        requested_at: tx.now,
    };
    // Whoever got past the lock that keeps this away: this transaction is lost, the registration is not.
    let taken =
        || AppError::conflict("This Linode was registered a moment ago. Load the page anew.");
    let row = store::registration::insert(tx.conn, &new).map_err(AppError::if_taken(taken))?;
    let position = store::registration::waiting_before(tx.conn, &row)? + 1;
    tx.mail_about(linode, LinodeMail::Registered(position))?;
    tx.audit(
        Action::Register,
        Object::Linode(linode.id),
        ("", "requested"),
    )?;
    Ok(None)
}

/// What the eligibility of one Linode is decided from.
pub fn circumstances(conn: &mut Db, now: Time, linode: &Linode) -> Result<Circumstances> {
    let programme = store::programme::get(conn, now)?;
    let host = store::host::host(conn, linode.host_id)?.ok_or(AppError::NotFound)?;
    Ok(Circumstances {
        programme: super::programme::phase(&programme, now),
        seats_left: seats_left(conn, programme.seats)?,
        platform: host.platform,
        standing: host.standing(),
        registration: store::registration::newest_of(conn, linode.id)?.map(|row| row.state),
        migration: store::migration::of_linode(conn, linode.id)?
            .first()
            .map(|row| row.state),
        has_disks: !store::linode::disk::disks_of(conn, linode.id)?.is_empty(),
        has_profiles: !store::linode::profile::profiles_of(conn, linode.id)?.is_empty(),
    })
}

/// Places not taken by a live registration; `None` is no limit.
pub fn seats_left(conn: &mut Db, seats: Option<i64>) -> Result<Option<i64>> {
    let Some(seats) = seats else { return Ok(None) };
    Ok(Some(seats - store::registration::count_live(conn)?))
}
