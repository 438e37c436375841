//! API tokens of a user: made and shown once, revoked.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::app::mail::kinds::UserMail;
use crate::app::secrets::{self, purpose};
use crate::domain::account::TokenScope;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::TokenId;
use crate::domain::values::Label;
use crate::store;
use crate::store::account::tokens::NewToken;

/// Live tokens one user can have.
const MOST: i64 = 25;
/// Characters of a token that stay readable: enough to know it by, far from enough to guess the rest.
const PREFIX: usize = 8;
const DAY_S: i64 = 86_400;
const FORM: usize = 100;

/// What a user wants of a token.
#[derive(Debug, Clone)]
pub struct Wish {
    pub label: Label,
    pub scope: TokenScope,
    /// Days until it ends by itself; `None` for never.
    pub days: Option<i64>,
    /// The form it is made with; the same form makes no second one.
    pub form: String,
}

/// A token just made; its text goes to its owner's eyes and nowhere else.
pub struct Made {
    pub token: String,
}

impl App {
    /// `Ok(None)`: this form has made its token already.
    pub fn make_token(&self, actor: &Actor, wish: &Wish) -> Result<Option<Made>> {
        if wish.days.is_some_and(|days| !(1..=3650).contains(&days)) {
            return Err(AppError::invalid(
                "days",
                "Enter a number of days from 1 to 3650, or nothing",
            ));
        }
        if wish.form.is_empty() || wish.form.len() > FORM {
            return Err(AppError::conflict(
                "Load the page anew, and send the form again.",
            ));
        }
        let token = secrets::new_token()?;
        self.transact(actor.who(), |tx| {
            // One at a time, and none for somebody whose access or session ended at this moment.
            let user = tx.still(actor)?;
            if store::account::tokens::form_used(tx.conn, actor.user, &wish.form)? {
                return Ok(None);
            }
            if store::account::tokens::count_live(tx.conn, actor.user, tx.now)? >= MOST {
                let message =
                    format!("You have {MOST} tokens. Revoke one that is not used any more");
                return Err(AppError::invalid("label", message));
            }
            let prefix: String = token.chars().take(PREFIX).collect();
            let new = NewToken {
                hash: &secrets::hash(purpose::API, &token),
                user_id: actor.user,
                label: wish.label.as_str(),
                scope: wish.scope,
                created_at: tx.now,
                expires_at: wish.days.map(|days| tx.now.plus_s(days * DAY_S)),
                prefix: &prefix,
                form: &wish.form,
            };
            if !store::account::tokens::insert(tx.conn, &new)? {
                // The other of two at once was faster.
                return Ok(None);
            }
            let made = format!("{} ({})", wish.label, scope_name(wish.scope));
            tx.mail(&user, UserMail::TokenMade { token: &made })?;
            let what = format!("{} {} {prefix}…", wish.label, wish.scope);
            tx.audit(Action::TokenMake, Object::User(actor.user), ("", &what))?;
            Ok(Some(Made {
                token: token.clone(),
            }))
        })
    }

    /// Revokes a token of the user's own.
    pub fn revoke_token(&self, actor: &Actor, id: TokenId) -> Result<()> {
        self.transact(actor.who(), |tx| {
            if !store::account::tokens::revoke(tx.conn, actor.user, id, tx.now)? {
                // The second click of two finds it done.
                let theirs = store::account::tokens::is_theirs(tx.conn, actor.user, id)?;
                return if theirs {
                    Ok(())
                } else {
                    Err(AppError::NotFound)
                };
            }
            let what = format!("token {id}");
            tx.audit(Action::TokenRevoke, Object::User(actor.user), (&what, ""))
        })
    }
}

pub fn scope_name(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::ReadOnly => "may read",
        TokenScope::ReadWrite => "may read and change",
    }
}
