//! Who asks. A handler that takes one of these cannot be reached by anyone else.

use std::future::{Future, Ready, ready};
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::guard::GuardContext;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::Client;
use crate::app::App;
use crate::app::account::sign_in::Visitor;
use crate::app::context::Actor;
use crate::app::doors::Door;
use crate::app::error::AppError;
use crate::domain::account::Right;
use crate::domain::ids::AccountId;
use crate::store;
use crate::store::attention::Attention;
use crate::store::db::Db;
use crate::web::context::{Context, Viewer};
use crate::web::fault::{Fault, Result};
use crate::web::page::{Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Problems, Zone};

/// Anyone signed in, and the portal that they ask.
#[derive(Clone)]
pub struct Signed {
    pub visitor: Visitor,
    pub actor: Actor,
    pub context: Context,
    pub portal: Portal,
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
        call: impl FnOnce(&App, &Actor) -> Result<T, AppError> + Send + 'static,
    ) -> Result<T> {
        let actor = self.actor.clone();
        portal::run(&self.portal, move |app| call(app, &actor)).await
    }

    /// One call in their name, as [`portal::submit`].
    pub async fn submit<T: Send + 'static>(
        &self,
        call: impl FnOnce(&App, &Actor) -> Result<T, AppError> + Send + 'static,
    ) -> Result<Result<T, Problems>> {
        let actor = self.actor.clone();
        portal::submit(&self.portal, move |app| call(app, &actor)).await
    }

    /// They come to a door once more.
    pub fn knock(&self, door: Door) -> Result<()> {
        Ok(self.portal.doors.knock(door, &self.actor.address)?)
    }

    /// For the audit trail and sessions.
    pub fn address(&self) -> String {
        self.actor.address.clone()
    }
}

/// Someone signed in who has an account, and so may have Linodes. Staff may be members too.
#[derive(Clone)]
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

/// Someone of the staff, whose role has the right that the route names. To others than staff, staff pages do not exist.
#[derive(Clone)]
pub struct Staff(pub Signed);

impl Deref for Staff {
    type Target = Signed;
    fn deref(&self) -> &Signed {
        &self.0
    }
}

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T>>>>;

async fn signed(request: HttpRequest) -> Result<Signed> {
    let context = crate::web::context::context_of(&request)?;
    let found = find(&request, &context, |_, _| Ok(())).await;
    if found.is_err() && !request.method().is_safe() {
        // The page that refuses shows what was typed, so it must have arrived.
        context.form_settled().await;
    }
    found.map(|(signed, _)| signed)
}

/// Who asks, and what `look` finds for them, in one call.
async fn find<V: Send + 'static>(
    request: &HttpRequest,
    context: &Context,
    look: impl FnOnce(&mut Db, &Actor) -> Result<V, AppError> + Send + 'static,
) -> Result<(Signed, Result<V, AppError>)> {
    let token = context.session_cookie().ok_or(Fault::SignIn)?.to_owned();
    let portal = request
        .app_data::<Portal>()
        .ok_or_else(|| Fault::internal("no portal behind the pages"))?;
    let on_staff_page = request.path().starts_with("/staff");
    let address = Client::of(request).address.to_string();
    let found = portal::run(portal, move |app| {
        app.visit(&token, |conn, visitor| {
            let actor = visitor.actor(&address);
            let attention = if on_staff_page && actor.may(Right::Read) {
                store::attention::get(conn)?
            } else {
                Attention::default()
            };
            let seen = look(conn, &actor);
            Ok::<_, AppError>((actor, attention, seen))
        })
    })
    .await?;
    let (visitor, seen) = found.ok_or(Fault::SignIn)?;
    let (actor, attention, seen) = seen?;
    context.set_attention(attention);
    context.set_viewer(Viewer::of(&visitor.user));
    let signed = Signed {
        visitor,
        actor,
        context: context.clone(),
        portal: portal.clone(),
    };
    Ok((signed, seen))
}

/// The right that a route of staff's takes: the route table names it, and routing leaves it with the request.
#[derive(Clone, Copy)]
struct Needs(Right);

/// The last guard of a route: what it takes is this.
pub fn needs(right: Right) -> impl Fn(&GuardContext<'_>) -> bool {
    move |context| {
        context.req_data_mut().insert(Needs(right));
        true
    }
}

