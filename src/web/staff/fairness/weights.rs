//! `/staff/fairness/weights`: the rule by which plans become weights, and Linodes' own weights. What is asked for in the
//! address is a preview; it comes into force when it is saved.

use askama::Template;
use serde::Deserialize;

use super::weights_form::{parse_linode, parse_rule, parse_weight};
use crate::app::fairness::weights::{ByHand, words};
use crate::domain::fairness::shares::{Claim, Rule, io_priority};
use crate::domain::ids::LinodeId;
use crate::store;
use crate::store::catalogue::Plan;
use crate::store::fairness::usage::Metered;
use crate::store::fairness::weights::{Own, RuleRow};
use crate::web::extract::{Form, Query, Staff, parse_seen, seen};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, FROM_FILTERS, Filters, Page, ROWS, filters};
use crate::web::portal::{self, Portal};
use crate::web::staff::linode;
use crate::web::ui::usage::percent;
use crate::web::ui::{Choice, Field, Input, Link, Pager, Problems, When};

const PATH: &str = "/staff/fairness/weights";

#[derive(Debug, Template)]
#[template(path = "staff/fairness/weights.html")]
pub struct WeightsPage {
    pub page: Page,
    pub now: String,
    pub seen: String,
    pub rule_fields: Vec<Field>,
    /// The rule looked at, if another than the one in force: to be saved.
    pub next: Option<[String; 3]>,
    /// Plan, RAM, weight now, weight then, disk level.
    pub plans: Vec<[String; 5]>,
    pub linode_fields: Vec<Field>,
    pub preview: Option<Preview>,
    pub own: Vec<OwnRow>,
    pub pager: Pager,
}

/// What one Linode's weight would do on its host.
#[derive(Debug)]
pub struct Preview {
    pub linode: i64,
    pub label: String,
    pub host: String,
    pub weight: String,
    /// Its weight by hand as it is; empty: none.
    pub was: String,
    pub reason: String,
    /// Linode, weight now and then, share of the CPU now and then if all want it.
    pub rows: Vec<[String; 5]>,
    pub more: usize,
}

#[derive(Debug)]
pub struct OwnRow {
    pub id: i64,
    pub linode: Link,
    pub host: String,
    pub weight: i64,
    pub by_rule: i64,
    pub reason: String,
    pub at: When,
}

