//! The values of a migration's page that change while it is open: made once, shown by the page and sent by the stream.

use std::collections::BTreeMap;

use super::trial;
use crate::app::job::progress::{self, Seen};
use crate::domain::host::SILENT_S;
use crate::domain::job::{JobKind, JobState};
use crate::domain::migration::{AT_WORK, MigrationKind, MigrationState as State, Step};
use crate::domain::placement::Shut;
use crate::domain::time::Time;
use crate::domain::trial::First;
use crate::store::job::Job;
use crate::store::migration::Migration;
use crate::store::migration::page::{MigrationDetail, Place};
use crate::store::trial::Trial;
use crate::web::page::Page;
use crate::web::ui::names::step_words;
use crate::web::ui::{Tag, Zone, units};
use crate::wire::{LEASE_S, Progress};

/// Silence of a host at work after which the page says so, in seconds: agents renew a lease at least every three.
const QUIET_S: i64 = 5;

/// The values that change while the page is open. The page shows them, and the stream of events sends them; both are
/// made here, so they cannot differ. Keys name the elements that show them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Live {
    /// While this stays, patches are enough; when it changes, the page is fetched anew.
    pub shape: String,
    pub text: BTreeMap<&'static str, String>,
    pub attr: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
}

/// A migration before its reader.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    pub migration: &'a Migration,
    pub job: Option<&'a Job>,
    pub queue: Place,
    pub trial: Option<&'a Trial>,
    pub zone: Zone,
}

impl<'a> Watched<'a> {
    pub fn of(detail: &'a MigrationDetail, zone: Zone) -> Self {
        Self {
            migration: &detail.migration,
            job: detail.job.as_ref(),
            queue: detail.queue,
            trial: detail.trial.as_ref(),
            zone,
        }
    }
}

/// The page of a migration hears of what changes, if anything is to come, from `url`.
pub fn follow(page: Page, url: &str, detail: &MigrationDetail, now: Time) -> Page {
    let page = page.state(Tag::moved(detail.migration.kind, detail.migration.state).text);
    if !is_moving(detail.migration.state, detail.queue) {
        return page;
    }
    let shape = Live::new(Watched::of(detail, page.zone()), now).shape;
    page.live(format!("{url}/events"), shape)
}

impl Live {
    pub fn new(of: Watched<'_>, now: Time) -> Self {
        let Watched {
            migration,
            job,
            zone,
            ..
        } = of;
        let shape = format!(
            "{}-{}-{}-{:?}-{}-{}{}",
            migration.state,
            migration.cancel_asked,
            migration.round,
            migration.not_before,
            of.queue.is_asked,
            first_shape(of),
            trial::shape(of.trial)
        );
        let mut text =
            BTreeMap::from([("phase", phase(of, now)), ("asof", zone.precise(now).text)]);
        let mut attr = BTreeMap::from([(
            "asof",
            BTreeMap::from([("datetime", zone.precise(now).iso)]),
        )]);
        if let Some(forecast) = of.queue.forecast {
            let words = format!("A stop now would take {}.", forecast.down.words());
            text.insert("forecast", words);
        }
        if let Some(trial) = of.trial {
            text.insert("trial", trial::words(trial, zone));
            text.insert("trial-console", trial.console.clone());
        }
        if AT_WORK.contains(&migration.state) {
            let seen = job.and_then(progress::seen);
            let said = job
                .filter(|job| job.state == JobState::Leased)
                .zip(seen)
                .map(|(job, seen)| progress_words(job, &seen))
                .unwrap_or_default();
            text.insert("progress", said);
            text.insert("quiet", quiet(of, now));
            // While it holds, passes come and go.
            if is_at_work(migration.state) {
                let value = bar(migration, seen).to_string();
                attr.insert("bar", BTreeMap::from([("value", value)]));
            }
        }
        Self { shape, text, attr }
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.text.get(key).map_or("", String::as_str)
    }

    pub(crate) fn attr(&self, key: &str, name: &str) -> &str {
        self.attr
            .get(key)
            .and_then(|attrs| attrs.get(name))
            .map_or("", String::as_str)
    }
}

/// Is something done that has a bar?
pub fn is_at_work(state: State) -> bool {
    matches!(state, State::Preparing | State::Copying | State::Switching)
}

/// Is anything still to come that the page should hear of by itself?
pub fn is_moving(state: State, queue: Place) -> bool {
    let is_to_go_on = matches!(state, State::Queued | State::Holding | State::Returning);
    is_at_work(state) || is_to_go_on || queue.is_asked
}

