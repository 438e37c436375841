//! What the edge layer knows of a request before any handler runs, shared with extractors, pages and error pages.

use std::cell::{Cell, RefCell};
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use data_encoding::BASE32_NOPAD;
use tokio::sync::Notify;

use super::csrf;
use super::fault::{Fault, Result};
use super::page::Flash;
use super::ui::Zone;
use crate::domain::account::{self, Right, StaffRole};
use crate::store::account::User;
use crate::store::attention::Attention;

/// The names of our cookies. Over TLS they carry the `__Host-` prefix, which no other host can plant; browsers refuse that
/// on plain loopback.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct CookieNames {
    pub session: &'static str,
    pub before: &'static str,
    pub flash: &'static str,
    pub device: &'static str,
    /// Of who has given their password, and whose code is waited for.
    pub half: &'static str,
}

pub(in crate::web) fn cookie_names(secure: bool) -> CookieNames {
    if secure {
        CookieNames {
            session: "__Host-lpm",
            before: "__Host-lpm-form",
            flash: "__Host-lpm-say",
            device: "__Host-lpm-device",
            half: "__Host-lpm-half",
        }
    } else {
        CookieNames {
            session: "lpm",
            before: "lpm-form",
            flash: "lpm-say",
            device: "lpm-device",
            half: "lpm-half",
        }
    }
}

/// Cheap to clone; one per request.
#[derive(Debug, Clone)]
pub struct Context(Rc<Inner>);

/// A form as it was sent, without its passwords and tokens.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    pub pairs: Vec<(String, String)>,
    /// Nothing was left out: it can be sent again as it was.
    pub whole: bool,
    /// There were files with it, which are gone.
    pub files: bool,
}

#[derive(Debug)]
struct Inner {
    /// A program asks, which knows no pages and no cookies.
    is_program: bool,
    reference: String,
    /// The session cookie's value, as sent; whether it is good for anything, only the database knows.
    session: Option<String>,
    /// The secret that form tokens are derived from where there is no session cookie.
    before: RefCell<Option<String>>,
    before_is_new: Cell<bool>,
    flash: RefCell<Option<Flash>>,
    flash_taken: Cell<bool>,
    viewer: RefCell<Option<Viewer>>,
    attention: Cell<Attention>,
    typed: RefCell<Typed>,
    form_pending: Cell<bool>,
    form_read: Notify,
    guard_pending: Cell<bool>,
    guard_done: Notify,
}

impl Context {
    pub fn new(session: Option<String>, before: Option<String>, flash: Option<Flash>) -> Self {
        Self::with(false, (session, before, flash))
    }

    /// Of a call of the API: no cookie of it is looked at, and it gets none.
    pub fn of_program() -> Self {
        Self::with(true, (None, None, None))
    }

    pub fn is_program(&self) -> bool {
        self.0.is_program
    }

    fn with(
        is_program: bool,
        (session, before, flash): (Option<String>, Option<String>, Option<Flash>),
    ) -> Self {
        Self(Rc::new(Inner {
            is_program,
            reference: BASE32_NOPAD.encode(&csrf::random::<8>()).to_lowercase(),
            session,
            before: RefCell::new(before),
            before_is_new: Cell::new(false),
            flash: RefCell::new(flash),
            flash_taken: Cell::new(false),
            viewer: RefCell::new(None),
            attention: Cell::new(Attention::default()),
            typed: RefCell::new(Typed::default()),
            form_pending: Cell::new(false),
            form_read: Notify::new(),
            guard_pending: Cell::new(false),
            guard_done: Notify::new(),
        }))
    }

    /// Names this request in the log and on error pages.
    pub fn reference(&self) -> &str {
        &self.0.reference
    }

