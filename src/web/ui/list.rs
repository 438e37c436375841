//! Keyset paging: a link to the first page and one to the next; the keys live in the URL.

use askama::Template;
use askama::filters::HtmlSafe;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

#[derive(Debug, Clone, Default, Template)]
#[template(path = "ui/pager.html")]
pub struct Pager {
    /// Shown from the second page on.
    pub first: Option<String>,
    pub next: Option<String>,
}
impl HtmlSafe for Pager {}

impl Pager {
    /// There are other pages.
    pub fn is_of_many(&self) -> bool {
        self.first.is_some() || self.next.is_some()
    }
}

/// A query string from what is set, in this order, percent-encoded.
pub fn query(pairs: &[(&str, impl AsRef<str>)]) -> String {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    let set: Vec<String> = pairs
        .iter()
        .map(|(name, value)| (name, value.as_ref()))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ENCODED)))
        .collect();
    if set.is_empty() {
        String::new()
    } else {
        format!("?{}", set.join("&"))
    }
}

/// A tab over a list: a state with its count.
#[derive(Debug)]
pub struct StateTab {
    pub url: String,
    pub label: String,
    pub count: i64,
    pub current: bool,
}

impl StateTab {
    pub fn new(url: String, label: impl Into<String>, count: i64, current: bool) -> Self {
        Self {
            url,
            label: label.into(),
            count,
            current,
        }
    }
}

/// How many are in the states that fit.
pub fn count<S>(counts: &[(S, i64)], fits: impl Fn(&S) -> bool) -> i64 {
    let fitting = counts.iter().filter(|(state, _)| fits(state));
    fitting.map(|(_, count)| *count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            query(&[("state", "requested"), ("q", "a b&c=ü"), ("plan", "")]),
            "?state=requested&q=a%20b%26c%3D%C3%BC"
        );
        assert_eq!(query(&[("q", "")]), "");
    }
}
