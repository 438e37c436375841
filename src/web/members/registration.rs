//! `/members/xenbeta`: a row per Linode (register, wait, go on, withdraw), and what the beta is and tests, in the texts of the
//! announcement.

use std::collections::HashMap;

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use super::linode::list::{Begin, eligibility, next_url};
use super::{migration_link, migration_tag};
use crate::app::bulk::Outcome;
use crate::app::doors::Door;
use crate::app::error::AppError;
use crate::app::registration::seats_left;
use crate::domain::ids::{AccountId, LinodeId, RegistrationId};
use crate::domain::migration::{self, MigrationKind, MigrationState};
use crate::domain::placement::Standing;
use crate::domain::programme::{Phase, TextSection};
use crate::domain::registration::RegistrationState;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::linode::page::{LinodePage, LinodeRow, Registered};
use crate::store::programme::{Programme, Text};

use crate::web::extract::{Asks, Form, Member, Nothing, Path, Query, ids};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, ConfirmPage, Page};
use crate::web::portal::{self, Portal};
use crate::web::programme_text::{Section, state_words};
use crate::web::ui::names::platform_name;
use crate::web::ui::{Link, Problems, Tag, Zone, units};

#[derive(Debug, Template)]
#[template(path = "members/registration.html")]
pub struct BetaPage {
    pub page: Page,
    pub programme: String,
    pub state: Tag,
    pub state_words: String,
    pub seats_left: Option<i64>,
    pub waiting: i64,
    /// How long answers have taken lately, if any were given.
    pub usual_wait: Option<String>,
    pub offer_days: i32,
    pub way_back_days: i32,
    pub irc: Option<String>,
    pub forum: Option<String>,
    pub sections: Vec<Section>,
    /// Links to the first entries of the FAQ.
    pub questions: Vec<Link>,
    pub rows: Vec<Row>,
    /// The next Linodes, where there are more than a page has.
    pub next: Option<String>,
    pub any_eligible: bool,
    pub error: Option<String>,
}

#[derive(Debug)]
pub struct Row {
    pub id: i64,
    pub url: String,
    pub label: String,
    pub plan: String,
    pub platform: &'static str,
    /// It can be registered: there is a box to tick.
    pub eligible: bool,
    pub chosen: bool,
    pub tag: Option<Tag>,
    pub words: String,
    pub link: Option<Link>,
    pub withdraw: Option<Link>,
}

/// What the page is made from.
pub struct Facts<'a> {
    pub name: &'a str,
    pub programme: &'a Programme,
    pub phase: Phase,
    pub seats_left: Option<i64>,
    pub waiting: i64,
    pub waits: &'a [i64],
    pub written: &'a [Text],
    /// Anchor and question of the first entries of the FAQ.
    pub questions: &'a [(String, String)],
    pub rows: &'a [LinodeRow],
    pub next: Option<&'a str>,
    pub positions: &'a HashMap<RegistrationId, usize>,
    /// Linodes ticked in a form that is shown again.
    pub chosen: &'a [i64],
}

/// The sections of the announcement that matter to one who is about to register, or has.
const SECTIONS: [TextSection; 3] = [TextSection::Brings, TextSection::Tested, TextSection::Ends];
/// Questions shown; the FAQ has the rest.
const QUESTIONS: i64 = 5;

impl BetaPage {
    pub fn new(page: Page, facts: &Facts<'_>) -> Self {
        let programme = facts.programme;
        let (state, state_words) = state_words(facts.phase, page.zone());
        let rows: Vec<Row> = facts
            .rows
            .iter()
            .map(|row| beta_row(row, facts, page.zone()))
            .collect();
        let link = |url: &str| {
            (url.starts_with("https://")
                || url.starts_with("http://")
                || url.starts_with("irc://")
                || url.starts_with("ircs://"))
            .then(|| url.to_owned())
        };
        Self {
            programme: facts.name.to_owned(),
            state,
            state_words,
            seats_left: facts.seats_left.map(|left| left.max(0)),
            waiting: facts.waiting,
            usual_wait: usual(facts.waits),
            offer_days: programme.offer_days,
            way_back_days: programme.way_back_days,
            irc: link(&programme.irc_url),
            forum: link(&programme.forum_url),
            sections: SECTIONS
                .iter()
                .map(|of| Section::new(*of, facts.written))
                .collect(),
            questions: facts
                .questions
                .iter()
                .map(|(slug, question)| Link::new(format!("/members/faq#{slug}"), question))
                .collect(),
            next: next_url(HERE, facts.next),
            any_eligible: rows.iter().any(|row| row.eligible),
            error: page.problems.of("linode").map(str::to_owned),
            rows,
            page,
        }
    }
}

