//! `/members/migrations/{id}`: progress and log while it runs; then the receipt, what to check, the way back, confirm.
//! Rule of the room: the page here, what changes on it in [`crate::web::migration::live`], what is done from it in [`super::actions`].

use actix_web::web::Data;
use askama::Template;

use super::figures::figures;
use super::shared::{find, url_of};
use crate::app::error::AppError;
use crate::app::migration::guard::closed_to_members;
use crate::app::migration::schedule::can_unschedule;
use crate::domain::ids::MigrationId;
use crate::domain::migration::{
    self, AT_WORK, BEFORE_THE_STOP, MigrationKind, MigrationState as State, Side,
};
use crate::domain::placement::Standing;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::host::Host;
use crate::store::migration::Migration;
use crate::store::migration::page::MigrationDetail;
use crate::web::bounds::Bounds;
use crate::web::extract::{Asks, Member, Path};
use crate::web::fault::Response;
use crate::web::members::fairness::compared::{Compared, compared};
use crate::web::members::linode::shared::page_of;
use crate::web::migration::check::ChecksView;
use crate::web::migration::live::{Live, Watched, follow};
use crate::web::migration::stream;
use crate::web::migration::timeline::Timeline;
use crate::web::migration::trial::{self, TrialView};
use crate::web::page::{self, Page};
use crate::web::portal::Portal;
use crate::web::ui::names::{kind_name, platform_name};
use crate::web::ui::{Action, Tag, Tone, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "members/migration/show.html")]
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
    /// When it stops.
    pub planned: Option<When>,
    /// Not at the time chosen, which is in quiet hours now, but at their end.
    pub is_held: bool,
    pub actions: Vec<Action>,
    /// The migration on whose page a failed way back is asked for again.
    pub ask_again: Option<i64>,
    /// It was cancelled, or its offer expired: what is next stands with the registration.
    pub came_to_nothing: bool,
    pub failure: Option<String>,
    pub after: Option<After>,
    pub receipt: Vec<ReceiptRow>,
    pub has_receipt: bool,
    /// What was to answer, if its member named something.
    pub checks: Option<ChecksView>,
    pub figures: Vec<(&'static str, String)>,
    pub timeline: Option<Timeline>,
    /// What it used before and after, once there are samples of both.
    pub moved: Option<Compared>,
    pub log: Vec<LogRow>,
    /// The way back begun from this move, if any.
    pub child: Option<i64>,
    pub is_return: bool,
    /// It is where it was to go.
    pub is_good: bool,
    /// What becomes of the old copy, once there is no way back.
    pub old_copy: Option<&'static str>,
    /// Some of it was read back through the file system's cache.
    pub cached: bool,
    /// Staff move it, for this reason: it is theirs to cancel and to try again.
    pub move_off: Option<String>,
    /// It failed or is finished: what went wrong can be told.
    pub is_over: bool,
    pub trial: Option<TrialView>,
    /// It went back: to where its registration stands.
    pub next_try: bool,
}

/// One phase in the row of phases at the top.
#[derive(Debug)]
pub struct StepMark {
    pub name: &'static str,
    pub class: &'static str,
    pub current: bool,
}

