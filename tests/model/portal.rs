//! The portal's side: what `app` does with polls, outcomes and people's acts, by the product's pure functions.

use xenbeta::domain::job::JobKind;
use xenbeta::domain::migration::MigrationState as State;
use xenbeta::domain::migration::{Effect, Event, Side, Step, decide};
use xenbeta::domain::ownership::{
    Believed, Contradiction, Incarnation, LedgerId, LedgerVerdict, PROOF_S, Proof, Word, believe,
    contradiction, handover, judge_ledger, may_purge, went_back,
};

use super::guards::{Guard, Guards};
use super::world::{
    Bad, H, Job, LIVES, Memory, Move, Msg, N, Pin, PortalMark, Purge, Report, Said, SmallProof,
    SmallRow, World, id, of,
};

pub fn small(number: i64) -> u8 {
    u8::try_from(number).unwrap()
}

impl Memory {
    /// No work for it, and nothing that it says counts.
    pub fn closed_to(&self, host: H) -> bool {
        let at = usize::from(host);
        self.shut[at] || self.faulty[at]
    }
}

impl World {
    fn count_up(&mut self) {
        self.portal.mark.revision += 1;
    }

    fn set_row(&mut self, row: xenbeta::domain::ownership::Row) {
        self.portal.row = SmallRow::from(row);
        self.count_up();
    }

    /// A new life of the portal's memory, and with it a recovery.
    pub fn begin_life(&mut self, above: u8) {
        self.lives += 1;
        let portal = &mut self.portal;
        portal.mark = PortalMark {
            life: self.lives,
            revision: portal.mark.revision.max(above) + 1,
        };
        portal.lives.push(portal.mark);
        portal.recovery = true;
        portal.reported = [false; N];
        portal.contrary = [false; N];
        portal.words = [None; N];
    }

    /// `engine::apply`: all of it, or nothing.
    pub fn apply(&mut self, guards: Guards, event: Event) -> bool {
        let mut next = self.clone();
        if next.try_apply(guards, event).is_some() {
            *self = next;
            return true;
        }
        false
    }

    fn try_apply(&mut self, guards: Guards, event: Event) -> Option<()> {
        let mut mv = self.portal.mv?;
        let to = decide(mv.state, mv.step, event).ok()?;
        let closed = self.portal.held || (guards.has(Guard::RecoveryWaits) && self.portal.recovery);
        if closed && to.effects.iter().any(|effect| effect.needs_memory()) {
            return None;
        }
        (mv.state, mv.step) = (to.state, to.step);
        self.portal.mv = Some(mv);
        if to.step.is_none_or(|step| step.job().is_none()) {
            self.portal.job = None;
        }
        for effect in to.effects {
            self.carry_out(guards, event, effect)?;
        }
        Some(())
    }

    fn carry_out(&mut self, guards: Guards, event: Event, effect: Effect) -> Option<()> {
        let mv = self.portal.mv?;
        let row = self.portal.row.row();
        match effect {
            Effect::RunStep(step) => {
                let Some((kind, side)) = step.job() else {
                    return Some(());
                };
                let host = match side {
                    Side::Source => mv.source,
                    Side::Destination => mv.destination,
                };
                self.portal.job = Some(Job {
                    host,
                    kind,
                    epoch: small(handover::step_epoch(step, mv.epoch.into(), row)),
                    number: mv.number,
                    leased: None,
                    failed: false,
                });
            }
            Effect::StopJobs => {
                self.portal.job = None;
                if let (Event::Cancel, Some(step)) = (event, mv.step) {
                    self.try_apply(guards, Event::Stopped(step))?;
                }
            }
            // The order may be on its way still, or in work: what its agent says of it is late.
            Effect::EndPass => self.portal.job = None,
            Effect::Commit => {
                let [source, destination] = mv.digests;
                if guards.has(Guard::Digests) && (source == 0 || source != destination) {
                    return None;
                }
                let from = (id(mv.source), mv.epoch.into());
                self.set_row(handover::commit(row, from, id(mv.destination))?);
                if !guards.has(Guard::PurgeLate) {
                    self.purge_later(mv.source, mv.epoch);
                }
            }
            Effect::GrantSource => {
                let only = event == Event::RollBackUnfetched && guards.has(Guard::Unfetched);
                self.set_row(handover::take_back(row, id(mv.source), only)?);
                let epoch = self.portal.row.epoch;
                self.portal.mv.as_mut()?.epoch = epoch;
            }
            Effect::PurgeSource => self.purge_later(mv.source, mv.epoch),
            Effect::BeginReturn => {
                if self.portal.row.host != mv.destination {
                    return None;
                }
                self.portal.parent = Some(mv);
                self.begin_move(mv.source, true, State::Queued);
            }
            Effect::TellParent(succeeded) => self.tell_parent(mv, succeeded),
            Effect::Recall | Effect::CleanUp | Effect::CloseTransfer | Effect::Mail(_) => {}
        }
        Some(())
    }

