//! `/staff/fairness`: how fairly each host divides its CPU, worst first. Rule of the room: the list here, one host in [`host`],
//! weights in [`weights`].

use std::collections::HashMap;

use askama::Template;

use crate::domain::fairness::judge::{Verdict, verdict};
use crate::domain::fairness::usage::Range;
use crate::domain::ids::HostId;
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::fairness::{Summary, Worst};
use crate::store::host::Host;
use crate::web::csv;
use crate::web::extract::{Query, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, FROM_FILTERS, Filters, Page, ROWS, filters};
use crate::web::portal;
use crate::web::ui::names::platform_name;
use crate::web::ui::usage::{
    RangeTab, percent, range, range_name, range_tabs, span_ms, verdict_tag,
};
use crate::web::ui::{Link, Pager, Tag};

const PATH: &str = Params::PATH;
const MINUTE: i64 = 60;
const TEN: i64 = 600;
const DAY: i64 = 86_400;
/// Ten minutes, and a day, are rolled up so long after they ended, at the latest.
const TEN_AFTER: i64 = 1200;
const DAY_AFTER: i64 = 3 * 3600;
/// The furthest look back.
const MOST_DAYS: i64 = 400;

#[derive(Debug, Template)]
#[template(path = "staff/fairness/list.html")]
pub struct FairnessPage {
    pub page: Page,
    pub ranges: Vec<RangeTab>,
    pub range: &'static str,
    pub rows: Vec<Row>,
    /// Those of which nothing can be said, as there was too little contention.
    pub quiet: Vec<Row>,
    pub csv: String,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    /// Platform, watched, contention, Jain, worst-off, worst neighbour: the same words in the CSV.
    pub cells: [String; 6],
    pub verdict: Tag,
}

filters! {
    "/staff/fairness", ROWS, FROM_FILTERS;
    range,
    /// The host that the page before ended with.
    after,
}

/// Which intervals make up a range: (step, from, until), each joint where the longer ones are all there.
pub fn spans(range: Range, now: i64) -> Vec<(i64, i64, i64)> {
    let tens = (now - TEN_AFTER).div_euclid(TEN) * TEN;
    let days = (now - DAY_AFTER).div_euclid(DAY) * DAY;
    match range {
        Range::Hour => vec![(MINUTE, now - 3600, now)],
        Range::Day => vec![(TEN, now - DAY, tens), (MINUTE, tens, now)],
        Range::Beta => vec![
            (DAY, now - MOST_DAYS * DAY, days),
            (TEN, days, tens),
            (MINUTE, tens, now),
        ],
    }
}

/// A host with its figures over a range.
pub struct Judged {
    pub host: Host,
    pub summary: Summary,
    pub worst: Option<Worst>,
}

/// Worst first: by verdict, then by Jain's index.
fn rank(of: &Summary) -> (std::cmp::Reverse<Verdict>, i64, HostId) {
    let jain = if of.compared_ms > 0 { of.jain() } else { 2.0 };
    #[allow(clippy::cast_possible_truncation, reason = "at most two millions")]
    let jain = (jain * 1e6) as i64;
    (std::cmp::Reverse(verdict(&of.figures())), jain, of.host_id)
}

/// The figures of every host that has samples in the range, worst first.
fn ranked(conn: &mut Db, range: Range, now: i64) -> Result<Vec<Summary>, StoreError> {
    let mut sums: HashMap<HostId, Summary> = HashMap::new();
    for (step, from, until) in spans(range, now) {
        for more in store::fairness::summaries(conn, step, (from, until))? {
            sums.entry(more.host_id)
                .and_modify(|sum| sum.add(&more))
                .or_insert(more);
        }
    }
    let mut all: Vec<Summary> = sums.into_values().collect();
    all.sort_by_key(rank);
    Ok(all)
}

