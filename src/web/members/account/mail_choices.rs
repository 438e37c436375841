//! Which mails one gets: a box for each kind, in groups.

use serde::Deserialize;

use crate::domain::account::StaffRole;
use crate::domain::mail::{Group, MailKind, kinds, name};
use crate::domain::string_enum::StringEnum;
use crate::web::extract::{Form, Signed};
use crate::web::fault::{Fault, Response};
use crate::web::page;
use crate::web::ui::{Choice, Field, Input};

/// Words of mail kinds, separated by commas, by group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "as the page names its fields")]
pub struct NoticesForm {
    mail_registration: Vec<String>,
    mail_move: Vec<String>,
    mail_board: Vec<String>,
}

fn field(group: Group) -> (&'static str, &'static str) {
    match group {
        Group::Registration => ("mail_registration", "Registration and offers"),
        Group::Move => ("mail_move", "Migrations"),
        Group::Board => ("mail_board", "Bugs and questions"),
    }
}

/// The boxes, with those that are not muted ticked.
pub fn fields(muted: &[String], role: Option<StaffRole>) -> Vec<Field> {
    Group::ALL
        .iter()
        .map(|group| {
            let choices = kinds(*group, role)
                .map(|kind| {
                    let wanted = !muted.iter().any(|word| word == kind.as_str());
                    Choice::new(kind, name(kind)).chosen(wanted)
                })
                .collect();
            let (name, label) = field(*group);
            Field::new(name, label, Input::Checks(choices))
        })
        .collect()
}

/// `POST /members/accounts/notifications`
pub async fn save(signed: Signed, form: Form<NoticesForm>) -> Response {
    let NoticesForm {
        mail_registration,
        mail_move,
        mail_board,
    } = form.0;
    let wanted: Option<Vec<MailKind>> = [mail_registration, mail_move, mail_board]
        .iter()
        .flatten()
        .filter(|word| !word.is_empty())
        .map(|word| MailKind::parse(word))
        .collect();
    let Some(wanted) = wanted else {
        return Err(Fault::BadRequest(
            "The form names a mail that does not exist. Load the page anew, and send it again."
                .to_owned(),
        ));
    };
    signed
        .act(move |app, actor| app.choose_mails(actor, &wanted))
        .await?;
    page::said("/members/accounts", "Your choice of mails is saved.")
}
