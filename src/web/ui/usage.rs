//! Figures of usage in words, the same on pages and in CSV.

use super::{Tag, Tone};
use crate::domain::fairness::judge::Verdict;
use crate::domain::fairness::usage::{Range, Usage};
use crate::web::fault::{Fault, Result};

/// A choice of range, as a link.
#[derive(Debug)]
pub struct RangeTab {
    pub url: String,
    pub label: &'static str,
    pub current: bool,
}

pub fn range_name(range: Range) -> &'static str {
    match range {
        Range::Hour => "Last hour",
        Range::Day => "Last day",
        Range::Beta => "The whole beta",
    }
}

/// `url`: the page's address with this range.
pub fn range_tabs(current: Range, url: impl Fn(Range) -> String) -> Vec<RangeTab> {
    [Range::Hour, Range::Day, Range::Beta]
        .into_iter()
        .map(|range| RangeTab {
            url: url(range),
            label: range_name(range),
            current: range == current,
        })
        .collect()
}

pub fn range(text: &str) -> Result<Range> {
    match text {
        "" => Ok(Range::Day),
        word => word.parse().map_err(|_| {
            Fault::BadRequest("There is no such range. Choose one of those on the page.".to_owned())
        }),
    }
}

/// `24.9`, for a part of one.
pub fn percent(part: f64) -> String {
    format!("{:.1}", part * 100.0)
}

pub fn maybe_percent(part: Option<f64>) -> String {
    part.map(percent).unwrap_or_default()
}

/// Due and got while there was contention, in parts of one CPU.
pub fn under_contention(usage: &Usage, ms: u64) -> Option<f64> {
    (usage.contended_ms > 0).then(|| ms as f64 / usage.contended_ms as f64)
}

/// KiB a second of the time watched, to a tenth.
pub fn kib(usage: &Usage, bytes: u64) -> String {
    format!("{:.1}", usage.per_s(bytes) / 1024.0)
}

pub fn verdict_tag(verdict: Verdict) -> Tag {
    match verdict {
        Verdict::Unknown => Tag::new("Cannot be told", Tone::Plain),
        Verdict::TooLittle => Tag::new("Too little contention", Tone::Plain),
        Verdict::NotCompared => Tag::new("Nothing to compare", Tone::Plain),
        Verdict::Fair => Tag::new("Fair", Tone::Good),
        Verdict::Uneven => Tag::new("Uneven", Tone::Warn),
        Verdict::Unfair => Tag::new("Unfair", Tone::Bad),
    }
}

/// `2 h 5 min` and the like, from milliseconds.
pub fn span_ms(ms: u64) -> String {
    if ms == 0 {
        return "none".to_owned();
    }
    super::units::span(i64::try_from(ms / 1000).unwrap_or(i64::MAX))
}
