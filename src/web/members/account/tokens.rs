//! API tokens of whoever is signed in: made and shown once, revoked after a question.

use askama::Template;

use super::shared::TokenForm;
use super::show;
use crate::app::doors::Door;
use crate::domain::ids::TokenId;
use crate::store;
use crate::web::extract::{Form, Nothing, Path, Signed};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, ConfirmPage, Page};
use crate::web::portal;

const LIST: &str = "/members/accounts";

#[derive(Debug, Template)]
#[template(path = "members/account/token.html")]
pub struct TokenPage {
    pub page: Page,
    pub label: String,
    pub token: String,
}

/// `POST /members/accounts/tokens`: shows the token, once, so no redirect; the same form sent again shows none.
pub async fn make(signed: Signed, form: Form<TokenForm>) -> Response {
    signed.knock(Door::Token)?;
    let typed = form.0;
    let wish = match typed.parse() {
        Ok(wish) => wish,
        Err(problems) => return show::present_token(&signed, typed, problems).await,
    };
    let label = wish.label.to_string();
    match signed
        .submit(move |app, actor| app.make_token(actor, &wish))
        .await?
    {
        Ok(Some(made)) => page::html(&TokenPage {
            page: signed
                .page(Area::Profile, "Your new API token")
                .crumb("Profile", "/members/accounts"),
            label,
            token: made.token,
        }),
        Ok(None) => Ok(page::see_other_saying(
            LIST,
            page::Flash::warn(
                "This form has made its token already, and a token is shown only once. If you did not keep it, revoke it and make another.",
            ),
        )),
        Err(problems) => show::present_token(&signed, typed, problems).await,
    }
}

/// `GET /members/accounts/tokens/{id}/revoke`
pub async fn ask_revoke(signed: Signed, id: Path<i64>) -> Response {
    let user = signed.actor.user;
    let all = portal::read(&signed.portal, move |conn| {
        store::account::tokens::of_user(conn, user)
    })
    .await?;
    let row = all
        .into_iter()
        .find(|row| row.id == TokenId(id.0))
        .ok_or(Fault::NotFound)?;
    let page = signed
        .page(Area::Profile, format!("Revoke the token {}?", row.label))
        .crumb("Profile", LIST);
    let action = format!("{LIST}/tokens/{}/revoke", id.0);
    ConfirmPage::new(page, format!("Revoke {}", row.label), action)
        .says(["Programs that use it are refused from then on. It cannot be brought back."])
        .danger(true)
        .back(format!("{LIST}#tokens"), "Keep it")
        .html()
}

/// `POST /members/accounts/tokens/{id}/revoke`
pub async fn revoke(signed: Signed, id: Path<i64>, _: Form<Nothing>) -> Response {
    signed
        .act(move |app, actor| app.revoke_token(actor, TokenId(id.0)))
        .await?;
    page::said(LIST, "The token is revoked.")
}
