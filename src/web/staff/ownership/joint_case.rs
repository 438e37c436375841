//! A joint act with what its page shows: what follows, Linode by Linode, who asked and with what evidence, the form.

use std::collections::HashMap;

use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::app::ownership::joint::{Consequence, may_agree};
use crate::domain::account::Right;
use crate::domain::ids::{HostId, JointActId, UserId};
use crate::domain::ownership::joint::{JointKind, JointState};
use crate::store;
use crate::store::host::Host;
use crate::store::ownership::joint::JointAct;
use crate::web::extract::Staff;
use crate::web::fault::Result;
use crate::web::page::{Area, Page};
use crate::web::staff::linode;
use crate::web::ui::{Field, Input, Link, Problems, When, Zone};

#[derive(Debug, Template)]
#[template(path = "staff/ownership/joint_case.html")]
pub struct JointPage {
    pub page: Page,
    /// Who asked and when, with what evidence, once it is asked for.
    pub asked: Option<AskedView>,
    /// How it was decided, if it was.
    pub closed: Option<String>,
    pub consequences: Vec<&'static str>,
    pub goes: Vec<GoesRow>,
    /// A takeover: its consequences are Linode by Linode.
    pub is_takeover: bool,
    pub form: Option<FormView>,
    /// Only another one can agree.
    pub own: bool,
    pub withdraw: Option<String>,
    pub host_url: String,
    pub host: String,
}

#[derive(Debug)]
pub struct AskedView {
    pub by: String,
    pub at: When,
    pub evidence: String,
}

#[derive(Debug)]
pub struct GoesRow {
    pub linode: Link,
    pub to: String,
    pub as_of: Option<When>,
}

#[derive(Debug)]
pub struct FormView {
    pub action: String,
    pub fields: Vec<Field>,
    pub button: String,
    pub danger: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForm {
    pub evidence: String,
    pub password: String,
    #[serde(default)]
    pub name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideForm {
    pub password: String,
    #[serde(default)]
    pub name: String,
}

/// What the act is called, of this host.
pub fn title(kind: JointKind, host: &str) -> String {
    match kind {
        JointKind::Takeover => format!("Take {host} over"),
        JointKind::Waive => format!("Do not wait for {host}"),
        JointKind::TrustLedger => format!("Trust the ledger of {host} again"),
    }
}

fn consequences(kind: JointKind) -> Vec<&'static str> {
    match kind {
        JointKind::Takeover => vec![
            "The host is given up for good. Its agent is refused from then on; it can only be added anew, under another name.",
            "This is only safe when it is certain that the host is off and stays off: a Linode that still ran on it would run twice.",
            "What was written on it since its Linodes came there is lost, where another host starts them from their old disks.",
        ],
        JointKind::Waive => vec![
            "The portal's memory counts as whole without this host's report.",
            "This is only safe when it is certain that the host is off: it may own Linodes of which the portal has forgotten that, and they could be started elsewhere, too.",
            "When it reports again, what it says is compared like any other host's.",
        ],
        JointKind::TrustLedger => vec![
            "The ledger that its agent shows next becomes the one it is known by, and the host gets work again.",
            "What it says of who owns which Linode counts again: first find out why it showed another ledger, and that only one agent uses this one.",
        ],
    }
}

/// An act with what its page shows.
pub(crate) struct Case {
    pub host: Host,
    kind: JointKind,
    act: Option<JointAct>,
    people: HashMap<UserId, String>,
    preview: Vec<Consequence>,
    names: HashMap<HostId, String>,
}

fn load(
    app: &App,
    staff: &Actor,
    (kind, host): (JointKind, HostId),
    act: Option<JointAct>,
) -> Result<Case, AppError> {
    let preview = if kind == JointKind::Takeover {
        app.takeover_preview(staff, host)?
    } else {
        Vec::new()
    };
    app.db.read(|conn| {
        let of = act
            .iter()
            .flat_map(|act| [Some(act.asked_by), act.decided_by]);
        Ok(Case {
            host: store::host::host(conn, host)?.ok_or(AppError::NotFound)?,
            people: store::account::user_names(conn, of.flatten().collect())?,
            names: store::host::names(conn)?.into_iter().collect(),
            kind,
            act,
            preview,
        })
    })
}

pub(crate) async fn case_of_host(staff: &Staff, host: i64, kind: JointKind) -> Result<Case> {
    staff
        .act(move |app, actor| load(app, actor, (kind, HostId(host)), None))
        .await
}

pub(crate) async fn case_of_act(staff: &Staff, id: i64) -> Result<(Case, JointAct)> {
    staff
        .act(move |app, actor| {
            let act = app.db.read(|conn| {
                store::ownership::joint::get(conn, JointActId(id)).map_err(AppError::from)
            })?;
            let act = act.ok_or(AppError::NotFound)?;
            Ok((
                load(app, actor, (act.kind, act.host_id), Some(act.clone()))?,
                act,
            ))
        })
        .await
}

impl Case {
    pub(in crate::web) fn url(&self) -> String {
        format!("{HOSTS}/{}", self.host.id)
    }

