//! `/members/accounts`: profile, time zone, password, where one is signed in, mails, and API tokens.

use askama::Template;
use serde::Deserialize;

use super::mail_choices;
use super::shared::{TokenForm, TokenRow};
use crate::app::error::AppError;
use crate::app::secrets;
use crate::domain::account::role_words;
use crate::domain::ids::SessionId;
use crate::domain::time::Time;
use crate::store;
use crate::store::account::User;
use crate::store::account::session::Session;
use crate::store::account::tokens::ApiToken;
use crate::web::extract::{Form, Nothing, Path, Signed};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::ui::{Field, Input, Problems, When, ZONES};

#[derive(Debug, Template)]
#[template(path = "members/account/show.html")]
pub struct AccountPage {
    pub page: Page,
    pub email: String,
    pub account: Option<String>,
    /// Of the staff, with what it is for.
    pub role: Option<String>,
    pub name: Field,
    pub timezone: Field,
    pub password: Field,
    pub new_password: Field,
    pub second_factor: Option<When>,
    pub sessions: Vec<SessionRow>,
    pub notices: Vec<Field>,
    pub tokens: Vec<TokenRow>,
    pub token_fields: Vec<Field>,
    /// So that one page makes one token.
    pub token_form: String,
}

/// What the page is made from besides what is typed.
pub struct Loaded {
    /// The one that asks.
    session: SessionId,
    pub account: Option<String>,
    pub sessions: Vec<Session>,
    pub muted: Vec<String>,
    pub tokens: Vec<ApiToken>,
    pub token_form: String,
    pub now: Time,
}

#[derive(Debug)]
pub struct SessionRow {
    pub id: i64,
    pub agent: String,
    pub address: String,
    pub began: When,
    pub seen: When,
    pub is_this: bool,
}

/// What the profile form holds: as stored, or as typed.
#[derive(Debug, Clone)]
pub struct Typed {
    pub name: String,
    pub timezone: String,
    pub token: TokenForm,
}

impl AccountPage {
    pub fn new(page: Page, user: &User, typed: Typed, facts: Loaded) -> Self {
        let zone = page.zone();
        let problems = &page.problems;
        Self {
            email: user.email.clone(),
            account: facts.account,
            role: user
                .staff_role
                .map(|role| format!("{role}: {}", role_words(role))),
            notices: mail_choices::fields(&facts.muted, user.staff_role),
            tokens: facts
                .tokens
                .iter()
                .map(|row| TokenRow::new(row, facts.now, zone))
                .collect(),
            token_fields: typed.token.fields(problems),
            token_form: facts.token_form,
            name: Field::text("name", "Name")
                .value(typed.name)
                .autocomplete("name")
                .with(problems),
            timezone: Field::new("timezone", "Time zone", Input::Words(&ZONES))
                .value(typed.timezone)
                .hint("Times on pages and in mails are shown in it.")
                .with(problems),
            password: Field::password("password", "Present password", "current-password")
                .with(problems),
            new_password: Field::password("new_password", "New password", "new-password")
                .hint("12 characters or more")
                .with(problems),
            second_factor: user.second_factor_at.map(|at| zone.show(at)),
            sessions: facts
                .sessions
                .iter()
                .map(|session| SessionRow {
                    id: session.id.0,
                    agent: agent_name(&session.user_agent),
                    address: session.address.clone(),
                    began: zone.show(session.created_at),
                    seen: zone.show(session.seen_at),
                    is_this: session.id == facts.session,
                })
                .collect(),
            page,
        }
    }
}

