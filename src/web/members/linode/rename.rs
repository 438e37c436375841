//! Names that a member gives on a Linode: its own label, a disk image's, an address's reverse name. One field each.

use serde::Deserialize;

use super::shared::{at_linode, find, page_of, url_of};
use crate::app::error::AppError;
use crate::domain::ids::{DiskId, IpId, LinodeId};
use crate::domain::linode::IpKind;
use crate::domain::values::{GroupName, Label, ReverseName};
use crate::store::linode::page::LinodeDetail;
use crate::web::extract::{Form, Member, Path};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, ConfirmPage};
use crate::web::ui::{Field, Problems};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelForm {
    label: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReverseForm {
    rdns: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupForm {
    never_both: String,
}

/// What gets a name.
#[derive(Debug, Clone, Copy)]
enum Named {
    Linode,
    /// Those that are never both down.
    Group,
    Disk(DiskId),
    Address(IpId),
}

/// A page with one field.
struct One {
    title: String,
    line: &'static str,
    path: String,
    field: Field,
    /// What stands in the field if nothing was typed.
    now: String,
    button: &'static str,
}

impl Named {
    fn page(self, detail: &LinodeDetail) -> Option<One> {
        Some(match self {
            Self::Linode => One {
                title: format!("Rename {}", detail.linode.label),
                line: "Only its label here changes, in lists and in mail from now on: it runs on, and its own host name, its addresses and its data stay as they are.",
                path: "rename".to_owned(),
                field: Field::text("label", "Label")
                    .hint("At most 64 letters, digits, spaces and . _ - # ( ) + , : '"),
                now: detail.linode.label.clone(),
                button: "Rename the Linode",
            },
            Self::Group => One {
                title: format!("What is never down together with {}", detail.linode.label),
                line: "Give this name to two or more of your Linodes, and no two of them are stopped for a move at the same time: each waits until the others are well. What you shut down or reboot yourself is not held back.",
                path: "never-both".to_owned(),
                field: Field::text("never_both", "Name they share")
                    .hint("Like database; empty: it stands alone."),
                now: detail.linode.never_both.clone(),
                button: "Save the name",
            },
            Self::Disk(id) => {
                let row = detail.disks.iter().find(|row| row.id == id)?;
                One {
                    title: format!("Rename the disk image {}", row.label),
                    line: "Only its name here changes: devices, data and config profiles stay as they are.",
                    path: format!("disks/{id}"),
                    field: Field::text("label", "Label"),
                    now: row.label.clone(),
                    button: "Rename the disk image",
                }
            }
            Self::Address(id) => {
                let mut public = detail.ips.iter().filter(|row| row.kind == IpKind::Public);
                let row = public.find(|row| row.id == id)?;
                One {
                    title: format!("Reverse name of {}", row.address),
                    line: "What a reverse lookup of the address answers. The name should lead back to the address; mail servers look.",
                    path: format!("ips/{id}"),
                    field: Field::text("rdns", "Host name")
                        .hint("Like web.example.com; empty for none."),
                    now: row.rdns.clone(),
                    button: "Save the reverse name",
                }
            }
        })
    }

    fn said(self, name: &str) -> String {
        match self {
            Self::Linode => format!("It is called {} now.", name.trim()),
            Self::Group => "Saved. It counts for stops from now on.".to_owned(),
            Self::Disk(_) => "The disk image is renamed.".to_owned(),
            Self::Address(_) => "The reverse name is saved.".to_owned(),
        }
    }

    fn present(
        self,
        member: &Member,
        detail: &LinodeDetail,
        typed: Option<String>,
        problems: Problems,
    ) -> Response {
        let one = self.page(detail).ok_or(Fault::NotFound)?;
        let url = url_of(&detail.linode);
        let page = page_of(member, &detail.linode, one.title).problems(problems);
        ConfirmPage::new(page, one.button, format!("{url}/{}", one.path))
            .back(url, format!("Back to {}", detail.linode.label))
            .says([one.line])
            .field(one.field.value(typed.unwrap_or(one.now)))
            .html()
    }

    async fn ask(self, member: &Member, id: i64) -> Response {
        let detail = find(member, id).await?;
        self.present(member, &detail, None, Problems::default())
    }

    async fn save(self, member: &Member, id: i64, typed: String) -> Response {
        let detail = find(member, id).await?;
        let (linode, text) = (LinodeId(id), typed.clone());
        let named = member.submit(move |app, actor| {
            let label = || Label::parse(&text).map_err(AppError::field("label"));
            match self {
                Self::Linode => app.rename_linode(actor, linode, &label()?),
                Self::Group => {
                    let name = GroupName::parse(&text).map_err(AppError::field("never_both"))?;
                    app.set_never_both(actor, linode, &name)
                }
                Self::Disk(disk) => app.rename_disk(actor, linode, disk, &label()?),
                Self::Address(ip) => {
                    let name = ReverseName::parse(&text).map_err(AppError::field("rdns"))?;
                    app.set_reverse_name(actor, linode, ip, &name)
                }
            }
        });
        match named.await.map_err(|fault| at_linode(fault, id))? {
            Ok(()) => page::said(&url_of(&detail.linode), self.said(&typed)),
            Err(problems) => self.present(member, &detail, Some(typed), problems),
        }
    }
}

/// `GET /members/linodes/{id}/rename`
pub async fn ask_label(member: Member, id: Path<i64>) -> Response {
    Named::Linode.ask(&member, id.0).await
}

/// `POST /members/linodes/{id}/rename`
pub async fn rename(member: Member, id: Path<i64>, form: Form<LabelForm>) -> Response {
    let typed = form.0.label;
    Named::Linode.save(&member, id.0, typed).await
}

/// `GET /members/linodes/{id}/never-both`
pub async fn ask_group(member: Member, id: Path<i64>) -> Response {
    Named::Group.ask(&member, id.0).await
}

/// `POST /members/linodes/{id}/never-both`
pub async fn name_group(member: Member, id: Path<i64>, form: Form<GroupForm>) -> Response {
    let typed = form.0.never_both;
    Named::Group.save(&member, id.0, typed).await
}

/// `GET /members/linodes/{id}/disks/{disk}`
pub async fn ask_disk(member: Member, ids: Path<(i64, i64)>) -> Response {
    let disk = Named::Disk(DiskId(ids.0.1));
    disk.ask(&member, ids.0.0).await
}

/// `POST /members/linodes/{id}/disks/{disk}`
pub async fn rename_disk(member: Member, ids: Path<(i64, i64)>, form: Form<LabelForm>) -> Response {
    let disk = Named::Disk(DiskId(ids.0.1));
    disk.save(&member, ids.0.0, form.0.label).await
}

/// `GET /members/linodes/{id}/ips/{ip}`
pub async fn ask_address(member: Member, ids: Path<(i64, i64)>) -> Response {
    let address = Named::Address(IpId(ids.0.1));
    address.ask(&member, ids.0.0).await
}

/// `POST /members/linodes/{id}/ips/{ip}`
pub async fn name_address(
    member: Member,
    ids: Path<(i64, i64)>,
    form: Form<ReverseForm>,
) -> Response {
    let address = Named::Address(IpId(ids.0.1));
    address.save(&member, ids.0.0, form.0.rdns).await
}
