//! `/staff/hosts/{id}/evacuate`: where each Linode of a host would go, and the one button that moves them all off it.

use std::collections::HashMap;

use askama::Template;
use serde::Deserialize;

use crate::app::batch::{FEW, NewOrder};
use crate::app::bulk::AT_ONCE;
use crate::app::evacuation::{MOST_DAYS, MOST_WHY, Order, Wanted};
use crate::domain::batch::BatchKind;
use crate::domain::evacuation::{Candidate, Line, Outcome, Plan, Stands};
use crate::domain::ids::{HostId, LinodeId};
use crate::store;
use crate::store::batch::NewItem;
use crate::store::evacuation::Hanging;
use crate::web::extract::{Form, Path, Staff, once_or};
use crate::web::fault::{Fault, Response};
use crate::web::page::DonePage;
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::staff::graduation::offer::parse_pairs;
use crate::web::staff::host::shared::PATH;
use crate::web::staff::linode;
use crate::web::ui::room::{Bar, axis, change};
use crate::web::ui::{Choice, Field, FormState, Input, Link, Problems, Zone, local_time, units};

/// Rows of each list, and hosts, that are shown one by one.
const LISTED: usize = 100;

#[derive(Debug, Template)]
#[template(path = "staff/evacuation/plan.html")]
pub struct EvacuatePage {
    pub page: Page,
    pub id: i64,
    pub name: String,
    pub blocked: Option<String>,
    /// In words what members lose who came from here.
    pub ways_back: i64,
    pub button: String,
    pub can_go: bool,
    /// More than one act may take.
    pub left_over: usize,
    /// `linode.host` for each, with `-` between.
    pub pairs: String,
    pub closing_pairs: String,
    pub once: String,
    pub why: Field,
    pub time: TimeFields,
    pub close: Option<Field>,
    pub hosts: Vec<HostRow>,
    /// Below the name of the column of bars.
    pub axis: [String; 3],
    pub hosts_left_out: usize,
    pub lists: Vec<Shown>,
}

#[derive(Debug)]
pub struct TimeFields {
    pub zone: &'static str,
    pub when: Field,
    pub at: Field,
    pub occurrence: Option<Field>,
}

#[derive(Debug)]
pub struct HostRow {
    pub link: Link,
    pub comes: usize,
    pub memory: String,
    pub memory_bar: Bar,
    pub disk: String,
}

/// The first rows of a list, and how many there are in all.
#[derive(Debug)]
pub struct Shown {
    pub id: &'static str,
    pub title: &'static str,
    /// What the words of its rows say.
    pub column: &'static str,
    pub rows: Vec<Row>,
    pub count: usize,
}

#[derive(Debug)]
pub struct Row {
    pub linode: Link,
    pub account: String,
    pub plan: String,
    pub words: String,
    pub migration: Option<Link>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvacuateForm {
    why: String,
    /// The zone that stood beside the time, by name.
    #[serde(default)]
    zone: String,
    #[serde(default)]
    when: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    occurrence: String,
    #[serde(default)]
    close: String,
    #[serde(default)]
    pairs: String,
    #[serde(default)]
    closing: String,
    /// The form's own mark.
    #[serde(default)]
    once: String,
}

impl EvacuateForm {
    /// `None`: the pairs are none that the page made.
    fn order(&self, readers: Zone, problems: &mut Problems) -> Option<Order> {
        let zone = local_time::zone_of(&self.zone, readers);
        let closes = self.close == "yes";
        let mut moves = Vec::new();
        for (text, close) in [(&self.pairs, false), (&self.closing, true)] {
            if text.is_empty() || (close && !closes) {
                continue;
            }
            let pairs = parse_pairs(text)?.into_iter();
            moves.extend(pairs.map(|(linode, to)| Wanted { linode, to, close }));
        }
        // Those without a way back come first, and there may be more than one act takes.
        moves.truncate(AT_ONCE);
        if moves.is_empty() {
            problems.add(
                "close",
                "Only Linodes are left whose last move is not confirmed: tick this, or wait",
            );
        }
        let at = match self.when.as_str() {
            "now" => None,
            "at" => local_time::parse(zone, &self.at, &self.occurrence, problems),
            _ => {
                problems.add("when", "Choose now, or at a time");
                None
            }
        };
        if self.when == "now" && !self.at.is_empty() {
            problems.add(
                "at",
                "You typed a time: choose “At a time” for it, or empty it",
            );
        }
        Some(Order {
            why: self.why.clone(),
            at,
            moves,
        })
    }
}

fn pairs<'a>(of: impl Iterator<Item = (&'a Candidate, HostId)>, most: usize) -> String {
    let pairs: Vec<String> = of
        .take(most)
        .map(|(it, to)| format!("{}.{to}", it.linode))
        .collect();
    pairs.join("-")
}

