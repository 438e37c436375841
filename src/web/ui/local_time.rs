//! A date and time that is typed in its reader's zone: one that the clocks skip is refused with its neighbours, and of one
//! that they show twice the reader says which.

use super::{Choice, Field, Input, Problems, Zone};
use crate::domain::time::Time;
use crate::domain::time::local::{Moments, moments, offset_name};

/// The zone that a form named beside its field: what is typed is meant in it, though its reader's is another by now.
pub fn zone_of(named: &str, readers: Zone) -> Zone {
    if named.is_empty() {
        readers
    } else {
        Zone::named(named)
    }
}

/// What is typed in the fields `at` and `occurrence` (`first` or `second`).
pub fn parse(zone: Zone, at: &str, occurrence: &str, problems: &mut Problems) -> Option<Time> {
    let Some(local) = zone.local(at) else {
        problems.add("at", "Enter the date and time, like 2026-12-24T18:30");
        return None;
    };
    match (moments(zone.tz(), local), occurrence) {
        (Moments::One(at), _)
        | (Moments::Two { first: at, .. }, "first")
        | (Moments::Two { second: at, .. }, "second") => Some(Time::new(at)),
        (Moments::Two { .. }, _) => {
            problems.add(
                "occurrence",
                "The clocks go back then and show this time twice: choose which one you mean",
            );
            None
        }
        (Moments::None { before, after }, _) => {
            problems.add(
                "at",
                format!(
                    "The clocks go forward then and skip this time: the nearest are {} and {}",
                    zone.text(before),
                    zone.text(after)
                ),
            );
            None
        }
    }
}

/// Which of two, if the time as typed is one that the clocks show twice.
pub fn occurrence(zone: Zone, at: &str, typed: &str, problems: &Problems) -> Option<Field> {
    let local = zone.local(at)?;
    let Moments::Two { first, second } = moments(zone.tz(), local) else {
        return None;
    };
    let choice = |value: &str, words: &str, at| {
        let label = format!(
            "{words}: {} {} ({})",
            zone.text(at),
            zone.abbreviation(at),
            offset_name(zone.tz(), at)
        );
        Choice::new(value, label)
    };
    let choices = vec![
        choice("first", "The first", first),
        choice("second", "The second, after the clocks went back", second),
    ];
    Some(
        Field::new(
            "occurrence",
            "Which of the two times?",
            Input::Radios(choices),
        )
        .value(typed)
        .with(problems),
    )
}
