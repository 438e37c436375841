//! Adding people: staff, from the command line.

use crate::app::App;
use crate::app::context::Who;
use crate::app::error::AppError;
use crate::app::secrets::{self, purpose};
use crate::domain::account::UserRole;
use crate::domain::audit::{Action, Object};
use crate::domain::password::NewPassword;
use crate::domain::values::{Email, PersonName};
use crate::store;
use crate::store::account::NewUser;
use crate::store::account::reset::NewReset;

/// The link for a first password works this long: it is handed over, not mailed.
const FIRST_PASSWORD_S: i64 = 24 * 3600;

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
        email: &str,
        name: &str,
        first: &FirstPassword,
    ) -> Result<Option<String>, AppError> {
        let email = Email::parse(email).map_err(AppError::field("email"))?;
        let name = PersonName::parse(name).map_err(AppError::field("name"))?;
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
                },
            )
            // Another one of the same moment was first.
            .map_err(AppError::if_taken(taken))?;
            let link = match first {
                FirstPassword::Given(_) => None,
                FirstPassword::Link => {
                    let until = tx.now.plus_s(FIRST_PASSWORD_S);
                    let new = NewReset {
                        hash: &secrets::hash(purpose::RESET, &token),
                        user_id: user.id,
                        created_at: tx.now,
                        expires_at: until,
                        asker: "",
                    };
                    store::account::reset::insert_reset(tx.conn, &new)?;
                    Some(format!("{}/password/reset/{token}", self.settings.base_url))
                }
            };
            tx.audit(
                Action::StaffAdd,
                Object::User(user.id),
                ("", email.as_str()),
            )?;
            Ok(link)
        })
    }
}