    fn goes(&self, zone: Zone) -> Vec<GoesRow> {
        let row = |it: &Consequence| GoesRow {
            linode: linode::link(it.linode, &it.label),
            to: it.goes_to.map_or_else(
                || "Nowhere: no other host has its disks".to_owned(),
                |(host, _)| {
                    let name = self.names.get(&host).cloned().unwrap_or_default();
                    format!("{name} starts it, with the disks it has")
                },
            ),
            as_of: it.goes_to.map(|(_, at)| zone.both(at)),
        };
        self.preview.iter().map(row).collect()
    }

    /// The act, while it is not decided.
    fn open(&self) -> Option<&JointAct> {
        let act = self.act.as_ref();
        act.filter(|act| act.state == JointState::Asked)
    }

    fn person(&self, id: UserId) -> String {
        self.people.get(&id).cloned().unwrap_or_default()
    }

    fn asked(&self, zone: Zone) -> Option<AskedView> {
        let act = self.act.as_ref()?;
        Some(AskedView {
            by: self.person(act.asked_by),
            at: zone.both(act.asked_at),
            evidence: act.evidence.clone(),
        })
    }

    fn closed(&self, zone: Zone) -> Option<String> {
        let act = self.act.as_ref()?;
        let (by, at) = act.decided_by.zip(act.decided_at)?;
        let (by, at) = (self.person(by), zone.both(at).text);
        match act.state {
            JointState::Asked => None,
            JointState::Done => Some(format!("{by} agreed on {at}: it is done.")),
            JointState::Withdrawn => Some(format!("{by} withdrew it on {at}. Nothing was done.")),
        }
    }

    /// What both type, and what the host is called where that is asked for, too.
    fn fields(&self, name: Option<&str>, problems: &Problems) -> Vec<Field> {
        let mut fields = Vec::new();
        if let Some(name) = name.filter(|_| self.kind == JointKind::Takeover) {
            fields.push(
                Field::text("name", format!("Type the host's name, {}", self.host.name))
                    .value(name)
                    .autocomplete("off")
                    .with(problems),
            );
        }
        fields.push(
            Field::password("password", "Your own password", "current-password")
                .hint("So that it is certain that it is you")
                .with(problems),
        );
        fields
    }

    fn page(&self, staff: &Staff, problems: Problems) -> Page {
        staff
            .page(Area::Hosts, title(self.kind, &self.host.name))
            .crumb("Hosts", HOSTS)
            .crumb(&self.host.name, self.url())
            .problems(problems)
    }

    fn present(
        &self,
        page: Page,
        form: Option<FormView>,
        (own, withdraw): (bool, Option<String>),
    ) -> JointPage {
        let zone = page.zone();
        JointPage {
            asked: self.asked(zone),
            closed: self.closed(zone),
            consequences: consequences(self.kind),
            goes: self.goes(zone),
            is_takeover: self.kind == JointKind::Takeover,
            form,
            own,
            withdraw,
            host_url: self.url(),
            host: self.host.name.clone(),
            page,
        }
    }

    /// The form that asks.
    pub(in crate::web) fn asking(
        &self,
        staff: &Staff,
        typed: &AskForm,
        problems: Problems,
    ) -> JointPage {
        let page = self.page(staff, problems);
        let mut fields = vec![
            Field::new("evidence", "What shows it", Input::Area(5))
                .value(&typed.evidence)
                .hint("Who saw what, and when. Whoever agrees reads this, and it stays in the audit trail.")
                .with(&page.problems),
        ];
        fields.extend(self.fields(Some(&typed.name), &page.problems));
        let form = FormView {
            action: format!("{}/joint/{}", self.url(), self.kind),
            fields,
            button: "Ask a second member of staff to agree".to_owned(),
            danger: false,
        };
        self.present(page, Some(form), (false, None))
    }

    /// What was asked for: another one may agree, everyone may withdraw it.
    pub(in crate::web) fn deciding(
        &self,
        staff: &Staff,
        name: &str,
        problems: Problems,
    ) -> JointPage {
        let page = self.page(staff, problems);
        let open = self.open();
        let may = open.is_some_and(|act| may_agree(act, staff.actor.user));
        let form = open.filter(|_| may).map(|act| FormView {
            action: format!("{PATH}/{}", act.id),
            fields: self.fields(Some(name), &page.problems),
            button: format!("Agree: {}", lower(&title(self.kind, &self.host.name))),
            danger: true,
        });
        let can = page.may(Right::Hosts);
        let withdraw = open.map(|act| format!("{PATH}/{}/withdraw", act.id));
        let own = open.is_some() && !may;
        self.present(page, form.filter(|_| can), (own, withdraw.filter(|_| can)))
    }

    pub(in crate::web) fn withdrawing(&self, staff: &Staff, problems: Problems) -> JointPage {
        let mut page = self.page(staff, problems);
        page.title = format!("Withdraw: {}", lower(&page.title));
        let form = self.open().map(|act| FormView {
            action: format!("{PATH}/{}/withdraw", act.id),
            fields: self.fields(None, &page.problems),
            button: "Withdraw it".to_owned(),
            danger: false,
        });
        JointPage {
            consequences: vec!["Nothing is done. It can be asked for again."],
            goes: Vec::new(),
            is_takeover: false,
            ..self.present(page, form, (false, None))
        }
    }
}

/// With a small first letter.
pub(crate) fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

pub(super) const HOSTS: &str = "/staff/hosts";

pub(super) const PATH: &str = "/staff/joint";
