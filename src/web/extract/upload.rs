//! A posted form with files. As [`super::Form`]: bounded, in bounded time, its token checked before a handler sees it. Files
//! are kept in memory up to their limit; what is beyond is read and thrown away, so that the page that says so arrives. What
//! all uploads may keep together is shared by account ([`crate::web::bounds`]): who is slow, or many, stops nobody else's.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::body::Unread;
use super::form::{self, BUSY, Form};
use super::{Client, body};
use crate::domain::bug::attachment::{MOST_BYTES, MOST_FILES};
use crate::domain::ids::UserId;
use crate::web::bounds::{Bounds, Share, Whose, listens};
use crate::web::context::{Context, Typed};
use crate::web::fault::{Fault, Result};
use crate::web::portal::{self, Portal};
use crate::web::ui::list::query;

/// All of a request: beyond it the connection is given up.
const MOST_READ: usize = 40 * 1024 * 1024;
const MOST_PARTS: usize = 60;
const MOST_TIME: Duration = Duration::from_secs(120);

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
    /// What they count against, until they are stored.
    _share: Option<Share>,
}

impl<T: DeserializeOwned + 'static> FromRequest for Upload<T> {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

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
                    _share: None,
                })
            });
        }
        let multipart = Multipart::new(request.headers(), body::paced(payload.take()));
        let context = crate::web::context::context_of(request);
        if let Ok(context) = &context {
            context.form_begins();
        }
        let portal = request.app_data::<Portal>().cloned();
        let (bounds, stranger) = (Bounds::of(request), Client::of(request).whose());
        let listening = listens(request);
        Box::pin(async move {
            let context = context?;
            let known = whose(portal, &context).await;
            let listening = listening.filter(|_| known.is_none());
            // Held for all of the reading: somebody slow holds up themselves, not everybody.
            let sender = known.map_or(stranger, |(user, _)| Whose::User(user));
            let Some(_turn) = bounds.turns.take(sender) else {
                context.form_ends(Typed::default());
                context.guard_settled().await;
                return Err(BUSY);
            };
            let share = match known {
                Some((_, whose)) => bounds.uploads.share(whose),
                None => bounds.forms.share(stranger),
            };
            let body = read_in_time(multipart, share, known.is_some()).await;
            drop(listening);
            let kept = body.as_ref().map(kept);
            context.form_ends(kept.unwrap_or_default());
            context.guard_settled().await;
            let body = body?;
            if let Some(fault) = body.fault {
                return Err(fault);
            }
            Ok(Self {
                form: form::parse(&context, body.pairs.trim_start_matches('?'))?,
                files: body.files,
                _share: body.share,
            })
        })
    }
}

#[derive(Default)]
pub(super) struct Body {
    /// The texts as a query string.
    pub(super) pairs: String,
    pub(super) files: Vec<Sent>,
    /// Kept or not.
    had_files: bool,
    /// Why it could not be read whole; what came before is there.
    pub(super) fault: Option<Fault>,
    share: Option<Share>,
}

fn kept(body: &Body) -> Typed {
    let typed = form::keepable(body.pairs.trim_start_matches('?'));
    Typed {
        whole: typed.whole && body.fault.is_none(),
        files: body.had_files,
        ..typed
    }
}

/// Who is signed in, if anyone, and whose share of the uploads theirs is.
async fn whose(portal: Option<Portal>, context: &Context) -> Option<(UserId, Whose)> {
    let (portal, token) = (portal?, context.session_cookie()?.to_owned());
    let found = portal::run(&portal, move |app| app.visitor(&token)).await;
    let user = found.ok().flatten()?.user;
    let account = user.account_id.map(Whose::Account);
    Some((user.id, account.unwrap_or(Whose::User(user.id))))
}

async fn read_in_time(multipart: Multipart, share: Share, known: bool) -> Result<Body> {
    // Where nobody is signed in, only the texts are read, to be shown again.
    let most = if known { MOST_TIME } else { body::MOST_TIME };
    let read = tokio::time::timeout(most, read(multipart, share, known)).await;
    read.map_err(|_| form::unread(Unread::Late))
}

