//! What happened before the demo began: a programme that has been open for weeks, and Linodes that have moved into the beta
//! and may graduate.

use serde_json::{Value, json};
use xenbeta::app::App;
use xenbeta::app::error::AppError;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::{MigrationKind, MigrationState};
use xenbeta::domain::registration::RegistrationState;
use xenbeta::store;
use xenbeta::store::migration::{Change, NewMigration};
use xenbeta::store::registration::{Decision, NewRegistration};

use super::account::STAFF;
use super::fleet::DAY_S;
use crate::Failure;

/// The account, and its Linodes that are in the beta already, with their plans there.
pub const EARLY: (&str, [(i64, &str); 2]) = (
    "kestrel@example.com",
    [(4138, "Linode 192"), (4139, "Linode 128")],
);
const FROM: &str = "uml-17";
const TO: &str = "xen-beta-1";
const KERNEL: &str = "2.6.16-xenU";

/// Is it one of those?
pub fn is_early(linode: i64) -> bool {
    EARLY.1.iter().any(|(id, _)| *id == linode)
}

/// Puts them on their Xen host, as they are after their move.
pub fn move_early(file: &mut Value) {
    let linodes = file
        .get_mut("accounts")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(|account| account.get_mut("linodes")?.as_array_mut())
        .flatten();
    for linode in linodes {
        let id = linode.get("id").and_then(Value::as_i64);
        let Some((id, plan)) = EARLY.1.iter().find(|(of, _)| Some(*of) == id) else {
            continue;
        };
        let disk = id * 10 + 1;
        if let Some(fields) = linode.as_object_mut() {
            fields.insert("plan".to_owned(), json!(plan));
            fields.insert("host".to_owned(), json!(TO));
        }
        let configs = linode.get_mut("configs").and_then(Value::as_array_mut);
        for config in configs.into_iter().flatten() {
            if let Some(fields) = config.as_object_mut() {
                fields.insert("kernel".to_owned(), json!(KERNEL));
                fields.insert("devices".to_owned(), json!({ "xvda": disk }));
                fields.insert("root_device".to_owned(), json!("/dev/xvda"));
            }
        }
    }
}

/// Their registrations and moves, weeks ago and confirmed; and one that failed first.
pub fn write(app: &App) -> Result<(), Failure> {
    let now = app.now();
    let of_early = app.db.write(|conn| {
        let staff = store::account::user_by_email(conn, STAFF)?.ok_or(AppError::NotFound)?;
        let member = store::account::user_by_email(conn, EARLY.0)?.ok_or(AppError::NotFound)?;
        let (Some(from), Some(to)) = (
            store::host::by_name(conn, FROM)?,
            store::host::by_name(conn, TO)?,
        ) else {
            return Err(AppError::NotFound);
        };
        for (days, (id, _)) in (1_i64..).zip(EARLY.1) {
            let begun = now.plus_s(-(8 + 7 * days) * DAY_S);
            let linode = store::linode::linode(conn, LinodeId(id))?.ok_or(AppError::NotFound)?;
            let new = NewRegistration {
                linode_id: linode.id,
                account_id: linode.account_id,
                requested_by: member.id,
                state: RegistrationState::Requested,
                requested_at: begun.plus_s(-DAY_S),
            };
            let registration = store::registration::insert(conn, &new)?;
            let decision = Decision {
                from: RegistrationState::Requested,
                to: RegistrationState::Approved,
                reason: "",
                by: Some(staff.id),
                at: begun.plus_s(-3600),
            };
            store::registration::decide(conn, registration.id, &decision)?;
            for state in [MigrationState::Failed, MigrationState::Confirmed] {
                let moved = state == MigrationState::Confirmed;
                if !moved && days > 1 {
                    continue;
                }
                let started = if moved { begun } else { begun.plus_s(-1800) };
                let stopped = started.plus_s(180);
                let row = store::migration::insert(
                    conn,
                    &NewMigration {
                        kind: MigrationKind::Beta,
                        linode_id: linode.id,
                        account_id: linode.account_id,
                        registration_id: Some(registration.id),
                        parent_id: None,
                        source_host_id: from.id,
                        destination_host_id: to.id,
                        // One live at a time; it has ended.
                        state,
                        epoch: linode.epoch,
                        base_epoch: None,
                        offered_by: Some(staff.id),
                        offered_at: started.plus_s(-600),
                        expires_at: started.plus_s(14 * DAY_S),
                        queued_at: Some(started.plus_s(-60)),
                        queued_by: Some(member.id),
                        kernels_accepted: false,
                        stop_limit_s: 60,
                    },
                )?;
                let change = Change {
                    was_running: Some(true),
                    started_at: Some(started),
                    closed_at: Some(stopped.plus_s(7 * DAY_S)),
                    stopped_at: moved.then_some(Some(stopped)),
                    committed_at: moved.then_some(stopped.plus_s(4)),
                    finished_at: moved.then_some(stopped.plus_s(11 * days)),
                    failure: (!moved).then(|| "The new host had too little space.".to_owned()),
                    ..Change::default()
                };
                store::migration::note(conn, row.id, &change)?;
                let said = "This happened before the demo began.";
                store::migration::insert_event(conn, row.id, started, (state, None), said)?;
            }
        }
        Ok::<_, AppError>(())
    });
    Ok(of_early?)
}
