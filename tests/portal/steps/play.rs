//! One case: a move up to its target, the trouble, and on to its end.

use xenbeta::app::error::AppError;
use xenbeta::app::evacuation::{Order as Emptying, Wanted};
use xenbeta::domain::ids::{HostId, JobId, MigrationId};
use xenbeta::domain::job::{JobKind, JobState};
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::{MigrationKind, MigrationState};
use xenbeta::domain::migration::{Side, Step};
use xenbeta::store;
use xenbeta::wire::{Marked, Order, Outcome, Poll};

use super::hosts::{Hosts, Marks};
use super::table::{self, After, Again, Target, Tidying, Trouble};
use crate::host::by_hand::poll;
use crate::races::begin::{PRODUCTION, World, all_heard, with_production};
use crate::races::judge::{self, Mark};
use crate::support::TestApp;
use crate::support::fleet::{UML1, UML2, WEB, XEN1, XEN2};
use crate::support::hand::{agent, kind as kind_of, now_click};
use crate::support::jobs;

/// The jobs and the trail of a move: what must be the same whatever befell it on its way.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    jobs: Vec<(JobKind, HostId, JobState)>,
    trail: Vec<(String, String, String)>,
    state: MigrationState,
}

pub struct Play<'a> {
    app: &'a TestApp,
    kind: MigrationKind,
    id: MigrationId,
    source: HostId,
    destination: HostId,
    /// The source's epoch when it began.
    epoch: i64,
    hosts: Hosts,
    mark: Mark,
    /// Reports that were taken, to be told once more in the end.
    told: Vec<(HostId, Order, Outcome)>,
}

fn no(retry: bool) -> Outcome {
    Outcome::Failed {
        retry,
        public: "The disk is full.".to_owned(),
        detail: "ENOSPC".to_owned(),
        console: None,
        owns: None,
    }
}

fn is_stale(outcome: Result<(), AppError>) {
    match outcome {
        Err(AppError::Conflict(text)) if text.contains("stale") => {}
        other => panic!("stale, not {other:?}"),
    }
}

impl<'a> Play<'a> {
    pub fn begin(world: &'a World, kind: MigrationKind) -> Self {
        world.begin();
        let app = &world.app;
        let id = match kind {
            MigrationKind::Beta => app.clicked(WEB).id,
            MigrationKind::Return => {
                let there = app.clicked(WEB);
                app.work_all(&[UML1, XEN1]);
                app.way_back(&app.member(), there.id).unwrap().id
            }
            MigrationKind::Graduation => graduation(app),
            MigrationKind::Evacuation => evacuation(app),
        };
        app.reconcile().unwrap();
        let row = app.migration(id);
        assert_eq!((row.kind, row.state), (kind, MigrationState::Preparing));
        let mut hosts = Hosts::default();
        let source = Marks {
            granted: row.epoch,
            sealed: 0,
            running: true,
        };
        hosts.of.insert(row.source_host_id, source);
        if kind == MigrationKind::Return {
            let old = Marks {
                granted: row.epoch - 1,
                sealed: row.epoch - 1,
                running: false,
            };
            hosts.of.insert(row.destination_host_id, old);
        }
        Self {
            app,
            kind,
            id,
            source: row.source_host_id,
            destination: row.destination_host_id,
            epoch: row.epoch,
            hosts,
            mark: judge::mark(app),
            told: Vec::new(),
        }
    }

    pub fn through(mut self, target: Target, trouble: Trouble) -> Told {
        let (host, order) = self.come_to(target);
        match trouble {
            Trouble::None => self.succeed(host, &order),
            Trouble::ToldTwice => self.told_twice(host, &order),
            Trouble::FailsOnce => {
                self.app.answer(host, &order, no(true)).unwrap();
                self.app.pass_s(2);
                self.given_again(host, &order);
            }
            Trouble::FailsForGood => self.fails_for_good(host, &order, target),
            Trouble::ReportLost => self.report_lost(host, &order),
            Trouble::Restarted => {
                self.says(host, vec![order.job]);
                self.succeed(host, &order);
            }
            Trouble::Forgotten => {
                self.says(host, vec![]);
                self.app.pass_s(2);
                self.given_again(host, &order);
            }
            Trouble::Owned => self.owned(host, &order),
            Trouble::CancelStopped
            | Trouble::CancelDone
            | Trouble::CancelFailed
            | Trouble::CancelLost => self.cancelled(host, &order, target, trouble),
            Trouble::TakenBack => self.taken_back(host, &order, target),
        }
        self.end(target, trouble)
    }

