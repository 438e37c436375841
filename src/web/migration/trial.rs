//! A move's trial on its page: how it stands, what its console says, and the button for one.

use crate::domain::migration::MigrationState;
use crate::domain::trial::{NotNow, TrialState, has_failed, is_open};
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
}

/// In the page's own words of it; nothing to say of a move that was not tried and does not hold.
pub fn view(detail: &MigrationDetail, url: &str) -> Option<TrialView> {
    let trial = detail.trial.as_ref();
    let holds = detail.migration.state == MigrationState::Holding;
    if trial.is_none() && !holds {
        return None;
    }
    let words = match trial {
        None => "Try it there",
        Some(_) => "Try it there again",
    };
    Some(TrialView {
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
    let bytes: i64 = detail.disks.iter().map(|disk| disk.size_mb).sum();
    let cost = if detail.destination.tells_changes {
        format!(
            "{there} clones its copies without reading them; only what the clone writes takes room there."
        )
    } else {
        format!(
            "{there} has to copy all its copies once more for it: {} at the most, for which there must be room, and that takes its time.",
            units::mebibytes(bytes)
        )
    };
    [
        format!(
            "{label} runs on where it is and is not touched. A throw-away clone of what was copied boots on {there} as {label} will after its move, but without any network, for 5 minutes at the most; its console is shown on the move's page, and then it is destroyed."
        ),
        "It is a copy of disks in use, as after a loss of power: it may check its file systems first. It takes no traffic and keeps no data, and the time chosen for the move stays: if that comes, the trial is ended.".to_owned(),
        cost,
    ]
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
