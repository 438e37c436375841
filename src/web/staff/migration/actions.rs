//! What staff do with a migration: cancel, retry, roll back, and the way back where its member has none. Each is asked first.

use super::shared::PATH;
use super::show::find;
use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::domain::ids::MigrationId;
use crate::domain::migration::Step;
use crate::store::migration::Migration;
use crate::store::migration::page::MigrationDetail;
use crate::web::extract::{Form, Nothing, Path, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::migration::trial;
use crate::web::page::{self, Area, ConfirmPage};
use crate::web::portal::Portal;

type Call = fn(&App, &Actor, MigrationId) -> Result<Migration, AppError>;

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
        call: |app, actor, id| app.try_there(actor, id),
        danger: false,
    },
    Deed {
        verb: "way-back",
        title: "Take the way back of",
        consequences: &[
            "The Linode moves to its former host again, with all data as it is now. That host must be enabled for it.",
        ],
        call: |app, actor, id| app.way_back(actor, id),
        danger: false,
    },
    Deed {
        verb: "cancel",
        title: "Cancel",
        consequences: &[
            "The Linode stays where it is and goes on running. What was copied is thrown away, the place on the new host is given up.",
        ],
        call: |app, actor, id| app.cancel_migration(actor, id),
        danger: true,
    },
    Deed {
        verb: "retry",
        title: "Retry",
        consequences: &["It is queued again, and goes on from what was copied."],
        call: |app, actor, id| app.retry_migration(actor, id),
        danger: false,
    },
    Deed {
        verb: "roll-back",
        title: "Roll back",
        consequences: &[],
        call: |app, actor, id| app.roll_back_migration(actor, id),
        danger: true,
    },
];

fn deed(verb: &str) -> Result<&'static Deed, Fault> {
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

/// `GET /staff/migrations/{id}/{cancel|retry|roll-back|try|way-back}`
pub async fn ask(portal: Portal, staff: Staff, path: Path<(i64, String)>) -> Response {
    let (id, verb) = path.0;
    let deed = deed(&verb)?;
    let found = find(&portal, id).await?;
    let url = format!("{PATH}/{id}");
    let title = format!(
        "{} migration {id} of {}",
        deed.title, found.detail.linode.label
    );
    let page = staff
        .page(Area::Migrations, format!("{title}?"))
        .crumb("Migrations", PATH)
        .crumb(format!("Migration {id}"), &url);
    let page = ConfirmPage::new(page, title, format!("{url}/{verb}")).danger(deed.danger);
    let page = match verb.as_str() {
        "roll-back" => page.says(roll_back_words(&found.detail)),
        "try" => page.says(trial::consequences(&found.detail)),
        _ => page.says(deed.consequences.iter().copied()),
    };
    page.back(url, "Leave it as it is").html()
}

/// `POST /staff/migrations/{id}/{cancel|retry|roll-back|try|way-back}`
pub async fn act(
    portal: Portal,
    staff: Staff,
    path: Path<(i64, String)>,
    _: Form<Nothing>,
) -> Response {
    let (id, verb) = path.0;
    let call = deed(&verb)?.call;
    let url = format!("{PATH}/{id}");
    match staff
        .act(&portal, move |app, actor| call(app, actor, MigrationId(id)))
        .await
    {
        Ok(_) => Ok(page::see_other(&url)),
        Err(fault) => Err(fault.at(url, "See how the migration stands")),
    }
}
