//! One world, one seed, one thread: what happens next is drawn from the seed, and everything that happens goes into a trace.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use xenbeta::agent::ledger::Entry;
use xenbeta::agent::ledger::rules::Marks;
use xenbeta::app::App;
use xenbeta::app::error::AppError;
use xenbeta::app::reconcile::Round;
use xenbeta::domain::ids::DiskId;

use crate::agent::AgentState;
use crate::net::Letter;
use crate::portal::{BEGIN, HOSTS, LINODES, Prepared};
use crate::rng::Rng;
use crate::world::{Generation, World};

/// What a call of driver, store or mover meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Go,
    FailBefore,
    FailAfter,
    /// The agent's process or its host ends when the effect is there.
    CutAfter,
}

/// Unwinds a step whose agent is gone.
pub struct Cut;

/// How often what happens in this seed, of a thousand; each kind of fault is there in some seeds only.
#[derive(Debug, Clone)]
pub struct Plan {
    pub loss: u64,
    pub repeats: u64,
    pub errors: u64,
    pub kills: u64,
    pub nests: u64,
    pub restarts: u64,
    pub goes_back: u64,
    pub clock: u64,
}

impl Plan {
    fn draw(rng: &mut Rng) -> Self {
        let mut one = |most: u64| {
            if rng.chance(500) {
                1 + rng.below(most)
            } else {
                0
            }
        };
        Self {
            loss: one(120),
            repeats: one(100),
            errors: one(40),
            kills: one(25),
            nests: one(300),
            restarts: one(10),
            goes_back: one(8),
            clock: one(8),
        }
    }
}

pub struct Sim {
    pub rng: RefCell<Rng>,
    pub plan: Plan,
    pub prepared: Rc<Prepared>,
    pub clock: Arc<AtomicI64>,
    pub world: RefCell<World>,
    pub portal: RefCell<Option<App>>,
    pub agents: RefCell<BTreeMap<i64, AgentState>>,
    pub net: RefCell<Vec<Letter>>,
    pub trace: RefCell<Vec<String>>,
    pub requests: Cell<u64>,
    /// Grows with whatever may have changed the portal's rows.
    pub changes: Cell<u64>,
    /// Steps under way: host and life of its agent.
    pub stack: RefCell<Vec<(i64, u64)>>,
    pub quiet: Cell<bool>,
    pub stuck: RefCell<Vec<String>>,
    pub kept: Cell<bool>,
}

thread_local! {
    static SIM: RefCell<Option<Rc<Sim>>> = const { RefCell::new(None) };
}

/// The simulation of this thread.
pub fn sim() -> Rc<Sim> {
    SIM.with_borrow(|sim| sim.clone()).expect("a simulation")
}

impl Sim {
    pub fn begin(seed: u64, prepared: Rc<Prepared>) -> Rc<Self> {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let clock = Arc::new(AtomicI64::new(BEGIN));
        prepared.put("template.db");
        let sim = Rc::new(Self {
            rng: RefCell::new(rng),
            plan,
            portal: RefCell::new(Some(prepared.open(&clock))),
            prepared,
            clock,
            world: RefCell::default(),
            agents: RefCell::default(),
            net: RefCell::default(),
            trace: RefCell::default(),
            requests: Cell::new(0),
            changes: Cell::new(0),
            stack: RefCell::default(),
            quiet: Cell::new(false),
            stuck: RefCell::default(),
            kept: Cell::new(false),
        });
        SIM.set(Some(Rc::clone(&sim)));
        sim.note(format!("{:?}", sim.plan));
        sim.populate();
        sim
    }

    pub fn end() {
        SIM.set(None);
    }

    /// Both Linodes run at the first host under epoch 1, as they would after an import.
    fn populate(&self) {
        for host in HOSTS {
            let dir = self.ledger_dir(host);
            let _ = std::fs::remove_dir_all(&dir);
            self.start_agent(host);
        }
        let live = self.live(HOSTS[0]).expect("it lives");
        for (at, linode) in LINODES.iter().enumerate() {
            let entry = Entry {
                marks: Marks {
                    granted: 1,
                    sealed: 0,
                },
                generation: Some(1),
                desired_running: true,
                ..Entry::new(*linode)
            };
            live.ledger.put(&entry).expect("is written");
            let disks = [&[1011, 1012][..], &[1021][..]][at];
            let disks = disks.iter().map(|id| (DiskId(*id), Default::default()));
            let generation = Generation {
                sealed: false,
                disks: disks.collect(),
            };
            let mut world = self.world.borrow_mut();
            world.generations.insert((HOSTS[0], *linode, 1), generation);
            world.start(HOSTS[0], *linode, 1, false);
        }
    }

    pub fn note(&self, line: String) {
        let at = self.now_ms() - BEGIN;
        let depth = self.stack.borrow().len();
        self.trace
            .borrow_mut()
            .push(format!("{at:>9} {:1$}{line}", "", depth * 2));
    }

