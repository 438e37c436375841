//! What an act on many did, and what was refused of it, with why.

use askama::Template;

use super::layout::Page;

#[derive(Debug, Template)]
#[template(path = "layout/refused.html")]
pub struct DonePage {
    pub page: Page,
    pub done: usize,
    pub past: &'static str,
    pub refused: Vec<(String, String)>,
    pub back_url: String,
}
