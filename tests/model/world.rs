//! What the world of the model is made of: the portal's memory, a backup of it, hosts with ledgers and disks, messages.
//! Everything is small and ordered, so that equal worlds are equal values.

use std::fmt;

use xenbeta::agent::ledger::rules::Marks;
use xenbeta::domain::ids::HostId;
use xenbeta::domain::job::JobKind;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::migration::Step;
use xenbeta::domain::ownership::{Row, Word};

use super::guards::{Guard, Guards};

pub const N: usize = 2;

/// A host, by its place in the world.
pub type H = u8;

pub fn id(host: H) -> HostId {
    HostId(i64::from(host) + 1)
}

pub fn of(id: HostId) -> H {
    u8::try_from(id.0 - 1).unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortalMark {
    pub life: u8,
    pub revision: u8,
}

pub const LIVES: [&str; 12] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b"];

impl PortalMark {
    pub fn shown(self) -> (&'static str, i64) {
        (LIVES[usize::from(self.life)], self.revision.into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SmallRow {
    pub host: H,
    pub epoch: u8,
    pub fetched: bool,
}

impl SmallRow {
    pub fn row(self) -> Row {
        Row {
            host: id(self.host),
            epoch: self.epoch.into(),
            fetched: self.fetched,
        }
    }

    pub fn from(row: Row) -> Self {
        Self {
            host: of(row.host),
            epoch: u8::try_from(row.epoch).unwrap(),
            fetched: row.fetched,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SmallWord {
    pub granted: u8,
    pub sealed: u8,
    pub generation: u8,
    pub running: bool,
}

impl SmallWord {
    pub fn word(self, host: H) -> Word {
        Word {
            host: id(host),
            granted: self.granted.into(),
            sealed: self.sealed.into(),
            generation: (self.generation > 0).then_some(self.generation.into()),
            running: Some(self.running),
        }
    }
}

/// A migration's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Move {
    pub number: u8,
    pub back: bool,
    pub source: H,
    pub destination: H,
    pub state: MigrationState,
    pub step: Option<Step>,
    pub epoch: u8,
    /// What both sides said of the disks; 0: nothing yet.
    pub digests: [u8; 2],
}

/// The job of the present step, or an own one of the Linode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    pub host: H,
    pub kind: JobKind,
    pub epoch: u8,
    pub number: u8,
    /// The lease: tokens are random, so those from before and after a restore differ.
    pub leased: Option<u8>,
    /// The step failed for good and waits for staff.
    pub failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Purge {
    pub host: H,
    pub epoch: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SmallProof {
    pub host: H,
    pub epoch: u8,
    pub running: bool,
    pub old: bool,
}

/// All that the portal remembers, and forgets when a backup is put back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Memory {
    pub row: SmallRow,
    pub mv: Option<Move>,
    /// The move whose way back is at work.
    pub parent: Option<Move>,
    pub job: Option<Job>,
    pub purges: Vec<Purge>,
    pub proof: Option<SmallProof>,
    pub held: bool,
    pub words: [Option<SmallWord>; N],
    pub contrary: [bool; N],
    pub recovery: bool,
    pub reported: [bool; N],
    /// Credential revoked: quarantined, or taken over.
    pub shut: [bool; N],
    /// Its ledger is not believed: no work, no words, and a recovery waits for it.
    pub faulty: [bool; N],
    pub mark: PortalMark,
    pub lives: Vec<PortalMark>,
    /// The pinned ledgers.
    pub pinned: [Pin; N],
    pub moves: u8,
}

/// What a ledger is known by: its identity, its counter, its machine.
pub type Pin = (u8, u8, u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Report {
    pub word: SmallWord,
    pub seen: Option<PortalMark>,
    pub ledger: Pin,
}

/// What a host keeps on disk and survives everything but its loss.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct Ledger {
    pub id: u8,
    pub granted: u8,
    pub sealed: u8,
    /// 0: none.
    pub generation: u8,
    pub gave_up: u8,
    /// The epoch under which the guest stayed up.
    pub stayed: u8,
    /// The move that brought it under the epoch granted last.
    pub brought_by: u8,
    pub seen: Option<PortalMark>,
}

impl Ledger {
    pub fn marks(&self) -> Marks {
        Marks {
            granted: self.granted.into(),
            sealed: self.sealed.into(),
        }
    }

    pub fn set(&mut self, marks: Marks) {
        self.granted = u8::try_from(marks.granted).unwrap();
        self.sealed = u8::try_from(marks.sealed).unwrap();
    }
}

/// A copy under way or published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Copy {
    pub number: u8,
    pub epoch: u8,
    pub data: u8,
    pub whole: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    pub ledger: Ledger,
    /// Generations of disks, by name, with the version of the data on each.
    pub disks: Vec<(u8, u8)>,
    pub copy: Option<Copy>,
    /// What was lost with its machine, within the time that a proof is good for.
    pub gone: Vec<(u8, u8)>,
    pub running: bool,
    /// A clone of its copy runs here, or is left of a trial that was cut off.
    pub trial: bool,
    /// An order for one was given to its agent, and may be carried out whenever.
    pub to_try: bool,
    /// Volatile: what its agent saw of the portal.
    pub seen: Option<PortalMark>,
    pub report: Option<Report>,
    /// The machine that this one was put in the place of runs the guest still, and nobody hears of it.
    pub twin: bool,
    /// An earlier state of the ledger, that may be put back.
    pub kept: Option<Ledger>,
    pub went_back: bool,
    /// Its agent runs anew, and has not asked yet about the jobs of its earlier run.
    pub asks: bool,
    pub machine: u8,
    pub dead: bool,
    /// For longer than a proof is good for.
    pub long_dead: bool,
}

impl Host {
    pub fn word(&self) -> SmallWord {
        SmallWord {
            granted: self.ledger.granted,
            sealed: self.ledger.sealed,
            generation: self.ledger.generation,
            running: self.running,
        }
    }

    pub fn data_of(&self, generation: u8) -> Option<u8> {
        let found = self.disks.iter().find(|(name, _)| *name == generation);
        found.map(|(_, data)| *data)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Said {
    Done,
    Copied {
        source: u8,
        copy: u8,
    },
    Failed,
    /// "I already own this."
    Owns,
    StartFailed,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Msg {
    Order {
        to: H,
        kind: JobKind,
        epoch: u8,
        number: u8,
        token: u8,
        mark: PortalMark,
    },
    Said {
        from: H,
        kind: JobKind,
        epoch: u8,
        number: u8,
        token: u8,
        what: Said,
    },
}

impl fmt::Debug for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order {
                to,
                kind,
                epoch,
                number,
                mark,
                ..
            } => write!(
                f,
                "host {to}: {kind} under {epoch} of move {number}, from life {} revision {}",
                mark.life, mark.revision
            ),
            Self::Said {
                from,
                kind,
                epoch,
                what,
                token,
                ..
            } => write!(
                f,
                "host {from}, of {kind} under {epoch}, lease {token}: {what:?}"
            ),
        }
    }
}

/// How much more may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    pub moves: u8,
    pub boots: u8,
    pub restores: u8,
    pub crashes: u8,
    pub reboots: u8,
    pub deaths: u8,
    pub failures: u8,
    pub flips: u8,
    pub ledgers: u8,
    pub twins: u8,
    pub trials: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bad {
    TwoRunners,
    Unowned,
    Unverified,
    OldData,
    LastCopy,
    EpochTwice,
    Overwritten,
    TrialBeside,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub portal: Memory,
    pub backup: Option<Box<Memory>>,
    pub hosts: [Host; N],
    pub net: Vec<Msg>,
    /// The newest version of the data, on whatever host.
    pub newest: u8,
    /// How often the portal's memory was put back; and lives of it that ever began.
    pub restored: u8,
    pub lives: u8,
    pub ids: u8,
    /// To whom each epoch was ever granted (host + 1).
    pub granted_to: [H; 10],
    pub left: Budget,
    /// Agents of the last release show no ledger.
    pub old_agents: bool,
    pub bad: Option<Bad>,
}

impl Host {
    /// What was only in memory is gone.
    pub fn crash(&mut self, guards: Guards) {
        self.seen = self.ledger.seen;
        self.report = None;
        // Its agent drops that, and destroys what there is of a clone; that this is done soon, nothing here relies on.
        self.to_try = false;
        self.asks = guards.has(Guard::AskedAgain);
    }
}

impl World {
    /// Another machine, or another folder: what the former took is not carried out by it. Whoever loses disks so loses them
    /// at once, as with a host that dies while a purge is on its way.
    pub fn forget_orders(&mut self, host: H) {
        self.net.retain(|msg| {
            !matches!(msg, Msg::Order { to, .. } if *to == host)
                && !matches!(
                    msg,
                    Msg::Order {
                        kind: JobKind::Purge,
                        ..
                    }
                )
        });
    }

    /// Takes out what can have no effect any more, so that worlds which differ in nothing else are one.
    pub fn tidy(&mut self, guards: Guards) {
        let Self {
            net, hosts, portal, ..
        } = self;
        if self.left.restores == 0 && self.backup.is_none() && guards.has(Guard::Token) {
            net.retain(|msg| match msg {
                Msg::Order { .. } => true,
                Msg::Said {
                    from,
                    kind: JobKind::Purge,
                    epoch,
                    ..
                } => portal.purges.contains(&Purge {
                    host: *from,
                    epoch: *epoch,
                }),
                Msg::Said {
                    from,
                    kind,
                    epoch,
                    token,
                    ..
                } => portal.job.is_some_and(|job| {
                    (job.host, job.kind, job.epoch, job.leased)
                        == (*from, *kind, *epoch, Some(*token))
                }),
            });
        }
        let ledgers = self.left.ledgers + self.left.twins;
        let keeps = guards.has(Guard::MarkChecked) && ledgers == 0;
        net.retain(|msg| {
            let Msg::Order {
                to,
                kind,
                epoch,
                mark,
                ..
            } = msg
            else {
                return true;
            };
            let host = &hosts[usize::from(*to)];
            let over = keeps
                && *kind == JobKind::Start
                && host.ledger.granted < *epoch
                && host.ledger.seen.is_some_and(|seen| seen.life != mark.life);
            !(host.dead || over)
        });
        for host in hosts {
            if host.long_dead {
                host.disks.clear();
                host.copy = None;
                host.seen = None;
                host.ledger.seen = None;
            }
        }
    }
}
