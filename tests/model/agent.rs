//! A host's side: what an agent does with an order. It may be carried out at any time and again and again; where crashes are
//! among what may happen, a start is carried out a stage at a time.

use xenbeta::agent::ledger::rules::{self, Accept, Seal};
use xenbeta::domain::job::JobKind;

use super::guards::{Guard, Guards};
use super::world::{Bad, Copy, H, Host, Msg, PortalMark, Purge, Report, Said, World};

impl Host {
    pub fn report(&self) -> Report {
        Report {
            word: self.word(),
            seen: self.seen,
            // Each record counts; the two marks alone do as well.
            ledger: (
                self.ledger.id,
                self.ledger.granted + self.ledger.sealed,
                self.machine,
            ),
        }
    }

    /// Notes a mark of the portal; `false` if the portal went back.
    pub fn see(&mut self, guards: Guards, mark: PortalMark) -> bool {
        let keep = guards.has(Guard::LifeKept);
        let follows = rules::follows(self.seen.map(PortalMark::shown), Some(mark.shown()));
        if follows {
            self.seen = Some(mark);
            // Another life is kept at once: orders that were taken in an earlier one must not outlive it by a crash.
            if self.ledger.seen.is_none_or(|kept| kept.life != mark.life) && keep {
                self.ledger.seen = self.seen;
            }
        }
        follows
    }

    /// An order that changes ownership is kept on disk when it is taken, and with it what was seen of the portal.
    pub fn keep(&mut self, guards: Guards) {
        if guards.has(Guard::MarkKept) {
            self.ledger.seen = self.seen;
        }
    }
}

/// An order, as it is taken.
#[derive(Clone, Copy)]
struct Order {
    to: H,
    kind: JobKind,
    epoch: u8,
    number: u8,
    token: u8,
}

impl World {
    fn at(&mut self, host: H) -> &mut Host {
        &mut self.hosts[usize::from(host)]
    }

    fn say(&mut self, order: Order, what: Said) {
        self.send(Msg::Said {
            from: order.to,
            kind: order.kind,
            epoch: order.epoch,
            number: order.number,
            token: order.token,
            what,
        });
    }

    pub fn send(&mut self, msg: Msg) {
        if let Err(at) = self.net.binary_search(&msg) {
            self.net.insert(at, msg);
        }
    }

    /// What an order does. `fails`: the guest does not stay up, a piece of the copy is damaged, or the agent is killed
    /// between the guest's end and the seal.
    pub fn obey(&mut self, guards: Guards, msg: Msg, fails: bool) -> Option<()> {
        let Msg::Order {
            to,
            kind,
            epoch,
            number,
            token,
            mark,
        } = msg
        else {
            return None;
        };
        let here = self.at(to);
        if here.dead || here.asks && kind != JobKind::FinalCopy {
            return None;
        }
        if guards.has(Guard::TrialFirst) {
            // The Linode's lock waits for one that is at work.
            here.trial = false;
        }
        let void = here.seen.is_some_and(|seen| seen.life != mark.life);
        let order = Order {
            to,
            kind,
            epoch,
            number,
            token,
        };
        match kind {
            JobKind::StopSeal => self.stop_seal(guards, order, fails),
            JobKind::WarmCopy => self.warm_copy(order),
            JobKind::FinalCopy => self.final_copy(guards, order, fails),
            JobKind::Start => self.start(guards, order, void, fails),
            JobKind::Purge => self.purge(guards, order),
            _ => return None,
        }
        Some(())
    }