    fn purge_later(&mut self, host: H, epoch: u8) {
        let purge = Purge { host, epoch };
        if !self.portal.purges.contains(&purge) {
            self.portal.purges.push(purge);
            self.portal.purges.sort_unstable();
        }
    }

    fn tell_parent(&mut self, mv: Move, succeeded: bool) {
        if !mv.back {
            return;
        }
        let Some(mut parent) = self.portal.parent.take() else {
            return;
        };
        let event = if succeeded {
            Event::WayBackSucceeded
        } else {
            Event::WayBackFailed
        };
        if let Ok(to) = decide(parent.state, parent.step, event) {
            parent.state = to.state;
        }
        // The way back that failed is over, and what it was the way back of is the Linode's move again.
        if !succeeded {
            self.portal.mv = Some(parent);
        }
    }

    pub fn begin_move(&mut self, destination: H, back: bool, state: State) {
        self.portal.moves += 1;
        self.portal.mv = Some(Move {
            number: self.portal.moves,
            back,
            source: self.portal.row.host,
            destination,
            state,
            step: None,
            epoch: self.portal.row.epoch,
            digests: [0; 2],
        });
    }

    pub fn hold(&mut self, host: H) {
        if !self.portal.held {
            self.portal.held = true;
            self.portal.words = [None; N];
        }
        self.portal.words[usize::from(host)] = Some(self.hosts[usize::from(host)].word());
    }

    /// `polls::note`.
    pub fn note(&mut self, guards: Guards, host: H, report: Report) {
        let at = usize::from(host);
        if self.portal.closed_to(host) || self.ledger_is_wrong(guards, host, report) {
            return;
        }
        let portal = &self.portal;
        let lives: Vec<Incarnation> = portal
            .lives
            .iter()
            .map(|mark| Incarnation {
                id: LIVES[usize::from(mark.life)].to_owned(),
                began: mark.revision.into(),
            })
            .collect();
        if let Some(seen) = report.seen {
            let shown = (LIVES[usize::from(seen.life)], seen.revision.into());
            if went_back(&lives, portal.mark.revision.into(), shown) {
                self.begin_life(seen.revision);
            }
        }
        let of_this_life = report.seen.map(|seen| seen.life) == Some(self.portal.mark.life);
        let was_heard = self.portal.reported[at];
        if of_this_life || !guards.has(Guard::ReportOfThisLife) {
            self.portal.reported[at] = true;
        }
        // The first report that was made in this life is from after all that the portal knows.
        let counts =
            self.portal.recovery && of_this_life && !was_heard && guards.has(Guard::FirstReport);
        self.compare(guards, host, report, counts);
        self.end_recovery();
    }

    pub fn end_recovery(&mut self) {
        let portal = &mut self.portal;
        if (0..N).all(|at| portal.reported[at] || portal.shut[at]) {
            portal.recovery = false;
        }
    }

    fn ledger_is_wrong(&mut self, guards: Guards, host: H, report: Report) -> bool {
        let at = usize::from(host);
        let ledger = |(id, serial, machine): Pin| LedgerId {
            id: LIVES[usize::from(id)].to_owned(),
            serial: serial.into(),
            machine: LIVES[usize::from(machine)].to_owned(),
            place: String::new(),
        };
        let (pinned, shown) = (self.portal.pinned[at], report.ledger);
        if self.old_agents {
            return false;
        }
        let trusted = match judge_ledger(Some(&ledger(pinned)), Some(&ledger(shown))) {
            LedgerVerdict::Known | LedgerVerdict::First | LedgerVerdict::Moved => true,
            LedgerVerdict::Other => !guards.has(Guard::OtherLedger),
            LedgerVerdict::WentBack => !guards.has(Guard::LedgerWentBack),
            LedgerVerdict::Elsewhere => !guards.has(Guard::OtherMachine),
        };
        if trusted {
            self.portal.pinned[at] = shown;
        } else {
            self.portal.faulty[at] = true;
        }
        !trusted
    }

