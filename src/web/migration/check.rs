//! What the checks of a move answered, before it and after it.

use crate::domain::linode::check::CheckState;
use crate::domain::time::span;
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
    /// `is_open`: its member can take the way back.
    pub fn new((run, rows): &(CheckRun, Vec<CheckedRow>), zone: Zone, is_open: bool) -> Self {
        let row = |it: &CheckedRow| CheckedView {
            words: it.check().words(),
            before: (answer(true, it.home_ok), it.home_said.clone()),
            after: it.asked_at.map(|_| (answer(true, it.ok), it.said.clone())),
        };
        Self {
            verdict: verdict(run, zone, is_open),
            rows: rows.iter().map(row).collect(),
            console: run.console.clone(),
        }
    }
}

fn verdict(run: &CheckRun, zone: Zone, is_open: bool) -> String {
    let then = if run.goes_home {
        "it goes home by itself"
    } else {
        "you are told, and decide"
    };
    match run.state {
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
        CheckState::Failed if run.went_home => {
            "One that passed before the move failed after it, so it went home by itself.".to_owned()
        }
        CheckState::Failed if !run.why.is_empty() => format!(
            "One that passed before the move failed after it. It was to go home, and cannot: {}",
            run.why
        ),
        CheckState::Failed if is_open => {
            "One that passed before the move failed after it. It is yours to decide: the way back is open.".to_owned()
        }
        CheckState::Failed => "One that passed before the move failed after it.".to_owned(),
        CheckState::NotAsked => run.why.clone(),
    }
}
