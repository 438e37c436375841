//! From the plan to offers: the plan that staff saw, made anew and carried out in the background.

use serde::Deserialize;

use super::shared::Params;
use super::what_if;
use crate::web::extract::{Form, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Filters};
use crate::web::portal;
use crate::web::ui::Problems;

/// What the page showed, and which plan that was.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferForm {
    once: String,
    seen: String,
    #[serde(default)]
    plan: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    without: String,
    #[serde(default)]
    spare: String,
}

/// `POST /staff/plan`
pub async fn make(staff: Staff, form: Form<OfferForm>) -> Response {
    let OfferForm {
        once,
        seen,
        plan,
        q,
        without,
        spare,
    } = form.0;
    let asked = Params {
        plan,
        q,
        without,
        spare,
        ..Params::default()
    };
    let back_url = asked.url("");
    let hosts = portal::read(&staff.portal, crate::store::host::all).await?;
    let mut problems = Problems::default();
    let what = what_if::read(&asked, &hosts, &mut problems)?;
    let made = staff.act(move |app, actor| app.offer_plan(actor, &what, (&seen, &once)));
    let batch = made
        .await
        .map_err(|fault| fault.at(back_url, "Look at the plan again"))?;
    Ok(page::see_other(&format!("/staff/batches/{batch}")))
}
