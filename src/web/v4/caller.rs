//! Who calls. A handler that takes one of these cannot be reached without a good token; a cookie is none.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest};

use super::answer::Refusal;
use crate::app::account::caller::Caller;
use crate::app::context::Actor;
use crate::domain::account::TokenScope;
use crate::domain::ids::AccountId;
use crate::store::account::User;
use crate::web::extract::{Client, bearer};
use crate::web::portal::Portal;

/// A token that may read.
#[derive(Debug, Clone)]
pub struct Reads {
    pub user: User,
    pub actor: Actor,
    pub account: AccountId,
}

/// A token that may change things.
#[derive(Debug, Clone)]
pub struct Changes {
    pub actor: Actor,
    pub account: AccountId,
}

async fn called(request: &HttpRequest) -> Result<(Caller, AccountId), Refusal> {
    let unknown = || Refusal::new(StatusCode::UNAUTHORIZED, "Invalid Token");
    let token = bearer(request).ok_or_else(unknown)?.to_owned();
    let portal = request.app_data::<Portal>().ok_or_else(unknown)?;
    let address = Client::of(request).address.to_string();
    let caller = super::answer::run(portal, move |app| app.caller(&token, &address))
        .await?
        .ok_or_else(unknown)?;
    let account = caller.user.account_id.ok_or_else(|| {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "The token's user has no account, and so no Linodes",
        )
    })?;
    Ok((caller, account))
}

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>>>>;

impl FromRequest for Reads {
    type Error = Refusal;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (caller, account) = called(&request).await?;
            Ok(Self {
                user: caller.user,
                actor: caller.actor,
                account,
            })
        })
    }
}

impl FromRequest for Changes {
    type Error = Refusal;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (caller, account) = called(&request).await?;
            if caller.scope != TokenScope::ReadWrite {
                return Err(Refusal::new(
                    StatusCode::FORBIDDEN,
                    "This token may only read. Make one that may change things",
                ));
            }
            Ok(Self {
                actor: caller.actor,
                account,
            })
        })
    }
}
