//! What staff do with a migration: cancel, retry, roll back, and the way back where its member has none. Each is asked first.

use serde::Deserialize;

use super::shared::PATH;
use super::show::find;
use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::domain::ids::MigrationId;
use crate::domain::migration::{MigrationKind, Step};
use crate::store::migration::Migration;
use crate::store::migration::page::MigrationDetail;
use crate::web::extract::{Form, Path, Staff};
use crate::web::fault::{Fault, Response, Result};
use crate::web::migration::trial;
use crate::web::page::{self, Area, ConfirmPage};
use crate::web::ui::{Field, FormState, Input};

/// With the reason that was typed.
type Call = fn(&App, &Actor, MigrationId, &str) -> Result<Migration, AppError>;

/// What staff can do with a migration, by the last part of the address.
struct Deed {
    verb: &'static str,
    title: &'static str,
    consequences: &'static [&'static str],
    call: Call,
    danger: bool,
}

const DEEDS: [Deed; 5] = [
    Deed {
        verb: "try",
        title: "Try on the new host",
        consequences: &[],
        call: |app, actor, id, _| app.try_there(actor, id),
        danger: false,
    },
    Deed {
        verb: "way-back",
        title: "Take the way back of",
        consequences: &[
            "The Linode moves to its former host again, with all data as it is now. That host must be enabled for it.",
        ],
        call: |app, actor, id, _| app.way_back(actor, id),
        danger: false,
    },
    Deed {
        verb: "cancel",
        title: "Cancel",
        consequences: &[
            "The Linode stays where it is and goes on running. What was copied is thrown away, the place on the new host is given up.",
        ],
        call: |app, actor, id, why| app.call_off(actor, id, why),
        danger: true,
    },
    Deed {
        verb: "retry",
        title: "Retry",
        consequences: &["It is queued again, and goes on from what was copied."],
        call: |app, actor, id, _| app.retry_migration(actor, id),
        danger: false,
    },
    Deed {
        verb: "roll-back",
        title: "Roll back",
        consequences: &[],
        call: |app, actor, id, _| app.roll_back_migration(actor, id),
        danger: true,
    },
];

fn deed(verb: &str) -> Result<&'static Deed> {
    DEEDS
        .iter()
        .find(|deed| deed.verb == verb)
        .ok_or(Fault::NotFound)
}

/// What a roll-back does in the step that it is in.
fn roll_back_words(detail: &MigrationDetail) -> Vec<String> {
    let (old, new) = (&detail.source.name, &detail.destination.name);
    let first = match detail.migration.step {
        Some(Step::StopSeal) => format!(
            "{old} was told to stop the Linode, and may have. It is granted the Linode anew and starts it as soon as it answers; nothing was written anywhere else."
        ),
        Some(Step::FinalCopy) => format!(
            "The Linode is off, and its disks are sealed on {old}. {old} is granted it again and starts it, with all data as it was when it was stopped. {new} never owned it, and never will by this try."
        ),
        Some(Step::Start) => format!(
            "{new} was never told that it owns the Linode. {old} is granted it again and starts it; {new} never will. If {new} is told in this very moment, the roll-back is refused."
        ),
        Some(
            Step::PreflightSource
            | Step::PreflightDestination
            | Step::Reserve
            | Step::OpenTransfer
            | Step::WarmCopy
            | Step::Hold
            | Step::TopUp,
        ) => "The Linode was not stopped yet: cancel the migration instead.".to_owned(),
        Some(Step::SealDestination | Step::Restore) => "It is being taken back already.".to_owned(),
        None => "Nothing is being switched over: there is nothing to roll back.".to_owned(),
    };
    vec![
        first,
        "The migration ends as failed. What was copied is kept for another try.".to_owned(),
    ]
}

/// Only a cancel takes a reason.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeedForm {
    reason: String,
}

/// `GET /staff/migrations/{id}/{cancel|retry|roll-back|try|way-back}`
pub async fn ask(staff: Staff, path: Path<(i64, String)>) -> Response {
    present(&staff, path.0, FormState::anew()).await
}

async fn present(
    staff: &Staff,
    (id, verb): (i64, String),
    FormState { typed, problems }: FormState<DeedForm>,
) -> Response {
    let deed = deed(&verb)?;
    let found = find(&staff.portal, id).await?;
    let of = &found.detail;
    let url = format!("{PATH}/{id}");
    let title = format!("{} migration {id} of {}", deed.title, of.linode.label);
    let page = staff
        .page(Area::Migrations, format!("{title}?"))
        .crumb("Migrations", PATH)
        .crumb(format!("Migration {id}"), &url)
        .problems(problems);
    let page = ConfirmPage::new(page, title, format!("{url}/{verb}")).danger(deed.danger);
    let page = match verb.as_str() {
        "roll-back" => page.says(roll_back_words(of)),
        "try" => page.says(trial::consequences(of)),
        // A move off a host has told them its reason.
        "cancel" if of.migration.kind != MigrationKind::Evacuation => {
            page.says(deed.consequences.iter().copied()).field(
                Field::new("reason", "Why (its members read this)", Input::Area(3))
                    .value(typed.unwrap_or_default().reason),
            )
        }
        _ => page.says(deed.consequences.iter().copied()),
    };
    page.back(url, "Leave it as it is").html()
}

/// `POST /staff/migrations/{id}/{cancel|retry|roll-back|try|way-back}`
pub async fn act(staff: Staff, path: Path<(i64, String)>, form: Form<DeedForm>) -> Response {
    let (id, verb) = path.0;
    let (call, typed) = (deed(&verb)?.call, form.0);
    let url = format!("{PATH}/{id}");
    let reason = typed.reason.clone();
    match staff
        .submit(move |app, actor| call(app, actor, MigrationId(id), &reason))
        .await
        .map_err(|fault| fault.at(url.clone(), "See how the migration stands"))?
    {
        Ok(_) => Ok(page::see_other(&url)),
        Err(problems) => {
            let again = FormState::again(typed, problems);
            present(&staff, (id, verb), again).await
        }
    }
}