async fn present(
    staff: &Staff,
    id: i64,
    FormState { typed, problems }: FormState<EvacuateForm>,
) -> Response {
    let plan = staff
        .act(move |app, actor| app.evacuation_plan(actor, HostId(id)))
        .await?;
    let hanging = portal::read(&staff.portal, move |conn| {
        store::evacuation::hanging(conn, HostId(id))
    })
    .await?;
    let status = problems.status();
    let name = plan.source.room.name.clone();
    let page = staff
        .page(Area::Hosts, format!("Evacuate {name}"))
        .crumb("Hosts", PATH)
        .crumb(name, format!("{PATH}/{id}"))
        .problems(problems);
    page::html_status(status, &EvacuatePage::new(page, &plan, hanging, typed))
}

impl EvacuatePage {
    fn new(page: Page, plan: &Plan, hanging: Hanging, typed: Option<EvacuateForm>) -> Self {
        let zone = page.zone();
        let (free, closing) = (plan.moves().count(), plan.closing().count());
        let at_once = free.min(AT_ONCE);
        let closing_at_once = closing.min(AT_ONCE - at_once);
        let typed = typed.unwrap_or_else(|| EvacuateForm {
            when: "now".to_owned(),
            ..EvacuateForm::default()
        });
        let button = if free == 0 { closing_at_once } else { at_once };
        let (hosts, hosts_left_out) = host_rows(plan);
        Self {
            id: plan.source.room.host.0,
            name: plan.source.room.name.clone(),
            blocked: plan.blocked.map(|why| why.to_string()),
            ways_back: hanging.ways_back,
            button: format!("Evacuate {}", units::counted(button, "Linode", "Linodes")),
            can_go: plan.blocked.is_none() && free + closing > 0,
            left_over: free + closing - at_once - closing_at_once,
            pairs: pairs(plan.moves(), at_once),
            closing_pairs: pairs(plan.closing(), closing_at_once),
            once: once_or(&typed.once),
            why: Field::new("why", "Why", Input::Area(3))
                .value(&typed.why)
                .hint(format!(
                    "Their members read this. At most {MOST_WHY} characters."
                ))
                .with(&page.problems),
            time: TimeFields::new(&typed, zone, &page.problems),
            close: (closing_at_once > 0).then(|| close_field(closing_at_once, &typed, &page)),
            hosts,
            axis: axis(largest(plan)),
            hosts_left_out,
            lists: lists(plan, zone),
            page,
        }
    }
}

fn close_field(count: usize, typed: &EvacuateForm, page: &Page) -> Field {
    let words = if count == 1 {
        "Close the way back of 1 Linode, and move it too".to_owned()
    } else {
        format!("Close the ways back of {count} Linodes, and move them too")
    };
    Field::new("close", words, Input::Check)
        .hint("You confirm their last moves for their members: the copies on the hosts that they left are deleted for good.")
        .value(&typed.close)
        .with(&page.problems)
}

