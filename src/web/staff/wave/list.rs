//! `/staff/waves`: all of them, by state, newest first, page by page, and as CSV.

use askama::Template;

use super::shared::{PATH, kind_words, state};
use crate::domain::account::Right;
use crate::domain::string_enum::StringEnum;
use crate::domain::wave::{Stage, WaveState};
use crate::store;
use crate::store::wave::list::WaveRow;
use crate::web::csv::{self, unformula};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, filters};
use crate::web::portal::Portal;
use crate::web::ui::list::{StateTab, count, query};
use crate::web::ui::{Action, Link, Pager, Tag, When, Zone};

#[derive(Debug, Template)]
#[template(path = "staff/wave/list.html")]
pub struct WavesPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    pub actions: Vec<Action>,
    pub csv_url: String,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub kind: &'static str,
    pub state: Tag,
    pub why: String,
    pub in_all: i64,
    pub out: i64,
    pub done: i64,
    pub failed: i64,
    pub made_by: String,
    pub made_at: When,
}

filters! { PATH, ROWS, FROM_TABS; state, before }

fn is_bad(of: Stage) -> bool {
    matches!(of, Stage::Failed | Stage::WentBack)
}

fn view(row: &WaveRow, zone: Zone) -> Row {
    Row {
        link: Link::new(format!("{PATH}/{}", row.wave.id), row.wave.name.clone()),
        kind: kind_words(row.wave.kind),
        state: state(row.wave.state),
        why: row.wave.why.clone(),
        in_all: row.counts.in_all(),
        out: row.counts.of(Stage::is_out),
        done: row.counts.of(|of| of == Stage::Done),
        failed: row.counts.of(is_bad),
        made_by: row.made_by.clone(),
        made_at: zone.precise(row.wave.made_at),
    }
}

/// `GET /staff/waves`
pub async fn list(asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted =
        Params::read(&asked.state).and_then(|state| Ok((state, Params::read(&asked.before)?)));
    let (staff, (rows, counts)) = asks
        .read_by(wanted, |conn, (state, before)| {
            Ok((
                store::wave::list::waves(conn, state, before, Params::limit())?,
                store::wave::counts(conn)?,
            ))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.wave.id.to_string());
    let page = staff.page(Area::Waves, "Waves");
    let zone = page.zone();
    let is_paused = staff.context.attention().moves_paused_at.is_some();
    let may = page.may(Right::Moves);
    page::html(&WavesPage {
        tabs: tabs(&asked.state, &counts),
        actions: Action::those([
            (may, Action::ask(format!("{PATH}/new"), "Make a wave…")),
            (
                may && !is_paused,
                Action::ask(format!("{PATH}/pause"), "Pause all moves…").second(),
            ),
        ]),
        csv_url: asked.csv_url(),
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        pager,
        page,
    })
}

fn tabs(current: &str, counts: &[(WaveState, i64)]) -> Vec<StateTab> {
    let tab = |word: &str, label: &str, count: i64| {
        let url = format!("{PATH}{}", query(&[("state", word)]));
        StateTab::new(url, label, count, current == word)
    };
    let states = WaveState::ALL.iter().map(|it| {
        let count = count(counts, |of| of == it);
        tab(it.as_str(), &state(*it).text, count)
    });
    std::iter::once(tab("", "All", count(counts, |_| true)))
        .chain(states)
        .collect()
}

/// `GET /staff/waves.csv`: exactly what the list's filters find.
pub async fn csv(portal: Portal, _staff: Staff, asked: Query<Params>) -> Response {
    let state = Params::read(&asked.0.state)?;
    let names = [
        "wave",
        "name",
        "kind",
        "state",
        "why",
        "linodes",
        "out",
        "moved",
        "failed_or_went_back",
        "made_by",
        "made_utc",
    ];
    csv::list(portal, "waves.csv", &names, move |conn, before| {
        let rows = store::wave::list::waves(conn, state, before, csv::PAGE)?;
        Ok(csv::Part::of(&rows, |row| row.wave.id, record))
    })
    .await
}

fn record(row: &WaveRow) -> csv::Record {
    vec![
        row.wave.id.to_string(),
        unformula(&row.wave.name),
        row.wave.kind.to_string(),
        row.wave.state.to_string(),
        unformula(&row.wave.why),
        row.counts.in_all().to_string(),
        row.counts.of(Stage::is_out).to_string(),
        row.counts.of(|of| of == Stage::Done).to_string(),
        row.counts.of(is_bad).to_string(),
        unformula(&row.made_by),
        csv::time(row.wave.made_at),
    ]
}
