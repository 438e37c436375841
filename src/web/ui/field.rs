//! Form fields and what is wrong with them. One text for a fault, shown in the summary and beside its field.

use std::str::FromStr;

use actix_web::http::StatusCode;
use askama::Template;
use askama::filters::HtmlSafe;

use super::field_name::field_name;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field's name, which is also its id; empty when the fault is the whole form's.
    pub field: &'static str,
    pub message: String,
}

#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push(Problem {
            field,
            message: message.into(),
        });
    }

    /// A form with one fault.
    pub fn one(field: &'static str, message: impl Into<String>) -> Self {
        Self(vec![Problem {
            field,
            message: message.into(),
        }])
    }

    /// Keeps the value, or notes why there is none.
    pub fn take<T, E: std::fmt::Display>(
        &mut self,
        field: &'static str,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed
            .map_err(|fault| self.add(field, fault.to_string()))
            .ok()
    }

    /// A whole number, or which one is not.
    pub fn whole<N: FromStr>(&mut self, field: &'static str, text: &str) -> Option<N> {
        let number = text.trim().parse().map_err(|_| {
            let label = field_name(field).unwrap_or_else(|| field.to_owned());
            format!("Enter a whole number for “{label}”")
        });
        self.take(field, number)
    }

    /// The same, said beside another field.
    pub fn renamed(mut self, from: &str, to: &'static str) -> Self {
        for problem in &mut self.0 {
            if problem.field == from {
                problem.field = to;
            }
        }
        self
    }

    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fields, each with what is wrong with it.
    pub fn on(&self, fields: impl IntoIterator<Item = Field>) -> Vec<Field> {
        fields.into_iter().map(|field| field.with(self)).collect()
    }

    /// Of the form that is shown: as it is, or again.
    pub fn status(&self) -> StatusCode {
        if self.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }

    pub fn of(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|problem| problem.field == field)
            .map(|problem| problem.message.as_str())
    }
}

/// A form as it is shown: anew, or again as it was typed, with what is wrong with it.
#[derive(Debug)]
pub struct FormState<T> {
    pub typed: Option<T>,
    pub problems: Problems,
}

impl<T> FormState<T> {
    pub fn anew() -> Self {
        Self {
            typed: None,
            problems: Problems::default(),
        }
    }

    pub fn again(typed: T, problems: Problems) -> Self {
        Self {
            typed: Some(typed),
            problems,
        }
    }
}

#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub value: String,
    pub label: String,
    /// Of checkboxes; of the others the field's value decides.
    pub chosen: bool,
}

impl Choice {
    pub fn new(value: impl ToString, label: impl Into<String>) -> Self {
        Self {
            value: value.to_string(),
            label: label.into(),
            chosen: false,
        }
    }

    /// With a first one for none of them.
    pub fn any(label: &str, of: impl IntoIterator<Item = Self>) -> Vec<Self> {
        std::iter::once(Self::new("", label)).chain(of).collect()
    }

    pub fn chosen(mut self, chosen: bool) -> Self {
        self.chosen = chosen;
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `<input type=…>`
    Line(&'static str),
    /// One of these words; what is stored is among them even where it is not one of them.
    Words(&'static [&'static str]),
    /// `<textarea rows=…>`
    Area(u8),
    Select(Vec<Choice>),
    Radios(Vec<Choice>),
    Checks(Vec<Choice>),
    /// One box; sends `yes`.
    Check,
}

#[must_use]
#[derive(Debug, Clone, Template)]
#[template(path = "ui/field.html")]
pub struct Field {
    pub name: &'static str,
    pub label: String,
    pub input: Input,
    pub value: String,
    pub hint: Option<String>,
    pub error: Option<String>,
    pub autocomplete: Option<&'static str>,
    pub short: bool,
}
impl HtmlSafe for Field {}

impl Field {
    pub fn new(name: &'static str, label: impl Into<String>, input: Input) -> Self {
        Self {
            name,
            label: label.into(),
            input,
            value: String::new(),
            hint: None,
            error: None,
            autocomplete: None,
            short: false,
        }
    }

    pub fn text(name: &'static str, label: impl Into<String>) -> Self {
        Self::new(name, label, Input::Line("text"))
    }

    pub fn number(name: &'static str, label: impl Into<String>) -> Self {
        Self::new(name, label, Input::Line("number")).short()
    }

    /// A password is never written back into the page.
    pub fn password(
        name: &'static str,
        label: impl Into<String>,
        autocomplete: &'static str,
    ) -> Self {
        Self {
            autocomplete: Some(autocomplete),
            ..Self::new(name, label, Input::Line("password"))
        }
    }

    pub fn select(name: &'static str, label: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self::new(name, label, Input::Select(choices))
    }

    pub fn value(mut self, value: impl ToString) -> Self {
        self.value = value.to_string();
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn autocomplete(mut self, what: &'static str) -> Self {
        self.autocomplete = Some(what);
        self
    }

    pub fn short(mut self) -> Self {
        self.short = true;
        self
    }

    /// Shows what is wrong with this field, if anything is.
    pub fn with(mut self, problems: &Problems) -> Self {
        self.error = problems.of(self.name).map(str::to_owned);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faulty_field_keeps_its_text_and_names_its_fault() {
        let problems = Problems::one("label", "Enter a label of 32 characters or fewer");
        let html = Field::text("label", "Label")
            .value("<b>\"x\"")
            .hint("As it is shown")
            .with(&problems)
            .to_string();
        assert!(
            html.contains(r#"<label for="label">Label</label>"#),
            "{html}"
        );
        assert!(html.contains("value=\"&#60;b&#62;&#34;x&#34;\""), "{html}");
        assert!(
            html.contains(r#"aria-describedby="label-hint label-error" aria-invalid="true""#),
            "{html}"
        );
        assert!(
            html.contains("Enter a label of 32 characters or fewer"),
            "{html}"
        );
    }

    #[test]
    fn choices_are_chosen_by_value() {
        let field = Field::select(
            "state",
            "State",
            vec![Choice::new("a", "A"), Choice::new("b", "B")],
        )
        .value("b")
        .to_string();
        assert!(
            field.contains(r#"<option value="b" selected>B</option>"#),
            "{field}"
        );
        let radios = Field::new(
            "when",
            "When",
            Input::Radios(vec![
                Choice::new("now", "Now"),
                Choice::new("at", "At a time"),
            ]),
        )
        .value("now")
        .to_string();
        assert!(
            radios.contains(r#"id="when" name="when" value="now" checked"#),
            "{radios}"
        );
        assert!(
            radios.contains(r#"id="when-1" name="when" value="at""#),
            "{radios}"
        );
    }
}
