//! The form of the one click: now, one of the next free times, or a time that is typed, in the member's zone. A time that
//! the clocks skip is refused with its neighbours; of one that they show twice the member says which.

use serde::Deserialize;

use crate::app::migration::actions::Click;
use crate::app::migration::schedule::{Choices, Now};
use crate::domain::migration::MigrationState;
use crate::domain::time::Time;
use crate::domain::time::local::{Moments, moments};
use crate::domain::values::StopLimit;
use crate::store::migration::Migration;
use crate::web::ui::{Choice, Field, Input, Problems, Zone, local_time};

/// What the form holds: its first state, or as typed.
#[derive(Debug, Clone)]
pub struct Typed {
    /// The zone in which the form shows times, by name.
    pub zone: String,
    pub when: String,
    pub slot: String,
    pub at: String,
    pub occurrence: String,
    pub stop_limit: String,
    pub accept: bool,
}

impl Typed {
    /// As it stands before anything is typed: the time that is chosen already, else the earliest there is.
    pub fn first(migration: &Migration, choices: &Choices, zone: Zone) -> Self {
        let (when, at) = match migration.not_before {
            Some(at) => ("at", zone.field(at)),
            None if choices.now == Now::Free => ("now", String::new()),
            None if !choices.free.is_empty() => ("slot", String::new()),
            None => ("at", String::new()),
        };
        let is_second = matches!(
            (zone.local(&at).map(|local| moments(zone.tz(), local)), migration.not_before),
            (Some(Moments::Two { second, .. }), Some(at)) if at.utc() == second
        );
        Self {
            zone: zone.name().to_owned(),
            when: when.to_owned(),
            slot: String::new(),
            at,
            occurrence: if is_second { "second" } else { "first" }.to_owned(),
            stop_limit: migration.stop_limit_s.to_string(),
            accept: migration.kernels_accepted,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrateForm {
    /// The offer the page showed: a natural key, so that a form of an older offer does not take up a newer one.
    pub migration: i64,
    /// The zone that stood beside the time, by name.
    #[serde(default)]
    zone: String,
    when: String,
    /// Seconds since 1970, of a time that the page proposed.
    #[serde(default)]
    slot: String,
    #[serde(default)]
    at: String,
    /// `first` or `second`, of a time that the clocks show twice.
    #[serde(default)]
    occurrence: String,
    #[serde(default)]
    stop_limit_s: String,
    #[serde(default)]
    accept_kernels: String,
}

impl MigrateForm {
    pub fn typed(&self) -> Typed {
        Typed {
            zone: self.zone.clone(),
            when: self.when.clone(),
            slot: self.slot.clone(),
            at: self.at.clone(),
            occurrence: self.occurrence.clone(),
            stop_limit: self.stop_limit_s.clone(),
            accept: self.accept_kernels == "yes",
        }
    }

    /// What is wrong with the time stands beside the field it came from.
    pub fn placed(&self, problems: Problems) -> Problems {
        if self.when == "slot" {
            problems.renamed("at", "slot")
        } else {
            problems
        }
    }

    pub fn click(&self, readers: Zone) -> Result<Click, Problems> {
        let zone = local_time::zone_of(&self.zone, readers);
        let mut problems = Problems::default();
        let at = match self.when.as_str() {
            "now" => None,
            "slot" => {
                let seconds = self.slot.parse().ok();
                let at = seconds.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
                problems.take("slot", at.map(Time::new).ok_or("Choose one of the times"))
            }
            "at" => local_time::parse(zone, &self.at, &self.occurrence, &mut problems),
            _ => {
                problems.add("when", "Choose now, or at a time");
                None
            }
        };
        let text = self.stop_limit_s.trim();
        let seconds = if text.is_empty() {
            Ok(60)
        } else {
            text.parse::<i32>()
                .map_err(|_| "Enter a number of seconds from 5 to 600".to_owned())
        };
        let stop_limit = seconds
            .and_then(|seconds| StopLimit::parse(seconds).map_err(|fault| fault.to_string()));
        match problems.take("stop_limit_s", stop_limit) {
            Some(stop_limit) if problems.is_empty() => Ok(Click {
                at,
                accept_kernels: self.accept_kernels == "yes",
                stop_limit,
            }),
            _ => Err(problems),
        }
    }

    /// A time was picked or typed for a fresh offer, and "now" is still what is chosen: the field, and what to do.
    pub fn forgets_its_time(&self, offer: &Migration) -> Option<(&'static str, &'static str)> {
        if self.when != "now" || offer.state != MigrationState::Offered {
            None
        } else if !self.slot.is_empty() {
            let words =
                "You picked a time: choose “At one of the next free times” for it, or pick none";
            Some(("slot", words))
        } else if !self.at.is_empty() {
            let words = "You typed a time: choose “At a time” for it, or empty it";
            Some(("at", words))
        } else {
            None
        }
    }
}

/// The fields that choose the time.
#[derive(Debug)]
pub struct TimeFields {
    pub zone: &'static str,
    pub when: Field,
    pub slot: Option<Field>,
    pub at: Field,
    pub occurrence: Option<Field>,
}

impl TimeFields {
    pub fn new(typed: &Typed, choices: &Choices, readers: Zone, problems: &Problems) -> Self {
        let zone = local_time::zone_of(&typed.zone, readers);
        let mut when = Vec::new();
        if choices.now == Now::Free {
            when.push(Choice::new("now", "Now"));
        }
        let mut slots = Vec::new();
        if !choices.free.is_empty() {
            slots.push(Choice::new("", "Pick a time"));
            slots.extend(
                choices
                    .free
                    .iter()
                    .map(|at| Choice::new(at.utc().timestamp(), zone.both(*at).text)),
            );
            when.push(Choice::new("slot", "At one of the next free times"));
        }
        when.push(Choice::new("at", "At a time"));
        Self {
            zone: zone.name(),
            when: Field::new("when", "When shall it move?", Input::Radios(when))
                .value(&typed.when)
                .with(problems),
            slot: (!slots.is_empty()).then(|| {
                Field::select("slot", "Next free times", slots)
                    .value(&typed.slot)
                    .short()
                    .with(problems)
            }),
            at: Field::new("at", "Time", Input::Line("datetime-local"))
                .value(&typed.at)
                .hint(format!("Only for “At a time”. In {}.", zone.name()))
                .short()
                .with(problems),
            occurrence: local_time::occurrence(zone, &typed.at, &typed.occurrence, problems),
        }
    }
}
