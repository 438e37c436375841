//! Adding people: staff, from the command line; and an owner, where none can sign in any more.

use crate::app::App;
use crate::app::context::{Tx, Who};
use crate::app::error::{AppError, Result};
use crate::app::secrets::{self, purpose};
use crate::domain::account::{StaffRole, UserRole};
use crate::domain::audit::{Action, Object};
use crate::domain::ids::UserId;
use crate::domain::password::NewPassword;
use crate::domain::values::{Email, PersonName};
use crate::store;
use crate::store::account::NewUser;
use crate::store::account::reset::NewReset;

/// The link for a first password works this long: it is handed over, not mailed.
const FIRST_PASSWORD_S: i64 = 24 * 3600;

/// Somebody new.
pub struct NewStaff<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub role: StaffRole,
}

/// How a new member of staff gets their password.
pub enum FirstPassword {
    Given(NewPassword),
    /// By a link to the page that sets one.
    Link,
}

impl App {
    /// Adds a member of staff; gives back the link to set a password, if that was asked for.
    pub fn add_staff(
        &self,
        who: Who<'_>,
        new: &NewStaff<'_>,
        first: &FirstPassword,
    ) -> Result<Option<String>> {
        let email = Email::parse(new.email).map_err(AppError::field("email"))?;
        let name = PersonName::parse(new.name).map_err(AppError::field("name"))?;
        let hash = match first {
            FirstPassword::Given(password) => Some(self.hasher.hash(password.expose())?),
            FirstPassword::Link => None,
        };
        let token = secrets::new_token()?;
        let taken = || AppError::invalid("email", "there is a user with this address already");
        self.transact(who, |tx| {
            if store::account::user_by_email(tx.conn, email.as_str())?.is_some() {
                return Err(taken());
            }
            let user = store::account::insert_user(
                tx.conn,
                &NewUser {
                    account_id: None,
                    email: email.as_str(),
                    name: name.as_str(),
                    role: UserRole::Staff,
                    password_hash: hash.as_deref(),
                    timezone: "UTC",
                    disabled: false,
                    created_at: tx.now,
                    staff_role: Some(new.role),
                },
            )
            // Another one of the same moment was first.
            .map_err(AppError::if_taken(taken))?;
            let link = match first {
                FirstPassword::Given(_) => None,
                FirstPassword::Link => Some(tx.first_link(user.id, &token)?),
            };
            tx.audit(
                Action::StaffAdd,
                Object::User(user.id),
                ("", format!("{}, {}", email.as_str(), new.role)),
            )?;
            Ok(link)
        })
    }

    /// Makes one of the staff an owner who can sign in, whatever they were: for when no owner can. All that they had open ends, and
    /// their second factor is gone; gives back the link by which they set a new password.
    pub fn restore_owner(&self, who: Who<'_>, email: &str) -> Result<String> {
        let token = secrets::new_token()?;
        self.transact(who, |tx| {
            let id = tx.named(email)?.id;
            let user = tx.as_owner(None, id)?;
            let Some(before) = user.staff_role else {
                return Err(AppError::conflict(
                    "This is a member, and not one of the staff: add an owner under another address.",
                ));
            };
            store::account::page::set_disabled(tx.conn, id, false)?;
            store::account::page::set_staff_role(tx.conn, id, (before, StaffRole::Owner))?;
            store::account::second_factor::remove(tx.conn, id)?;
            let ended = tx.end_what_is_bound(id, None)?;
            let link = tx.first_link(id, &token)?;
            let state = if user.disabled { "disabled" } else { "enabled" };
            tx.audit(
                Action::StaffRestore,
                Object::User(id),
                (
                    format!("{before}, {state}"),
                    format!("{}, enabled, {ended}", StaffRole::Owner),
                ),
            )?;
            Ok(link)
        })
    }

    /// Can anybody change people's access, and the programme?
    pub fn has_owner(&self) -> Result<bool> {
        let owners = self.db.read(store::account::page::count_able_owners)?;
        Ok(owners > 0)
    }
}

impl Tx<'_> {
    fn first_link(&mut self, user: UserId, token: &str) -> Result<String> {
        let new = NewReset {
            hash: &secrets::hash(purpose::RESET, token),
            user_id: user,
            created_at: self.now,
            expires_at: self.now.plus_s(FIRST_PASSWORD_S),
            asker: "",
        };
        store::account::reset::insert_reset(self.conn, &new)?;
        let base = &self.app.settings.base_url;
        Ok(format!("{base}/password/reset/{token}"))
    }
}
