//! `/staff/bugs`: the threads to triage, by state, page by page, as CSV; one of them in [`super::thread`], what
//! is hidden of it in [`super::moderation`].

use askama::Template;

use crate::domain::bug::BugState;
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::bug::BugFilter;
use crate::store::bug::page::BugRow;
use crate::web::csv::{self, unformula};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::{Response, Result};
use crate::web::members::bug::list::states;
use crate::web::page::{self, Area, FROM_FILTERS, Filters, Page, ROWS, clipped, filters};
use crate::web::ui::list::{StateTab, count};
use crate::web::ui::names::{component_choices, component_name, severity_choices};
use crate::web::ui::{Choice, Field, Link, Pager, Tag, When, Zone};

pub const PATH: &str = Params::PATH;

#[derive(Debug, Template)]
#[template(path = "staff/bug/list.html")]
pub struct BugsPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    pub filters: Vec<Field>,
    pub state: String,
    pub csv_url: String,
    pub count: i64,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    /// From members.
    pub hidden: bool,
    pub state: Tag,
    pub severity: Tag,
    pub component: &'static str,
    pub author: String,
    pub hits: i64,
    pub replies: i64,
    pub opened: When,
    pub changed: When,
}

filters! {
    "/staff/bugs", ROWS, FROM_FILTERS;
    state, q, severity, component, before,
}

impl Params {
    fn filter(&self) -> Result<BugFilter> {
        // What staff come for: what is open.
        let state = match self.state.as_str() {
            "" => "open",
            "all" => "",
            state => state,
        };
        Ok(BugFilter {
            states: states::<Self>(state)?,
            severity: Self::read(&self.severity)?,
            component: Self::read(&self.component)?,
            of: None,
            hits: None,
            text: clipped(&self.q, 200),
            reader: None,
        })
    }

    fn fields(&self) -> Vec<Field> {
        let severities = Choice::any("All", severity_choices());
        let components = Choice::any("All", component_choices());
        vec![
            Field::text("q", "Words, person, account or Linode").value(&self.q),
            Field::select("severity", "Severity", severities).value(&self.severity),
            Field::select("component", "Part", components).value(&self.component),
        ]
    }
}

fn tabs(current: &str, counts: &[(BugState, i64)]) -> Vec<StateTab> {
    let tab = |word: &str, label: &str, count: i64| {
        let url = match word {
            "open" => PATH.to_owned(),
            word => format!("{PATH}?state={word}"),
        };
        let current = current == word || (current.is_empty() && word == "open");
        StateTab::new(url, label, count, current)
    };
    let mut tabs = vec![tab("open", "Open", count(counts, |of| of.is_open()))];
    tabs.extend(BugState::ALL.iter().map(|state| {
        let count = count(counts, |of| of == state);
        tab(state.as_str(), &Tag::bug(*state).text, count)
    }));
    tabs.push(tab("all", "All", count(counts, |_| true)));
    tabs
}

fn view(row: &BugRow, zone: Zone) -> Row {
    Row {
        link: Link::new(
            format!("{PATH}/{}", row.bug.id),
            format!("{}: {}", row.bug.id, row.bug.title),
        ),
        hidden: row.bug.hidden_at.is_some(),
        state: Tag::bug(row.bug.state),
        severity: Tag::severity(row.bug.severity),
        component: component_name(row.bug.component),
        author: row
            .author
            .as_ref()
            .map(|author| author.name.clone())
            .unwrap_or_default(),
        hits: row.hits,
        replies: row.replies,
        opened: zone.show(row.bug.opened_at),
        changed: zone.show(row.bug.changed_at),
    }
}

/// `GET /staff/bugs`
pub async fn list(asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = asked
        .filter()
        .and_then(|it| Ok((it, Params::read(&asked.before)?)));
    let (staff, (rows, count, counts)) = asks
        .read_by(wanted, |conn, (filter, before)| {
            let rows = store::bug::page::rows(conn, &filter, before, Params::limit())?;
            Ok((
                rows,
                store::bug::count(conn, &filter)?,
                store::bug::counts(conn)?,
            ))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.bug.id.to_string());
    let page = staff.page(Area::StaffBugs, "Bugs");
    let zone = page.zone();
    page::html(&BugsPage {
        tabs: tabs(&asked.state, &counts),
        filters: asked.fields(),
        csv_url: asked.csv_url(),
        count,
        pager,
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        state: asked.state,
        page,
    })
}

/// `GET /staff/bugs.csv`: exactly what the list's filters find.
pub async fn csv(staff: Staff, asked: Query<Params>) -> Response {
    let filter = asked.0.filter()?;
    let names = [
        "bug",
        "title",
        "state",
        "severity",
        "part",
        "duplicate_of",
        "opened_by",
        "hits",
        "replies",
        "opened_utc",
        "changed_utc",
        "hidden",
    ];
    csv::list(
        staff.portal.clone(),
        "bugs.csv",
        &names,
        move |conn, before| {
            let rows = store::bug::page::rows(conn, &filter, before, csv::PAGE)?;
            Ok(csv::Part::of(&rows, |row| row.bug.id, record))
        },
    )
    .await
}

fn record(row: &BugRow) -> csv::Record {
    let author = row.author.as_ref().map(|author| author.name.as_str());
    vec![
        row.bug.id.to_string(),
        unformula(&row.bug.title),
        row.bug.state.to_string(),
        row.bug.severity.to_string(),
        row.bug.component.to_string(),
        row.bug
            .duplicate_of
            .map(|id| id.to_string())
            .unwrap_or_default(),
        unformula(author.unwrap_or_default()),
        row.hits.to_string(),
        row.replies.to_string(),
        csv::time(row.bug.opened_at),
        csv::time(row.bug.changed_at),
        row.bug.hidden_at.map_or("", |_| "yes").to_owned(),
    ]
}
