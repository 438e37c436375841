//! `/staff/programme/end`: what ending the beta does to whom, and the one button that does it.

use askama::Template;
use serde::Deserialize;

use crate::store;
use crate::store::programme::end::Concerned;
use crate::web::extract::{Form, Staff, parse_seen, seen};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::staff::Counted;

const PATH: &str = "/staff/programme";

#[derive(Debug, Template)]
#[template(path = "staff/programme/end.html")]
pub struct EndPage {
    pub page: Page,
    pub seen: String,
    /// What happens, with how many it happens to.
    pub rows: Vec<Counted>,
    pub mails: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndForm {
    seen: String,
}

fn rows(of: &Concerned) -> Vec<Counted> {
    let row = |count: i64, url: &str, label: &str| Counted {
        url: url.to_owned(),
        label: label.to_owned(),
        count,
        is_bad: false,
    };
    vec![
        row(
            of.waiting,
            "/staff/registrations?state=requested",
            "Registrations that wait for review; they are closed, with a mail to their members",
        ),
        row(
            of.approved,
            "/staff/registrations?state=approved",
            "Approved registrations of Linodes that have not moved, or have come back; they are closed, with a mail to their members",
        ),
        row(
            of.offers,
            "/staff/migrations?state=offered&kind=beta",
            "Offers to move into the beta; they expire, and the places held for them are free again",
        ),
        row(
            of.queued,
            "/staff/migrations?state=queued",
            "Queued migrations; they run when their turn or their time comes",
        ),
        row(
            of.running,
            "/staff/migrations?state=running",
            "Running migrations; they finish",
        ),
        row(
            of.way_backs,
            "/staff/migrations?state=finished",
            "Ways back; they stay open as long as they were promised, and a Linode that returns leaves the beta",
        ),
        row(
            of.graduation_offers,
            "/staff/graduation?show=offered",
            "Offers to graduate; they stay open",
        ),
        row(
            of.on_beta_hosts,
            "/staff/graduation",
            "Linodes on beta hosts; they stay there and can graduate afterwards, too",
        ),
    ]
}

/// `GET /staff/programme/end`
pub async fn ask(staff: Staff) -> Response {
    let (stored, concerned) = portal::read(&staff.portal, |conn| {
        Ok((
            store::programme::stored(conn)?,
            store::programme::end::concerned(conn)?,
        ))
    })
    .await?;
    if stored.as_ref().is_some_and(|row| row.ended_at.is_some()) {
        return Err(Fault::conflict_at(
            "The beta has ended already.",
            PATH,
            "Look at the programme",
        ));
    }
    page::html(&EndPage {
        page: staff
            .page(Area::Programme, "End the beta?")
            .crumb("Programme", PATH),
        seen: seen(stored.map(|row| row.changed_at)),
        rows: rows(&concerned),
        mails: concerned.waiting + concerned.approved,
    })
}

/// `POST /staff/programme/end`
pub async fn end(staff: Staff, form: Form<EndForm>) -> Response {
    let seen = parse_seen(&form.0.seen);
    let done = staff
        .act(move |app, actor| app.end_programme(actor, seen))
        .await;
    done.map_err(|fault| fault.at("/staff/programme/end", "Look at it again"))?;
    let said = "The beta has ended. Open registrations are being closed, and their members told.";
    page::said(PATH, said)
}
