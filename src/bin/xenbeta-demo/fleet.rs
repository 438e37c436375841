//! The sample fleet with its people, and what has happened to it in the days before the demo.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use serde_json::Value;
use xenbeta::app::App;
use xenbeta::app::account::staff::{FirstPassword, NewStaff};
use xenbeta::app::clock::Clock;
use xenbeta::app::context::{Actor, Who};
use xenbeta::app::error::AppError;
use xenbeta::app::host::HostLimits;
use xenbeta::app::import::file::{self, Fleet};
use xenbeta::app::secrets::{self, purpose};
use xenbeta::domain::account::{StaffRole, UserRole};
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::programme::move_times::Limits;
use xenbeta::store;
use xenbeta::store::account::tokens::NewApiToken;

use super::account::{Account, Accounts, MEMBER, OTHER, STAFF};
use super::history;
use crate::Failure;

const SAMPLE: &str = include_str!("../../../packaging/fleet.example.json");

/// Copying at full speed, the sample's small disks would be over there before anyone has seen a progress bar.
const CAP_MB_S: i32 = 6;
/// A started Linode is watched this long: enough to see one fall over.
const WATCH_S: i32 = 3;
const MOVES_PER_HOUR: i32 = 4;
pub(super) const DAY_S: i64 = 86_400;

/// The demo's own doings in the audit trail.
pub const DEMO: Who<'static> = Who {
    name: "demo",
    address: "",
    user: None,
};

pub fn sample() -> Result<Fleet, Failure> {
    Ok(file::parse(SAMPLE)?)
}

/// The same portal, some time ago.
pub fn ago(app: &App, seconds: i64) -> App {
    App {
        clock: Clock::Shifted(Arc::new(AtomicI64::new(-seconds))),
        watch: xenbeta::app::clock::Watch::default(),
        ..app.clone()
    }
}

/// Puts fleet and people in. What is there already stays as it is.
pub fn put_in(app: &App, accounts: &Accounts) -> Result<(), Failure> {
    let then = ago(app, 20 * DAY_S);
    if app
        .db
        .read(|conn| store::account::user_by_email(conn, STAFF))?
        .is_none()
    {
        let password = app.new_password(&accounts.staff.password, &[STAFF])?;
        let sam = NewStaff {
            email: STAFF,
            name: "Sam Staff",
            role: StaffRole::Owner,
        };
        then.add_staff(DEMO, &sam, &FirstPassword::Given(password))?;
    }
    let mut file: Value = serde_json::from_str(SAMPLE)?;
    history::move_early(&mut file);
    for account in [&accounts.member, &accounts.other] {
        set_password(app, &mut file, account)?;
    }
    then.import(DEMO, file.to_string().as_bytes())?;
    for account in accounts.all() {
        give_token(&then, account)?;
    }
    Ok(())
}

fn set_password(app: &App, file: &mut Value, account: &Account) -> Result<(), Failure> {
    let users = file
        .get_mut("accounts")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(|account| account.get_mut("users")?.as_array_mut())
        .flatten();
    for user in users {
        if user.get("email").and_then(Value::as_str) == Some(account.email)
            && let Some(fields) = user.as_object_mut()
        {
            let hash = app.hasher.hash(&account.password)?;
            fields.insert("password_hash".to_owned(), hash.into());
        }
    }
    Ok(())
}

fn give_token(app: &App, account: &Account) -> Result<(), Failure> {
    let now = app.now();
    app.db.write(|conn| {
        let user = store::account::user_by_email(conn, account.email)?.ok_or(AppError::NotFound)?;
        store::account::tokens::insert_api_token(
            conn,
            &NewApiToken {
                hash: &secrets::hash(purpose::API, &account.token),
                user_id: user.id,
                label: "demo",
                scope: "read_write",
                created_at: now,
                expires_at: None,
            },
        )?;
        Ok::<_, AppError>(())
    })?;
    Ok(())
}

/// The programme's settings, and limits at which one can watch.
pub fn set_up(app: &App) -> Result<(), Failure> {
    let now = app.now();
    app.db.write(|conn| {
        let mut row = store::programme::get(conn, now)?;
        row.watch_s = WATCH_S;
        row.opens_at = Some(now.plus_s(-28 * DAY_S));
        row.irc_url = "ircs://irc.oftc.net:6697/linode-xenbeta".to_owned();
        row.forum_url = "https://forum.example.net/xenbeta".to_owned();
        store::programme::set(conn, &row)
    })?;
    let staff = actor(app, STAFF)?;
    // No quiet hours: at whatever hour someone looks at the demo, they can click.
    let times = Limits {
        per_hour: Some(MOVES_PER_HOUR),
        ..Limits::default()
    };
    app.set_move_times(&staff, &times, None)?;
    for host in app.db.read(store::host::all)? {
        let limits = |cap_mb_s| HostLimits {
            slots: host.slots,
            cap_mb_s,
        };
        let change = (limits(host.cap_mb_s), limits(Some(CAP_MB_S)));
        app.set_host_limits(&staff, host.id, change)?;
    }
    history::write(app)
}

/// Everybody but the two members one signs in as has registered, some days ago.
pub fn register_others(app: &App, fleet: &Fleet) -> Result<(), Failure> {
    let mut seconds = 14 * DAY_S;
    for account in &fleet.accounts {
        let Some(user) = account.users.first() else {
            continue;
        };
        if [MEMBER, OTHER].contains(&user.email.as_str()) {
            continue;
        }
        let who = actor(app, user.email.as_str())?;
        let linodes: Vec<LinodeId> = account
            .linodes
            .iter()
            .filter(|it| !history::is_early(it.id))
            .map(|it| LinodeId(it.id))
            .collect();
        let many = ago(app, seconds).register(&who, &linodes)?;
        if let Some((linode, why)) = many.refused.first() {
            return Err(format!("Linode {linode} could not be registered: {why}").into());
        }
        seconds -= DAY_S + 4000;
    }
    Ok(())
}

/// Somebody of the fleet, doing something.
pub fn actor(app: &App, email: &str) -> Result<Actor, Failure> {
    let user = app
        .db
        .read(|conn| store::account::user_by_email(conn, email))?
        .ok_or_else(|| format!("there is no user {email}"))?;
    Ok(Actor {
        user: user.id,
        account: user.account_id,
        role: match user.account_id {
            Some(_) => UserRole::Member,
            None => user.role,
        },
        staff_role: user.staff_role.filter(|_| user.account_id.is_none()),
        name: user.email,
        address: "127.0.0.1".to_owned(),
        session: None,
        owes: None,
    })
}