fn broken() -> Fault {
    Fault::BadRequest("The form broke off on its way, or cannot be read. Send it again.".to_owned())
}

pub(super) async fn read(mut multipart: Multipart, share: Share, keep_files: bool) -> Body {
    let mut reading = Reading {
        keep_files,
        share,
        body: Body::default(),
        texts: Vec::new(),
        total: 0,
        text_bytes: 0,
        over: false,
    };
    let mut parts = 0;
    while let Some(field) = multipart.next().await {
        let Ok(field) = field else {
            reading.body.fault = Some(broken());
            break;
        };
        parts += 1;
        if parts > MOST_PARTS {
            reading.body.fault = Some(Fault::TooLarge);
            break;
        }
        reading.part(field).await;
        if reading.over {
            break;
        }
    }
    reading.body.pairs = encode(&reading.texts);
    reading.body.share = Some(reading.share);
    reading.body
}

/// What is kept of a part.
#[derive(Clone, Copy)]
enum Keep {
    Nothing,
    /// Nothing of one that is too large.
    Whole,
    Beginning,
}

/// A body, as far as it has come.
struct Reading {
    keep_files: bool,
    share: Share,
    body: Body,
    texts: Vec<(String, String)>,
    total: usize,
    text_bytes: usize,
    /// Nothing more is read.
    over: bool,
}

impl Reading {
    async fn part(&mut self, mut field: Field) {
        let name = field.name().unwrap_or_default().to_owned();
        let file = field
            .content_disposition()
            .and_then(|how| how.get_filename().map(str::to_owned));
        let most = if file.is_some() {
            MOST_BYTES
        } else {
            form::MOST_BYTES - self.text_bytes
        };
        let keep = match file {
            // What was typed is shown again, as far as it goes.
            None => Keep::Beginning,
            Some(_) if self.keep_files && self.body.files.len() <= MOST_FILES => Keep::Whole,
            Some(_) => Keep::Nothing,
        };
        let (bytes, too_large) = self.bytes(&mut field, most, keep).await;
        match file {
            // A field for files with none chosen.
            Some(name) if name.is_empty() && bytes.is_empty() => {}
            Some(name) => {
                self.body.had_files = true;
                if self.body.files.len() <= MOST_FILES {
                    self.body.files.push(Sent {
                        name,
                        bytes,
                        too_large,
                    });
                }
            }
            None if too_large => {
                self.body.fault = Some(Fault::TooLarge);
                self.text_bytes += bytes.len();
                let beginning = String::from_utf8_lossy(&bytes).into_owned();
                self.texts.push((name, beginning));
            }
            None => {
                self.text_bytes += bytes.len();
                match String::from_utf8(bytes) {
                    Ok(text) => self.texts.push((name, text)),
                    Err(_) => {
                        self.body.fault =
                            Some(Fault::BadRequest("The form is not text.".to_owned()));
                    }
                }
            }
        }
    }

    /// At most so many; whether there were more.
    async fn bytes(&mut self, field: &mut Field, most: usize, keep: Keep) -> (Vec<u8>, bool) {
        let (mut bytes, mut too_large) = (Vec::new(), false);
        while let Some(chunk) = field.next().await {
            let Ok(chunk) = chunk else {
                self.ends(broken());
                break;
            };
            self.total += chunk.len();
            if self.total > MOST_READ {
                self.ends(Fault::TooLarge);
                break;
            }
            let room = most - bytes.len().min(most);
            too_large |= chunk.len() > room;
            let taken = match keep {
                Keep::Nothing => 0,
                Keep::Whole if too_large => {
                    bytes = Vec::new();
                    0
                }
                Keep::Whole | Keep::Beginning => chunk.len().min(room),
            };
            if !self.share.take(taken) {
                self.ends(BUSY);
                break;
            }
            bytes.extend(chunk.iter().take(taken));
        }
        (bytes, too_large)
    }

    fn ends(&mut self, fault: Fault) {
        self.body.fault = Some(fault);
        self.over = true;
    }
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
