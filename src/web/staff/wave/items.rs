//! `/staff/waves/{id}/items.csv`: a wave's Linodes, each with what became of it; and the button that lets one out.

use serde::Deserialize;

use super::shared::{PATH, stage_words};
use super::show::Params;
use crate::domain::ids::{LinodeId, WaveId};
use crate::store;
use crate::store::wave::list::ItemRow;
use crate::web::csv::{self, unformula};
use crate::web::extract::{Form, Path, Query, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Filters};
use crate::web::portal::{self, Portal};

/// `GET /staff/waves/{id}/items.csv`: exactly what the list's filters find.
pub async fn csv(portal: Portal, _staff: Staff, id: Path<i64>, asked: Query<Params>) -> Response {
    let id = WaveId(id.0);
    let state = Params::read(&asked.0.show)?;
    portal::find(&portal, move |conn| store::wave::wave(conn, id)).await?;
    let names = [
        "place",
        "linode",
        "label",
        "account",
        "stage",
        "why",
        "given_utc",
        "migration",
        "migration_state",
    ];
    csv::list(portal, "wave.csv", &names, move |conn, after| {
        let rows = store::wave::list::items(conn, (id, state), after, csv::PAGE)?;
        Ok(csv::Part::of(&rows, |row| row.place, record))
    })
    .await
}

fn record(row: &ItemRow) -> csv::Record {
    vec![
        row.place.to_string(),
        row.linode.to_string(),
        unformula(&row.label),
        unformula(&row.account),
        stage_words(row.stage()).to_owned(),
        unformula(&row.why),
        row.given_at.map(csv::time).unwrap_or_default(),
        row.migration.map(|id| id.to_string()).unwrap_or_default(),
        row.migration_state
            .map(|state| state.to_string())
            .unwrap_or_default(),
    ]
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkipForm {
    linode: i64,
}

/// `POST /staff/waves/{id}/skip`
pub async fn skip(portal: Portal, staff: Staff, id: Path<i64>, form: Form<SkipForm>) -> Response {
    let (url, linode) = (format!("{PATH}/{}", id.0), LinodeId(form.0.linode));
    staff
        .act(&portal, move |app, actor| {
            app.skip_in_wave(actor, WaveId(id.0), linode)
        })
        .await
        .map_err(|fault| fault.at(url.clone(), "Back to the wave"))?;
    page::said(&url, "It does not go in this wave.")
}
