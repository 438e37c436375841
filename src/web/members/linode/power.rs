//! What a member does with a Linode: power, and a look at its console.

use std::time::Duration;

use super::shared::{at_linode, find, is_over, page_of, url_of};
use crate::domain::ids::{ConfigId, LinodeId};
use crate::domain::job::JobKind;
use crate::web::extract::{Form, Member, Nothing, Path};
use crate::web::fault::Response;
use crate::web::page::{self, ConfirmPage};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootForm {
    profile: Option<i64>,
}

async fn request(
    member: Member,
    id: i64,
    (kind, profile): (JobKind, Option<ConfigId>),
) -> Response {
    let verb = match kind {
        JobKind::Boot => "boot",
        JobKind::Reboot => "reboot",
        _ => "shut down",
    };
    member
        .act(move |app, actor| app.power(actor, LinodeId(id), kind, profile))
        .await
        .map_err(|fault| at_linode(fault, id))?;
    page::said(
        &format!("/members/linodes/{id}"),
        format!("It is asked to {verb}. The job stands in the Host Job Queue below."),
    )
}

/// `POST /members/linodes/{id}/boot`
pub async fn boot(member: Member, id: Path<i64>, form: Form<BootForm>) -> Response {
    let profile = form.0.profile.map(ConfigId);
    request(member, id.0, (JobKind::Boot, profile)).await
}

/// `POST /members/linodes/{id}/reboot`
pub async fn reboot(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    request(member, id.0, (JobKind::Reboot, None)).await
}

/// `GET /members/linodes/{id}/shutdown`
pub async fn ask_shutdown(member: Member, id: Path<i64>) -> Response {
    let detail = find(&member, id.0).await?;
    let (url, what) = (
        url_of(&detail.linode),
        format!("Shut down {}", detail.linode.label),
    );
    let page = page_of(&member, &detail.linode, format!("{what}?"));
    ConfirmPage::new(page, what, format!("{url}/shutdown"))
        .says(["It stops serving until you boot it again. Its data and addresses stay."])
        .danger(true)
        .back(url, "Keep it running")
        .html()
}

/// `POST /members/linodes/{id}/shutdown`
pub async fn shutdown(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    request(member, id.0, (JobKind::Shutdown, None)).await
}

/// How long a page waits for the host's answer before it is shown without.
const CONSOLE_WAIT: Duration = Duration::from_secs(2);

/// `POST /members/linodes/{id}/console`: has the host read it, and shows it as soon as it is there.
pub async fn read_console(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    let job = member
        .act(move |app, actor| app.read_console(actor, LinodeId(id.0)))
        .await?;
    let url = format!("/members/linodes/{}", id.0);
    if is_over(&member.portal, job, CONSOLE_WAIT).await? {
        return Ok(page::see_other(&format!("{url}#console")));
    }
    page::said(
        &url,
        "The host is asked for the console. Load this page again in a moment.",
    )
}
