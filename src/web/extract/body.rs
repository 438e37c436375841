//! A body as a whole: bounded, in bounded time, within what all of them may hold together.

use std::io;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::web::bounds::Share;

/// All of a body that holds no files; whoever needs longer holds others up.
pub const MOST_TIME: Duration = Duration::from_secs(15);

/// Of a body with files, whose time is longer, so much has to come in so long: a modem is quick enough.
const LEAST: usize = 10 * 1024;
const IN: Duration = Duration::from_secs(10);

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    Late,
    /// The connection ended before it did.
    Cut,
    TooLarge,
    /// Others hold what there is for bodies; later there is room again.
    Busy,
}

/// # Errors
/// [`Unread`] says why; what had come is gone.
pub async fn read(payload: Payload, most: usize, share: &mut Share) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    read_into(payload, most, share, &mut body).await?;
    Ok(body)
}

/// # Errors
/// [`Unread`] says why; what had come is in `body`.
pub async fn read_into(
    payload: Payload,
    most: usize,
    share: &mut Share,
    body: &mut Vec<u8>,
) -> Result<(), Unread> {
    let whole = tokio::time::timeout(MOST_TIME, collect(payload, most, share, body)).await;
    whole.unwrap_or(Err(Unread::Late))
}

async fn collect(
    mut payload: Payload,
    most: usize,
    share: &mut Share,
    body: &mut Vec<u8>,
) -> Result<(), Unread> {
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Unread::Cut)?;
        let room = most - body.len();
        if !share.take(chunk.len().min(room)) {
            return Err(Unread::Busy);
        }
        body.extend(chunk.iter().take(room));
        if chunk.len() > room {
            return Err(Unread::TooLarge);
        }
    }
    Ok(())
}

/// The body as it comes, given up when it comes too slowly.
pub fn paced(payload: Payload) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    let begun = (payload, Instant::now() + IN, 0);
    unfold(begun, |(mut payload, mut until, mut got)| async move {
        loop {
            let Ok(chunk) = timeout_at(until, payload.next()).await else {
                if got < LEAST {
                    let slow = io::Error::from(io::ErrorKind::TimedOut);
                    return Some((Err(PayloadError::Io(slow)), (payload, until, got)));
                }
                (until, got) = (Instant::now() + IN, 0);
                continue;
            };
            let chunk = chunk?;
            got += chunk.as_ref().map_or(0, Bytes::len);
            return Some((chunk, (payload, until, got)));
        }
    })
    .fuse()
}
