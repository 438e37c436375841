//! `/members/fairness`: what one of the member's Linodes got of its host and what it was due, over time, and before and after
//! its move.

use askama::Template;
use chrono::DateTime;
use serde::Deserialize;

use crate::domain::fairness::shares::Rule;
use crate::domain::fairness::usage::{NO_LEVEL, Range, Stretch, Usage, between, grouped};
use crate::domain::ids::LinodeId;
use crate::store;
use crate::store::fairness::page::{AROUND, LinodeUsage, Moved};
use crate::store::host::Host;
use crate::web::csv;
use crate::web::extract::{Member, Query};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::chart::{Chart, Scale, Values, Words, top_of};
use crate::web::ui::names::platform_name;
use crate::web::ui::usage::{
    RangeTab, kib, maybe_percent, percent, range, range_name, range_tabs, span_ms, under_contention,
};
use crate::web::ui::{Link, When, Zone};

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
    pub label: String,
    pub host: String,
    pub others: Vec<(Link, bool)>,
    pub ranges: Vec<RangeTab>,
    pub range: &'static str,
    pub share: String,
    pub sum: Vec<(&'static str, String)>,
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
    /// As [`cells`].
    pub cells: [String; 9],
}

/// Before and after the newest move.
#[derive(Debug)]
pub struct Compared {
    pub from: String,
    pub to: String,
    pub at: When,
    pub rows: Vec<[String; 3]>,
    has_both: bool,
}

