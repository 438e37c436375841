//! Agents played by hand: they take orders and answer them as a test says, and know nothing of disks or guests.

use xenbeta::app::context::Agent;
use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::{DiskId, HostId, LinodeId, RegistrationId};
use xenbeta::domain::linode::check::Check;
use xenbeta::domain::registration::RegistrationState;
use xenbeta::domain::time::zone::Tz;
use xenbeta::domain::trial::TrialEnd;
use xenbeta::domain::values::{Patience, StopLimit};
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::store::linode::Linode;
use xenbeta::store::migration::Migration;
use xenbeta::wire::{
    CheckAnswer, DiskDigest, DiskProof, Finish, Order, Outcome, Report, SealedDigests, Task,
};

use super::TestApp;
use super::fleet::{UML1, XEN1};

pub fn agent(host: HostId) -> Agent {
    Agent {
        host,
        name: format!("host {host}"),
        cap_mb_s: None,
    }
}

pub fn now_click() -> Click {
    Click {
        at: None,
        patience: Patience::default(),
        accept_kernels: true,
        stop_limit: StopLimit(60),
        down_limit: None,
        try_first: false,
    }
}

impl TestApp {
    pub fn linode(&self, id: LinodeId) -> Linode {
        self.db
            .read(|conn| store::linode::linode(conn, id))
            .expect("reads")
            .expect("is there")
    }

    pub fn newest_migration(&self, linode: LinodeId) -> Migration {
        let all = self
            .db
            .read(|conn| store::migration::of_linode(conn, linode))
            .expect("reads");
        all.into_iter().next().expect("there is one")
    }

    pub fn migration(&self, id: xenbeta::domain::ids::MigrationId) -> Migration {
        self.db
            .read(|conn| store::migration::migration(conn, id))
            .expect("reads")
            .expect("is there")
    }

    /// Registers and approves a Linode of the member.
    pub fn approved(&self, linode: LinodeId) -> RegistrationId {
        let registered = self.register(&self.member(), &[linode]).expect("registers");
        assert_eq!(registered.refused, vec![], "is eligible");
        let row = self
            .db
            .read(|conn| store::registration::newest_of(conn, linode))
            .expect("reads")
            .expect("is there");
        assert_eq!(row.state, RegistrationState::Requested);
        let approved = self.approve(&self.staff(), &[row.id]).expect("approves");
        assert_eq!(approved.done, vec![row.id]);
        row.id
    }

    /// Up to the click, with what was chosen: registered, approved, offered to `xen1`.
    pub fn chosen(&self, linode: LinodeId, click: Click) -> Migration {
        let registration = self.approved(linode);
        self.offer(&self.staff(), registration, Some(XEN1))
            .expect("offers");
        self.migrate(&self.member(), linode, click).expect("clicks")
    }

    /// Up to the click, and admitted.
    pub fn clicked(&self, linode: LinodeId) -> Migration {
        let row = self.chosen(linode, now_click());
        self.reconcile().expect("reconciles");
        self.migration(row.id)
    }

    pub fn take(&self, host: HostId) -> Order {
        self.claim(&agent(host))
            .expect("claims")
            .expect("there is an order")
    }

    pub fn nothing_for(&self, host: HostId) {
        assert_eq!(
            self.claim(&agent(host)).expect("claims"),
            None,
            "no order for host {host}"
        );
    }

    pub fn answer(&self, host: HostId, order: &Order, outcome: Outcome) -> Result<(), AppError> {
        let finish = Finish {
            attempt: order.attempt,
            lease_token: order.lease_token.clone(),
            outcome,
        };
        self.finish(&agent(host), order.job, &finish)
    }

    /// Takes the host's next order and reports success, as an agent whose host does everything right would.
    pub fn work(&self, host: HostId) -> Order {
        let order = self.take(host);
        let report = self.success(&order);
        self.answer(host, &order, Outcome::Succeeded { report })
            .expect("is taken");
        order
    }

    /// The old host's order to delete disks, which waits until their owner has shown its own.
    pub fn proved_purge(&self, owner: HostId, old: HostId) -> Order {
        self.nothing_for(old);
        assert_eq!(kind(&self.work(owner)), "prove");
        self.take(old)
    }

    /// The source's digests, and the report of a perfect copy.
    pub fn digests_for(&self, order: &Order) -> Vec<DiskDigest> {
        let Task::FinalCopy { guest, .. } = &order.task else {
            panic!("a final copy, not {:?}", order.task)
        };
        guest
            .disks
            .iter()
            .map(|disk| DiskDigest {
                disk: disk.id,
                size_bytes: disk.size_bytes,
                root: root_of(disk.id),
            })
            .collect()
    }