    /// An agent that runs anew asks about what it holds; what nobody wants is dropped. One that the portal will not hear waits.
    pub fn ask(&mut self, host: H) {
        if self.portal.closed_to(host) {
            return;
        }
        self.at(host).asks = false;
        let Self { net, portal, .. } = self;
        net.retain(|msg| match msg {
            Msg::Order { to, .. } if *to != host => true,
            Msg::Order {
                kind: JobKind::Purge,
                epoch,
                ..
            } => portal.purges.contains(&Purge {
                host,
                epoch: *epoch,
            }),
            Msg::Order {
                kind, epoch, token, ..
            } => portal.job.is_some_and(|job| {
                (job.host, job.kind, job.epoch, job.leased) == (host, *kind, *epoch, Some(*token))
                    && !job.failed
            }),
            Msg::Said { .. } => true,
        });
    }

    /// The guest ends, and what it wrote last is on its disks.
    pub fn stop(&mut self, host: H) {
        if !self.at(host).running {
            return;
        }
        self.newest += 1;
        let newest = self.newest;
        let here = self.at(host);
        here.running = false;
        let generation = here.ledger.generation;
        for (name, data) in &mut here.disks {
            if *name == generation {
                *data = newest;
            }
        }
    }

    fn stop_seal(&mut self, guards: Guards, order: Order, killed: bool) {
        let agents_are_old = self.old_agents;
        let here = self.at(order.to);
        let marks = here.ledger.marks();
        let Ok(seal) = rules::may_seal(marks, order.epoch.into()) else {
            return self.say(order, Said::Failed);
        };
        let back = here.ledger.brought_by == order.number;
        let held = here.running || here.ledger.stayed == order.epoch;
        let may = rules::may_take_back(marks, order.epoch.into(), back, held);
        if may.is_err() && guards.has(Guard::HeldStays) {
            self.at(order.to).ledger.stayed = order.epoch;
            return self.say(order, Said::Owns);
        }
        if guards.has(Guard::StopFirst) {
            self.stop(order.to);
            if killed {
                return;
            }
        }
        let here = self.at(order.to);
        if seal == Seal::Now {
            if back && (!held || agents_are_old) {
                // What a guest wrote that did not stay up is given up with it; agents of the last release do not tell.
                here.disks.retain(|(name, _)| *name != order.epoch);
            }
            here.ledger.set(marks.seal(order.epoch.into()));
            here.keep(guards);
        }
        self.say(order, Said::Done);
        if !guards.has(Guard::StopFirst) && seal == Seal::Already {
            self.stop(order.to);
        }
    }

    /// Into the copy in the making, from disks that may be in use; what was published is none.
    fn warm_copy(&mut self, order: Order) {
        if self.at(order.to).ledger.marks().owns() {
            return self.say(order, Said::Owns);
        }
        let from = &self.hosts[usize::from(order.to ^ 1)];
        let served =
            !from.dead && rules::serve(from.ledger.marks(), (order.epoch - 1).into()).is_ok();
        let data = from.data_of(from.ledger.generation).filter(|_| served);
        let is_it = |copy: &&mut Copy| {
            !copy.whole && (copy.number, copy.epoch) == (order.number, order.epoch)
        };
        match (self.at(order.to).copy.as_mut().filter(is_it), data) {
            (Some(copy), Some(data)) => {
                copy.data = data;
                self.say(order, Said::Done);
            }
            _ => self.say(order, Said::Failed),
        }
    }