    fn compare(&mut self, guards: Guards, host: H, report: Report, first: bool) {
        let at = usize::from(host);
        let moving =
            self.portal.mv.is_some_and(|mv| mv.step.is_some()) || self.portal.job.is_some();
        let has_sealed = |mv: &Move| mv.step == Some(Step::FinalCopy) && mv.source == host && first;
        let had_sealed = self.portal.mv.as_ref().is_some_and(has_sealed);
        let word = report.word.word(host);
        let found = contradiction(self.portal.row.row(), &word, had_sealed)
            .filter(|found| !(moving && found.is_of_a_move()))
            .filter(|found| {
                guards.has(Guard::HoldAhead) || !matches!(found, Contradiction::Ahead { .. })
            })
            .filter(|found| guards.has(Guard::HoldStrayed) || *found != Contradiction::Strayed)
            .filter(|found| guards.has(Guard::HeardIsTold) || *found != Contradiction::Told);
        if found == Some(Contradiction::Told) {
            self.portal.row.fetched = true;
            self.count_up();
            return;
        }
        let second = std::mem::replace(&mut self.portal.contrary[at], found.is_some());
        let counts = found.is_some_and(|found| found.is_proof() || second || first);
        if counts {
            self.portal.contrary[at] = false;
            self.portal.held = true;
        }
        if self.portal.held {
            self.portal.words[at] = Some(report.word);
        }
    }

    /// The next order for a host, in answer to its poll. `fetched` is set before it leaves.
    pub fn give(&mut self, guards: Guards, host: H) -> Option<Msg> {
        let portal = &self.portal;
        if portal.held || portal.closed_to(host) {
            return None;
        }
        if portal.recovery && guards.has(Guard::RecoveryWaits) {
            return None;
        }
        let mut job = portal.job.filter(|job| job.host == host && !job.failed)?;
        // Among the jobs that its agent holds; else it was lost on the way and is given again.
        let has = |msg: &Msg| {
            matches!(msg, Msg::Order { to, kind, epoch, token, .. }
            if (*to, *kind, *epoch) == (host, job.kind, job.epoch) && job.leased == Some(*token))
        };
        if self.net.iter().any(has) {
            return None;
        }
        let at_destination = portal.mv.is_some_and(|mv| mv.step == Some(Step::Start));
        if job.kind == JobKind::Start {
            let Some(row) = handover::fetch(portal.row.row(), (id(host), job.epoch.into())) else {
                self.portal.job = None;
                return None;
            };
            if !portal.row.fetched {
                self.set_row(row);
            }
        }
        job.leased = Some(self.restored);
        self.portal.job = Some(job);
        let number = match job.kind {
            JobKind::Start if !at_destination => 0,
            _ => job.number,
        };
        Some(Msg::Order {
            to: host,
            kind: job.kind,
            epoch: job.epoch,
            number,
            token: self.restored,
            mark: self.portal.mark,
        })
    }

    pub fn give_purge(&self, guards: Guards, purge: Purge) -> Option<Msg> {
        let portal = &self.portal;
        let closed = portal.held || portal.recovery || portal.closed_to(purge.host);
        if closed {
            return None;
        }
        let proof = portal.proof.map(|proof| Proof {
            host: id(proof.host),
            epoch: proof.epoch.into(),
            running: proof.running,
            age_s: if proof.old && guards.has(Guard::ProofFresh) {
                PROOF_S + 1
            } else {
                0
            },
        });
        let old = (id(purge.host), purge.epoch.into());
        let may = may_purge(portal.row.row(), proof, false, old).is_ok();
        let looked = guards.has(Guard::PurgeProof) && guards.has(Guard::PurgeLate);
        (may || !looked).then_some(Msg::Order {
            to: purge.host,
            kind: JobKind::Purge,
            epoch: purge.epoch,
            number: 0,
            token: self.restored,
            mark: portal.mark,
        })
    }

    pub fn prove(&mut self, host: H) {
        let here = &self.hosts[usize::from(host)];
        self.portal.proof = Some(SmallProof {
            host,
            epoch: here.ledger.granted,
            running: here.running,
            old: false,
        });
    }

    /// `agents::finish`.
    pub fn finish(&mut self, guards: Guards, said: Msg) -> Option<()> {
        let Msg::Said {
            from,
            kind,
            epoch,
            number,
            token,
            what,
        } = said
        else {
            return None;
        };
        if self.portal.closed_to(from) {
            return None;
        }
        if kind == JobKind::Purge {
            let purge = Purge { host: from, epoch };
            let before = self.portal.purges.len();
            self.portal.purges.retain(|it| *it != purge);
            return (self.portal.purges.len() < before).then_some(());
        }
        let job = self.portal.job?;
        let same = (job.host, job.kind, job.epoch) == (from, kind, epoch)
            && (number == 0 || number == job.number)
            && job.leased == Some(token)
            && !job.failed;
        let like = (job.host, job.kind) == (from, kind) && !job.failed;
        if !(same || like && !guards.has(Guard::Token)) {
            return None;
        }
        if what == Said::Owns && guards.has(Guard::OwnsIsNoFailure) {
            // Rule 15: portal and host remember different things.
            let word = self.hosts[usize::from(from)].word().word(from);
            if contradiction(self.portal.row.row(), &word, false).is_some() {
                self.portal.job = None;
                self.hold(from);
                return Some(());
            }
        } else if self.portal.held {
            return None;
        }
        let step = self
            .portal
            .mv
            .and_then(|mv| mv.step)
            .filter(|_| job.number > 0);
        let Some(step) = step else {
            return self.end_own(what, job);
        };
        self.end_step(guards, step, what, job)
    }

