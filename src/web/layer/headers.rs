//! The headers of every answer.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'";

/// For what people attached: no scripts, no origin, nothing loaded.
pub const FILES: &str = "sandbox; default-src 'none'";

/// Sets what is the same everywhere, and `no-store` where the handler named no caching of its own. `same-origin` rather
/// than `no-referrer`: with the latter, browsers send `Origin: null` with our own forms.
pub(in crate::web) fn set(headers: &mut HeaderMap, secure: bool, reference: &str) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ];
    for (name, value) in fixed {
        // A handler may forbid more than pages need: files that people attached are shut in.
        let stricter = name == header::CONTENT_SECURITY_POLICY
            && headers.get(&name).is_some_and(|own| own == FILES);
        if !stricter {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(value) = HeaderValue::from_str(reference) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}
