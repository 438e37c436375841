//! The guards that can be taken away, one by one, to see that each is needed.

macro_rules! guards {
    ($($name:ident, $world:literal = $says:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Guard { $($name),+ }

        impl Guard {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The world in which it is missed; empty: others do its work, too.
            pub fn world(self) -> &'static str {
                match self { $(Self::$name => $world),+ }
            }

            pub fn says(self) -> &'static str {
                match self { $(Self::$name => $says),+ }
            }
        }
    };
}

guards! {
    NoTimeout, "calm" = "a time-out moves no ownership",
    StopFirst, "calm" = "stopped before sealed",
    Unfetched, "calm" = "nothing is taken back once it was fetched",
    CopySealed, "calm" = "the final copy is of sealed disks",
    PowerOff, "calm" = "a takeover needs the power off",
    SealCheck, "failures" = "nothing starts under a sealed epoch",
    PurgeLate, "failures" = "nothing is purged before the end",
    Digests, "failures" = "no commit without equal digests",
    Reread, "failures" = "what was copied is read again",
    HeldStays, "failures" = "a guest that held stays where its move brought it",
    StayedUp, "failures" = "what stayed up once is not given up by a repeated start",
    TrialFirst, "trials" = "what a trial left goes before anything else is done",
    TrialAway, "trials" = "nothing is tried where the Linode lives",
    PurgeProof, "death" = "a purge needs a proof",
    ProofFresh, "death" = "a proof is fresh",
    OtherLedger, "twins" = "another ledger is not believed",
    LedgerWentBack, "twins" = "a ledger that went back is not believed",
    OtherMachine, "twins" = "a ledger on another machine is not believed",
    OneClaimant, "ledger" = "two claimants are not believed",
    YetAccept, "ledger" = "nobody is believed while the owner may yet accept",
    CopyNotOwner, "old agents, death" = "the final copy never goes over owned disks",
    PurgeEpoch, "old agents, moves" = "purged only if sealed >= epoch >= granted",
    OwnDisks, "moves, boot" = "boots only the disks of its epoch",
    Token, "moves, failure" = "a job is ended under its own lease",
    MarkChecked, "restore" = "agents look at the portal's mark",
    RecoveryAtStart, "restore" = "a start on other memory begins a recovery",
    RecoveryWaits, "restore" = "recovery waits for every host",
    ReportOfThisLife, "restore" = "only a report of this life counts",
    HeardIsTold, "restore" = "an owner that has the epoch counts as told",
    HoldAhead, "restore" = "a host that is ahead holds the Linode",
    HoldStrayed, "restore, ledger" = "a guest that runs without the right to holds the Linode",
    FirstReport, "restore, ledger" = "the first report of a life proves what it contradicts",
    AskedAgain, "restore, ledger" = "a job of an earlier run is asked about first",
    LifeKept, "restore, crash, unasked" = "agents keep a new life of the portal at once",
    // Nothing is found without these four alone: `may_start` still looks at the seal, every poll says what its host owns
    // before it is given an order, hosts accept no epoch twice, and a portal that went back begins a life, which is kept.
    NewEpoch, "" = "only an epoch above both marks is accepted",
    OwnsIsNoFailure, "" = "'already mine' is no failure",
    MarkKept, "" = "agents keep the portal's mark across crashes",
    NoEpochTwice, "" = "a believed row's epoch never goes down",
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guards {
    gone: u64,
}

impl Guards {
    pub fn without(guard: Guard) -> Self {
        Self {
            gone: 1 << guard as u64,
        }
    }

    pub fn and_without(self, guard: Guard) -> Self {
        Self {
            gone: self.gone | 1 << guard as u64,
        }
    }

    /// Agents of the last release know nothing of the portal's mark, and go on with what they hold.
    pub fn of_old_agents(self) -> Self {
        let unknown = [Guard::MarkChecked, Guard::AskedAgain, Guard::HeldStays];
        Self {
            gone: unknown
                .iter()
                .fold(self.gone, |gone, guard| gone | 1 << *guard as u64),
        }
    }

    pub fn has(self, guard: Guard) -> bool {
        self.gone & (1 << guard as u64) == 0
    }
}
