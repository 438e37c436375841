//! What forms carry unseen: a mark that makes them count once, when what they show was changed last, which rows they mean.

use crate::domain::time::Time;
use crate::web::fault::{Fault, Result};

/// A mark for a form: what it does is done once, however often it is sent.
pub fn once() -> String {
    data_encoding::BASE64URL_NOPAD.encode(&crate::web::csrf::random::<12>())
}

/// The mark that a form came with, if it did.
pub fn once_or(typed: &str) -> String {
    if typed.is_empty() {
        once()
    } else {
        typed.to_owned()
    }
}

/// When what a form shows had been changed last, in microseconds; nothing if it never was.
pub fn seen(at: Option<Time>) -> String {
    at.map(|at| at.utc().timestamp_micros().to_string())
        .unwrap_or_default()
}

pub fn parse_seen(text: &str) -> Option<Time> {
    Time::of_micros(text.parse().ok()?)
}

/// Ids of rows; none where a text is empty.
///
/// # Errors
/// [`Fault::NotFound`] for what is no id.
pub fn ids<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<i64>> {
    let ids = texts.into_iter().filter(|id| !id.is_empty());
    let ids: Result<Vec<i64>, _> = ids.map(str::parse).collect();
    ids.map_err(|_| Fault::NotFound)
}
