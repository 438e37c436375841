//! How a request is read. Own extractors, so that what cannot be read gets the portal's error page and never a bare text,
//! and so that no handler can forget the form token.

pub mod body;
mod client;
mod form;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod hidden;
mod signed;
mod upload;

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use super::fault::{Fault, Result};
use super::page::UNREADABLE;

pub use client::Client;
pub use form::{Form, Nothing};
pub use hidden::{ids, once, once_or, parse_seen, seen};
pub use signed::{Asks, Member, Signed, Staff, needs};
pub use upload::{Sent, Upload};

/// What an `Authorization: Bearer …` has, if it may be a credential: none is empty, or longer than 200 bytes.
pub fn bearer(request: &HttpRequest) -> Option<&str> {
    request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|credential| !credential.is_empty() && credential.len() <= 200)
}

/// Parts of the path. What does not parse names no page.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let inner = actix_web::web::Path::<T>::from_request(request, payload);
        Box::pin(async move {
            inner
                .await
                .map(|path| Self(path.into_inner()))
                .map_err(|_| Fault::NotFound)
        })
    }
}

/// The query. A parameter given twice or one that does not parse is a 400; one that is not known is ignored, as links
/// from mail and elsewhere grow their own.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = Fault;
    type Future = std::future::Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let parsed = actix_web::web::Query::<T>::from_query(request.query_string());
        std::future::ready(
            parsed
                .map(|query| Self(query.into_inner()))
                .map_err(|_| Fault::BadRequest(UNREADABLE.to_owned())),
        )
    }
}
