//! Which requests a route takes, and of staff's what whoever sends them has to be allowed.

use actix_web::web::{post, route};
use actix_web::{Route, guard};

use super::extract::needs;
use crate::domain::account::Right;

/// GET, and HEAD as the same without its body (which the server leaves out).
pub(super) fn get() -> Route {
    route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// As [`get`], of staff who have this right.
pub(super) fn get_by(right: Right) -> Route {
    get().guard(needs(right))
}

/// As `post`, of staff who have this right.
pub(super) fn post_by(right: Right) -> Route {
    post().guard(needs(right))
}
