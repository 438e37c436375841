//! What the checks of a move answered, before it and after it.

use crate::domain::linode::check::CheckState;
use crate::domain::migration::{MigrationKind, MigrationState as State};
use crate::domain::time::span;
use crate::store::migration::Migration;
use crate::store::migration::check::{CheckRun, CheckedRow};
use crate::web::members::linode::check::answer;
use crate::web::ui::{Tag, Zone};

#[derive(Debug)]
pub struct ChecksView {
    pub verdict: String,
    pub rows: Vec<CheckedView>,
    pub console: String,
}

#[derive(Debug)]
pub struct CheckedView {
    pub words: String,
    pub before: (Tag, String),
    /// `None`: it was not demanded, or not asked yet.
    pub after: Option<(Tag, String)>,
}

impl ChecksView {
    /// `None`: it never came to anything. `can_go_back`: its member can take the way back.
    pub fn new(
        (run, rows): &(CheckRun, Vec<CheckedRow>),
        zone: Zone,
        (row, can_go_back): (&Migration, bool),
    ) -> Option<Self> {
        let never = matches!(row.state, State::Cancelled | State::Expired);
        if never && run.state == CheckState::Waiting {
            return None;
        }
        let view = |it: &CheckedRow| CheckedView {
            words: it.check().words(),
            before: (answer(true, it.home_ok), it.home_said.clone()),
            after: it.asked_at.map(|_| (answer(true, it.ok), it.said.clone())),
        };
        Some(Self {
            verdict: verdict(run, zone, (row, can_go_back)),
            rows: rows.iter().map(view).collect(),
            console: run.console.clone(),
        })
    }
}

fn verdict(run: &CheckRun, zone: Zone, (row, can_go_back): (&Migration, bool)) -> String {
    let then = what_follows(row.kind, run.goes_home);
    let failed = "A check that passed before the move failed after it";
    match run.state {
        CheckState::Waiting if row.state == State::Failed => {
            "The move failed, so they were not asked again. Another try asks them anew.".to_owned()
        }
        CheckState::Waiting => format!(
            "Those that pass before it are asked again after the move. If one does not pass there within {}, {then}.",
            span(i64::from(run.limit_s))
        ),
        CheckState::Asking => match run.until {
            Some(until) => format!(
                "They are being asked. If one has not passed by {}, {then}.",
                zone.precise(until).text
            ),
            None => "Its new host is to ask them now.".to_owned(),
        },
        CheckState::Passed => "Each check that passed before the move passes after it.".to_owned(),
        CheckState::Failed if run.went_home => match row.state {
            State::Returning => format!("{failed}, so it goes home by itself."),
            State::Finished => format!("{failed}. It was to go home by itself, and that failed."),
            _ => format!("{failed}, so it went home by itself."),
        },
        CheckState::Failed if !run.why.is_empty() => {
            format!("{failed}. It was to go home, and cannot. {}", run.why)
        }
        CheckState::Failed if can_go_back => {
            format!("{failed}. It is yours to decide: the way back is open.")
        }
        CheckState::Failed => format!("{failed}."),
        CheckState::NotAsked => run.why.clone(),
    }
}

/// If a check fails after the move.
pub fn what_follows(kind: MigrationKind, goes_home: bool) -> &'static str {
    match kind {
        // Its host is emptied: it does not go back there.
        MigrationKind::Evacuation => "you are told",
        _ if goes_home => "it goes home by itself",
        _ => "you are told, and decide",
    }
}
