//! `/members/migrations/{id}`: progress and log while it runs; then the receipt, what to check, the way back, confirm.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use askama::Template;

use super::platform_name;
use crate::app::agents;
use crate::app::{Actor, App, AppError};
use crate::domain::ids::MigrationId;
use crate::domain::migration::{self, Step};
use crate::domain::time::Time;
use crate::domain::words::{JobState, MigrationKind, MigrationState as State};
use crate::store::hosts::Host;
use crate::store::jobs::Job;
use crate::store::migrations::Migration;
use crate::store::pages_members::{self, MigrationDetail};
use crate::web::error::Fault;
use crate::web::extract::{Form, Member, Nothing, Path};
use crate::web::live;
use crate::web::page::{self, Area, ConfirmPage, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Tag, Tone, When, Zone, units};

/// Silence of a host at work after which the page says so, in seconds: agents report at least every ten.
const QUIET_S: i64 = 20;

#[derive(Debug, Template)]
#[template(path = "members/migration.html")]
pub struct MigrationPage {
    pub page: Page,
    pub id: i64,
    pub linode: i64,
    pub label: String,
    pub kind: &'static str,
    pub from: String,
    pub to: String,
    pub live: Live,
    pub steps: Vec<StepMark>,
    pub at_work: bool,
    pub planned: Option<When>,
    pub is_offered: bool,
    pub is_queued: bool,
    pub can_cancel: bool,
    pub cancel_asked: bool,
    pub can_retry: bool,
    pub failure: Option<String>,
    pub after: Option<After>,
    pub receipt: Vec<ReceiptRow>,
    pub figures: Vec<(&'static str, String)>,
    pub log: Vec<LogRow>,
    /// The way back begun from this move, if any.
    pub child: Option<i64>,
    pub is_return: bool,
}

/// One phase in the row of phases at the top.
#[derive(Debug)]
pub struct StepMark {
    pub name: &'static str,
    pub class: &'static str,
    pub current: bool,
}

/// What can be done after the move: until when, and whether it was confirmed.
#[derive(Debug)]
pub struct After {
    pub until: Option<When>,
    pub can_confirm: bool,
}

#[derive(Debug)]
pub struct ReceiptRow {
    pub disk: String,
    pub size: String,
    pub source: String,
    pub destination: String,
    pub verdict: Tag,
}

#[derive(Debug)]
pub struct LogRow {
    pub at: When,
    pub message: String,
}

/// The values that change while the page is open. The page shows them, and the stream of events sends them; both are
/// made here, so they cannot differ. Keys name the elements that show them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Live {
    /// While this stays, patches are enough; when it changes, the page is fetched anew.
    pub shape: String,
    pub text: BTreeMap<&'static str, String>,
    pub attr: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
}

