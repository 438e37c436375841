//! Paragraphs and lists of a text, until the Markdown renderer is here.

use askama::Template;
use askama::filters::HtmlSafe;

#[derive(Debug, Template)]
#[template(
    source = "{% for part in parts %}{% if part.list %}<ul>{% for line in part.lines %}<li>{{ line }}</li>{% endfor %}</ul>{% else %}<p>{% for line in part.lines %}{{ line }} {% endfor %}</p>{% endif %}{% endfor %}",
    ext = "html"
)]
pub struct Markdown {
    parts: Vec<Part>,
}
impl HtmlSafe for Markdown {}

#[derive(Debug)]
struct Part {
    list: bool,
    lines: Vec<String>,
}

impl Markdown {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let parts = text
            .split("\n\n")
            .filter(|part| !part.trim().is_empty())
            .map(|part| Part {
                list: part.trim_start().starts_with(['-', '1']),
                lines: part.trim().lines().map(str::to_owned).collect(),
            })
            .collect();
        Self { parts }
    }
}
