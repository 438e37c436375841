//! Carries a migration's transitions out: the pure decision of `domain::migration`, its effects, its event and its audit
//! entry, in the caller's transaction.

use super::entered::entered;
use super::event_details::EventDetails;
use super::guard::{may_be_kept, one_live};
use super::log_text::words;
use crate::app::context::Tx;
use crate::app::error::{AppError, Result};
use crate::app::linode::profile;
use crate::app::mail::compose;
use crate::app::ownership::{change, guard};
use crate::app::trial;
use crate::domain::host::HostState;
use crate::domain::ids::{HostId, JobId, LinodeId, MigrationId};
use crate::domain::job::{JobKind, JobState};
use crate::domain::migration::{
    self as machine, Effect, Event, Letter, MigrationKind, MigrationState, Refused, Side, Step,
};
use crate::domain::ownership::{Row, handover};
use crate::store;
use crate::store::db::Db;
use crate::store::job::NewJob;
use crate::store::linode::Linode;
use crate::store::migration::{Change, Migration, NewMigration};

/// What an event did.
#[derive(Debug)]
#[must_use]
pub enum Applied {
    /// The migration as it is now.
    Done(Box<Migration>),
    /// It changes nothing, for this reason.
    Refused(Refused),
}

impl Applied {
    /// For an event that somebody asked for: a refusal is theirs to read.
    pub fn done(self) -> Result<Migration> {
        self.taken()
            .map_err(|refused| AppError::conflict(sentence(refused)))
    }

