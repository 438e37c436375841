//! `/members/fairness`: what one of the member's Linodes got of its hosts and what it was due, over time, and before and after
//! its move.

use askama::Template;
use serde::Deserialize;

use super::choose::Choose;
use super::compared::{Compared, compared};
use super::shared::{place, show_at};
use crate::domain::fairness::shares::Rule;
use crate::domain::fairness::usage::{NO_LEVEL, Range, Stretch, Usage, by_host, grouped};
use crate::domain::ids::{HostId, LinodeId};
use crate::store;
use crate::store::fairness::page::LinodeUsage;
use crate::web::csv;
use crate::web::extract::{Member, Query};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, Page, clipped};
use crate::web::portal;
use crate::web::ui::chart::{Chart, Scale, Values, Words, top_of};
use crate::web::ui::usage::{
    RangeTab, kib, maybe_percent, percent, range, range_name, range_tabs, span_ms, under_contention,
};
use crate::web::ui::{When, Zone};

const PATH: &str = "/members/fairness";
/// Rows of the table, about.
const MOST_ROWS: i64 = 60;

#[derive(Debug, Template)]
#[template(path = "members/fairness.html")]
pub struct FairnessPage {
    pub page: Page,
    pub shown: Option<Shown>,
}

#[derive(Debug)]
pub struct Shown {
    pub id: LinodeId,
    pub label: String,
    /// Where it is.
    pub host: String,
    pub choose: Choose,
    pub ranges: Vec<RangeTab>,
    pub range: &'static str,
    pub share: String,
    pub sum: Vec<(&'static str, String)>,
    /// Host by host, where the range has another one than it is on now.
    pub hosts: Option<Hosts>,
    pub shares: Option<Chart>,
    pub used: Option<Chart>,
    pub rows: Vec<Row>,
    pub each: String,
    pub csv: String,
    pub csv_all: String,
    pub moved: Option<Compared>,
    pub rule: String,
}

/// One interval in the table.
#[derive(Debug)]
pub struct Row {
    pub at: When,
    /// As [`cells`], then the host where it is not always the present one.
    pub cells: Vec<String>,
}

/// What it got of each of its hosts, in the order in which it came there.
#[derive(Debug)]
pub struct Hosts {
    pub names: Vec<String>,
    /// Each with what it is of every host, by the host's name.
    pub rows: Vec<(&'static str, Vec<(String, String)>)>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Params {
    linode: String,
    range: String,
    /// A text in the label of another one.
    q: String,
    /// Of the CSV: every sample that is kept, not the table's rows.
    all: String,
}

impl Params {
    fn linode(&self) -> Result<Option<LinodeId>> {
        match self.linode.as_str() {
            "" => Ok(None),
            id => id.parse().map(Some).map_err(|_| Fault::NotFound),
        }
    }
}

fn url(path: &str, linode: LinodeId, range: Range) -> String {
    format!("{path}?linode={linode}&range={range}")
}

async fn find(member: &Member, asked: &Params) -> Result<(Option<LinodeUsage>, Rule, i64)> {
    let (which, range, account) = (asked.linode()?, range(&asked.range)?, member.account);
    let every = asked.all == "yes";
    let now = member.portal.now().utc().timestamp();
    let q = clipped(&asked.q, 100);
    let (found, rule) = portal::read(&member.portal, move |conn| {
        let which = (which, q.as_str());
        Ok((
            store::fairness::page::of_member(conn, account, which, (range, every), now)?,
            store::fairness::weights::rule(conn)?,
        ))
    })
    .await?;
    if found.is_none() && which.is_some() {
        return Err(Fault::NotFound);
    }
    Ok((found, rule, now))
}

/// `GET /members/fairness`
pub async fn show(member: Member, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let (found, rule, now) = find(&member, &asked).await?;
    let range = range(&asked.range)?;
    let page = member.page(Area::Fairness, "Fairness");
    let zone = page.zone();
    page::html(&FairnessPage {
        shown: found.map(|found| shown(&found, (&asked.q, rule, range), now, zone)),
        page,
    })
}

fn shown(
    found: &LinodeUsage,
    (q, rule, range): (&str, Rule, Range),
    now: i64,
    zone: Zone,
) -> Shown {
    let id = found.linode.id;
    let (from, each) = spacing(&found.series, range, now);
    let groups = grouped(&found.series, each);
    let sides = by_host(&found.series);
    let here = found.linode.host_id;
    let several = sides.iter().any(|(host, _)| *host != here);
    let sum = sides.iter().fold(Usage::default(), |mut sum, (_, usage)| {
        sum += *usage;
        sum
    });
    let csv = url("/members/fairness.csv", id, range);
    let drawn = Drawn {
        groups: &groups,
        span: (from, now, each),
        marks: marks(found, (from, now)),
        zone,
    };
    Shown {
        id,
        label: found.linode.label.clone(),
        host: place_of(found, here),
        choose: Choose::new(&found.some, (id, q), |id| url(PATH, id, range)),
        ranges: range_tabs(range, |range| url(PATH, id, range)),
        range: range_name(range),
        share: share_words(&sum),
        sum: in_all(&sum),
        hosts: several.then(|| hosts(found, &sides)),
        shares: drawn.shares(),
        used: drawn.used(),
        rows: groups
            .iter()
            .rev()
            .map(|it| Row {
                at: show_at(zone, it.from),
                cells: cells(&it.usage)
                    .into_iter()
                    .chain(several.then(|| place_of(found, it.host)))
                    .collect(),
            })
            .collect(),
        each: crate::web::ui::units::span(each),
        csv_all: format!("{csv}&all=yes"),
        csv,
        moved: found.moved.as_ref().map(|moved| compared(moved, zone)),
        rule: crate::app::fairness::weights::words(rule),
    }
}

fn place_of(found: &LinodeUsage, id: HostId) -> String {
    let host = found.hosts.iter().find(|host| host.id == id);
    host.map(place).unwrap_or_default()
}

/// The sums of each host beside each other; what one cannot tell is empty there.
fn hosts(found: &LinodeUsage, sides: &[(HostId, Usage)]) -> Hosts {
    let sums: Vec<Vec<(&str, String)>> = sides.iter().map(|(_, usage)| in_all(usage)).collect();
    let mut names: Vec<&'static str> = Vec::new();
    for (name, _) in sums.iter().flatten() {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let places: Vec<String> = sides.iter().map(|(id, _)| place_of(found, *id)).collect();
    let of = |name: &str| {
        let each = places.iter().zip(&sums).map(|(place, sum)| {
            let value = sum.iter().find(|(it, _)| *it == name);
            let value = value.map_or(String::new(), |(_, value)| value.clone());
            (place.clone(), value)
        });
        each.collect()
    };
    Hosts {
        rows: names.into_iter().map(|name| (name, of(name))).collect(),
        names: places,
    }
}

/// When it came to another host, and to which: the newest few.
fn marks(found: &LinodeUsage, (from, until): (i64, i64)) -> Vec<(i64, String)> {
    let came = found.moves.iter().filter_map(|row| {
        let at = row.finished_at?.utc().timestamp();
        let host = place_of(found, row.destination_host_id);
        (row.committed_at.is_some() && from <= at && at <= until).then_some((at, host))
    });
    came.take(4).collect()
}

/// Where the range begins, and how long an interval of the table is, in seconds.
fn spacing(series: &[Stretch], range: Range, now: i64) -> (i64, i64) {
    match range {
        Range::Hour => (now - 3600, 60),
        Range::Day => (now - 86_400, 1800),
        Range::Beta => {
            let from = series.first().map_or(now - 86_400, |it| it.from);
            let long = [
                600,
                1800,
                3600,
                3 * 3600,
                6 * 3600,
                12 * 3600,
                86_400,
                2 * 86_400,
            ]
            .into_iter()
            .find(|each| (now - from) / each < MOST_ROWS);
            (from, long.unwrap_or(7 * 86_400))
        }
    }
}

fn share_words(sum: &Usage) -> String {
    match (sum.weight, sum.io_priority) {
        (0, _) => "not known yet".to_owned(),
        (weight, NO_LEVEL) => format!("weight {weight}"),
        (weight, level) => format!("weight {weight}, disk level {level} of 0 (first) to 7 (last)"),
    }
}

fn in_all(sum: &Usage) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Watched for", span_ms(sum.covered_ms))];
    if sum.covered_ms > 0 {
        facts.push((
            "CPU used, of one CPU",
            format!("{} %", percent(sum.of_one_cpu(sum.cpu_ms))),
        ));
        facts.push(("With contention", span_ms(sum.contended_ms)));
    }
    if let Some(ratio) = sum.of_due() {
        facts.push((
            "Got of what was due under contention",
            format!("{} %", percent(ratio)),
        ));
    } else if sum.covered_ms > 0 && sum.judged_ms == 0 {
        facts.push(("Contention", "this host cannot tell".to_owned()));
    }
    facts
}

/// CPU used and waited for, due and got under contention (all in % of one CPU), got of due (%), disk read and written,
/// network in and out (KiB/s).
fn cells(usage: &Usage) -> [String; 9] {
    [
        percent(usage.of_one_cpu(usage.cpu_ms)),
        maybe_percent(usage.waited()),
        maybe_percent(under_contention(usage, usage.due_ms)),
        maybe_percent(under_contention(usage, usage.got_ms)),
        maybe_percent(usage.of_due()),
        kib(usage, usage.read_bytes),
        kib(usage, usage.write_bytes),
        kib(usage, usage.net_in_bytes),
        kib(usage, usage.net_out_bytes),
    ]
}

/// What is drawn.
struct Drawn<'a> {
    groups: &'a [Stretch],
    /// From when, until when, and how long an interval is, in seconds.
    span: (i64, i64, i64),
    marks: Vec<(i64, String)>,
    zone: Zone,
}

impl Drawn<'_> {
    fn shares(&self) -> Option<Chart> {
        let got = self.line(|it| under_contention(it, it.got_ms));
        let due = self.line(|it| under_contention(it, it.due_ms));
        let any = got.iter().any(|(_, value)| value.is_some());
        let words = Words {
            id: "shares",
            title: "Share got and share due, % of one CPU",
            desc: "CPU that the Linode got and that was due to it while its host had more to do than it could; gaps where there was no contention. The figures are in the table.",
        };
        any.then(|| self.chart(words, [("got", got), ("due", due)]))
    }