    pub fn session_cookie(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    pub fn viewer(&self) -> Option<Viewer> {
        self.0.viewer.borrow().clone()
    }

    pub fn set_viewer(&self, viewer: Viewer) {
        *self.0.viewer.borrow_mut() = Some(viewer);
    }

    /// What staff's pages say above all else; nothing on other pages.
    pub fn attention(&self) -> Attention {
        self.0.attention.get()
    }

    pub fn set_attention(&self, attention: Attention) {
        self.0.attention.set(attention);
    }

    /// A token for the forms of the page being made. Without any cookie yet, the browser is given one.
    pub fn form_token(&self) -> String {
        if let Some(session) = &self.0.session {
            return csrf::make(session);
        }
        let mut before = self.0.before.borrow_mut();
        let secret = before.get_or_insert_with(|| {
            self.0.before_is_new.set(true);
            data_encoding::BASE64URL_NOPAD.encode(&csrf::random::<24>())
        });
        csrf::make(secret)
    }

    pub fn form_token_is_good(&self, sent: &str) -> bool {
        let before = self.0.before.borrow();
        self.0
            .session
            .as_deref()
            .or(before.as_deref())
            .is_some_and(|secret| csrf::check(secret, sent))
    }

    /// The form secret to set as a cookie, if one was made for this request.
    pub fn new_form_secret(&self) -> Option<String> {
        if self.0.before_is_new.get() {
            self.0.before.borrow().clone()
        } else {
            None
        }
    }

    pub fn take_flash(&self) -> Option<Flash> {
        let flash = self.0.flash.borrow_mut().take();
        self.0
            .flash_taken
            .set(self.0.flash_taken.get() || flash.is_some());
        flash
    }

    pub fn flash_was_taken(&self) -> bool {
        self.0.flash_taken.get()
    }

    /// What the sent form held, for the page that says it has expired.
    pub fn typed(&self) -> Typed {
        self.0.typed.borrow().clone()
    }

    pub(crate) fn form_begins(&self) {
        self.0.form_pending.set(true);
    }

    pub(crate) fn form_ends(&self, typed: Typed) {
        *self.0.typed.borrow_mut() = typed;
        self.0.form_pending.set(false);
        self.0.form_read.notify_waiters();
    }

    pub(crate) fn guard_begins(&self) {
        self.0.guard_pending.set(true);
    }

    pub(crate) fn guard_ends(&self) {
        self.0.guard_pending.set(false);
        self.0.guard_done.notify_waiters();
    }

    /// Waits until it is known who asks, if the handler wants to know: a form is complained about only to those who may
    /// send it.
    pub(crate) async fn guard_settled(&self) {
        if self.0.guard_pending.get() {
            self.0.guard_done.notified().await;
        }
    }

    /// Waits until the form of this request, if it has one, was read; a guard that refuses waits for it, so that the typed
    /// text can be kept. [`super::extract::Form`] bounds its own time.
    pub async fn form_settled(&self) {
        if self.0.form_pending.get() {
            self.0.form_read.notified().await;
        }
    }
}

impl FromRequest for Context {
    type Error = Fault;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(self::context_of(request))
    }
}

/// Who looks at the page, as far as the layout shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    pub name: String,
    pub email: String,
    /// What of the staff they are, if they are.
    pub staff: Option<StaffRole>,
    /// Has an account, and so may have Linodes. Staff may have none.
    pub member: bool,
    pub second_factor: bool,
    pub zone: Zone,
}

impl Viewer {
    pub fn may(&self, right: Right) -> bool {
        self.staff.is_some_and(|role| account::may(role, right))
    }

    pub fn of(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            email: user.email.clone(),
            staff: user.staff_role,
            member: user.account_id.is_some(),
            second_factor: user.second_factor_at.is_some(),
            zone: Zone::named(&user.timezone),
        }
    }
}

/// The context, for extractors that build on it.
pub(in crate::web) fn context_of(request: &HttpRequest) -> Result<Context> {
    use actix_web::HttpMessage;
    request
        .extensions()
        .get::<Context>()
        .cloned()
        .ok_or_else(|| Fault::internal("a request came past the edge layer"))
}
