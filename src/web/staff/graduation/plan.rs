//! `/staff/graduation`: who of the beta would go to which production host, as a diff, host by host; filtered, page by page,
//! and as CSV. Making offers of it is in [`offer`].

use askama::Template;

use crate::app::App;
use crate::domain::graduation::{Line, Outcome, Plan, Stands};
use crate::domain::host::HostRole;
use crate::domain::ids::{HostId, LinodeId, PlanId};
use crate::domain::placement::fitting::Place;
use crate::domain::search;
use crate::store;
use crate::web::csv::{self, unformula};
use crate::web::extract::{Query, Staff};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, FROM_FILTERS, Filters, Page, ROWS, clipped, filters};
use crate::web::portal;
use crate::web::staff::linode;
use crate::web::ui::list::StateTab;
use crate::web::ui::room::{Bar, axis, change};
use crate::web::ui::{Choice, Field, Link, Pager, Tag, Tone, Zone};

pub(super) const PATH: &str = "/staff/graduation";
/// Hosts in the table above the list; with more, the filter finds them.
const HOSTS: usize = 40;

#[derive(Debug, Template)]
#[template(path = "staff/graduation/plan.html")]
pub struct GraduationPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    pub plan: Field,
    pub host: Field,
    pub text: Field,
    pub asked: Params,
    pub csv_url: String,
    /// Linodes of the filter that a place can be offered to.
    pub can_offer: usize,
    pub offer_url: String,
    pub again: bool,
    pub count: usize,
    pub hosts: Vec<HostRow>,
    /// Below the name of the column of bars.
    pub axis: [String; 3],
    pub hosts_left_out: usize,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct HostRow {
    pub link: Link,
    pub role: String,
    pub comes: usize,
    pub goes: usize,
    pub stays: usize,
    pub memory: String,
    pub memory_bar: Bar,
    pub disk: String,
}

#[derive(Debug)]
pub struct Row {
    pub linode: Link,
    pub account: String,
    pub plan: String,
    pub change: Tag,
    pub words: String,
    pub migration: Option<Link>,
}

filters! {
    PATH, ROWS, FROM_FILTERS;
    show, plan, host, q, after,
}

/// What of the plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    All,
    /// Nothing but a place is missing.
    Ready,
    Goes,
    Cannot,
    Offered,
    Expired,
    Waits,
}

impl Show {
    const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::All, "", "All"),
        (Self::Ready, "ready", "Ready"),
        (Self::Goes, "goes", "Can be offered a place"),
        (Self::Cannot, "cannot", "No place"),
        (Self::Offered, "offered", "Offered, not clicked"),
        (Self::Expired, "expired", "Offer expired"),
        (Self::Waits, "waits", "Not yet"),
    ];

    fn fits(self, line: &Line) -> bool {
        let stands = &line.candidate.stands;
        match self {
            Self::All => true,
            Self::Ready => matches!(stands, Stands::Ready { .. }),
            Self::Goes => matches!(line.outcome, Outcome::Goes(_)),
            Self::Cannot => matches!(line.outcome, Outcome::Cannot(_)),
            Self::Offered => matches!(stands, Stands::Offered { .. }),
            Self::Expired => matches!(
                stands,
                Stands::Ready {
                    expired: Some(_),
                    ..
                }
            ),
            Self::Waits => matches!(
                stands,
                Stands::Moving(_) | Stands::WayBackOpen(_) | Stands::NotRegistered
            ),
        }
    }
}

/// The filters, read.
#[derive(Debug, Clone)]
pub struct Filter {
    pub show: Show,
    plan: Option<PlanId>,
    host: Option<HostId>,
    text: String,
}

impl Filter {
    pub fn fits(&self, line: &Line) -> bool {
        self.show.fits(line) && self.fits_otherwise(line)
    }

    /// All but the tab.
    fn fits_otherwise(&self, line: &Line) -> bool {
        let it = &line.candidate;
        let to = match line.outcome {
            Outcome::Goes(to) => Some(to),
            Outcome::Cannot(_) | Outcome::Waits => None,
        };
        self.plan.is_none_or(|plan| plan == it.plan)
            && self
                .host
                .is_none_or(|host| host == it.host || Some(host) == to)
            && (self.text.is_empty()
                || search::fold(&it.label).contains(&self.text)
                || search::fold(&it.account).contains(&self.text))
    }
}

