//! Pages for who is not signed in: the start, sign-in, and the reset of a forgotten password.

use askama::Template;

use crate::web::page::Page;
use crate::web::ui::Field;

#[derive(Debug, Template)]
#[template(path = "members/start.html")]
pub struct StartPage {
    pub page: Page,
    pub programme: String,
    /// Where someone signed in goes on.
    pub onward: Option<super::Link>,
}

#[derive(Debug, Template)]
#[template(path = "members/login.html")]
pub struct LoginPage {
    pub page: Page,
    pub email: Field,
    pub password: Field,
    /// Where to go on after sign-in: a path of this site, checked.
    pub next: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "members/forgot.html")]
pub struct ForgotPage {
    pub page: Page,
    pub email: Field,
}

#[derive(Debug, Template)]
#[template(path = "members/forgot_sent.html")]
pub struct ForgotSentPage {
    pub page: Page,
}

#[derive(Debug, Template)]
#[template(path = "members/reset.html")]
pub struct ResetPage {
    pub page: Page,
    /// The link's token, for the form's own address; `None` when the link is used up or never was.
    pub token: Option<String>,
    pub password: Field,
}