impl Live {
    #[must_use]
    pub fn new(
        migration: &Migration,
        job: Option<&Job>,
        position: Option<i64>,
        now: Time,
        zone: Zone,
    ) -> Self {
        let shape = format!(
            "{}-{}-{}",
            migration.state, migration.cancel_asked, migration.round
        );
        let mut text = BTreeMap::from([
            ("phase", phase(migration, job, position)),
            ("asof", zone.precise(now.utc()).text),
        ]);
        let mut attr = BTreeMap::from([(
            "asof",
            BTreeMap::from([("datetime", zone.precise(now.utc()).iso)]),
        )]);
        if is_at_work(migration.state) {
            let copying = job
                .filter(|job| job.state == JobState::Leased)
                .and_then(|job| Some((job, agents::progress(job)?)));
            let (value, words) = copying.map_or((0, String::new()), |(_, progress)| {
                // Thousandths, so that a large disk's bar still moves.
                let whole = progress.total_bytes.max(1);
                let value = u64::try_from(
                    u128::from(progress.done_bytes.min(whole)) * 1000 / u128::from(whole),
                )
                .unwrap_or(0);
                (value, progress_words(&progress, job.and_then(looked_for_s)))
            });
            text.insert("progress", words);
            text.insert("quiet", quiet(job, now));
            attr.insert("bar", BTreeMap::from([("value", value.to_string())]));
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

#[must_use]
pub fn is_at_work(state: State) -> bool {
    matches!(state, State::Preparing | State::Copying | State::Switching)
}

/// Is anything still to come that the page should hear of by itself?
#[must_use]
pub fn is_moving(state: State) -> bool {
    is_at_work(state) || matches!(state, State::Queued | State::Returning)
}

fn phase(migration: &Migration, job: Option<&Job>, position: Option<i64>) -> String {
    if migration.cancel_asked && is_at_work(migration.state) {
        return "Cancelling: waiting for the host to stop its work.".to_owned();
    }
    match migration.state {
        State::Offered => "Waiting for your click.".to_owned(),
        State::Queued => match position {
            Some(1) => "Next in the queue: it starts as soon as both hosts are free.".to_owned(),
            Some(place) => format!("Number {place} in the queue."),
            None => "Waiting for the time you chose.".to_owned(),
        },
        State::Preparing | State::Copying | State::Switching => {
            let step = migration.step.map_or("Working", step_words);
            match job.map(|job| job.state) {
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
        State::Finished => "Moved. It runs on its new host.".to_owned(),
        State::Confirmed => "Moved and confirmed.".to_owned(),
        State::Returning => "Moving back to the old host.".to_owned(),
        State::Returned => "Moved back to the old host.".to_owned(),
        State::Expired => "The offer has expired.".to_owned(),
        State::Cancelled => "Cancelled. It stays where it was.".to_owned(),
        State::Failed => "The move failed. The Linode stays where it was.".to_owned(),
    }
}

/// What a step does, in words for the member.
#[must_use]
pub fn step_words(step: Step) -> &'static str {
    match step {
        Step::PreflightSource => "Checking the present host",
        Step::PreflightDestination => "Checking the new host",
        Step::Reserve => "Reserving space on the new host",
        Step::OpenTransfer => "Opening the transfer between the hosts",
        Step::WarmCopy => "Copying the disks while the Linode runs",
        Step::StopSeal => "Stopping the Linode",
        Step::FinalCopy => "Copying the rest and comparing both copies",
        Step::Start => "Starting the Linode on its new host",
        Step::SealDestination => "The new host could not start it: closing it there",
        Step::Restore => "Starting the Linode again on its old host",
    }
}

/// How long the job has looked at disks, in seconds, as of its last word.
fn looked_for_s(job: &Job) -> Option<i64> {
    let (begun, heard) = job.started_at.zip(job.progress_at)?;
    Some(heard.seconds_since(begun)).filter(|seconds| *seconds > 0)
}

/// `looked_for_s`: since the job began, and so of use for its first pass; later ones are short.
fn progress_words(progress: &crate::wire::Progress, looked_for_s: Option<i64>) -> String {
    let mut words = format!(
        "Pass {}: {} of {} looked at, {} sent, {}.",
        progress.pass,
        units::bytes(progress.done_bytes),
        units::bytes(progress.total_bytes),
        units::bytes(progress.sent_bytes),
        units::rate(progress.bytes_per_s),
    );
    let rest = progress.total_bytes.saturating_sub(progress.done_bytes);
    let seconds = looked_for_s
        .filter(|_| progress.pass <= 1)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .and_then(|seconds| {
            rest.saturating_mul(seconds)
                .checked_div(progress.done_bytes)
        });
    if let Some(seconds) = seconds {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 4);
        // Disks are uneven: some of the rest is holes, some is dense.
        let (least, most) = (seconds / 2, seconds.saturating_mul(3) / 2);
        words.push_str(&format!(
            " This pass ends in {} to {}.",
            units::span(least),
            units::span(most.max(least + 1))
        ));
    }
    words
}

/// Empty while the host speaks.
fn quiet(job: Option<&Job>, now: Time) -> String {
    let Some(job) = job.filter(|job| job.state == JobState::Leased) else {
        return String::new();
    };
    let heard = job.progress_at.max(job.started_at);
    match heard.map(|at| now.seconds_since(at)) {
        Some(seconds) if seconds > QUIET_S => {
            format!(
                "No word from the host for {}. Nothing is lost: the move goes on when it answers.",
                units::span(seconds)
            )
        }
        _ => String::new(),
    }
}

impl MigrationPage {
    #[must_use]
    pub fn new(page: Page, detail: &MigrationDetail, now: Time) -> Self {
        let zone = page.zone();
        let migration = &detail.migration;
        let live = Live::new(migration, detail.job.as_ref(), detail.position, now, zone);
        let is_return = migration.kind == MigrationKind::Return;
        let host = |host: &Host| format!("{} ({})", host.name, platform_name(host.platform));
        Self {
            id: migration.id.0,
            linode: migration.linode_id.0,
            label: detail.linode.label.clone(),
            kind: kind_name(migration.kind),
            from: host(&detail.source),
            to: host(&detail.destination),
            steps: steps(migration.state),
            at_work: is_at_work(migration.state),
            planned: migration
                .not_before
                .filter(|at| migration.state == State::Queued && *at > now)
                .map(|at| zone.both(at.utc())),
            is_offered: migration.state == State::Offered
                && detail.linode.account_id == migration.account_id,
            is_queued: migration.state == State::Queued,
            can_cancel: migration::can_cancel(migration.state) && !migration.cancel_asked,
            cancel_asked: migration.cancel_asked && is_at_work(migration.state),
            can_retry: migration.state == State::Failed && !is_return,
            failure: (!migration.failure.is_empty()).then(|| migration.failure.clone()),
            after: after(migration, zone, now),
            receipt: receipt(detail),
            figures: figures(migration),
            log: detail
                .events
                .iter()
                .rev()
                .map(|event| LogRow {
                    at: zone.precise(event.at.utc()),
                    message: event.message.clone(),
                })
                .collect(),
            child: detail.child.as_ref().map(|child| child.id.0),
            is_return,
            live,
            page,
        }
    }
}

#[must_use]
pub fn kind_name(kind: MigrationKind) -> &'static str {
    match kind {
        MigrationKind::Beta => "Move to the Xen beta",
        MigrationKind::Graduation => "Move to a production host",
        MigrationKind::Return => "Way back",
        MigrationKind::Evacuation => "Move off a host",
    }
}

fn steps(state: State) -> Vec<StepMark> {
    let at = match state {
        State::Offered | State::Queued => 0,
        State::Preparing => 1,
        State::Copying => 2,
        State::Switching => 3,
        State::Finished | State::Confirmed | State::Returning | State::Returned => 5,
        State::Expired | State::Cancelled | State::Failed => return Vec::new(),
    };
    [
        "Queue",
        "Prepare",
        "Copy while running",
        "Switch over",
        "Done",
    ]
    .into_iter()
    .enumerate()
    .map(|(index, name)| StepMark {
        name,
        class: if index < at { "done" } else { "" },
        current: index == at,
    })
    .collect()
}

fn after(migration: &Migration, zone: Zone, now: Time) -> Option<After> {
    (migration.state == State::Finished).then(|| After {
        until: migration
            .way_back_until
            .filter(|until| *until > now && migration.kind != MigrationKind::Return)
            .map(|until| zone.both(until.utc())),
        can_confirm: true,
    })
}

fn receipt(detail: &MigrationDetail) -> Vec<ReceiptRow> {
    let root = |disk, side: &str| {
        detail
            .digests
            .iter()
            .find(|digest| digest.disk_id == disk && digest.side == side)
    };
    detail
        .disks
        .iter()
        .filter_map(|disk| {
            let (source, destination) = (root(disk.id, "source"), root(disk.id, "destination"));
            let known = source.or(destination)?;
            let equal = source
                .zip(destination)
                .map(|(one, other)| one.root == other.root && one.size_bytes == other.size_bytes);
            Some(ReceiptRow {
                disk: disk.label.clone(),
                size: units::bytes(u64::try_from(known.size_bytes).unwrap_or(0)),
                source: source.map(|digest| digest.root.clone()).unwrap_or_default(),
                destination: destination
                    .map(|digest| digest.root.clone())
                    .unwrap_or_default(),
                verdict: match equal {
                    Some(true) => Tag::new("Equal", Tone::Good),
                    Some(false) => Tag::new("Different", Tone::Bad),
                    None => Tag::new("One side only", Tone::Plain),
                },
            })
        })
        .collect()
}

fn figures(migration: &Migration) -> Vec<(&'static str, String)> {
    let mut figures = Vec::new();
    let bytes = |count: i64| units::bytes(u64::try_from(count).unwrap_or(0));
    if let (Some(from), Some(to)) = (migration.started_at, migration.finished_at) {
        figures.push(("Took in all", units::span(to.seconds_since(from))));
    }
    if let (Some(from), Some(to)) = (migration.stopped_at, migration.finished_at)
        && migration.was_running
    {
        figures.push((
            "From stop to running again, at most",
            units::span(to.seconds_since(from).max(1)),
        ));
    }
    if migration.total_bytes > 0 {
        figures.push(("Size of the disks", bytes(migration.total_bytes)));
    }
    if migration.sent_bytes > 0 {
        figures.push(("Sent between the hosts", bytes(migration.sent_bytes)));
    }
    if migration.warm_passes > 0 {
        figures.push(("Passes while it ran", migration.warm_passes.to_string()));
    }
    figures
}

async fn find(portal: &Portal, member: &Member, id: i64) -> Result<(MigrationDetail, Time), Fault> {
    let account = member.account;
    let now = portal.now();
    let found = portal::read(portal, move |conn| {
        pages_members::migration(conn, Some(account), MigrationId(id), now)
    })
    .await?;
    Ok((found.ok_or(Fault::NotFound)?, now))
}

fn page_of(member: &Member, detail: &MigrationDetail, title: String) -> Page {
    let linode = &detail.linode;
    member
        .page(Area::Linodes, title)
        .crumb("Linodes", "/members/")
        .crumb(&linode.label, format!("/members/linodes/{}", linode.id))
}

/// `GET /members/migrations/{id}`
pub async fn show(portal: Portal, member: Member, id: Path<i64>) -> Result<HttpResponse, Fault> {
    let (detail, now) = find(&portal, &member, id.0).await?;
    let mut page = page_of(
        &member,
        &detail,
        format!("Migration of {}", detail.linode.label),
    );
    if is_moving(detail.migration.state) {
        let live = Live::new(
            &detail.migration,
            detail.job.as_ref(),
            detail.position,
            now,
            page.zone(),
        );
        page = page.live(format!("/members/migrations/{}/events", id.0), live.shape);
    }
    page::html(&MigrationPage::new(page, &detail, now))
}

/// `GET /members/migrations/{id}/events`: the live values of the page above.
pub async fn events(portal: Portal, member: Member, id: Path<i64>) -> Result<HttpResponse, Fault> {
    find(&portal, &member, id.0).await?;
    let token = member
        .context
        .session_cookie()
        .unwrap_or_default()
        .to_owned();
    Ok(live::stream(
        portal,
        MigrationId(id.0),
        Some(member.account),
        token,
        member.zone(),
    ))
}

fn at_migration(fault: Fault, id: i64) -> Fault {
    match fault {
        Fault::Conflict { message, .. } => Fault::conflict_at(
            message,
            format!("/members/migrations/{id}"),
            "See how the migration stands",
        ),
        other => other,
    }
}

async fn act(
    portal: &Portal,
    member: &Member,
    id: i64,
    call: impl FnOnce(&App, &Actor, MigrationId) -> Result<Migration, AppError> + Send + 'static,
) -> Result<HttpResponse, Fault> {
    // Staff may act on anyone's migration, but not from the members' pages.
    find(portal, member, id).await?;
    let actor = member.actor.clone();
    let row = portal::run(portal, move |app| call(app, &actor, MigrationId(id)))
        .await
        .map_err(|fault| at_migration(fault, id))?;
    Ok(page::see_other(&format!("/members/migrations/{}", row.id)))
}

struct Question<'a> {
    title: String,
    consequences: &'a [&'a str],
    verb: &'a str,
    button: String,
    danger: bool,
    back: &'a str,
}

