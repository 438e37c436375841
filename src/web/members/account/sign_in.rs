//! Pages for who is not signed in: the start, sign-in, and the reset of a forgotten password.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::app::account::sign_in::SignedIn;
use crate::app::doors::Door;
use crate::domain::ids::AccountId;
use crate::web::again::{self, Kept};
use crate::web::context::{Context, Typed, Viewer, cookie_names};
use crate::web::csrf;
use crate::web::extract::{Client, Form, Nothing, Path, Query, Signed};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::settings::Settings;
use crate::web::ui::{Field, Input, Link, Problems};

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
#[template(path = "members/account/again.html")]
pub struct AgainPage {
    pub page: Page,
    pub kept: Kept,
    pub home: Link,
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

impl SignInForm {
    /// What is to be sent again, if anything is.
    fn typed(&self) -> Option<Typed> {
        Some(Typed {
            pairs: again::unpack(&self.typed)?,
            whole: true,
            files: false,
        })
    }
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NextQuery {
    next: String,
}

/// Where someone starts: their Linodes, or the staff dashboard for staff without an account.
fn home_of(account: Option<AccountId>) -> Link {
    if account.is_some() {
        Link::new("/members/", "Go to your Linodes")
    } else {
        Link::new("/staff/", "Go to the staff dashboard")
    }
}

fn login_page(context: &Context, typed: &SignInForm, problems: Problems) -> LoginPage {
    let mut page = Page::new(context, Area::None, "Sign in").problems(problems);
    page.offer_sign_in = false;
    let (email, password) = again::fields();
    LoginPage {
        email: email.value(&typed.email).with(&page.problems),
        password: password.with(&page.problems),
        again: typed
            .typed()
            .map(|_| (typed.again.clone(), typed.typed.clone())),
        next: page::own_path(&typed.next).map(str::to_owned),
        page,
    }
}

/// `GET /login`
pub async fn login(
    context: Context,
    signed: Result<Signed, Fault>,
    query: Query<NextQuery>,
) -> Response {
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
    let signed_in = match portal::submit_hashing(&portal, call).await? {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => {
            let problems =
                Problems::one("email", "The e-mail address or the password is not right");
            return page::refused(&login_page(&context, &typed, problems));
        }
        Err(problems) => {
            return page::refused(&login_page(&context, &typed, problems));
        }
    };
    let names = cookie_names(settings.secure());
    let (token, seconds) = (&signed_in.token, portal.settings.session_s);
    set_cookies(
        go_on(&context, &typed, &signed_in)?,
        [
            cookie(&settings, names.session, token, seconds),
            cookie(&settings, names.device, &signed_in.device, DEVICE_S),
            cookie(&settings, names.before, "", 0),
        ],
    )
}

/// To where they wanted to go; or a form that could not be taken without a sign-in is shown, to be sent again.
fn go_on(context: &Context, form: &SignInForm, signed_in: &SignedIn) -> Response {
    let user = &signed_in.user;
    let home = home_of(user.account_id);
    let Some(typed) = form.typed() else {
        let next = page::own_path(&form.next).unwrap_or(&home.url);
        return Ok(page::see_other(next));
    };
    context.set_viewer(Viewer::of(user));
    let csrf = csrf::make(&signed_in.token);
    let mut page = Page::new(context, Area::None, "Send it again");
    page.csrf.clone_from(&csrf);
    page::html(&AgainPage {
        page,
        kept: Kept::again(&typed, &form.again, &csrf, false),
        home,
    })
}

/// A device is known for half a year after somebody signed in on it last.
const DEVICE_S: i64 = 182 * 86_400;

fn cookie(settings: &Settings, name: &'static str, value: &str, seconds: i64) -> Cookie<'static> {
    Cookie::build(name, value.to_owned())
        .path("/")
        .http_only(true)
        .secure(settings.secure())
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(seconds))
        .finish()
}

fn set_cookies<const N: usize>(
    mut answer: HttpResponse,
    cookies: [Cookie<'static>; N],
) -> Response {
    for cookie in cookies {
        answer.add_cookie(&cookie).map_err(Fault::internal)?;
    }
    Ok(answer)
}

/// `POST /logout`: also for a session that has ended already.
pub async fn sign_out(
    portal: Portal,
    settings: web::Data<Settings>,
    signed: Result<Signed, Fault>,
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