    pub fn success(&self, order: &Order) -> Report {
        match &order.task {
            Task::Console { .. } => Report::Console {
                text: "guest is up\n".to_owned(),
            },
            Task::PreflightSource { checks, .. } => Report::Source {
                checks: answers(checks, Some(true)),
                running: true,
                total_bytes: 80 << 20,
                allocated_bytes: 10 << 20,
                tells_changes: false,
            },
            Task::WarmCopy { .. } => Report::Warm {
                passes: 2,
                sent_bytes: 10 << 20,
                seconds: 1.0,
                rest_bytes: 1000,
                moving_passes: 0,
                last_pass_s: None,
            },
            Task::StopSeal { epoch, .. } => Report::Sealed {
                epoch: *epoch,
                forced: false,
                was_running: true,
                stopped_after_s: None,
            },
            Task::FinalCopy {
                migration, epoch, ..
            } => {
                let digests = self.digests_for(order);
                let sealed = SealedDigests {
                    epoch: *epoch,
                    digests: digests.clone(),
                };
                let source = self.migration(*migration).source_host_id;
                self.note_digests(&agent(source), *migration, &sealed)
                    .expect("the source reports");
                Report::Copied {
                    epoch: *epoch,
                    digests,
                    sent_bytes: 1 << 20,
                    seconds: 0.1,
                    uncached: None,
                }
            }
            Task::Start { epoch, boot, .. } => Report::Started {
                epoch: *epoch,
                running: boot.is_some(),
                helpers_skipped: false,
                started_after_s: None,
                stopped_after_s: None,
            },
            Task::Adopt { .. } => Report::Adopted { running: true },
            Task::Shutdown { .. } => Report::Stopped {
                forced: false,
                stopped_after_s: None,
            },
            Task::Check { epoch, checks, .. } => Report::Checked {
                epoch: *epoch,
                answers: answers(checks, Some(true)),
                console: String::new(),
            },
            Task::Prove { epoch, guest } => Report::Proof {
                epoch: *epoch,
                running: true,
                disks: (guest.disks.iter())
                    .map(|disk| DiskProof {
                        disk: disk.id,
                        size_bytes: disk.size_bytes,
                        root: None,
                    })
                    .collect(),
            },
            Task::Trial { .. } => Report::Tried {
                end: TrialEnd::CameUp,
                console: "web login:".to_owned(),
                seconds: 12.0,
            },
            Task::Boot { .. }
            | Task::Reboot { .. }
            | Task::PreflightDestination { .. }
            | Task::Reserve { .. }
            | Task::OpenTransfer { .. }
            | Task::CloseTransfer { .. }
            | Task::Release { .. }
            | Task::Purge { .. } => Report::Done,
        }
    }

    /// Works the migration's steps off up to (and not including) the one that `until` names by its task's kind.
    pub fn work_until(&self, until: &str) -> Order {
        for _ in 0..20 {
            self.reconcile().expect("reconciles");
            for host in [UML1, XEN1] {
                if let Some(order) = self.claim(&agent(host)).expect("claims") {
                    if kind(&order) == until {
                        return order;
                    }
                    let report = self.success(&order);
                    self.answer(host, &order, Outcome::Succeeded { report })
                        .expect("is taken");
                }
            }
        }
        panic!("no order of the kind {until}");
    }

    /// As [`TestApp::work_until`], of the order that this host is given.
    pub fn work_until_at(&self, at: HostId, until: &str) -> Order {
        for _ in 0..20 {
            self.reconcile().expect("reconciles");
            for host in [UML1, XEN1] {
                if let Some(order) = self.claim(&agent(host)).expect("claims") {
                    if host == at && kind(&order) == until {
                        return order;
                    }
                    let report = self.success(&order);
                    self.answer(host, &order, Outcome::Succeeded { report })
                        .expect("is taken");
                }
            }
        }
        panic!("no order of the kind {until}");
    }

    /// Works everything off that there is.
    pub fn work_all(&self, hosts: &[HostId]) {
        for _ in 0..50 {
            let mut idle = true;
            for &host in hosts {
                if let Some(order) = self.claim(&agent(host)).expect("claims") {
                    idle = false;
                    let report = self.success(&order);
                    self.answer(host, &order, Outcome::Succeeded { report })
                        .expect("is taken");
                }
            }
            let round = self.reconcile().expect("reconciles");
            if idle && round.ordered == 0 {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    pub fn in_db<T>(
        &self,
        f: impl FnOnce(&mut xenbeta::store::db::Db) -> Result<T, StoreError>,
    ) -> T {
        self.db.read(f).expect("reads")
    }
}

/// Each check answers so.
pub fn answers(checks: &[Check], ok: Option<bool>) -> Vec<CheckAnswer> {
    let answer = |check: &Check| CheckAnswer {
        check: check.clone(),
        ok,
        said: match ok {
            Some(true) => "Answered 200",
            Some(false) => "Takes no connections there",
            None => "The host has no way to this address",
        }
        .to_owned(),
    };
    checks.iter().map(answer).collect()
}

pub fn vienna() -> Tz {
    "Europe/Vienna".parse().expect("a zone")
}

pub fn root_of(disk: DiskId) -> String {
    format!("{:064x}", disk.0)
}

/// What a conflict says.
pub fn refused(outcome: Result<impl Sized, AppError>) -> String {
    match outcome {
        Err(AppError::Conflict(text)) => text,
        Err(other) => panic!("a conflict, not {other:?}"),
        Ok(_) => panic!("a conflict, not a success"),
    }
}

/// The task's kind, as on the wire.
pub fn kind(order: &Order) -> String {
    serde_json::to_value(&order.task).expect("JSON")["kind"]
        .as_str()
        .expect("a kind")
        .to_owned()
}
