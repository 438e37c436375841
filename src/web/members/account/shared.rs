//! API tokens as the profile and their own page show them.

use serde::Deserialize;

use crate::app::account::tokens::{Wish, scope_name};
use crate::domain::account::TokenScope;
use crate::domain::values::Label;
use crate::store::account::tokens::ApiToken;
use crate::web::ui::{Choice, Field, Input, Problems, When, Zone};

#[derive(Debug)]
pub struct TokenRow {
    pub id: i64,
    pub label: String,
    pub prefix: String,
    pub scope: &'static str,
    pub made: When,
    pub used: Option<When>,
    pub ends: Option<When>,
    pub over: bool,
}

impl TokenRow {
    pub fn new(row: &ApiToken, now: crate::domain::time::Time, zone: Zone) -> Self {
        Self {
            id: row.id.0,
            label: row.label.clone(),
            prefix: row.prefix.clone(),
            scope: scope_name(row.scope),
            made: zone.show(row.created_at),
            used: row.used_at.map(|at| zone.show(at)),
            ends: row.expires_at.map(|at| zone.show(at)),
            over: row.expires_at.is_some_and(|at| at <= now),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenForm {
    /// Of the page that showed the form: one page makes one token.
    form: String,
    label: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    days: String,
}

impl TokenForm {
    pub fn fields(&self, problems: &Problems) -> Vec<Field> {
        let scopes = vec![
            Choice::new(TokenScope::ReadOnly, "Read only"),
            Choice::new(TokenScope::ReadWrite, "Read and change"),
        ];
        let scope = if self.scope.is_empty() {
            TokenScope::ReadOnly.to_string()
        } else {
            self.scope.clone()
        };
        problems.on([
            Field::text("label", "What is it for?").value(&self.label),
            Field::new("scope", "What may it do?", Input::Radios(scopes)).value(scope),
            Field::number("days", "Days until it ends")
                .value(&self.days)
                .hint("Empty for never."),
        ])
    }

    pub(super) fn parse(&self) -> Result<Wish, Problems> {
        let mut problems = Problems::default();
        let label = problems.take("label", Label::parse(&self.label));
        let scope = self.scope.parse::<TokenScope>();
        let scope = problems.take("scope", scope.map_err(|_| "Choose what it may do"));
        let days = match self.days.trim() {
            "" => Ok(None),
            text => text.parse().map(Some),
        };
        let days = problems.take(
            "days",
            days.map_err(|_| "Enter a whole number of days, or nothing"),
        );
        match (label, scope, days) {
            (Some(label), Some(scope), Some(days)) => Ok(Wish {
                label,
                scope,
                days,
                form: self.form.clone(),
            }),
            _ => Err(problems),
        }
    }
}
