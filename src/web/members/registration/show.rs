//! The page.
//! Rule of the room: the page here, what is done from it in [`super::act`].

use std::collections::HashMap;

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use super::row::{Known, Row, beta_row};
use crate::app::bulk::AT_ONCE;
use crate::app::error::AppError;
use crate::app::registration::seats_left;
use crate::domain::ids::{AccountId, LinodeId, RegistrationId};
use crate::domain::programme::{Phase, TextSection};
use crate::domain::registration::RegistrationState;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::linode::page::{LinodePage, LinodeRow, Wanted};
use crate::store::programme::{Programme, Text};
use crate::web::extract::{Asks, Member, Query};
use crate::web::fault::Response;
use crate::web::members::linode::list::{Find, eligibility, wanted};
use crate::web::page::{self, Area, FROM_FILTERS, Filters, Page, filters};
use crate::web::portal::{self, Portal};
use crate::web::programme_text::{Section, outside, state_words};
use crate::web::ui::{Link, Pager, Problems, Tag, units};

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
    pub outside: Vec<Link>,
    pub sections: Vec<Section>,
    /// Links to the first entries of the FAQ.
    pub questions: Vec<Link>,
    pub find: Find,
    pub rows: Vec<Row>,
    pub pager: Pager,
    /// There is something to choose.
    pub any_eligible: bool,
    /// One can still take part: how is told.
    pub is_on: bool,
    /// For all of them at once, where they are several.
    pub all: Option<All>,
    pub error: Option<String>,
}

filters! {
    HERE, 50, FROM_FILTERS;
    q, after,
}

/// All that the filter finds and that can be registered, on whatever page.
#[derive(Debug)]
pub struct All {
    pub q: String,
    pub count: usize,
    /// There are more than one act takes.
    pub more: bool,
}

/// What the page is made from.
pub struct Parts<'a> {
    pub name: &'a str,
    pub programme: &'a Programme,
    pub known: Known<'a>,
    pub waiting: i64,
    pub waits: &'a [i64],
    pub written: &'a [Text],
    /// Anchor and question of the first entries of the FAQ.
    pub questions: &'a [(String, String)],
    pub asked: &'a Params,
    pub rows: &'a [LinodeRow],
    pub pager: &'a Pager,
    pub eligible: &'a Eligible,
}

/// The sections of the announcement that matter to one who is about to register, or has.
const SECTIONS: [TextSection; 3] = [TextSection::Brings, TextSection::Tested, TextSection::Ends];
/// Questions shown; the FAQ has the rest.
const QUESTIONS: i64 = 5;

impl BetaPage {
    pub fn new(page: Page, facts: &Parts<'_>) -> Self {
        let programme = facts.programme;
        let (state, state_words) = state_words(facts.known.phase, page.zone());
        let rows: Vec<Row> = facts
            .rows
            .iter()
            .map(|row| beta_row(row, &facts.known))
            .collect();
        Self {
            programme: facts.name.to_owned(),
            state,
            state_words,
            seats_left: facts.known.seats_left.map(|left| left.max(0)),
            waiting: facts.waiting,
            usual_wait: usual(facts.waits),
            offer_days: programme.offer_days,
            way_back_days: programme.way_back_days,
            outside: outside(programme),
            sections: SECTIONS
                .iter()
                .map(|of| Section::new(*of, facts.written))
                .collect(),
            questions: facts
                .questions
                .iter()
                .map(|(slug, question)| Link::new(format!("/members/faq#{slug}"), question))
                .collect(),
            find: Find::new::<Params>(&facts.asked.q, facts.pager),
            pager: facts.pager.clone(),
            any_eligible: !facts.eligible.ids.is_empty(),
            is_on: facts.known.phase != Phase::Ended,
            all: All::of(facts),
            error: page.problems.of("linode").map(str::to_owned),
            rows,
            page,
        }
    }
}

impl All {
    fn of(facts: &Parts<'_>) -> Option<Self> {
        let count = facts.eligible.ids.len();
        (count > 1).then(|| Self {
            q: facts.asked.q.clone(),
            count,
            more: facts.eligible.more,
        })
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

/// A Linode whose box is ticked already.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Picked {
    linode: String,
}

pub(super) const HERE: &str = "/members/xenbeta";

/// What the page reads.
struct Loaded {
    programme: Programme,
    left: Option<i64>,
    waiting: i64,
    waits: Vec<i64>,
    asked: Params,
    rows: Vec<LinodeRow>,
    pager: Pager,
    eligible: Eligible,
    positions: HashMap<RegistrationId, usize>,
    written: Vec<Text>,
    questions: Vec<(String, String)>,
}

/// Linodes that can be registered: no more than one act takes.
pub struct Eligible {
    pub(super) ids: Vec<LinodeId>,
    more: bool,
}

impl Eligible {
    fn of(rows: &[LinodeRow], phase: Phase, seats_left: Option<i64>) -> Self {
        let most = rows.get(..AT_ONCE).unwrap_or(rows);
        let can = most
            .iter()
            .filter(|row| eligibility(row, phase, seats_left).is_ok());
        Self {
            ids: can.map(|row| row.linode.id).collect(),
            more: rows.len() > AT_ONCE,
        }
    }

