//! What may happen in the world, as a model for `stateright`.

use stateright::{Model, Property};
use xenbeta::agent::ledger::rules;
use xenbeta::domain::job::JobKind;
use xenbeta::domain::migration::MigrationState as State;
use xenbeta::domain::migration::{Event, Step, can_cancel};

use super::guards::{Guard, Guards};
use super::world::{
    Bad, Budget, H, Host, Ledger, Memory, Msg, N, PortalMark, Purge, SmallRow, World,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Offer(H),
    /// All steps before the stop, the copies of live disks among them.
    Prepare,
    PrepareFails,
    Tell(Event),
    RetryJob,
    Poll(H),
    /// Heard, but the answer is lost.
    PollInVain(H),
    Send(H),
    Hear(H),
    Deliver(Msg),
    DeliverBadly(Msg),
    /// An agent that runs anew is heard, and asks whether its jobs are wanted.
    Ask(H),
    GivePurge(Purge),
    Prove(H),
    /// It is tried at its destination: asked for, carried out, and ended by itself.
    AskTrial,
    Try(H),
    TrialEnds(H),
    Boot(H),
    ShutDown(H),
    Believe,
    Tick,
    Backup,
    PutBack,
    Crash(H),
    Reboot(H),
    Die(H),
    TakeOver(H),
    LoseLedger(H),
    KeepLedger(H),
    PutLedgerBack(H),
    /// Another machine is put in its place, with a ledger of its own or an early copy of the true one.
    Replace(H, bool),
    /// Root starts what the host owns by its ledger.
    Override(H),
    /// A grant because nothing was heard: only without its guard.
    TimeOut,
}

#[derive(Debug, Clone)]
pub struct Universe {
    pub guards: Guards,
    pub left: Budget,
    pub delays: bool,
    pub old_agents: bool,
    /// While it holds it is kept in step.
    pub passes: bool,
}

fn hosts() -> impl Iterator<Item = H> {
    0..u8::try_from(N).unwrap()
}

/// How often such an order may go wrong yet.
fn bad_luck(left: &Budget, kind: JobKind) -> u8 {
    match kind {
        JobKind::Start => left.failures,
        JobKind::FinalCopy => left.flips,
        JobKind::StopSeal => left.crashes,
        _ => 0,
    }
}

impl Universe {
    fn first(&self) -> World {
        let mark = PortalMark {
            life: 0,
            revision: 1,
        };
        let host = |at: u8| Host {
            ledger: Ledger {
                id: at,
                granted: u8::from(at == 0),
                sealed: 0,
                generation: u8::from(at == 0),
                gave_up: 0,
                stayed: 0,
                brought_by: 0,
                seen: Some(mark),
            },
            disks: if at == 0 { vec![(1, 1)] } else { Vec::new() },
            copy: None,
            gone: Vec::new(),
            running: at == 0,
            trial: false,
            to_try: false,
            seen: Some(mark),
            report: None,
            twin: false,
            kept: None,
            went_back: false,
            asks: false,
            machine: 0,
            dead: false,
            long_dead: false,
        };
        let mut granted_to = [0; 10];
        granted_to[1] = 1;
        World {
            portal: Memory {
                row: SmallRow {
                    host: 0,
                    epoch: 1,
                    fetched: true,
                },
                mv: None,
                parent: None,
                job: None,
                purges: Vec::new(),
                proof: None,
                held: false,
                words: [None; N],
                contrary: [false; N],
                recovery: false,
                reported: [true; N],
                shut: [false; N],
                faulty: [false; N],
                mark,
                lives: vec![mark],
                pinned: [(0, 1, 0), (1, 0, 0)],
                moves: 0,
            },
            backup: None,
            hosts: [host(0), host(1)],
            net: Vec::new(),
            newest: 1,
            restored: 0,
            lives: 0,
            ids: 1,
            granted_to,
            left: self.left,
            old_agents: self.old_agents,
            bad: None,
        }
    }

