//! The outermost layer: gives the request its context, refuses foreign posts, turns faults and panics into pages, and sets
//! headers and cookies.

use actix_web::ResponseError;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};
use futures_util::stream::unfold;
use futures_util::{FutureExt, StreamExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error_page::error_page;
use super::{headers, origin, refused};
use crate::domain::audit::Action;
use crate::web::bounds::{Busy, Visit};
use crate::web::context::{Context, cookie_names};
use crate::web::fault::Fault;
use crate::web::page::{Flash, own_path};
use crate::web::settings::Settings;
use crate::web::v4;

/// What is not itself in the query of an address that names an address.
const IN_NEXT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.');

/// To be given to `from_fn`, outside of everything but compression.
///
/// # Errors
/// Only after a panic, with a whole answer inside: the request is gone then.
pub async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let settings = request
        .app_data::<web::Data<Settings>>()
        .map(|settings| settings.get_ref().clone())
        .unwrap_or_default();
    let context = context_for(&request, &settings);
    request.extensions_mut().insert(context.clone());
    let visit = request.request().conn_data::<Arc<Visit>>();
    let busy = visit.map(|visit| visit.answers(length(&request)));
    let method = request.method().clone();

    if let Some(mut answer) = barred(&request, &context, &settings) {
        finish(&mut answer, &context, &settings);
        return Ok(request.into_response(answer));
    }
    let path_and_query = request
        .uri()
        .path_and_query()
        .map_or("/", |whole| whole.as_str())
        .to_owned();
    let Ok(answered) = AssertUnwindSafe(next.call(request)).catch_unwind().await else {
        tracing::error!(reference = context.reference(), "a handler panicked");
        let mut answer = answer_fault(
            &context,
            &Fault::internal("panic"),
            &method,
            &path_and_query,
        );
        finish(&mut answer, &context, &settings);
        return Err(InternalError::from_response("panic", answer).into());
    };
    let response = match answered {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => {
            let mut answer = HttpResponse::from_error(error);
            finish(&mut answer, &context, &settings);
            return Err(InternalError::from_response("refused", answer).into());
        }
    };
    let (request, mut answer) = response.into_parts();
    refused::note(&request, &answer);
    let fault = answer.error().and_then(|error| error.as_error::<Fault>());
    if let Some(fault) = fault {
        answer = answer_fault(&context, fault, &method, &path_and_query);
    } else if is_bare_error(&answer) {
        let status = answer.status();
        answer = page_answer(&context, status, (None, "/"));
    }
    finish(&mut answer, &context, &settings);
    tracing::info!(
        reference = context.reference(), %method, route = request.match_pattern().as_deref().unwrap_or("-"),
        status = answer.status().as_u16(), ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), "request"
    );
    Ok(ServiceResponse::new(
        request,
        answer.map_body(|_, body| while_sent(body, busy)),
    ))
}

/// Of its body, as far as it is said.
fn length(request: &ServiceRequest) -> u64 {
    let said = request.headers().get(header::CONTENT_LENGTH);
    let said = said.and_then(|said| said.to_str().ok());
    said.and_then(|said| said.parse().ok()).unwrap_or(0)
}

/// A stream's connection answers for as long as there is more of it.
fn while_sent(body: BoxBody, busy: Option<Busy>) -> BoxBody {
    if matches!(body.size(), BodySize::Stream) {
        let rest = unfold((body, busy), |(mut body, busy)| async move {
            let next = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await?;
            Some((next, (body, busy)))
        });
        BoxBody::new(BodyStream::new(rest.fuse()))
    } else {
        body
    }
}

/// The answer to what gets no further than here.
fn barred(
    request: &ServiceRequest,
    context: &Context,
    settings: &Settings,
) -> Option<HttpResponse> {
    if origin::is_own(request, settings) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return is_packed(request).then(|| page_answer(context, status, (None, "/")));
    }
    tracing::warn!(
        reference = context.reference(),
        path = request.path(),
        "refused a request from a foreign page"
    );
    refused::count(request.request(), Action::FormRefused);
    let fault = Fault::Forbidden(
        "The request did not come from a page of this site. Nothing was changed.".to_owned(),
    );
    Some(answer_fault(context, &fault, request.method(), "/"))
}

