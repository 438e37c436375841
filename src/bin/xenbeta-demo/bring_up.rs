//! From an open folder to a demo that can be clicked through; every wait is bounded and says what it waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use xenbeta::app::App;
use xenbeta::app::error::AppError;
use xenbeta::app::import::file::Fleet;
use xenbeta::domain::host::HostRole;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::job::JobKind;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::platform::Platform;
use xenbeta::store;
use xenbeta::store::linode::Linode;

use super::Serving;
use super::account::{Account, Accounts};
use super::folder::Folder;
use super::hosts::Hosts;
use super::{board, fleet, usage};
use crate::Failure;

/// How long the agents get to take over their Linodes (and make their disks, the first time), and to boot them.
const ADOPT: Duration = Duration::from_secs(180);
const BOOT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

pub struct BringUp<'a> {
    pub folder: &'a Folder,
    pub app: &'a App,
    pub url: &'a str,
    pub asked: &'a AtomicBool,
    pub serving: &'a Serving,
}

#[derive(Serialize)]
struct Summary<'a> {
    url: &'a str,
    member: &'a Account,
    other_member: &'a Account,
    staff: &'a Account,
    hosts: Vec<HostSummary>,
}

#[derive(Serialize)]
struct HostSummary {
    name: String,
    platform: Platform,
    role: HostRole,
}