/// `Firefox on Linux`, where that can be told from what the browser says of itself.
fn agent_name(agent: &str) -> String {
    let find = |known: &[(&str, &'static str)]| {
        known
            .iter()
            .find(|(mark, _)| agent.contains(mark))
            .map(|(_, name)| *name)
    };
    let browser = find(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) if agent.is_empty() => "Unknown program".to_owned(),
        (None, None) => agent.chars().take(60).collect(),
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileForm {
    name: String,
    timezone: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordForm {
    password: String,
    new_password: String,
}

const HERE: &str = "/members/accounts";

async fn present(signed: &Signed, typed: Option<Typed>, problems: Problems) -> Response {
    let (user, session) = (signed.visitor.user.clone(), signed.visitor.session.id);
    let (id, account) = (user.id, user.account_id);
    let facts = portal::run(&signed.portal, move |app| {
        let now = app.now();
        let idle_since = now.plus_s(-app.settings.session_idle_s);
        let token_form = secrets::new_token()?;
        app.db.read(|conn| {
            let account = account
                .map(|id| store::account::account(conn, id))
                .transpose()?
                .flatten();
            Ok::<_, AppError>(Loaded {
                account: account.map(|account| account.name),
                sessions: store::account::session::sessions_of(conn, id, now, idle_since)?,
                muted: store::account::mail_choices::muted(conn, id)?,
                tokens: store::account::tokens::of_user(conn, id)?,
                session,
                token_form,
                now,
            })
        })
    })
    .await?;
    let status = problems.status();
    let typed = typed.unwrap_or_else(|| Typed {
        name: user.name.clone(),
        timezone: user.timezone.clone(),
        token: TokenForm::default(),
    });
    let page = signed.page(Area::Profile, "Profile").problems(problems);
    page::html_status(status, &AccountPage::new(page, &user, typed, facts))
}

/// The page again, with a token's form as it was typed.
pub(in crate::web::members) async fn present_token(
    signed: &Signed,
    token: TokenForm,
    problems: Problems,
) -> Response {
    let typed = Typed {
        name: signed.visitor.user.name.clone(),
        timezone: signed.visitor.user.timezone.clone(),
        token,
    };
    present(signed, Some(typed), problems).await
}

/// `GET /members/accounts`
pub async fn show(signed: Signed) -> Response {
    present(&signed, None, Problems::default()).await
}

/// `POST /members/accounts/profile`
pub async fn save_profile(signed: Signed, form: Form<ProfileForm>) -> Response {
    let sent = form.0.clone();
    match signed
        .submit(move |app, actor| app.change_profile(actor, &sent.name, sent.timezone.trim()))
        .await?
    {
        Ok(()) => page::said(HERE, "Your profile is saved."),
        Err(problems) => {
            present(
                &signed,
                Some(Typed {
                    name: form.0.name,
                    timezone: form.0.timezone,
                    token: TokenForm::default(),
                }),
                problems,
            )
            .await
        }
    }
}

/// `POST /members/accounts/password`
pub async fn change_password(signed: Signed, form: Form<PasswordForm>) -> Response {
    let (visitor, address) = (signed.visitor.clone(), signed.address());
    let call = move |app: &crate::app::App| {
        app.change_password(&visitor, &form.0.password, &form.0.new_password, &address)
    };
    match portal::submit_hashing(&signed.portal, call).await? {
        Ok(0) => page::said(
            HERE,
            "Your password is changed, and your other sessions have ended.",
        ),
        Ok(_) => page::said(
            HERE,
            "Your password is changed, your other sessions have ended, and your API tokens are revoked.",
        ),
        Err(problems) => present(&signed, None, problems).await,
    }
}

/// `POST /members/accounts/sessions/{id}/end`
pub async fn end_session(signed: Signed, id: Path<i64>, _: Form<Nothing>) -> Response {
    let (visitor, address) = (signed.visitor.clone(), signed.address());
    portal::run(&signed.portal, move |app| {
        app.end_sessions(&visitor, Some(SessionId(id.0)), &address)
    })
    .await?;
    page::said(HERE, "That session has ended.")
}

/// `POST /members/accounts/sessions/end-others`
pub async fn end_others(signed: Signed, _: Form<Nothing>) -> Response {
    let (visitor, address) = (signed.visitor.clone(), signed.address());
    portal::run(&signed.portal, move |app| {
        app.end_sessions(&visitor, None, &address)
    })
    .await?;
    page::said(HERE, "All your other sessions have ended.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named() {
        assert_eq!(
            agent_name("Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"),
            "Firefox on Linux"
        );
        assert_eq!(agent_name("curl/8.5.0"), "curl");
        assert_eq!(agent_name(""), "Unknown program");
    }
}
