//! The form of the one click: as soon as it is copied, at one of the next free times, or at a time that is typed, in the
//! member's zone. A time that the clocks skip is refused with its neighbours; of one that they show twice the member says which.

use serde::Deserialize;

use crate::app::migration::actions::Click;
use crate::app::migration::schedule::{Choices, Now};
use crate::domain::time::local::{Moments, moments};
use crate::domain::time::{Time, span};
use crate::domain::values::{DownLimit, Patience, StopLimit};
use crate::store::migration::Migration;
use crate::web::ui::{Choice, Field, Input, Problems, Zone, local_time};

/// The value of a proposed time: its seconds since 1970 follow.
const SLOT: &str = "slot-";

/// What the form holds: its first state, or as typed.
#[derive(Debug, Clone)]
pub struct Typed {
    /// The zone in which the form shows times, by name.
    pub zone: String,
    pub when: String,
    pub at: String,
    pub occurrence: String,
    pub patience: String,
    pub stop_limit: String,
    pub down_limit: String,
    pub try_first: bool,
    pub accept: bool,
}

impl Typed {
    /// As it stands before anything is typed: the time that is chosen and to come, else as soon as it is copied.
    pub fn first(migration: &Migration, zone: Zone, now: Time) -> Self {
        let (when, at) = match migration.not_before.filter(|at| *at > now) {
            Some(at) => ("at", zone.field(at)),
            None => ("now", String::new()),
        };
        let is_second = matches!(
            (zone.local(&at).map(|local| moments(zone.tz(), local)), migration.not_before),
            (Some(Moments::Two { second, .. }), Some(at)) if at.utc() == second
        );
        Self {
            zone: zone.name().to_owned(),
            when: when.to_owned(),
            at,
            occurrence: if is_second { "second" } else { "first" }.to_owned(),
            patience: (migration.patience_s / 3600).to_string(),
            stop_limit: migration.stop_limit_s.to_string(),
            down_limit: migration
                .down_limit_s
                .map_or_else(String::new, |it| it.to_string()),
            try_first: migration.try_first_since.is_some(),
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
    /// `now`, `slot-` with the seconds since 1970 of a time that the page proposed, or `at`.
    #[serde(default)]
    when: String,
    #[serde(default)]
    at: String,
    /// `first` or `second`, of a time that the clocks show twice.
    #[serde(default)]
    occurrence: String,
    /// Hours.
    #[serde(default)]
    patience: String,
    #[serde(default)]
    stop_limit_s: String,
    /// Seconds; empty for no limit.
    #[serde(default)]
    down_limit: String,
    #[serde(default)]
    try_first: String,
    #[serde(default)]
    accept_kernels: String,
}

impl MigrateForm {
    pub fn typed(&self) -> Typed {
        Typed {
            zone: self.zone.clone(),
            when: self.when.clone(),
            at: self.at.clone(),
            occurrence: self.occurrence.clone(),
            patience: self.patience.clone(),
            stop_limit: self.stop_limit_s.clone(),
            down_limit: self.down_limit.clone(),
            try_first: self.try_first == "yes",
            accept: self.accept_kernels == "yes",
        }
    }

    /// What is wrong with the time stands beside the field it came from.
    pub fn placed(&self, problems: Problems) -> Problems {
        if self.when == "at" {
            problems
        } else {
            problems.renamed("at", "when")
        }
    }

    pub fn click(&self, readers: Zone) -> Result<Click, Problems> {
        let zone = local_time::zone_of(&self.zone, readers);
        let mut problems = Problems::default();
        let at = match self.when.as_str() {
            "now" => None,
            "at" => local_time::parse(zone, &self.at, &self.occurrence, &mut problems),
            slot => {
                let seconds = slot.strip_prefix(SLOT).and_then(|text| text.parse().ok());
                let at = seconds.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
                let missing = "Choose when it shall stop";
                problems.take("when", at.map(Time::new).ok_or(missing))
            }
        };
        let hours = match self.patience.trim() {
            "" => Ok(Patience::default()),
            text => Patience::parse(text.parse().unwrap_or(-1)),
        };
        let patience = problems.take("patience", hours.map_err(|fault| fault.to_string()));
        let down_limit = match self.down_limit.trim() {
            "" => Ok(None),
            text => DownLimit::parse(text.parse().unwrap_or(-1)).map(Some),
        };
        let down_limit = problems.take("down_limit", down_limit.map_err(|fault| fault.to_string()));
        let text = self.stop_limit_s.trim();
        let seconds = if text.is_empty() {
            Ok(60)
        } else {
            text.parse::<i32>()
                .map_err(|_| "Enter a number of seconds from 5 to 600".to_owned())
        };
        let stop_limit = seconds
            .and_then(|seconds| StopLimit::parse(seconds).map_err(|fault| fault.to_string()));
        match problems.take("stop_limit_s", stop_limit).zip(patience) {
            Some((stop_limit, patience)) if problems.is_empty() => Ok(Click {
                at,
                patience,
                accept_kernels: self.accept_kernels == "yes",
                stop_limit,
                down_limit: down_limit.flatten(),
                try_first: self.try_first == "yes",
            }),
            _ => Err(problems),
        }
    }

    /// A time was typed, and another choice is what is chosen: what to do. A form that shows a time which is chosen already
    /// has it in the field.
    pub fn forgets_its_time(&self, offer: &Migration) -> Option<(&'static str, &'static str)> {
        let typed = self.when != "at" && !self.at.is_empty() && offer.not_before.is_none();
        typed.then_some((
            "at",
            "You typed a time: choose “At another time” for it, or empty it",
        ))
    }
}

/// The fields that choose the time.
#[derive(Debug)]
pub struct TimeFields {
    pub zone: &'static str,
    pub when: Field,
    pub at: Field,
    pub occurrence: Option<Field>,
    pub patience: Field,
}

impl TimeFields {
    pub fn new(typed: &Typed, choices: &Choices, readers: Zone, problems: &Problems) -> Self {
        let zone = local_time::zone_of(&typed.zone, readers);
        let copied = match choices.copy_s {
            ..60 => "a minute".to_owned(),
            seconds => span(seconds),
        };
        let soon = match choices.now {
            Now::Free => format!("As soon as it is copied: in about {copied}"),
            Now::Quiet { until: Some(until) } => format!(
                "As soon as it is copied and the quiet hours are over: not before {}",
                zone.both(until).text
            ),
            Now::Quiet { until: None } => "As soon as it is copied".to_owned(),
        };
        let mut when = vec![Choice::new("now", soon)];
        let slot = |at: &Time| {
            let seconds = at.utc().timestamp();
            Choice::new(format!("{SLOT}{seconds}"), zone.both(*at).text)
        };
        when.extend(choices.free.iter().map(slot));
        when.push(Choice::new("at", "At another time"));
        let late = |hours: &i32| match hours {
            0 => Choice::new("0", "Then not: I choose anew"),
            1 => Choice::new("1", "Then as soon as it is, for up to an hour"),
            hours => Choice::new(
                hours,
                format!("Then as soon as it is, for up to {hours} hours"),
            ),
        };
        Self {
            zone: zone.name(),
            when: Field::new(
                "when",
                "When shall it stop for the move?",
                Input::Radios(when),
            )
            .value(&typed.when)
            .with(problems),
            at: Field::new("at", "Another time", Input::Line("datetime-local"))
                .value(&typed.at)
                .hint(format!("Only for “At another time”. In {}.", zone.name()))
                .with(problems),
            occurrence: local_time::occurrence(zone, &typed.at, &typed.occurrence, problems),
            patience: Field::select(
                "patience",
                "If it is not in step with its copy by the time you choose",
                Patience::HOURS.iter().map(late).collect(),
            )
            .value(&typed.patience)
            .with(problems),
        }
    }
}

/// Whether it is tried there before anything is stopped. `cost`: what that takes there.
pub fn try_first(typed: &Typed, cost: &str) -> Field {
    Field::new("try_first", "Try it there first, and stop it only if it comes up", Input::Check)
        .value(if typed.try_first { "yes" } else { "" })
        .hint(format!(
            "As soon as it is in step, a throw-away clone of it boots there without a network, for up to 5 minutes. If it does \
             not come up, the Linode is not stopped, and you are told at once. If that is not over by the time you choose, \
             it waits as long as you allow below. {cost}"
        ))
}

/// How long it may be off at most.
pub fn down_limit(typed: &Typed, choices: &Choices) -> Field {
    let choice = |seconds: &i32| Choice::new(seconds, span(i64::from(*seconds)));
    let mut limits = vec![Choice::new("", "As long as it takes")];
    limits.extend(DownLimit::SECONDS.iter().map(choice));
    let told = choices.forecast.map_or_else(String::new, |forecast| {
        format!(" By the forecast it takes {}.", forecast.down.words())
    });
    Field::select("down_limit", "How long it may be off at most", limits)
        .value(&typed.down_limit)
        .hint(format!(
            "While a stop would take longer it is not stopped, as if it were not in step.{told}"
        ))
}
