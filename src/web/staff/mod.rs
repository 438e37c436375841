//! Staff's pages: review, configure, watch, mend. To anyone else they do not exist. Every number links to its list, and
//! filters, state and page of a list live in its address.

pub mod account;
pub mod audit;
pub mod batch;
pub mod bug;
pub mod dashboard;
pub mod evacuation;
pub mod fairness;
pub mod faq;
pub mod graduation;
pub mod host;
pub mod job;
pub mod linode;
pub mod mail;
pub mod migration;
pub mod ownership;
pub mod placement;
pub mod programme;
pub mod readiness;
pub mod registration;
pub mod routes;
pub mod wave;

use super::ui::Tag;

/// A status with its place in a list.
#[derive(Debug)]
pub struct Counted {
    pub url: String,
    pub label: String,
    pub count: i64,
    /// A number that should not be there.
    pub is_bad: bool,
}

/// `GET /staff`
pub async fn to_dashboard() -> actix_web::HttpResponse {
    crate::web::page::moved("/staff/")
}

/// Silent, seen, or never heard of.
pub fn heard(host: &crate::store::host::Host, now: crate::domain::time::Time) -> Tag {
    use crate::app::host::liveness::SILENT_S;
    use crate::web::ui::Tone;
    match host.last_seen_at.map(|at| now.seconds_since(at)) {
        None => Tag::new("Not enrolled", Tone::Plain),
        Some(seconds) if seconds > SILENT_S => Tag::new("Silent", Tone::Bad),
        Some(_) => Tag::new("Answers", Tone::Good),
    }
}
