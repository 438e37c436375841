//! `/staff/plan`: who of those that wait would go to which host, with when, and what if; page by page, and as CSV. What it does
//! to the hosts is in [`super::room`], making offers of it in [`super::offer`].

use std::collections::HashSet;

use askama::Template;

use super::room::HostTable;
use super::shared::{PATH, Params};
use super::what_if::{self, planned};
use crate::app::placement::{Planned, count_offers};
use crate::domain::host::HostRole;
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::placement::plan::{self as planner, Line, Outcome, Plan};
use crate::domain::time::Time;
use crate::store;
use crate::web::csv::{self, unformula};
use crate::web::extract::{Query, Staff, once_or};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, Filters, Page, ROWS};
use crate::web::portal;
use crate::web::staff::linode;
use crate::web::ui::list::StateTab;
use crate::web::ui::{Field, Link, Pager, Tag, Tone, Zone, units};

#[derive(Debug, Template)]
#[template(path = "staff/placement/plan.html")]
pub struct PlanPage {
    pub page: Page,
    pub asked: Params,
    pub whom: Vec<Field>,
    pub what_if: Vec<Field>,
    pub is_tried: bool,
    pub as_it_is: String,
    pub facts: Vec<(&'static str, String)>,
    pub hosts: HostTable,
    pub hosts_csv_url: String,
    pub tabs: Vec<StateTab>,
    pub csv_url: String,
    pub count: usize,
    pub rows: Vec<Row>,
    pub pager: Pager,
    /// How many offers the button makes; 0: none can be made.
    pub offers: usize,
    pub left_over: usize,
    pub mark: String,
    pub once: String,
}

#[derive(Debug)]
pub struct Row {
    pub linode: Link,
    pub account: String,
    pub plan: String,
    pub change: Tag,
    pub words: String,
    pub when: String,
}

/// What of the plan is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    All,
    Goes,
    Stays,
}

impl Show {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::All, "", "All"),
        (Self::Goes, "goes", "Have a place"),
        (Self::Stays, "stays", "Have none"),
    ];

    fn of(word: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(_, it, _)| *it == word);
        found.map(|it| it.0).ok_or_else(Params::unknown)
    }

    fn fits(self, line: &Line) -> bool {
        let goes = matches!(line.outcome, Outcome::Goes(_));
        match self {
            Self::All => true,
            Self::Goes => goes,
            Self::Stays => !goes,
        }
    }
}

