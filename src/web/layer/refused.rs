//! What is refused is counted for the trail: forms of other sites and sessions, what comes too often, agents without a good
//! credential or token, staff whose role does not allow it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::app::App;
use crate::domain::audit::Action;
use crate::web::context::context_of;
use crate::web::extract::Client;
use crate::web::fault::Fault;

/// As an answer says it, before a fault becomes a page.
pub(super) fn note(request: &HttpRequest, answer: &HttpResponse) {
    let fault = answer.error().and_then(|error| error.as_error::<Fault>());
    let is_agents = request.path().starts_with("/agent/");
    let action = match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => Action::TooMany,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if is_agents => Action::AgentRefused,
        _ if matches!(fault, Some(Fault::Expired)) => Action::FormRefused,
        _ if matches!(fault, Some(Fault::Right { .. })) => Action::RightRefused,
        _ => return,
    };
    count(request, action);
}

pub(super) fn count(request: &HttpRequest, action: Action) {
    let Some(app) = request.app_data::<web::Data<App>>() else {
        return;
    };
    let route = request.match_pattern();
    let mut asked = format!("{} {}", request.method(), route.as_deref().unwrap_or("-"));
    if action == Action::RightRefused
        && let Some(viewer) = context_of(request).ok().and_then(|it| it.viewer())
    {
        asked = format!("{asked}, by {}", viewer.email);
    }
    app.note_refusal(action, &Client::of(request).address.to_string(), &asked);
}