    fn end_own(&mut self, what: Said, job: Job) -> Option<()> {
        match what {
            Said::StartFailed => self.own_again(job),
            Said::Failed | Said::Owns => self.portal.job.as_mut()?.failed = true,
            Said::Done | Said::Copied { .. } => self.portal.job = None,
        }
        Some(())
    }

    fn own_again(&mut self, job: Job) {
        let from = (id(job.host), job.epoch.into());
        self.portal.job = None;
        if let Some(row) = handover::own_again(self.portal.row.row(), from) {
            self.set_row(row);
            self.start_own();
        }
    }

    pub fn start_own(&mut self) {
        self.portal.job = Some(Job {
            host: self.portal.row.host,
            kind: JobKind::Start,
            epoch: self.portal.row.epoch,
            number: 0,
            leased: None,
            failed: false,
        });
    }

    fn end_step(&mut self, guards: Guards, step: Step, what: Said, job: Job) -> Option<()> {
        let event = match what {
            Said::Owns if step == Step::SealDestination => Event::HeldAtDestination,
            Said::Done => Event::Succeeded(step),
            Said::Copied { source, copy } => {
                self.portal.mv.as_mut()?.digests = [source, copy];
                if source == copy || !guards.has(Guard::Digests) {
                    Event::Succeeded(step)
                } else {
                    Event::Failed(step)
                }
            }
            Said::Failed | Said::Owns => Event::Failed(step),
            Said::StartFailed if step == Step::Restore => {
                let closed = self.portal.held || self.portal.recovery;
                if closed || !self.apply(guards, Event::Succeeded(step)) {
                    return None;
                }
                self.own_again(job);
                return Some(());
            }
            Said::StartFailed => Event::StartFailedSealed,
        };
        if !self.apply(guards, event) {
            return None;
        }
        if self.portal.mv.is_some_and(|mv| mv.step == Some(step)) {
            // It waits for staff.
            self.portal.job.as_mut()?.failed = true;
        }
        Some(())
    }

    /// Staff believe the hosts, or the portal does what is unambiguous by itself.
    pub fn believe(&mut self, guards: Guards) -> Option<()> {
        if !self.portal.held || self.portal.recovery {
            return None;
        }
        let mut words: Vec<Word> = Vec::new();
        for at in 0..N {
            let host = u8::try_from(at).unwrap();
            match self.portal.words[at] {
                _ if self.portal.shut[at] => {}
                Some(word) => words.push(word.word(host)),
                None => return None,
            }
        }
        let row = self.portal.row.row();
        let believed = match believe(&words) {
            Ok(believed) => believed,
            Err(_) if !guards.has(Guard::OneClaimant) => {
                let any = words.iter().filter(|word| word.claims());
                let word = any.min_by_key(|word| (word.granted, word.host))?;
                Believed {
                    host: word.host,
                    epoch: word.granted,
                    holds: true,
                }
            }
            Err(_) => return None,
        };
        let elsewhere = believed.host != row.host || !believed.holds;
        if guards.has(Guard::YetAccept) && elsewhere && handover::may_yet_accept(row, &words) {
            return None;
        }
        let (row, grant) = if guards.has(Guard::NoEpochTwice) {
            handover::settle(row, believed)
        } else {
            let epoch = believed.epoch + i64::from(!believed.holds);
            let host = believed.host;
            let fetched = believed.holds;
            let row = xenbeta::domain::ownership::Row {
                host,
                epoch,
                fetched,
            };
            (row, !believed.holds)
        };
        self.set_row(row);
        self.portal.held = false;
        self.portal.words = [None; N];
        self.portal.contrary = [false; N];
        if let Some(mv) = self.portal.mv {
            let event = match of(believed.host) {
                host if host == mv.destination => Event::FoundAtDestination,
                host if host == mv.source => Event::FoundAtSource,
                _ => Event::FoundElsewhere,
            };
            self.apply(guards, event);
        }
        if grant {
            self.start_own();
        }
        Some(())
    }

    pub fn blame(&mut self, bad: Bad) {
        if self.bad.is_none() {
            self.bad = Some(bad);
        }
    }
}