    /// The same seed gives the same hash.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for line in self.trace.borrow().iter() {
            hasher.update(line.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// The host behind a transfer address of the fleet, `127.0.0.1:700N`.
    pub fn host_of(&self, address: &str) -> i64 {
        let last = address.chars().last().and_then(|it| it.to_digit(10));
        last.map_or(0, i64::from)
    }

    pub fn below(&self, n: u64) -> u64 {
        self.rng.borrow_mut().below(n)
    }

    /// A fault of so many in a thousand; none when all is to be well.
    pub fn fault(&self, per_mille: u64) -> bool {
        per_mille > 0 && !self.quiet.get() && self.rng.borrow_mut().chance(per_mille)
    }

    pub fn chance(&self, per_mille: u64) -> bool {
        self.fault(per_mille)
    }

    /// Every call that a step makes of driver, store or mover passes here: other things happen first, and it may fail.
    pub fn seam(&self, host: i64, what: &str) -> Fate {
        let life = self.stack.borrow().last().copied();
        if self.stack.borrow().len() < 3 && self.fault(self.plan.nests) {
            for _ in 0..=self.below(4) {
                self.event();
            }
        }
        if let Some((of, life)) = life
            && of == host
            && self.life_of(host) != life
        {
            resume_unwind(Box::new(Cut));
        }
        if self.fault(self.plan.kills) {
            self.note(format!("{host}: cut at {what}"));
            if self.below(2) == 0 {
                self.cut(host);
            }
            return Fate::CutAfter;
        }
        if self.fault(self.plan.errors) {
            let before = self.below(2) == 0;
            self.note(format!("{host}: {what} fails, before={before}"));
            return if before {
                Fate::FailBefore
            } else {
                Fate::FailAfter
            };
        }
        Fate::Go
    }

    /// Ends the agent whose step is on top, perhaps with its host.
    pub fn cut(&self, host: i64) -> ! {
        let power = self.below(3) == 0;
        self.crash(host, power);
        resume_unwind(Box::new(Cut))
    }

    /// The portal may refuse; that it is out of order is a violation.
    pub fn is_no_fault(&self, error: &AppError) {
        if let AppError::Away(detail) | AppError::Fault(detail) = error {
            self.note(format!("FAULT {detail}"));
            let told = format!("the portal's fault: {detail}");
            self.world.borrow_mut().violations.push(told);
        }
    }

    /// Something happens.
    pub fn event(&self) {
        let deeds = self.deeds();
        let letters = self.deliverable();
        let quiet = self.quiet.get();
        loop {
            let roll = self.below(1000);
            match roll {
                0..450 if !letters.is_empty() => {
                    let at = letters[self.below(letters.len() as u64) as usize];
                    return self.deliver(at);
                }
                450..800 if !deeds.is_empty() => {
                    let deed = deeds[self.below(deeds.len() as u64) as usize];
                    return self.act(deed);
                }
                800..900 => return self.time_passes(),
                900..960 => return self.reconcile(),
                960..990 => return self.somebody_acts(),
                990.. if !quiet => return self.misfortune(),
                _ if letters.is_empty() && deeds.is_empty() => return self.time_passes(),
                _ => {}
            }
        }
    }

    pub fn reconcile(&self) {
        let Some(app) = self.portal.borrow().clone() else {
            return self.portal_starts();
        };
        match app.reconcile() {
            Ok(round) if round == Round::default() => {}
            Ok(round) => {
                self.note(format!("reconcile {round:?}"));
                self.changes.set(self.changes.get() + 1);
            }
            Err(error) => self.is_no_fault(&error),
        }
    }

    pub fn time_passes(&self) {
        const STEPS: [i64; 8] = [20, 50, 200, 500, 1_000, 3_000, 10_000, 31_000];
        let step = STEPS[self.below(STEPS.len() as u64) as usize];
        self.clock.fetch_add(step, Ordering::Relaxed);
        let busy: Vec<_> = {
            let agents = self.agents.borrow();
            let busy = agents.iter();
            busy.flat_map(|(host, it)| it.busy.iter().map(|linode| (*host, *linode)))
                .collect()
        };
        let guests: Vec<_> = {
            let mut world = self.world.borrow_mut();
            for (linode, run) in &mut world.guests {
                run.settled |= !busy.contains(&(run.host, *linode));
            }
            let settled = world.guests.iter().filter(|(_, run)| run.settled);
            settled.map(|(linode, _)| *linode).collect()
        };
        for linode in guests {
            for _ in 0..=self.below(3) {
                let (disk, chunk, fsync) = (self.below(2), self.below(4), self.below(2) == 0);
                let mut world = self.world.borrow_mut();
                world.write(linode, disk as usize, chunk as usize, fsync);
            }
        }
    }

    /// What nobody asked for: the portal ends, or goes back; an agent or a host ends; a clock jumps.
    fn misfortune(&self) {
        let host = HOSTS[self.below(HOSTS.len() as u64) as usize];
        match self.below(10) {
            0..3 if self.plan.restarts > 0 => {
                self.note("PORTAL ends".into());
                self.portal.take();
            }
            3..5 if self.plan.goes_back > 0 => self.goes_back(),
            5..7 if self.plan.clock > 0 => {
                let by = [3_600_000, -3_600_000, -30_000, 86_400_000][self.below(4) as usize];
                self.note(format!("CLOCK {by}"));
                self.clock.fetch_add(by, Ordering::Relaxed);
            }
            _ if self.plan.kills > 0 && self.live(host).is_some() => {
                let power = self.below(2) == 0;
                self.crash(host, power);
            }
            _ => {}
        }
    }

    /// A copy of the database is made now and then, and put back later.
    fn goes_back(&self) {
        let app = self.portal.borrow().clone();
        let Some(app) = app else { return };
        if !self.kept.get() {
            self.note("BACKUP".into());
            self.prepared.keep(&app, "backup.db");
            self.kept.set(true);
            return;
        }
        let says_so = self.below(2) == 0;
        self.note(format!("PORTAL goes back, said={says_so}"));
        self.portal.take();
        drop(app);
        self.prepared.put("backup.db");
        self.portal_starts();
        if says_so && let Some(app) = self.portal.borrow().as_ref() {
            app.begin_recovery("A backup was put back.")
                .expect("recovers");
        }
    }

    pub fn portal_starts(&self) {
        self.note("PORTAL starts".into());
        let app = self.prepared.open(&self.clock);
        self.portal.replace(Some(app));
        self.changes.set(self.changes.get() + 1);
    }
}
