//! What owners do with somebody: take their access away and give it back, send a link for a new password, change their role.
//! Each is asked first.

use serde::Deserialize;

use super::shared::PATH;
use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::domain::account::{StaffRole, role_words};
use crate::domain::ids::UserId;
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::account::User;
use crate::web::extract::{Form, Nothing, Path, Staff};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, ConfirmPage};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Choice, Field, Input};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleForm {
    #[serde(default)]
    role: String,
    /// The role that the page showed.
    was: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Disable,
    Enable,
    SendReset,
    RemoveSecondFactor,
}

impl Deed {
    fn parse(word: &str) -> Result<Self> {
        match word {
            "disable" => Ok(Self::Disable),
            "enable" => Ok(Self::Enable),
            "send-reset" => Ok(Self::SendReset),
            "remove-second-factor" => Ok(Self::RemoveSecondFactor),
            _ => Err(Fault::NotFound),
        }
    }

    fn carry_out(self, app: &App, actor: &Actor, id: UserId) -> Result<(), AppError> {
        match self {
            Self::Disable => app.set_user_disabled(actor, id, true),
            Self::Enable => app.set_user_disabled(actor, id, false),
            Self::SendReset => app.send_password_reset(actor, id),
            Self::RemoveSecondFactor => app.remove_second_factor_of(actor, id),
        }
    }

    fn consequences(self) -> &'static [&'static str] {
        match self {
            Self::Disable => &[
                "Every session ends at once, API tokens are revoked for good, and links for a new password work no more. They cannot sign in, and get no mail.",
                "Their Linodes run on. What they asked for and has not begun is not done: no reboot that waits, no migration that is queued or waits for its time. One that copies ends before it stops its Linode; one that has stopped it goes on to its end. Offers stay open to others of the account.",
                "You can enable them again.",
            ],
            Self::Enable => &[
                "They can sign in again with the password they had, and get mail again.",
                "Sessions and API tokens from before stay ended.",
            ],
            Self::SendReset => &[
                "They get mail with a link that works once, for 10 minutes. Until they use it their password stays as it is.",
            ],
            Self::RemoveSecondFactor => &[
                "Make sure that it is they who ask: from then on, whoever has the password can sign in.",
                "Every session ends, API tokens are revoked, and they are told by mail. Staff who need a second factor set a new one up when they sign in next.",
            ],
        }
    }

    fn words(self, email: &str) -> (String, String) {
        match self {
            Self::Disable => (format!("Disable {email}"), format!("{email} is disabled.")),
            Self::Enable => (format!("Enable {email}"), format!("{email} is enabled.")),
            Self::SendReset => (
                format!("Send {email} a link for a new password"),
                format!("The link is on its way to {email}."),
            ),
            Self::RemoveSecondFactor => (
                format!("Take the second factor of {email} away"),
                format!("The second factor of {email} is gone."),
            ),
        }
    }
}

async fn user(portal: &Portal, id: i64) -> Result<User> {
    portal::find(portal, move |conn| store::account::user(conn, UserId(id))).await
}

async fn email_of(portal: &Portal, id: i64) -> Result<String> {
    Ok(user(portal, id).await?.email)
}

/// Moves they asked for that have not begun, one line each.
async fn moves_of(staff: &Staff, id: i64) -> Result<Vec<String>> {
    const SHOWN: usize = 50;
    let limit = i64::try_from(SHOWN).unwrap_or(50) + 1;
    let mut moves = portal::read(&staff.portal, move |conn| {
        store::account::page::queued_by(conn, UserId(id), limit)
    })
    .await?;
    let more = moves.len() > SHOWN;
    moves.truncate(SHOWN);
    let zone = staff.zone();
    let mut lines: Vec<String> = moves
        .into_iter()
        .map(|(id, label, at)| match at {
            Some(at) => {
                let at = zone.both(at).text;
                format!("{label} does not move on {at} (migration {id})")
            }
            None => format!("{label} does not move (migration {id})"),
        })
        .collect();
    lines.extend(more.then(|| "… and more".to_owned()));
    Ok(lines)
}

/// `GET /staff/members/{id}/{deed}`
pub async fn ask(staff: Staff, path: Path<(i64, String)>) -> Response {
    let (id, word) = path.0;
    let deed = Deed::parse(&word)?;
    let email = email_of(&staff.portal, id).await?;
    let moves = if deed == Deed::Disable {
        moves_of(&staff, id).await?
    } else {
        Vec::new()
    };
    let (button, _) = deed.words(&email);
    let url = format!("{PATH}/{id}");
    let page = staff
        .page(Area::People, format!("{button}?"))
        .crumb("Members", PATH)
        .crumb(&email, &url);
    ConfirmPage::new(page, button, format!("{url}/{word}"))
        .says(deed.consequences().iter().copied())
        .rows(moves)
        .danger(matches!(deed, Deed::Disable | Deed::RemoveSecondFactor))
        .back(url, format!("Back to {email}"))
        .html()
}

/// `POST /staff/members/{id}/{deed}`
pub async fn act(staff: Staff, path: Path<(i64, String)>, _: Form<Nothing>) -> Response {
    let (id, deed) = path.0;
    let deed = Deed::parse(&deed)?;
    let email = email_of(&staff.portal, id).await?;
    let url = format!("{PATH}/{id}");
    let done = staff
        .act(move |app, actor| deed.carry_out(app, actor, UserId(id)))
        .await;
    done.map_err(|fault| fault.at(url.clone(), format!("Back to {email}")))?;
    page::said(&url, deed.words(&email).1)
}

/// One of the staff, and what they are.
async fn of_staff(portal: &Portal, id: i64) -> Result<(String, StaffRole)> {
    let user = user(portal, id).await?;
    let role = user.staff_role.ok_or(Fault::NotFound)?;
    Ok((user.email, role))
}

/// `GET /staff/members/{id}/role`
pub async fn ask_role(staff: Staff, id: Path<i64>) -> Response {
    let (email, role) = of_staff(&staff.portal, id.0).await?;
    let url = format!("{PATH}/{}", id.0);
    let button = format!("Change the role of {email}");
    let page = staff
        .page(Area::People, format!("{button}?"))
        .crumb("Members", PATH)
        .crumb(&email, &url);
    let roles = StaffRole::ALL
        .iter()
        .map(|role| Choice::new(role, format!("{role}: {}", role_words(*role))));
    ConfirmPage::new(page, button, format!("{url}/role"))
        .says([
            "It counts from their next click on, and they are told by mail. What they asked for and has not begun is not done, if they may not ask for it any more.",
        ])
        .hidden("was", role.as_str())
        .field(Field::new("role", "Role", Input::Radios(roles.collect())).value(role))
        .back(url, format!("Back to {email}"))
        .html()
}

/// `POST /staff/members/{id}/role`
pub async fn set_role(staff: Staff, id: Path<i64>, form: Form<RoleForm>) -> Response {
    let read = |text: &str| {
        StaffRole::parse(text)
            .ok_or_else(|| Fault::BadRequest("Choose one of the roles on the page.".to_owned()))
    };
    let (was, role) = (read(&form.0.was)?, read(&form.0.role)?);
    let (email, _) = of_staff(&staff.portal, id.0).await?;
    let url = format!("{PATH}/{}", id.0);
    let done = staff
        .act(move |app, actor| app.set_staff_role(actor, UserId(id.0), (was, role)))
        .await;
    done.map_err(|fault| fault.at(url.clone(), format!("Back to {email}")))?;
    page::said(&url, format!("{email} is {role}."))
}
