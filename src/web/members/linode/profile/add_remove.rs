//! `/members/linodes/{id}/profiles/new` and `…/{profile}/delete`: config profiles are added and deleted.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;

use super::edit::ProfileForm;
use crate::app::linode::profile::add_remove::{LETTERS, stays};
use crate::domain::ids::{ConfigId, DiskId, LinodeId};
use crate::store::linode::page::LinodeDetail;
use crate::web::extract::{Form, Member, Nothing, Path};
use crate::web::fault::{Fault, Response, Result};
use crate::web::members::linode::shared::{at_linode, find, page_of, url_of};
use crate::web::page::{self, ConfirmPage, Page};
use crate::web::ui::{Choice, Field, Problems};

#[derive(Debug, Template)]
#[template(path = "members/linode/profile/add.html")]
pub struct NewProfilePage {
    pub page: Page,
    pub action: String,
    pub back_url: String,
    pub linode: String,
    pub devices: Vec<Field>,
    pub fields: Vec<Field>,
}

/// Fields of a disk for each device, in the order of [`LETTERS`].
const DEVICES: [&str; 8] = [
    "device_a", "device_b", "device_c", "device_d", "device_e", "device_f", "device_g", "device_h",
];

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProfileForm {
    label: String,
    kernel: String,
    root_device: String,
    #[serde(default)]
    read_only_root: String,
    run_level: String,
    ram_limit_mb: String,
    vcpus: String,
    #[serde(default)]
    comments: String,
    #[serde(default)]
    helper: Vec<String>,
    #[serde(default)]
    device_a: String,
    #[serde(default)]
    device_b: String,
    #[serde(default)]
    device_c: String,
    #[serde(default)]
    device_d: String,
    #[serde(default)]
    device_e: String,
    #[serde(default)]
    device_f: String,
    #[serde(default)]
    device_g: String,
    #[serde(default)]
    device_h: String,
}

/// What is typed, or what is proposed: all disks in their order, the rest as the profile that it boots has it.
struct Typed {
    devices: [String; 8],
    rest: ProfileForm,
}

impl Typed {
    fn of(form: NewProfileForm) -> Self {
        Self {
            devices: [
                form.device_a,
                form.device_b,
                form.device_c,
                form.device_d,
                form.device_e,
                form.device_f,
                form.device_g,
                form.device_h,
            ],
            rest: ProfileForm {
                label: form.label,
                kernel: form.kernel,
                root_device: form.root_device,
                read_only_root: form.read_only_root,
                run_level: form.run_level,
                ram_limit_mb: form.ram_limit_mb,
                vcpus: form.vcpus,
                comments: form.comments,
                helper: form.helper,
            },
        }
    }

    fn first(detail: &LinodeDetail) -> Result<Self> {
        let boots = detail.linode.boot_config_id;
        let like = detail
            .profiles
            .iter()
            .find(|row| Some(row.id) == boots)
            .or(detail.profiles.first());
        let mut rest = match like {
            Some(row) => ProfileForm::of(row)?,
            None => ProfileForm::plain(),
        };
        rest.label = String::new();
        rest.comments = String::new();
        let root = detail.host.platform.disk('a');
        rest.root_device = format!("/dev/{root}");
        let mut devices: [String; 8] = Default::default();
        for (slot, disk) in devices.iter_mut().zip(&detail.disks) {
            *slot = disk.id.to_string();
        }
        Ok(Self { devices, rest })
    }

    fn disks(&self) -> Result<BTreeMap<char, DiskId>, Problems> {
        let mut map = BTreeMap::new();
        for (letter, text) in LETTERS.into_iter().zip(&self.devices) {
            if text.is_empty() {
                continue;
            }
            let id = text.parse::<DiskId>();
            let id =
                id.map_err(|_| Problems::one("device_a", "Choose disk images of this Linode"))?;
            map.insert(letter, id);
        }
        Ok(map)
    }