    fn peoples_acts(&self, world: &World, acts: &mut Vec<Act>) {
        let portal = &world.portal;
        let over = portal.mv.is_none_or(|mv| {
            matches!(
                mv.state,
                State::Cancelled | State::Failed | State::Confirmed | State::Returned
            )
        });
        if over && world.left.moves > 0 && !portal.held && portal.job.is_none() {
            acts.extend(
                hosts()
                    .filter(|host| *host != portal.row.host)
                    .map(Act::Offer),
            );
        }
        if let Some(mv) = portal.mv {
            if mv.step == Some(Step::PreflightSource) {
                acts.extend([Act::Prepare, Act::PrepareFails]);
            }
            if matches!(mv.step, Some(Step::Hold | Step::TopUp)) {
                acts.push(Act::Tell(Event::Stop));
                acts.extend((world.left.trials > 0).then_some(Act::AskTrial));
            }
            if mv.step == Some(Step::Hold) && self.passes {
                acts.push(Act::Tell(Event::TopUp));
            }
            // An order that nobody was given yet: quiet hours began, or its member chose anew.
            let ungiven = portal.job.is_some_and(|job| job.leased.is_none());
            if mv.step == Some(Step::StopSeal) && ungiven {
                acts.push(Act::Tell(Event::Unstop));
            }
            if can_cancel(mv.state) {
                acts.push(Act::Tell(Event::Cancel));
            }
            acts.extend([
                Act::Tell(Event::RollBackUnfetched),
                Act::Tell(Event::Confirm),
            ]);
            if world.left.moves > 0 && !mv.back {
                acts.push(Act::Tell(Event::WayBack));
            }
            if mv.back && mv.state == State::Queued {
                acts.push(Act::Tell(Event::Admit));
            }
        }
        acts.extend([Act::RetryJob, Act::Believe, Act::TimeOut]);
    }
}

impl Model for Universe {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![self.first()]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        if world.bad.is_some() {
            return;
        }
        self.peoples_acts(world, acts);
        for msg in &world.net {
            acts.push(Act::Deliver(*msg));
            if let Msg::Order { kind, .. } = msg
                && bad_luck(&world.left, *kind) > 0
            {
                acts.push(Act::DeliverBadly(*msg));
            }
        }
        acts.extend(
            world
                .portal
                .purges
                .iter()
                .map(|purge| Act::GivePurge(*purge)),
        );
        for host in hosts() {
            acts.extend([
                Act::Poll(host),
                Act::PollInVain(host),
                Act::Boot(host),
                Act::TakeOver(host),
            ]);
            let here = &world.hosts[usize::from(host)];
            acts.extend(here.asks.then_some(Act::Ask(host)));
            acts.extend(here.to_try.then_some(Act::Try(host)));
            acts.extend(here.trial.then_some(Act::TrialEnds(host)));
            if self.delays {
                acts.extend([Act::Send(host), Act::Hear(host)]);
            }
            if !world.portal.purges.is_empty() {
                acts.push(Act::Prove(host));
            }
            if world.left.boots > 0 {
                acts.extend([Act::ShutDown(host), Act::Override(host)]);
            }
            if world.left.crashes > 0 {
                acts.push(Act::Crash(host));
            }
            if world.left.reboots > 0 {
                acts.push(Act::Reboot(host));
            }
            if world.left.deaths > 0 {
                acts.push(Act::Die(host));
            }
            // What is kept is put back, once: whoever keeps one needs no other, and loses none.
            let kept = world.hosts.iter().any(|host| host.kept.is_some());
            match world.left.ledgers {
                0 => {}
                _ if kept => acts.push(Act::PutLedgerBack(host)),
                _ => acts.extend([Act::LoseLedger(host), Act::KeepLedger(host)]),
            }
            if world.left.twins > 0 {
                acts.extend([Act::Replace(host, false), Act::Replace(host, true)]);
            }
        }
        match (world.left.restores, &world.backup) {
            (0, _) => {}
            (_, None) => acts.push(Act::Backup),
            (_, Some(_)) if world.restored == 0 => acts.push(Act::PutBack),
            // The same again, or a newer one.
            (_, Some(_)) => acts.extend([Act::Backup, Act::PutBack]),
        }
        acts.push(Act::Tick);
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = world.clone();
        self.happen(&mut next, act)?;
        next.judge();
        next.tidy(self.guards);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never two runners", |_, world: &World| {
                world.bad != Some(Bad::TwoRunners)
            }),
            Property::always("nothing runs unowned", |_, world: &World| {
                world.bad != Some(Bad::Unowned)
            }),
            Property::always("no boot from unverified disks", |_, world: &World| {
                world.bad != Some(Bad::Unverified)
            }),
            Property::always("no boot from old data", |_, world: &World| {
                world.bad != Some(Bad::OldData)
            }),
            Property::always("the last whole copy stays", |_, world: &World| {
                world.bad != Some(Bad::LastCopy)
            }),
            Property::always("no epoch to two hosts", |_, world: &World| {
                world.bad != Some(Bad::EpochTwice)
            }),
            Property::always("granted disks are not copied over", |_, world: &World| {
                world.bad != Some(Bad::Overwritten)
            }),
            Property::always("no trial beside its Linode", |_, world: &World| {
                world.bad != Some(Bad::TrialBeside)
            }),
        ]
    }
}

