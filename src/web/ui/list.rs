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
