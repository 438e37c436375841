//! What members and staff do, by the portal's own use cases; and the end of a run, when all faults have stopped.

use diesel::prelude::*;
use xenbeta::app::App;
use xenbeta::app::context::Actor;
use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::account::{StaffRole, UserRole};
use xenbeta::domain::ids::{AccountId, JobId, LinodeId, UserId};
use xenbeta::domain::job::{JobKind, JobState};
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::{MigrationState, Step};
use xenbeta::domain::ownership::joint::JointKind;
use xenbeta::domain::values::{DownLimit, Patience, StopLimit};
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::store::migration::Migration;
use xenbeta::store::schema::jobs;

use crate::portal::{HOSTS, LINODES, id};
use crate::sim::Sim;
use crate::support::fleet::PASSWORD;

/// Events after the last fault within which everything has to come to its end.
const PATIENCE: usize = 6000;

fn actor(user: i64, role: UserRole) -> Actor {
    Actor {
        user: UserId(user),
        account: (role == UserRole::Member).then_some(AccountId(1)),
        role,
        staff_role: (role == UserRole::Staff).then_some(StaffRole::Owner),
        name: format!("user {user}"),
        address: "198.51.100.7".into(),
        session: None,
        owes: None,
    }
}

pub fn member() -> Actor {
    actor(1, UserRole::Member)
}

pub fn staff() -> Actor {
    actor(3, UserRole::Staff)
}

fn newest(app: &App, linode: LinodeId) -> Option<Migration> {
    let rows = app
        .db
        .read(|conn| store::migration::of_linode(conn, linode));
    rows.expect("reads").into_iter().next()
}

fn failed_jobs(app: &App) -> Vec<JobId> {
    let read = |conn: &mut _| {
        Ok::<_, StoreError>(
            jobs::table
                .filter(jobs::state.eq(JobState::Failed))
                .order(jobs::id)
                .select(jobs::id)
                .load(conn)?,
        )
    };
    app.db.read(read).expect("reads")
}

fn is_live(state: MigrationState) -> bool {
    xenbeta::domain::migration::is_live(state)
}

impl Sim {
    fn told<T>(&self, what: &str, outcome: Result<T, AppError>) -> bool {
        self.changes.set(self.changes.get() + 1);
        match outcome {
            Ok(_) => {
                self.note(format!("{what}: done"));
                true
            }
            Err(error) => {
                self.note(format!("{what}: {error}"));
                self.is_no_fault(&error);
                false
            }
        }
    }

    /// A member or a member of staff does something, sensible or not.
    pub fn somebody_acts(&self) {
        let Some(app) = self.portal.borrow().clone() else {
            return self.portal_starts();
        };
        let which = self.below(LINODES.len() as u64) as usize;
        let linode = LINODES[which];
        if self.quiet.get() {
            return self.staff_help(&app, linode);
        }
        let row = newest(&app, linode);
        let Some(row) = row.filter(|it| is_live(it.state) || it.state == MigrationState::Failed)
        else {
            return self.offer(&app, which);
        };
        let of = row.id;
        let limit = self.below(100);
        match row.state {
            MigrationState::Offered => self.click(&app, linode),
            MigrationState::Finished if limit < 40 => {
                self.told("way back", app.way_back(&member(), of));
            }
            MigrationState::Finished if limit < 70 => {
                self.told("confirm", app.confirm_migration(&member(), of));
            }
            MigrationState::Failed if limit < 70 => {
                self.told("retry", app.retry_migration(&member(), of));
            }
            MigrationState::Failed => self.offer(&app, which),
            MigrationState::Holding if limit < 40 => self.hurry(&app, linode),
            MigrationState::Holding if limit < 70 => {
                self.told("try it there", app.try_there(&member(), of));
            }
            _ if limit < 12 => {
                self.told("cancel", app.cancel_migration(&member(), of));
            }
            _ if limit < 20 => {
                self.told("roll back", app.roll_back_migration(&staff(), of));
            }
            _ => self.power(&app, linode),
        }
    }

    fn power(&self, app: &App, linode: LinodeId) {
        let row = app.db.read(|conn| store::linode::linode(conn, linode));
        let status = row.expect("reads").expect("is there").status;
        let kind = match status {
            LinodeStatus::Offline => JobKind::Boot,
            LinodeStatus::Running if self.below(4) == 0 => JobKind::Shutdown,
            LinodeStatus::Running if self.below(4) == 0 => JobKind::Reboot,
            _ => return,
        };
        self.told(
            &format!("{kind} {linode}"),
            app.power(&member(), linode, kind, None),
        );
    }

    pub fn offer(&self, app: &App, which: usize) {
        let registration = self.prepared.registrations[which];
        let to = HOSTS[1 + self.below(2) as usize];
        let what = format!("offer {} to {to}", LINODES[which]);
        if self.told(&what, app.offer(&staff(), registration, Some(id(to)))) {
            self.click(app, LINODES[which]);
        }
    }

    /// Some allow so little that their move holds, pass after pass.
    fn click(&self, app: &App, linode: LinodeId) {
        let limit = (self.below(2) == 0).then_some(DownLimit(DownLimit::SECONDS[0]));
        let try_first = self.below(4) == 0;
        self.choose(app, linode, (limit, try_first));
    }

    /// Its member waits no longer: it stops, in whatever pass it is.
    fn hurry(&self, app: &App, linode: LinodeId) {
        let step = newest(app, linode).and_then(|row| row.step);
        self.note(format!("{linode} waits no longer, in {step:?}"));
        self.choose(app, linode, (None, false));
    }