impl BringUp<'_> {
    pub fn run(&self, agents: &mut Hosts) -> Result<(), Failure> {
        let fleet = fleet::sample()?;
        let people = Accounts::new(self.app);
        let first = !self.folder.was_ready();
        println!(
            "{} in {}",
            if first {
                "Making a demo"
            } else {
                "Starting the demo"
            },
            self.folder.shown()
        );
        fleet::put_in(self.app, &people)?;
        if first {
            fleet::set_up(self.app)?;
            fleet::register_others(self.app, &fleet)?;
            usage::make_up(self.app)?;
            board::put_in(self.app)?;
        }
        let mut to_boot = self.were_running(agents)?;
        agents.start(self.folder, self.app)?;
        println!("{} agents are enrolled and running.", fleet.hosts.len());
        let linodes: Vec<LinodeId> = fleet
            .accounts
            .iter()
            .flat_map(|account| &account.linodes)
            .map(|linode| LinodeId(linode.id))
            .collect();
        self.until(
            "the agents have not taken over every Linode",
            ADOPT,
            agents,
            || {
                self.count(&linodes, |it| it.status == LinodeStatus::Provisioning)
                    .map(|left| left == 0)
            },
        )?;
        if first {
            to_boot.clone_from(&linodes);
        }
        self.boot(&fleet, &to_boot, agents)?;
        self.write_summary(&people)?;
        self.tell(&people);
        Ok(())
    }

    /// Waits until `done`, as long as everything it needs is there.
    fn until(
        &self,
        what: &str,
        limit: Duration,
        agents: &Hosts,
        done: impl Fn() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let until = Instant::now() + limit;
        while !done()? {
            if self.asked.load(Ordering::Relaxed) {
                return Err("stopped before the demo was ready".into());
            }
            if !self.serving.runs() {
                let said = self.folder.log_end("portal.log");
                return Err(format!("the portal ended; it said:\n{said}").into());
            }
            if let Some(ended) = agents.ended(self.folder) {
                return Err(ended.into());
            }
            if Instant::now() >= until {
                return Err(format!(
                    "after {} s {what}. Logs are in {}",
                    limit.as_secs(),
                    self.folder.shown()
                )
                .into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn all(&self) -> Result<Vec<(Linode, String)>, Failure> {
        Ok(self.app.db.read(|conn| {
            let mut all = Vec::new();
            for host in store::host::all(conn)? {
                let on_it = store::linode::linodes_on(conn, host.id)?;
                all.extend(on_it.into_iter().map(|linode| (linode, host.name.clone())));
            }
            Ok::<_, AppError>(all)
        })?)
    }

    fn count(&self, of: &[LinodeId], what: impl Fn(&Linode) -> bool) -> Result<usize, Failure> {
        let all = self.all()?;
        Ok(all
            .iter()
            .filter(|(linode, _)| of.contains(&linode.id) && what(linode))
            .count())
    }

    /// Linodes that ran when the demo ended, and whose guests it stopped: the portal does not know yet that they are off.
    fn were_running(&self, agents: &Hosts) -> Result<Vec<LinodeId>, Failure> {
        let mut found = Vec::new();
        for (linode, host) in self.all()? {
            let ran = match linode.status {
                LinodeStatus::Running | LinodeStatus::Booting | LinodeStatus::Rebooting => true,
                LinodeStatus::ShuttingDown => false,
                LinodeStatus::Offline | LinodeStatus::Provisioning => continue,
            };
            // In the middle of its switch, the migration starts it where it belongs.
            if agents.runs(&host, linode.id) || self.switching(linode.id)? {
                continue;
            }
            let now = self.app.now();
            self.app.db.write(|conn| {
                store::linode::set_status(conn, linode.id, LinodeStatus::Offline, now)
            })?;
            if ran {
                found.push(linode.id);
            }
        }
        Ok(found)
    }

    fn switching(&self, linode: LinodeId) -> Result<bool, Failure> {
        let newest = self
            .app
            .db
            .read(|conn| store::migration::of_linode(conn, linode))?;
        Ok(newest
            .first()
            .is_some_and(|row| row.state == MigrationState::Switching))
    }

    /// Boots the Linodes that are off, each as its own member.
    fn boot(&self, fleet: &Fleet, which: &[LinodeId], agents: &Hosts) -> Result<(), Failure> {
        for account in &fleet.accounts {
            let Some(user) = account.users.first() else {
                continue;
            };
            let actor = fleet::actor(self.app, user.email.as_str())?;
            let theirs = account.linodes.iter().map(|linode| LinodeId(linode.id));
            for linode in theirs.filter(|linode| which.contains(linode)) {
                match self.app.power(&actor, linode, JobKind::Boot, None) {
                    // It runs, or somebody was faster.
                    Ok(_) | Err(AppError::Conflict(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let booted = || {
            self.count(which, |it| it.status == LinodeStatus::Running)
                .map(|running| running == which.len())
        };
        self.until("not every Linode is running", BOOT, agents, booted)
    }

    fn write_summary(&self, people: &Accounts) -> Result<(), Failure> {
        let hosts = self.app.db.read(store::host::all)?;
        let summary = Summary {
            url: self.url,
            member: &people.member,
            other_member: &people.other,
            staff: &people.staff,
            hosts: hosts
                .into_iter()
                .map(|host| HostSummary {
                    name: host.name,
                    platform: host.platform,
                    role: host.role,
                })
                .collect(),
        };
        self.folder
            .write_summary(&serde_json::to_string_pretty(&summary)?)
    }

    fn tell(&self, people: &Accounts) {
        let Self { url, folder, .. } = self;
        println!("\nThe demo is ready: {url}\n");
        for (who, account) in [
            ("member", &people.member),
            ("other member", &people.other),
            ("staff", &people.staff),
        ] {
            println!("  {who:<13} {:<20} {}", account.email, account.password);
        }
        println!(
            "\n\
             1. As the member: {url}/members/xenbeta, register web-01 and old-mail.\n\
             2. As staff, in a private window: {url}/staff/registrations, approve them and configure a migration each.\n\
             3. As the member again: open the offer, one click moves the Linode; afterwards take the way back, or confirm.\n\n\
             Mail is in {0}/mail, what the guests say of themselves in {0}/witness.log, all of the above in {0}/demo.json.\n\
             Ctrl-C ends it.",
            folder.shown()
        );
    }
}
