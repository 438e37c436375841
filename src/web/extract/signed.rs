//! Who asks. A handler that takes one of these cannot be reached by anyone else.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::Client;
use crate::app::App;
use crate::app::account::sign_in::Visitor;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::domain::ids::AccountId;
use crate::domain::words::UserRole;
use crate::store;
use crate::store::attention::Attention;
use crate::web::context::{Context, Viewer};
use crate::web::fault::Fault;
use crate::web::page::{Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Problems, Zone};

/// Anyone signed in.
#[derive(Debug, Clone)]
pub struct Signed {
    pub visitor: Visitor,
    pub actor: Actor,
    pub context: Context,
}

impl Signed {
    pub fn page(&self, area: Area, title: impl Into<String>) -> Page {
        Page::new(&self.context, area, title)
    }

    pub fn zone(&self) -> Zone {
        Zone::named(&self.visitor.user.timezone)
    }

    /// One call in their name, as [`portal::run`].
    pub async fn act<T: Send + 'static>(
        &self,
        portal: &Portal,
        call: impl FnOnce(&App, &Actor) -> Result<T, AppError> + Send + 'static,
    ) -> Result<T, Fault> {
        let actor = self.actor.clone();
        portal::run(portal, move |app| call(app, &actor)).await
    }

    /// One call in their name, as [`portal::submit`].
    pub async fn submit<T: Send + 'static>(
        &self,
        portal: &Portal,
        call: impl FnOnce(&App, &Actor) -> Result<T, AppError> + Send + 'static,
    ) -> Result<Result<T, Problems>, Fault> {
        let actor = self.actor.clone();
        portal::submit(portal, move |app| call(app, &actor)).await
    }

    /// For the audit trail and sessions.
    pub fn address(&self) -> String {
        self.actor.address.clone()
    }
}

/// Someone signed in who has an account, and so may have Linodes. Staff may be members too.
#[derive(Debug, Clone)]
pub struct Member {
    pub signed: Signed,
    pub account: AccountId,
}

impl Deref for Member {
    type Target = Signed;
    fn deref(&self) -> &Signed {
        &self.signed
    }
}

/// Someone of the staff. To others, staff pages do not exist.
#[derive(Debug, Clone)]
pub struct Staff(pub Signed);

impl Deref for Staff {
    type Target = Signed;
    fn deref(&self) -> &Signed {
        &self.0
    }
}

type Found<T> = Pin<Box<dyn Future<Output = Result<T, Fault>>>>;

async fn signed(request: HttpRequest) -> Result<Signed, Fault> {
    let context = crate::web::context::context_of(&request)?;
    let found = find(&request, &context).await;
    if found.is_err() && !request.method().is_safe() {
        // The page that refuses shows what was typed, so it must have arrived.
        context.form_settled().await;
    }
    found
}

async fn find(request: &HttpRequest, context: &Context) -> Result<Signed, Fault> {
    let token = context.session_cookie().ok_or(Fault::SignIn)?.to_owned();
    let portal = request
        .app_data::<Portal>()
        .ok_or_else(|| Fault::internal("no portal behind the pages"))?;
    let on_staff_page = request.path().starts_with("/staff");
    let (visitor, attention) = portal::run(portal, move |app| {
        let visitor = app.visitor(&token)?;
        let looks = on_staff_page
            && visitor
                .as_ref()
                .is_some_and(|it| it.user.role == UserRole::Staff);
        let attention = if looks {
            app.db.read(store::attention::get)?
        } else {
            Attention::default()
        };
        Ok((visitor, attention))
    })
    .await?;
    let visitor = visitor.ok_or(Fault::SignIn)?;
    let user = &visitor.user;
    context.set_attention(attention);
    context.set_viewer(Viewer {
        name: user.name.clone(),
        staff: user.role == UserRole::Staff,
        member: user.account_id.is_some(),
        zone: Zone::named(&user.timezone),
    });
    let actor = visitor.actor(&Client::of(request).address.to_string());
    Ok(Signed {
        visitor,
        actor,
        context: context.clone(),
    })
}

/// Runs a guard, and lets the form of the same request wait for its verdict.
fn guard<T>(request: &HttpRequest, check: fn(Signed) -> Result<T, Fault>) -> Found<T>
where
    T: 'static,
{
    let request = request.clone();
    let context = crate::web::context::context_of(&request);
    if let Ok(context) = &context {
        context.guard_begins();
    }
    Box::pin(async move {
        let verdict = signed(request).await.and_then(check);
        context?.guard_ends();
        verdict
    })
}

impl FromRequest for Signed {
    type Error = Fault;
    type Future = Found<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        guard(request, Ok)
    }
}

impl FromRequest for Member {
    type Error = Fault;
    type Future = Found<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        guard(request, |signed| {
            let account = signed.actor.account.ok_or(Fault::NotFound)?;
            Ok(Self { signed, account })
        })
    }
}

impl FromRequest for Staff {
    type Error = Fault;
    type Future = Found<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        guard(request, |signed| match signed.actor.role {
            UserRole::Staff => Ok(Self(signed)),
            UserRole::Member => Err(Fault::NotFound),
        })
    }
}