    /// On all pages of what `q` finds.
    pub(super) fn find(
        conn: &mut Db,
        of: (AccountId, Time),
        q: &str,
        (phase, seats_left): (Phase, Option<i64>),
    ) -> Result<Self, AppError> {
        Ok(Self::of(&every(conn, of, q)?.rows, phase, seats_left))
    }
}

/// All that `q` finds: as many as one act takes, and one more if there are more.
fn every(
    conn: &mut Db,
    (account, now): (AccountId, Time),
    q: &str,
) -> Result<LinodePage, AppError> {
    let every = Wanted {
        most: AT_ONCE + 1,
        ..wanted::<Params>(q, "")
    };
    Ok(store::linode::page::linodes(conn, account, (&every, now))?)
}

/// Those of the page that is asked for, and one more; beyond what was read they are looked for.
fn page_of(
    conn: &mut Db,
    (account, now): (AccountId, Time),
    all: Vec<LinodeRow>,
    asked: &Params,
) -> Result<Vec<LinodeRow>, AppError> {
    let begin = match asked.after.as_str() {
        "" => Some(0),
        after => {
            let last = all.iter().position(|row| row.linode.label == after);
            last.map(|last| last + 1)
        }
    };
    let size = Params::ROWS + 1;
    let is_read = |begin: usize| all.len() <= AT_ONCE || begin + size <= all.len();
    Ok(match begin.filter(|begin| is_read(*begin)) {
        Some(begin) => all.into_iter().skip(begin).take(size).collect(),
        None => {
            let some = wanted::<Params>(&asked.q, &asked.after);
            store::linode::page::linodes(conn, account, (&some, now))?.rows
        }
    })
}

fn find(
    conn: &mut Db,
    account: AccountId,
    (asked, now): (Params, Time),
) -> Result<Loaded, AppError> {
    let LinodePage {
        rows: all,
        programme,
    } = every(conn, (account, now), &asked.q)?;
    let phase = crate::app::programme::phase(&programme, now);
    let left = seats_left(conn, programme.seats)?;
    let eligible = Eligible::of(&all, phase, left);
    let rows = page_of(conn, (account, now), all, &asked)?;
    let (rows, pager) = asked.page(rows, |row| row.linode.label.clone());
    let mine: Vec<RegistrationId> = rows
        .iter()
        .filter_map(|row| row.registration.as_ref().map(|it| it.id))
        .collect();
    Ok(Loaded {
        left,
        waiting: store::registration::count(conn, RegistrationState::Requested)?,
        waits: store::registration::recent_waits(conn)?,
        positions: store::registration::positions(conn, &mine)?,
        written: store::programme::texts(conn)?,
        questions: store::faq::first(conn, QUESTIONS)?,
        programme,
        asked,
        rows,
        pager,
        eligible,
    })
}

/// The page again, with what is wrong with the form.
pub(super) async fn again(
    member: &Member,
    asked: Params,
    (chosen, problems): (Vec<i64>, Problems),
) -> Response {
    let account = member.account;
    let found = portal::run(&member.portal, move |app| {
        app.db.read(|conn| find(conn, account, (asked, app.now())))
    })
    .await?;
    present(member, &found, (chosen, problems))
}

fn present(member: &Member, found: &Loaded, (chosen, problems): (Vec<i64>, Problems)) -> Response {
    let status = problems.status();
    let name = &member.portal.settings.programme_name;
    let page = member
        .page(Area::XenBeta, format!("{name} Registration"))
        .problems(problems);
    let facts = Parts {
        name,
        known: Known {
            phase: crate::app::programme::phase(&found.programme, member.portal.now()),
            seats_left: found.left,
            positions: &found.positions,
            chosen: &chosen,
            zone: page.zone(),
        },
        programme: &found.programme,
        waiting: found.waiting,
        waits: &found.waits,
        written: &found.written,
        questions: &found.questions,
        asked: &found.asked,
        rows: &found.rows,
        pager: &found.pager,
        eligible: &found.eligible,
    };
    page::html_status(status, &BetaPage::new(page, &facts))
}

/// `GET /members/xenbeta`
pub async fn show(
    portal: Portal,
    asks: Asks<Member>,
    asked: Query<Params>,
    picked: Query<Picked>,
) -> Response {
    let now = portal.now();
    let (member, found) = asks
        .read(move |conn, actor| find(conn, actor.require_account()?, (asked.0, now)))
        .await?;
    let picked = picked.0.linode.parse().ok().into_iter().collect();
    present(&member, &found, (picked, Problems::default()))
}

/// `GET /members/xenbeta.cfm`: the link of old announcements.
pub async fn from_old_link() -> HttpResponse {
    page::moved(HERE)
}