    fn row(&self) -> store::migration::Migration {
        self.app.migration(self.id)
    }

    /// The present step's order is this one.
    fn is_step(&self, host: HostId, order: &Order, step: Step) -> bool {
        let row = self.row();
        let (_, side) = step.job().expect("a step of somebody");
        let at = match side {
            Side::Source => self.source,
            Side::Destination => self.destination,
        };
        row.step == Some(step) && row.step_job_id == Some(order.job) && at == host
    }

    fn next(&self) -> Option<(HostId, Order)> {
        // Old disks of a Linode that came back are on a third host's mind.
        let mut hosts = vec![self.source, self.destination];
        hosts.extend(
            [UML1, UML2, XEN1, XEN2]
                .iter()
                .filter(|it| !hosts.contains(it))
                .copied()
                .collect::<Vec<_>>(),
        );
        hosts.into_iter().find_map(|host| {
            let order = self.app.claim(&agent(host)).expect("claims")?;
            Some((host, order))
        })
    }

    fn succeed(&mut self, host: HostId, order: &Order) {
        let report = self.hosts.does(self.app, host, order);
        let outcome = Outcome::Succeeded { report };
        self.app
            .answer(host, order, outcome.clone())
            .expect("is taken");
        self.told.push((host, order.clone(), outcome));
    }

    /// Works on until there is nothing to do, or the order is one that `until` wants.
    fn work(&mut self, until: impl Fn(&Self, HostId, &Order) -> bool) -> Option<(HostId, Order)> {
        for _ in 0..60 {
            let Some((host, order)) = self.next() else {
                self.app.reconcile().unwrap();
                match self.next() {
                    Some((host, order)) if until(self, host, &order) => return Some((host, order)),
                    Some((host, order)) => self.succeed(host, &order),
                    None => return None,
                }
                continue;
            };
            if until(self, host, &order) {
                return Some((host, order));
            }
            self.succeed(host, &order);
        }
        panic!("it does not come to an end");
    }

    fn come_to(&mut self, target: Target) -> (HostId, Order) {
        match target {
            Target::Of(step) => {
                if let Some(fails) = table::comes_of(step) {
                    let (host, order) = self
                        .work(|it, host, order| it.is_step(host, order, fails))
                        .expect("it comes to that step");
                    self.app.answer(host, &order, no(false)).unwrap();
                }
                self.work(|it, host, order| it.is_step(host, order, step))
            }
            Target::Tidy(kind) => {
                match table::tidying(kind).expect("a job that tidies up") {
                    Tidying::Finished => {}
                    Tidying::Confirmed => {
                        self.work(|_, _, _| false);
                        self.app
                            .confirm_migration(&self.app.staff(), self.id)
                            .unwrap();
                    }
                    Tidying::Cancelled => {
                        let (host, order) = self
                            .work(|it, host, order| it.is_step(host, order, Step::WarmCopy))
                            .expect("it copies");
                        self.app
                            .cancel_migration(&self.app.staff(), self.id)
                            .unwrap();
                        self.app.answer(host, &order, Outcome::Cancelled).unwrap();
                    }
                }
                let word = kind.to_string();
                self.work(move |_, _, order| kind_of(order) == word)
            }
        }
        .expect("it comes to that")
    }

