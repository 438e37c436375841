//! Live values of a migration's page, by server-sent events: a whole snapshot at once and after every change, and again
//! every fifteen seconds as a sign of life. Permission is checked again with every snapshot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::live::{Live, Watched, is_moving};
use crate::app::secrets::{self, purpose};
use crate::domain::ids::{AccountId, MigrationId};
use crate::domain::network::Address;
use crate::store;
use crate::web::bounds::{Place, Streams};
use crate::web::extract::Signed;
use crate::web::fault::{Fault, Response, Result};
use crate::web::portal::{self, Portal};
use crate::web::ui::Zone;

const HEARTBEAT: Duration = Duration::from_secs(15);
/// A look without being woken: a host's silence makes no event. Sooner while one is at work, and says something every second.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_AT_WORK: Duration = Duration::from_secs(1);
/// Changes that come together are sent together.
const GATHER: Duration = Duration::from_millis(200);
/// Then the browser connects anew by itself.
const LONGEST: Duration = Duration::from_secs(3600);
/// For the browser whose stream gave way: at once, it would only take another one's place.
const LATER: &[u8] = b"retry: 60000\n\n";

struct Feed {
    portal: Portal,
    id: MigrationId,
    /// Whose it must be; `None` for staff.
    account: Option<AccountId>,
    session: String,
    zone: Zone,
    wakes: Receiver<MigrationId>,
    began: Instant,
    sent: Option<(Live, Instant)>,
    is_over: bool,
    place: Place,
    /// To a newer stream of the same reader.
    gave_way: bool,
}

/// The stream's answer. The end of the reader's session ends the stream.
///
/// # Errors
/// [`Fault::TooMany`] where too many are open; pages ask again by themselves.
pub fn stream(
    portal: Portal,
    (reader, streams): (&Signed, &Arc<Streams>),
    id: MigrationId,
    account: Option<AccountId>,
) -> Response {
    let address = Address::read(&reader.actor.address);
    let place = streams
        .enter(reader.actor.user, address.near())
        .ok_or(Fault::TooMany { retry_after_s: 60 })?;
    let token = reader.context.session_cookie().unwrap_or_default();
    let zone = reader.zone();
    let wakes = portal.db.hub.migrations();
    let session = secrets::hash(purpose::SESSION, token);
    let feed = Feed {
        portal,
        id,
        account,
        session,
        zone,
        wakes,
        began: Instant::now(),
        sent: None,
        is_over: false,
        place,
        gave_way: false,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // Named, so that the compressing layer leaves it alone: it would hold events back.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events(feed)))
}

fn events(feed: Feed) -> impl Stream<Item = Result<Bytes>> {
    unfold(feed, |mut feed| async move {
        let bytes = feed.next().await?;
        Some((Ok(bytes), feed))
    })
}

impl Feed {
    /// The next event's bytes; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.is_over || self.began.elapsed() > LONGEST {
                return None;
            }
            if self.sent.is_some() {
                self.wait().await;
            }
            if self.gave_way {
                self.is_over = true;
                return Some(Bytes::from_static(LATER));
            }
            let live = match self.snapshot().await {
                Ok(live) => live?,
                Err(fault) => {
                    tracing::warn!(%fault, "live values could not be read");
                    return None;
                }
            };
            let is_same = self
                .sent
                .as_ref()
                .is_some_and(|(old, at)| same(old, &live) && at.elapsed() < HEARTBEAT);
            if is_same {
                continue;
            }
            let text = serde_json::to_string(&live).ok()?;
            let first = if self.sent.is_none() {
                "retry: 2000\n"
            } else {
                ""
            };
            self.sent = Some((live, Instant::now()));
            return Some(Bytes::from(format!("{first}data: {text}\n\n")));
        }
    }

    async fn wait(&mut self) {
        let is_at_work = |(live, _): &(Live, Instant)| live.text.contains_key("quiet");
        let look = if self.sent.as_ref().is_some_and(is_at_work) {
            LOOK_AT_WORK
        } else {
            LOOK
        };
        let until = tokio::time::sleep(look);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => return,
                () = self.place.given_up() => {
                    self.gave_way = true;
                    return;
                }
                woken = self.wakes.recv() => match woken {
                    Ok(id) if id != self.id => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        tokio::time::sleep(GATHER).await;
                        // What came meanwhile is in the snapshot that follows.
                        self.wakes = self.wakes.resubscribe();
                        return;
                    }
                    Err(RecvError::Closed) => {
                        until.await;
                        return;
                    }
                },
            }
        }
    }

    /// `None`: it is not theirs (any more), or they are signed out.
    async fn snapshot(&mut self) -> Result<Option<Live>> {
        let (id, account, session, zone) = (self.id, self.account, self.session.clone(), self.zone);
        let found = portal::run(&self.portal, move |app| {
            let now = app.now();
            let idle_since = now.plus_s(-app.settings.session_idle_s);
            app.db.read(|conn| {
                if store::account::session::session(conn, &session, now, idle_since)?.is_none() {
                    return Ok(None);
                }
                Ok::<_, crate::app::error::AppError>(
                    store::migration::page::migration_now(conn, account, id, now)?
                        .map(|found| (found, now)),
                )
            })
        })
        .await?;
        let Some((found, now)) = found else {
            return Ok(None);
        };
        self.is_over = !is_moving(found.migration.state, found.queue);
        let of = Watched {
            migration: &found.migration,
            job: found.job.as_ref(),
            queue: found.queue,
            trial: found.trial.as_ref(),
            zone,
        };
        Ok(Some(Live::new(of, now)))
    }
}

/// Equal but for the time it was made at.
fn same(old: &Live, new: &Live) -> bool {
    let rest = |live: &Live| {
        let mut live = live.clone();
        live.text.remove("asof");
        live.attr.remove("asof");
        live
    };
    rest(old) == rest(new)
}
