//! API tokens of whoever is signed in: made and shown once, revoked after a question.

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use super::show;
use crate::app::account::tokens::{Wish, scope_name};
use crate::domain::ids::TokenId;
use crate::domain::values::Label;
use crate::domain::words::TokenScope;
use crate::store;
use crate::store::account::tokens::ApiToken;
use crate::web::extract::{Form, FormData, Nothing, Path, Signed};
use crate::web::fault::Fault;
use crate::web::page::{self, Area, ConfirmPage, Flash, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Choice, Field, Input, Problems, When, Zone};

const LIST: &str = "/members/accounts";

#[derive(Debug, Template)]
#[template(path = "members/token.html")]
pub struct TokenPage {
    pub page: Page,
    pub label: String,
    pub token: String,
}

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
    #[must_use]
    pub fn new(row: &ApiToken, now: crate::domain::time::Time, zone: Zone) -> Self {
        Self {
            id: row.id.0,
            label: row.label.clone(),
            prefix: row.prefix.clone(),
            scope: scope_name(row.scope),
            made: zone.show(row.created_at.utc()),
            used: row.used_at.map(|at| zone.show(at.utc())),
            ends: row.expires_at.map(|at| zone.show(at.utc())),
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
impl FormData for TokenForm {}

impl TokenForm {
    #[must_use]
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
        [
            Field::text("label", "What is it for?").value(&self.label),
            Field::new("scope", "What may it do?", Input::Radios(scopes)).value(scope),
            Field::new("days", "Days until it ends", Input::Line("number"))
                .value(&self.days)
                .hint("Empty for never.")
                .short(),
        ]
        .into_iter()
        .map(|field| field.with(problems))
        .collect()
    }

    fn parse(&self) -> Result<Wish, Problems> {
        let mut problems = Problems::default();
        let label = problems.take("label", Label::parse(&self.label));
        let scope = self.scope.parse::<TokenScope>();
        let scope = problems.take("scope", scope.map_err(|_| "Choose what it may do"));
        let days = match self.days.trim() {
            "" => Ok(None),
            text => text.parse().map(Some),
        };
        let days = problems.take("days", days.map_err(|_| "Enter a whole number, or nothing"));
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

/// `POST /members/accounts/tokens`: shows the token, once, so no redirect; the same form sent again shows none.
pub async fn make(
    portal: Portal,
    signed: Signed,
    form: Form<TokenForm>,
) -> Result<HttpResponse, Fault> {
    let typed = form.0;
    let wish = match typed.parse() {
        Ok(wish) => wish,
        Err(problems) => return show::present_token(&portal, &signed, typed, problems).await,
    };
    let actor = signed.actor.clone();
    let label = wish.label.to_string();
    match portal::submit(&portal, move |app| app.make_token(&actor, &wish)).await? {
        Ok(Some(made)) => page::html(&TokenPage {
            page: signed
                .page(Area::Profile, "Your new API token")
                .crumb("Profile", "/members/accounts"),
            label,
            token: made.token,
        }),
        Ok(None) => Ok(page::see_other_saying(
            LIST,
            Flash::warn(
                "This form has made its token already, and a token is shown only once. If you did not keep it, revoke it and make another.",
            ),
        )),
        Err(problems) => show::present_token(&portal, &signed, typed, problems).await,
    }
}

/// `GET /members/accounts/tokens/{id}/revoke`
pub async fn ask_revoke(
    portal: Portal,
    signed: Signed,
    id: Path<i64>,
) -> Result<HttpResponse, Fault> {
    let user = signed.actor.user;
    let all = portal::read(&portal, move |conn| {
        store::account::tokens::of_user(conn, user)
    })
    .await?;
    let row = all
        .into_iter()
        .find(|row| row.id == TokenId(id.0))
        .ok_or(Fault::NotFound)?;
    page::html(&ConfirmPage {
        page: signed
            .page(Area::Profile, format!("Revoke the token {}?", row.label))
            .crumb("Profile", "/members/accounts"),
        consequences: vec![
            "Programs that use it are refused from then on. It cannot be brought back.".to_owned(),
        ],
        rows: Vec::new(),
        action: format!("/members/accounts/tokens/{}/revoke", id.0),
        hidden: Vec::new(),
        fields: Vec::new(),
        button: format!("Revoke {}", row.label),
        danger: true,
        back_url: format!("{LIST}#tokens"),
        back_label: "Keep it".to_owned(),
    })
}

/// `POST /members/accounts/tokens/{id}/revoke`
pub async fn revoke(
    portal: Portal,
    signed: Signed,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    let actor = signed.actor.clone();
    portal::run(&portal, move |app| app.revoke_token(&actor, TokenId(id.0))).await?;
    Ok(page::see_other_saying(
        LIST,
        Flash::good("The token is revoked."),
    ))
}