async fn ask(
    portal: &Portal,
    member: &Member,
    id: i64,
    question: impl FnOnce(&str) -> Question<'static>,
) -> Result<HttpResponse, Fault> {
    let (detail, _) = find(portal, member, id).await?;
    let question = question(&detail.linode.label);
    let url = format!("/members/migrations/{id}");
    page::html(&ConfirmPage {
        page: page_of(member, &detail, question.title).crumb(format!("Migration {id}"), &url),
        consequences: question
            .consequences
            .iter()
            .map(|line| (*line).to_owned())
            .collect(),
        rows: Vec::new(),
        action: format!("{url}/{}", question.verb),
        hidden: Vec::new(),
        fields: Vec::new(),
        button: question.button,
        danger: question.danger,
        back_url: url.clone(),
        back_label: question.back.to_owned(),
    })
}

/// `GET /members/migrations/{id}/cancel`
pub async fn ask_cancel(
    portal: Portal,
    member: Member,
    id: Path<i64>,
) -> Result<HttpResponse, Fault> {
    ask(&portal, &member, id.0, |label| Question {
        title: format!("Cancel the move of {label}?"),
        consequences: &[
            "The Linode stays on its present host and goes on running.",
            "What was copied is thrown away, and the place on the new host is given up. Staff can offer you another.",
        ],
        verb: "cancel",
        button: format!("Cancel the move of {label}"),
        danger: true,
        back: "Go on with the move",
    })
    .await
}

