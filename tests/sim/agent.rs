//! An agent's daemon in one thread: what `agent::daemon` does with polls, jobs, leases and answers, event by event. The
//! steps, the ledger and its rules are the real ones.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use xenbeta::agent::control::JobControl;
use xenbeta::agent::host::Host;
use xenbeta::agent::ledger::{HeldJob, Ledger};
use xenbeta::agent::{inventory, steps};
use xenbeta::domain::ids::{JobId, LinodeId};
use xenbeta::wire::{Finish, Order, Outcome, PROTOCOL, Poll, Renew, Report};

use crate::driver::SimDriver;
use crate::mover::SimMover;
use crate::net::{Ask, Letter, Reply, What};
use crate::sim::{Cut, Sim};
use crate::store::SimStore;

const SLOTS: usize = 2;
/// After this long without an answer a request is given up.
const PATIENCE_MS: i64 = 40_000;
const RENEW_MS: i64 = 10_000;

#[derive(Default)]
pub struct AgentState {
    pub live: Option<Arc<Host>>,
    pub life: u64,
    poll: Option<(u64, i64)>,
    jobs: BTreeMap<JobId, InHand>,
    /// Linodes that a step works on, in this life.
    pub busy: Vec<LinodeId>,
    /// Nothing is tried before.
    not_before: i64,
    /// The portal has answered a poll of this run.
    heard: bool,
}

struct InHand {
    order: Order,
    control: Arc<JobControl>,
    stage: Stage,
    asked: Option<(u64, i64)>,
    renewal: Option<(u64, i64)>,
    renewed_at: i64,
    noted: bool,
    not_before: i64,
}

#[derive(Clone)]
enum Stage {
    /// Of an earlier run: asked about before it is carried out.
    Asks,
    Ready,
    Working,
    Tell(Outcome),
}

/// What an agent can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Poll(i64),
    Work(i64, JobId),
    Tell(i64, JobId),
    Renew(i64, JobId),
    Start(i64),
}

/// An order in few words, without its secrets.
pub fn told(order: &Order) -> String {
    let value = serde_json::to_value(&order.task).unwrap_or_default();
    let text = |key: &str| value.get(key).map(ToString::to_string).unwrap_or_default();
    format!(
        "{} linode {} epoch {} migration {}",
        text("kind"),
        order.linode,
        text("epoch"),
        text("migration")
    )
}

fn outcome_told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { report } => match report {
            // Times of the machine the simulation runs on are no part of it.
            Report::Started { epoch, running, .. } => format!("started e{epoch} running={running}"),
            Report::Sealed {
                epoch,
                forced,
                was_running,
                ..
            } => format!("sealed e{epoch} forced={forced} was_running={was_running}"),
            Report::Stopped { forced, .. } => format!("stopped forced={forced}"),
            Report::Copied { epoch, .. } => format!("copied e{epoch}"),
            Report::Tried { end, .. } => format!("tried: {end}"),
            other => format!("{other:?}"),
        },
        Outcome::Failed { retry, detail, .. } => format!("failed retry={retry}: {detail}"),
        Outcome::Cancelled => "cancelled".into(),
    }
}

impl Sim {
    pub fn ledger_dir(&self, host: i64) -> std::path::PathBuf {
        self.prepared.folder.path().join(format!("ledger-{host}"))
    }

    /// The agent's host, if its process lives.
    pub fn live(&self, host: i64) -> Option<Arc<Host>> {
        self.agents.borrow().get(&host)?.live.clone()
    }

    pub fn life_of(&self, host: i64) -> u64 {
        self.agents.borrow().get(&host).map_or(0, |it| it.life)
    }