/// The median of the last answers.
fn usual(waits: &[i64]) -> Option<String> {
    let mut sorted = waits.to_vec();
    sorted.sort_unstable();
    sorted
        .get(sorted.len() / 2)
        .map(|median| units::span(*median))
}

fn beta_row(row: &LinodeRow, facts: &Facts<'_>, zone: Zone) -> Row {
    let label = &row.linode.label;
    let mut view = Row {
        id: row.linode.id.0,
        url: format!("/members/linodes/{}", row.linode.id),
        label: label.clone(),
        plan: row.linode.plan.clone(),
        platform: platform_name(row.linode.platform),
        eligible: false,
        chosen: facts.chosen.contains(&row.linode.id.0),
        tag: None,
        words: String::new(),
        link: None,
        withdraw: None,
    };
    let eligible = eligibility(row, facts.phase, facts.seats_left);
    view.eligible = eligible.is_ok();
    if let Some(migration) = row.migration {
        view.link = migration_link(migration, label);
        if view.link.is_some() || eligible.is_err() {
            view.tag = Some(migration_tag(migration, zone));
        }
    }
    let Some(registration) = &row.registration else {
        if let (Err(reason), None) = (eligible, &view.link) {
            view.words = reason.to_string();
        }
        return view;
    };
    stands(&mut view, row, registration, facts);
    view
}

/// Whether it is back from the beta, and whether a move into it has begun.
fn moves(row: &LinodeRow, outside: bool) -> (bool, bool) {
    let came_back = outside
        && row.migration.as_ref().is_some_and(|migration| {
            migration.kind == MigrationKind::Return && migration.state == MigrationState::Confirmed
                || migration.state == MigrationState::Returned
        });
    // A move off a host, to its like, begins nothing.
    let has_begun = !came_back
        && row.migration.as_ref().is_some_and(|migration| {
            let is_of_the_beta = migration.kind != MigrationKind::Evacuation || !outside;
            is_of_the_beta
                && !matches!(
                    migration.state,
                    MigrationState::Offered | MigrationState::Expired | MigrationState::Cancelled
                )
        });
    (came_back, has_begun)
}

/// How its registration stands, and what can be done with it.
fn stands(view: &mut Row, row: &LinodeRow, registration: &Registered, facts: &Facts<'_>) {
    let eligible = eligibility(row, facts.phase, facts.seats_left);
    let label = &row.linode.label;
    let outside = row.linode.standing() == Standing::Outside;
    let (came_back, has_begun) = moves(row, outside);
    match registration.state {
        RegistrationState::Requested => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = match facts.positions.get(&registration.id) {
                Some(position) => format!("Number {position} in the queue."),
                None => "Far back in the queue.".to_owned(),
            };
            view.withdraw = Some(withdraw_link(registration.id, label));
        }
        RegistrationState::Approved => {
            if view.link.is_none() && !has_begun {
                view.tag = Some(Tag::registration(registration.state));
                view.words = match row.migration.as_ref().map(|migration| migration.state) {
                    _ if !outside => "It runs in the beta.".to_owned(),
                    _ if came_back => "It is back on its old host. We can offer it another place; withdraw it if it shall stay.".to_owned(),
                    Some(MigrationState::Expired) => "Its offer has expired; we are setting up another.".to_owned(),
                    _ => "We are setting up its place on a Xen host, and write to you when it is ready.".to_owned(),
                };
            }
            let held = row.migration.as_ref();
            let held = held.is_some_and(|it| migration::holds_registration(it.kind, it.state));
            if outside && !held {
                view.withdraw = Some(withdraw_link(registration.id, label));
            }
        }
        RegistrationState::Declined => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = format!("{} You can register it again.", registration.reason)
                .trim()
                .to_owned();
            if let Err(reason) = eligible {
                view.words = format!("{} {reason}", registration.reason)
                    .trim()
                    .to_owned();
            }
        }
        RegistrationState::Withdrawn => {
            if let Err(reason) = eligible {
                view.words = reason.to_string();
            }
        }
        RegistrationState::Graduated => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = "It runs on a production host; the beta is over for it.".to_owned();
        }
        RegistrationState::Closed => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = registration.reason.clone();
        }
    }
}

