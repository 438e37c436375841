//! A question before something that cannot be taken back.

use askama::Template;

use super::answer::html_status;
use super::layout::Page;
use crate::web::fault::Response;
use crate::web::ui::Field;

/// What follows from it, and one button that names it.
#[must_use]
#[derive(Debug, Template)]
#[template(path = "layout/confirm.html")]
pub struct ConfirmPage {
    page: Page,
    consequences: Vec<String>,
    rows: Vec<String>,
    action: String,
    hidden: Vec<(&'static str, String)>,
    fields: Vec<Field>,
    button: String,
    danger: bool,
    back_url: String,
    back_label: String,
}

impl ConfirmPage {
    /// `button` sends the form to `action`.
    pub fn new(page: Page, button: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            page,
            consequences: Vec::new(),
            rows: Vec::new(),
            action: action.into(),
            hidden: Vec::new(),
            fields: Vec::new(),
            button: button.into(),
            danger: false,
            back_url: String::new(),
            back_label: String::new(),
        }
    }

    /// Where to, instead.
    pub fn back(mut self, url: impl Into<String>, label: impl Into<String>) -> Self {
        (self.back_url, self.back_label) = (url.into(), label.into());
        self
    }

    /// What follows from it, a line each.
    pub fn says(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.consequences.extend(lines.into_iter().map(Into::into));
        self
    }

    /// What it is done to, one line each.
    pub fn rows(mut self, rows: Vec<String>) -> Self {
        self.rows = rows;
        self
    }

    pub fn hidden(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.hidden.push((name, value.into()));
        self
    }

    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field.with(&self.page.problems));
        self
    }

    pub fn danger(mut self, danger: bool) -> Self {
        self.danger = danger;
        self
    }

    pub fn html(&self) -> Response {
        html_status(self.page.problems.status(), self)
    }
}
