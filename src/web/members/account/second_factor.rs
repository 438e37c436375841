//! `/members/accounts/second-factor`: set up, changed, taken away; recovery codes, shown once.

use askama::Template;
use serde::Deserialize;

use super::enter::NextQuery;
use crate::app::App;
use crate::app::account::second_factor::Setup;
use crate::app::doors::Door;
use crate::web::again::code;
use crate::web::extract::{Form, Nothing, Query, Signed};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, ConfirmPage, Page};
use crate::web::ui::qr::Qr;
use crate::web::ui::{Field, Problems, When};

const PROFILE: &str = "/members/accounts";
const HERE: &str = "/members/accounts/second-factor";

#[derive(Debug, Template)]
#[template(path = "members/account/second_factor.html")]
pub struct SecondFactorPage {
    pub page: Page,
    pub since: When,
    pub codes: i64,
    pub required: bool,
}

#[derive(Debug, Template)]
#[template(path = "members/account/setup.html")]
pub struct SetupPage {
    pub page: Page,
    pub picture: Qr,
    /// The same, to be typed into an app.
    pub key: String,
    pub sealed: String,
    pub code: Field,
    pub next: String,
    pub replaces: bool,
}

#[derive(Debug, Template)]
#[template(path = "members/account/recovery_codes.html")]
pub struct RecoveryCodesPage {
    pub page: Page,
    pub codes: Vec<String>,
    pub next: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupForm {
    code: String,
    sealed: String,
    #[serde(default)]
    next: String,
}

/// `GET /members/accounts/second-factor`
pub async fn show(signed: Signed) -> Response {
    let standing = signed.act(App::second_factor).await?;
    let Some(since) = standing.since else {
        return Ok(page::see_other(&format!("{HERE}/setup")));
    };
    page::html(&SecondFactorPage {
        since: signed.zone().show(since),
        codes: standing.codes,
        required: standing.required,
        page: signed
            .page(Area::Profile, "Second factor")
            .crumb("Profile", PROFILE),
    })
}

fn setup_page(signed: &Signed, setup: Setup, next: &str, problems: Problems) -> Result<SetupPage> {
    let user = &signed.visitor.user;
    let url = setup
        .key
        .url(&signed.portal.settings.programme_name, &user.email);
    let page = signed
        .page(Area::Profile, "Set a second factor up")
        .crumb("Profile", PROFILE)
        .problems(problems);
    let code = code()
        .hint("Six digits that your app shows for this portal now")
        .with(&page.problems);
    Ok(SetupPage {
        picture: Qr::new(&url).map_err(Fault::internal)?,
        key: setup.key.text(),
        sealed: setup.sealed,
        code,
        next: page::own_path(next).unwrap_or_default().to_owned(),
        replaces: user.second_factor_at.is_some(),
        page,
    })
}

/// `GET /members/accounts/second-factor/setup`
pub async fn begin(signed: Signed, query: Query<NextQuery>) -> Response {
    let setup = signed.act(App::new_second_factor).await?;
    page::html(&setup_page(
        &signed,
        setup,
        &query.0.next,
        Problems::default(),
    )?)
}

/// `POST /members/accounts/second-factor/setup`: shows the recovery codes, once, so no redirect.
pub async fn set(signed: Signed, form: Form<SetupForm>) -> Response {
    // Whoever has a session that is not theirs could try codes of a key of their own: that opens nothing, and costs little.
    signed.knock(Door::Token)?;
    let SetupForm { code, sealed, next } = form.0;
    let setup = signed
        .act(move |app, actor| app.second_factor_of(actor, sealed))
        .await
        .map_err(|fault| fault.at(format!("{HERE}/setup"), "Begin anew"))?;
    let tried = setup.clone();
    match signed
        .submit(move |app, actor| app.set_second_factor(actor, &tried, &code))
        .await?
    {
        Ok(codes) => codes_page(&signed, codes, &next),
        Err(problems) => {
            let page = setup_page(&signed, setup, &next, problems)?;
            page::refused(&page)
        }
    }
}

fn codes_page(signed: &Signed, codes: Vec<String>, next: &str) -> Response {
    page::html(&RecoveryCodesPage {
        page: signed
            .page(Area::Profile, "Your recovery codes")
            .crumb("Profile", PROFILE),
        codes,
        next: page::own_path(next).unwrap_or(HERE).to_owned(),
    })
}

/// `GET /members/accounts/second-factor/remove`
pub async fn ask_remove(signed: Signed) -> Response {
    let standing = signed.act(App::second_factor).await?;
    if standing.since.is_none() || standing.required {
        return Ok(page::see_other(HERE));
    }
    let page = signed
        .page(Area::Profile, "Take the second factor away?")
        .crumb("Profile", PROFILE)
        .crumb("Second factor", HERE);
    ConfirmPage::new(page, "Take it away", format!("{HERE}/remove"))
        .says([
            "From then on, whoever has your password can sign in as you. Your recovery codes are good for nothing any more.",
        ])
        .danger(true)
        .back(HERE, "Keep it")
        .html()
}

/// `POST /members/accounts/second-factor/remove`
pub async fn remove(signed: Signed, _: Form<Nothing>) -> Response {
    signed
        .act(App::remove_second_factor)
        .await
        .map_err(|fault| fault.at(HERE, "Your second factor"))?;
    page::said(PROFILE, "The second factor is taken away.")
}

/// `GET /members/accounts/second-factor/codes`
pub async fn ask_codes(signed: Signed) -> Response {
    let standing = signed.act(App::second_factor).await?;
    if standing.since.is_none() {
        return Ok(page::see_other(HERE));
    }
    let page = signed
        .page(Area::Profile, "Make new recovery codes?")
        .crumb("Profile", PROFILE)
        .crumb("Second factor", HERE);
    ConfirmPage::new(page, "Make new recovery codes", format!("{HERE}/codes"))
        .says(["Those you have are good for nothing any more. The new ones are shown once."])
        .back(HERE, "Keep those I have")
        .html()
}

/// `POST /members/accounts/second-factor/codes`: shows them, once, so no redirect.
pub async fn make_codes(signed: Signed, _: Form<Nothing>) -> Response {
    signed.knock(Door::Token)?;
    let codes = signed
        .act(App::new_recovery_codes)
        .await
        .map_err(|fault| fault.at(HERE, "Your second factor"))?;
    codes_page(&signed, codes, HERE)
}
