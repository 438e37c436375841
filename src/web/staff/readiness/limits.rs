//! `/staff/readiness/limits`: what the beta must come up to.

use askama::Template;
use serde::Deserialize;

use crate::domain::readiness::verdict::{Limits, NAMED};
use crate::store;
use crate::web::extract::{self, Form, Staff, parse_seen};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::ui::{Field, Problems};

const PATH: &str = "/staff/readiness/limits";

#[derive(Debug, Template)]
#[template(path = "staff/readiness/limits.html")]
pub struct LimitsPage {
    pub page: Page,
    pub seen: String,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsForm {
    /// Microseconds of the last change that the form showed; empty if there was none.
    #[serde(default)]
    seen: String,
    moves_least: String,
    reached_least_percent: String,
    serious_bugs_most: String,
    down_median_most_s: String,
    down_p90_most_s: String,
    unfair_hosts_most: String,
    went_back_most_percent: String,
    failed_jobs_most: String,
    silent_hosts_most: String,
}

impl LimitsForm {
    /// In the order of [`NAMED`].
    fn texts(&self) -> [&str; 9] {
        [
            &self.moves_least,
            &self.reached_least_percent,
            &self.serious_bugs_most,
            &self.down_median_most_s,
            &self.down_p90_most_s,
            &self.unfair_hosts_most,
            &self.went_back_most_percent,
            &self.failed_jobs_most,
            &self.silent_hosts_most,
        ]
    }

    fn parse(&self) -> Result<Limits, Problems> {
        let mut problems = Problems::default();
        let mut values = [0; 9];
        for ((value, text), (name, label, _)) in values.iter_mut().zip(self.texts()).zip(NAMED) {
            let number = text.trim().parse();
            let number = number.map_err(|_| format!("Enter a whole number for “{label}”"));
            *value = problems.take(name, number).unwrap_or(0);
        }
        if problems.is_empty() {
            Ok(Limits::from(values))
        } else {
            Err(problems)
        }
    }
}

async fn present(staff: &Staff, typed: Option<LimitsForm>, problems: Problems) -> Response {
    let (seen, texts) = if let Some(form) = typed {
        (form.seen.clone(), form.texts().map(str::to_owned))
    } else {
        let (limits, seen) = portal::read(&staff.portal, store::readiness::limits).await?;
        (
            extract::seen(seen),
            limits.values().map(|it| it.to_string()),
        )
    };
    let page = staff
        .page(Area::Readiness, "Limits")
        .crumb("Readiness", "/staff/readiness")
        .problems(problems);
    let fields = NAMED.into_iter().zip(texts);
    let fields = fields.map(|((name, label, _), text)| Field::number(name, label).value(text));
    let view = LimitsPage {
        fields: page.problems.on(fields),
        seen,
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /staff/readiness/limits`
pub async fn show(staff: Staff) -> Response {
    present(&staff, None, Problems::default()).await
}

/// `POST /staff/readiness/limits`
pub async fn save(staff: Staff, form: Form<LimitsForm>) -> Response {
    let limits = match form.0.parse() {
        Ok(limits) => limits,
        Err(problems) => return present(&staff, Some(form.0), problems).await,
    };
    let seen = parse_seen(&form.0.seen);
    let saved = staff.submit(move |app, actor| app.set_readiness_limits(actor, &limits, seen));
    match saved.await {
        Ok(Ok(())) => page::said("/staff/readiness", "The limits are saved."),
        Ok(Err(problems)) => present(&staff, Some(form.0), problems).await,
        Err(fault) => Err(fault.at(PATH, "Look at the limits again")),
    }
}
