//! `/staff/hosts/{id}/fairness`: one host over time, and its Linodes.

use askama::Template;
use chrono::DateTime;
use std::collections::HashMap;

use super::list::{Params, spans};
use crate::domain::fairness::judge::{Verdict, compared, verdict};
use crate::domain::fairness::usage::{Range, Usage};
use crate::domain::ids::{HostId, LinodeId};
use crate::store;
use crate::store::fairness::{Interval, Summary};
use crate::store::host::Host;
use crate::web::csv;
use crate::web::extract::{Path, Query, Staff};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::chart::{Chart, Scale, Values, Words};
use crate::web::ui::usage::{
    RangeTab, maybe_percent, percent, range, range_name, range_tabs, span_ms, verdict_tag,
};
use crate::web::ui::{Link, Tag, When, Zone};

/// Rows of the table; the CSV has all.
const MOST_ROWS: usize = 100;

#[derive(Debug, Template)]
#[template(path = "staff/fairness/host.html")]
pub struct HostFairnessPage {
    pub page: Page,
    pub name: String,
    pub ranges: Vec<RangeTab>,
    pub range: &'static str,
    pub verdict: Option<(Tag, String)>,
    pub chart: Option<Chart>,
    pub rows: Vec<Row>,
    pub in_all: usize,
    pub csv: String,
    pub linodes: Vec<(Link, [String; 6])>,
    pub linodes_of: &'static str,
}

/// One interval.
#[derive(Debug)]
pub struct Row {
    pub at: When,
    /// Contention, Jain, worst-off with its part of its due, worst neighbour with its.
    pub cells: [String; 4],
    pub verdict: Tag,
}

struct Loaded {
    host: Host,
    intervals: Vec<Interval>,
    usage: Vec<(LinodeId, Usage)>,
    labels: HashMap<LinodeId, String>,
}

async fn find(portal: &Portal, id: i64, range: Range) -> Result<(Loaded, i64)> {
    let now = portal.now().utc().timestamp();
    let host = HostId(id);
    let found = portal::read(portal, move |conn| {
        let Some(found) = store::host::host(conn, host)? else {
            return Ok(None);
        };
        let mut intervals = Vec::new();
        for (step, from, until) in spans(range, now) {
            intervals.extend(store::fairness::of_host(conn, host, step, (from, until))?);
        }
        let usage: Vec<(LinodeId, Usage)> = store::fairness::page::of_host(conn, host, range, now)?
            .into_iter()
            .collect();
        let mut of: Vec<LinodeId> = usage.iter().map(|(id, _)| *id).collect();
        of.extend(
            intervals
                .iter()
                .flat_map(|it| [it.worst_id, it.least_id])
                .flatten(),
        );
        of.sort_unstable();
        of.dedup();
        Ok(Some(Loaded {
            host: found,
            labels: store::fairness::labels(conn, &of)?.into_iter().collect(),
            intervals,
            usage,
        }))
    })
    .await?;
    Ok((found.ok_or(Fault::NotFound)?, now))
}

fn part(found: &Loaded, id: Option<LinodeId>, ratio: i64) -> String {
    let Some(label) = id.and_then(|id| found.labels.get(&id)) else {
        return String::new();
    };
    format!("{label}, {} %", percent(ratio as f64 / 1000.0))
}

fn row(found: &Loaded, it: &Interval, zone: Zone) -> Row {
    let ratio = |thousandths: i64| thousandths as f64 / 1000.0;
    // In a single interval any contention is judged: what is too little is for the whole.
    let verdict = match it {
        it if it.judged_ms == 0 => Verdict::Unknown,
        it if it.contended_ms == 0 => Verdict::TooLittle,
        it if it.guests == 0 => Verdict::NotCompared,
        it => compared(ratio(it.jain), ratio(it.least_ratio)),
    };
    Row {
        at: zone.show(DateTime::from_timestamp(it.slot, 0).unwrap_or_default()),
        cells: [
            span_ms(it.contended_ms.unsigned_abs()),
            if it.guests > 0 {
                format!("{:.3}", ratio(it.jain))
            } else {
                String::new()
            },
            part(found, it.least_id, it.least_ratio),
            part(found, it.worst_id, it.worst_ratio),
        ],
        verdict: verdict_tag(verdict),
    }
}

