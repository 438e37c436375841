//! How a handler answers: with a page, or with the address of one.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use super::flash::Flash;
use crate::web::fault::{Fault, Response};

/// 200 with the page.
pub fn html(page: &impl Template) -> Response {
    html_status(StatusCode::OK, page)
}

/// A page with another status: a form shown again is 422, an error page its error.
pub fn html_status(status: StatusCode, page: &impl Template) -> Response {
    let body = page.render().map_err(Fault::internal)?;
    Ok(HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(body))
}

/// A form that was sent, shown again with what is wrong, or a list of what could not be done.
pub fn refused(page: &impl Template) -> Response {
    html_status(StatusCode::UNPROCESSABLE_ENTITY, page)
}

/// The answer to a POST that was done: go and look at `url`.
pub fn see_other(url: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, url))
        .finish()
}

/// An old or shorter address of `url`.
pub fn moved(url: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, url))
        .finish()
}

/// … and say this there, once.
pub fn see_other_saying(url: &str, flash: Flash) -> HttpResponse {
    let mut answer = see_other(url);
    answer.extensions_mut().insert(flash);
    answer
}

/// The answer to a POST that went well: `words` at `url`, once.
pub fn said(url: &str, words: impl Into<String>) -> Response {
    Ok(see_other_saying(url, Flash::good(words)))
}

/// Is this a path of this site, safe to redirect to? Only plain path and query characters: no scheme, `//` or backslash
/// gets through, and nothing percent-encoded in front of the query.
pub fn own_path(next: &str) -> Option<&str> {
    let (path, query) = next.split_once('?').unwrap_or((next, ""));
    let of = |text: &str, more: &[u8]| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    (of(path, b"/-_.")
        && of(query, b"/-_.?=&%+")
        && next.starts_with('/')
        && !next.contains("//")
        && !next.contains("..")
        && next.len() <= 300)
        .then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_here() {
        for fine in [
            "/",
            "/members/",
            "/members/linodes/12/migrate?when=now&x=1",
            "/members/faq?q=a%26b+c",
        ] {
            assert_eq!(own_path(fine), Some(fine));
        }
        for foul in [
            "",
            "//evil.test",
            "/\\evil.test",
            "https://evil.test",
            "members",
            "/%2fevil.test",
            "/%5cevil.test",
            "/a//b",
            "/a\r\nSet-Cookie: x",
            "/../x",
            "javascript:alert(1)",
            "/@evil.test:80",
        ] {
            assert_eq!(own_path(foul), None, "{foul}");
        }
    }
}
