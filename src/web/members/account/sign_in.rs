//! Pages for who is not signed in: the start, sign-in, and the reset of a forgotten password.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::code;
use super::enter::{NextQuery, Way, cookie, enter, home_of, set_cookies};
use crate::app::App;
use crate::app::account::sign_in::{Entry, HALF_S};
use crate::app::doors::Door;
use crate::web::again;
use crate::web::context::{Context, cookie_names};
use crate::web::extract::{Client, Form, Nothing, Path, Query, Signed};
use crate::web::fault::{Response, Result};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::settings::Settings;
use crate::web::ui::{Field, Input, Problems};

#[derive(Debug, Template)]
#[template(path = "members/account/sign_in.html")]
pub struct LoginPage {
    pub page: Page,
    pub email: Field,
    pub password: Field,
    /// Where to go on after sign-in: a path of this site, checked.
    pub next: Option<String>,
    /// A form that is to be sent again then: its path and what it held.
    pub again: Option<(String, String)>,
}

#[derive(Debug, Template)]
#[template(path = "members/account/forgot.html")]
pub struct ForgotPage {
    pub page: Page,
    pub email: Field,
}

#[derive(Debug, Template)]
#[template(path = "members/account/forgot_sent.html")]
pub struct ForgotSentPage {
    pub page: Page,
}

#[derive(Debug, Template)]
#[template(path = "members/account/reset.html")]
pub struct ResetPage {
    pub page: Page,
    /// The link's token, for the form's own address; `None` when the link is used up or never was.
    pub token: Option<String>,
    pub password: Field,
}

/// Sign-in and password forms.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInForm {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    again: String,
    #[serde(default)]
    typed: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgotForm {
    email: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetForm {
    password: String,
}

fn login_page(context: &Context, typed: &SignInForm, problems: Problems) -> LoginPage {
    let mut page = Page::new(context, Area::None, "Sign in").problems(problems);
    page.offer_sign_in = false;
    let (email, password) = again::fields();
    LoginPage {
        email: email.value(&typed.email).with(&page.problems),
        password: password.with(&page.problems),
        again: again::unpack(&typed.typed).map(|_| (typed.again.clone(), typed.typed.clone())),
        next: page::own_path(&typed.next).map(str::to_owned),
        page,
    }
}

/// `GET /login`
pub async fn login(context: Context, signed: Result<Signed>, query: Query<NextQuery>) -> Response {
    if let Ok(signed) = signed {
        let home = home_of(signed.actor.account).url;
        return Ok(page::see_other(
            page::own_path(&query.0.next).unwrap_or(&home),
        ));
    }
    let typed = SignInForm {
        next: query.0.next,
        ..SignInForm::default()
    };
    page::html(&login_page(&context, &typed, Problems::default()))
}

/// `POST /login`
pub async fn sign_in(
    portal: Portal,
    settings: web::Data<Settings>,
    context: Context,
    client: Client,
    form: Form<SignInForm>,
) -> Response {
    let typed = form.0.clone();
    let address = client.address.to_string();
    let call =
        move |app: &App| app.sign_in(&form.0.email, &form.0.password, client.origin(&address));
    let entry = match portal::submit_hashing(&portal, call).await? {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            let problems =
                Problems::one("email", "The e-mail address or the password is not right");
            return page::refused(&login_page(&context, &typed, problems));
        }
        Err(problems) => {
            return page::refused(&login_page(&context, &typed, problems));
        }
    };
    let way = Way {
        next: typed.next,
        again: typed.again,
        typed: typed.typed,
    };
    match entry {
        Entry::In(signed_in) => enter(&portal, &settings, &context, (&way, &signed_in)),
        Entry::Half(token) => {
            let names = cookie_names(settings.secure());
            let half = cookie(&settings, names.half, &token, HALF_S);
            let page = code::code_page(&context, way, Problems::default());
            set_cookies(page::html(&page)?, [half])
        }
    }
}

/// `POST /logout`: also for a session that has ended already.
pub async fn sign_out(
    portal: Portal,
    settings: web::Data<Settings>,
    signed: Result<Signed>,
    _: Form<Nothing>,
) -> Response {
    if let Ok(signed) = signed {
        portal::run(&portal, move |app| {
            app.sign_out(&signed.visitor, &signed.actor.address)
        })
        .await?;
    }
    let names = cookie_names(settings.secure());
    set_cookies(
        page::see_other_saying("/login", page::Flash::good("You are signed out.")),
        [cookie(&settings, names.session, "", 0)],
    )
}

/// `GET /password/forgot`
pub async fn forgot(context: Context) -> Response {
    let email =
        Field::new("email", "E-mail address", Input::Line("email")).autocomplete("username");
    page::html(&ForgotPage {
        page: Page::new(&context, Area::None, "Reset your password"),
        email,
    })
}

/// `POST /password/forgot`: the same answer whether or not there is such a person, and before anybody looks.
pub async fn send_reset(portal: Portal, client: Client, form: Form<ForgotForm>) -> Response {
    let address = client.address.to_string();
    portal.doors.knock(Door::Forgot, &address)?;
    portal::later(&portal, move |app| {
        app.forgot_password(&form.0.email, client.origin(&address))
    })?;
    Ok(page::see_other("/password/forgot/sent"))
}

/// `GET /password/forgot/sent`
pub async fn forgot_sent(context: Context) -> Response {
    page::html(&ForgotSentPage {
        page: Page::new(&context, Area::None, "Look at your mail"),
    })
}

fn reset_page(context: &Context, token: Option<String>, problems: Problems) -> ResetPage {
    let page = Page::new(context, Area::None, "Set a new password").problems(problems);
    let password = Field::password("password", "New password", "new-password")
        .hint("12 characters or more")
        .with(&page.problems);
    ResetPage {
        page,
        token,
        password,
    }
}

/// `GET /password/reset/{token}`
pub async fn reset(
    portal: Portal,
    context: Context,
    client: Client,
    token: Path<String>,
) -> Response {
    let address = client.address.to_string();
    portal.doors.knock(Door::Reset, &address)?;
    let asked = token.0.clone();
    let good = portal::run(&portal, move |app| app.reset_is_good(&asked)).await?;
    page::html(&reset_page(
        &context,
        good.then_some(token.0),
        Problems::default(),
    ))
}

/// `POST /password/reset/{token}`
pub async fn set_password(
    portal: Portal,
    context: Context,
    client: Client,
    token: Path<String>,
    form: Form<ResetForm>,
) -> Response {
    let address = client.address.to_string();
    portal.doors.knock(Door::Reset, &address)?;
    let asked = token.0.clone();
    let call =
        move |app: &App| app.reset_password(&asked, &form.0.password, client.origin(&address));
    match portal::submit_hashing(&portal, call).await? {
        Ok(()) => page::said("/login", "Your password is set. Sign in with it."),
        Err(problems) => page::refused(&reset_page(&context, Some(token.0), problems)),
    }
}