    fn device_fields(&self, detail: &LinodeDetail, problems: &Problems) -> Vec<Field> {
        let disks = detail.disks.iter();
        let disks = disks.map(|disk| Choice::new(disk.id, &disk.label));
        let choices = Choice::any("No disk", disks);
        DEVICES
            .into_iter()
            .zip(LETTERS)
            .zip(&self.devices)
            .take(detail.disks.len().clamp(1, LETTERS.len()))
            .map(|((name, letter), value)| {
                let device = detail.host.platform.disk(letter);
                Field::select(name, format!("Disk on {device}"), choices.clone())
                    .value(value)
                    .with(problems)
            })
            .collect()
    }
}

fn present(member: &Member, detail: &LinodeDetail, typed: &Typed, problems: Problems) -> Response {
    let label = &detail.linode.label;
    let back_url = url_of(&detail.linode);
    let page = page_of(member, &detail.linode, "New config profile").problems(problems);
    let view = NewProfilePage {
        action: format!("{back_url}/profiles/new"),
        linode: label.clone(),
        devices: typed.device_fields(detail, &page.problems),
        fields: typed.rest.fields(detail, &page.problems)?,
        back_url,
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /members/linodes/{id}/profiles/new`
pub async fn new(member: Member, id: Path<i64>) -> Response {
    let detail = find(&member, id.0).await?;
    let typed = Typed::first(&detail)?;
    present(&member, &detail, &typed, Problems::default())
}

/// `POST /members/linodes/{id}/profiles/new`
pub async fn add(member: Member, id: Path<i64>, form: Form<NewProfileForm>) -> Response {
    let detail = find(&member, id.0).await?;
    let typed = Typed::of(form.0);
    let parsed = typed
        .rest
        .parse()
        .and_then(|edit| Ok((edit, typed.disks()?)));
    let (edit, disks) = match parsed {
        Ok(parsed) => parsed,
        Err(problems) => return present(&member, &detail, &typed, problems),
    };
    let added =
        member.submit(move |app, actor| app.add_profile(actor, LinodeId(id.0), &edit, &disks));
    match added.await.map_err(|fault| at_linode(fault, id.0))? {
        Ok(_) => page::said(
            &format!("/members/linodes/{}", id.0),
            "The config profile is added. Choose it when you boot the Linode.",
        ),
        Err(problems) => present(&member, &detail, &typed, problems),
    }
}

/// `GET /members/linodes/{id}/profiles/{profile}/delete`
pub async fn ask_delete(member: Member, ids: Path<(i64, i64)>) -> Response {
    let (id, profile) = ids.0;
    let detail = find(&member, id).await?;
    let row = detail
        .profiles
        .iter()
        .find(|row| row.id == ConfigId(profile))
        .ok_or(Fault::NotFound)?;
    if let Some(why) = stays(&detail.linode, &detail.profiles, row.id) {
        return Err(at_linode(Fault::conflict(why), id));
    }
    let url = format!("{}/profiles/{profile}", url_of(&detail.linode));
    let title = format!("Delete the config profile {}?", row.label);
    let page = page_of(&member, &detail.linode, title);
    ConfirmPage::new(
        page,
        format!("Delete {}", row.label),
        format!("{url}/delete"),
    )
    .says(["Its settings are gone for good. Disk images and their data stay as they are."])
    .danger(true)
    .back(url, "Keep it")
    .html()
}

/// `POST /members/linodes/{id}/profiles/{profile}/delete`
pub async fn delete(member: Member, ids: Path<(i64, i64)>, _: Form<Nothing>) -> Response {
    let (id, profile) = ids.0;
    member
        .act(move |app, actor| app.delete_profile(actor, LinodeId(id), ConfigId(profile)))
        .await
        .map_err(|fault| at_linode(fault, id))?;
    page::said(
        &format!("/members/linodes/{id}"),
        "The config profile is deleted.",
    )
}
