//! What is done from the page of the registration: registering, one by one or all at once, and withdrawing.

use std::collections::HashMap;

use serde::Deserialize;

use super::show::{Eligible, HERE, Params, again};
use crate::app::bulk::Outcome;
use crate::app::doors::Door;
use crate::app::registration::seats_left;
use crate::domain::ids::{LinodeId, RegistrationId};
use crate::store;
use crate::web::extract::{Form, Member, Nothing, Path, ids};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, ConfirmPage, Filters};
use crate::web::portal;
use crate::web::ui::{Problems, units};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterForm {
    linode: Vec<String>,
    /// All that `q` finds, which were this many when the page was made.
    all: String,
    q: String,
    count: String,
}

/// All that can be registered, of what the form's filter finds.
async fn all_of(member: &Member, form: &RegisterForm) -> Result<Vec<LinodeId>> {
    let (account, q) = (member.account, form.q.clone());
    let found = portal::run(&member.portal, move |app| {
        let now = app.now();
        app.db.read(|conn| {
            let programme = store::programme::get(conn, now)?;
            let phase = crate::app::programme::phase(&programme, now);
            let left = seats_left(conn, programme.seats)?;
            Eligible::find(conn, (account, now), &q, (phase, left))
        })
    })
    .await?;
    Ok(found.ids)
}

/// All were meant, and they are others now.
fn changed(count: usize) -> Problems {
    let can = units::counted(
        i64::try_from(count).unwrap_or(i64::MAX),
        "Linode can",
        "Linodes can",
    );
    let said = format!(
        "The list has changed: now {can} be registered. Nothing was registered; look at them, and send it again"
    );
    Problems::one("linode", said)
}

/// `POST /members/xenbeta`
pub async fn register(member: Member, form: Form<RegisterForm>) -> Response {
    member.knock(Door::Register)?;
    let back = Params {
        q: form.0.q.clone(),
        ..Params::default()
    };
    let asked: Vec<LinodeId> = if form.0.all == "yes" {
        let all = all_of(&member, &form.0).await?;
        if all.is_empty() {
            // Most likely a second press.
            let said = "There is none left that can be registered: see below how they stand.";
            return page::said(&back.url(""), said);
        }
        if form.0.count.parse() != Ok(all.len()) {
            let problems = (Vec::new(), changed(all.len()));
            return again(&member, back, problems).await;
        }
        all
    } else {
        let ids = ids(form.0.linode.iter().map(String::as_str))?;
        ids.into_iter().map(LinodeId).collect()
    };
    let ids: Vec<i64> = asked.iter().map(|id| id.0).collect();
    let done = member.submit(move |app, actor| app.register(actor, &asked));
    match done.await? {
        Err(problems) => again(&member, back, (ids, problems)).await,
        Ok(many) if many.refused.is_empty() => {
            let said = match many.done.len() {
                1 => "Registered. We look at it and write to you.".to_owned(),
                count => {
                    format!("{count} Linodes are registered. We look at them and write to you.")
                }
            };
            page::said(&back.url(""), said)
        }
        Ok(many) => {
            let refused: Vec<i64> = many.refused.iter().map(|(id, _)| id.0).collect();
            let some = refused.iter().take(SAID).copied().map(LinodeId);
            let named: Vec<LinodeId> = many.done.iter().take(1).copied().chain(some).collect();
            let labels = portal::read(&member.portal, move |conn| {
                store::fairness::labels(conn, &named)
            })
            .await?;
            let mut problems = Problems::default();
            problems.add("linode", refusal(&many, &labels.into_iter().collect()));
            again(&member, back, (refused, problems)).await
        }
    }
}

/// Of many that were not registered, so many are named with the reason.
const SAID: usize = 10;

/// What was done of what was asked for, and what was not.
fn refusal(many: &Outcome<LinodeId>, labels: &HashMap<LinodeId, String>) -> String {
    let label = |id: LinodeId| {
        labels
            .get(&id)
            .map_or_else(|| format!("Linode {id}"), String::clone)
    };
    let done = match many.done.as_slice() {
        [] => String::new(),
        [one] => format!("{} is registered. ", label(*one)),
        all => format!("{} Linodes are registered. ", all.len()),
    };
    let mut refused: Vec<String> = many
        .refused
        .iter()
        .take(SAID)
        .map(|(id, why)| format!("{}: {why}", label(*id)))
        .collect();
    let rest = many.refused.len() - refused.len();
    if rest > 0 {
        refused.push(format!("And {rest} more."));
    }
    format!("{done}Not registered: {}", refused.join(" "))
}

/// `GET /members/xenbeta/{id}/withdraw`
pub async fn ask_withdraw(member: Member, id: Path<i64>) -> Response {
    let account = member.account;
    let found = portal::read(&member.portal, move |conn| {
        let Some(registration) = store::registration::registration(conn, RegistrationId(id.0))?
            .filter(|row| row.account_id == account)
        else {
            return Ok(None);
        };
        store::linode::linode(conn, registration.linode_id)
    })
    .await?;
    let label = found.ok_or(Fault::NotFound)?.label;
    let page = member
        .page(Area::XenBeta, format!("Withdraw {label} from the beta?"))
        .crumb("Xen public beta", HERE);
    let lines = [
        "Its place in the queue, and an offer if there is one, are given up. The Linode stays as it is.",
        "You can register it again, at the end of the queue.",
    ];
    ConfirmPage::new(
        page,
        format!("Withdraw {label}"),
        format!("{HERE}/{}/withdraw", id.0),
    )
    .says(lines)
    .danger(true)
    .back(HERE, "Keep it registered")
    .html()
}

/// `POST /members/xenbeta/{id}/withdraw`
pub async fn withdraw(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    let done = member
        .act(move |app, actor| app.withdraw(actor, RegistrationId(id.0)))
        .await;
    done.map_err(|fault| fault.at(HERE, "Back to the registration page"))?;
    page::said(HERE, "It is withdrawn.")
}