impl Compared {
    /// There are samples of both sides.
    pub fn has_both(&self) -> bool {
        self.has_both
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    linode: String,
    range: String,
    /// Of the CSV: every sample that is kept, not the table's rows.
    all: String,
}

impl Asked {
    fn linode(&self) -> Result<Option<LinodeId>, Fault> {
        match self.linode.as_str() {
            "" => Ok(None),
            id => id.parse().map(Some).map_err(|_| Fault::NotFound),
        }
    }
}

fn url(path: &str, linode: LinodeId, range: Range) -> String {
    format!("{path}?linode={linode}&range={range}")
}

async fn find(
    portal: &Portal,
    member: &Member,
    asked: &Asked,
) -> Result<(Option<LinodeUsage>, Rule, i64), Fault> {
    let (which, range, account) = (asked.linode()?, range(&asked.range)?, member.account);
    let every = asked.all == "yes";
    let now = portal.now().utc().timestamp();
    let (found, rule) = portal::read(portal, move |conn| {
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
pub async fn show(portal: Portal, member: Member, asked: Query<Asked>) -> Response {
    let asked = asked.0;
    let (found, rule, now) = find(&portal, &member, &asked).await?;
    let range = range(&asked.range)?;
    let page = member.page(Area::Fairness, "Fairness");
    let zone = page.zone();
    page::html(&FairnessPage {
        shown: found.map(|found| shown(&found, rule, range, now, zone)),
        page,
    })
}

fn shown(found: &LinodeUsage, rule: Rule, range: Range, now: i64, zone: Zone) -> Shown {
    let id = found.linode.id;
    let (from, each) = spacing(&found.series, range, now);
    let groups = grouped(&found.series, each);
    let sum = found.series.iter().fold(Usage::default(), |mut sum, it| {
        sum += it.usage;
        sum
    });
    let csv = url("/members/fairness.csv", id, range);
    Shown {
        label: found.linode.label.clone(),
        host: place(&found.host),
        others: found
            .all
            .iter()
            .map(|linode| {
                (
                    Link::new(url(PATH, linode.id, range), &linode.label),
                    linode.id == id,
                )
            })
            .collect(),
        ranges: range_tabs(range, |range| url(PATH, id, range)),
        range: range_name(range),
        share: share_words(&sum),
        sum: in_all(&sum),
        shares: shares_chart(&groups, (from, now, each), zone),
        used: used_chart(&groups, (from, now, each), zone),
        rows: groups
            .iter()
            .rev()
            .map(|(at, usage)| Row {
                at: show_at(zone, *at),
                cells: cells(usage),
            })
            .collect(),
        each: crate::web::ui::units::span(each),
        csv_all: format!("{csv}&all=yes"),
        csv,
        moved: found.moved.as_ref().map(|moved| compared(moved, zone)),
        rule: crate::app::fairness::weights::words(rule),
    }
}

fn place(host: &Host) -> String {
    format!("{} ({})", host.name, platform_name(host.platform))
}

fn show_at(zone: Zone, at: i64) -> When {
    zone.show(DateTime::from_timestamp(at, 0).unwrap_or_default())
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

/// From when, until when, and how long an interval is, in seconds.
type Span = (i64, i64, i64);

fn shares_chart(groups: &[(i64, Usage)], span: Span, zone: Zone) -> Option<Chart> {
    let line = |of: fn(&Usage) -> u64| -> Values {
        groups
            .iter()
            .map(|(at, it)| (at + span.2 / 2, under_contention(it, of(it))))
            .collect()
    };
    let (got, due) = (line(|it| it.got_ms), line(|it| it.due_ms));
    let any = got.iter().any(|(_, value)| value.is_some());
    let words = Words {
        id: "shares",
        title: "Share got and share due, % of one CPU",
        desc: "CPU that the Linode got and that was due to it while its host had more to do than it could; gaps where there was no contention. The figures are in the table.",
    };
    any.then(|| chart(words, [("got", got), ("due", due)], span, zone))
}

fn used_chart(groups: &[(i64, Usage)], span: Span, zone: Zone) -> Option<Chart> {
    let used = groups
        .iter()
        .map(|(at, it)| (at + span.2 / 2, Some(it.of_one_cpu(it.cpu_ms))))
        .collect();
    let waited = groups
        .iter()
        .map(|(at, it)| (at + span.2 / 2, it.waited()))
        .collect();
    let words = Words {
        id: "used",
        title: "CPU used and waited for, % of one CPU",
        desc: "CPU that the Linode used, and that it waited for. The figures are in the table.",
    };
    let lines = [("used", used), ("waited for", waited)];
    (!groups.is_empty()).then(|| chart(words, lines, span, zone))
}

fn chart(
    words: Words,
    lines: [(&'static str, Values); 2],
    (from, until, each): Span,
    zone: Zone,
) -> Chart {
    let values = lines.iter().flat_map(|(_, values)| values);
    let scale = Scale {
        from,
        until,
        top: top_of(values.filter_map(|(_, value)| *value)),
        gap: each * 3 / 2,
    };
    let unit = |part| format!("{:.0} %", part * 100.0);
    Chart::new(words, scale, lines, (unit, zone))
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
        let shown = |usage: &Usage| match (usage.covered_ms, of(usage)) {
            (0, _) => "no samples yet".to_owned(),
            (_, text) if text.is_empty() => "not known".to_owned(),
            (_, text) => text,
        };
        [name.to_owned(), shown(&before), shown(&after)]
    };
    Compared {
        from: place(&moved.source),
        to: place(&moved.destination),
        at: show_at(zone, finished),
        has_both: before.covered_ms > 0 && after.covered_ms > 0,
        rows: vec![
            both("Watched for", &|it| span_ms(it.covered_ms)),
            both("CPU used, % of one CPU", &|it| {
                percent(it.of_one_cpu(it.cpu_ms))
            }),
            both("CPU waited for, % of one CPU", &|it| {
                maybe_percent(it.waited())
            }),
            both(
                "Got of what was due under contention, %",
                &|it| match it.of_due() {
                    Some(ratio) => percent(ratio),
                    None if it.judged_ms > 0 => "no contention".to_owned(),
                    None => String::new(),
                },
            ),
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

/// `GET /members/fairness.csv`: the table's rows, or with `all=yes` every interval that is kept.
pub async fn csv(portal: Portal, member: Member, asked: Query<Asked>) -> Response {
    let asked = asked.0;
    let (found, _, now) = find(&portal, &member, &asked).await?;
    let found = found.ok_or(Fault::NotFound)?;
    let range = range(&asked.range)?;
    let rows: Vec<(i64, Usage)> = if asked.all == "yes" {
        found.series.iter().map(|it| (it.from, it.usage)).collect()
    } else {
        grouped(&found.series, spacing(&found.series, range, now).1)
    };
    let records = rows.iter().rev().map(|(at, usage)| {
        let mut record = vec![show_at(Zone::UTC, *at).iso];
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
        ]);
        record
    });
    csv::file("fairness.csv", &COLUMNS, records)
}

const COLUMNS: [&str; 17] = [
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
];
