//! A move's trial on its page: how it stands, what its console says, and the button for one.

use crate::domain::migration::{MigrationKind, MigrationState, hold};
use crate::domain::trial::{First, NotNow, TrialState, has_failed, is_open};
use crate::store::host::Host;
use crate::store::linode::disk::Disk;
use crate::store::migration::Migration;
use crate::store::migration::page::MigrationDetail;
use crate::store::trial::Trial;
use crate::web::ui::{Action, Zone, units};

#[derive(Debug)]
pub struct TrialView {
    pub tone: &'static str,
    /// There is, or may come, something to read.
    pub has_console: bool,
    /// There was one, or is.
    pub is_any: bool,
    /// While it holds: for a trial, or another one.
    pub offer: Option<Action>,
    /// Why there is none now.
    pub why_not: Option<String>,
    /// It is tried before it stops: how that stands.
    pub first: Option<String>,
}

impl TrialView {
    /// One is offered to those who may ask for it.
    #[must_use]
    pub fn for_those_who(mut self, may: bool) -> Self {
        self.offer = self.offer.filter(|_| may);
        self
    }
}

/// In the page's own words of it; nothing to say of a move that was not tried and does not hold.
pub fn view(detail: &MigrationDetail, url: &str, zone: Zone) -> Option<TrialView> {
    let trial = detail.trial.as_ref();
    let holds = detail.migration.state == MigrationState::Holding;
    let first = first_words(detail, zone);
    if trial.is_none() && !holds && first.is_none() {
        return None;
    }
    let words = match trial {
        None => "Try it there",
        Some(_) => "Try it there again",
    };
    Some(TrialView {
        first,
        tone: trial.map_or("", |it| tone(it.state)),
        has_console: trial
            .is_some_and(|it| it.state == TrialState::Running || !it.console.is_empty()),
        is_any: trial.is_some(),
        offer: matches!(detail.may_try, Ok(()))
            .then(|| Action::ask(format!("{url}/try"), words).second()),
        why_not: match detail.may_try {
            Err(why @ (NotNow::Copying | NotNow::HostBusy | NotNow::OlderAgent)) => {
                Some(why.to_string())
            }
            Ok(()) | Err(NotNow::NotInStep | NotNow::Cancelled | NotNow::Already) => None,
        },
    })
}

fn tone(state: TrialState) -> &'static str {
    match state {
        TrialState::CameUp => " good",
        _ if has_failed(state) => " bad",
        TrialState::NotTried => " warn",
        _ => "",
    }
}

/// How it stands, as it changes.
pub(super) fn words(trial: &Trial, zone: Zone) -> String {
    match (trial.state, trial.began_at) {
        (TrialState::Asked, _) => "Asked for: the new host has not begun yet.".to_owned(),
        (TrialState::Running, began) => {
            let since = began.map_or_else(String::new, |at| {
                format!(" (begun at {})", zone.precise(at).text)
            });
            format!(
                "A clone of its copies boots on the new host, without a network{since}. The Linode itself runs on."
            )
        }
        _ => trial.outcome.clone(),
    }
}

/// What it does and what it does not, before it is asked for.
pub fn consequences(detail: &MigrationDetail) -> [String; 3] {
    let (label, there) = (&detail.linode.label, &detail.destination.name);
    let cost = cost(&detail.destination, &detail.disks);
    [
        format!(
            "{label} runs on where it is and is not touched. A throw-away clone of what was copied boots on {there} as {label} will after its move, but without any network, for 5 minutes at the most; its console is shown on the move's page, and then it is destroyed."
        ),
        "It is a copy of disks in use, as after a loss of power: it may check its file systems first. It takes no traffic and keeps no data, and the time chosen for the move stays: if that comes, the trial is ended.".to_owned(),
        cost,
    ]
}

/// What one takes there.
pub fn cost(there: &Host, disks: &[Disk]) -> String {
    let (name, bytes) = (&there.name, disks.iter().map(|disk| disk.size_mb).sum());
    if there.tells_changes {
        format!(
            "{name} clones its copies without reading them; only what the clone writes takes room there."
        )
    } else {
        format!(
            "{name} has to copy all its copies once more for it: {} at the most, for which there must be room, and that takes its time.",
            units::mebibytes(bytes)
        )
    }
}

/// Of one that is tried before it stops: how that stands.
fn first_words(detail: &MigrationDetail, zone: Zone) -> Option<String> {
    let row = &detail.migration;
    if !row.awaits_stop() || row.try_first_since.is_none() {
        return None;
    }
    let words = match detail.queue.first {
        None => "It is tried on its new host first, and stopped only if it comes up there.",
        Some(First::ToTry) => {
            "It is tried on its new host first, as soon as that can begin, and stopped only if it comes up there."
        }
        Some(First::AtWork) => {
            "It is being tried on its new host, and stopped only if it comes up there; if its time comes before, it waits."
        }
        Some(First::CameUp(_)) => "It was tried on its new host first, and came up there.",
        Some(First::Failed) => return Some(failed_words(row, zone)),
    };
    Some(words.to_owned())
}

fn failed_words(row: &Migration, zone: Zone) -> String {
    let why = "It was tried on its new host first, and that failed, so it is not stopped";
    if row.kind == MigrationKind::Evacuation {
        let at = zone.both(row.expires_at).text;
        return format!("{why} before staff move it, at {at}. If something is wrong, tell us.");
    }
    let until = |at| zone.both(hold::may_stop_until(at, row.patience_s)).text;
    let then = row.not_before.map(until).map_or_else(String::new, |until| {
        format!(" If you do nothing until {until}, it stays where it is, and its offer stands.")
    });
    format!("{why}. Go on all the same, have it tried again, choose another time, or cancel.{then}")
}

/// It waits for its member's word.
pub fn has_first_failed(detail: &MigrationDetail) -> bool {
    detail.migration.awaits_stop() && detail.queue.first == Some(First::Failed)
}

/// The last one ran and did not come up: what a member reads before they choose a time.
pub fn warning(trial: Option<&Trial>) -> Option<String> {
    let failed = trial.filter(|it| has_failed(it.state));
    failed.map(|it| it.outcome.clone())
}

/// Patches are not enough when it begins and ends: the button comes and goes.
pub(super) fn shape(trial: Option<&Trial>) -> String {
    trial.map_or_else(String::new, |it| {
        let says = is_open(it.state) && !it.console.is_empty();
        format!("-{}-{}-{says}", it.id, it.state)
    })
}