fn needed(request: &HttpRequest) -> Option<Right> {
    request.extensions().get::<Needs>().map(|needs| needs.0)
}

/// What those who are signed in have to be.
pub trait Role: Sized + 'static {
    /// `needs`: what the route takes.
    fn may(actor: &Actor, needs: Option<Right>) -> Result<(), AppError>;
    /// Of somebody who [`Role::may`].
    fn of(signed: Signed) -> Result<Self>;
}

impl Role for Signed {
    fn may(_actor: &Actor, _needs: Option<Right>) -> Result<(), AppError> {
        Ok(())
    }

    fn of(signed: Signed) -> Result<Self> {
        Ok(signed)
    }
}

impl Role for Member {
    fn may(actor: &Actor, _needs: Option<Right>) -> Result<(), AppError> {
        actor.require_account().map(drop)
    }

    fn of(signed: Signed) -> Result<Self> {
        let account = signed.actor.account.ok_or(Fault::NotFound)?;
        Ok(Self { signed, account })
    }
}

impl Role for Staff {
    fn may(actor: &Actor, needs: Option<Right>) -> Result<(), AppError> {
        let needs = needs.ok_or_else(|| {
            AppError::Fault("a route of staff's names no right (web/staff/routes.rs)".to_owned())
        })?;
        actor.require(needs)
    }

    fn of(signed: Signed) -> Result<Self> {
        Ok(Self(signed))
    }
}

/// Someone whose session was not looked at yet: for pages, which read the database anyway, and so do both in one call. A
/// handler gets nothing of it but by [`Asks::read`].
pub struct Asks<R> {
    request: HttpRequest,
    context: Context,
    role: PhantomData<R>,
}

impl<R: Role> Asks<R> {
    /// Who asks, and what the page shows them; nothing is read for those who may not see it.
    pub async fn read<V: Send + 'static>(
        self,
        query: impl FnOnce(&mut Db, &Actor) -> Result<V, AppError> + Send + 'static,
    ) -> Result<(R, V)> {
        let needs = needed(&self.request);
        let (signed, seen) = find(&self.request, &self.context, move |conn, actor| {
            R::may(actor, needs)?;
            query(conn, actor)
        })
        .await?;
        let seen = seen?;
        Ok((R::of(signed)?, seen))
    }

    /// As [`Asks::read`], by what was wanted. What is wrong with that is told to those who may ask, and to nobody else.
    pub async fn read_by<W: Send + 'static, V: Send + 'static>(
        self,
        wanted: Result<W>,
        query: impl FnOnce(&mut Db, W) -> Result<V, AppError> + Send + 'static,
    ) -> Result<(R, V)> {
        match wanted {
            Ok(wanted) => self.read(move |conn, _| query(conn, wanted)).await,
            Err(wrong) => Err(self.read(|_, _| Ok(())).await.err().unwrap_or(wrong)),
        }
    }
}

impl<R: Role> FromRequest for Asks<R> {
    type Error = Fault;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(
            crate::web::context::context_of(request).map(|context| Self {
                request: request.clone(),
                context,
                role: PhantomData,
            }),
        )
    }
}

/// Runs a guard, and lets the form of the same request wait for its verdict.
fn guard<R: Role>(request: &HttpRequest) -> Extracted<R> {
    let request = request.clone();
    let context = crate::web::context::context_of(&request);
    if let Ok(context) = &context {
        context.guard_begins();
    }
    Box::pin(async move {
        let needs = needed(&request);
        let verdict = match signed(request).await {
            Ok(signed) => R::may(&signed.actor, needs)
                .map_err(Fault::from)
                .and_then(|()| R::of(signed)),
            Err(fault) => Err(fault),
        };
        let context = context?;
        if matches!(verdict, Err(Fault::Prove | Fault::SecondFactor)) {
            // What was sent is sent again after it.
            context.form_settled().await;
        }
        context.guard_ends();
        verdict
    })
}

impl FromRequest for Signed {
    type Error = Fault;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        guard(request)
    }
}

impl FromRequest for Member {
    type Error = Fault;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        guard(request)
    }
}

impl FromRequest for Staff {
    type Error = Fault;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        guard(request)
    }
}