fn phase(of: Watched<'_>, now: Time) -> String {
    let Watched {
        migration,
        job,
        queue,
        zone,
        ..
    } = of;
    if let Some(words) = paused(migration.state, queue) {
        return words.to_owned();
    }
    if queue.job_paused.is_some() && !migration.cancel_asked {
        return "On hold: our staff hold the next step back for a while. Your Linode stays as it is, and the move goes on by itself.".to_owned();
    }
    if migration.cancel_asked && AT_WORK.contains(&migration.state) {
        return "Cancelling: waiting for the host to stop its work.".to_owned();
    }
    match migration.state {
        State::Offered if queue.held_back.is_some() => HELD_OFFER.to_owned(),
        State::Offered => "Waiting for your click.".to_owned(),
        State::Queued if queue.held_back.is_some() => HELD_QUEUED.to_owned(),
        State::Queued => match queue.position {
            Some(_) if queue.shut.is_some() => shut(queue),
            Some(1) => "Next in the queue: it starts as soon as both hosts are free.".to_owned(),
            Some(place) => format!("Number {place} in the queue."),
            None => match migration.begin_at {
                Some(at) => format!(
                    "Copying begins at {}, early enough for its time.",
                    zone.both(at).text
                ),
                None => "Waiting for its time.".to_owned(),
            },
        },
        State::Holding => holding(of, now),
        State::Preparing | State::Copying | State::Switching => {
            let step = migration.step;
            let step = step.map_or("Working", |step| step_words(step, migration.kind));
            match job.map(|job| job.state) {
                Some(JobState::Pending) if job.is_some_and(is_lost) => {
                    format!("{step}: waiting for the host to go on.")
                }
                Some(JobState::Pending) => format!("{step}: waiting for the host to begin."),
                Some(JobState::Failed) => {
                    format!("{step}: this needs an operator. We have been told.")
                }
                Some(JobState::Leased | JobState::Succeeded | JobState::Cancelled) | None => {
                    format!("{step}.")
                }
            }
        }
        State::Finished if migration.kind == MigrationKind::Return => {
            "Moved back. It runs on its old host again.".to_owned()
        }
        State::Finished if queue.is_asked => {
            "Moved. It runs on its new host, which asks its checks now.".to_owned()
        }
        State::Finished => "Moved. It runs on its new host.".to_owned(),
        State::Confirmed if migration.kind == MigrationKind::Return => {
            "Moved back and confirmed. It runs on its old host.".to_owned()
        }
        State::Confirmed => "Moved and confirmed.".to_owned(),
        State::Returning => "Moving back to the old host.".to_owned(),
        State::Returned => "Moved back to the old host.".to_owned(),
        State::Expired => "The offer has expired.".to_owned(),
        State::Cancelled => "Cancelled. It stays where it was.".to_owned(),
        State::Failed if migration.kind == MigrationKind::Return => {
            "The way back failed. The Linode stays where it was.".to_owned()
        }
        State::Failed => "The move failed. The Linode stays where it was.".to_owned(),
    }
}

/// Staff hold moves back: what was chosen is kept.
pub const HELD_OFFER: &str = "Moves are paused for now by our staff. You can click all the same, or choose a time: your click is kept, and it begins when they go on.";
const HELD_QUEUED: &str = "Moves are paused for now by our staff. Your click is kept, and so is a time that you chose: it begins when they go on. If your time passes before that, the offer stands again and you choose another.";

/// Nothing happens to the Linode now, and why.
fn paused(state: State, queue: Place) -> Option<&'static str> {
    if !is_moving(state, queue) {
        return None;
    }
    if queue.pause.held_since.is_some() {
        return Some(
            "On hold: two of our records of this Linode differ. Nothing is done to it until our staff have put that right; its data is safe.",
        );
    }
    queue.pause.recovery_since.map(|_| {
        "On hold: we are comparing our records with every host first. Your Linode stays as it is, and the move goes on by itself."
    })
}

/// One of its hosts cannot take part.
fn shut(queue: Place) -> String {
    let host = match queue.shut {
        Some((_, Shut::Source(_))) => "its present host",
        Some((_, Shut::Destination(_))) | None => "the host it is to go to",
    };
    format!(
        "Waiting: {host} cannot take part in a move now. It starts when that is over; our staff see it, and can offer another host."
    )
}

/// It runs on, and is in step.
fn holding(of: Watched<'_>, now: Time) -> String {
    let (row, zone) = (of.migration, of.zone);
    let then = match (of.queue.held_until, row.not_before.filter(|at| *at > now)) {
        _ if of.queue.first == Some(First::Failed) => {
            "its trial on the new host failed, so it is not stopped".to_owned()
        }
        (Some(at), _) => format!(
            "it stops when the quiet hours end, at {}",
            zone.both(at).text
        ),
        (None, Some(at)) => format!("it stops at {}", zone.both(at).text),
        (None, None) => match row.over_limit(of.queue.forecast) {
            _ if waits_for_trial(of) => "it stops when it has come up on its new host".to_owned(),
            Some((limit_s, _)) => format!(
                "it stops as soon as that takes no longer than your limit of {}",
                units::span(i64::from(limit_s))
            ),
            None => "it stops as soon as a stop is free on both hosts".to_owned(),
        },
    };
    if row.step == Some(Step::TopUp) {
        return format!("In step, and copying what has changed since; {then}.");
    }
    let since = row.in_step_at.map_or_else(String::new, |at| {
        format!(" (last pass {})", zone.precise(at).text)
    });
    format!("In step with its copy{since}: {then}.")
}