/// `GET /staff/plan`
pub async fn show(staff: Staff, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let show = Show::of(&asked.show)?;
    let found = planned(&staff, &asked).await?;
    let (plans, programme) = portal::read(&staff.portal, |conn| {
        let plans = store::catalogue::plans(conn)?;
        Ok((plans, store::programme::stored(conn)?))
    })
    .await?;
    let at_once = programme.map_or(found.planned.at_once, |it| it.max_overall);
    let page = staff
        .page(Area::Registrations, "Plan")
        .crumb("Registrations", "/staff/registrations")
        .problems(found.problems);
    let (planned, zone) = (&found.planned, page.zone());
    let lines: Vec<&Line> = planned
        .plan
        .lines
        .iter()
        .filter(|it| show.fits(it))
        .collect();
    let count = lines.len();
    let from = first(&lines, &asked.after)?;
    let shown = lines.into_iter().skip(from).take(ROWS + 1).collect();
    let (shown, pager) = asked.page(shown, |line| line.candidate.linode.to_string());
    let offers = if asked.more.trim().is_empty() && page.problems.is_empty() {
        count_offers(&planned.plan)
    } else {
        0
    };
    let view = PlanPage {
        whom: what_if::whom(&asked, &plans),
        what_if: what_if::what_if(&asked, (&found.hosts, at_once), &page.problems),
        is_tried: what_if::is_tried(&asked),
        as_it_is: what_if::as_it_is(&asked),
        facts: facts(planned, staff.portal.now(), zone),
        hosts: HostTable::new(&planned.plan),
        hosts_csv_url: asked.address("/staff/plan/hosts.csv", ""),
        tabs: tabs(&planned.plan, show, &asked),
        csv_url: asked.csv_url(),
        count,
        rows: shown.iter().map(|line| row(planned, line)).collect(),
        pager,
        offers,
        left_over: planned.plan.moves().count() - offers,
        mark: planned.mark.clone(),
        once: once_or(""),
        asked,
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// Where the page after this key begins.
fn first(lines: &[&Line], after: &str) -> Result<usize> {
    let Some(key) = Params::read(after)?.map(LinodeId) else {
        return Ok(0);
    };
    let at = lines.iter().position(|line| line.candidate.linode == key);
    at.map(|at| at + 1).ok_or_else(|| {
        let message = "The plan has changed since you looked at it. Start from its first page.";
        Fault::conflict_at(message, PATH, "The plan's first page")
    })
}

fn tabs(plan: &Plan, current: Show, asked: &Params) -> Vec<StateTab> {
    let tab = |(show, word, label): &(Show, &str, &'static str)| {
        let count = plan.lines.iter().filter(|line| show.fits(line)).count();
        let there = Params {
            show: (*word).to_owned(),
            ..asked.clone()
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        StateTab::new(there.url(""), *label, count, *show == current)
    };
    Show::ALL.iter().map(tab).collect()
}

fn facts(of: &Planned, now: Time, zone: Zone) -> Vec<(&'static str, String)> {
    let (goes, all) = (of.plan.moves().count(), of.plan.lines.len());
    let hosts: HashSet<HostId> = of.plan.moves().map(|(_, to)| to).collect();
    let spare = match planner::keeps_one(&of.plan.after, HostRole::Beta) {
        Some(true) => "kept: all beta hosts together stay as free as the largest of them is large",
        Some(false) => "not kept: if the largest beta host fails, the others cannot take all of it",
        None => "none: there is one beta host that takes new Linodes, or none",
    };
    let last = of.spans.values().map(|span| span.ends_s).max();
    let ends = match last {
        _ if goes == 0 => "nobody goes".to_owned(),
        None => "never: a limit is 0, or a host has no slots".to_owned(),
        Some(s) => format!("in {}, {}", units::span(s), zone.text(now.plus_s(s))),
    };
    let never = goes - of.spans.len();
    let ends = if last.is_some() && never > 0 {
        format!("{ends}; {never} never, as a host of theirs has no slots")
    } else {
        ends
    };
    let rate = units::rate(of.pace.bytes_a_s.unsigned_abs());
    let basis = if of.pace.of == 0 {
        format!("{rate} each, which is assumed: nothing has moved yet")
    } else {
        let moves = units::counted(of.pace.of, "move", "moves");
        format!("{rate} each, as measured of the last {moves}")
    };
    vec![
        (
            "Have a place",
            format!(
                "{goes} of {all}, on {}",
                units::counted(hosts.len(), "host", "hosts")
            ),
        ),
        ("Room for one that fails", spare.to_owned()),
        ("Last one moved, if all click now", ends),
        (
            "At a rate of",
            format!("{basis}; {} at once, {} before them", of.at_once, of.before),
        ),
    ]
}

fn row(of: &Planned, line: &Line) -> Row {
    let it = &line.candidate;
    let from = name(&of.plan, it.need.from);
    let (change, words) = match line.outcome {
        Outcome::Goes(to) => (
            Tag::new("+ goes", Tone::Good),
            format!("{from} → {}", name(&of.plan, to)),
        ),
        Outcome::Cannot(_) => (Tag::new("! no place", Tone::Warn), planner::why(line)),
        Outcome::Not(_) => (Tag::new("= stays", Tone::Plain), planner::why(line)),
    };
    let span = of.spans.get(&it.linode);
    Row {
        linode: linode::link(it.linode, &it.label),
        account: it.account_name.clone(),
        plan: it.plan_label.clone(),
        change,
        words,
        when: span.map_or_else(String::new, |span| units::span(span.ends_s)),
    }
}

fn name(plan: &Plan, host: HostId) -> &str {
    let found = plan.before.iter().find(|place| place.room.host == host);
    found.map_or("", |place| place.room.name.as_str())
}

/// `GET /staff/plan.csv`: exactly what the list's filters find.
pub async fn csv(staff: Staff, asked: Query<Params>) -> Response {
    let show = Show::of(&asked.0.show)?;
    let found = planned(&staff, &asked.0).await?;
    let of = &found.planned;
    let names = [
        "linode", "label", "account", "plan", "from", "to", "why_not", "begins_s", "ends_s",
    ];
    let lines = of.plan.lines.iter().filter(|line| show.fits(line));
    let rows = lines.map(|line| {
        let it = &line.candidate;
        let to = match line.outcome {
            Outcome::Goes(to) => name(&of.plan, to),
            Outcome::Cannot(_) | Outcome::Not(_) => "",
        };
        let span = of.spans.get(&it.linode);
        let second = |of: Option<i64>| of.map(|s| s.to_string()).unwrap_or_default();
        [
            it.linode.to_string(),
            unformula(&it.label),
            unformula(&it.account_name),
            unformula(&it.plan_label),
            unformula(name(&of.plan, it.need.from)),
            unformula(to),
            planner::why(line),
            second(span.map(|span| span.begins_s)),
            second(span.map(|span| span.ends_s)),
        ]
    });
    csv::file("plan.csv", &names, rows)
}
