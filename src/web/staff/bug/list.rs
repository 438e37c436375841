//! `/staff/bugs`: the threads to triage, by state, page by page, as CSV; one of them in [`super::thread`], what
//! is hidden of it in [`super::moderation`].

use askama::Template;
use serde::Deserialize;

use crate::domain::bug::{BugState, Component, Severity};
use crate::domain::string_enum::Word;
use crate::store;
use crate::store::bug::BugFilter;
use crate::store::bug::page::BugRow;
use crate::web::csv::{self, unformula};
use crate::web::extract::{Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::members::Link;
use crate::web::members::bug::list::{component_choices, component_name, key, states, word};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::list::{ROWS, StateTab, cut, query};
use crate::web::ui::{Choice, Field, Pager, Tag, When, Zone};

pub const PATH: &str = "/staff/bugs";

#[derive(Debug, Template)]
#[template(path = "staff/bugs.html")]
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

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    component: String,
    #[serde(default)]
    before: String,
}

impl Asked {
    fn filter(&self) -> Result<BugFilter, Fault> {
        // What staff come for: what is open.
        let state = match self.state.as_str() {
            "" => "open",
            "all" => "",
            state => state,
        };
        Ok(BugFilter {
            states: states(state)?,
            severity: word::<Severity>(&self.severity)?,
            component: word::<Component>(&self.component)?,
            of: None,
            hits: None,
            text: self.q.trim().chars().take(200).collect(),
            reader: None,
        })
    }

    fn url(&self, path: &str, before: &str) -> String {
        let pairs = [
            ("state", self.state.clone()),
            ("q", self.q.trim().to_owned()),
            ("severity", self.severity.clone()),
            ("component", self.component.clone()),
            ("before", before.to_owned()),
        ];
        format!("{path}{}", query(&pairs))
    }

    fn fields(&self) -> Vec<Field> {
        let mut severities = vec![Choice::new("", "All")];
        severities.extend(severity_choices());
        let mut components = vec![Choice::new("", "All")];
        components.extend(component_choices());
        vec![
            Field::text("q", "Words").value(&self.q),
            Field::select("severity", "Severity", severities).value(&self.severity),
            Field::select("component", "Part", components).value(&self.component),
        ]
    }
}

#[must_use]
pub fn severity_choices() -> Vec<Choice> {
    Severity::ALL
        .iter()
        .map(|it| Choice::new(it, Tag::severity(*it).text))
        .collect()
}

fn tabs(current: &str, counts: &[(BugState, i64)]) -> Vec<StateTab> {
    let count = |which: &dyn Fn(BugState) -> bool| {
        counts
            .iter()
            .filter(|(state, _)| which(*state))
            .map(|(_, count)| *count)
            .sum()
    };
    let tab = |word: &str, label: String, count: i64| StateTab {
        url: if word == "open" {
            PATH.to_owned()
        } else {
            format!("{PATH}?state={word}")
        },
        label,
        count,
        current: current == word || (current.is_empty() && word == "open"),
    };
    let mut tabs = vec![tab("open", "Open".to_owned(), count(&BugState::is_open))];
    tabs.extend(BugState::ALL.iter().map(|state| {
        tab(
            state.as_str(),
            Tag::bug(*state).text,
            count(&|of| of == *state),
        )
    }));
    tabs.push(tab("all", "All".to_owned(), count(&|_| true)));
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
        opened: zone.show(row.bug.opened_at.utc()),
        changed: zone.show(row.bug.changed_at.utc()),
    }
}

/// `GET /staff/bugs`
pub async fn list(portal: Portal, staff: Staff, asked: Query<Asked>) -> Response {
    let asked = asked.0;
    let (filter, before) = (asked.filter()?, key(&asked.before)?);
    let limit = i64::try_from(ROWS).unwrap_or(100) + 1;
    let (rows, count, counts) = portal::read(&portal, move |conn| {
        let rows = store::bug::page::rows(conn, &filter, before, limit)?;
        Ok((
            rows,
            store::bug::count(conn, &filter)?,
            store::bug::counts(conn)?,
        ))
    })
    .await?;
    let (rows, more) = cut(rows);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| asked.url(PATH, &last.bug.id.to_string()));
    let page = staff.page(Area::StaffBugs, "Bugs");
    let zone = page.zone();
    page::html(&BugsPage {
        tabs: tabs(&asked.state, &counts),
        filters: asked.fields(),
        csv_url: asked.url("/staff/bugs.csv", ""),
        count,
        pager: Pager {
            first: (!asked.before.is_empty()).then(|| asked.url(PATH, "")),
            next,
        },
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        state: asked.state,
        page,
    })
}

/// `GET /staff/bugs.csv`: exactly what the list's filters find.
pub async fn csv(portal: Portal, _staff: Staff, asked: Query<Asked>) -> Response {
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
    csv::list(portal, "bugs.csv", &names, move |conn, before| {
        let rows = store::bug::page::rows(conn, &filter, before, csv::PAGE)?;
        Ok(csv::Part::of(&rows, |row| row.bug.id, record))
    })
    .await
}

fn record(row: &BugRow) -> csv::Record {
    let time = |at: crate::domain::time::Time| at.utc().format("%Y-%m-%dT%H:%M:%SZ").to_string();
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
        time(row.bug.opened_at),
        time(row.bug.changed_at),
        if row.bug.hidden_at.is_some() {
            "yes"
        } else {
            ""
        }
        .to_owned(),
    ]
}
