//! Line charts as SVG: attributes and classes only, with a title and a description. A chart never stands alone: its table has
//! the same figures.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::DateTime;

use super::Zone;

#[derive(Debug, Clone, Template)]
#[template(path = "ui/chart.html")]
pub struct Chart {
    words: Words,
    /// The value at the top; the bottom is 0.
    top: String,
    middle: String,
    from: String,
    to: String,
    lines: [Line; 2],
    marks: Vec<Mark>,
    scale: Scale,
    zone: Zone,
}
impl HtmlSafe for Chart {}

#[derive(Debug, Clone)]
pub struct Line {
    /// `a`: solid; `b`: dashed.
    class: &'static str,
    name: &'static str,
    path: String,
}

/// A moment at which something changed.
#[derive(Debug, Clone)]
pub struct Mark {
    x: String,
    /// To what.
    name: String,
    at: String,
}

/// Of a line: when, and what; a gap where nothing is known.
pub type Values = Vec<(i64, Option<f64>)>;

/// What a chart says of itself, in words.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    pub id: &'static str,
    pub title: &'static str,
    /// What is to be seen.
    pub desc: &'static str,
}

impl Chart {
    /// The first line is solid, the second dashed. `unit` says a value beside the chart.
    pub fn new(
        words: Words,
        scale: Scale,
        lines: [(&'static str, Values); 2],
        (unit, zone): (fn(f64) -> String, Zone),
    ) -> Self {
        let [solid, dashed] = lines;
        let line = |class, (name, values): (&'static str, Values)| Line {
            class,
            name,
            path: scale.path(&values),
        };
        let at = |at| zone.text(DateTime::from_timestamp(at, 0).unwrap_or_default());
        Self {
            words,
            top: unit(scale.top),
            middle: unit(scale.top / 2.0),
            from: at(scale.from),
            to: at(scale.until),
            lines: [line("a", solid), line("b", dashed)],
            marks: Vec::new(),
            scale,
            zone,
        }
    }

    /// With an upright line at each of these moments, which says what was changed to.
    #[must_use]
    pub fn marked(mut self, marks: &[(i64, String)]) -> Self {
        let mark = |(at, name): &(i64, String)| Mark {
            x: format!("{:.0}", self.scale.x(*at)),
            name: name.clone(),
            at: self
                .zone
                .text(DateTime::from_timestamp(*at, 0).unwrap_or_default()),
        };
        self.marks = marks.iter().map(mark).collect();
        self
    }
}

/// The plot's corners in the drawing, which is stretched to whatever room there is; words stand beside it, as large as
/// others.
const LEFT: f64 = 0.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 2.0;
const BOTTOM: f64 = 142.0;

/// Where values stand: times along, from 0 to `top` upwards.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub from: i64,
    pub until: i64,
    pub top: f64,
    /// A longer pause between two values is a gap in the line, in seconds.
    pub gap: i64,
}

impl Scale {
    fn x(&self, at: i64) -> f64 {
        let span = (self.until - self.from).max(1) as f64;
        LEFT + (RIGHT - LEFT) * ((at - self.from) as f64 / span).clamp(0.0, 1.0)
    }

    /// The path of a line; a value that is not there is a gap.
    fn path(&self, values: &[(i64, Option<f64>)]) -> String {
        let mut path = String::new();
        let mut last: Option<i64> = None;
        for (at, value) in values {
            let Some(value) = value else {
                last = None;
                continue;
            };
            let x = self.x(*at);
            let y =
                BOTTOM - (BOTTOM - TOP) * (value / self.top.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
            // A line of no length shows as a dot.
            path.push_str(&match last {
                Some(before) if at - before <= self.gap => format!("L{x:.0} {y:.0}"),
                _ => format!("M{x:.0} {y:.0}h0"),
            });
            last = Some(*at);
        }
        path
    }
}

/// A round number at or above the largest of the values.
pub fn top_of(values: impl Iterator<Item = f64>) -> f64 {
    let most = values.fold(0.0_f64, f64::max);
    let mut step = 0.01;
    loop {
        for times in [1.0, 2.0, 5.0] {
            if step * times >= most || step > 1e12 {
                return step * times;
            }
        }
        step *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_gaps_where_nothing_is_known() {
        let scale = Scale {
            from: 0,
            until: 100,
            top: 2.0,
            gap: 10,
        };
        let path = scale.path(&[
            (0, Some(0.0)),
            (10, Some(1.0)),
            (20, None),
            (30, Some(2.0)),
            (90, Some(9.0)),
        ]);
        assert_eq!(path, "M0 142h0L60 72M180 2h0M540 2h0");
        assert_eq!(top_of([0.3, 0.7].into_iter()), 1.0);
        assert_eq!(top_of([130.0].into_iter()), 200.0);
        assert_eq!(top_of(std::iter::empty()), 0.01);
    }
}