    /// All that may not be changed by a message that comes again.
    fn all(&self) -> String {
        let app = self.app;
        let counted = [
            "audit_events",
            "outbox",
            "migration_events",
            "proofs",
            "digests",
        ];
        let counts = counted.map(|table| judge::count(app, table));
        let jobs = app.in_db(|conn| jobs::of_linode(conn, WEB, 1000));
        format!("{:?} {:?} {jobs:?} {counts:?}", self.row(), app.linode(WEB))
    }

    fn told_twice(&mut self, host: HostId, order: &Order) {
        self.succeed(host, order);
        let before = self.all();
        let (_, _, outcome) = self.told.last().cloned().expect("told");
        is_stale(self.app.answer(host, order, outcome));
        is_stale(self.app.answer(host, order, no(false)));
        is_stale(self.app.answer(host, order, Outcome::Cancelled));
        assert_eq!(before, self.all());
    }

    /// The job comes again, under another lease, and nothing is heard under the old one any more.
    fn given_again(&mut self, host: HostId, order: &Order) {
        let again = self.app.take(host);
        assert_eq!((again.job, again.attempt), (order.job, order.attempt + 1));
        assert_eq!(again.task, order.task, "the same, told anew");
        is_stale(self.app.answer(host, order, Outcome::Cancelled));
        self.succeed(host, &again);
    }

    fn report_lost(&mut self, host: HostId, order: &Order) {
        let report = self.hosts.does(self.app, host, order);
        self.lose(host, order.job);
        self.given_again(host, order);
        is_stale(self.app.answer(host, order, Outcome::Succeeded { report }));
    }

    /// Its lease runs out.
    fn lose(&self, host: HostId, job: JobId) {
        self.app.pass_watched_s(31);
        self.app.reconcile().unwrap();
        assert_eq!(
            self.app
                .in_db(|conn| store::job::job(conn, job))
                .unwrap()
                .host_id,
            host
        );
        self.app.pass_watched_s(2);
    }

    /// What an agent says when it polls, holding these jobs.
    fn says(&self, host: HostId, held: Vec<JobId>) {
        let said = self.app.with_others(host, self.hosts.report(host));
        let seen = Some(self.app.mark().unwrap());
        let poll = Poll {
            held,
            seen,
            ..poll(said)
        };
        self.app.note_poll(&agent(host), &poll).unwrap();
        assert!(!self.app.is_held(WEB), "{host} says what is so");
    }

    fn fails_for_good(&mut self, host: HostId, order: &Order, target: Target) {
        let before = self.row();
        self.app.answer(host, order, no(false)).unwrap();
        let (row, linode) = (self.row(), self.app.linode(WEB));
        let Target::Of(step) = target else {
            assert_eq!((row.state, row.step), (before.state, before.step));
            if target == Target::Tidy(JobKind::Prove) {
                // What waits for it asks for another one by itself.
                return self.app.pass_s(31);
            }
            return self.app.retry_job(&self.app.staff(), order.job).unwrap();
        };
        match table::after(step) {
            After::Ends => {
                assert_eq!(
                    (row.state, row.failure.as_str()),
                    (MigrationState::Failed, "The disk is full.")
                );
                assert_eq!((linode.host_id, linode.epoch), (self.source, self.epoch));
            }
            After::GoesBack => {
                assert_eq!(row.step, Some(Step::Restore));
                assert_eq!(
                    (linode.host_id, linode.epoch),
                    (self.source, self.epoch + 1)
                );
            }
            After::SealsFirst => {
                assert_eq!(row.step, Some(Step::SealDestination));
                assert_eq!(
                    (linode.host_id, linode.epoch),
                    (self.destination, self.epoch + 1)
                );
            }
            After::Waits => {
                assert_eq!((row.state, row.step), (before.state, before.step));
                assert!(self.next().is_none(), "nobody goes on by itself");
                self.app.retry_job(&self.app.staff(), order.job).unwrap();
            }
        }
    }