/// These figures with their hosts and worst neighbours.
fn judged(
    conn: &mut Db,
    of: Vec<Summary>,
    range: Range,
    now: i64,
) -> Result<Vec<Judged>, StoreError> {
    let ids: Vec<HostId> = of.iter().map(|sum| sum.host_id).collect();
    let mut worst: HashMap<HostId, Worst> = HashMap::new();
    for (step, from, until) in spans(range, now) {
        for one in store::fairness::worst(conn, &ids, step, (from, until))? {
            let known = worst.get(&one.host_id);
            if known.is_none_or(|known| known.worst_excess_ms < one.worst_excess_ms) {
                worst.insert(one.host_id, one);
            }
        }
    }
    let hosts = store::host::some(conn, &ids)?.into_iter();
    let mut hosts: HashMap<HostId, Host> = hosts.map(|host| (host.id, host)).collect();
    let judged = |summary: Summary| {
        Some(Judged {
            host: hosts.remove(&summary.host_id)?,
            worst: worst.remove(&summary.host_id),
            summary,
        })
    };
    Ok(of.into_iter().filter_map(judged).collect())
}

fn row(judged: &Judged, range: Range) -> Row {
    let summary = &judged.summary;
    let none = summary.compared_ms == 0;
    Row {
        link: Link::new(
            format!("/staff/hosts/{}/fairness?range={range}", judged.host.id),
            &judged.host.name,
        ),
        cells: [
            platform_name(judged.host.platform).to_owned(),
            span_ms(summary.judged_ms.unsigned_abs()),
            match summary.judged_ms {
                0 => String::new(),
                _ => span_ms(summary.contended_ms.unsigned_abs()),
            },
            if none {
                String::new()
            } else {
                format!("{:.3}", summary.jain())
            },
            if none {
                String::new()
            } else {
                percent(summary.least())
            },
            judged.worst.as_ref().map(worst_words).unwrap_or_default(),
        ],
        verdict: verdict_tag(verdict(&summary.figures())),
    }
}

/// `web, 233.3 % of due`
fn worst_words(worst: &Worst) -> String {
    format!(
        "{}, {} % of due",
        worst.label,
        percent(worst.worst_ratio as f64 / 1000.0)
    )
}

/// `GET /staff/fairness`
pub async fn list(staff: Staff, asked: Query<Params>) -> Response {
    let mut asked = asked.0;
    let range = range(&asked.range)?;
    asked.range = range.to_string();
    let now = staff.portal.now().utc().timestamp();
    let after = asked.after.parse().ok().map(HostId);
    let (begin, shown) = portal::read(&staff.portal, move |conn| {
        let all = ranked(conn, range, now)?;
        let begin = after
            .and_then(|after| all.iter().position(|it| it.host_id == after))
            .map_or(0, |at| at + 1);
        let shown = all.into_iter().skip(begin).take(ROWS + 1).collect();
        Ok((begin, judged(conn, shown, range, now)?))
    })
    .await?;
    if begin == 0 {
        // That host is no longer in the range.
        asked.after.clear();
    }
    let (shown, pager) = asked.page(shown, |it| it.host.id.to_string());
    let rows_of = |fits: &dyn Fn(Verdict) -> bool| {
        let fitting = shown
            .iter()
            .filter(|it| fits(verdict(&it.summary.figures())));
        fitting.map(|it| row(it, range)).collect()
    };
    page::html(&FairnessPage {
        page: staff.page(Area::StaffFairness, "Fairness of hosts"),
        ranges: range_tabs(range, |range| format!("{PATH}?range={range}")),
        range: range_name(range),
        csv: asked.csv_url(),
        pager,
        quiet: rows_of(&|verdict| verdict == Verdict::TooLittle),
        rows: rows_of(&|verdict| verdict != Verdict::TooLittle),
    })
}

/// `GET /staff/fairness.csv`
pub async fn csv(staff: Staff, asked: Query<Params>) -> Response {
    let range = range(&asked.0.range)?;
    let now = staff.portal.now().utc().timestamp();
    let all = portal::read(&staff.portal, move |conn| {
        let all = ranked(conn, range, now)?;
        judged(conn, all, range, now)
    })
    .await?;
    let names = [
        "host",
        "platform",
        "watched",
        "contention",
        "jain",
        "worst_off_percent",
        "worst_neighbour",
        "verdict",
        "contended_ms",
        "compared_ms",
    ];
    let records = all.iter().map(|judged| {
        let row = row(judged, range);
        let times = [judged.summary.contended_ms, judged.summary.compared_ms];
        let mut record = vec![row.link.label];
        record.extend(row.cells);
        record.push(row.verdict.text);
        record.extend(times.map(|ms| ms.to_string()));
        record
    });
    csv::file("fairness.csv", &names, records)
}
