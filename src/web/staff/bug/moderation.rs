//! `/staff/bugs/{id}/hide`: hiding a part of a thread with a reason, showing it again, deleting a hidden file for good.

use serde::Deserialize;

use super::list::PATH;
use crate::app::bug::moderation::Reason;
use crate::domain::bug::Part;
use crate::domain::ids::BugId;
use crate::store;
use crate::web::extract::{Form, Path, Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, ConfirmPage};
use crate::web::portal;
use crate::web::ui::{Field, Input, Problems};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Params {
    part: String,
    #[serde(rename = "do")]
    deed: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HideForm {
    part: String,
    #[serde(rename = "do")]
    deed: String,
    #[serde(default)]
    reason: String,
}

fn named(part: Part) -> String {
    match part {
        Part::Opening => "the opening of the thread".to_owned(),
        Part::Post(id) => format!("reply {id}"),
        Part::File(id) => format!("file {id}"),
    }
}

fn unknown() -> Fault {
    Fault::BadRequest("A thread has no such part.".to_owned())
}

async fn present(
    staff: &Staff,
    id: i64,
    (part, deed): (Part, &str),
    (typed, problems): (&str, Problems),
) -> Response {
    let bug = portal::find(&staff.portal, move |conn| {
        let there = store::bug::moderation::exists(conn, BugId(id), part)?;
        Ok(store::bug::bug(conn, BugId(id))?.filter(|_| there))
    })
    .await?;
    let hides = deed == "hide";
    let what = named(part);
    let title = if hides {
        format!("Hide {what}")
    } else {
        format!("Delete {what} for good")
    };
    let page = staff
        .page(Area::StaffBugs, title)
        .crumb("Bugs", PATH)
        .crumb(format!("Bug {id}"), format!("{PATH}/{id}"))
        .problems(problems);
    let consequences = match (hides, part) {
        (false, _) => vec!["Nobody can see or restore it afterwards, staff neither.".to_owned()],
        (true, Part::Opening) => vec![
            format!("Bug {id}: {}", bug.title),
            "Its title, texts, facts and first files are for staff alone then. Other members find it in no list and no search; replies stay.".to_owned(),
            "You can show it again at any time.".to_owned(),
        ],
        (true, Part::Post(_)) => vec![
            "Its text and its files are for staff alone then; search and mail do not give it any more.".to_owned(),
            "You can show it again at any time.".to_owned(),
        ],
        (true, Part::File(_)) => vec![
            "It is for staff alone then. You can show it again at any time, or delete it for good.".to_owned(),
        ],
    };
    let url = format!("{PATH}/{id}");
    let button = if hides { "Hide it" } else { "Delete it" };
    let page = ConfirmPage::new(page, button, format!("{url}/hide"))
        .says(consequences)
        .hidden("part", part.to_string())
        .hidden("do", deed)
        .danger(!hides)
        .back(url, "Back to the bug");
    let reason = Field::new("reason", "Why (its author reads this)", Input::Area(3)).value(typed);
    if hides { page.field(reason) } else { page }.html()
}

/// `GET /staff/bugs/{id}/hide`
pub async fn ask(staff: Staff, id: Path<i64>, asked: Query<Params>) -> Response {
    let part = Part::parse(&asked.0.part).ok_or_else(unknown)?;
    let deed = match (asked.0.deed.as_str(), part) {
        ("" | "hide", _) => "hide",
        ("delete", Part::File(_)) => "delete",
        _ => return Err(unknown()),
    };
    present(&staff, id.0, (part, deed), ("", Problems::default())).await
}

/// `POST /staff/bugs/{id}/hide`
pub async fn act(staff: Staff, id: Path<i64>, form: Form<HideForm>) -> Response {
    let HideForm { part, deed, reason } = form.0;
    let part = Part::parse(&part).ok_or_else(unknown)?;
    let bug = BugId(id.0);
    let said = match (deed.as_str(), part) {
        ("hide", _) => match Reason::parse(&reason) {
            Ok(why) => {
                staff
                    .act(move |app, actor| app.hide_of_bug(actor, bug, part, &why))
                    .await?;
                "It is hidden. Staff still see it here, and can show it again."
            }
            Err(why) => {
                let problems = Problems::one("reason", why.to_string());
                let typed = (reason.as_str(), problems);
                return present(&staff, id.0, (part, "hide"), typed).await;
            }
        },
        ("show", _) => {
            staff
                .act(move |app, actor| app.show_of_bug(actor, bug, part))
                .await?;
            "It is shown again."
        }
        ("delete", Part::File(file)) => {
            staff
                .act(move |app, actor| app.delete_bug_file(actor, bug, file))
                .await?;
            "The file is deleted."
        }
        _ => return Err(unknown()),
    };
    page::said(&format!("{PATH}/{}", id.0), said)
}
