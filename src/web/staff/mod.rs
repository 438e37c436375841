//! Staff's pages: review, configure, watch, mend. To anyone else they do not exist. Every number links to its list, and
//! filters, state and page of a list live in its address.

pub mod account;
pub mod audit;
pub mod bug;
pub mod dashboard;
pub mod evacuation;
pub mod fairness;
pub mod faq;
pub mod graduation;
pub mod host;
pub mod job;
pub mod mail;
pub mod migration;
pub mod ownership;
pub mod programme;
pub mod readiness;
pub mod registration;

use super::ui::Tag;

/// Rows on a page of a list.
pub const ROWS: usize = 100;

/// A tab over a list: a state with its count.
#[derive(Debug)]
pub struct StateTab {
    pub url: String,
    pub label: String,
    pub count: i64,
    pub current: bool,
}

/// A status with its place in a list.
#[derive(Debug)]
pub struct Counted {
    pub url: String,
    pub label: String,
    pub count: i64,
    /// A number that should not be there.
    pub is_bad: bool,
}

/// `GET /staff`
pub async fn to_dashboard() -> actix_web::HttpResponse {
    crate::web::page::moved("/staff/")
}

/// Keeps `ROWS` of one more row than that, and says whether there was one.
pub fn cut<T>(mut rows: Vec<T>) -> (Vec<T>, bool) {
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    (rows, more)
}

/// A query string from what is set, in this order, percent-encoded.
#[must_use]
pub fn query(pairs: &[(&str, String)]) -> String {
    let encode = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    };
    let set: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    if set.is_empty() {
        String::new()
    } else {
        format!("?{}", set.join("&"))
    }
}

/// Silent, seen, or never heard of.
#[must_use]
pub fn heard(host: &crate::store::host::Host, now: crate::domain::time::Time) -> Tag {
    use crate::app::host::liveness::SILENT_S;
    use crate::web::ui::Tone;
    match host.last_seen_at.map(|at| now.seconds_since(at)) {
        None => Tag::new("Not enrolled", Tone::Plain),
        Some(seconds) if seconds > SILENT_S => Tag::new("Silent", Tone::Bad),
        Some(_) => Tag::new("Answers", Tone::Good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            query(&[
                ("state", "requested".into()),
                ("q", "a b&c=ü".into()),
                ("plan", String::new())
            ]),
            "?state=requested&q=a%20b%26c%3D%C3%BC"
        );
        assert_eq!(query(&[("q", String::new())]), "");
    }

    #[test]
    fn a_page_is_cut() {
        let (rows, more) = cut((0..=ROWS).collect());
        assert_eq!((rows.len(), more), (ROWS, true));
        assert_eq!(cut(vec![1]), (vec![1], false));
    }
}
