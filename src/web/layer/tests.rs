//! The edge through a small application: headers, tokens, origins, faults, panics.

use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::{Compress, from_fn};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, web};
use serde::Deserialize;

use super::edge;
use crate::web::context::Context;
use crate::web::extract::{Form, Path};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, ConfirmPage, Page};
use crate::web::settings::Settings;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    label: String,
}

async fn ask(context: Context) -> Response {
    let page = Page::new(&context, Area::None, "Rename <it>");
    ConfirmPage::new(page, "Rename", "/act")
        .says(["It gets another name."])
        .back("/", "Keep it")
        .html()
}

async fn act(form: Form<Label>) -> Response {
    page::said("/ask", format!("Renamed to {}", form.0.label))
}

async fn fail(kind: Path<String>) -> Response {
    Err(match kind.0.as_str() {
        "conflict" => Fault::conflict_at(
            "The offer has expired.",
            "/members/xenbeta",
            "Xen public beta",
        ),
        "internal" => Fault::internal("secret cause"),
        "busy" => Fault::TooMany { retry_after_s: 30 },
        "private" => Fault::SignIn,
        "panic" => panic!("secret words"),
        _ => Fault::NotFound,
    })
}

async fn number(path: Path<i64>) -> String {
    path.0.to_string()
}

/// A macro, as the service's request type has no name here.
macro_rules! app {
    ($settings:expr) => {
        init_service(
            App::new()
                .wrap(from_fn(edge))
                .wrap(Compress::default())
                .app_data(web::Data::new($settings))
                .route("/ask", web::get().to(ask))
                .route("/act", web::post().to(act))
                .route("/fail/{kind}", web::get().to(fail))
                .route("/number/{n}", web::get().to(number))
                .route(
                    "/static/{name}",
                    web::get().to(crate::web::public::assets::serve),
                ),
        )
        .await
    };
}

