//! `/staff/hosts/{id}`: one host with its occupants and limits. Rule of the room: adding a host, enrolling and revoking its
//! agent are in [`super::enrol`], emptying it in [`crate::web::staff::evacuation`].

use askama::Template;
use serde::Deserialize;

use super::joint_view::JointView;
use super::list::{Row, row};
use super::shared::{PATH, number, optional};
use crate::app::host::HostLimits;
use crate::app::host::liveness::asked_at;
use crate::domain::account::Right;
use crate::domain::host::HostState;
use crate::domain::ids::HostId;
use crate::domain::placement::Room;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::host::Host;
use crate::store::host::page::HostDetail;
use crate::store::linode::Linode;
use crate::store::migration::list::MigrationRow;
use crate::web::extract::{Form, Path, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::staff::evacuation::progress::{EmptyingView, empty_words};
use crate::web::staff::linode;
use crate::web::ui::{Action, Choice, Field, FormState, Input, Link, Problems, Tag, When, units};

#[derive(Debug, Template)]
#[template(path = "staff/host/show.html")]
pub struct HostPage {
    pub page: Page,
    pub id: i64,
    pub row: Row,
    pub facts: Vec<(&'static str, String)>,
    pub unknown: Vec<String>,
    pub occupants: Vec<OccupantRow>,
    pub occupants_in_all: i64,
    pub arriving: Vec<ArrivingRow>,
    pub state: Option<Field>,
    /// State, slots and cap as they are, to be told from what somebody else makes of them meanwhile.
    pub was_state: HostState,
    pub was_slots: String,
    pub was_cap: String,
    pub slots: Field,
    pub cap: Field,
    pub actions: Vec<Action>,
    pub agent_actions: Vec<Action>,
    pub emptying: Option<EmptyingView>,
    /// Whether it can be given back.
    pub empty: Option<String>,
    /// Why its ledger is not trusted, and since when.
    pub fault: Option<(String, Option<When>)>,
    pub joint: JointView,
}

#[derive(Debug)]
pub struct OccupantRow {
    pub linode: Link,
    pub account: String,
    pub plan: String,
    pub status: Tag,
}

#[derive(Debug)]
pub struct ArrivingRow {
    pub link: Link,
    pub state: Tag,
    pub from: String,
    pub to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateForm {
    state: String,
    /// The state that the page showed.
    #[serde(default)]
    was: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsForm {
    slots: String,
    #[serde(default)]
    cap_mb_s: String,
    /// What the page showed of both.
    #[serde(default)]
    was_slots: String,
    #[serde(default)]
    was_cap_mb_s: String,
}

async fn present(
    staff: &Staff,
    id: i64,
    FormState { typed, problems }: FormState<LimitsForm>,
) -> Response {
    let now = staff.portal.now();
    let (detail, room, asked, memory) = portal::find(&staff.portal, move |conn| {
        let Some(detail) = store::host::page::host(conn, HostId(id))? else {
            return Ok(None);
        };
        let room = store::host::room::rooms(conn, asked_at(now))?
            .into_iter()
            .find(|room| room.host == HostId(id));
        let asked = store::ownership::joint::asked(conn, Some(HostId(id)))?;
        Ok(Some((
            detail,
            room,
            asked,
            store::ownership::memory::get(conn)?,
        )))
    })
    .await?;
    let (actor, host) = (staff.actor.clone(), detail.host.clone());
    let (emptying, hanging) =
        portal::run(&staff.portal, move |app| app.emptying(&actor, &host)).await?;
    let status = problems.status();
    let page = staff
        .page(Area::Hosts, detail.host.name.clone())
        .crumb("Hosts", PATH)
        .problems(problems);
    let zone = page.zone();
    page::html_status(
        status,
        &HostPage {
            emptying: emptying.map(|of| EmptyingView::new(HostId(id), &of, zone)),
            empty: empty_words(&detail, hanging, zone),
            joint: JointView::new(&detail.host, &memory, asked, (staff.portal.now(), zone))
                .for_those_who(staff.actor.may(Right::Hosts)),
            ..HostPage::new(page, &detail, typed, (room.as_ref(), staff.portal.now()))
        },
    )
}

impl HostPage {
    fn new(
        page: Page,
        detail: &HostDetail,
        typed: Option<LimitsForm>,
        (room, now): (Option<&Room>, Time),
    ) -> Self {
        let host = &detail.host;
        let cap = host.cap_mb_s.map(|cap| cap.to_string()).unwrap_or_default();
        let typed = typed.unwrap_or_else(|| LimitsForm {
            slots: host.slots.to_string(),
            cap_mb_s: cap.clone(),
            was_slots: host.slots.to_string(),
            was_cap_mb_s: cap,
        });
        let ask = |verb: &str, label: String| {
            Action::ask(format!("{PATH}/{}/{verb}", host.id), label).second()
        };
        Self {
            id: host.id.0,
            row: row(host, room, detail.plan.as_deref(), (now, page.zone())),
            facts: facts(host),
            unknown: serde_json::from_str(&host.unknown_disks).unwrap_or_default(),
            occupants: detail.occupants.iter().map(occupant_row).collect(),
            occupants_in_all: detail.occupants_in_all,
            arriving: detail.arriving.iter().map(arriving_row).collect(),
            state: state_field(host.state),
            was_state: host.state,
            was_slots: typed.was_slots,
            was_cap: typed.was_cap_mb_s,
            slots: Field::number("slots", "Migrations at once")
                .value(typed.slots)
                .with(&page.problems),
            cap: Field::number("cap_mb_s", "Cap on copying, MB/s")
                .value(typed.cap_mb_s)
                .hint("Empty for none. It reaches running copies too.")
                .with(&page.problems),
            actions: Action::those([(
                host.state != HostState::Quarantined
                    && detail.occupants_in_all > 0
                    && page.may(Right::Evacuation),
                ask("evacuate", format!("Evacuate {}…", host.name)),
            )]),
            agent_actions: Action::those([
                (true, ask("token", "Make an enrolment token…".to_owned())),
                (
                    host.fingerprint.is_some(),
                    ask("revoke", "Revoke the agent…".to_owned()),
                ),
            ]),
            emptying: None,
            empty: None,
            fault: (!host.ledger_fault.is_empty()).then(|| {
                let since = host.ledger_fault_at.map(|at| page.zone().both(at));
                (host.ledger_fault.clone(), since)
            }),
            joint: JointView::default(),
            page,
        }
    }
}

fn occupant_row((of, plan, account): &(Linode, String, String)) -> OccupantRow {
    OccupantRow {
        linode: linode::link(of.id, &of.label),
        account: account.clone(),
        plan: plan.clone(),
        status: Tag::linode(of.status),
    }
}

fn arriving_row(row: &MigrationRow) -> ArrivingRow {
    let id = row.migration.id;
    ArrivingRow {
        link: Link::migration_of(id, &row.linode),
        state: Tag::migration(row.migration.state),
        from: row.source.clone(),
        to: row.destination.clone(),
    }
}

/// One that was taken over has none to choose.
fn state_field(state: HostState) -> Option<Field> {
    let states = [HostState::Enabled, HostState::Draining, HostState::Disabled];
    let choices = states.map(|state| Choice::new(state, state_words(state)));
    (state != HostState::Quarantined)
        .then(|| Field::new("state", "State", Input::Radios(choices.into())).value(state))
}

fn state_words(state: HostState) -> &'static str {
    match state {
        HostState::Enabled => "Enabled: takes Linodes and jobs",
        HostState::Draining => "Draining: takes no new Linodes",
        HostState::Disabled => "Disabled: takes no jobs at all",
        HostState::Quarantined => "Quarantined",
    }
}

fn facts(host: &Host) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Memory for guests", units::mebibytes(host.memory_mb)),
        ("Disk for guests", units::mebibytes(host.disk_mb)),
    ];
    if let Some(free) = host.disk_free_mb {
        facts.push(("Disk free, as the agent sees it", units::mebibytes(free)));
    }
    facts.push((
        "Tells what changed between passes",
        if host.tells_changes { "yes" } else { "no" }.to_owned(),
    ));
    for kernel in host.kernel_list().unwrap_or_default() {
        let with = match (kernel.initramfs, kernel.modules) {
            (true, true) => ", with initramfs and modules",
            (true, false) => ", with initramfs",
            (false, true) => ", with modules",
            (false, false) => "",
        };
        facts.push(("Kernel", format!("{} ({}){with}", kernel.label, kernel.id)));
    }
    if let Some(version) = &host.agent_version {
        facts.push(("Agent", format!("{version}, protocol {}", host.protocol)));
    }
    if let Some(id) = &host.ledger_id {
        let id: String = id.chars().take(8).collect();
        let serial = host.ledger_serial.unwrap_or(0);
        facts.push(("Ledger", format!("{id}, {serial} records")));
    }
    if let Some(address) = &host.transfer_address {
        facts.push(("Transfer address", address.clone()));
    }
    if let Some(fingerprint) = &host.fingerprint {
        facts.push(("Transfer key", fingerprint.clone()));
    }
    facts
}

/// `GET /staff/hosts/{id}`
pub async fn show(staff: Staff, id: Path<i64>) -> Response {
    present(&staff, id.0, FormState::anew()).await
}

/// `POST /staff/hosts/{id}/state`
pub async fn set_state(staff: Staff, id: Path<i64>, form: Form<StateForm>) -> Response {
    let state = HostState::parse(&form.0.state).filter(|state| *state != HostState::Quarantined);
    let state = state.ok_or_else(|| {
        Fault::BadRequest("Choose one of the states on the host's page.".to_owned())
    })?;
    let seen = HostState::parse(&form.0.was)
        .ok_or_else(|| Fault::BadRequest("Use the form on the host's page.".to_owned()))?;
    let url = format!("{PATH}/{}", id.0);
    staff
        .act(move |app, actor| app.set_host_state(actor, HostId(id.0), (seen, state)))
        .await
        .map_err(|fault| fault.at(url, "Look at the host again"))?;
    let offers = if state == HostState::Enabled {
        ""
    } else {
        " Offers of places on it are called off, and those who had them are told."
    };
    page::said(
        &format!("{PATH}/{}", id.0),
        format!("The host is {state}.{offers}"),
    )
}

/// `POST /staff/hosts/{id}/limits`
pub async fn set_limits(staff: Staff, id: Path<i64>, form: Form<LimitsForm>) -> Response {
    let mut problems = Problems::default();
    let slots = number(&mut problems, "slots", &form.0.slots);
    let cap = optional(&mut problems, "cap_mb_s", &form.0.cap_mb_s);
    let Some(slots) = slots.filter(|_| problems.is_empty()) else {
        return present(&staff, id.0, FormState::again(form.0, problems)).await;
    };
    let limits = |slots, cap_mb_s| HostLimits { slots, cap_mb_s };
    let seen = limits(
        form.0.was_slots.parse().unwrap_or(-1),
        form.0.was_cap_mb_s.parse().ok(),
    );
    let to = limits(slots, cap);
    match staff
        .submit(move |app, actor| app.set_host_limits(actor, HostId(id.0), (seen, to)))
        .await
        .map_err(|fault| fault.at(format!("{PATH}/{}", id.0), "Look at the host again"))?
    {
        Ok(()) => page::said(&format!("{PATH}/{}", id.0), "The limits are saved."),
        Err(problems) => present(&staff, id.0, FormState::again(form.0, problems)).await,
    }
}
