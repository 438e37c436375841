//! The guards that can be taken away, one by one, to see that each is needed.

macro_rules! guards {
    ($($(#[$meta:meta])* $name:ident = $says:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Guard { $($(#[$meta])* $name),+ }

        impl Guard {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            pub fn says(self) -> &'static str {
                match self { $(Self::$name => $says),+ }
            }
        }
    };
}

guards! {
    NoTimeout = "a time-out moves no ownership",
    StopFirst = "stopped before sealed",
    SealCheck = "nothing starts under a sealed epoch",
    NewEpoch = "only an epoch above both marks is accepted",
    Unfetched = "nothing is taken back once it was fetched",
    PurgeLate = "nothing is purged before the end",
    PurgeEpoch = "purged only if sealed >= epoch >= granted",
    PurgeProof = "a purge needs a proof",
    ProofFresh = "a proof is fresh",
    CopySealed = "the final copy is of sealed disks",
    CopyNotOwner = "the final copy never goes over owned disks",
    Digests = "no commit without equal digests",
    Reread = "only a whole copy is accepted",
    StayedUp = "what stayed up once is not given up by a repeated start",
    OwnDisks = "boots only the disks of its epoch",
    Token = "a job is ended under its own lease",
    MarkChecked = "agents look at the portal's mark",
    MarkKept = "agents keep the portal's mark across crashes",
    LifeKept = "agents keep a new life of the portal at once",
    RecoveryAtStart = "a start on other memory begins a recovery",
    RecoveryWaits = "recovery waits for every host",
    ReportOfThisLife = "only a report of this life counts",
    HeardIsTold = "an owner that has the epoch counts as told",
    HoldAhead = "a host that is ahead holds the Linode",
    OwnsIsNoFailure = "'already mine' is no failure",
    OtherLedger = "another ledger is not believed",
    LedgerWentBack = "a ledger that went back is not believed",
    OtherMachine = "a ledger on another machine is not believed",
    OwnStartWaits = "own starts wait for the recovery's end, too",
    PowerOff = "a takeover needs the power off",
    OneClaimant = "two claimants are not believed",
    YetAccept = "nobody is believed while the owner may yet accept",
    NoEpochTwice = "a believed row's epoch never goes down",
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

    /// Agents of the last release know nothing of the portal's mark.
    pub fn of_old_agents(self) -> Self {
        Self {
            gone: self.gone | 1 << Guard::MarkChecked as u64,
        }
    }

    pub fn has(self, guard: Guard) -> bool {
        self.gone & (1 << guard as u64) == 0
    }
}
