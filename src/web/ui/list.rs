//! Keyset paging: a link to the first page and one to the next; the keys live in the URL.

use askama::Template;
use askama::filters::HtmlSafe;

#[derive(Debug, Clone, Default, Template)]
#[template(path = "ui/pager.html")]
pub struct Pager {
    /// Shown from the second page on.
    pub first: Option<String>,
    pub next: Option<String>,
}
impl HtmlSafe for Pager {}

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

/// Keeps `ROWS` of one more row than that, and says whether there was one.
pub fn cut<T>(mut rows: Vec<T>) -> (Vec<T>, bool) {
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    (rows, more)
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