fn chart(intervals: &[Interval], range: Range, now: i64, zone: Zone) -> Option<Chart> {
    let first = intervals.first()?.slot;
    let (from, gap) = match range {
        Range::Hour => (now - 3600, 90),
        Range::Day => (now - 86_400, 900),
        Range::Beta => (first, 2 * 86_400),
    };
    let scale = Scale {
        from,
        until: now,
        top: 1.0,
        gap,
    };
    let line = |name, of: fn(&Interval) -> i64| {
        let value = |it: &Interval| (it.guests > 0).then(|| of(it) as f64 / 1000.0);
        let values: Values = intervals.iter().map(|it| (it.slot, value(it))).collect();
        (name, values)
    };
    let words = Words {
        id: "fairness",
        title: "Fairness under contention",
        desc: "Jain's index, and how much of its due the Linode got that came furthest below; gaps where there was no contention. The figures are in the table.",
    };
    let lines = [
        line("Jain's index", |it| it.jain),
        line("got of due, worst-off", |it| it.least_ratio),
    ];
    Some(Chart::new(
        words,
        scale,
        lines,
        (|part| part.to_string(), zone),
    ))
}

fn linode(usage: &Usage) -> [String; 6] {
    let contended =
        |ms: u64| (usage.contended_ms > 0).then(|| ms as f64 / usage.contended_ms as f64);
    [
        usage.weight.to_string(),
        percent(usage.of_one_cpu(usage.cpu_ms)),
        maybe_percent(usage.waited()),
        maybe_percent(contended(usage.due_ms)),
        maybe_percent(contended(usage.got_ms)),
        maybe_percent(usage.of_due()),
    ]
}

/// `GET /staff/hosts/{id}/fairness`
pub async fn show(staff: Staff, id: Path<i64>, asked: Query<Params>) -> Response {
    let range = range(&asked.0.range)?;
    let (found, now) = find(&staff.portal, id.0, range).await?;
    let url = format!("/staff/hosts/{}", id.0);
    let page = staff
        .page(Area::Hosts, format!("Fairness of {}", found.host.name))
        .crumb("Hosts", "/staff/hosts")
        .crumb(&found.host.name, &url);
    let zone = page.zone();
    page::html(&HostFairnessPage {
        name: found.host.name.clone(),
        ranges: range_tabs(range, |range| format!("{url}/fairness?range={range}")),
        range: range_name(range),
        verdict: (!found.intervals.is_empty()).then(|| {
            let sum = Summary::of(found.host.id, &found.intervals);
            let contended = match sum.judged_ms {
                0 => "not known, as this host cannot tell how long its Linodes wait".to_owned(),
                _ => span_ms(sum.contended_ms.unsigned_abs()),
            };
            (verdict_tag(verdict(&sum.figures())), contended)
        }),
        chart: chart(&found.intervals, range, now, zone),
        rows: found
            .intervals
            .iter()
            .rev()
            .take(MOST_ROWS)
            .map(|it| row(&found, it, zone))
            .collect(),
        in_all: found.intervals.len(),
        csv: format!("{url}/fairness.csv?range={range}"),
        linodes: found
            .usage
            .iter()
            .map(|(id, usage)| {
                let label = found.labels.get(id).map_or("", String::as_str);
                (crate::web::staff::linode::link(*id, label), linode(usage))
            })
            .collect(),
        linodes_of: if range == Range::Beta {
            "the last three days"
        } else {
            "this time"
        },
        page,
    })
}

/// `GET /staff/hosts/{id}/fairness.csv`
pub async fn csv(staff: Staff, id: Path<i64>, asked: Query<Params>) -> Response {
    let range = range(&asked.0.range)?;
    let (found, _) = find(&staff.portal, id.0, range).await?;
    let names = [
        "from_utc",
        "contention",
        "jain",
        "worst_off",
        "worst_neighbour",
        "verdict",
        "contended_ms",
    ];
    let records = found.intervals.iter().rev().map(|it| {
        let row = row(&found, it, Zone::UTC);
        let mut record = vec![row.at.iso];
        record.extend(row.cells);
        record.extend([row.verdict.text, it.contended_ms.to_string()]);
        record
    });
    csv::file("host-fairness.csv", &names, records)
}
