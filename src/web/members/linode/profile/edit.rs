//! `/members/linodes/{id}/profiles/{profile}`: a config profile, to be changed. It holds from the next boot on.

use askama::Template;
use serde::Deserialize;

use crate::app::linode::profile::ProfileEdit;
use crate::app::linode::profile::add_remove::stays;
use crate::domain::ids::{ConfigId, LinodeId};
use crate::domain::linode::{Helper, RunLevel};
use crate::domain::string_enum::StringEnum;
use crate::domain::values::Label;
use crate::store::error::StoreError;
use crate::store::linode::page::LinodeDetail;
use crate::store::linode::profile::ConfigProfile;
use crate::web::extract::{Form, Member, Path};
use crate::web::fault::{Fault, Response};
use crate::web::members::linode::shared::{at_linode, find, page_of, url_of};
use crate::web::page::{self, Page};
use crate::web::ui::names::{helper_name, run_level_name};
use crate::web::ui::{Choice, Field, FormState, Input, Problems};

#[derive(Debug, Template)]
#[template(path = "members/linode/profile/edit.html")]
pub struct ProfilePage {
    pub page: Page,
    pub action: String,
    pub back_url: String,
    pub linode: String,
    pub devices: Vec<String>,
    pub fields: Vec<Field>,
    /// Why it cannot be deleted now, if it cannot.
    pub stays: Option<&'static str>,
}

/// As typed, or as it is stored.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileForm {
    pub(in crate::web::members) label: String,
    pub(in crate::web::members) kernel: String,
    pub(in crate::web::members) root_device: String,
    #[serde(default)]
    pub(in crate::web::members) read_only_root: String,
    pub(in crate::web::members) run_level: String,
    pub(in crate::web::members) ram_limit_mb: String,
    pub(in crate::web::members) vcpus: String,
    #[serde(default)]
    pub(in crate::web::members) comments: String,
    #[serde(default)]
    pub(in crate::web::members) helper: Vec<String>,
}

impl ProfileForm {
    pub(in crate::web::members) fn of(row: &ConfigProfile) -> Result<Self, StoreError> {
        let helpers = row.helper_list()?.into_iter();
        Ok(Self {
            label: row.label.clone(),
            kernel: row.kernel_id.clone(),
            root_device: row.root_device.clone(),
            read_only_root: if row.read_only_root { "yes" } else { "" }.to_owned(),
            run_level: row.run_level.to_string(),
            ram_limit_mb: row.ram_limit_mb.to_string(),
            vcpus: row.vcpus.to_string(),
            comments: row.comments.clone(),
            helper: helpers.map(|helper| helper.as_str().to_owned()).collect(),
        })
    }

    /// Of a Linode that has no profile yet.
    pub(in crate::web::members) fn plain() -> Self {
        Self {
            label: String::new(),
            kernel: String::new(),
            root_device: String::new(),
            read_only_root: "yes".to_owned(),
            run_level: RunLevel::Default.to_string(),
            ram_limit_mb: "0".to_owned(),
            vcpus: "1".to_owned(),
            comments: String::new(),
            helper: Vec::new(),
        }
    }

    fn helpers(&self) -> impl Iterator<Item = &str> {
        let words = self.helper.iter().map(String::as_str);
        words.filter(|word| !word.is_empty())
    }

    pub(in crate::web::members) fn parse(&self) -> Result<ProfileEdit, Problems> {
        let mut problems = Problems::default();
        let label = problems.take("label", Label::parse(self.label.trim()));
        let ram = problems.whole("ram_limit_mb", &self.ram_limit_mb);
        let vcpus: Option<i64> = problems.whole("vcpus", &self.vcpus);
        let vcpus = vcpus.and_then(|n| {
            let small = i32::try_from(n).map_err(|_| "Enter a small number");
            problems.take("vcpus", small)
        });
        let run_level = problems.take("run_level", self.run_level.parse::<RunLevel>());
        let helpers: Result<Vec<Helper>, String> = self.helpers().map(str::parse).collect();
        let helpers = problems.take("helper", helpers);
        match (label, ram, vcpus, run_level, helpers) {
            (Some(label), Some(ram_limit_mb), Some(vcpus), Some(run_level), Some(helpers)) => {
                Ok(ProfileEdit {
                    label,
                    kernel: self.kernel.clone(),
                    root_device: self.root_device.trim().to_owned(),
                    read_only_root: self.read_only_root == "yes",
                    run_level,
                    ram_limit_mb,
                    vcpus,
                    comments: self.comments.trim().to_owned(),
                    helpers,
                })
            }
            _ => Err(problems),
        }
    }

