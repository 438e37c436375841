//! The way in: the cookies of a session just begun, and on to where somebody wanted to go, or to the form that they sent.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use askama::Template;
use askama::filters::HtmlSafe;
use serde::Deserialize;

use crate::app::account::sign_in::SignedIn;
use crate::domain::ids::AccountId;
use crate::web::again::{self, First, Kept};
use crate::web::context::{Context, Typed, Viewer, cookie_names};
use crate::web::csrf;
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Page};
use crate::web::portal::Portal;
use crate::web::settings::Settings;
use crate::web::ui::Link;

#[derive(Debug, Template)]
#[template(path = "members/account/again.html")]
pub(super) struct AgainPage {
    pub page: Page,
    pub kept: Kept,
    pub home: Link,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NextQuery {
    pub next: String,
}

/// Where someone starts: their Linodes, or the staff dashboard for staff without an account.
pub(super) fn home_of(account: Option<AccountId>) -> Link {
    if account.is_some() {
        Link::new("/members/", "Go to your Linodes")
    } else {
        Link::new("/staff/", "Go to the staff dashboard")
    }
}

/// Where somebody wanted to go, or what they wanted to send, as forms carry it along, and put themselves into them.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "members/account/way.html")]
pub struct Way {
    pub next: String,
    pub again: String,
    pub typed: String,
}
impl HtmlSafe for Way {}

impl Way {
    /// What is to be sent again, if anything is.
    fn typed(&self) -> Option<Typed> {
        Some(Typed {
            pairs: again::unpack(&self.typed)?,
            whole: true,
            files: false,
        })
    }
}

/// The session's cookies, on the way on.
pub(super) fn enter(
    portal: &Portal,
    settings: &Settings,
    context: &Context,
    (way, signed_in): (&Way, &SignedIn),
) -> Response {
    let user = &signed_in.user;
    context.set_viewer(Viewer::of(user));
    let csrf = csrf::make(&signed_in.token);
    let names = cookie_names(settings.secure());
    let (token, seconds) = (&signed_in.token, portal.settings.session_s);
    set_cookies(
        go_on(context, way, &csrf, home_of(user.account_id))?,
        [
            cookie(settings, names.session, token, seconds),
            cookie(settings, names.device, &signed_in.device, DEVICE_S),
            cookie(settings, names.before, "", 0),
            cookie(settings, names.half, "", 0),
        ],
    )
}

/// To where they wanted to go; or a form that could not be taken before is shown, to be sent again.
pub(super) fn go_on(context: &Context, way: &Way, csrf: &str, home: Link) -> Response {
    let Some(typed) = way.typed() else {
        let next = page::own_path(&way.next).unwrap_or(&home.url);
        return Ok(page::see_other(next));
    };
    let mut page = Page::new(context, Area::None, "Send it again");
    csrf.clone_into(&mut page.csrf);
    page::html(&AgainPage {
        page,
        kept: Kept::again(&typed, &way.again, csrf, First::Done),
        home,
    })
}

/// A device is known for half a year after somebody signed in on it last.
const DEVICE_S: i64 = 182 * 86_400;

pub(super) fn cookie(
    settings: &Settings,
    name: &'static str,
    value: &str,
    seconds: i64,
) -> Cookie<'static> {
    Cookie::build(name, value.to_owned())
        .path("/")
        .http_only(true)
        .secure(settings.secure())
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(seconds))
        .finish()
}

pub(super) fn set_cookies<const N: usize>(
    mut answer: HttpResponse,
    cookies: [Cookie<'static>; N],
) -> Response {
    for cookie in cookies {
        answer.add_cookie(&cookie).map_err(Fault::internal)?;
    }
    Ok(answer)
}
