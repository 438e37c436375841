//! What was asked and answered, and which of it must not be.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What is down on purpose, and who is excused by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    Portal(usize),
    Database,
}

/// From before it was ended until it was well again.
struct Outage {
    what: Down,
    from: Instant,
    to: Option<Instant>,
}

/// Answers of one kind of request.
#[derive(Default)]
struct Kind {
    answers: BTreeMap<String, usize>,
    took_ms: Vec<u32>,
}

#[derive(Default)]
struct State {
    kinds: BTreeMap<String, Kind>,
    /// Of the minute that goes on.
    lately_ms: Vec<u32>,
    outages: Vec<Outage>,
    counts: BTreeMap<String, usize>,
    faults: Vec<String>,
}

pub struct Tally {
    begun: Instant,
    state: Mutex<State>,
}

/// How a request ended: a status, or words of why there is none.
pub type Ended = Result<u16, String>;

impl Tally {
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            state: Mutex::default(),
        }
    }

    pub fn note(&self, text: impl std::fmt::Display) {
        println!("{:8.2} {text}", self.begun.elapsed().as_secs_f64());
    }

    /// What must never be; it is told at once, and the run fails.
    pub fn fault(&self, text: impl std::fmt::Display) {
        self.note(format_args!("FAULT: {text}"));
        self.state.lock().unwrap().faults.push(text.to_string());
    }

    pub fn faults(&self) -> Vec<String> {
        self.state.lock().unwrap().faults.clone()
    }

    pub fn count(&self, what: &str) {
        let mut state = self.state.lock().unwrap();
        *state.counts.entry(what.to_owned()).or_default() += 1;
    }

    pub fn goes_down(&self, what: Down) {
        let outage = Outage {
            what,
            from: Instant::now(),
            to: None,
        };
        self.state.lock().unwrap().outages.push(outage);
    }

    pub fn is_up(&self, what: Down) {
        let mut state = self.state.lock().unwrap();
        let open = state.outages.iter_mut().rev().find(|it| it.what == what);
        open.expect("it was down").to = Some(Instant::now());
    }

    /// Was one of them down at some time since then?
    pub fn was_down(&self, of: &[Down], since: Instant) -> bool {
        let state = self.state.lock().unwrap();
        let mut of_them = state.outages.iter().filter(|it| of.contains(&it.what));
        of_them.any(|it| it.to.is_none_or(|to| to >= since))
    }

    /// For so many seconds around each time that something was down: when, in seconds since 1970 by an unmoved clock.
    pub fn outages_s(&self, now_s: f64, around_s: f64) -> Vec<(f64, f64)> {
        let ago = |at: Instant| now_s - at.elapsed().as_secs_f64();
        let state = self.state.lock().unwrap();
        let spans = state.outages.iter().map(|it| {
            let to = it.to.map_or(now_s, ago);
            (ago(it.from) - around_s, to + around_s)
        });
        spans.collect()
    }

    /// One request's answer, and whether it may be so.
    pub fn answered(
        &self,
        (kind, portal): (&str, usize),
        asked: Instant,
        ended: &Ended,
        why: &str,
    ) {
        let took = asked.elapsed();
        let excused = self.was_down(&[Down::Portal(portal), Down::Database], asked);
        let word = ended.as_ref().map_or("none".to_owned(), u16::to_string);
        {
            let mut state = self.state.lock().unwrap();
            let ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
            let of = state.kinds.entry(kind.to_owned()).or_default();
            *of.answers.entry(word).or_default() += 1;
            of.took_ms.push(ms);
            state.lately_ms.push(ms);
        }
        let allowed = match ended {
            Ok(503) | Err(_) => excused,
            Ok(status) => *status < 500,
        };
        if !allowed {
            let during = if excused { ", while it was down" } else { "" };
            self.fault(format_args!(
                "{kind} at portal {portal}{during}: {ended:?} after {took:.1?}; {why}"
            ));
        }
    }

    /// Requests since the last call: how many, the median and the 99th percentile.
    pub fn lately(&self) -> (usize, u32, u32) {
        let mut all = std::mem::take(&mut self.state.lock().unwrap().lately_ms);
        (all.len(), part(&mut all, 50), part(&mut all, 99))
    }

    pub fn counts(&self) -> String {
        let state = self.state.lock().unwrap();
        let each = state
            .counts
            .iter()
            .map(|(what, count)| format!("{count} {what}"));
        each.collect::<Vec<_>>().join(", ")
    }

    pub fn table(&self) -> String {
        let mut state = self.state.lock().unwrap();
        let mut text = format!(
            "{:<52} {:>7} {:>6} {:>6}  answers\n",
            "request", "count", "p50", "p99"
        );
        let mut whole = Kind::default();
        for (name, kind) in &mut state.kinds {
            text.push_str(&row(name, kind));
            whole.took_ms.extend(&kind.took_ms);
            for (answer, count) in &kind.answers {
                *whole.answers.entry(answer.clone()).or_default() += count;
            }
        }
        text + &row("all", &mut whole)
    }
}

fn row(name: &str, kind: &mut Kind) -> String {
    let mut text = String::new();
    let (p50, p99) = (part(&mut kind.took_ms, 50), part(&mut kind.took_ms, 99));
    let _ = write!(
        text,
        "{name:<52} {:>7} {p50:>6} {p99:>6} ",
        kind.took_ms.len()
    );
    for (answer, count) in &kind.answers {
        let _ = write!(text, " {answer}:{count}");
    }
    text + "\n"
}

fn part(all: &mut [u32], percent: usize) -> u32 {
    all.sort_unstable();
    let at = all.len() * percent / 100;
    all.get(at.min(all.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}

/// Longer than any request may take.
pub const PATIENCE: Duration = Duration::from_secs(45);