/// Its time has come, or it has none, and it is to be tried first.
fn waits_for_trial(of: Watched<'_>) -> bool {
    match of.queue.first {
        Some(First::ToTry | First::AtWork | First::Failed) => true,
        Some(First::CameUp(_)) | None => false,
    }
}

/// What the page says of that changes with it.
fn first_shape(of: Watched<'_>) -> &'static str {
    match of.queue.first {
        None if of.migration.try_first_since.is_some() => "first",
        None => "",
        Some(First::ToTry) => "to-try",
        Some(First::AtWork) => "tries",
        Some(First::CameUp(_)) => "came-up",
        Some(First::Failed) => "failed",
    }
}

/// How long the job has looked at disks, in seconds, as of its last word.
fn looked_for_s(job: &Job) -> Option<i64> {
    let (begun, heard) = job.started_at.zip(job.progress_at)?;
    Some(heard.seconds_since(begun)).filter(|seconds| *seconds > 0)
}

/// In thousandths. In one state it never goes back, whichever step is at work in it.
fn bar(row: &Migration, seen: Option<Seen>) -> u16 {
    let is_copied = match row.step {
        Some(Step::Start) => true,
        Some(Step::OpenTransfer) => row.base_epoch.is_some(),
        _ => false,
    };
    if is_copied {
        1000
    } else {
        seen.map_or(0, |seen| seen.shown)
    }
}

fn progress_words(job: &Job, seen: &Seen) -> String {
    let said = &seen.said;
    if job.kind == JobKind::Reserve {
        return format!(
            "It begins with a copy of its earlier disks there: {} of {}.",
            units::bytes(said.done_bytes),
            units::bytes(said.total_bytes)
        );
    }
    if let Some(checked) = said.checked_bytes {
        return format!(
            "Pass {}: {} sent in all; now the copy is read once more, {} of {}.",
            said.pass,
            units::bytes(said.sent_bytes),
            units::bytes(checked),
            units::bytes(said.total_bytes)
        );
    }
    let left = seen.sending().left();
    let mut words = format!(
        "Pass {}: {} left to send, {} sent, {}.",
        said.pass,
        units::bytes(left),
        units::bytes(said.sent_bytes),
        units::rate(said.bytes_per_s),
    );
    if let Some(seconds) = left_s(job, said, left) {
        // Disks are uneven: some of the rest is holes, some is dense.
        let (least, most) = (seconds / 2, seconds.saturating_mul(3) / 2);
        words.push_str(&match most {
            ..10 => " This pass ends in a few seconds.".to_owned(),
            _ => format!(
                " This pass ends in {} to {}.",
                units::span(least.max(1)),
                units::span(most)
            ),
        });
    }
    words
}

/// How long the rest of the pass takes: of the first one by all that was done since the job began, which is its; of a later
/// one, which is short, by what is sent at the moment.
fn left_s(job: &Job, said: &Progress, left: u64) -> Option<i64> {
    let seconds = if said.pass <= 1 {
        let looked_for_s = u64::try_from(looked_for_s(job)?).ok()?;
        let rest = said.total_bytes.saturating_sub(said.done_bytes);
        rest.saturating_mul(looked_for_s)
            .checked_div(said.done_bytes)?
    } else {
        left.checked_div(said.bytes_per_s)?
    };
    Some(i64::try_from(seconds).unwrap_or(i64::MAX / 4))
}

/// Its host took it, and has not said how it ended: it is to be taken again.
fn is_lost(job: &Job) -> bool {
    job.state == JobState::Pending && job.losses > 0
}

/// Empty while the host speaks.
fn quiet(of: Watched<'_>, now: Time) -> String {
    let Some(job) = of.job else {
        return String::new();
    };
    // Each renewal is a word.
    let renewed = job.lease_until.map(|at| at.plus_s(-i64::from(LEASE_S)));
    let said = job.progress_at.max(job.started_at).max(renewed);
    let (heard, most) = match job.state {
        JobState::Leased => (said, QUIET_S),
        // Its lease is over, and the silence goes on.
        JobState::Pending if is_lost(job) => (said.max(of.queue.heard), i64::from(LEASE_S) - 1),
        JobState::Pending => (of.queue.heard, SILENT_S),
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => (None, QUIET_S),
    };
    match heard.map(|at| now.seconds_since(at)) {
        Some(seconds) if seconds > most => {
            format!(
                "No word from the host for {}. Nothing is lost: the move goes on when it answers.",
                units::span(seconds)
            )
        }
        _ => String::new(),
    }
}