    fn used(&self) -> Option<Chart> {
        let words = Words {
            id: "used",
            title: "CPU used and waited for, % of one CPU",
            desc: "CPU that the Linode used, and that it waited for. The figures are in the table.",
        };
        let used = self.line(|it| Some(it.of_one_cpu(it.cpu_ms)));
        let waited = self.line(Usage::waited);
        (!self.groups.is_empty())
            .then(|| self.chart(words, [("used", used), ("waited for", waited)]))
    }

    /// Broken where it came to another host.
    fn line(&self, of: impl Fn(&Usage) -> Option<f64>) -> Values {
        let mut values = Values::new();
        let mut host = None;
        for it in self.groups {
            if host.is_some_and(|host| host != it.host) {
                values.push((it.from, None));
            }
            host = Some(it.host);
            values.push((it.from + it.seconds / 2, of(&it.usage)));
        }
        values
    }

    fn chart(&self, words: Words, lines: [(&'static str, Values); 2]) -> Chart {
        let (from, until, each) = self.span;
        let values = lines.iter().flat_map(|(_, values)| values);
        let scale = Scale {
            from,
            until,
            top: top_of(values.filter_map(|(_, value)| *value)),
            gap: each * 3 / 2,
        };
        let unit = |part| format!("{:.0} %", part * 100.0);
        Chart::new(words, scale, lines, (unit, self.zone)).marked(&self.marks)
    }
}

/// `GET /members/fairness.csv`: the table's rows, or with `all=yes` every interval that is kept.
pub async fn csv(member: Member, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let (found, _, now) = find(&member, &asked).await?;
    let found = found.ok_or(Fault::NotFound)?;
    let range = range(&asked.range)?;
    let rows = if asked.all == "yes" {
        found.series.clone()
    } else {
        grouped(&found.series, spacing(&found.series, range, now).1)
    };
    let records = rows.iter().rev().map(|it| {
        let usage = &it.usage;
        let mut record = vec![show_at(Zone::UTC, it.from).iso];
        record.extend(cells(usage));
        record.extend([
            format!("{:.0}", usage.covered_ms as f64 / 1000.0),
            format!("{:.0}", usage.contended_ms as f64 / 1000.0),
            format!("{:.2}", usage.per_s(usage.reads)),
            format!("{:.2}", usage.per_s(usage.writes)),
            format!("{:.2}", usage.blocks_per_s()),
            usage.weight.to_string(),
            if usage.io_priority == NO_LEVEL {
                String::new()
            } else {
                usage.io_priority.to_string()
            },
            place_of(&found, it.host),
        ]);
        record
    });
    csv::file("fairness.csv", &COLUMNS, records)
}

const COLUMNS: [&str; 18] = [
    "from_utc",
    "cpu_used_percent",
    "cpu_waited_percent",
    "cpu_due_percent",
    "cpu_got_percent",
    "got_of_due_percent",
    "disk_read_kib_s",
    "disk_written_kib_s",
    "network_in_kib_s",
    "network_out_kib_s",
    "watched_s",
    "contended_s",
    "disk_reads_s",
    "disk_writes_s",
    "disk_blocks_4kib_s",
    "weight",
    "disk_level",
    "host",
];
