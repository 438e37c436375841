//! The plan's form: whom it is for, and what if; read from its address.

use super::shared::{PATH, Params};
use crate::app::placement::{MORE_MOST, PlanRequest, Planned};
use crate::domain::host::HostRole;
use crate::domain::ids::HostId;
use crate::domain::placement::plan::Spare;
use crate::store;
use crate::store::catalogue;
use crate::store::host::Host;
use crate::web::extract::Staff;
use crate::web::fault::Result;
use crate::web::page::{Filters, clipped};
use crate::web::portal;
use crate::web::ui::{Choice, Field, Problems};

/// A plan with what it was asked by.
pub(super) struct WhatIf {
    pub planned: Planned,
    pub hosts: Vec<Host>,
    pub problems: Problems,
}

pub(super) async fn planned(staff: &Staff, asked: &Params) -> Result<WhatIf> {
    let hosts = portal::read(&staff.portal, store::host::all).await?;
    let mut problems = Problems::default();
    let what = read(asked, &hosts, &mut problems)?;
    let planned = staff
        .act(move |app, actor| app.placement_plan(actor, &what))
        .await?;
    Ok(WhatIf {
        planned,
        hosts,
        problems,
    })
}

/// What is typed, and what is wrong with it; a field with a fault says nothing.
pub(super) fn read(of: &Params, hosts: &[Host], problems: &mut Problems) -> Result<PlanRequest> {
    let mut whole = |name: &'static str, text: &str, most: i64| -> Option<i64> {
        if text.trim().is_empty() {
            return None;
        }
        let number = text
            .trim()
            .parse()
            .ok()
            .filter(|it| (0..=most).contains(it));
        problems.take(
            name,
            number.ok_or(format!("Enter a whole number from 0 to {most}, or nothing")),
        )
    };
    let count = whole("more", &of.more, MORE_MOST).unwrap_or(0);
    let at_once = whole("at_once", &of.at_once, 1000);
    let like = Params::read(&of.like)?.map(HostId);
    let like = like.filter(|like| hosts.iter().any(|host| host.id == *like));
    if count > 0 && like.is_none() {
        problems.add("like", "Choose which host they are like");
    }
    let mut without = Vec::new();
    for name in of.without.split([',', ' ']).filter(|it| !it.is_empty()) {
        match hosts.iter().find(|host| host.name == name) {
            Some(host) => without.push(host.id),
            None => problems.add(
                "without",
                format!("There is no host “{}”", clipped(name, 40)),
            ),
        }
    }
    Ok(PlanRequest {
        plan: Params::read(&of.plan)?,
        text: clipped(&of.q, 100),
        without,
        more: like.filter(|_| count > 0).map(|like| (like, count)),
        at_once: at_once.and_then(|it| i32::try_from(it).ok()),
        spare: match of.spare.as_str() {
            "" => Spare::Kept,
            "used" => Spare::Used,
            _ => return Err(Params::unknown()),
        },
    })
}

/// Whom it is for.
pub(super) fn whom(of: &Params, plans: &[catalogue::Plan]) -> Vec<Field> {
    let plans = plans.iter().map(|it| Choice::new(it.id, &it.label));
    vec![
        Field::text("q", "Linode or account").value(&of.q),
        Field::select("plan", "Plan", Choice::any("All plans", plans)).value(&of.plan),
    ]
}

/// What if.
pub(super) fn what_if(
    of: &Params,
    (hosts, at_once): (&[Host], i32),
    problems: &Problems,
) -> Vec<Field> {
    let like = hosts.iter().filter(|host| host.role != HostRole::Source);
    let like = like.map(|host| Choice::new(host.id, &host.name));
    let spare = [
        Choice::new("", "Kept free"),
        Choice::new("used", "Used like any other"),
    ];
    problems.on([
        Field::text("without", "Without these hosts")
            .value(&of.without)
            .hint("Names, with commas between."),
        Field::number("more", "More hosts")
            .value(&of.more)
            .hint("How many."),
        Field::select("like", "Like", Choice::any("Choose a host", like)).value(&of.like),
        Field::number("at_once", "Moves at once")
            .value(&of.at_once)
            .hint(format!("In all; now {at_once}.")),
        Field::select("spare", "Room for one that fails", spare.into()).value(&of.spare),
    ])
}

/// Is the plan another one than things are?
pub(super) fn is_tried(of: &Params) -> bool {
    [&of.without, &of.more, &of.at_once, &of.spare]
        .iter()
        .any(|it| !it.trim().is_empty())
}

/// The plan's address without what if.
pub(super) fn as_it_is(of: &Params) -> String {
    Params {
        plan: of.plan.clone(),
        q: of.q.clone(),
        ..Params::default()
    }
    .address(PATH, "")
}