fn context_for(request: &ServiceRequest, settings: &Settings) -> Context {
    if v4::is_path(request.path()) {
        return Context::of_program();
    }
    let names = cookie_names(settings.secure());
    let value = |name: &str| {
        request
            .cookie(name)
            .map(|cookie| cookie.value().to_owned())
            .filter(|value| !value.is_empty() && value.len() <= 2000)
    };
    Context::new(
        value(names.session),
        value(names.before),
        value(names.flash).and_then(|text| Flash::of_cookie(&text)),
    )
}

/// Nobody who means well sends a compressed body here, neither browsers nor agents; and what reads bodies would unpack a
/// piece of it whole before it looks at any limit.
fn is_packed(request: &ServiceRequest) -> bool {
    let coding = request.headers().get(header::CONTENT_ENCODING);
    coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// An error that a lower layer answered without a page or JSON of its own.
fn is_bare_error(answer: &HttpResponse) -> bool {
    let kind = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("");
    (answer.status().is_client_error() || answer.status().is_server_error())
        && !kind.starts_with("text/html")
        && !kind.starts_with("application/json")
}

fn answer_fault(
    context: &Context,
    fault: &Fault,
    method: &Method,
    path_and_query: &str,
) -> HttpResponse {
    match fault {
        Fault::Internal(cause) => {
            tracing::error!(reference = context.reference(), %cause, "internal fault")
        }
        Fault::Away(cause) => {
            tracing::error!(reference = context.reference(), %cause, "the database is away")
        }
        _ => tracing::debug!(reference = context.reference(), %fault, "refused"),
    }
    if method == Method::GET
        && let Some(first) = fault.first()
    {
        return leads(first, path_and_query);
    }
    if matches!(fault, Fault::SignIn) {
        if context.typed().pairs.is_empty() {
            return HttpResponse::SeeOther()
                .insert_header((header::LOCATION, "/login"))
                .finish();
        }
        return page_answer(
            context,
            StatusCode::FORBIDDEN,
            (Some(fault), path_and_query),
        );
    }
    let of = (Some(fault), path_and_query);
    let mut answer = page_answer(context, fault.status_code(), of);
    if let Some(seconds) = fault.retry_after_s() {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// To what comes first, and from there back.
fn leads(first: &str, path_and_query: &str) -> HttpResponse {
    let next = own_path(path_and_query).filter(|path| *path != "/");
    let location = next.map_or(first.to_owned(), |path| {
        format!("{first}?next={}", utf8_percent_encode(path, IN_NEXT))
    });
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, location))
        .finish()
}

fn page_answer(context: &Context, status: StatusCode, of: (Option<&Fault>, &str)) -> HttpResponse {
    if context.is_program() {
        return v4::bare(status);
    }
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(error_page(context, status, of))
}

/// Headers and our own small cookies.
fn finish(answer: &mut HttpResponse, context: &Context, settings: &Settings) {
    let secure = settings.secure();
    let names = cookie_names(secure);
    headers::set(answer.headers_mut(), secure, context.reference());
    let cookie = |name: &'static str, value: String, seconds: i64| {
        Cookie::build(name, value)
            .path("/")
            .http_only(true)
            .secure(secure)
            .same_site(SameSite::Lax)
            .max_age(Duration::seconds(seconds))
            .finish()
    };
    let flash = answer.extensions_mut().remove::<Flash>();
    let mut cookies = Vec::new();
    if let Some(secret) = context.new_form_secret() {
        cookies.push(cookie(names.before, secret, 86_400));
    }
    if let Some(flash) = flash {
        cookies.push(cookie(names.flash, flash.cookie(), 60));
    } else if context.flash_was_taken() {
        cookies.push(cookie(names.flash, String::new(), 0));
    }
    for cookie in cookies {
        if let Err(fault) = answer.add_cookie(&cookie) {
            tracing::error!(%fault, "a cookie could not be set");
        }
    }
}