    fn choose(&self, app: &App, linode: LinodeId, wanted: (Option<DownLimit>, bool)) {
        let (down_limit, try_first) = wanted;
        // Most as soon as they are copied; others hold for a while, and may be tried there.
        let at = (self.below(4) == 0).then(|| app.now().plus_s(60 + self.below(600) as i64));
        let click = Click {
            at,
            patience: Patience::default(),
            accept_kernels: true,
            stop_limit: StopLimit(60),
            down_limit,
            try_first,
        };
        self.told(
            &format!("click {linode}"),
            app.migrate(&member(), linode, click),
        );
    }

    /// What staff and members do when they are shown that something waits for them.
    fn staff_help(&self, app: &App, linode: LinodeId) {
        let held = app
            .db
            .read(|conn| store::ownership::hold::of(conn, linode))
            .expect("reads");
        if held.is_some() {
            self.told("believe", app.believe(&staff(), linode));
        }
        if newest(app, linode).is_some_and(|row| row.state == MigrationState::Holding) {
            self.hurry(app, linode);
        }
        self.trust_ledgers(app);
        let memory = app.db.read(store::ownership::memory::get);
        if memory.expect("reads").clock_jump_s.is_some() {
            // What waits for a chosen time waits for this.
            self.told("the clock is right", app.clock_is_right(&staff()));
        }
        for job in failed_jobs(app) {
            if self.is_current(app, job) {
                self.told(&format!("retry job {job}"), app.retry_job(&staff(), job));
            }
        }
        self.power_on(app, linode);
    }

    /// A poll that was long on its way looks like a ledger that went back: two staff trust it again.
    fn trust_ledgers(&self, app: &App) {
        let all = app.db.read(store::host::all).expect("reads");
        for host in all.iter().filter(|host| !host.ledger_fault.is_empty()) {
            let trust = (JointKind::TrustLedger, host.id);
            let asked = app.ask_joint(&staff(), PASSWORD, trust, "nothing is wrong with it");
            let agreed = asked
                .and_then(|act| app.decide_joint(&actor(4, UserRole::Staff), PASSWORD, act, true));
            self.told(&format!("trust the ledger of {}", host.id), agreed);
        }
    }

    fn power_on(&self, app: &App, linode: LinodeId) {
        let row = app.db.read(|conn| store::linode::linode(conn, linode));
        if row.expect("reads").expect("is there").status == LinodeStatus::Offline {
            let boot = app.power(&member(), linode, JobKind::Boot, None);
            self.told(&format!("boot {linode}"), boot);
        }
    }

    /// The failed job is the one that its migration's present step waits for.
    fn is_current(&self, app: &App, job: JobId) -> bool {
        let read = |conn: &mut _| {
            let job = xenbeta::store::job::job(conn, job)?;
            let Some((job, of)) = job.and_then(|it| it.migration_id.map(|of| (it, of))) else {
                return Ok(false);
            };
            let row = store::migration::migration(conn, of)?;
            let step = row.and_then(|row| row.step);
            Ok::<_, StoreError>(
                step.and_then(Step::job)
                    .is_some_and(|(kind, _)| kind == job.kind),
            )
        };
        app.db.read(read).expect("reads")
    }

    /// What is not yet as it should be at the end.
    fn unfinished(&self, app: &App) -> Vec<String> {
        let mut open = Vec::new();
        for linode in LINODES {
            let rows = app
                .db
                .read(|conn| store::migration::of_linode(conn, linode));
            for row in rows.expect("reads") {
                let waits = matches!(
                    row.state,
                    MigrationState::Offered
                        | MigrationState::Finished
                        | MigrationState::Failed
                        | MigrationState::Confirmed
                        | MigrationState::Returned
                        | MigrationState::Expired
                        | MigrationState::Cancelled
                );
                if !waits {
                    open.push(format!(
                        "migration {} is {} {:?}",
                        row.id, row.state, row.step
                    ));
                }
            }
            let row = app.db.read(|conn| store::linode::linode(conn, linode));
            let row = row.expect("reads").expect("is there");
            let runs = self.world.borrow().run_of(row.host_id.0, linode).is_some();
            if !runs || row.status != LinodeStatus::Running {
                open.push(format!(
                    "{linode} is {} on {} e{}, runs there: {runs}",
                    row.status, row.host_id, row.epoch
                ));
            }
            if app
                .db
                .read(|conn| store::ownership::hold::of(conn, linode))
                .expect("reads")
                .is_some()
            {
                open.push(format!("{linode} is held"));
            }
        }
        if app.recovery().expect("reads").is_some() {
            open.push("the portal recovers".into());
        }
        open
    }

    /// All faults stop; everybody does their work until all is well.
    pub fn settle(&self) {
        self.quiet.set(true);
        self.note("QUIET".into());
        if self.portal.borrow().is_none() {
            self.portal_starts();
        }
        self.until_well();
        if self.below(2) == 0 {
            // The way-back windows end: old disks are purged, if their owner has shown that it has its own.
            self.note("EIGHT DAYS".into());
            self.clock
                .fetch_add(8 * 86_400_000, std::sync::atomic::Ordering::Relaxed);
            for _ in 0..150 {
                self.event();
            }
            self.until_well();
        }
        for linode in LINODES {
            self.world.borrow_mut().look_at(linode);
        }
        let mut world = self.world.borrow_mut();
        if !world.trials.is_empty() || !world.trial_disks.is_empty() {
            let left = format!("left of trials: {:?} {:?}", world.trials, world.trial_disks);
            world.violations.push(left);
        }
    }

    fn until_well(&self) {
        for round in 0..PATIENCE {
            self.event();
            if round % 16 == 15 {
                let app = self.portal.borrow().clone().expect("it is up");
                if self.unfinished(&app).is_empty() {
                    return;
                }
            }
        }
        let app = self.portal.borrow().clone().expect("it is up");
        self.stuck.borrow_mut().extend(self.unfinished(&app));
    }
}
