//! From the plan to offers: a look at what will be offered, then one act, answered row by row.

use std::collections::HashMap;

use askama::Template;
use serde::Deserialize;

use super::plan::{PATH, Params, Show, planned};
use crate::app::batch::{FEW, NewOrder};
use crate::app::bulk::AT_ONCE;
use crate::domain::batch::BatchKind;
use crate::domain::graduation::{Candidate, Stands};
use crate::domain::ids::{HostId, LinodeId};
use crate::store;
use crate::store::batch::NewItem;
use crate::store::graduation::Which;
use crate::web::extract::{Form, Query, Staff, once_or};
use crate::web::fault::{Fault, Response};
use crate::web::page::DonePage;
use crate::web::page::{self, Area, Filters, Page};
use crate::web::portal;
use crate::web::staff::linode;
use crate::web::ui::{Link, units};

/// Rows that are listed one by one.
const LISTED: usize = 100;

#[derive(Debug, Template)]
#[template(path = "staff/graduation/offer.html")]
pub struct OfferPage {
    pub page: Page,
    /// `linode.host` for each, with `-` between.
    pub pairs: String,
    /// The form's own mark.
    pub once: String,
    pub count: usize,
    /// More than one act may take.
    pub left_over: usize,
    /// How many go to each host.
    pub hosts: Vec<(String, usize)>,
    pub rows: Vec<(Link, String, String)>,
    pub back_url: String,
}

/// `GET /staff/graduation/offer`
pub async fn ask(staff: Staff, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let mut filter = asked.filter()?;
    if filter.show != Show::Expired {
        filter.show = Show::Goes;
    }
    let back_url = asked.url("");
    let plan = planned(&staff).await?;
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
        once: once_or(""),
        count,
        left_over: all.len() - count,
        hosts,
        rows: chosen
            .iter()
            .take(LISTED)
            .map(|(it, to)| {
                let from_to = format!("{} → {}", plan.name(it.host), plan.name(*to));
                (
                    linode::link(it.linode, &it.label),
                    it.account.clone(),
                    from_to,
                )
            })
            .collect(),
        back_url,
    })
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferForm {
    pairs: String,
    once: String,
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

/// Many are offered their places by a batch: its page says how far it is.
async fn in_background(staff: &Staff, pairs: Vec<(LinodeId, HostId)>, once: String) -> Response {
    let ids: Vec<LinodeId> = pairs.iter().map(|(linode, _)| *linode).collect();
    let fleet = portal::read(&staff.portal, move |conn| {
        store::graduation::fleet(conn, Which::These(&ids))
    })
    .await?;
    let to: HashMap<LinodeId, HostId> = pairs.into_iter().collect();
    let item = |it: &Candidate| match it.stands {
        Stands::Ready { registration, .. } => Some(NewItem {
            to: to.get(&it.linode).copied(),
            ..NewItem::of(registration.0)
        }),
        Stands::Offered { .. }
        | Stands::Moving(_)
        | Stands::WayBackOpen(_)
        | Stands::NotRegistered => None,
    };
    let order = NewOrder {
        kind: BatchKind::Graduate,
        of: fleet.iter().filter_map(item).collect(),
        reason: String::new(),
        off: None,
        once,
    };
    let id = staff
        .act(move |app, actor| app.begin_batch(actor, &order))
        .await?;
    Ok(page::see_other(&format!("/staff/batches/{id}")))
}

/// `POST /staff/graduation/offer`: the pairs that the page showed, each looked at anew.
pub async fn make(staff: Staff, form: Form<OfferForm>) -> Response {
    let pairs = parse_pairs(&form.0.pairs).ok_or_else(|| {
        Fault::BadRequest("The form does not say who goes where. Start from the plan.".to_owned())
    })?;
    if pairs.len() > FEW {
        return in_background(&staff, pairs, form.0.once).await;
    }
    let asked = pairs.clone();
    let many = staff
        .act(move |app, actor| app.offer_graduations(actor, &asked))
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
    let labels: HashMap<LinodeId, String> = portal::read(&staff.portal, move |conn| {
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