    pub(in crate::web::members) fn fields(
        &self,
        detail: &LinodeDetail,
        problems: &Problems,
    ) -> Result<Vec<Field>, StoreError> {
        let run_level = RunLevel::ALL
            .iter()
            .map(|level| Choice::new(level, run_level_name(*level)))
            .collect();
        let on: Vec<&str> = self.helpers().collect();
        let helpers = Helper::ALL
            .iter()
            .map(|helper| {
                let words = format!("{}: {}", helper_name(*helper), helper_words(*helper));
                Choice::new(helper, words).chosen(on.contains(&helper.as_str()))
            })
            .collect();
        let platform = detail.host.platform;
        let cpus = if platform.offers().many_cpus {
            format!("1 to {}.", platform.most_cpus(detail.plan.vcpus))
        } else {
            let name = platform.offers().name;
            format!("Under {name} a Linode has one CPU, whatever stands here.")
        };
        let fields = [
            Field::text("label", "Label").value(&self.label),
            Field::select("kernel", "Kernel", kernels(detail, &self.kernel)?).value(&self.kernel),
            Field::text("root_device", "Root device").value(&self.root_device),
            Field::new("read_only_root", "Mount the root read-only at first", Input::Check)
                .value(&self.read_only_root)
                .hint("Most distributions check the file system, then make it writable themselves."),
            Field::new("run_level", "Run level", Input::Radios(run_level)).value(&self.run_level),
            Field::number("ram_limit_mb", "Memory limit in MB")
                .value(&self.ram_limit_mb)
                .hint(format!("0 is all of the plan, {} MB.", detail.plan.ram_mb)),
            Field::number("vcpus", "CPUs")
                .value(&self.vcpus)
                .hint(cpus),
            Field::new("helper", "Boot helpers", Input::Checks(helpers)).hint(
                "They run inside the Linode before its own start, each keeps a copy of what it changes, and what they did stands on the console.",
            ),
            Field::new("comments", "Comments", Input::Area(3)).value(&self.comments),
        ];
        Ok(problems.on(fields))
    }
}

/// Those of the Linode's platform that its host has, and the one in use.
fn kernels(detail: &LinodeDetail, current: &str) -> Result<Vec<Choice>, StoreError> {
    let offered = detail.host.kernel_list()?;
    let fits = |id: &str| offered.is_empty() || offered.iter().any(|kernel| kernel.id == id);
    Ok(detail
        .kernels
        .values()
        .filter(|kernel| {
            kernel.id == current || (kernel.platform == detail.host.platform && fits(&kernel.id))
        })
        .map(|kernel| Choice::new(&kernel.id, kernel.label.clone()))
        .collect())
}

fn helper_words(helper: Helper) -> &'static str {
    match helper {
        Helper::DisableTls => {
            "moves /lib/tls out of the way. Off: threads by NPTL, slower under Xen unless the libc is built for it"
        }
        Helper::Fstab => {
            "puts the names of disks in /etc/fstab and /etc/crypttab right, and makes lines that this platform cannot mount comments"
        }
        Helper::Console => "starts the log-in prompt on this platform's console",
        Helper::Modules => "brings the modules of the kernel that we provide",
        Helper::UdevNet => "keeps the network card's name eth0",
        Helper::UpdatedbOff => "switches the nightly indexing of all files off",
    }
}

async fn present(
    member: &Member,
    (id, profile): (i64, i64),
    FormState { typed, problems }: FormState<&ProfileForm>,
) -> Response {
    let detail = find(member, id).await?;
    let row = detail
        .profiles
        .iter()
        .find(|row| row.id == ConfigId(profile))
        .ok_or(Fault::NotFound)?;
    let stored = ProfileForm::of(row)?;
    let form = typed.unwrap_or(&stored);
    let label = &detail.linode.label;
    let back_url = url_of(&detail.linode);
    let title = format!("Config profile {}", row.label);
    let page = page_of(member, &detail.linode, title).problems(problems);
    let devices = row.device_map()?.into_iter().map(|(device, disk)| {
        let known = detail.disks.iter().find(|known| known.id == disk);
        let disk = known.map_or("no disk", |known| known.label.as_str());
        format!("{device}: {disk}")
    });
    let view = ProfilePage {
        action: format!("{back_url}/profiles/{profile}"),
        linode: label.clone(),
        devices: devices.collect(),
        fields: form.fields(&detail, &page.problems)?,
        stays: stays(&detail.linode, &detail.profiles, row.id),
        back_url,
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /members/linodes/{id}/profiles/{profile}`
pub async fn show(member: Member, ids: Path<(i64, i64)>) -> Response {
    present(&member, ids.0, FormState::anew()).await
}

/// `POST /members/linodes/{id}/profiles/{profile}`
pub async fn save(member: Member, ids: Path<(i64, i64)>, form: Form<ProfileForm>) -> Response {
    let (id, profile) = ids.0;
    let edit = match form.0.parse() {
        Ok(edit) => edit,
        Err(problems) => {
            return present(&member, ids.0, FormState::again(&form.0, problems)).await;
        }
    };
    let saved = member
        .submit(move |app, actor| app.edit_profile(actor, LinodeId(id), ConfigId(profile), &edit));
    match saved.await.map_err(|fault| at_linode(fault, id))? {
        Ok(()) => page::said(
            &format!("/members/linodes/{id}"),
            "The config profile is changed. It holds from the next boot on.",
        ),
        Err(problems) => present(&member, ids.0, FormState::again(&form.0, problems)).await,
    }
}