impl Universe {
    fn happen(&self, world: &mut World, act: Act) -> Option<()> {
        let guards = self.guards;
        match act {
            Act::Offer(destination) => {
                world.left.moves -= 1;
                world.begin_move(destination, false, State::Offered);
                world.portal.parent = None;
                (world.apply(guards, Event::Click) && world.apply(guards, Event::Admit))
                    .then_some(())
            }
            Act::Prepare => self.prepare(world),
            Act::PrepareFails => world
                .apply(guards, Event::Failed(Step::PreflightSource))
                .then_some(()),
            Act::Tell(Event::WayBack) => {
                world.left.moves -= 1;
                world.apply(guards, Event::WayBack).then_some(())
            }
            Act::Tell(event) => world.apply(guards, event).then_some(()),
            Act::RetryJob => {
                let job = world.portal.job.as_mut().filter(|job| job.failed)?;
                job.failed = false;
                job.leased = None;
                Some(())
            }
            Act::Poll(host) => {
                let report = self.alive(world, host)?.report();
                self.hear(world, host, report, true);
                Some(())
            }
            Act::PollInVain(host) => {
                let report = self.alive(world, host)?.report();
                self.hear(world, host, report, false);
                Some(())
            }
            Act::Send(host) => {
                let report = self.alive(world, host)?.report();
                world.hosts[usize::from(host)].report = Some(report);
                Some(())
            }
            Act::Hear(host) => {
                let report = world.hosts[usize::from(host)].report.take()?;
                self.hear(world, host, report, true);
                Some(())
            }
            Act::Deliver(msg) => self.deliver(world, msg, false),
            Act::Ask(host) => {
                let report = self.alive(world, host)?.report();
                self.hear(world, host, report, true);
                world.ask(host);
                Some(())
            }
            Act::DeliverBadly(msg) => {
                let Msg::Order { to, kind, .. } = msg else {
                    return None;
                };
                match kind {
                    JobKind::Start => world.left.failures -= 1,
                    JobKind::FinalCopy => world.left.flips -= 1,
                    _ => world.left.crashes -= 1,
                }
                let before = world.net.len();
                self.deliver(world, msg, true)?;
                if kind == JobKind::StopSeal {
                    world.hosts[usize::from(to)].crash(guards);
                    return (world.net.len() == before).then_some(());
                }
                Some(())
            }
            Act::GivePurge(purge) => {
                self.alive(world, purge.host)?;
                let order = world.give_purge(guards, purge)?;
                let mark = world.portal.mark;
                let here = &mut world.hosts[usize::from(purge.host)];
                if here.see(self.guards, mark) || !guards.has(Guard::MarkChecked) {
                    here.keep(guards);
                    world.send(order);
                }
                Some(())
            }
            Act::Prove(host) => {
                let here = self.alive(world, host)?;
                let row = world.portal.row;
                let whole = here.data_of(here.ledger.generation).is_some()
                    && here.ledger.generation == row.epoch;
                rules::act(here.ledger.marks(), row.epoch.into()).ok()?;
                (row.host == host && whole && !world.portal.closed_to(host))
                    .then(|| world.prove(host))
            }
            Act::AskTrial => {
                let to = world.portal.mv?.destination;
                self.alive(world, to)?;
                world.left.trials -= 1;
                world.hosts[usize::from(to)].to_try = true;
                Some(())
            }
            Act::Try(host) => {
                self.alive(world, host)?;
                let here = &mut world.hosts[usize::from(host)];
                here.to_try = false;
                let away = rules::may_try(here.ledger.marks(), here.running).is_ok();
                if away || !guards.has(Guard::TrialAway) {
                    here.trial = true;
                }
                Some(())
            }
            Act::TrialEnds(host) => {
                self.alive(world, host)?;
                world.hosts[usize::from(host)].trial = false;
                Some(())
            }
            Act::Boot(host) => self.boot(world, host),
            Act::ShutDown(host) => {
                self.alive(world, host)?;
                world.left.boots -= 1;
                world.stop(host);
                Some(())
            }
            Act::Override(host) => {
                let here = self.alive(world, host)?;
                let epoch = here.ledger.granted;
                let off = !here.running;
                world.left.boots -= 1;
                off.then(|| world.run(guards, host, epoch))?
            }
            Act::Believe => world.believe(guards),
            Act::TimeOut => {
                let mv = world.portal.mv.filter(|_| !guards.has(Guard::NoTimeout))?;
                let job = world.portal.job.filter(|job| job.host == mv.destination)?;
                job.leased?;
                world.apply(guards, Event::DestinationLost).then_some(())
            }
            _ => self.fate(world, act),
        }
    }

