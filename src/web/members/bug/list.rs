//! `/members/bugs`: everybody's threads, to find one's own in before another is opened. Of other members one sees initials;
//! what they attached about their Linodes is not shown.
//! Rule of the room: the list here, a new bug in [`super::new`], one thread in [`super::thread`] (which staff's page shows too).

use askama::Template;
use serde::Deserialize;

use crate::domain::bug::{BugState, Component, initials};
use crate::domain::ids::{AccountId, BugId};
use crate::domain::string_enum::Word;
use crate::store;
use crate::store::bug::page::BugRow;
use crate::store::bug::{BugFilter, Person};
use crate::web::extract::{Member, Query};
use crate::web::fault::{Fault, Response};
use crate::web::members::Link;
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::list::query;
use crate::web::ui::{Choice, Field, Pager, Tag, When, Zone};

pub const PATH: &str = "/members/bugs";
/// Rows on a page of the list.
const ROWS: usize = 30;

#[derive(Debug, Template)]
#[template(path = "members/bugs.html")]
pub struct BugsPage {
    pub page: Page,
    pub filters: Vec<Field>,
    pub filtered: bool,
    pub rows: Vec<Line>,
    pub pager: Pager,
}

/// A bug in a list, as a member may see it.
#[derive(Debug)]
pub struct Line {
    pub link: Link,
    pub number: i64,
    pub state: Tag,
    pub component: &'static str,
    pub author: String,
    pub hits: i64,
    pub replies: i64,
    pub changed: When,
}

/// Only its own account finds a hidden bug in a list, and sees there that it is.
fn title(row: &BugRow) -> String {
    if row.bug.hidden_at.is_some() {
        format!("Bug {} (hidden by our staff)", row.bug.id)
    } else {
        row.bug.title.clone()
    }
}

impl Line {
    #[must_use]
    pub fn new(row: &BugRow, reader: Option<AccountId>, zone: Zone) -> Self {
        Self {
            link: Link::new(format!("{PATH}/{}", row.bug.id), title(row)),
            number: row.bug.id.0,
            state: Tag::bug(row.bug.state),
            component: component_name(row.bug.component),
            author: person(row.author.as_ref(), reader, false),
            hits: row.hits,
            replies: row.replies,
            changed: zone.show(row.bug.changed_at.utc()),
        }
    }
}

/// A name as a member of `reader` may see it: whole of their own account and of staff, initials of others.
#[must_use]
pub fn person(person: Option<&Person>, reader: Option<AccountId>, is_staff: bool) -> String {
    match person {
        None => "Somebody".to_owned(),
        Some(person) if is_staff => format!("{} (staff)", person.name),
        Some(person) if person.account.is_some() && person.account == reader => person.name.clone(),
        Some(person) => initials(&person.name),
    }
}

#[must_use]
pub fn component_name(component: Component) -> &'static str {
    match component {
        Component::Migration => "Migration",
        Component::Kernel => "Kernel",
        Component::Disk => "Disk",
        Component::Network => "Network",
        Component::Performance => "Performance",
        Component::Manager => "Manager",
        Component::Other => "Other",
    }
}

#[must_use]
pub fn component_choices() -> Vec<Choice> {
    Component::ALL
        .iter()
        .map(|it| Choice::new(it, component_name(*it)))
        .collect()
}

/// The list's filters, as they stand in its address.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    pub q: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub component: String,
    #[serde(default)]
    pub who: String,
    #[serde(default)]
    pub before: String,
}

pub(crate) fn unknown() -> Fault {
    Fault::BadRequest(
        "The list cannot be filtered so. Start from the list's own filters.".to_owned(),
    )
}

/// The states a word of the address stands for.
pub(crate) fn states(word: &str) -> Result<Vec<BugState>, Fault> {
    Ok(match word {
        "" => Vec::new(),
        "open" => BugState::ALL
            .iter()
            .copied()
            .filter(|state| state.is_open())
            .collect(),
        word => vec![BugState::parse(word).ok_or_else(unknown)?],
    })
}

/// A word of the address that may be left out.
pub(crate) fn word<T: Word>(text: &str) -> Result<Option<T>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    T::parse(text).map(Some).ok_or_else(unknown)
}

pub(crate) fn key(text: &str) -> Result<Option<BugId>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| unknown())
}

impl Asked {
    fn filter(&self, member: &Member) -> Result<BugFilter, Fault> {
        let (of, hits) = match self.who.as_str() {
            "" => (None, None),
            "mine" => (Some(member.account), None),
            "hits" => (None, Some(member.actor.user)),
            _ => return Err(unknown()),
        };
        Ok(BugFilter {
            states: states(&self.state)?,
            severity: None,
            component: word(&self.component)?,
            of,
            hits,
            text: self.q.trim().chars().take(200).collect(),
            reader: Some(member.account),
        })
    }

    fn url(&self, before: &str) -> String {
        let pairs = [
            ("q", self.q.trim().to_owned()),
            ("state", self.state.clone()),
            ("component", self.component.clone()),
            ("who", self.who.clone()),
            ("before", before.to_owned()),
        ];
        format!("{PATH}{}", query(&pairs))
    }

    fn fields(&self) -> Vec<Field> {
        let mut states = vec![Choice::new("", "All"), Choice::new("open", "Open")];
        states.extend(
            BugState::ALL
                .iter()
                .map(|state| Choice::new(state, Tag::bug(*state).text)),
        );
        let mut components = vec![Choice::new("", "All")];
        components.extend(component_choices());
        let who = vec![
            Choice::new("", "Everybody's"),
            Choice::new("mine", "Opened by my account"),
            Choice::new("hits", "Those that hit me"),
        ];
        vec![
            Field::text("q", "Words").value(&self.q),
            Field::select("state", "State", states).value(&self.state),
            Field::select("component", "Part", components).value(&self.component),
            Field::select("who", "Whose", who).value(&self.who),
        ]
    }
}

/// `GET /members/bugs`
pub async fn list(portal: Portal, member: Member, asked: Query<Asked>) -> Response {
    let asked = asked.0;
    let (filter, before) = (asked.filter(&member)?, key(&asked.before)?);
    let limit = i64::try_from(ROWS).unwrap_or(30) + 1;
    let mut rows = portal::read(&portal, move |conn| {
        store::bug::page::rows(conn, &filter, before, limit)
    })
    .await?;
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let page = member.page(Area::Bugs, "Bugs");
    let zone = page.zone();
    let last = rows.last().filter(|_| more);
    page::html(&BugsPage {
        filters: asked.fields(),
        filtered: asked.url("") != PATH,
        pager: Pager {
            first: (!asked.before.is_empty()).then(|| asked.url("")),
            next: last.map(|last| asked.url(&last.bug.id.to_string())),
        },
        rows: rows
            .iter()
            .map(|row| Line::new(row, Some(member.account), zone))
            .collect(),
        page,
    })
}
