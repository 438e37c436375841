//! Codes: the second half of a sign-in, and showing again who one is before what matters.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::enter::{NextQuery, Way, enter, go_on, home_of};
use crate::app::App;
use crate::web::again::{self, code};
use crate::web::context::{Context, cookie_names};
use crate::web::extract::{Client, Form, Query, Signed};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::settings::Settings;
use crate::web::ui::{Field, Problems};

const NOT_RIGHT: &str = "This code is not right, or was used already. Wait until your app shows the next one; if that is refused too, check your phone’s clock";

#[derive(Debug, Template)]
#[template(path = "members/account/code.html")]
pub struct CodePage {
    pub page: Page,
    pub code: Field,
    pub way: Way,
}

/// A code, with where to go on or what is to be sent again. (Serde takes no fields of another struct where unknown ones are
/// refused.)
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeForm {
    code: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    again: String,
    #[serde(default)]
    typed: String,
}

pub(super) fn code_page(context: &Context, way: Way, problems: Problems) -> CodePage {
    let mut page = Page::new(context, Area::None, "Your code").problems(problems);
    page.offer_sign_in = false;
    CodePage {
        code: code().with(&page.problems),
        way,
        page,
    }
}

/// `GET /login/code`: it is the answer to a right password, and nothing that stands for itself.
pub async fn to_sign_in() -> Response {
    Ok(page::see_other("/login"))
}

/// `POST /login/code`
pub async fn sign_in(
    request: HttpRequest,
    portal: Portal,
    settings: web::Data<Settings>,
    context: Context,
    form: Form<CodeForm>,
) -> Response {
    let client = Client::of(&request);
    let address = client.address.to_string();
    let half = request.cookie(cookie_names(settings.secure()).half);
    let half = half.map(|it| it.value().to_owned()).unwrap_or_default();
    let CodeForm {
        code,
        next,
        again,
        typed,
    } = form.0;
    let way = Way { next, again, typed };
    let call = move |app: &App| app.sign_in_by_code(&half, &code, client.origin(&address));
    let problems = match portal::submit(&portal, call).await {
        Ok(Ok(Some(signed_in))) => {
            return enter(&portal, &settings, &context, (&way, &signed_in));
        }
        Ok(Ok(None)) => Problems::one("code", NOT_RIGHT),
        Ok(Err(problems)) => problems,
        Err(Fault::SignIn) => {
            return Ok(page::see_other_saying(
                "/login",
                page::Flash::warn(
                    "That took too long, or your password was changed: sign in once more.",
                ),
            ));
        }
        Err(fault) => return Err(fault),
    };
    page::refused(&code_page(&context, way, problems))
}

#[derive(Debug, Template)]
#[template(path = "members/account/prove.html")]
pub struct ProvePage {
    pub page: Page,
    pub proof: Field,
    pub way: Way,
}

/// One of the two, by what they have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProveForm {
    #[serde(default)]
    code: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    again: String,
    #[serde(default)]
    typed: String,
}

fn prove_page(signed: &Signed, way: Way, problems: Problems) -> ProvePage {
    let page = signed.page(Area::None, "Is it you?").problems(problems);
    let has_one = signed.visitor.user.second_factor_at.is_some();
    ProvePage {
        proof: again::proof(has_one).with(&page.problems),
        way,
        page,
    }
}

/// `GET /again`
pub async fn ask_again(signed: Signed, query: Query<NextQuery>) -> Response {
    let way = Way {
        next: query.0.next,
        ..Way::default()
    };
    page::html(&prove_page(&signed, way, Problems::default()))
}

/// `POST /again`
pub async fn prove(signed: Signed, form: Form<ProveForm>) -> Response {
    let ProveForm {
        code,
        password,
        next,
        again,
        typed,
    } = form.0;
    let way = Way { next, again, typed };
    let has_one = signed.visitor.user.second_factor_at.is_some();
    let proof = if has_one { code } else { password };
    let (visitor, address) = (signed.visitor.clone(), signed.address());
    let call = move |app: &App| app.prove(&visitor, &address, &proof);
    let proved = if has_one {
        portal::submit(&signed.portal, call).await?
    } else {
        portal::submit_hashing(&signed.portal, call).await?
    };
    let problems = match proved {
        Ok(true) => {
            let home = home_of(signed.actor.account);
            let csrf = signed.context.form_token();
            return go_on(&signed.context, &way, &csrf, home);
        }
        Ok(false) if has_one => Problems::one("code", NOT_RIGHT),
        Ok(false) => Problems::one("password", "This is not your password"),
        Err(problems) => problems,
    };
    page::refused(&prove_page(&signed, way, problems))
}