impl Params {
    pub fn filter(&self) -> Result<Filter> {
        let show = Show::ALL
            .iter()
            .find(|(_, word, _)| *word == self.show)
            .ok_or_else(Self::unknown)?
            .0;
        Ok(Filter {
            show,
            plan: Self::read(&self.plan)?,
            host: Self::read(&self.host)?,
            text: search::fold(&clipped(&self.q, 100)),
        })
    }

    /// `path` with these filters, but for what is shown.
    fn showing(&self, path: &str, show: &str) -> String {
        let show = show.to_owned();
        Self {
            show,
            ..self.clone()
        }
        .address(path, "")
    }
}

pub(super) async fn planned(staff: &Staff) -> Result<Plan> {
    staff.act(App::graduation_plan).await
}

/// `GET /staff/graduation`
pub async fn list(staff: Staff, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let filter = asked.filter()?;
    let plan = planned(&staff).await?;
    let plans = portal::read(&staff.portal, store::catalogue::plans).await?;
    let page = staff.page(Area::Graduation, "Graduation");
    let zone = page.zone();
    let found: Vec<&Line> = plan.lines.iter().filter(|line| filter.fits(line)).collect();
    let count = found.len();
    let from = first(&found, &asked.after)?;
    let shown = found.into_iter().skip(from).take(ROWS + 1).collect();
    let (shown, pager) = asked.page(shown, |line| line.candidate.linode.to_string());
    let offerable = |line: &&Line| filter.fits(line) && matches!(line.outcome, Outcome::Goes(_));
    let plans = plans.iter().map(|it| Choice::new(it.id, &it.label));
    let hosts = plan.before.iter().filter(|place| concerns(place, &plan));
    let hosts = hosts.map(|place| Choice::new(place.room.host, &place.room.name));
    let (table, hosts_left_out) = host_rows(&plan, &filter);
    let again = filter.show == Show::Expired;
    page::html(&GraduationPage {
        tabs: tabs(&plan, &filter, &asked),
        plan: Field::select("plan", "Plan", Choice::any("All plans", plans)).value(&asked.plan),
        host: Field::select("host", "Host", Choice::any("All hosts", hosts)).value(&asked.host),
        text: Field::text("q", "Linode or account").value(&asked.q),
        csv_url: asked.csv_url(),
        can_offer: plan.lines.iter().filter(offerable).count(),
        offer_url: asked.showing(
            "/staff/graduation/offer",
            if again { "expired" } else { "goes" },
        ),
        again,
        count,
        hosts: if from == 0 { table } else { Vec::new() },
        hosts_left_out,
        axis: axis(largest(&plan)),
        rows: shown.iter().map(|line| row(&plan, line, zone)).collect(),
        pager,
        asked,
        page,
    })
}

/// Where the page after this key begins.
fn first(found: &[&Line], after: &str) -> Result<usize> {
    if after.is_empty() {
        return Ok(0);
    }
    let key = after.parse().ok().map(LinodeId);
    let at = found
        .iter()
        .position(|line| Some(line.candidate.linode) == key);
    at.map(|at| at + 1).ok_or_else(|| {
        Fault::conflict_at(
            "The plan has changed since you looked at it. Start from its first page.",
            PATH,
            "The plan's first page",
        )
    })
}

fn tabs(plan: &Plan, filter: &Filter, asked: &Params) -> Vec<StateTab> {
    Show::ALL
        .iter()
        .map(|(show, word, label)| {
            let fits = |line: &&Line| show.fits(line) && filter.fits_otherwise(line);
            let count = plan.lines.iter().filter(fits).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            StateTab::new(
                asked.showing(PATH, word),
                *label,
                count,
                *show == filter.show,
            )
        })
        .collect()
}

/// A production host, or one that has somebody of the beta.
fn concerns(place: &Place, plan: &Plan) -> bool {
    place.room.role == HostRole::Production
        || plan
            .lines
            .iter()
            .any(|line| line.candidate.host == place.room.host)
}

/// The memory of the largest host.
fn largest(plan: &Plan) -> i64 {
    let all = plan.before.iter().map(|place| place.room.memory_mb);
    all.max().unwrap_or(0)
}