    fn final_copy(&mut self, guards: Guards, order: Order, damaged: bool) {
        let source = usize::from(order.to ^ 1);
        let next = order.epoch + 1;
        let marks = self.at(order.to).ledger.marks();
        if guards.has(Guard::CopyNotOwner) {
            if marks.owns() {
                return self.say(order, Said::Owns);
            }
            if rules::may_publish(marks, next.into()).is_err() {
                return self.say(order, Said::Failed);
            }
        }
        let here = self.at(order.to);
        if here.data_of(next).is_some() && !here.went_back {
            self.blame(Bad::Overwritten);
        }
        let from = &self.hosts[source];
        let here = &self.hosts[usize::from(order.to)];
        if let Some(copy) = here.copy.filter(|copy| {
            copy.whole && (copy.number, copy.epoch) == (order.number, next) && copy.data != 0
        }) {
            let Some(source) = from.data_of(from.ledger.generation) else {
                return;
            };
            return self.say(
                order,
                Said::Copied {
                    source,
                    copy: copy.data,
                },
            );
        }
        let served = !from.dead && rules::serve(from.ledger.marks(), order.epoch.into()).is_ok();
        let sealed = from.ledger.sealed >= order.epoch || !guards.has(Guard::CopySealed);
        let Some(data) = from.data_of(from.ledger.generation) else {
            return;
        };
        if !(served && sealed) {
            return;
        }
        let copy = Copy {
            number: order.number,
            epoch: next,
            data: if damaged { 100 } else { data },
            whole: true,
        };
        let told = Said::Copied {
            source: data,
            copy: if guards.has(Guard::Reread) {
                copy.data
            } else {
                data
            },
        };
        self.at(order.to).copy = Some(copy);
        self.say(order, told);
    }

    fn start(&mut self, guards: Guards, order: Order, void: bool, fails: bool) {
        let epoch = i64::from(order.epoch);
        let here = self.at(order.to);
        let marks = here.ledger.marks();
        if here.ledger.gave_up == order.epoch && here.ledger.sealed >= order.epoch {
            return self.say(order, Said::StartFailed);
        }
        let accept = match rules::accept_grant(marks, epoch) {
            Ok(accept) => accept,
            Err(_) if !guards.has(Guard::SealCheck) && marks.granted == epoch => Accept::Repeat,
            Err(_) if !guards.has(Guard::NewEpoch) && marks.granted < epoch => Accept::New,
            Err(_) => {
                let owns = marks.owns();
                return self.say(order, if owns { Said::Owns } else { Said::Failed });
            }
        };
        if accept == Accept::New {
            let whole = match here.copy {
                _ if order.number == 0 => here.data_of(here.ledger.generation).is_some(),
                Some(copy) => {
                    (copy.whole, copy.epoch, copy.number) == (true, order.epoch, order.number)
                }
                None => false,
            };
            // Not whole, or the host cannot write its records.
            if !whole || fails {
                return self.say(order, Said::Failed);
            }
            // The portal began a new life since the order was taken.
            if void && guards.has(Guard::MarkChecked) {
                return;
            }
            here.ledger.set(marks.grant(epoch));
            here.ledger.brought_by = order.number;
            here.keep(guards);
            self.granted(order.to, order.epoch);
            if self.by_stages() {
                return;
            }
        }
        if self.at(order.to).ledger.generation != order.epoch {
            self.take_disks(order);
            if self.by_stages() {
                return;
            }
        }
        let stayed = self.at(order.to).ledger.stayed == order.epoch;
        if fails && !self.at(order.to).running {
            if stayed && guards.has(Guard::StayedUp) {
                return self.say(order, Said::Done);
            }
            let here = self.at(order.to);
            here.ledger.set(here.ledger.marks().seal(epoch));
            here.ledger.gave_up = order.epoch;
            // What a guest wrote that did not stay up is given up with it.
            here.disks.retain(|(name, _)| *name != order.epoch);
            here.keep(guards);
            return self.say(order, Said::StartFailed);
        }
        if !self.at(order.to).running {
            self.run(guards, order.to, order.epoch);
            if self.by_stages() {
                return;
            }
        }
        self.at(order.to).ledger.stayed = order.epoch;
        self.say(order, Said::Done);
    }

    /// Is something among what may yet happen that sees a start half done?
    fn by_stages(&self) -> bool {
        self.left.crashes > 0 || self.left.boots > 0
    }

    fn take_disks(&mut self, order: Order) {
        let here = self.at(order.to);
        let taken = if order.number == 0 {
            let old = here.ledger.generation;
            let data = here.data_of(old);
            here.disks.retain(|(name, _)| *name != old);
            data
        } else {
            here.copy.take().map(|copy| copy.data)
        };
        if let Some(data) = taken {
            here.disks.push((order.epoch, data));
            here.disks.sort_unstable();
            here.ledger.generation = order.epoch;
        }
    }