impl TimeFields {
    fn new(typed: &EvacuateForm, readers: Zone, problems: &Problems) -> Self {
        let zone = local_time::zone_of(&typed.zone, readers);
        let when = vec![
            Choice::new("now", "Now, as places become free"),
            Choice::new("at", "At a time"),
        ];
        Self {
            zone: zone.name(),
            when: Field::new("when", "When shall they move?", Input::Radios(when))
                .value(&typed.when)
                .with(problems),
            at: Field::new("at", "Time", Input::Line("datetime-local"))
                .value(&typed.at)
                .hint(format!(
                    "Only for “At a time”, at most {MOST_DAYS} days ahead. In {}.",
                    zone.name()
                ))
                .short()
                .with(problems),
            occurrence: local_time::occurrence(zone, &typed.at, &typed.occurrence, problems),
        }
    }
}

/// The memory of the largest host that may take them.
fn largest(plan: &Plan) -> i64 {
    let all = plan.before.iter().map(|place| place.room.memory_mb);
    all.max().unwrap_or(0)
}

fn host_rows(plan: &Plan) -> (Vec<HostRow>, usize) {
    let mut comes: HashMap<HostId, usize> = HashMap::new();
    for (_, to) in plan.moves().chain(plan.closing()) {
        *comes.entry(to).or_default() += 1;
    }
    let largest = largest(plan);
    let rows = plan.before.iter().zip(&plan.after).map(|(before, after)| {
        let (now, then) = (&before.room, &after.room);
        HostRow {
            link: Link::new(format!("{PATH}/{}", now.host), now.name.clone()),
            comes: comes.get(&now.host).copied().unwrap_or(0),
            memory: change(now.memory_free_mb(), then.memory_free_mb()),
            memory_bar: Bar::new(
                (now.memory_promised_mb, then.memory_promised_mb),
                now.memory_mb,
                largest,
            ),
            disk: change(now.disk_free_mb(), then.disk_free_mb()),
        }
    });
    let left_out = plan.before.len().saturating_sub(LISTED);
    (rows.take(LISTED).collect(), left_out)
}

/// Those that have rows.
fn lists(plan: &Plan, zone: Zone) -> Vec<Shown> {
    type Fits = fn(&Outcome) -> bool;
    let all: [(&str, &str, &str, Fits); 4] = [
        ("goes", "They go", "To", |of| matches!(of, Outcome::Goes(_))),
        (
            "open",
            "Not confirmed: they go only if you close their ways back",
            "To",
            |of| matches!(of, Outcome::GoesIfClosed(_)),
        ),
        ("cannot", "There is no place for them", "Why", |of| {
            matches!(of, Outcome::Cannot(_))
        }),
        ("stays", "They are on their way already", "How", |of| {
            matches!(of, Outcome::Stays)
        }),
    ];
    all.into_iter()
        .map(|(id, title, column, fits)| {
            let fitting = || plan.lines.iter().filter(|line| fits(&line.outcome));
            Shown {
                id,
                title,
                column,
                count: fitting().count(),
                rows: fitting()
                    .take(LISTED)
                    .map(|line| row(plan, line, zone))
                    .collect(),
            }
        })
        .filter(|list| list.count > 0)
        .collect()
}

fn row(plan: &Plan, line: &Line, zone: Zone) -> Row {
    let it = &line.candidate;
    let (words, migration) = match (line.outcome, it.stands) {
        (Outcome::Goes(to), Stands::Free { offer: Some(offer) }) => {
            (format!("{}; its offer ends", plan.name(to)), Some(offer))
        }
        (Outcome::Goes(to), _) => (plan.name(to).to_owned(), None),
        (Outcome::GoesIfClosed(to), Stands::WayBackOpen(id)) => {
            (plan.name(to).to_owned(), Some(id))
        }
        (_, Stands::Evacuating { migration, to, at }) => {
            let when = at.map_or_else(String::new, |at| format!(", on {}", zone.both(at).text));
            let words = format!("{} to {}{when}", plan.reason(line), plan.name(to));
            (words, Some(migration))
        }
        (_, Stands::Moving(id) | Stands::WayBackOpen(id)) => (plan.reason(line), Some(id)),
        (_, Stands::Free { .. }) => (plan.reason(line), None),
    };
    Row {
        linode: linode::link(it.linode, &it.label),
        account: it.account.clone(),
        plan: it.plan_label.clone(),
        words,
        migration: migration.map(Link::migration),
    }
}

