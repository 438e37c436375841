//! `/staff/batches`: those that go on and those that are over, newest first, page by page.

use askama::Template;

use super::show::{PATH, state};
use crate::domain::batch::ItemOutcome;
use crate::domain::ids::BatchId;
use crate::store;
use crate::store::batch::BatchRow;
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, filters};
use crate::web::ui::list::count;
use crate::web::ui::{Link, Pager, Tag, When, Zone};

#[derive(Debug, Template)]
#[template(path = "staff/batch/list.html")]
pub struct BatchesPage {
    pub page: Page,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub state: Tag,
    pub settled: i64,
    pub refused: i64,
    pub in_all: i64,
    pub made_by: String,
    pub made_at: When,
}

filters! { PATH, ROWS, FROM_TABS; before }

fn view(row: &BatchRow, zone: Zone) -> Row {
    let in_all = count(&row.counts, |_| true);
    Row {
        link: Link::new(
            format!("{PATH}/{}", row.batch.id),
            format!("{}: {}", row.batch.id, row.batch.kind.title(in_all)),
        ),
        state: state(row.batch.state),
        settled: count(&row.counts, Option::is_some),
        refused: count(&row.counts, |of| *of == Some(ItemOutcome::Refused)),
        in_all,
        made_by: row.made_by.clone(),
        made_at: zone.precise(row.batch.made_at),
    }
}

/// `GET /staff/batches`
pub async fn list(asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = Params::read::<BatchId>(&asked.before);
    let (staff, rows) = asks
        .read_by(wanted, |conn, before| {
            Ok(store::batch::list(conn, before, Params::limit())?)
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.batch.id.to_string());
    let page = staff.page(Area::Batches, "Batches");
    let zone = page.zone();
    page::html(&BatchesPage {
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        pager,
        page,
    })
}