    pub fn start_agent(&self, host: i64) {
        let ledger = Ledger::open(&self.ledger_dir(host)).expect("the ledger opens");
        let mut live = Host::new(
            ledger,
            Box::new(SimDriver(host)),
            Arc::new(SimStore(host)),
            self.prepared.identity(host),
        );
        live.mover = Box::new(SimMover(host));
        let live = Arc::new(live);
        {
            let mut agents = self.agents.borrow_mut();
            let state = agents.entry(host).or_default();
            state.live = Some(Arc::clone(&live));
            state.life += 1;
            state.not_before = 0;
            state.heard = false;
            // Nothing is asked before what trials left is gone.
            state.poll = Some((0, self.now_ms()));
        }
        if !self.alone(host, || steps::sweep(&live)) {
            return;
        }
        let held = live.ledger.jobs();
        self.note(format!("agent {host} starts, {} jobs in hand", held.len()));
        let mut agents = self.agents.borrow_mut();
        let state = agents.entry(host).or_default();
        state.poll = None;
        for held in held {
            let stage = match held.outcome {
                Some(outcome) => Stage::Tell(outcome),
                None if held.order.task.goes_on_unasked() => Stage::Ready,
                None => Stage::Asks,
            };
            let noted = matches!(stage, Stage::Tell(_));
            let in_hand = in_hand(held.order, held.life, stage, noted);
            state.jobs.insert(in_hand.order.job, in_hand);
        }
    }

    /// As the daemon from time to time. `false`: it was killed meanwhile.
    fn destroys_left(&self, host: i64, live: &Host) -> bool {
        let trials = live.ledger.trials();
        let agents = self.agents.borrow();
        let busy = agents
            .get(&host)
            .is_some_and(|state| (trials.iter()).any(|trial| state.busy.contains(&trial.linode)));
        drop(agents);
        if trials.is_empty() || busy {
            return true;
        }
        // Whoever works on one of them waits for its lock.
        trials
            .iter()
            .for_each(|it| self.set_busy(host, it.linode, true));
        let lives = self.alone(host, || steps::destroy_left(live));
        if lives {
            trials
                .iter()
                .for_each(|it| self.set_busy(host, it.linode, false));
        }
        lives
    }