/// What can be done after the move, and until when.
#[derive(Debug)]
pub struct After {
    pub until: Option<When>,
    /// Why there is no way back for its member, if there is none.
    pub closed: Option<&'static str>,
    /// It has just come: there is time to look.
    pub is_fresh: bool,
    pub actions: Vec<Action>,
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

impl MigrationPage {
    pub fn new(page: Page, detail: &MigrationDetail, now: Time) -> Self {
        let zone = page.zone();
        let migration = &detail.migration;
        let live = Live::new(Watched::of(detail, zone), now);
        let after = after(detail, zone, now);
        let can_go_back = after.as_ref().is_some_and(|it| it.until.is_some());
        let host = |host: &Host| format!("{} ({})", host.name, platform_name(host.platform));
        Self {
            id: migration.id.0,
            linode: migration.linode_id.0,
            label: detail.linode.label.clone(),
            kind: kind_name(migration.kind),
            from: host(&detail.source),
            to: host(&detail.destination),
            steps: steps(migration.state),
            at_work: AT_WORK.contains(&migration.state),
            planned: planned(migration, now)
                .map(|at| zone.both(detail.queue.held_until.unwrap_or(at))),
            is_held: detail.queue.held_until.is_some(),
            actions: actions(detail, now),
            ask_again: failed_return(migration),
            came_to_nothing: matches!(migration.state, State::Cancelled | State::Expired),
            failure: (!migration.failure.is_empty()).then(|| migration.failure.clone()),
            after,
            receipt: receipt(detail),
            has_receipt: detail.has_receipt,
            checks: detail
                .checks
                .as_ref()
                .and_then(|it| ChecksView::new(it, zone, (migration, can_go_back))),
            figures: figures(migration),
            timeline: Timeline::of(migration, zone, now),
            moved: None,
            log: detail
                .events
                .iter()
                .rev()
                .map(|event| LogRow {
                    at: zone.precise(event.at),
                    message: event.message.clone(),
                })
                .collect(),
            child: detail.child.as_ref().map(|child| child.id.0),
            is_over: matches!(
                migration.state,
                State::Failed | State::Finished | State::Confirmed | State::Returned
            ),
            is_return: migration.kind == MigrationKind::Return,
            is_good: matches!(migration.state, State::Finished | State::Confirmed),
            trial: trial::view(detail, &url_of(migration.id), zone),
            next_try: next_try(detail),
            old_copy: old_copy(detail, now),
            cached: migration.uncached == Some(false),
            move_off: (migration.kind == MigrationKind::Evacuation)
                .then(|| migration.reason.clone()),
            live,
            page,
        }
    }
}

impl MigrationPage {
    /// A console is its member's: staff see what they send along with a bug.
    #[must_use]
    pub fn for_staff(mut self) -> Self {
        if let Some(checks) = &mut self.checks {
            checks.console.clear();
        }
        self
    }
}

/// It is out of the beta again, and its registration stands.
fn next_try(detail: &MigrationDetail) -> bool {
    let row = &detail.migration;
    let old_host = match (row.kind, row.state) {
        (MigrationKind::Return, State::Finished | State::Confirmed) => &detail.destination,
        (_, State::Returned) => &detail.source,
        _ => return false,
    };
    detail.linode.host_id == old_host.id && old_host.standing() == Standing::Outside
}

/// The time at which it is to stop, while it was not told to.
fn planned(migration: &Migration, now: Time) -> Option<Time> {
    // While it holds, its phase says it.
    let waits = BEFORE_THE_STOP.contains(&migration.state) && migration.state != State::Holding;
    migration.not_before.filter(|at| waits && *at > now)
}

fn can_choose(migration: &Migration) -> bool {
    migration.awaits_stop() && migration.kind != MigrationKind::Return
}

/// The migration that a failed way back goes back on: it is asked for anew where it was asked for.
fn failed_return(migration: &Migration) -> Option<i64> {
    let failed = migration.kind == MigrationKind::Return && migration.state == State::Failed;
    migration
        .parent_id
        .filter(|_| failed)
        .map(|parent| parent.0)
}

pub fn can_cancel(migration: &Migration) -> bool {
    migration::can_cancel(migration.state)
        && !migration.cancel_asked
        && failed_return(migration).is_none()
}

pub fn can_retry(detail: &MigrationDetail) -> bool {
    let migration = &detail.migration;
    migration.state == State::Failed
        && migration.kind != MigrationKind::Return
        && detail.linode.host_id == migration.source_host_id
}

/// What its members can do with it until it is done.
fn actions(detail: &MigrationDetail, now: Time) -> Vec<Action> {
    let (migration, label) = (&detail.migration, &detail.linode.label);
    let url = url_of(migration.id);
    let start = |words: String| {
        Action::ask(
            format!("/members/linodes/{}/migrate", migration.linode_id),
            words,
        )
    };
    let offered =
        migration.state == State::Offered && detail.linode.account_id == migration.account_id;
    let timed = migration.not_before.is_some_and(|at| at > now);
    let words = if timed {
        "Change the time"
    } else {
        "Choose a time to stop"
    };
    let theirs = migration.kind != MigrationKind::Evacuation;
    Action::those([
        (
            trial::has_first_failed(detail) && theirs,
            Action::ask(format!("{url}/untried"), "Go on all the same").second(),
        ),
        (offered, start(format!("Migrate {label}"))),
        (
            timed && can_choose(migration) && !theirs,
            start(format!("Move {label} sooner")).second(),
        ),
        (
            can_choose(migration) && theirs,
            start(words.to_owned()).second(),
        ),
        (
            can_unschedule(migration, now) && theirs,
            Action::ask(format!("{url}/unschedule"), "Cancel the time").second(),
        ),
        (
            can_retry(detail) && theirs,
            Action::send(
                format!("{url}/retry"),
                format!("Try the move of {label} again"),
            ),
        ),
        (
            can_cancel(migration) && theirs,
            Action::ask(
                format!("{url}/cancel"),
                format!("Cancel the move of {label}"),
            )
            .second(),
        ),
    ])
}

fn steps(state: State) -> Vec<StepMark> {
    let at = match state {
        State::Offered | State::Queued => 0,
        State::Preparing => 1,
        State::Copying => 2,
        State::Holding => 3,
        State::Switching => 4,
        State::Finished | State::Confirmed | State::Returning | State::Returned => 6,
        State::Expired | State::Cancelled | State::Failed => return Vec::new(),
    };
    [
        "Queue",
        "Prepare",
        "Copy while running",
        "In step",
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

fn after(detail: &MigrationDetail, zone: Zone, now: Time) -> Option<After> {
    let migration = &detail.migration;
    let closed = closed_to_members(migration, &detail.source);
    let until = migration
        .way_back_until
        .filter(|_| !migration.way_back_is_over(now, detail.queue.pause.watched_s))
        .filter(|_| migration.kind != MigrationKind::Return)
        .filter(|_| closed.is_none());
    let url = url_of(migration.id);
    let back = format!("Move {} back", detail.linode.label);
    let back = Action::ask(format!("{url}/way-back"), back).second();
    let confirm = Action::ask(format!("{url}/confirm"), "All is well: confirm");
    // What ends the way back is not what one comes for while there was no time to look.
    let is_fresh = until.is_some()
        && migration
            .finished_at
            .is_some_and(|at| now.seconds_since(at) < FRESH_S);
    (migration.state == State::Finished).then(|| After {
        until: until.map(|until| zone.both(until)),
        closed,
        is_fresh,
        actions: Action::those(if is_fresh {
            [(true, back), (true, confirm.second())]
        } else {
            [(true, confirm), (until.is_some(), back)]
        }),
    })
}

/// So long after a move nobody is urged to confirm it, in seconds.
const FRESH_S: i64 = 3600;

fn old_copy(detail: &MigrationDetail, now: Time) -> Option<&'static str> {
    let row = &detail.migration;
    if row.purged_at.is_some() || row.committed_at.is_none() {
        return None;
    }
    let stays = match row.kind {
        MigrationKind::Return => {
            "The copy on the host that it left stays until its old host has shown that it has all disks, whole and readable. Then it is deleted."
        }
        MigrationKind::Beta | MigrationKind::Graduation | MigrationKind::Evacuation => {
            "The old copy stays until the new host has shown that it has all disks, whole and readable. Then it is deleted."
        }
    };
    match row.state {
        State::Confirmed => Some(stays),
        State::Finished
            if row.way_back_until.is_some()
                && row.way_back_is_over(now, detail.queue.pause.watched_s) =>
        {
            Some(stays)
        }
        _ => None,
    }
}

fn receipt(detail: &MigrationDetail) -> Vec<ReceiptRow> {
    let root = |disk, side: Side| {
        detail
            .digests
            .iter()
            .find(|digest| digest.disk_id == disk && digest.side == side)
    };
    detail
        .disks
        .iter()
        .filter_map(|disk| {
            let (source, destination) = (
                root(disk.id, Side::Source),
                root(disk.id, Side::Destination),
            );
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

/// Of a move that is finished.
fn usage_around(
    conn: &mut Db,
    detail: &MigrationDetail,
    now: Time,
) -> Result<Option<store::fairness::page::Moved>, StoreError> {
    let migration = detail.migration.clone();
    if migration.finished_at.is_none() || migration.committed_at.is_none() {
        return Ok(None);
    }
    let hosts = (detail.source.clone(), detail.destination.clone());
    let now = now.utc().timestamp();
    store::fairness::page::around(conn, migration, hosts, now).map(Some)
}

/// `GET /members/migrations/{id}`
pub async fn show(portal: Portal, asks: Asks<Member>, id: Path<i64>) -> Response {
    let now = portal.now();
    let (member, (detail, moved)) = asks
        .read(move |conn, actor| {
            let (account, id) = (actor.require_account()?, MigrationId(id.0));
            let detail = store::migration::page::migration(conn, Some(account), id, now)?
                .ok_or(AppError::NotFound)?;
            let moved = usage_around(conn, &detail, now)?;
            Ok((detail, moved))
        })
        .await?;
    let title = format!("Migration of {}", detail.linode.label);
    let page = page_of(&member, &detail.linode, title);
    let page = follow(page, &url_of(detail.migration.id), &detail, now);
    let zone = page.zone();
    page::html(&MigrationPage {
        moved: moved
            .map(|moved| compared(&moved, zone))
            .filter(Compared::is_told),
        ..MigrationPage::new(page, &detail, now)
    })
}

/// `GET /members/migrations/{id}/events`: the live values of the page above.
pub async fn events(member: Member, bounds: Data<Bounds>, id: Path<i64>) -> Response {
    find(&member, id.0).await?;
    let account = Some(member.account);
    let reader = (&*member, &bounds.streams);
    stream::stream(member.portal.clone(), reader, MigrationId(id.0), account)
}
