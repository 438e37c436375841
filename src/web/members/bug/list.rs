//! `/members/bugs`: everybody's threads, to find one's own in before another is opened. Of other members one sees initials;
//! what they attached about their Linodes is not shown.
//! Rule of the room: the list here, a new bug in [`super::new`], one thread in [`super::thread`] (which staff's page shows too).

use askama::Template;

use crate::domain::bug::{BugState, initials};
use crate::domain::ids::AccountId;
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::bug::page::BugRow;
use crate::store::bug::{BugFilter, Person};
use crate::web::extract::{Member, Query};
use crate::web::fault::{Response, Result};
use crate::web::page::{self, Area, FROM_FILTERS, Filters, Page, clipped, filters};
use crate::web::portal;
use crate::web::ui::names::{component_choices, component_name};
use crate::web::ui::{Choice, Field, Link, Pager, Tag, When, Zone};

pub const PATH: &str = Params::PATH;

#[derive(Debug, Template)]
#[template(path = "members/bug/list.html")]
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
    pub fn new(row: &BugRow, reader: Option<AccountId>, zone: Zone) -> Self {
        Self {
            link: Link::new(format!("{PATH}/{}", row.bug.id), title(row)),
            state: Tag::bug(row.bug.state),
            component: component_name(row.bug.component),
            author: person(row.author.as_ref(), reader, false),
            hits: row.hits,
            replies: row.replies,
            changed: zone.show(row.bug.changed_at),
        }
    }
}

/// A name as a member of `reader` may see it: whole of their own account and of staff, initials of others.
pub fn person(person: Option<&Person>, reader: Option<AccountId>, is_staff: bool) -> String {
    match person {
        None => "Somebody".to_owned(),
        Some(person) if is_staff => format!("{} (staff)", person.name),
        Some(person) if person.account.is_some() && person.account == reader => person.name.clone(),
        Some(person) => initials(&person.name),
    }
}

filters! {
    "/members/bugs", 30, FROM_FILTERS;
    q, state, component, who, before,
}

/// The states a word of the address stands for.
pub(crate) fn states<L: Filters>(word: &str) -> Result<Vec<BugState>> {
    Ok(match word {
        "" => Vec::new(),
        "open" => BugState::ALL
            .iter()
            .copied()
            .filter(|state| state.is_open())
            .collect(),
        word => L::read(word)?.into_iter().collect(),
    })
}

impl Params {
    fn filter(&self, member: &Member) -> Result<BugFilter> {
        let (of, hits) = match self.who.as_str() {
            "" => (None, None),
            "mine" => (Some(member.account), None),
            "hits" => (None, Some(member.actor.user)),
            _ => return Err(Self::unknown()),
        };
        Ok(BugFilter {
            states: states::<Self>(&self.state)?,
            severity: None,
            component: Self::read(&self.component)?,
            of,
            hits,
            text: clipped(&self.q, 200),
            reader: Some(member.account),
        })
    }

    fn fields(&self) -> Vec<Field> {
        let open = Choice::new("open", "Open");
        let each = BugState::ALL.iter();
        let each = each.map(|state| Choice::new(state, Tag::bug(*state).text));
        let states = Choice::any("All", [open].into_iter().chain(each));
        let components = Choice::any("All", component_choices());
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
pub async fn list(member: Member, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let (filter, before) = (asked.filter(&member)?, Params::read(&asked.before)?);
    let rows = portal::read(&member.portal, move |conn| {
        store::bug::page::rows(conn, &filter, before, Params::limit())
    })
    .await?;
    let (rows, pager) = asked.page(rows, |row| row.bug.id.to_string());
    let page = member.page(Area::Bugs, "Bugs");
    let zone = page.zone();
    page::html(&BugsPage {
        filters: asked.fields(),
        filtered: asked.url("") != PATH,
        pager,
        rows: rows
            .iter()
            .map(|row| Line::new(row, Some(member.account), zone))
            .collect(),
        page,
    })
}
