//! Posted forms: bounded, read in bounded time, with the form token checked before anything else is looked at.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Client;
use super::body::{self, Unread};
use crate::web::bounds::{Bounds, Share, listens};
use crate::web::context::{Context, Typed};
use crate::web::fault::{Fault, Result};

/// Forms here are short texts and lists of ids.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// Others hold all that there is for bodies.
pub(super) const BUSY: Fault = Fault::TooMany { retry_after_s: 10 };

/// A form with nothing but its button.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The one way a handler reads a form. What it holds has `#[serde(deny_unknown_fields)]`, so that a field nobody asked for is
/// refused; only a list may come more than once (checkboxes).
#[derive(Debug)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let is_form = kind.split(';').next().is_some_and(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        let context = crate::web::context::context_of(request);
        if let Ok(context) = &context {
            context.form_begins();
        }
        let share = Bounds::of(request).forms.share(Client::of(request).whose());
        let listening = listens(request);
        Box::pin(async move {
            let context = context?;
            let (body, typed) = read(payload, share, is_form).await;
            drop(listening);
            context.form_ends(typed);
            context.guard_settled().await;
            parse(&context, &body?).map(Self)
        })
    }
}

pub(super) fn parse<T: DeserializeOwned>(context: &Context, body: &str) -> Result<T> {
    if !token(body).is_some_and(|token| context.form_token_is_good(&token)) {
        return Err(Fault::Expired);
    }
    without_token(body).map_err(|fault| {
        tracing::info!(%fault, reference = context.reference(), "a form could not be read");
        Fault::BadRequest(
            "The form has a field that is missing, doubled or not known. Go back, load the page anew, and send it again."
                .to_owned(),
        )
    })
}

/// The body, and what of it may be shown again: of one that is too large its beginning.
async fn read(payload: Payload, mut share: Share, is_form: bool) -> (Result<String>, Typed) {
    let mut bytes = Vec::new();
    let read = body::read_into(payload, MOST_BYTES, &mut share, &mut bytes).await;
    if !is_form {
        return (
            read.map_err(unread).map(|()| String::new()),
            Typed::default(),
        );
    }
    match read {
        Ok(()) => {
            let body = String::from_utf8(bytes)
                .map_err(|_| Fault::BadRequest("The form is not text.".to_owned()));
            let typed = body.as_ref().map(|body| keepable(body));
            let typed = typed.unwrap_or_default();
            (body, typed)
        }
        Err(Unread::TooLarge) => {
            let typed = Typed {
                whole: false,
                ..keepable(&String::from_utf8_lossy(&bytes))
            };
            (Err(Fault::TooLarge), typed)
        }
        Err(why) => (Err(unread(why)), Typed::default()),
    }
}

pub(super) fn unread(why: Unread) -> Fault {
    let words = match why {
        Unread::Late => "The form did not arrive in time. Send it again.",
        Unread::Cut => "The form broke off on its way. Send it again.",
        Unread::TooLarge => return Fault::TooLarge,
        Unread::Busy => return BUSY,
    };
    Fault::BadRequest(words.to_owned())
}

/// A doubled token is none.
pub(super) fn token(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Token {
        csrf: String,
    }
    let token = serde_html_form::from_str::<Token>(body);
    token.ok().map(|token| token.csrf)
}

pub(super) fn without_token<T: DeserializeOwned>(
    body: &str,
) -> Result<T, serde_html_form::de::Error> {
    let pairs = body.split('&').filter(|pair| !pair.starts_with("csrf="));
    serde_html_form::from_str(&pairs.collect::<Vec<_>>().join("&"))
}

/// Fields that are kept of a form: as many as an act on many has, and some.
pub(super) const MOST_KEPT: usize = 1100;

/// What may be shown on a page that says the form has expired, and sent again from there.
pub(super) fn keepable(body: &str) -> Typed {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(body).map(web::Query::into_inner);
    let is_read = pairs.is_ok();
    let mut pairs = pairs.unwrap_or_default();
    pairs.retain(|(name, _)| name != "csrf");
    let all = pairs.len();
    let secret =
        |name: &str| name.contains("password") || name.contains("token") || name.contains("code");
    pairs.retain(|(name, _)| !secret(name));
    pairs.truncate(MOST_KEPT);
    Typed {
        whole: is_read && pairs.len() == all,
        pairs,
        files: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Labels {
        label: String,
        #[serde(default)]
        id: Vec<i64>,
    }

    fn read(body: &str) -> Option<(String, Vec<i64>)> {
        let labels = without_token::<Labels>(body).ok()?;
        Some((labels.label, labels.id))
    }

    #[test]
    fn the_token_is_taken_out_and_lists_are_read() {
        let body = "csrf=a%62c&label=a%26b&id=1&id=2";
        assert_eq!(token(body).unwrap(), "abc");
        assert_eq!(read(body).unwrap(), ("a&b".to_owned(), vec![1, 2]));
        assert_eq!(token("csrf=abc&csrf=def"), None);
        assert_eq!(token(""), None);
    }

    #[test]
    fn doubled_and_unknown_fields_are_refused() {
        assert_eq!(read("label=web-01").unwrap().0, "web-01");
        assert_eq!(read("label=a&label=b"), None);
        assert_eq!(read("label=a&role=staff"), None);
        assert_eq!(read("label=a&c%73rf=b"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn secrets_are_not_kept() {
        let kept = keepable(
            "csrf=x&email=a%40b.test&password=hunter2&new_password=z&comment=long+text&empty=",
        );
        let pairs = [
            ("email", "a@b.test"),
            ("comment", "long text"),
            ("empty", ""),
        ];
        assert_eq!(
            kept.pairs,
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(!kept.whole, "it cannot be sent as it was");
        assert!(keepable("csrf=x&comment=long+text").whole);
        assert!(!keepable(&"id=1&".repeat(MOST_KEPT + 1)).whole);
    }
}