    /// Something that an agent does by itself. `false`: it was killed meanwhile.
    fn alone(&self, host: i64, act: impl FnOnce()) -> bool {
        let life = self.life_of(host);
        self.stack.borrow_mut().push((host, life));
        let done = catch_unwind(AssertUnwindSafe(act));
        self.stack.borrow_mut().pop();
        match done {
            Ok(()) => self.life_of(host) == life,
            Err(payload) if payload.is::<Cut>() => false,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    /// The agent's process ends here and now; a power cut takes the guests and what was not fsynced with it.
    pub fn crash(&self, host: i64, power: bool) {
        self.note(format!("CRASH {host} power={power}"));
        if let Some(state) = self.agents.borrow_mut().get_mut(&host) {
            state.live = None;
            state.life += 1;
            state.poll = None;
            state.jobs.clear();
            state.busy.clear();
        }
        if power {
            let gone = || self.chance(500);
            self.world.borrow_mut().power_cut(host, gone);
            // Records of jobs are written for as long as the power stays on.
            let Ok(files) = std::fs::read_dir(self.ledger_dir(host)) else {
                return;
            };
            let mut names: Vec<_> = files.flatten().map(|it| it.path()).collect();
            names.sort();
            for path in names {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                if name.starts_with("job-") && self.chance(500) {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
    }

    pub fn deeds(&self) -> Vec<Deed> {
        let now = self.now_ms();
        let mut deeds = Vec::new();
        for (host, state) in self.agents.borrow_mut().iter_mut() {
            let host = *host;
            if state.live.is_none() {
                deeds.push(Deed::Start(host));
                continue;
            }
            let open = |request: &mut Option<(u64, i64)>| {
                if request.is_some_and(|(_, at)| now - at > PATIENCE_MS) {
                    *request = None;
                }
                request.is_some()
            };
            if !open(&mut state.poll) && now >= state.not_before {
                deeds.push(Deed::Poll(host));
            }
            for (job, it) in &mut state.jobs {
                match it.stage {
                    Stage::Ready if !state.busy.contains(&it.order.linode) => {
                        deeds.push(Deed::Work(host, *job));
                    }
                    Stage::Asks
                        if state.heard && !open(&mut it.renewal) && now >= it.not_before =>
                    {
                        deeds.push(Deed::Renew(host, *job));
                    }
                    Stage::Tell(_) if !open(&mut it.asked) && now >= it.not_before => {
                        deeds.push(Deed::Tell(host, *job));
                    }
                    Stage::Working if !open(&mut it.renewal) && now - it.renewed_at >= RENEW_MS => {
                        deeds.push(Deed::Renew(host, *job));
                    }
                    _ => {}
                }
            }
        }
        deeds
    }

    pub fn act(&self, deed: Deed) {
        match deed {
            Deed::Start(host) => self.start_agent(host),
            Deed::Poll(host) => self.poll(host),
            Deed::Work(host, job) => self.work(host, job),
            Deed::Tell(host, job) => self.tell(host, job),
            Deed::Renew(host, job) => self.renew(host, job),
        }
    }

    fn request(&self, host: i64, ask: Ask) -> (u64, i64) {
        let request = self.requests.get() + 1;
        self.requests.set(request);
        self.send(Letter {
            request,
            host,
            life: self.life_of(host),
            what: What::Ask(ask),
        });
        (request, self.now_ms())
    }

    fn poll(&self, host: i64) {
        let Some(live) = self.live(host) else { return };
        if !self.destroys_left(host, &live) {
            return;
        }
        let inventory = inventory::collect(&live);
        let mut agents = self.agents.borrow_mut();
        let Some(state) = agents.get_mut(&host) else {
            return;
        };
        let free = SLOTS.saturating_sub(state.jobs.len());
        let poll = Poll {
            protocol: PROTOCOL,
            ledger: live.ledger.mark(),
            seen: live.ledger.seen(),
            wait_s: if free == 0 { 0 } else { 25 },
            held: live.ledger.jobs().iter().map(|it| it.order.job).collect(),
            free_slots: free as u32,
            inventory,
        };
        state.not_before = if free == 0 { self.now_ms() + 5_000 } else { 0 };
        drop(agents);
        let open = self.request(host, Ask::Poll(Box::new(poll)));
        if let Some(state) = self.agents.borrow_mut().get_mut(&host) {
            state.poll = Some(open);
        }
    }

    fn renew(&self, host: i64, job: JobId) {
        let ask = {
            let agents = self.agents.borrow();
            let Some(it) = agents.get(&host).and_then(|it| it.jobs.get(&job)) else {
                return;
            };
            Renew {
                attempt: it.order.attempt,
                lease_token: it.order.lease_token.clone(),
                progress: it.control.latest().0,
                console: None,
            }
        };
        let open = self.request(host, Ask::Renew(job, ask));
        self.with_job(host, job, |it| {
            it.renewal = Some(open);
            it.renewed_at = open.1;
        });
    }

    fn tell(&self, host: i64, job: JobId) {
        let ask = {
            let agents = self.agents.borrow();
            let Some(it) = agents.get(&host).and_then(|it| it.jobs.get(&job)) else {
                return;
            };
            let Stage::Tell(outcome) = &it.stage else {
                return;
            };
            Finish {
                attempt: it.order.attempt,
                lease_token: it.order.lease_token.clone(),
                outcome: outcome.clone(),
            }
        };
        let open = self.request(host, Ask::Finish(job, Box::new(ask)));
        self.with_job(host, job, |it| it.asked = Some(open));
    }

    fn with_job<T>(&self, host: i64, job: JobId, f: impl FnOnce(&mut InHand) -> T) -> Option<T> {
        let mut agents = self.agents.borrow_mut();
        Some(f(agents.get_mut(&host)?.jobs.get_mut(&job)?))
    }

    /// Carries a step out, and other things happen meanwhile (`Sim::seam`).
    fn work(&self, host: i64, job: JobId) {
        let Some(live) = self.live(host) else { return };
        let life = self.life_of(host);
        let now = self.now_ms();
        let begun = self.with_job(host, job, |it| {
            it.stage = Stage::Working;
            it.renewed_at = now;
            (it.order.clone(), Arc::clone(&it.control))
        });
        let Some((order, control)) = begun else {
            return;
        };
        self.note(format!("{host} works on job {job}: {}", told(&order)));
        self.set_busy(host, order.linode, true);
        self.stack.borrow_mut().push((host, life));
        let outcome = catch_unwind(AssertUnwindSafe(|| steps::run(&live, &control, &order)));
        self.stack.borrow_mut().pop();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(payload) if payload.is::<Cut>() => return,
            Err(payload) => std::panic::resume_unwind(payload),
        };
        if self.life_of(host) != life {
            return;
        }
        self.set_busy(host, order.linode, false);
        let told = outcome.as_ref().map_or("lost".into(), outcome_told);
        self.note(format!("{host} ends job {job}: {told}"));
        let is_mine = self.with_job(host, job, |it| Arc::ptr_eq(&it.control, &control));
        match outcome.filter(|_| !control.lost()) {
            Some(outcome) if is_mine == Some(true) => {
                self.with_job(host, job, |it| it.stage = Stage::Tell(outcome));
            }
            _ if is_mine == Some(true) => self.forget(host, &order),
            _ => {}
        }
    }

    fn set_busy(&self, host: i64, linode: LinodeId, busy: bool) {
        if let Some(state) = self.agents.borrow_mut().get_mut(&host) {
            state.busy.retain(|it| *it != linode);
            if busy {
                state.busy.push(linode);
            }
        }
    }

    /// Takes a job out of hand and ledger, unless a newer attempt is in its place.
    fn forget(&self, host: i64, order: &Order) {
        let Some(live) = self.live(host) else { return };
        let kept = live.ledger.job(order.job).ok().flatten();
        if kept.is_some_and(|held| held.order.attempt == order.attempt) {
            let _ = live.ledger.drop_job(order.job);
        }
        if let Some(state) = self.agents.borrow_mut().get_mut(&host) {
            let current = state.jobs.get(&order.job);
            if current.is_some_and(|it| it.order.attempt == order.attempt) {
                state.jobs.remove(&order.job);
            }
        }
    }

    /// The portal is down: the connection is refused, and that is noticed at once.
    pub fn unanswered(&self, letter: &Letter) {
        self.answered(letter, Reply::Status(503));
    }

    pub fn answered(&self, letter: &Letter, reply: Reply) {
        let host = letter.host;
        if letter.life != self.life_of(host) || self.live(host).is_none() {
            return;
        }
        let later = self.now_ms() + 2_000;
        let mut about = None;
        {
            let mut agents = self.agents.borrow_mut();
            let Some(state) = agents.get_mut(&host) else {
                return;
            };
            let is = |open: Option<(u64, i64)>| open.is_some_and(|it| it.0 == letter.request);
            if is(state.poll) {
                state.poll = None;
                if matches!(reply, Reply::Status(_)) {
                    state.not_before = later;
                }
            }
            for (job, it) in &mut state.jobs {
                if is(it.asked) {
                    it.asked = None;
                    about = Some((*job, true));
                } else if is(it.renewal) {
                    it.renewal = None;
                    about = Some((*job, false));
                }
            }
        }
        match (reply, about) {
            (Reply::Poll(answer), _) => self.poll_answered(host, *answer),
            (Reply::Done | Reply::Status(400 | 403 | 404 | 409 | 429), Some((job, true))) => {
                if let Some(order) = self.with_job(host, job, |it| it.order.clone()) {
                    self.forget(host, &order);
                }
            }
            (Reply::Status(_), Some((job, true))) => self.answer_waits(host, job, later),
            (Reply::Renewed(renewed), Some((job, false))) => {
                self.with_job(host, job, |it| {
                    if renewed.cancel {
                        it.control.cancel();
                    }
                    if matches!(it.stage, Stage::Asks) {
                        it.stage = Stage::Ready;
                    }
                });
            }
            (Reply::Status(status), Some((job, false))) => {
                self.not_renewed(host, job, status, later);
            }
            _ => {}
        }
    }

    fn not_renewed(&self, host: i64, job: JobId, status: u16, later: i64) {
        let asks = |it: &mut InHand| {
            it.not_before = later;
            matches!(it.stage, Stage::Asks)
        };
        match status {
            404 | 409 if self.with_job(host, job, asks) == Some(true) => {
                self.note(format!("{host}: job {job} is not wanted any more"));
                if let Some(order) = self.with_job(host, job, |it| it.order.clone()) {
                    self.forget(host, &order);
                }
            }
            401 | 409 if self.with_job(host, job, asks) == Some(false) => {
                self.note(format!("{host} lost the lease of job {job}"));
                self.with_job(host, job, |it| it.control.lose());
            }
            _ => {}
        }
    }

    /// The outcome is written down when it has to wait.
    fn answer_waits(&self, host: i64, job: JobId, later: i64) {
        let note = self.with_job(host, job, |it| {
            it.not_before = later;
            let noted = std::mem::replace(&mut it.noted, true);
            match &it.stage {
                Stage::Tell(outcome) if !noted => Some(HeldJob {
                    order: it.order.clone(),
                    life: it.control.life().map(ToOwned::to_owned),
                    outcome: Some(outcome.clone()),
                }),
                _ => None,
            }
        });
        if let (Some(live), Some(Some(held))) = (self.live(host), note) {
            let _ = live.ledger.hold_job(&held);
        }
    }

    fn poll_answered(&self, host: i64, answer: xenbeta::wire::PollAnswer) {
        let Some(live) = self.live(host) else { return };
        if let Some(state) = self.agents.borrow_mut().get_mut(&host) {
            state.heard = true;
        }
        let shown = answer.portal.as_ref();
        if let Some(order) = answer.order {
            // By what was seen before this answer.
            let may = !order.task.changes_ownership() || live.ledger.follows(shown);
            if let Some(shown) = shown {
                live.ledger.saw(shown).expect("the mark is kept");
            }
            if may {
                self.take(host, order, shown.map(|shown| shown.incarnation.clone()));
            } else {
                let job = order.job;
                self.note(format!("{host}: the portal went back, job {job} not taken"));
            }
        } else if let Some(shown) = shown {
            live.ledger.saw(shown).expect("the mark is kept");
        }
    }

    fn take(&self, host: i64, order: Order, life: Option<String>) {
        let Some(live) = self.live(host) else { return };
        let known = live.ledger.job(order.job).ok().flatten();
        let same = known.is_some_and(|held| {
            held.order.attempt == order.attempt && held.order.lease_token == order.lease_token
        });
        let mut agents = self.agents.borrow_mut();
        let Some(state) = agents.get_mut(&host) else {
            return;
        };
        if same && state.jobs.contains_key(&order.job) {
            return;
        }
        let held = HeldJob {
            order: order.clone(),
            life: life.clone(),
            outcome: None,
        };
        if live.ledger.hold_job(&held).is_err() {
            return;
        }
        let it = in_hand(order, life, Stage::Ready, false);
        if let Some(older) = state.jobs.insert(it.order.job, it) {
            older.control.lose();
        }
    }
}

fn in_hand(order: Order, life: Option<String>, stage: Stage, noted: bool) -> InHand {
    InHand {
        order,
        control: Arc::new(JobControl::of_life(life)),
        stage,
        asked: None,
        renewal: None,
        renewed_at: 0,
        noted,
        not_before: 0,
    }
}