fn host_rows(plan: &Plan, filter: &Filter) -> (Vec<HostRow>, usize) {
    let mut counts: std::collections::HashMap<HostId, (usize, usize, usize)> =
        std::collections::HashMap::new();
    for line in plan.lines.iter().filter(|line| filter.fits_otherwise(line)) {
        let here = counts.entry(line.candidate.host).or_default();
        match line.outcome {
            Outcome::Goes(to) => {
                here.1 += 1;
                counts.entry(to).or_default().0 += 1;
            }
            Outcome::Cannot(_) | Outcome::Waits => here.2 += 1,
        }
    }
    let largest = largest(plan);
    let rows: Vec<HostRow> = plan
        .before
        .iter()
        .zip(&plan.after)
        .filter(|(place, _)| {
            let host = place.room.host;
            filter.host.map_or_else(
                || counts.contains_key(&host) || place.room.role == HostRole::Production,
                |only| only == host,
            )
        })
        .map(|(before, after)| {
            let (comes, goes, stays) = counts.get(&before.room.host).copied().unwrap_or_default();
            let (now, then) = (&before.room, &after.room);
            HostRow {
                link: Link::new(format!("/staff/hosts/{}", now.host), now.name.clone()),
                role: now.role.to_string(),
                comes,
                goes,
                stays,
                memory: change(now.memory_free_mb(), then.memory_free_mb()),
                memory_bar: Bar::new(
                    (now.memory_promised_mb, then.memory_promised_mb),
                    now.memory_mb,
                    largest,
                ),
                disk: change(now.disk_free_mb(), then.disk_free_mb()),
            }
        })
        .collect();
    let left_out = rows.len().saturating_sub(HOSTS);
    (rows.into_iter().take(HOSTS).collect(), left_out)
}

fn row(plan: &Plan, line: &Line, zone: Zone) -> Row {
    let it = &line.candidate;
    let from = plan.name(it.host);
    let (change, words) = match line.outcome {
        Outcome::Goes(to) => (
            Tag::new("+ comes", Tone::Good),
            format!("to {} from {from}", plan.name(to)),
        ),
        Outcome::Cannot(why) => (Tag::new("! no place", Tone::Warn), format!("{from}: {why}")),
        Outcome::Waits => (
            Tag::new("= stays", Tone::Plain),
            format!("on {from}: {}", plan.words(it)),
        ),
    };
    let (migration, note) = match &it.stands {
        Stands::Ready {
            expired: Some((id, at)),
            ..
        } => (
            Some(*id),
            format!("; its last offer ended on {}", zone.text(*at)),
        ),
        Stands::Offered {
            migration, until, ..
        } => (Some(*migration), format!(" until {}", zone.text(*until))),
        Stands::Moving(id) | Stands::WayBackOpen(id) => (Some(*id), String::new()),
        Stands::Ready { expired: None, .. } | Stands::NotRegistered => (None, String::new()),
    };
    Row {
        linode: linode::link(it.linode, &it.label),
        account: it.account.clone(),
        plan: it.plan_label.clone(),
        change,
        words: words + &note,
        migration: migration.map(Link::migration),
    }
}

/// `GET /staff/graduation.csv`: exactly what the list's filters find.
pub async fn csv(staff: Staff, asked: Query<Params>) -> Response {
    let filter = asked.0.filter()?;
    let plan = planned(&staff).await?;
    let names = [
        "linode", "label", "account", "plan", "from", "change", "to", "why",
    ];
    let rows = plan
        .lines
        .iter()
        .filter(|line| filter.fits(line))
        .map(|line| {
            let it = &line.candidate;
            let (change, to, why) = match line.outcome {
                Outcome::Goes(to) => ("comes", plan.name(to).to_owned(), String::new()),
                Outcome::Cannot(why) => ("no place", String::new(), why.to_string()),
                Outcome::Waits => ("stays", String::new(), plan.words(it)),
            };
            [
                it.linode.to_string(),
                unformula(&it.label),
                unformula(&it.account),
                unformula(&it.plan_label),
                unformula(plan.name(it.host)),
                change.to_owned(),
                unformula(&to),
                why,
            ]
        });
    csv::file("graduation.csv", &names, rows)
}
