//! `/staff/audit`: who did what, to what, when and from where; filtered, page by page, as CSV; and whether the trail is whole.

use askama::Template;
use chrono::{Days, NaiveDate};

use crate::app::audit::Verification;
use crate::domain::audit::Object;
use crate::domain::ids::AuditId;
use crate::domain::readiness;
use crate::store;
use crate::store::audit::{AuditEvent, TrailFilter};
use crate::web::csv::{self, unformula};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Filters, Page, ROWS, clipped, filters};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Field, Input, Pager, Tag, Tone, When, Zone};

const PATH: &str = Params::PATH;
/// Characters of a change that the list shows; the export has all.
const SHOWN: usize = 300;

#[derive(Debug, Template)]
#[template(path = "staff/audit/list.html")]
pub struct AuditPage {
    pub page: Page,
    pub fields: Vec<Field>,
    pub csv_url: String,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub at: When,
    pub actor: String,
    pub address: String,
    pub action: String,
    pub object: String,
    pub url: Option<String>,
    pub before: String,
    pub after: String,
}

#[derive(Debug, Template)]
#[template(path = "staff/audit/verify.html")]
pub struct VerifyPage {
    pub page: Page,
    pub verdict: Tag,
    pub words: String,
    pub as_of: When,
}

filters! {
    "/staff/audit", ROWS,
    "The trail cannot be filtered so. Give days like 2026-11-22, or start from the list's own filters.";
    actor, action, object,
    /// Days in UTC, both with.
    from, to, before,
}

impl Params {
    fn filter(&self) -> Result<TrailFilter, Fault> {
        let after = |day: NaiveDate| day.checked_add_days(Days::new(1)).unwrap_or(day);
        Ok(TrailFilter {
            actor: clipped(&self.actor, 200),
            action: clipped(&self.action, 200),
            object: clipped(&self.object, 200),
            from: Self::day(&self.from)?.map(readiness::begin),
            to: Self::day(&self.to)?.map(after).map(readiness::begin),
        })
    }

    fn fields(&self) -> Vec<Field> {
        let day = |name, label: &str, value: &str| {
            Field::new(name, label, Input::Line("date")).value(value)
        };
        vec![
            Field::text("actor", "Who").value(&self.actor),
            Field::text("action", "What").value(&self.action),
            Field::text("object", "To what, as “linode 17”").value(&self.object),
            day("from", "From (UTC)", &self.from),
            day("to", "To (UTC)", &self.to),
        ]
    }
}

/// `GET /staff/audit`
pub async fn list(asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = asked
        .filter()
        .and_then(|it| Ok((it, Params::read(&asked.before)?)));
    let (staff, rows) = asks
        .read_by(wanted, |conn, (filter, before)| {
            Ok(store::audit::list(conn, &filter, before, Params::limit())?)
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.id.to_string());
    let page = staff.page(Area::Audit, "Audit trail");
    let zone = page.zone();
    page::html(&AuditPage {
        fields: asked.fields(),
        csv_url: asked.csv_url(),
        pager,
        rows: rows.into_iter().map(|row| view(row, zone)).collect(),
        page,
    })
}

fn view(row: AuditEvent, zone: Zone) -> Row {
    Row {
        at: zone.precise(row.at),
        url: url(&row.object),
        actor: row.actor,
        address: row.address,
        action: row.action,
        object: row.object,
        before: shown(&row.before),
        after: shown(&row.after),
    }
}

fn shown(text: &str) -> String {
    if text.chars().count() > SHOWN {
        let start: String = text.chars().take(SHOWN).collect();
        format!("{start}…")
    } else {
        text.to_owned()
    }
}

/// The page of a thing that the trail names, where it has one.
fn url(object: &str) -> Option<String> {
    Some(match Object::with_page(object)? {
        Object::Migration(id) => format!("/staff/migrations/{id}"),
        Object::Host(id) => format!("/staff/hosts/{id}"),
        Object::Job(id) => format!("/staff/jobs/{id}"),
        Object::User(id) => format!("/staff/members/{id}"),
        Object::Mail(id) => format!("/staff/mail/{id}"),
        Object::Wave(id) => format!("/staff/waves/{id}"),
        _ => return None,
    })
}

/// `GET /staff/audit.csv`: all that the filters find, newest first.
pub async fn csv(portal: Portal, _staff: Staff, asked: Query<Params>) -> Response {
    let filter = asked.0.filter()?;
    Params::read::<AuditId>(&asked.0.before)?;
    let names = [
        "id", "at_utc", "actor", "address", "action", "object", "before", "after", "hash",
    ];
    csv::list(portal, "audit.csv", &names, move |conn, before| {
        let rows = store::audit::list(conn, &filter, before, csv::PAGE)?;
        Ok(csv::Part::of(&rows, |row| row.id, record))
    })
    .await
}

fn record(row: &AuditEvent) -> csv::Record {
    vec![
        row.id.to_string(),
        row.at
            .utc()
            .to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        unformula(&row.actor),
        unformula(&row.address),
        unformula(&row.action),
        unformula(&row.object),
        unformula(&row.before),
        unformula(&row.after),
        row.hash.clone(),
    ]
}

/// `GET /staff/audit/verify`
pub async fn verify(portal: Portal, staff: Staff) -> Response {
    let trail = portal::run(&portal, |app| app.verify_audit(None)).await?;
    let (verdict, words) = match trail {
        Verification::Whole { entries, head, .. } => (
            Tag::new("Whole", Tone::Good),
            format!(
                "{entries} entries, each of which follows from the one before it. The newest one's link: {head}"
            ),
        ),
        Verification::Broken {
            entries_before,
            entry,
        } => (
            Tag::new("Broken", Tone::Bad),
            format!(
                "After {entries_before} entries that are whole, entry {} of {} ({} by {}) does not follow: it was changed, or one before it was changed or taken away.",
                entry.id, entry.at, entry.action, entry.actor
            ),
        ),
        Verification::CutOff { entries } => (
            Tag::new("Cut off", Tone::Bad),
            format!("{entries} entries fit, but the last of those there once were is missing."),
        ),
    };
    let page = staff
        .page(Area::Audit, "Is the trail whole?")
        .crumb("Audit trail", PATH);
    page::html(&VerifyPage {
        verdict,
        words,
        as_of: page.zone().precise(portal.now().utc()),
        page,
    })
}