    fn alive<'a>(&self, world: &'a World, host: H) -> Option<&'a Host> {
        Some(&world.hosts[usize::from(host)]).filter(|host| !host.dead)
    }

    /// A report, and the answer to it: an order that is taken at once and carried out whenever, or nothing but the portal's
    /// mark. An agent that has polled anew takes no answer to an earlier poll.
    fn hear(&self, world: &mut World, host: H, report: super::world::Report, arrives: bool) {
        let at = usize::from(host);
        world.note(self.guards, host, report);
        if world.portal.closed_to(host) {
            return;
        }
        let order = world.give(self.guards, host);
        if !arrives {
            return;
        }
        let mark = world.portal.mark;
        let follows =
            world.hosts[at].see(self.guards, mark) || !self.guards.has(Guard::MarkChecked);
        if let Some(order) = order.filter(|_| follows) {
            world.hosts[at].keep(self.guards);
            world.send(order);
        }
    }

    fn deliver(&self, world: &mut World, msg: Msg, badly: bool) -> Option<()> {
        match msg {
            Msg::Order { .. } => world.obey(self.guards, msg, badly),
            Msg::Said { .. } => world.finish(self.guards, msg),
        }
    }

    /// Preflights, reservation, warm copy: asked and answered at once, for nothing in them changes ownership.
    fn prepare(&self, world: &mut World) -> Option<()> {
        let portal = &world.portal;
        let mv = portal.mv?;
        let destination = usize::from(mv.destination);
        let closed = portal.held || portal.recovery && self.guards.has(Guard::RecoveryWaits);
        if closed || portal.closed_to(mv.source) || portal.closed_to(mv.destination) {
            return None;
        }
        let from = self.alive(world, mv.source)?;
        let to = self.alive(world, mv.destination)?;
        if to.ledger.marks().owns() {
            if self.guards.has(Guard::OwnsIsNoFailure) {
                world.hold(mv.destination);
                return Some(());
            }
            return world
                .apply(self.guards, Event::Failed(Step::PreflightSource))
                .then_some(());
        }
        rules::act(from.ledger.marks(), mv.epoch.into()).ok()?;
        let data = from.data_of(from.ledger.generation)?;
        world.hosts[destination].copy = Some(super::world::Copy {
            number: mv.number,
            epoch: mv.epoch + 1,
            data,
            whole: false,
        });
        let last = if self.guards.has(Guard::CopySealed) {
            Step::Hold
        } else {
            Step::FinalCopy
        };
        while let Some(step) = world.portal.mv?.step {
            if step == last {
                return Some(());
            }
            let event = match step {
                Step::Hold => Event::Stop,
                step => Event::Succeeded(step),
            };
            world.apply(self.guards, event).then_some(())?;
        }
        None
    }

    /// Booted by its member, or by staff after its host was: under the present epoch.
    fn boot(&self, world: &mut World, host: H) -> Option<()> {
        let portal = &world.portal;
        let at_rest = portal.mv.is_none_or(|mv| mv.step.is_none());
        if portal.held || portal.closed_to(host) || portal.row.host != host || !at_rest {
            return None;
        }
        let here = self.alive(world, host)?;
        let epoch = portal.row.epoch;
        if here.running || world.left.boots == 0 {
            return None;
        }
        world.left.boots -= 1;
        world.run(self.guards, host, epoch)?;
        // It is its member's run from here on.
        world.hosts[usize::from(host)].ledger.stayed = epoch;
        Some(())
    }

    /// What nobody wants.
    fn fate(&self, world: &mut World, act: Act) -> Option<()> {
        let guards = self.guards;
        match act {
            Act::Tick => {
                for memory in [Some(&mut world.portal), world.backup.as_deref_mut()]
                    .into_iter()
                    .flatten()
                {
                    if let Some(proof) = &mut memory.proof {
                        proof.old = true;
                    }
                }
                for host in &mut world.hosts {
                    host.long_dead = host.dead;
                    host.gone.clear();
                }
                // An order is carried out while its lease lasts, or not at all.
                world.net.retain(|msg| {
                    !matches!(
                        msg,
                        Msg::Order {
                            kind: JobKind::Purge,
                            ..
                        }
                    )
                });
            }
            Act::Backup => world.backup = Some(Box::new(world.portal.clone())),
            Act::PutBack => {
                world.left.restores -= 1;
                world.restored += 1;
                world.portal = *world.backup.clone()?;
                if world.left.restores == 0 {
                    world.backup = None;
                }
                if guards.has(Guard::RecoveryAtStart) {
                    world.begin_life(0);
                }
            }
            Act::Crash(host) => {
                self.alive(world, host)?;
                world.left.crashes -= 1;
                world.hosts[usize::from(host)].crash(guards);
            }
            Act::Reboot(host) => {
                self.alive(world, host)?;
                world.left.reboots -= 1;
                world.stop(host);
                world.hosts[usize::from(host)].trial = false;
                world.hosts[usize::from(host)].crash(guards);
            }
            Act::Die(host) => {
                self.alive(world, host)?;
                world.left.deaths -= 1;
                let here = &mut world.hosts[usize::from(host)];
                here.dead = true;
                here.twin = false;
                here.running = false;
                (here.trial, here.to_try) = (false, false);
                here.report = None;
            }
            Act::TakeOver(host) => self.take_over(world, host)?,
            Act::LoseLedger(host) => {
                self.alive(world, host)?;
                world.left.ledgers -= 1;
                world.ids += 1;
                let id = world.ids;
                let here = &mut world.hosts[usize::from(host)];
                here.ledger = Ledger {
                    id,
                    ..Ledger::default()
                };
                // Installed anew: its guests are gone; the disks are there, and it does not know whose they are.
                here.running = false;
                here.copy = None;
                here.seen = None;
                here.report = None;
                world.forget_orders(host);
                // What it was granted, it knows no more of, and runs no more.
                for to in &mut world.granted_to {
                    if *to == host + 1 {
                        *to = 0;
                    }
                }
            }
            Act::KeepLedger(host) => {
                self.alive(world, host)?;
                let here = &mut world.hosts[usize::from(host)];
                here.kept = Some(here.ledger.clone());
            }
            Act::PutLedgerBack(host) => {
                self.alive(world, host)?;
                world.left.ledgers -= 1;
                let here = &mut world.hosts[usize::from(host)];
                here.ledger = here.kept.take()?;
                here.went_back = true;
                here.crash(guards);
            }
            Act::Replace(host, early) => {
                self.alive(world, host)?;
                world.left.twins -= 1;
                world.ids += u8::from(!early);
                let new = world.ids;
                let here = &mut world.hosts[usize::from(host)];
                here.twin = here.running;
                here.machine += 1;
                here.running = false;
                here.ledger = Ledger {
                    id: if early { here.ledger.id } else { new },
                    ..Ledger::default()
                };
                here.copy = None;
                here.gone = std::mem::take(&mut here.disks);
                here.crash(guards);
                world.forget_orders(host);
            }
            _ => return None,
        }
        Some(())
    }

    /// Two staff, with evidence that its power is off: its credential is revoked, and the other end is granted the Linode.
    fn take_over(&self, world: &mut World, host: H) -> Option<()> {
        let at = usize::from(host);
        let off = world.hosts[at].dead || !self.guards.has(Guard::PowerOff);
        if !off || self.guards.has(Guard::PowerOff) && world.left.deaths > 1 {
            return None;
        }
        if !world.portal.shut[at] {
            world.portal.shut[at] = true;
            world.end_recovery();
            return Some(());
        }
        let mv = world.portal.mv?;
        // After the end only as long as the old disks are there.
        let there = mv.state != State::Confirmed
            || world.portal.purges.contains(&Purge {
                host: mv.source,
                epoch: mv.epoch,
            });
        let event = match host {
            host if host == mv.destination && there => Event::DestinationLost,
            host if host == mv.source => Event::SourceLost,
            _ => return None,
        };
        world.apply(self.guards, event).then_some(())
    }
}
