//! Forms, uploads and addresses as requests bring them, for `crate::fuzz`.

use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll};

use actix_multipart::Multipart;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::{Bytes, Query};
use futures_util::stream;
use futures_util::task::noop_waker;
use serde::Deserialize;

use super::client::client_address;
use super::{form, ids, parse_seen, seen, upload};
use crate::domain::bug::attachment::{MOST_BYTES, MOST_FILES};
use crate::domain::network::Address;
use crate::domain::text::unreadable;
use crate::web::again;
use crate::web::bounds::Bounds;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    label: String,
    #[serde(default)]
    id: Vec<i64>,
}

/// A posted form. What is kept to be shown again holds no secret, and the token is in no field.
pub(crate) fn forms(bytes: &[u8]) {
    let Ok(body) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = form::token(body);
    if let Ok(typed) = form::without_token::<Typed>(body) {
        assert!(typed.label.len() <= body.len() && typed.id.len() <= body.len());
    }
    let kept = form::keepable(body);
    assert!(kept.pairs.len() <= form::MOST_KEPT);
    for (name, _) in &kept.pairs {
        assert!(name != "csrf" && !name.contains("password"));
    }
    let again = again::pack(&kept.pairs).and_then(|packed| again::unpack(&packed));
    assert!(again.is_none_or(|again| again == kept.pairs));
    let _ = again::unpack(body);
    for line in body.lines() {
        if let Some(at) = parse_seen(line) {
            assert_eq!(parse_seen(&seen(Some(at))), Some(at));
        }
        let _ = ids(line.split(','));
    }
}

/// The first line is the kind, the rest the body. It is read to its end whatever it is, and says the same in whatever
/// pieces it comes.
pub(crate) fn uploads(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (kind, body) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let Ok(kind) = HeaderValue::from_bytes(kind) else {
        return;
    };
    let whole = uploaded(&kind, body, usize::MAX);
    let pieces = uploaded(&kind, body, 1 + body.len() % 61);
    // Of one that breaks off, more or less may have been read.
    if whole.fault.is_some() {
        assert!(pieces.fault.is_some());
        return;
    }
    assert!(pieces.fault.is_none() && whole.pairs == pieces.pairs);
    assert_eq!(whole.files.len(), pieces.files.len());
    for (one, other) in whole.files.iter().zip(&pieces.files) {
        assert!((&one.name, &one.bytes) == (&other.name, &other.bytes));
    }
}

fn uploaded(kind: &HeaderValue, body: &[u8], piece: usize) -> upload::Body {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, kind.clone());
    let pieces = body.chunks(piece.min(body.len().max(1)));
    let pieces: Vec<_> = pieces
        .map(|piece| Ok::<_, PayloadError>(Bytes::copy_from_slice(piece)))
        .collect();
    let most = 10_000 + 8 * pieces.len();
    let multipart = Multipart::new(&headers, stream::iter(pieces));
    let bounds = Bounds::default();
    let share = bounds
        .uploads
        .share(crate::web::bounds::Whose::User(crate::domain::ids::UserId(
            1,
        )));
    let mut reading = pin!(upload::read(multipart, share, true));
    let waker = noop_waker();
    let ended =
        (0..most).find_map(
            |_| match reading.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(body) => Some(body),
                Poll::Pending => None,
            },
        );
    let read = ended.unwrap_or_else(|| unreachable!("it is read for ever"));
    assert!(read.files.len() <= MOST_FILES + 1);
    assert!(read.files.iter().all(|file| file.bytes.len() <= MOST_BYTES));
    assert!(read.pairs.len() <= 3 * form::MOST_BYTES + 60 * 64 + body.len());
    let pairs = Query::<Vec<(String, String)>>::from_query(&read.pairs);
    assert!(pairs.is_ok(), "{}", read.pairs);
    read
}

/// `X-Forwarded-For`, a line a hop. Nobody makes themselves the proxy, which all share, and an address in the trail is read as it was.
pub(crate) fn forwarded(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let hops: Vec<&str> = text.split([',', '\n']).map(str::trim).collect();
    let hops: Vec<&str> = hops.into_iter().filter(|hop| !hop.is_empty()).collect();
    let proxies = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
    let [first, _] = proxies;
    let seen = client_address(first, &hops, &proxies);
    let all_ours = hops.iter().all(|hop| Address::read(hop).is_among(&proxies));
    assert_eq!(seen.is_among(&proxies), all_ours);
    let written = seen.to_string();
    assert!(
        written.chars().count() <= 80 && !written.contains(unreadable),
        "{written:?}"
    );
    if let Address::Ip(_) = seen {
        assert_eq!(Address::read(&written), seen);
    }
    if let IpAddr::V6(near) = seen.near() {
        assert_eq!(near.to_bits() << 64, 0);
    }
}