fn withdraw_link(id: RegistrationId, label: &str) -> Link {
    Link::new(
        format!("/members/xenbeta/{id}/withdraw"),
        format!("Withdraw {label}"),
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterForm {
    linode: Vec<String>,
}

const HERE: &str = "/members/xenbeta";

/// What the page reads.
struct Found {
    programme: Programme,
    left: Option<i64>,
    waiting: i64,
    waits: Vec<i64>,
    rows: Vec<LinodeRow>,
    next: Option<String>,
    positions: HashMap<RegistrationId, usize>,
    written: Vec<Text>,
    questions: Vec<(String, String)>,
}

fn find(conn: &mut Db, account: AccountId, (after, now): (&str, Time)) -> Result<Found, AppError> {
    let LinodePage {
        rows,
        next,
        programme,
    } = store::linode::page::linodes(conn, account, (after, now))?;
    let mine: Vec<RegistrationId> = rows
        .iter()
        .filter_map(|row| row.registration.as_ref().map(|it| it.id))
        .collect();
    Ok(Found {
        left: seats_left(conn, programme.seats)?,
        waiting: store::registration::count(conn, RegistrationState::Requested)?,
        waits: store::registration::recent_waits(conn)?,
        positions: store::registration::positions(conn, &mine)?,
        written: store::programme::texts(conn)?,
        questions: store::faq::first(conn, QUESTIONS)?,
        programme,
        rows,
        next,
    })
}

/// The page again, with what is wrong with the form.
async fn again(portal: &Portal, member: &Member, chosen: Vec<i64>, problems: Problems) -> Response {
    let account = member.account;
    let found = portal::run(portal, move |app| {
        app.db.read(|conn| find(conn, account, ("", app.now())))
    })
    .await?;
    present(portal, member, &found, (chosen, problems))
}

fn present(
    portal: &Portal,
    member: &Member,
    found: &Found,
    (chosen, problems): (Vec<i64>, Problems),
) -> Response {
    let status = problems.status();
    let name = &portal.settings.programme_name;
    let page = member
        .page(Area::XenBeta, format!("{name} Registration"))
        .problems(problems);
    let facts = Facts {
        name,
        phase: crate::app::programme::phase(&found.programme, portal.now()),
        programme: &found.programme,
        seats_left: found.left,
        waiting: found.waiting,
        waits: &found.waits,
        written: &found.written,
        questions: &found.questions,
        rows: &found.rows,
        next: found.next.as_deref(),
        positions: &found.positions,
        chosen: &chosen,
    };
    page::html_status(status, &BetaPage::new(page, &facts))
}

/// `GET /members/xenbeta`
pub async fn show(portal: Portal, asks: Asks<Member>, from: Query<Begin>) -> Response {
    let now = portal.now();
    let (member, found) = asks
        .read(move |conn, actor| find(conn, actor.require_account()?, (&from.0.after, now)))
        .await?;
    let nothing = (Vec::new(), Problems::default());
    present(&portal, &member, &found, nothing)
}

/// `GET /members/xenbeta.cfm`: the link of old announcements.
pub async fn from_old_link() -> HttpResponse {
    page::moved(HERE)
}

/// `POST /members/xenbeta`
pub async fn register(portal: Portal, member: Member, form: Form<RegisterForm>) -> Response {
    portal.doors.knock(Door::Register, &member.actor.address)?;
    let ids = ids(form.0.linode.iter().map(String::as_str))?;
    let asked: Vec<LinodeId> = ids.iter().copied().map(LinodeId).collect();
    let done = member.submit(&portal, move |app, actor| app.register(actor, &asked));
    match done.await? {
        Err(problems) => again(&portal, &member, ids, problems).await,
        Ok(many) if many.refused.is_empty() => {
            let said = match many.done.len() {
                1 => "Registered. We look at it and write to you.".to_owned(),
                count => {
                    format!("{count} Linodes are registered. We look at them and write to you.")
                }
            };
            page::said(HERE, said)
        }
        Ok(many) => {
            let refused: Vec<i64> = many.refused.iter().map(|(id, _)| id.0).collect();
            let named = [
                many.done.clone(),
                refused.iter().copied().map(LinodeId).collect(),
            ]
            .concat();
            let labels =
                portal::read(&portal, move |conn| store::fairness::labels(conn, &named)).await?;
            let mut problems = Problems::default();
            problems.add("linode", refusal(&many, &labels.into_iter().collect()));
            again(&portal, &member, refused, problems).await
        }
    }
}

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
    let refused: Vec<String> = many
        .refused
        .iter()
        .map(|(id, why)| format!("{}: {why}", label(*id)))
        .collect();
    format!("{done}Not registered: {}", refused.join(" "))
}

/// `GET /members/xenbeta/{id}/withdraw`
pub async fn ask_withdraw(portal: Portal, member: Member, id: Path<i64>) -> Response {
    let account = member.account;
    let found = portal::read(&portal, move |conn| {
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
pub async fn withdraw(portal: Portal, member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    let done = member
        .act(&portal, move |app, actor| {
            app.withdraw(actor, RegistrationId(id.0))
        })
        .await;
    done.map_err(|fault| fault.at(HERE, "Back to the registration page"))?;
    page::said(HERE, "It is withdrawn.")
}
