//! From the plan to offers: a look at what will be offered, then one act, answered row by row.

use std::collections::HashMap;

use askama::Template;
use serde::Deserialize;

use super::plan::{Asked, PATH, Show, planned};
use crate::app::bulk::AT_ONCE;
use crate::domain::graduation::Candidate;
use crate::domain::ids::{HostId, LinodeId};
use crate::store;
use crate::store::graduation::Which;
use crate::web::extract::{Form, Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Filters, Page};
use crate::web::portal::{self, Portal};
use crate::web::staff::registration::bulk::DonePage;
use crate::web::ui::units;

/// Rows that are listed one by one.
const LISTED: usize = 100;

#[derive(Debug, Template)]
#[template(path = "staff/graduation/offer.html")]
pub struct OfferPage {
    pub page: Page,
    /// `linode.host` for each, with `-` between.
    pub pairs: String,
    pub count: usize,
    /// More than one act may take.
    pub left_over: usize,
    /// How many go to each host.
    pub hosts: Vec<(String, usize)>,
    pub rows: Vec<(String, String, String)>,
    pub back_url: String,
}

/// `GET /staff/graduation/offer`
pub async fn ask(portal: Portal, staff: Staff, asked: Query<Asked>) -> Response {
    let asked = asked.0;
    let mut filter = asked.filter()?;
    if filter.show != Show::Expired {
        filter.show = Show::Goes;
    }
    let back_url = asked.url("");
    let plan = planned(&portal, &staff).await?;
    let fitting = plan.lines.iter().filter(|line| filter.fits(line));
    let all: Vec<(&Candidate, HostId)> = fitting
        .filter_map(|line| match line.outcome {
            crate::domain::graduation::Outcome::Goes(to) => Some((&line.candidate, to)),
            _ => None,
        })
        .collect();
    if all.is_empty() {
        return Err(Fault::conflict_at(
            "Nobody of this list can be offered a place now: they are offered one already, or there is none.",
            back_url,
            "Back to the plan",
        ));
    }
    let chosen: Vec<&(&Candidate, HostId)> = all.iter().take(AT_ONCE).collect();
    let mut hosts: Vec<(String, usize)> = Vec::new();
    for (_, to) in &chosen {
        let name = plan.name(*to);
        match hosts.iter_mut().find(|(host, _)| host == name) {
            Some((_, count)) => *count += 1,
            None => hosts.push((name.to_owned(), 1)),
        }
    }
    let pairs: Vec<String> = chosen
        .iter()
        .map(|(it, to)| format!("{}.{to}", it.linode))
        .collect();
    let count = chosen.len();
    let title = format!("Offer {}", units::counted(count, "place", "places"));
    page::html(&OfferPage {
        page: staff
            .page(Area::Graduation, title)
            .crumb("Graduation", back_url.clone()),
        pairs: pairs.join("-"),
        count,
        left_over: all.len() - count,
        hosts,
        rows: chosen
            .iter()
            .take(LISTED)
            .map(|(it, to)| {
                let from_to = format!("{} → {}", plan.name(it.host), plan.name(*to));
                (it.label.clone(), it.account.clone(), from_to)
            })
            .collect(),
        back_url,
    })
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferForm {
    pairs: String,
}

/// `linode.host` for each, with `-` between.
pub fn parse_pairs(pairs: &str) -> Option<Vec<(LinodeId, HostId)>> {
    pairs
        .split('-')
        .map(|pair| {
            let (linode, host) = pair.split_once('.')?;
            Some((LinodeId(linode.parse().ok()?), HostId(host.parse().ok()?)))
        })
        .collect()
}

/// `POST /staff/graduation/offer`: the pairs that the page showed, each looked at anew.
pub async fn make(portal: Portal, staff: Staff, form: Form<OfferForm>) -> Response {
    let pairs = parse_pairs(&form.0.pairs).ok_or_else(|| {
        Fault::BadRequest("The form does not say who goes where. Start from the plan.".to_owned())
    })?;
    let asked = pairs.clone();
    let many = staff
        .act(&portal, move |app, actor| {
            app.offer_graduations(actor, &asked)
        })
        .await?;
    let count = many.done.len();
    if many.refused.is_empty() {
        let one = "place is offered; its member has mail.";
        let many = "places are offered; their members have mail.";
        let said = units::counted(count, one, many);
        let url = format!("{PATH}?show=offered");
        return page::said(&url, said);
    }
    let ids: Vec<LinodeId> = many.refused.iter().map(|(id, _)| *id).collect();
    let labels: HashMap<LinodeId, String> = portal::read(&portal, move |conn| {
        let found = store::graduation::fleet(conn, Which::These(&ids))?;
        Ok(found.into_iter().map(|it| (it.linode, it.label)).collect())
    })
    .await?;
    let label = |id: &LinodeId| {
        let known = labels.get(id).cloned();
        known.unwrap_or_else(|| format!("Linode {id}"))
    };
    let title = format!("{} of {} not offered", many.refused.len(), pairs.len());
    let view = DonePage {
        page: staff
            .page(Area::Graduation, title)
            .crumb("Graduation", PATH),
        done: count,
        past: "offered a place",
        refused: many
            .refused
            .iter()
            .map(|(id, why)| (label(id), why.clone()))
            .collect(),
        back_url: PATH.to_owned(),
    };
    page::refused(&view)
}