    /// The host has it already: the portal that forgot it believes the hosts, and the move is done.
    fn owned(&mut self, host: HostId, order: &Order) {
        let here = Marks {
            granted: self.epoch + 1,
            sealed: 0,
            running: true,
        };
        let source = self.hosts.of.get_mut(&self.source).expect("known");
        (source.sealed, source.running) = (self.epoch, false);
        self.hosts.of.insert(host, here);
        let owns = Some(Marked {
            linode: WEB,
            granted: here.granted,
            sealed: here.sealed,
            generation: Some(here.granted),
        });
        let outcome = Outcome::Failed {
            retry: false,
            public: "It lives here.".to_owned(),
            detail: String::new(),
            console: None,
            owns,
        };
        self.app.answer(host, order, outcome).unwrap();
        assert!(self.app.is_held(WEB));
        assert!(
            self.next().is_none(),
            "nothing is given out of what is held"
        );
        let all: Vec<_> = [self.source, self.destination]
            .map(|host| (host, self.hosts.report(host)))
            .to_vec();
        self.app.all_poll(&all);
        if self.kind == MigrationKind::Graduation {
            let host = PRODUCTION;
            let seen = Some(self.app.mark().unwrap());
            let said = Poll {
                seen,
                ..poll(self.hosts.report(host))
            };
            self.app.note_poll(&agent(host), &said).unwrap();
        }
        self.app.reconcile().unwrap();
        assert!(!self.app.is_held(WEB), "what is unambiguous is put right");
    }

    fn cancelled(&mut self, host: HostId, order: &Order, target: Target, trouble: Trouble) {
        let asked = self.app.cancel_migration(&self.app.staff(), self.id);
        if !table::can_cancel(target) {
            assert!(matches!(asked, Err(AppError::Conflict(_))), "{asked:?}");
            return self.succeed(host, order);
        }
        assert_ne!(
            asked.unwrap().state,
            MigrationState::Cancelled,
            "not before the agent says so"
        );
        match trouble {
            Trouble::CancelDone => self.succeed(host, order),
            Trouble::CancelFailed => self.app.answer(host, order, no(true)).unwrap(),
            Trouble::CancelLost => self.lose(host, order.job),
            _ => self.app.answer(host, order, Outcome::Cancelled).unwrap(),
        }
        assert_eq!(self.row().state, MigrationState::Cancelled);
    }

    fn taken_back(&mut self, host: HostId, order: &Order, target: Target) {
        let report = self.hosts.does(self.app, host, order);
        let back = self.app.roll_back_migration(&self.app.staff(), self.id);
        if !table::can_take_back(target) {
            assert!(matches!(back, Err(AppError::Conflict(_))), "{back:?}");
            return self.succeed(host, order);
        }
        let linode = self.app.linode(WEB);
        assert_eq!(
            (linode.host_id, linode.epoch),
            (self.source, self.epoch + 1)
        );
        // What its host says of it after all changes nothing.
        self.app
            .answer(host, order, Outcome::Succeeded { report })
            .unwrap();
        assert_eq!(self.row().step, Some(Step::Restore));
    }

    /// Works all off, tries again what failed, and looks at what has come of it.
    fn end(mut self, target: Target, trouble: Trouble) -> Told {
        self.work(|_, _, _| false);
        let told = self.as_told();
        let mut row = self.row();
        if row.state == MigrationState::Failed {
            self.is_where_it_was();
            row = self.tried_again();
        }
        let ends_cancelled = target == Target::Tidy(JobKind::Release)
            || (trouble.is_cancel() && table::can_cancel(target));
        let confirmed = matches!(target, Target::Tidy(JobKind::Prove | JobKind::Purge));
        let state = match (ends_cancelled, confirmed) {
            (true, _) => MigrationState::Cancelled,
            (_, true) => MigrationState::Confirmed,
            _ => MigrationState::Finished,
        };
        assert_eq!(row.state, state);
        let linode = self.app.linode(WEB);
        let owner = if ends_cancelled {
            self.source
        } else {
            self.destination
        };
        assert_eq!(
            (linode.host_id, linode.fetched, linode.status),
            (owner, true, LinodeStatus::Running)
        );
        assert_eq!(self.hosts.runners(), [owner], "it runs once, and there");
        assert_eq!(linode.epoch, self.hosts.of[&owner].granted);
        let grants = self.grants_lost(target, trouble);
        let moved = i64::from(!ends_cancelled);
        assert_eq!(linode.epoch, self.epoch + moved + grants);
        if let Some(parent) = row.parent_id {
            let should = if ends_cancelled {
                MigrationState::Finished
            } else {
                MigrationState::Returned
            };
            assert_eq!(self.app.migration(parent).state, should);
        }
        self.is_whole();
        told
    }