fn header_of<B>(answer: &ServiceResponse<B>, name: header::HeaderName) -> String {
    answer
        .headers()
        .get(name)
        .map(|value: &HeaderValue| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

/// The form's cookie and token, as a browser gets them.
macro_rules! form {
    ($app:expr) => {{
        let answer = call_service($app, TestRequest::get().uri("/ask").to_request()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = header_of(&answer, header::SET_COOKIE)
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        let body = String::from_utf8(read_body(answer).await.to_vec()).unwrap();
        let token = body
            .split("name=\"csrf\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        (cookie, token)
    }};
}

#[actix_web::test]
async fn every_answer_has_the_headers() {
    let app = app!(Settings {
        public_origin: Some("https://lpm.test".into()),
        ..Settings::default()
    });
    for uri in ["/ask", "/nowhere", "/fail/internal", "/static/nothing.css"] {
        let answer = call_service(&app, TestRequest::get().uri(uri).to_request()).await;
        let policy = header_of(&answer, header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.starts_with("default-src 'none'")
                && policy.ends_with("require-trusted-types-for 'script'"),
            "{uri}: {policy}"
        );
        assert!(!policy.contains("  "), "{policy}");
        assert_eq!(
            header_of(&answer, header::X_CONTENT_TYPE_OPTIONS),
            "nosniff",
            "{uri}"
        );
        assert_eq!(
            header_of(&answer, header::CACHE_CONTROL),
            "no-store",
            "{uri}"
        );
        assert_eq!(
            header_of(&answer, header::REFERRER_POLICY),
            "same-origin",
            "{uri}"
        );
        assert!(
            !header_of(&answer, header::STRICT_TRANSPORT_SECURITY).is_empty(),
            "{uri}"
        );
    }
    let answer = call_service(&app, TestRequest::get().uri("/ask").to_request()).await;
    let cookie = header_of(&answer, header::SET_COOKIE);
    assert!(
        cookie.starts_with("__Host-")
            && cookie.contains("Secure")
            && cookie.contains("HttpOnly")
            && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
}

#[actix_web::test]
async fn a_compressed_body_is_refused_unread() {
    let app = app!(Settings::default());
    let (cookie, token) = form!(&app);
    let body = format!("csrf={token}&label=web-01");
    let post = |coding: &'static str| {
        TestRequest::post()
            .uri("/act")
            .insert_header((header::HOST, "127.0.0.1:8080"))
            .insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .insert_header((header::CONTENT_ENCODING, coding))
            .insert_header((header::COOKIE, cookie.clone()))
            .set_payload(body.clone())
    };
    for coding in ["gzip", "deflate", "br", "GZIP", "gzip, identity", "x"] {
        let answer = call_service(&app, post(coding).to_request()).await;
        assert_eq!(
            answer.status(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{coding}"
        );
        assert!(!header_of(&answer, header::CONTENT_SECURITY_POLICY).is_empty());
    }
    let answer = call_service(&app, post("identity").to_request()).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

#[actix_web::test]
async fn a_form_needs_its_token_cookie_and_origin() {
    let app = app!(Settings::default());
    let (cookie, token) = form!(&app);
    let post = |cookie: &str, body: String| {
        TestRequest::post()
            .uri("/act")
            .insert_header((header::HOST, "127.0.0.1:8080"))
            .insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .insert_header((header::COOKIE, cookie.to_owned()))
            .set_payload(body)
    };
    let good = format!("csrf={token}&label=web-01");
    let answer = call_service(&app, post(&cookie, good.clone()).to_request()).await;
    assert_eq!(
        (answer.status(), header_of(&answer, header::LOCATION)),
        (StatusCode::SEE_OTHER, "/ask".into())
    );
    assert!(header_of(&answer, header::SET_COOKIE).starts_with("lpm-say=g"));

    for (cookie, body) in [
        ("", good.clone()),
        ("lpm-form=other", good.clone()),
        (&cookie, "label=web-01".into()),
        (&cookie, format!("csrf={token}&{good}")),
    ] {
        let answer = call_service(&app, post(cookie, body.clone()).to_request()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{body}");
        let text = String::from_utf8(read_body(answer).await.to_vec()).unwrap();
        assert!(
            text.contains("This form has expired") && text.contains("web-01"),
            "keeps what was typed: {text}"
        );
        assert!(!text.contains(&token));
    }
    for body in [
        format!("{good}&label=two"),
        format!("{good}&role=staff"),
        format!("csrf={token}"),
    ] {
        let answer = call_service(&app, post(&cookie, body.clone()).to_request()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let answer = call_service(
        &app,
        post(&cookie, format!("{good}{}", "x".repeat(70_000))).to_request(),
    )
    .await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);

    for (name, value, status) in [
        ("origin", "http://127.0.0.1:8080", StatusCode::SEE_OTHER),
        ("origin", "http://evil.test", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-origin", StatusCode::SEE_OTHER),
        ("sec-fetch-site", "same-site", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
    ] {
        let answer = call_service(
            &app,
            post(&cookie, good.clone())
                .insert_header((name, value))
                .to_request(),
        )
        .await;
        assert_eq!(answer.status(), status, "{name}: {value}");
    }
}

#[actix_web::test]
async fn faults_are_pages_that_keep_causes_to_themselves() {
    let app = app!(Settings::default());
    for (uri, status, words) in [
        (
            "/fail/conflict",
            StatusCode::CONFLICT,
            "The offer has expired.",
        ),
        (
            "/fail/internal",
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong here",
        ),
        (
            "/fail/panic",
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong here",
        ),
        ("/fail/busy", StatusCode::TOO_MANY_REQUESTS, "30 seconds"),
        ("/nowhere", StatusCode::NOT_FOUND, "Page not found"),
        ("/number/x", StatusCode::NOT_FOUND, "Page not found"),
        ("/act", StatusCode::NOT_FOUND, "Page not found"),
    ] {
        let (found, body) = match app.call(TestRequest::get().uri(uri).to_request()).await {
            Ok(answer) => (answer.status(), read_body(answer).await),
            Err(error) => {
                let answer = HttpResponse::from_error(error);
                assert!(
                    answer
                        .headers()
                        .contains_key(header::CONTENT_SECURITY_POLICY)
                );
                (
                    answer.status(),
                    actix_web::body::to_bytes(answer.into_body())
                        .await
                        .unwrap_or_default(),
                )
            }
        };
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(found, status, "{uri}");
        assert!(
            text.contains(words)
                && text.contains("Reference: <code>")
                && text.contains("id=\"main\""),
            "{uri}: {text}"
        );
        assert!(!text.contains("secret"), "{uri}: {text}");
    }
    let answer = call_service(
        &app,
        TestRequest::get()
            .uri("/fail/private?tab=a&b=1")
            .to_request(),
    )
    .await;
    assert_eq!(
        header_of(&answer, header::LOCATION),
        "/login?next=/fail/private%3Ftab%3Da%26b%3D1"
    );
}

#[actix_web::test]
async fn a_message_is_shown_once_and_escaped() {
    let app = app!(Settings::default());
    let (cookie, token) = form!(&app);
    let answer = call_service(
        &app,
        TestRequest::post()
            .uri("/act")
            .insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .insert_header((header::COOKIE, cookie))
            .set_payload(format!("csrf={token}&label=%3Cscript%3E"))
            .to_request(),
    )
    .await;
    let say = header_of(&answer, header::SET_COOKIE)
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let answer = call_service(
        &app,
        TestRequest::get()
            .uri("/ask")
            .insert_header((header::COOKIE, say))
            .to_request(),
    )
    .await;
    let removed = answer
        .headers()
        .get_all(header::SET_COOKIE)
        .any(|cookie| cookie.to_str().unwrap().starts_with("lpm-say=; "));
    assert!(removed, "it is taken away");
    let text = String::from_utf8(read_body(answer).await.to_vec()).unwrap();
    assert!(
        text.contains("Renamed to &#60;script&#62;") && text.contains("role=\"status\""),
        "{text}"
    );
}

#[actix_web::test]
async fn static_files_are_kept_for_ever_and_compressed_once() {
    let app = app!(Settings::default());
    let css = &crate::web::public::assets::assets().css.url;
    let answer = call_service(
        &app,
        TestRequest::get()
            .uri(css)
            .insert_header((header::ACCEPT_ENCODING, "gzip, br"))
            .to_request(),
    )
    .await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header_of(&answer, header::CONTENT_ENCODING), "br");
    assert_eq!(
        header_of(&answer, header::CACHE_CONTROL),
        "public, max-age=31536000, immutable"
    );
    let tag = header_of(&answer, header::ETAG);
    assert!(read_body(answer).await.len() < 6 * 1024);
    let again = TestRequest::get()
        .uri(css)
        .insert_header((header::ACCEPT_ENCODING, "gzip, br"))
        .insert_header((header::IF_NONE_MATCH, tag));
    let answer = call_service(&app, again.to_request()).await;
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    let answer = call_service(&app, TestRequest::get().uri(css).to_request()).await;
    assert!(
        read_body(answer).await.len() > 6 * 1024,
        "plain for who takes nothing else"
    );
}