/// `POST /members/migrations/{id}/cancel`
pub async fn cancel(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    act(&portal, &member, id.0, |app, actor, id| {
        app.cancel_migration(actor, id)
    })
    .await
}

/// `GET /members/migrations/{id}/confirm`
pub async fn ask_confirm(
    portal: Portal,
    member: Member,
    id: Path<i64>,
) -> Result<HttpResponse, Fault> {
    ask(&portal, &member, id.0, |label| Question {
        title: format!("Confirm the move of {label}?"),
        consequences: &[
            "The copy on the host that it left is deleted for good, and there is no way back by one click any more.",
            "If you are not sure, wait: it is confirmed by itself when the time for the way back is over.",
        ],
        verb: "confirm",
        button: format!("Confirm the move and delete the old copy of {label}"),
        danger: true,
        back: "Not yet",
    })
    .await
}

/// `POST /members/migrations/{id}/confirm`
pub async fn confirm(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    act(&portal, &member, id.0, |app, actor, id| {
        app.confirm_migration(actor, id)
    })
    .await
}

/// `GET /members/migrations/{id}/way-back`
pub async fn ask_way_back(
    portal: Portal,
    member: Member,
    id: Path<i64>,
) -> Result<HttpResponse, Fault> {
    ask(&portal, &member, id.0, |label| Question {
        title: format!("Move {label} back?"),
        consequences: &[
            "It moves to its old host again, with all data as it is now: nothing written since the move is lost.",
            "Its config profiles get the kernels and device names they had there. It is down for a moment, as on the way here.",
        ],
        verb: "way-back",
        button: format!("Move {label} back"),
        danger: false,
        back: "Stay on the new host",
    })
    .await
}

/// `POST /members/migrations/{id}/way-back`
pub async fn way_back(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    act(&portal, &member, id.0, |app, actor, id| {
        app.way_back(actor, id)
    })
    .await
}

/// `POST /members/migrations/{id}/retry`
pub async fn retry(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    act(&portal, &member, id.0, |app, actor, id| {
        app.retry_migration(actor, id)
    })
    .await
}
