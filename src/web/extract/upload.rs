//! A posted form with files. As [`super::Form`]: bounded, in bounded time, its token checked before a handler sees it. Files
//! are kept in memory up to their limit; what is beyond is read and thrown away, so that the page that says so arrives.

use std::future::Future;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use actix_multipart::Multipart;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::form::{self, Form};
use crate::domain::bug::attachment::{MOST_BYTES, MOST_FILES};
use crate::domain::ids::UserId;
use crate::web::fault::Fault;
use crate::web::portal::{self, Portal};
use crate::web::ui::list::query;

/// All of a request: beyond it the connection is given up.
const MOST_READ: usize = 40 * 1024 * 1024;
const MOST_PARTS: usize = 60;
const MOST_TIME: Duration = Duration::from_secs(120);
/// Where nobody is signed in, only the texts are read, to be shown again.
const SHORT_TIME: Duration = Duration::from_secs(15);
/// Uploads in memory at a time.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(8));

/// Of them, of one user.
const MOST_OF_USER: usize = 2;
/// By the portal's secret's place in memory and by user: tests run several portals in one process.
static SENDING: Mutex<Vec<Whose>> = Mutex::new(Vec::new());
type Whose = (usize, UserId);

/// One of a user's uploads, while it goes on.
struct Turn(Whose);

impl Turn {
    /// `None`: as many of theirs go on already as may.
    fn take(user: Whose) -> Option<Self> {
        let mut sending = SENDING.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = sending.iter().filter(|other| **other == user).count();
        (theirs < MOST_OF_USER).then(|| {
            sending.push(user);
            Self(user)
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut sending = SENDING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = sending.iter().position(|other| *other == self.0) {
            sending.swap_remove(at);
        }
    }
}

/// A file as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub name: String,
    pub bytes: Vec<u8>,
    /// It is longer than files may be, and its bytes are not here.
    pub too_large: bool,
}

#[derive(Debug)]
pub struct Upload<T> {
    pub form: T,
    pub files: Vec<Sent>,
}

impl<T: DeserializeOwned + 'static> FromRequest for Upload<T> {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Fault>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let is_multipart = kind.to_ascii_lowercase().starts_with("multipart/form-data");
        if !is_multipart {
            let plain = Form::<T>::from_request(request, payload);
            return Box::pin(async move {
                let files = Vec::new();
                plain.await.map(|form| Self {
                    form: form.0,
                    files,
                })
            });
        }
        let multipart = Multipart::new(request.headers(), payload.take());
        let context = crate::web::context::context_of(request);
        if let Ok(context) = &context {
            context.form_begins();
        }
        let portal = request.app_data::<Portal>().cloned();
        Box::pin(async move {
            let context = context?;
            let token = context.session_cookie().map(str::to_owned);
            let user = match (portal, token) {
                (Some(portal), Some(token)) => portal::run(&portal, move |app| {
                    let whose = std::sync::Arc::as_ptr(&app.secret) as usize;
                    Ok(app.visitor(&token)?.map(|visitor| (whose, visitor.user.id)))
                })
                .await
                .ok()
                .flatten(),
                _ => None,
            };
            let known = user.is_some();
            // Taken for all of the reading: somebody slow holds up themselves, not everybody.
            let turn = user.map(Turn::take);
            if matches!(turn, Some(None)) {
                context.form_ends(Vec::new());
                context.guard_settled().await;
                return Err(Fault::TooMany { retry_after_s: 10 });
            }
            let read = async {
                let _place = if known {
                    Some(PLACES.acquire().await.map_err(Fault::internal)?)
                } else {
                    None
                };
                Ok(read(multipart, known).await)
            };
            let most = if known { MOST_TIME } else { SHORT_TIME };
            let body = tokio::time::timeout(most, read).await;
            let body = body.unwrap_or_else(|_| {
                Err(Fault::BadRequest(
                    "The form did not arrive in time. Send it again.".to_owned(),
                ))
            });
            let kept = body
                .as_ref()
                .map(|body| form::keepable(body.pairs.trim_start_matches('?')));
            context.form_ends(kept.unwrap_or_default());
            context.guard_settled().await;
            let body = body?;
            if let Some(fault) = body.fault {
                return Err(fault);
            }
            Ok(Self {
                form: form::parse(&context, body.pairs.trim_start_matches('?'))?,
                files: body.files,
            })
        })
    }
}

#[derive(Default)]
struct Body {
    /// The texts as a query string.
    pairs: String,
    files: Vec<Sent>,
    /// Why it could not be read whole; what came before is there.
    fault: Option<Fault>,
}

async fn read(mut multipart: Multipart, keep_files: bool) -> Body {
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut body = Body::default();
    let (mut total, mut text_bytes, mut parts) = (0, 0, 0);
    let broken = || {
        Fault::BadRequest(
            "The form broke off on its way, or cannot be read. Send it again.".to_owned(),
        )
    };
    while let Some(field) = multipart.next().await {
        let Ok(mut field) = field else {
            body.fault = Some(broken());
            break;
        };
        parts += 1;
        if parts > MOST_PARTS {
            body.fault = Some(Fault::TooLarge);
            break;
        }
        let name = field.name().unwrap_or_default().to_owned();
        let file = field
            .content_disposition()
            .and_then(|how| how.get_filename().map(str::to_owned));
        let most = if file.is_some() {
            MOST_BYTES
        } else {
            form::MOST_BYTES - text_bytes
        };
        let mut bytes = Vec::new();
        let mut too_large = false;
        while let Some(chunk) = field.next().await {
            let Ok(chunk) = chunk else {
                body.fault = Some(broken());
                break;
            };
            total += chunk.len();
            if total > MOST_READ {
                body.fault = Some(Fault::TooLarge);
                break;
            }
            if too_large || bytes.len() + chunk.len() > most {
                too_large = true;
                bytes = Vec::new();
            } else if file.is_none() || (keep_files && body.files.len() <= MOST_FILES) {
                bytes.extend_from_slice(&chunk);
            }
        }
        match file {
            // A field for files with none chosen.
            Some(name) if name.is_empty() && bytes.is_empty() => {}
            Some(name) => {
                if body.files.len() <= MOST_FILES {
                    body.files.push(Sent {
                        name,
                        bytes,
                        too_large,
                    });
                }
            }
            None if too_large => body.fault = Some(Fault::TooLarge),
            None => {
                text_bytes += bytes.len();
                match String::from_utf8(bytes) {
                    Ok(text) => texts.push((name, text)),
                    Err(_) => {
                        body.fault = Some(Fault::BadRequest("The form is not text.".to_owned()));
                    }
                }
            }
        }
        if total > MOST_READ {
            break;
        }
    }
    body.pairs = encode(&texts);
    body
}

/// As a browser would have sent them without files. Empty texts stay: a field may be required.
fn encode(texts: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, text) in texts {
        let pair = query(&[("v", text.clone())]);
        let value = pair.strip_prefix("?v=").unwrap_or_default();
        let name: String = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        out.push_str(&format!("{name}={value}&"));
    }
    out.pop();
    out
}
