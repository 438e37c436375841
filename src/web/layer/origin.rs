//! Requests that change something must come from our own pages. The form token says the same by other means; both must hold.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderName};

use crate::web::settings::Settings;

/// Programs, not browsers, with a credential in a header that no page can send.
fn is_for_programs(path: &str) -> bool {
    path.starts_with("/agent/") || path.starts_with("/v4/") || path.starts_with("/v4beta/")
}

/// Browsers send at least one of the two headers with every POST; a client that sends neither is no browser, and cannot be
/// led here by a foreign page.
pub(in crate::web) fn is_own(request: &ServiceRequest, settings: &Settings) -> bool {
    if request.method().is_safe() || is_for_programs(request.path()) {
        return true;
    }
    let text = |name: HeaderName| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or("unreadable"))
    };
    let site_is_own =
        text(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin");
    let host = text(header::HOST)
        .or_else(|| {
            request
                .uri()
                .authority()
                .map(actix_web::http::uri::Authority::as_str)
        })
        .unwrap_or("");
    site_is_own && text(header::ORIGIN).is_none_or(|origin| settings.is_own_origin(origin, host))
}
