//! The timeline of a move: its parts from the click to the end of the way back, as a picture and as a table of the same. Long
//! parts are drawn shorter than they were, so that seconds show beside days.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::migration::MigrationState as State;
use crate::domain::time::Time;
use crate::store::migration::Migration;
use crate::web::ui::{When, Zone, units};

#[derive(Debug, Clone, Template)]
#[template(path = "ui/timeline.html")]
pub struct Timeline {
    parts: Vec<Part>,
    /// Above the part in which the Linode was off: where, aligned how, and how long that was.
    mark: Option<Mark>,
}
impl HtmlSafe for Timeline {}

#[derive(Debug, Clone)]
struct Part {
    name: &'static str,
    class: &'static str,
    from: When,
    took: String,
    /// In hundredths of the picture's width.
    x: String,
    width: String,
}

#[derive(Debug, Clone)]
struct Mark {
    x: String,
    anchor: &'static str,
    words: String,
}

/// Before it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    name: &'static str,
    class: &'static str,
    from: Time,
    until: Time,
}

const OFF: &str = "o";

impl Timeline {
    /// `None`: nothing was begun.
    pub fn of(row: &Migration, zone: Zone, now: Time) -> Option<Self> {
        let spans = spans(row, now);
        if spans.len() < 2 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "seconds, for a picture")]
        let length = |it: &Span| 0.7 + (1.0 + it.until.seconds_since(it.from) as f64).ln();
        let all: f64 = spans.iter().map(length).sum();
        let mut x = 0.0;
        let mut mark = None;
        let mut parts = Vec::new();
        for span in &spans {
            let width = 100.0 * length(span) / all;
            let took = units::span(span.until.seconds_since(span.from).max(1));
            if span.class == OFF {
                let middle = x + width / 2.0;
                mark = Some(Mark {
                    x: format!("{middle:.1}"),
                    anchor: match middle {
                        ..25.0 => "start",
                        75.0.. => "end",
                        _ => "middle",
                    },
                    words: format!("off for {took}"),
                });
            }
            parts.push(Part {
                name: span.name,
                class: span.class,
                from: zone.precise(span.from),
                took,
                x: format!("{x:.1}"),
                width: format!("{width:.1}"),
            });
            x += width;
        }
        Some(Self { parts, mark })
    }

    fn words(&self) -> String {
        let part = |it: &Part| format!("{}: {}.", it.name, it.took);
        self.parts.iter().map(part).collect::<Vec<_>>().join(" ")
    }
}

/// What followed what in this try, up to now; of the way back all of its time.
fn spans(row: &Migration, now: Time) -> Vec<Span> {
    let Some((asked, began)) = row.queued_at.zip(row.started_at) else {
        return Vec::new();
    };
    let end = row.finished_at.or(row.closed_at).unwrap_or(now);
    // What an earlier try left does not count.
    let this_try = |at: Option<Time>| at.filter(|at| *at >= began && *at <= end);
    let in_step = row.copied_s.map(|took| began.plus_s(i64::from(took)));
    let stopped = this_try(row.stopped_at);
    let running = this_try(row.running_at).filter(|at| stopped.is_some_and(|from| from <= *at));
    let back = row.way_back_until.filter(|_| row.finished_at.is_some());
    let off = if row.was_running {
        ("Off", OFF)
    } else {
        ("Switched over, off as it was", "s")
    };
    let moments = [
        (Some(asked), "Waited", "w"),
        (Some(began), "Copied while it ran", "c"),
        (this_try(in_step), "In step, until its moment", "h"),
        (stopped, off.0, off.1),
        (running, "Watched on its new host", "c"),
        (back.map(|_| end), "Way back open", "b"),
    ];
    let known: Vec<_> = moments
        .into_iter()
        .filter_map(|(from, name, class)| Some((from?, name, class)))
        .collect();
    let last = back.map_or(end, |until| match row.state {
        State::Finished | State::Returning => until,
        _ => row.closed_at.map_or(until, |closed| closed.min(until)),
    });
    let nexts = known.iter().skip(1).map(|(at, ..)| *at).chain([last]);
    known
        .iter()
        .zip(nexts)
        .map(|((from, name, class), until)| Span {
            name,
            class,
            from: *from,
            until: until.max(*from),
        })
        .collect()
}
