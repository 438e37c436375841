//! How a Linode fares after its move: a verdict, what it waited for and got of what was due, and what it used.

use super::shared::{place, show_at};
use crate::domain::fairness::judge::FAIR_LEAST;
use crate::domain::fairness::usage::{COMPARED_MS, Usage, Waits, between, waits};
use crate::store::fairness::page::{AROUND, Moved};
use crate::web::ui::usage::{kib, maybe_percent, percent, span_ms};
use crate::web::ui::{Tag, Tone, When, Zone};

/// Before and after the newest move.
#[derive(Debug)]
pub struct Compared {
    pub from: String,
    pub to: String,
    pub at: When,
    /// `None`: too little was watched on one of the sides.
    pub verdict: Option<(Tag, String)>,
    /// How it fares.
    pub fares: Vec<[String; 3]>,
    /// What it used: that says what it had to do.
    pub used: Vec<[String; 3]>,
    /// Watched so far, on either side.
    pub watched: [String; 2],
}

impl Compared {
    /// Enough was watched on both sides to say something.
    pub fn is_told(&self) -> bool {
        self.verdict.is_some()
    }
}

/// The seven days before its stop and after it ran again, or as much of them as there is.
pub fn compared(moved: &Moved, zone: Zone) -> Compared {
    let row = &moved.migration;
    let stopped = row
        .stopped_at
        .or(row.started_at)
        .unwrap_or(row.offered_at)
        .utc()
        .timestamp();
    let finished = row.finished_at.map_or(stopped, |at| at.utc().timestamp());
    let before = between(&moved.around, moved.source.id, (stopped - AROUND, stopped));
    let after = between(
        &moved.around,
        moved.destination.id,
        (finished, finished + AROUND),
    );
    let both = |name: &str, of: &dyn Fn(&Usage) -> String| {
        let shown = |usage: &Usage| match of(usage) {
            text if text.is_empty() => "not known".to_owned(),
            text => text,
        };
        [name.to_owned(), shown(&before), shown(&after)]
    };
    Compared {
        from: place(&moved.source),
        to: place(&moved.destination),
        at: show_at(zone, finished),
        verdict: verdict(&before, &after),
        watched: [span_ms(before.covered_ms), span_ms(after.covered_ms)],
        fares: vec![
            both("Waited, of the time in which it wanted CPU, %", &|it| {
                maybe_percent(it.waited_of_wanted())
            }),
            both(
                "Got of what was due under contention, %",
                &|it| match it.of_due() {
                    Some(ratio) => percent(ratio),
                    None if it.judged_ms > 0 => "no contention".to_owned(),
                    None => String::new(),
                },
            ),
            both("CPU waited for, % of one CPU", &|it| {
                maybe_percent(it.waited())
            }),
            both("Watched for", &|it| span_ms(it.covered_ms)),
        ],
        used: vec![
            both("CPU used, % of one CPU", &|it| {
                percent(it.of_one_cpu(it.cpu_ms))
            }),
            both("Disk, blocks of 4 KiB a second", &|it| {
                format!("{:.1}", it.blocks_per_s())
            }),
            both("Disk read, KiB/s", &|it| kib(it, it.read_bytes)),
            both("Disk written, KiB/s", &|it| kib(it, it.write_bytes)),
            both("Network in, KiB/s", &|it| kib(it, it.net_in_bytes)),
            both("Network out, KiB/s", &|it| kib(it, it.net_out_bytes)),
        ],
    }
}

/// A word for it, and the sentences behind it.
fn verdict(before: &Usage, after: &Usage) -> Option<(Tag, String)> {
    if before.covered_ms.min(after.covered_ms) < COMPARED_MS {
        return None;
    }
    let share = match after.of_due() {
        Some(ratio) if ratio < FAIR_LEAST => {
            let part = percent(ratio);
            return Some((
                Tag::new("Worse than due", Tone::Warn),
                format!(
                    "While others want CPU too, it gets {part} % of what is due to it. Please report that as a bug."
                ),
            ));
        }
        Some(_) => " While others want CPU too, it gets what is due to it.",
        None if after.judged_ms > 0 => " Nobody there has taken CPU from it.",
        None => "",
    };
    let (tag, words) = match waits(before, after) {
        Some(Waits::Less) => (
            Tag::new("Better", Tone::Good),
            "It waits less for CPU than before.",
        ),
        Some(Waits::Alike) => (
            Tag::new("As good as before", Tone::Good),
            "It waits about as long for CPU as before.",
        ),
        Some(Waits::More) => (
            Tag::new("Worse", Tone::Warn),
            "It waits longer for CPU than before.",
        ),
        None => (
            Tag::new("Cannot be told", Tone::Plain),
            "One of the hosts cannot tell how long it waited for CPU.",
        ),
    };
    Some((tag, format!("{words}{share}")))
}