// What is looked at.
filters! {
    PATH, ROWS, FROM_FILTERS;
    kind, base, unit_mb, linode, weight, reason, after,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleForm {
    #[serde(default)]
    seen: String,
    kind: String,
    #[serde(default)]
    base: String,
    #[serde(default)]
    unit_mb: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinodeForm {
    linode: String,
    /// Empty: the rule's again.
    #[serde(default)]
    weight: String,
    #[serde(default)]
    reason: String,
    /// Its weight by hand that the form showed; empty: none.
    #[serde(default)]
    was: String,
}

type Labelled = (Metered, String);

struct Loaded {
    stored: Option<RuleRow>,
    plans: Vec<Plan>,
    own: Vec<Own>,
    /// The Linode looked at, its host's name, and all Linodes of that host with their labels.
    of: Option<(LinodeId, String, Vec<Labelled>)>,
}

async fn find(portal: &Portal, linode: Option<LinodeId>, after: LinodeId) -> Result<Loaded> {
    portal::read(portal, move |conn| {
        let row = match linode {
            Some(id) => store::linode::linode(conn, id)?,
            None => None,
        };
        let of = match row {
            Some(row) => {
                let host = store::host::host(conn, row.host_id)?
                    .map(|host| host.name)
                    .unwrap_or_default();
                let metered = store::fairness::usage::metered_on(conn, row.host_id)?;
                let ids: Vec<LinodeId> = metered.iter().map(|it| it.id).collect();
                let mut labels: std::collections::HashMap<_, _> =
                    store::fairness::labels(conn, &ids)?.into_iter().collect();
                let with = |it: Metered| (it, labels.remove(&it.id).unwrap_or_default());
                Some((row.id, host, metered.into_iter().map(with).collect()))
            }
            None => None,
        };
        Ok(Loaded {
            stored: store::fairness::weights::stored(conn)?,
            plans: store::catalogue::plans(conn)?,
            own: store::fairness::weights::list_own(conn, after, Params::limit())?,
            of,
        })
    })
    .await
}

fn claim(of: &Metered, own_weight: Option<i64>) -> Claim {
    Claim {
        ram_mb: of.ram_mb,
        plan_weight: of.plan_weight,
        own_weight,
    }
}

fn preview(found: &Loaded, rule: Rule, weight: Option<i64>, asked: &Params) -> Option<Preview> {
    let (id, host, all) = found.of.as_ref()?;
    let pairs: Vec<(i64, i64)> = all
        .iter()
        .map(|(it, _)| {
            let now = rule.due(claim(it, it.own_weight)).weight;
            let then = if it.id == *id {
                rule.due(claim(it, weight)).weight
            } else {
                now
            };
            (now, then)
        })
        .collect();
    let (now, then): (i64, i64) = pairs
        .iter()
        .fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let share = |weight: i64, of: i64| format!("{} %", percent(weight as f64 / of.max(1) as f64));
    let mut rows: Vec<(bool, [String; 5])> = all
        .iter()
        .zip(&pairs)
        .map(|((it, label), (before, after))| {
            let row = [
                label.clone(),
                before.to_string(),
                after.to_string(),
                share(*before, now),
                share(*after, then),
            ];
            (it.id != *id, row)
        })
        .collect();
    rows.sort_by_key(|(other, _)| *other);
    let more = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    Some(Preview {
        linode: id.0,
        label: all
            .iter()
            .find(|(it, _)| it.id == *id)
            .map(|(_, label)| label.clone())
            .unwrap_or_default(),
        host: host.clone(),
        weight: asked.weight.trim().to_owned(),
        was: all
            .iter()
            .find(|(it, _)| it.id == *id)
            .and_then(|(it, _)| it.own_weight)
            .map_or_else(String::new, |own| own.to_string()),
        reason: asked.reason.trim().to_owned(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        more,
    })
}

async fn present(staff: &Staff, asked: Params, mut problems: Problems) -> Response {
    let looks_at_rule = !asked.kind.is_empty();
    let looked = looks_at_rule
        .then(|| parse_rule(&mut problems, &asked.kind, &asked.base, &asked.unit_mb))
        .flatten();
    let looks_at_linode = !asked.linode.is_empty();
    let linode = looks_at_linode
        .then(|| parse_linode(&mut problems, &asked.linode))
        .flatten();
    let weight = parse_weight(&mut problems, &asked.weight);
    let after = LinodeId(asked.after.parse().unwrap_or(0));
    let found = find(&staff.portal, linode, after).await?;
    if linode.is_some() && found.of.is_none() {
        problems.add("linode", "There is no such Linode");
    }
    let rule = found.stored.map_or(Rule::Plan, |row| row.rule());
    let then = looked.unwrap_or(rule);
    let page = staff
        .page(Area::StaffFairness, "Weights")
        .crumb("Fairness of hosts", "/staff/fairness")
        .problems(problems);
    let zone = page.zone();
    let all = Params {
        after: asked.after.clone(),
        ..Params::default()
    };
    let (own, pager) = all.page(found.own.clone(), |last| last.linode.to_string());
    let view = WeightsPage {
        now: words(rule),
        seen: seen(found.stored.map(|row| row.changed_at)),
        rule_fields: rule_fields(&asked, then, &page.problems),
        next: (looked.is_some() && then != rule).then(|| rule_words(then)),
        plans: found
            .plans
            .iter()
            .map(|plan| plan_row(plan, rule, then))
            .collect(),
        linode_fields: linode_fields(&asked, &page.problems),
        preview: weight
            .filter(|_| page.problems.is_empty())
            .and_then(|weight| preview(&found, rule, weight, &asked)),
        pager,
        own: own
            .into_iter()
            .map(|it| OwnRow {
                id: it.linode.0,
                linode: linode::link(it.linode, &it.label),
                host: it.host,
                weight: it.weight,
                by_rule: rule.weight(it.ram_mb, it.plan_weight),
                reason: it.reason,
                at: zone.show(it.set_at),
            })
            .collect(),
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// Kind, base and unit, as the form sends them.
fn rule_words(rule: Rule) -> [String; 3] {
    match rule {
        Rule::Plan => ["plan".to_owned(), String::new(), String::new()],
        Rule::Linear { base, unit_mb } => {
            ["linear".to_owned(), base.to_string(), unit_mb.to_string()]
        }
    }
}

fn plan_row(plan: &Plan, now: Rule, then: Rule) -> [String; 5] {
    [
        plan.label.clone(),
        crate::web::ui::units::mebibytes(plan.ram_mb),
        now.weight(plan.ram_mb, plan.cpu_weight).to_string(),
        then.weight(plan.ram_mb, plan.cpu_weight).to_string(),
        io_priority(plan.ram_mb).to_string(),
    ]
}

fn rule_fields(asked: &Params, rule: Rule, problems: &Problems) -> Vec<Field> {
    let [kind, base, unit] = if asked.kind.is_empty() {
        rule_words(rule)
    } else {
        [
            asked.kind.clone(),
            asked.base.clone(),
            asked.unit_mb.clone(),
        ]
    };
    let choices = vec![
        Choice::new("plan", "Each plan's own weight, as imported"),
        Choice::new("linear", "By RAM: the base, and one more for every unit"),
    ];
    let number = |name, label: &str, value: String, hint: &str| {
        Field::number(name, label).value(value).hint(hint)
    };
    problems.on([
        Field::new("kind", "Weights are", Input::Radios(choices)).value(kind),
        number("base", "Base", base, "0 to 65535. Only by RAM."),
        number(
            "unit_mb",
            "Unit, MiB of RAM",
            unit,
            "1 to 65536. Only by RAM.",
        ),
    ])
}

fn linode_fields(asked: &Params, problems: &Problems) -> Vec<Field> {
    problems.on([
        Field::number("linode", "Linode's number").value(&asked.linode),
        Field::number("weight", "Weight")
            .value(&asked.weight)
            .hint("1 to 65535. Empty: by the rule again."),
        Field::text("reason", "Why")
            .value(&asked.reason)
            .hint("For the audit trail."),
    ])
}

/// `GET /staff/fairness/weights`
pub async fn show(staff: Staff, asked: Query<Params>) -> Response {
    present(&staff, asked.0, Problems::default()).await
}

/// `POST /staff/fairness/weights/rule`
pub async fn save_rule(staff: Staff, form: Form<RuleForm>) -> Response {
    let form = form.0;
    let asked = Params {
        kind: form.kind.clone(),
        base: form.base.clone(),
        unit_mb: form.unit_mb.clone(),
        ..Params::default()
    };
    let mut problems = Problems::default();
    let Some(rule) = parse_rule(&mut problems, &form.kind, &form.base, &form.unit_mb) else {
        // The page finds the same faults again.
        return present(&staff, asked, Problems::default()).await;
    };
    let seen = parse_seen(&form.seen);
    staff
        .act(move |app, actor| app.set_weight_rule(actor, rule, seen))
        .await
        .map_err(|fault| fault.at(PATH, "Look at the weights again"))?;
    page::said(
        PATH,
        "The rule is saved. Hosts apply it with their next samples.",
    )
}

/// `POST /staff/fairness/weights/linode`
pub async fn save_linode(staff: Staff, form: Form<LinodeForm>) -> Response {
    let form = form.0;
    let asked = Params {
        linode: form.linode.clone(),
        weight: form.weight.clone(),
        reason: form.reason.clone(),
        ..Params::default()
    };
    let mut problems = Problems::default();
    let linode = parse_linode(&mut problems, &form.linode);
    let weight = parse_weight(&mut problems, &form.weight);
    let (Some(linode), Some(weight)) = (linode, weight) else {
        let none = Problems::default();
        return present(
            &staff,
            asked,
            if form.linode.is_empty() {
                problems
            } else {
                none
            },
        )
        .await;
    };
    let (reason, was) = (form.reason, form.was.parse().ok());
    let saved = staff.submit(move |app, actor| {
        let by_hand = ByHand {
            weight,
            reason: &reason,
            was,
        };
        app.set_linode_weight(actor, linode, by_hand)
    });
    match saved.await {
        Ok(Ok(())) => {
            let said = "The weight is saved. The host applies it with its next samples.";
            page::said(PATH, said)
        }
        Ok(Err(problems)) => present(&staff, asked, problems).await,
        Err(Fault::NotFound) => present(&staff, asked, Problems::default()).await,
        Err(other) => Err(other.at(PATH, "Look at the weights again")),
    }
}