    /// Epochs are given to one host each, ever.
    fn granted(&mut self, host: H, epoch: u8) {
        let to = &mut self.granted_to[usize::from(epoch)];
        let before = std::mem::replace(to, host + 1);
        if before != 0 && before != host + 1 && !self.hosts[usize::from(before - 1)].dead {
            self.blame(Bad::EpochTwice);
        }
    }

    /// The guest is started, if the ledger lets it.
    pub fn run(&mut self, guards: Guards, host: H, epoch: u8) -> Option<()> {
        let here = self.at(host);
        let marks = here.ledger.marks();
        let own = here.ledger.generation == epoch || !guards.has(Guard::OwnDisks);
        let data = here.data_of(here.ledger.generation);
        let whole = data.is_some() && own;
        let generation = if guards.has(Guard::OwnDisks) {
            here.ledger.generation.into()
        } else {
            epoch.into()
        };
        let may = rules::may_start(marks, epoch.into(), Some(generation), whole, true).is_ok();
        let unsealed = !guards.has(Guard::SealCheck) && whole && marks.granted == i64::from(epoch);
        if !(may || unsealed) {
            return None;
        }
        here.running = true;
        if data == Some(100) {
            self.blame(Bad::Unverified);
        } else if data.is_some_and(|data| self.is_old(data)) {
            self.blame(Bad::OldData);
        }
        self.judge();
        Some(())
    }

    /// Is there something newer on a host that is not gone?
    fn is_old(&self, data: u8) -> bool {
        self.hosts
            .iter()
            .filter(|host| !host.dead)
            .any(|host| host.disks.iter().any(|(_, it)| *it > data && *it != 100))
    }

    pub fn judge(&mut self) {
        let twins = self.hosts.iter().filter(|host| host.twin).count();
        let running = twins + self.hosts.iter().filter(|host| host.running).count();
        if running > 1 {
            self.bad = Some(Bad::TwoRunners);
        }
        if self.hosts.iter().any(|host| host.trial && host.running) {
            self.blame(Bad::TrialBeside);
        }
        let unowned = |host: &Host| host.running && !host.went_back && !host.ledger.marks().owns();
        if self.hosts.iter().any(unowned) {
            self.blame(Bad::Unowned);
        }
    }

    fn purge(&mut self, guards: Guards, order: Order) {
        let epoch = i64::from(order.epoch);
        let here = self.at(order.to);
        let marks = here.ledger.marks();
        let generation = here.ledger.generation;
        let old = rules::superseded(marks, (generation > 0).then_some(generation.into()), epoch);
        let checked = guards.has(Guard::PurgeEpoch);
        if old && checked {
            self.delete(order.to, order.epoch);
        } else if rules::may_purge(marks, epoch, here.running).is_err() && checked {
            return self.say(order, Said::Failed);
        } else if generation > 0 && (generation <= order.epoch || !checked) {
            self.delete(order.to, generation);
            let here = self.at(order.to);
            here.ledger.generation = 0;
            here.keep(guards);
        }
        self.say(order, Said::Done);
    }

    /// Disks go; somewhere there must be the same or newer.
    fn delete(&mut self, host: H, generation: u8) {
        let here = self.at(host);
        let Some(data) = here.data_of(generation) else {
            return;
        };
        here.disks.retain(|(name, _)| *name != generation);
        let kept = self
            .hosts
            .iter()
            .filter(|host| !host.long_dead)
            .any(|host| {
                let copies = host.copy.iter().map(|copy| copy.data);
                let all = host.disks.iter().chain(&host.gone);
                let all = all.map(|(_, data)| *data).chain(copies);
                all.into_iter().any(|it| it >= data && it != 100)
            });
        if !kept && data != 100 {
            self.blame(Bad::LastCopy);
        }
    }
}
