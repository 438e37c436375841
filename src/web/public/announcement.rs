//! `/`: what the beta is, for anyone, signed in or not. Its texts are staff's; dates, places and days come from the rows.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::app::error::AppError;
use crate::app::programme::phase;
use crate::app::registration::seats_left;
use crate::domain::programme::{Dates, Phase, TextSection, said_of};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::programme::{Programme, Text};
use crate::web::context::Context;
use crate::web::extract::Signed;
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::programme_text::{Section, outside, state_words};
use crate::web::ui::{Link, Tag, When, units};

#[derive(Debug, Template)]
#[template(path = "announcement.html")]
pub struct AnnouncementPage {
    pub page: Page,
    pub programme: String,
    pub state: Tag,
    pub state_words: String,
    pub dates: Vec<(&'static str, When)>,
    pub facts: Vec<(&'static str, String)>,
    pub outside: Vec<Link>,
    pub onward: Link,
    pub sections: Vec<Section>,
}

/// What the page is made from.
struct Loaded {
    programme: Programme,
    phase: Phase,
    seats_left: Option<i64>,
    written: Vec<Text>,
    now: Time,
}

impl AnnouncementPage {
    fn new(page: Page, name: &str, facts: &Loaded) -> Self {
        let of = &facts.programme;
        let zone = page.zone();
        let (state, words) = state_words(facts.phase, zone);
        let said = said_of(
            facts.phase,
            Dates {
                opens_at: of.opens_at,
                expected_end_at: of.expected_end_at,
                ended_at: of.ended_at,
            },
            facts.now,
        );
        let has_end = said.iter().any(|(word, _)| *word == "Expected to end");
        let dates = said.into_iter().map(|(word, at)| (word, zone.both(at)));
        let mut lines = Vec::new();
        if facts.phase != Phase::Ended {
            if !has_end {
                lines.push(("End", "No fixed date: when we are confident of functionality, performance and reliability".to_owned()));
            }
            if facts.phase != Phase::Closed
                && let (Some(seats), Some(left)) = (of.seats, facts.seats_left)
            {
                lines.push((
                    "Places",
                    format!("{seats}, of which {} are free", left.max(0)),
                ));
            }
            lines.push(("An offer stands", days(of.offer_days)));
        }
        lines.push(("The way back is open", days(of.way_back_days)));
        Self {
            programme: name.to_owned(),
            state,
            state_words: words,
            dates: dates.collect(),
            facts: lines,
            outside: outside(of),
            onward: onward(&page, facts.phase),
            sections: TextSection::ALL
                .iter()
                .map(|of| Section::new(*of, &facts.written))
                .collect(),
            page,
        }
    }
}

fn days(count: i32) -> String {
    units::counted(count, "day", "days")
}

/// Where the reader goes on.
fn onward(page: &Page, phase: Phase) -> Link {
    match (&page.viewer, phase) {
        (None, Phase::Open) => Link::new("/login?next=/members/xenbeta", "Sign in to take part"),
        (None, Phase::Announced(_) | Phase::Closed | Phase::Ended) => {
            Link::new("/login", "Sign in")
        }
        (Some(viewer), Phase::Open) if viewer.member => {
            Link::new("/members/xenbeta", "Register your Linodes")
        }
        (Some(viewer), _) if viewer.member => Link::new("/members/", "Go to your Linodes"),
        (Some(_), _) => Link::new("/staff/", "Go to the staff dashboard"),
    }
}

/// `GET /`
pub async fn show(
    request: HttpRequest,
    portal: Portal,
    context: Context,
    signed: Result<Signed>,
) -> Response {
    let facts = portal::run(&portal, |app| {
        let now = app.now();
        app.db.read(|conn| {
            let programme = store::programme::get(conn, now)?;
            Ok::<_, AppError>(Loaded {
                phase: phase(&programme, now),
                seats_left: seats_left(conn, programme.seats)?,
                written: store::programme::texts(conn)?,
                programme,
                now,
            })
        })
    })
    .await?;
    let name = portal.settings.programme_name.clone();
    let page = match signed {
        Ok(signed) => signed.page(Area::None, name.clone()),
        Err(_) => Page::without_forms(&context, Area::None, name.clone()),
    };
    let is_public = page.viewer.is_none() && page.flash.is_none();
    let view = AnnouncementPage::new(page, &name, &facts);
    if is_public {
        tagged(&request, &view)
    } else {
        page::html(&view)
    }
}

/// The same for everyone: browsers may keep it, and ask whether it has changed.
fn tagged(request: &HttpRequest, view: &AnnouncementPage) -> Response {
    let body = view.render().map_err(Fault::internal)?;
    let hash: String = blake3::hash(body.as_bytes())
        .to_hex()
        .chars()
        .take(16)
        .collect();
    // Weak: it may be sent compressed or plain.
    let tag = format!("W/\"{hash}\"");
    let known = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|old| old.trim() == tag));
    let mut answer = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "Cookie"));
    if known {
        return Ok(answer.finish());
    }
    Ok(answer
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(body))
}
