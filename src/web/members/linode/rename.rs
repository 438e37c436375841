//! Names that a member gives on a Linode: its own label, a disk image's, an address's reverse name. One field each.

use serde::Deserialize;

use super::shared::{at_linode, find};
use crate::domain::ids::{DiskId, IpId, LinodeId};
use crate::domain::values::{Label, ReverseName};
use crate::domain::words::IpKind;
use crate::store::linode::page::LinodeDetail;
use crate::web::extract::{Form, FormData, Member, Path};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, ConfirmPage};
use crate::web::portal::Portal;
use crate::web::ui::{Field, Problems};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelForm {
    label: String,
}
impl FormData for LabelForm {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReverseForm {
    #[serde(default)]
    rdns: String,
}
impl FormData for ReverseForm {}

/// A page with one field.
struct One<'a> {
    title: String,
    line: &'a str,
    path: String,
    field: Field,
    button: String,
}

fn ask(member: &Member, detail: &LinodeDetail, one: One<'_>, problems: Problems) -> Response {
    let status = problems.status();
    let url = format!("/members/linodes/{}", detail.linode.id);
    let label = &detail.linode.label;
    let page = member
        .page(Area::Linodes, one.title)
        .crumb("Linodes", "/members/")
        .crumb(label, &url)
        .problems(problems);
    let view = ConfirmPage {
        consequences: vec![one.line.to_owned()],
        rows: Vec::new(),
        action: format!("{url}/{}", one.path),
        hidden: Vec::new(),
        fields: vec![one.field.with(&page.problems)],
        button: one.button,
        danger: false,
        back_label: format!("Back to {label}"),
        back_url: url,
        page,
    };
    page::html_status(status, &view)
}

fn own_label(
    member: &Member,
    detail: &LinodeDetail,
    typed: Option<String>,
    problems: Problems,
) -> Response {
    let label = &detail.linode.label;
    let one = One {
        title: format!("Rename {label}"),
        line: "Only its label here changes, in lists and in mail from now on: it runs on, and its own host name, its addresses and its data stay as they are.",
        path: "rename".to_owned(),
        field: Field::text("label", "Label")
            .value(typed.unwrap_or_else(|| label.clone()))
            .hint("At most 64 letters, digits, spaces and . _ - # ( ) + , : '"),
        button: "Rename the Linode".to_owned(),
    };
    ask(member, detail, one, problems)
}

/// `GET /members/linodes/{id}/rename`
pub async fn ask_label(portal: Portal, member: Member, id: Path<i64>) -> Response {
    let detail = find(&portal, &member, id.0).await?;
    own_label(&member, &detail, None, Problems::default())
}

/// `POST /members/linodes/{id}/rename`
pub async fn rename(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    form: Form<LabelForm>,
) -> Response {
    let id = id.0;
    let detail = find(&portal, &member, id).await?;
    let label = match Label::parse(&form.0.label) {
        Ok(label) => label,
        Err(fault) => {
            let problems = Problems::one("label", fault.to_string());
            return own_label(&member, &detail, Some(form.0.label), problems);
        }
    };
    let said = format!("It is called {label} now.");
    let renamed = member.submit(&portal, move |app, actor| {
        app.rename_linode(actor, LinodeId(id), &label)
    });
    match renamed.await? {
        Ok(()) => page::said(&format!("/members/linodes/{id}"), said),
        Err(problems) => own_label(&member, &detail, Some(form.0.label), problems),
    }
}

fn disk(
    member: &Member,
    detail: &LinodeDetail,
    id: i64,
    typed: Option<String>,
    problems: Problems,
) -> Response {
    let row = detail
        .disks
        .iter()
        .find(|row| row.id == DiskId(id))
        .ok_or(Fault::NotFound)?;
    let one = One {
        title: format!("Rename the disk image {}", row.label),
        line: "Only its name here changes: devices, data and config profiles stay as they are.",
        path: format!("disks/{id}"),
        field: Field::text("label", "Label").value(typed.unwrap_or_else(|| row.label.clone())),
        button: "Rename the disk image".to_owned(),
    };
    ask(member, detail, one, problems)
}

/// `GET /members/linodes/{id}/disks/{disk}`
pub async fn ask_disk(portal: Portal, member: Member, ids: Path<(i64, i64)>) -> Response {
    let (id, part) = ids.0;
    let detail = find(&portal, &member, id).await?;
    disk(&member, &detail, part, None, Problems::default())
}

/// `POST /members/linodes/{id}/disks/{disk}`
pub async fn rename_disk(
    portal: Portal,
    member: Member,
    ids: Path<(i64, i64)>,
    form: Form<LabelForm>,
) -> Response {
    let (id, part) = ids.0;
    let detail = find(&portal, &member, id).await?;
    let label = match Label::parse(&form.0.label) {
        Ok(label) => label,
        Err(fault) => {
            let problems = Problems::one("label", fault.to_string());
            return disk(&member, &detail, part, Some(form.0.label), problems);
        }
    };
    let renamed = member.submit(&portal, move |app, actor| {
        app.rename_disk(actor, LinodeId(id), DiskId(part), &label)
    });
    match renamed.await? {
        Ok(()) => page::said(
            &format!("/members/linodes/{id}"),
            "The disk image is renamed.",
        ),
        Err(problems) => disk(&member, &detail, part, Some(form.0.label), problems),
    }
}

fn address(
    member: &Member,
    detail: &LinodeDetail,
    id: i64,
    typed: Option<String>,
    problems: Problems,
) -> Response {
    let row = detail
        .ips
        .iter()
        .find(|row| row.id == IpId(id) && row.kind == IpKind::Public)
        .ok_or(Fault::NotFound)?;
    let one = One {
        title: format!("Reverse name of {}", row.address),
        line: "What a reverse lookup of the address answers. The name should lead back to the address; mail servers look.",
        path: format!("ips/{id}"),
        field: Field::text("rdns", "Host name")
            .value(typed.unwrap_or_else(|| row.rdns.clone()))
            .hint("Like web.example.com; empty for none."),
        button: "Save the reverse name".to_owned(),
    };
    ask(member, detail, one, problems)
}

/// `GET /members/linodes/{id}/ips/{ip}`
pub async fn ask_address(portal: Portal, member: Member, ids: Path<(i64, i64)>) -> Response {
    let (id, part) = ids.0;
    let detail = find(&portal, &member, id).await?;
    address(&member, &detail, part, None, Problems::default())
}

/// `POST /members/linodes/{id}/ips/{ip}`
pub async fn name_address(
    portal: Portal,
    member: Member,
    ids: Path<(i64, i64)>,
    form: Form<ReverseForm>,
) -> Response {
    let (id, part) = ids.0;
    let detail = find(&portal, &member, id).await?;
    let name = match ReverseName::parse(&form.0.rdns) {
        Ok(name) => name,
        Err(fault) => {
            let problems = Problems::one("rdns", fault.to_string());
            return address(&member, &detail, part, Some(form.0.rdns), problems);
        }
    };
    let named = member.submit(&portal, move |app, actor| {
        app.set_reverse_name(actor, LinodeId(id), IpId(part), &name)
    });
    match named.await.map_err(|fault| at_linode(fault, id))? {
        Ok(()) => page::said(
            &format!("/members/linodes/{id}"),
            "The reverse name is saved.",
        ),
        Err(problems) => address(&member, &detail, part, Some(form.0.rdns), problems),
    }
}
