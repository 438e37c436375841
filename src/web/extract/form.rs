//! Posted forms: bounded, read in bounded time, with the form token checked before anything else is looked at.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::web::context::Context;
use crate::web::fault::Fault;

/// Forms here are short texts and lists of ids.
pub(super) const MOST_BYTES: usize = 64 * 1024;
const MOST_TIME: Duration = Duration::from_secs(15);

/// What a form holds. Give it `#[serde(deny_unknown_fields)]`, so that a field nobody asked for is refused.
pub trait FormData: DeserializeOwned + 'static {
    /// Fields that may come more than once (checkboxes); they arrive as one text, separated by commas.
    const MANY: &'static [&'static str] = &[];
}

/// A form with nothing but its button.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}
impl FormData for Nothing {}

/// The one way a handler reads a form.
#[derive(Debug)]
pub struct Form<T>(pub T);

impl<T: FormData> FromRequest for Form<T> {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Fault>>>>;

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
        Box::pin(async move {
            let context = context?;
            let body = tokio::time::timeout(MOST_TIME, read(payload)).await;
            let body = body.unwrap_or_else(|_| {
                Err(Fault::BadRequest(
                    "The form did not arrive in time. Send it again.".to_owned(),
                ))
            });
            let body = body.map(|body| if is_form { body } else { String::new() });
            context.form_ends(body.as_ref().map(|body| keepable(body)).unwrap_or_default());
            context.guard_settled().await;
            parse(&context, &body?).map(Self)
        })
    }
}

pub(super) fn parse<T: FormData>(context: &Context, body: &str) -> Result<T, Fault> {
    let (token, rest) = split(body, T::MANY);
    if !token.is_some_and(|token| context.form_token_is_good(&token)) {
        return Err(Fault::Expired);
    }
    let parsed = web::Query::<T>::from_query(&rest);
    parsed.map(web::Query::into_inner).map_err(|fault| {
        tracing::info!(%fault, reference = context.reference(), "a form could not be read");
        Fault::BadRequest(
            "The form has a field that is missing, doubled or not known. Go back, load the page anew, and send it again."
                .to_owned(),
        )
    })
}

async fn read(mut payload: Payload) -> Result<String, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            Fault::BadRequest("The form broke off on its way. Send it again.".to_owned())
        })?;
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(Fault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| Fault::BadRequest("The form is not text.".to_owned()))
}

/// Takes the token out, and joins what may come more than once. A doubled token is none.
fn split(body: &str, many: &[&'static str]) -> (Option<String>, String) {
    let mut tokens = Vec::new();
    let mut lists: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut rest: Vec<String> = Vec::new();
    for pair in body.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "csrf" {
            tokens.push(value.to_owned());
        } else if let Some(known) = many.iter().find(|known| **known == name) {
            match lists.iter_mut().find(|(listed, _)| listed == known) {
                Some((_, values)) => values.push(value),
                None => lists.push((known, vec![value])),
            }
        } else {
            rest.push(pair.to_owned());
        }
    }
    rest.extend(
        lists
            .into_iter()
            .map(|(name, values)| format!("{name}={}", values.join("%2C"))),
    );
    let token = if tokens.len() == 1 {
        tokens.pop().and_then(|token| decode(&token))
    } else {
        None
    };
    (token, rest.join("&"))
}

/// Percent-decodes one value.
fn decode(value: &str) -> Option<String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(&format!("v={value}")).ok()?;
    pairs.into_inner().pop().map(|(_, value)| value)
}

/// What may be shown again on a page that says the form has expired.
pub(super) fn keepable(body: &str) -> Vec<(String, String)> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(body)
        .map(web::Query::into_inner)
        .unwrap_or_default();
    let secret = |name: &str| {
        name == "csrf"
            || name.contains("password")
            || name.contains("token")
            || name.contains("code")
    };
    pairs
        .into_iter()
        .filter(|(name, value)| !secret(name) && !value.is_empty())
        .take(40)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_taken_out_and_lists_are_joined() {
        assert_eq!(
            split("csrf=a%62c&label=a%26b&id=1&id=2", &["id"]),
            (Some("abc".into()), "label=a%26b&id=1%2C2".into())
        );
        assert_eq!(split("csrf=abc&csrf=def", &[]), (None, String::new()));
        assert_eq!(split("", &[]), (None, String::new()));
    }

    #[test]
    fn doubled_and_unknown_fields_are_refused() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Label {
            label: String,
        }
        let read = |text: &str| {
            web::Query::<Label>::from_query(text).map(|label| label.into_inner().label)
        };
        assert_eq!(read("label=web-01").unwrap(), "web-01");
        assert!(read("label=a&label=b").is_err());
        assert!(read("label=a&role=staff").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn secrets_are_not_kept() {
        let kept = keepable(
            "csrf=x&email=a%40b.test&password=hunter2&new_password=z&comment=long+text&empty=",
        );
        assert_eq!(
            kept,
            [
                ("email".to_owned(), "a@b.test".to_owned()),
                ("comment".to_owned(), "long text".to_owned())
            ]
        );
    }
}