    /// Epochs that were granted in vain.
    fn grants_lost(&self, target: Target, trouble: Trouble) -> i64 {
        let failed = trouble == Trouble::FailsForGood;
        match target {
            Target::Of(Step::SealDestination) => 2,
            Target::Of(Step::Restore) => 1,
            Target::Of(Step::Start) if failed => 2,
            Target::Of(Step::StopSeal | Step::FinalCopy)
                if failed || trouble == Trouble::TakenBack =>
            {
                1
            }
            _ => 0,
        }
    }

    fn is_where_it_was(&self) {
        let linode = self.app.linode(WEB);
        assert_eq!(
            (linode.host_id, linode.status),
            (self.source, LinodeStatus::Running)
        );
        assert_eq!(self.hosts.runners(), [self.source]);
    }

    fn tried_again(&mut self) -> store::migration::Migration {
        match table::again(self.kind) {
            Again::ByARetry => {
                self.app
                    .retry_migration(&self.app.staff(), self.id)
                    .unwrap();
            }
            Again::ByAskingAnew => {
                let parent = self.row().parent_id.expect("a way back has one");
                assert_eq!(self.app.migration(parent).state, MigrationState::Finished);
                self.id = self.app.way_back(&self.app.member(), parent).unwrap().id;
            }
        }
        self.app.reconcile().unwrap();
        self.work(|_, _, _| false);
        self.row()
    }

    fn as_told(&self) -> Told {
        let jobs = self.app.in_db(|conn| jobs::of_linode(conn, WEB, 1000));
        let trail = judge::since(self.app, &self.mark);
        Told {
            jobs: jobs
                .into_iter()
                .rev()
                .map(|it| (it.kind, it.host_id, it.state))
                .collect(),
            trail: trail
                .into_iter()
                .map(|it| (it.action, it.before, it.after))
                .collect(),
            state: self.row().state,
        }
    }

    /// Nothing is left open, nothing old is heard any more, and the trail holds together.
    fn is_whole(&self) {
        let open = "jobs WHERE state IN ('pending', 'leased')";
        assert_eq!(judge::count(self.app, open), 0, "jobs that nobody works at");
        assert_eq!(judge::count(self.app, "holds"), 0);
        let before = self.all();
        for (host, order, outcome) in &self.told {
            is_stale(self.app.answer(*host, order, outcome.clone()));
        }
        assert_eq!(before, self.all());
        let trail = judge::since(self.app, &self.mark);
        assert_eq!(judge::unlinked(&trail), Vec::<String>::new());
        assert_eq!(judge::standing(self.app), Vec::<String>::new());
    }
}

fn graduation(app: &TestApp) -> MigrationId {
    let beta = app.clicked(WEB);
    app.work_all(&[UML1, XEN1]);
    app.confirm_migration(&app.member(), beta.id).unwrap();
    app.work_all(&[UML1, XEN1]);
    with_production(app);
    all_heard(app);
    let registration = beta.registration_id.unwrap();
    app.offer(&app.staff(), registration, Some(PRODUCTION))
        .unwrap();
    app.migrate(&app.member(), WEB, now_click()).unwrap().id
}

fn evacuation(app: &TestApp) -> MigrationId {
    all_heard(app);
    let order = Emptying {
        why: "A disk of the host begins to fail.".to_owned(),
        at: None,
        moves: vec![Wanted {
            linode: WEB,
            to: UML2,
            close: false,
        }],
    };
    app.evacuate(&app.staff(), UML1, &order).unwrap();
    app.newest_migration(WEB).id
}