    /// With the reason as it is, for a sentence around it.
    pub fn taken(self) -> Result<Migration, Refused> {
        match self {
            Self::Done(after) => Ok(*after),
            Self::Refused(refused) => Err(refused),
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

fn sentence(refused: Refused) -> String {
    let text = refused.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

impl Tx<'_> {
    /// A line in a migration's log.
    pub(in crate::app) fn log(&mut self, of: &Migration, message: &str) -> Result<()> {
        let at = (of.state, of.step);
        Ok(store::migration::insert_event(
            self.conn, of.id, self.now, at, message,
        )?)
    }

    /// Applies one event to a migration: it happens whole or, with the transaction, not at all.
    pub fn apply(
        &mut self,
        id: MigrationId,
        event: Event,
        details: &EventDetails,
    ) -> Result<Applied> {
        if event == Event::Confirm {
            // It may end the registration, whose row comes before the migration's.
            let seen = store::migration::migration(self.conn, id)?.ok_or(AppError::NotFound)?;
            if let Some(registration) = seen.registration_id {
                store::registration::locked(self.conn, registration)?;
            }
        }
        let before = store::migration::locked(self.conn, id)?.ok_or(AppError::NotFound)?;
        let transition = match machine::decide(before.state, before.step, event) {
            Ok(transition) => transition,
            Err(refused) => {
                tracing::info!(migration = %id, state = %before.state, ?event, %refused, "event without effect");
                return Ok(Applied::Refused(refused));
            }
        };
        if trial::is_in_the_way(self.conn, id, event)? {
            return Ok(Applied::Refused(Refused::NotNow));
        }
        let mut effects = transition.effects.iter();
        if effects.any(|effect| effect.needs_memory()) {
            guard::may_change_hands(self.conn, before.linode_id, event)?;
        }
        let mut change = details.change.clone();
        stamp(self, &before, &transition, &mut change)?;
        let (state, step) = (transition.state, transition.step);
        if !store::migration::advance(self.conn, &before, state, step, &change).map_err(one_live)? {
            return Err(AppError::conflict(
                "The migration changed at the same moment. Load the page anew.",
            ));
        }
        if (state, step) != (before.state, before.step) || !details.message.is_empty() {
            let message = match details.message.as_str() {
                "" => words(before.kind, event, &transition),
                given => given.to_owned(),
            };
            store::migration::insert_event(self.conn, id, self.now, (state, step), &message)?;
        }
        trial::give_way(self, &before, (event, &transition))?;
        if state == MigrationState::Finished && before.state == MigrationState::Switching {
            self.receipt_at_its_end(id)?;
        }
        for effect in &transition.effects {
            Work { tx: self, event }.carry_out(id, *effect)?;
        }
        if state != before.state {
            entered(self, &before, state)?;
        }
        let after = store::migration::migration(self.conn, id)?.ok_or(AppError::NotFound)?;
        Ok(Applied::Done(Box::new(after)))
    }
}

/// Times and counters that go with a transition.
fn stamp(
    tx: &mut Tx<'_>,
    before: &Migration,
    transition: &machine::Transition,
    change: &mut Change,
) -> Result<()> {
    use MigrationState as State;
    let now = tx.now;
    let entered = transition.state != before.state;
    match transition.state {
        State::Queued if entered => {
            change.queued_at = Some(now);
            change.queued_by = tx.who.user;
            let linode =
                store::linode::linode(tx.conn, before.linode_id)?.ok_or(AppError::NotFound)?;
            if linode.host_id != before.source_host_id {
                return Err(AppError::conflict(
                    "The Linode has moved to another host since: this move cannot begin there.",
                ));
            }
            if before.state == State::Failed {
                change.late_told = Some(false);
                change.offer_again = Some(false);
                change.round = Some(before.round + 1);
                change.epoch = Some(linode.epoch);
                change.cancel_asked = Some(false);
                change.failure = Some(String::new());
                change.failure_detail = Some(String::new());
                // As it is there now.
                change.try_first_since = before.try_first_since.map(|_| Some(now));
            }
        }
        State::Preparing if entered => change.started_at = Some(now),
        State::Switching if transition.step == Some(Step::StopSeal) => {
            change.stopped_at = Some(Some(now))
        }
        State::Holding if before.state == State::Switching => change.stopped_at = Some(None),
        State::Holding if transition.step == Some(Step::Hold) => {
            change.in_step_at = Some(now);
            // From now on it is late while it is kept from its stop.
            if before.not_before.is_none() && may_be_kept(tx.conn, before)? {
                change.not_before = Some(Some(now));
            }
            if before.copied_s.is_none() {
                let since = before.started_at.map(|began| now.seconds_since(began));
                change.copied_s = since.and_then(|it| i32::try_from(it.max(1)).ok());
            }
        }
        State::Switching if transition.effects.contains(&Effect::Commit) => {
            change.committed_at = Some(now)
        }
        State::Finished if before.state == State::Switching => {
            let days = store::programme::get(tx.conn, now)?.way_back_days;
            change.finished_at = Some(now);
            change.way_back_until = Some(now.plus_days(i64::from(days)));
            let watched_s = store::ownership::memory::get(tx.conn)?.watched_s;
            change.way_back_watched_s = Some(watched_s + i64::from(days) * 86_400);
        }
        State::Confirmed | State::Returned | State::Expired | State::Cancelled | State::Failed
            if entered =>
        {
            change.closed_at = Some(now);
        }
        _ => {}
    }
    Ok(())
}

/// One transition's surroundings, for its effects.
pub(in crate::app) struct Work<'a, 't> {
    pub tx: &'a mut Tx<'t>,
    event: Event,
}

impl Work<'_, '_> {
    fn carry_out(&mut self, id: MigrationId, effect: Effect) -> Result<()> {
        // Read anew each time: an effect may have changed what the next one needs (the epoch above all).
        let row = store::migration::migration(self.tx.conn, id)?.ok_or(AppError::NotFound)?;
        match effect {
            Effect::RunStep(step) => self.run_step(&row, step),
            Effect::StopJobs => self.stop_jobs(&row),
            Effect::EndPass => Ok(store::job::stop(self.tx.conn, id, self.tx.now).map(|_| ())?),
            Effect::Commit => self.commit(&row),
            Effect::Recall => self.translate(&row),
            Effect::GrantSource => self.grant_source(&row),
            Effect::CloseTransfer if row.kind == MigrationKind::Return => self.clean_up(&row),
            Effect::CloseTransfer => self.close_transfer(&row),
            Effect::CleanUp => self.clean_up(&row),
            Effect::PurgeSource => self.purge(&row),
            Effect::BeginReturn => self.begin_return(&row),
            Effect::TellParent(succeeded) => self.tell_parent(&row, succeeded),
            // The parent's own letter tells of a way back that is done.
            Effect::Mail(Letter::Finished) if row.kind == MigrationKind::Return => Ok(()),
            Effect::Mail(letter) => {
                if letter == Letter::Confirmed
                    && row.kind == MigrationKind::Graduation
                    && let Some(registration) = row.registration_id
                {
                    crate::app::registration::record::graduate(self.tx, registration)?;
                }
                compose::post_letter(self.tx, &row, letter)
            }
        }
    }

    fn linode(&mut self, row: &Migration) -> Result<Linode> {
        store::linode::linode(self.tx.conn, row.linode_id)?.ok_or(AppError::NotFound)
    }

    pub(in crate::app) fn enqueue(
        &mut self,
        row: &Migration,
        kind: JobKind,
        (host, epoch): (HostId, i64),
    ) -> Result<Option<JobId>> {
        // Nobody will ever ask for it.
        let gone = store::host::host(self.tx.conn, host)?
            .is_none_or(|it| it.state == HostState::Quarantined);
        if gone {
            return Ok(None);
        }
        let new = NewJob {
            host_id: host,
            linode_id: row.linode_id,
            migration_id: Some(row.id),
            kind,
            state: JobState::Pending,
            epoch,
            run_after: self.tx.now,
            requested_by: row.queued_by,
            entered_at: self.tx.now,
        };
        Ok(Some(store::job::enqueue(self.tx.conn, &new)?))
    }

    fn run_step(&mut self, row: &Migration, step: Step) -> Result<()> {
        let Some((kind, side)) = step.job() else {
            return Ok(());
        };
        let host = match side {
            Side::Source => row.source_host_id,
            Side::Destination => row.destination_host_id,
        };
        let epoch = handover::step_epoch(step, row.epoch, self.linode(row)?.row());
        let change = Change {
            step_job_id: self.enqueue(row, kind, (host, epoch))?,
            ..Change::default()
        };
        Ok(store::migration::note(self.tx.conn, row.id, &change)?)
    }

    /// Jobs that nobody has taken end now; agents are asked to stop the others, and their word ends the migration.
    fn stop_jobs(&mut self, row: &Migration) -> Result<()> {
        store::migration::note(
            self.tx.conn,
            row.id,
            &Change {
                cancel_asked: Some(true),
                ..Change::default()
            },
        )?;
        let at_work = store::job::stop(self.tx.conn, row.id, self.tx.now)?;
        if self.event == Event::Cancel
            && at_work == 0
            && let Some(step) = row.step
        {
            let stopped = Event::Stopped(step);
            // A refusal would mean that it is not at work at all, and then there is nothing to stop.
            let _applied = self.tx.apply(row.id, stopped, &EventDetails::default())?;
        }
        Ok(())
    }

    /// The one moment at which the Linode changes hands.
    fn commit(&mut self, row: &Migration) -> Result<()> {
        if !digests_agree(self.tx.conn, row)? {
            return Err(AppError::Fault(format!(
                "migration {}: commit without equal digests",
                row.id
            )));
        }
        let from = self.linode(row)?.row();
        let source = (row.source_host_id, row.epoch);
        let to = handover::commit(from, source, row.destination_host_id).ok_or_else(|| {
            AppError::Fault(format!(
                "migration {}: the Linode is not its source's any more",
                row.id
            ))
        })?;
        self.hand_over(row.linode_id, (from, to))?;
        self.translate(row)
    }

    fn hand_over(&mut self, linode: LinodeId, change: (Row, Row)) -> Result<()> {
        if change::hand_over(self.tx, linode, change)? {
            return Ok(());
        }
        // An agent asks again, and its word is looked at anew.
        Err(AppError::Later(
            "The Linode changed hands at the same moment. Try again.".to_owned(),
        ))
    }

    /// The config profiles become what they are at the destination.
    fn translate(&mut self, row: &Migration) -> Result<()> {
        let destination =
            store::host::host(self.tx.conn, row.destination_host_id)?.ok_or(AppError::NotFound)?;
        let linode = self.linode(row)?;
        let pairs =
            profile::translation::after_move(self.tx.conn, &linode, row, destination.platform)
                .map_err(|why| {
                    why.or(|error| AppError::Fault(format!("migration {}: {error}", row.id)))
                })?;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for pair in pairs {
            let translated = pair.after.profile;
            if translated != pair.before {
                store::linode::profile::set_profile(self.tx.conn, pair.row.id, &translated)?;
            }
            before.push((pair.row.id, pair.before));
            after.push((pair.row.id, translated));
        }
        let json = |profiles: &[_]| {
            serde_json::to_string(profiles)
                .map_err(|error| AppError::Fault(format!("profiles as JSON: {error}")))
        };
        let change = Change {
            profiles_before: Some(json(&before)?),
            profiles_after: Some(json(&after)?),
            ..Change::default()
        };
        store::migration::note(self.tx.conn, row.id, &change)?;
        Ok(())
    }

    /// Gives the source a new epoch, whether it still owns the Linode or the destination does.
    fn grant_source(&mut self, row: &Migration) -> Result<()> {
        let linode = self.linode(row)?;
        let only_unfetched = self.event == Event::RollBackUnfetched;
        let to = handover::take_back(linode.row(), row.source_host_id, only_unfetched).ok_or_else(
            || {
                AppError::conflict(
                    "The destination has been told of its ownership meanwhile: this can no longer be taken back.",
                )
            },
        )?;
        self.hand_over(row.linode_id, (linode.row(), to))?;
        let mut change = Change {
            epoch: Some(to.epoch),
            ..Change::default()
        };
        if linode.host_id == row.destination_host_id {
            if linode.fetched && self.event != Event::DestinationLost {
                // Its sealed disks stay there; another try starts from them.
                change.base_epoch = Some(linode.epoch);
            }
            self.restore_profiles(row)?;
        }
        store::migration::note(self.tx.conn, row.id, &change)?;
        Ok(())
    }

    fn restore_profiles(&mut self, row: &Migration) -> Result<()> {
        let before = profile::translation::stored(row.profiles_before.as_deref())?;
        for (id, profile) in before {
            store::linode::profile::set_profile(self.tx.conn, id, &profile)?;
        }
        Ok(())
    }

    fn begin_return(&mut self, row: &Migration) -> Result<()> {
        let linode = self.linode(row)?;
        if linode.host_id != row.destination_host_id {
            return Err(AppError::conflict(
                "The Linode has moved on since: there is no way back from here.",
            ));
        }
        let new = NewMigration {
            kind: MigrationKind::Return,
            linode_id: row.linode_id,
            account_id: row.account_id,
            registration_id: row.registration_id,
            parent_id: Some(row.id),
            source_host_id: row.destination_host_id,
            destination_host_id: row.source_host_id,
            state: MigrationState::Queued,
            epoch: linode.epoch,
            base_epoch: Some(row.epoch),
            offered_by: None,
            offered_at: self.tx.now,
            expires_at: self.tx.now.plus_days(1),
            queued_at: Some(self.tx.now),
            queued_by: self.tx.who.user,
            kernels_accepted: true,
            stop_limit_s: row.stop_limit_s,
        };
        let new = store::migration::insert(self.tx.conn, &new).map_err(one_live)?;
        let said = match new.queued_by {
            Some(_) => "The way back was asked for.",
            None => "It goes home by itself: a check failed.",
        };
        self.tx.log(&new, said)
    }

    fn tell_parent(&mut self, row: &Migration, succeeded: bool) -> Result<()> {
        let Some(parent) = row.parent_id else {
            return Ok(());
        };
        let event = if succeeded {
            Event::WayBackSucceeded
        } else {
            Event::WayBackFailed
        };
        // Refused only if the parent was told before.
        let _applied = self.tx.apply(parent, event, &EventDetails::default())?;
        Ok(())
    }
}

/// Have both agents reported every disk under this round's epoch, with equal sizes and roots?
pub fn digests_agree(conn: &mut Db, row: &Migration) -> Result<bool> {
    let digests = store::migration::digests(conn, row.id)?;
    let disks = store::linode::disk::disks_of(conn, row.linode_id)?;
    Ok(disks.iter().all(|disk| {
        let side = |side: Side| {
            digests
                .iter()
                .find(|digest| digest.is_of(disk.id, side, row.epoch))
                .map(|digest| (digest.size_bytes, digest.root.as_str()))
        };
        side(Side::Source).is_some() && side(Side::Source) == side(Side::Destination)
    }))
}