/// `GET /staff/hosts/{id}/evacuate`
pub async fn ask(staff: Staff, id: Path<i64>) -> Response {
    present(&staff, id.0, FormState::anew()).await
}

/// Many are moved by a batch: its page says how far it is.
async fn in_background(
    staff: &Staff,
    host: HostId,
    (form, order): (EvacuateForm, Order),
) -> Response {
    let once = form.once.clone();
    let begun = staff.submit(move |app, actor| {
        let order = app.begin_evacuation(actor, host, &order)?;
        let item = |it: &Wanted| NewItem {
            id: it.linode.0,
            to: Some(it.to),
            closes: it.close,
        };
        app.begin_batch(
            actor,
            &NewOrder {
                kind: BatchKind::Evacuate,
                of: order.moves.iter().map(item).collect(),
                reason: order.why,
                off: Some((host, order.at)),
                once,
            },
        )
    });
    match begun.await {
        Ok(Ok(id)) => Ok(page::see_other(&format!("/staff/batches/{id}"))),
        Ok(Err(problems)) => present(staff, host.0, FormState::again(form, problems)).await,
        Err(fault) => Err(fault.at(format!("{PATH}/{host}/evacuate"), "Look at the plan again")),
    }
}

/// `POST /staff/hosts/{id}/evacuate`: the pairs that the page showed, each looked at anew.
pub async fn make(staff: Staff, id: Path<i64>, form: Form<EvacuateForm>) -> Response {
    let host = HostId(id.0);
    let url = format!("{PATH}/{host}");
    let known = portal::read(&staff.portal, move |conn| store::host::host(conn, host)).await?;
    known.ok_or(Fault::NotFound)?;
    let mut problems = Problems::default();
    let order = form.0.order(staff.zone(), &mut problems).ok_or_else(|| {
        Fault::BadRequest("The form does not say who goes where. Start from the plan.".to_owned())
    })?;
    if !problems.is_empty() {
        return present(&staff, id.0, FormState::again(form.0, problems)).await;
    }
    let asked = order.moves.len();
    if asked > FEW {
        return in_background(&staff, host, (form.0, order)).await;
    }
    let outcome = staff
        .submit(move |app, actor| app.evacuate(actor, host, &order))
        .await;
    let many = match outcome {
        Ok(Ok(many)) => many,
        Ok(Err(problems)) => {
            return present(&staff, id.0, FormState::again(form.0, problems)).await;
        }
        Err(fault) => return Err(fault.at(format!("{url}/evacuate"), "Look at the plan again")),
    };
    let count = many.done.len();
    if many.refused.is_empty() {
        let one = "Linode is on its way off this host; its member has mail.";
        let many = "Linodes are on their way off this host; their members have mail.";
        let said = units::counted(count, one, many);
        return page::said(&url, said);
    }
    let ids: Vec<LinodeId> = many.refused.iter().map(|(id, _)| *id).collect();
    let labels: HashMap<LinodeId, String> = portal::read(&staff.portal, move |conn| {
        let found = store::evacuation::residents(conn, host, Some(&ids))?;
        Ok(found.into_iter().map(|it| (it.linode, it.label)).collect())
    })
    .await?;
    let label = |id: &LinodeId| {
        let known = labels.get(id).cloned();
        known.unwrap_or_else(|| format!("Linode {id}"))
    };
    let title = format!("{} of {asked} not evacuated", many.refused.len());
    let view = DonePage {
        page: staff.page(Area::Hosts, title).crumb("Hosts", PATH),
        done: count,
        past: "on their way off the host",
        refused: many
            .refused
            .iter()
            .map(|(id, why)| (label(id), why.clone()))
            .collect(),
        back_url: url,
    };
    page::refused(&view)
}
