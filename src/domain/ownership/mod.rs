//! What hosts say of a Linode against what the portal's row says, and what follows: rules 15 to 18 of the protocol
//! (docs/ARCHITECTURE.md, "When the portal or a host remembers wrongly"). Pure, so that the model tries all of it.
//!
//! Hosts' ledgers are the truth about the past; the portal alone decides the future.

pub mod handover;
pub mod joint;

use super::ids::HostId;

/// What one host says of one Linode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word {
    pub host: HostId,
    /// The newest epoch it accepted, and the newest it sealed; 0 is none.
    pub granted: i64,
    pub sealed: i64,
    /// The epoch that names the disks it has; `None` also from agents that do not say.
    pub generation: Option<i64>,
    /// `None`: the host could not find out.
    pub running: Option<bool>,
}

impl Word {
    /// Does it hold itself for the owner?
    pub fn claims(&self) -> bool {
        self.granted > self.sealed
    }
}

/// The portal's row of a Linode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    pub host: HostId,
    pub epoch: i64,
    /// The owner was told of the epoch, or could have been.
    pub fetched: bool,
}

/// How a host's word contradicts the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contradiction {
    /// It was granted an epoch that the portal does not know it ever gave: the portal went back. Marks only grow, so no
    /// old message can say this wrongly.
    Ahead { granted: i64 },
    /// It runs the Linode and holds itself for no owner: no message of any moment says so while the ledger is the one that
    /// belongs to the guest.
    Strayed,
    /// It is the owner, had said that it sealed the row's epoch, and says now that it holds it.
    Unsealed,
    /// It holds the row's epoch, and the portal does not know that it told it so. That is put right at once.
    Told,
    /// It runs the Linode, or holds itself for its owner, and the row says another host. A message written before the
    /// Linode was handed over says this too, so only the second of two reports counts.
    Elsewhere { running: bool },
    /// It is the owner, was told so, and does not know it. That is right until the order arrives, so it counts only if no
    /// such order is on its way, and from the second of two reports.
    Behind { granted: i64 },
    /// It is the owner, and has sealed the row's epoch. That is right for a moment in every move, so it counts only if
    /// no move is at work, and from the second of two reports.
    Sealed { sealed: i64 },
}

impl Contradiction {
    /// Does one report prove it?
    pub fn is_proof(self) -> bool {
        match self {
            Self::Ahead { .. } | Self::Strayed | Self::Unsealed | Self::Told => true,
            Self::Elsewhere { .. } | Self::Behind { .. } | Self::Sealed { .. } => false,
        }
    }

    /// Is it as it should be while a move is at work on the Linode?
    pub fn is_of_a_move(self) -> bool {
        matches!(self, Self::Behind { .. } | Self::Sealed { .. })
    }
}

/// Does this word contradict the row? `had_sealed`: the host, its owner, said before this that it sealed the row's epoch.
pub fn contradiction(row: Row, word: &Word, had_sealed: bool) -> Option<Contradiction> {
    if word.granted > row.epoch {
        return Some(Contradiction::Ahead {
            granted: word.granted,
        });
    }
    if word.running == Some(true) && !word.claims() {
        return Some(Contradiction::Strayed);
    }
    if word.host != row.host {
        let running = word.running == Some(true);
        return (running || word.claims()).then_some(Contradiction::Elsewhere { running });
    }
    if !row.fetched && word.granted == row.epoch {
        return Some(Contradiction::Told);
    }
    if had_sealed && word.claims() && word.granted == row.epoch {
        return Some(Contradiction::Unsealed);
    }
    // An owner that was not told yet may have sealed what it had before.
    if !row.fetched {
        return None;
    }
    if word.granted < row.epoch {
        return Some(Contradiction::Behind {
            granted: word.granted,
        });
    }
    (word.sealed >= row.epoch).then_some(Contradiction::Sealed {
        sealed: word.sealed,
    })
}

/// Who owns the Linode, by the hosts' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Believed {
    pub host: HostId,
    pub epoch: i64,
    /// The host holds it under that epoch already; else it has the newest sealed disks, and must be granted it anew.
    pub holds: bool,
}

/// Why the hosts' words do not say who owns the Linode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Doubt {
    #[error("no host has said anything of it yet")]
    Nothing,
    #[error("hosts {0} and {1} both hold themselves for its owner")]
    Two(HostId, HostId),
    #[error("it runs on host {0}, which does not hold itself for its owner")]
    Strayed(HostId),
    #[error("no host has its disks")]
    NoDisks,
    #[error("host {0} cannot say whether it runs there")]
    Unknown(HostId),
}

/// The owner by what hosts say: the one with the highest epoch that is granted and not sealed; if all have sealed it, the
/// one with the disks of the highest epoch. Anything else is for people.
pub fn believe(words: &[Word]) -> Result<Believed, Doubt> {
    if words.is_empty() {
        return Err(Doubt::Nothing);
    }
    if let Some(stray) = words
        .iter()
        .find(|word| word.running == Some(true) && !word.claims())
    {
        return Err(Doubt::Strayed(stray.host));
    }
    let mut claims = words.iter().filter(|word| word.claims());
    match (claims.next(), claims.next()) {
        (Some(one), Some(two)) => Err(Doubt::Two(one.host, two.host)),
        (Some(owner), None) => {
            // Who is sure that it does not run elsewhere?
            if let Some(silent) = words
                .iter()
                .find(|word| word.host != owner.host && word.running.is_none())
            {
                return Err(Doubt::Unknown(silent.host));
            }
            Ok(Believed {
                host: owner.host,
                epoch: owner.granted,
                holds: true,
            })
        }
        (None, _) => {
            let newest = words
                .iter()
                .filter_map(|word| Some((word.generation?, word.host)))
                .max_by_key(|(generation, _)| *generation);
            let (_, host) = newest.ok_or(Doubt::NoDisks)?;
            let epoch = words.iter().map(|word| word.granted.max(word.sealed)).max();
            Ok(Believed {
                host,
                epoch: epoch.unwrap_or(0),
                holds: false,
            })
        }
    }
}

/// One life of the portal's memory: from `began` on, the revisions are its own. A new one begins whenever the memory may
/// have gone back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    pub id: String,
    pub began: i64,
}

/// Did the portal that told an agent (`incarnation`, `revision`) know more than this one does? `lives`: all of this
/// portal's incarnations, oldest first; `revision`: its newest.
pub fn went_back(lives: &[Incarnation], revision: i64, (seen_in, seen): (&str, i64)) -> bool {
    // A life that began above it began because of it, or after it: every host is asked in it anyway. Else an agent whose
    // answers are lost would begin a life with every poll.
    if lives.last().is_some_and(|life| life.began > seen) {
        return false;
    }
    let Some(at) = lives.iter().position(|life| life.id == seen_in) else {
        return true;
    };
    let last = lives
        .get(at + 1)
        .map_or(revision, |next| next.began.saturating_sub(1));
    seen > last
}

/// What a ledger is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LedgerId {
    /// 128 random bits, made with the ledger.
    pub id: String,
    /// Counts its records; never goes down.
    pub serial: i64,
    /// The machine it is on.
    pub machine: String,
    /// Which folder on it, since its boot: changes with a reboot, and with a copy.
    pub place: String,
}

/// What to make of the ledger that a host's agent shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LedgerVerdict {
    /// It is the one that was pinned, as it was or further on.
    Known,
    /// The host has shown none before: this one is pinned.
    First,
    /// The right one, from another place: its machine was booted anew, or the folder was copied. It gets work once the
    /// former place has been silent for a while.
    Moved,
    /// The agent shows none any more, or another.
    Other,
    /// Records are missing that the portal has heard of.
    WentBack,
    /// The same ledger on another machine.
    Elsewhere,
}

pub fn judge_ledger(pinned: Option<&LedgerId>, shown: Option<&LedgerId>) -> LedgerVerdict {
    match (pinned, shown) {
        (None, None) => LedgerVerdict::Known,
        (None, Some(_)) => LedgerVerdict::First,
        (Some(_), None) => LedgerVerdict::Other,
        (Some(pinned), Some(shown)) if pinned.id != shown.id => LedgerVerdict::Other,
        (Some(pinned), Some(shown)) if shown.serial < pinned.serial => LedgerVerdict::WentBack,
        (Some(pinned), Some(shown)) if pinned.machine != shown.machine => LedgerVerdict::Elsewhere,
        (Some(pinned), Some(shown)) if pinned.place != shown.place => LedgerVerdict::Moved,
        (Some(_), Some(_)) => LedgerVerdict::Known,
    }
}

/// How old a proof may be when disks are deleted on its strength, in seconds.
pub const PROOF_S: i64 = 600;

/// An owner's word that the Linode's disks are there, whole and readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Proof {
    pub host: HostId,
    pub epoch: i64,
    pub running: bool,
    /// How old it is, by the portal's clock and by the time that it has watched itself; the older of the two counts.
    pub age_s: i64,
}

/// Why old disks stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeepDisks {
    #[error("its owner has not shown that the disks are whole there")]
    NoProof,
    #[error("what its owner showed is too old")]
    Old,
    #[error("it has moved on since its owner showed its disks")]
    Moved,
    #[error("it should run, and does not")]
    NotWell,
    #[error("its owner lives on these very disks")]
    InUse,
}

/// May the sealed disks of `epoch` on `host` be deleted? Only on the strength of a fresh proof by the present owner that
/// it has them all itself, and the Linode runs there, or is off as it should be.
pub fn may_purge(
    row: Row,
    proof: Option<Proof>,
    should_run: bool,
    (host, epoch): (HostId, i64),
) -> Result<(), KeepDisks> {
    if row.host == host && row.epoch <= epoch {
        return Err(KeepDisks::InUse);
    }
    let proof = proof.ok_or(KeepDisks::NoProof)?;
    if (proof.host, proof.epoch) != (row.host, row.epoch) || !row.fetched {
        return Err(KeepDisks::Moved);
    }
    if !(0..=PROOF_S).contains(&proof.age_s) {
        return Err(KeepDisks::Old);
    }
    if should_run && !proof.running {
        return Err(KeepDisks::NotWell);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostId = HostId(1);
    const B: HostId = HostId(2);

    fn word(host: HostId, granted: i64, sealed: i64, running: bool) -> Word {
        Word {
            host,
            granted,
            sealed,
            generation: Some(granted),
            running: Some(running),
        }
    }

    const ROW: Row = Row {
        host: A,
        epoch: 1,
        fetched: true,
    };

    #[test]
    fn words_of_every_moment_of_a_move_are_no_contradiction() {
        for (row, word, moving) in [
            (ROW, word(A, 1, 0, true), false),
            (ROW, word(A, 1, 0, false), true),
            (ROW, word(A, 1, 1, false), true),
            (ROW, word(B, 0, 0, false), true),
            // Committed: the source has sealed, the destination was not told yet.
            (
                Row {
                    host: B,
                    epoch: 2,
                    fetched: false,
                },
                word(A, 1, 1, false),
                true,
            ),
            (
                Row {
                    host: B,
                    epoch: 2,
                    fetched: false,
                },
                word(B, 0, 0, false),
                true,
            ),
            (
                Row {
                    host: B,
                    epoch: 2,
                    fetched: true,
                },
                word(B, 2, 0, true),
                false,
            ),
            // Granted to the source again, which has not heard of it.
            (
                Row {
                    host: A,
                    epoch: 2,
                    fetched: false,
                },
                word(A, 1, 1, false),
                false,
            ),
        ] {
            let found = contradiction(row, &word, false);
            let held = found.filter(|found| !(moving && found.is_of_a_move()));
            assert_eq!(held, None, "{row:?} {word:?}");
        }
    }

    #[test]
    fn a_portal_that_went_back_is_contradicted_at_once() {
        let it = contradiction(ROW, &word(B, 2, 0, true), false).unwrap();
        assert_eq!(it, Contradiction::Ahead { granted: 2 });
        assert!(it.is_proof() && !it.is_of_a_move());
        let it = contradiction(ROW, &word(A, 1, 1, false), false).unwrap();
        assert_eq!(it, Contradiction::Sealed { sealed: 1 });
        let on = Row {
            host: B,
            epoch: 3,
            fetched: true,
        };
        let it = contradiction(on, &word(A, 1, 0, true), false).unwrap();
        assert!(!it.is_proof(), "a late message may say so");
        // Portal and ledger were both put back to the moment after the seal, and the guest was started since.
        for (row, had_sealed) in [(ROW, true), (on, false)] {
            let it = contradiction(row, &word(A, 1, 1, true), had_sealed).unwrap();
            assert_eq!(it, Contradiction::Strayed);
            assert!(it.is_proof());
        }
    }

    #[test]
    fn an_owner_that_sealed_and_holds_it_again_went_back() {
        let again = word(A, 1, 0, true);
        assert_eq!(
            contradiction(ROW, &again, false),
            None,
            "it is about to be stopped"
        );
        let it = contradiction(ROW, &again, true).unwrap();
        assert_eq!(it, Contradiction::Unsealed);
        assert!(it.is_proof());
        let still = contradiction(ROW, &word(A, 1, 1, false), true).unwrap();
        assert_eq!(still, Contradiction::Sealed { sealed: 1 });
        assert!(still.is_of_a_move());
    }

    #[test]
    fn the_one_who_holds_it_is_believed() {
        let words = [word(A, 1, 1, false), word(B, 2, 0, true)];
        assert_eq!(
            believe(&words),
            Ok(Believed {
                host: B,
                epoch: 2,
                holds: true
            })
        );
        let sealed = [word(A, 1, 1, false), word(B, 2, 2, false)];
        assert_eq!(
            believe(&sealed),
            Ok(Believed {
                host: B,
                epoch: 2,
                holds: false
            })
        );
        assert_eq!(
            believe(&[word(A, 1, 0, true), word(B, 2, 0, true)]),
            Err(Doubt::Two(A, B))
        );
        assert_eq!(
            believe(&[word(A, 1, 1, true), word(B, 2, 0, true)]),
            Err(Doubt::Strayed(A))
        );
        assert_eq!(believe(&[]), Err(Doubt::Nothing));
        let unsure = Word {
            running: None,
            ..word(A, 1, 1, false)
        };
        assert_eq!(
            believe(&[unsure, word(B, 2, 0, true)]),
            Err(Doubt::Unknown(A))
        );
        let nowhere = Word {
            generation: None,
            ..word(A, 1, 1, false)
        };
        assert_eq!(believe(&[nowhere]), Err(Doubt::NoDisks));
    }

    #[test]
    fn a_fork_of_the_memory_is_found_though_its_numbers_overlap() {
        let life = |id: &str, began| Incarnation {
            id: id.to_owned(),
            began,
        };
        let lives = [life("w", 1), life("y", 41)];
        assert!(!went_back(&lives, 50, ("w", 40)));
        assert!(
            went_back(&lives, 50, ("w", 41)),
            "what came after the backup"
        );
        assert!(!went_back(&lives, 50, ("y", 50)));
        assert!(went_back(&lives, 50, ("y", 51)));
        assert!(
            went_back(&lives, 500, ("x", 45)),
            "a life this portal never had"
        );
    }

    #[test]
    fn ledgers_are_told_apart() {
        let pinned = LedgerId {
            id: "a".into(),
            serial: 5,
            machine: "m".into(),
            place: "p".into(),
        };
        let is = |shown: &LedgerId| judge_ledger(Some(&pinned), Some(shown));
        assert_eq!(is(&pinned), LedgerVerdict::Known);
        assert_eq!(
            is(&LedgerId {
                serial: 6,
                ..pinned.clone()
            }),
            LedgerVerdict::Known
        );
        assert_eq!(
            is(&LedgerId {
                serial: 4,
                ..pinned.clone()
            }),
            LedgerVerdict::WentBack
        );
        assert_eq!(
            is(&LedgerId {
                id: "b".into(),
                ..pinned.clone()
            }),
            LedgerVerdict::Other
        );
        assert_eq!(
            is(&LedgerId {
                machine: "n".into(),
                ..pinned.clone()
            }),
            LedgerVerdict::Elsewhere
        );
        assert_eq!(
            is(&LedgerId {
                place: "q".into(),
                ..pinned.clone()
            }),
            LedgerVerdict::Moved
        );
        assert_eq!(judge_ledger(None, Some(&pinned)), LedgerVerdict::First);
        assert_eq!(judge_ledger(Some(&pinned), None), LedgerVerdict::Other);
        assert_eq!(judge_ledger(None, None), LedgerVerdict::Known);
    }

    #[test]
    fn disks_go_only_on_fresh_proof_by_the_present_owner() {
        let row = Row {
            host: B,
            epoch: 2,
            fetched: true,
        };
        let proof = Proof {
            host: B,
            epoch: 2,
            running: true,
            age_s: 0,
        };
        let old = (A, 1);
        assert_eq!(may_purge(row, Some(proof), true, old), Ok(()));
        assert_eq!(may_purge(row, None, true, old), Err(KeepDisks::NoProof));
        for (proof, why) in [
            (
                Proof {
                    age_s: 601,
                    ..proof
                },
                KeepDisks::Old,
            ),
            (Proof { age_s: -1, ..proof }, KeepDisks::Old),
            (Proof { epoch: 1, ..proof }, KeepDisks::Moved),
            (Proof { host: A, ..proof }, KeepDisks::Moved),
            (
                Proof {
                    running: false,
                    ..proof
                },
                KeepDisks::NotWell,
            ),
        ] {
            assert_eq!(may_purge(row, Some(proof), true, old), Err(why));
        }
        let off = Proof {
            running: false,
            ..proof
        };
        assert_eq!(may_purge(row, Some(off), false, old), Ok(()));
        assert_eq!(
            may_purge(row, Some(proof), true, (B, 2)),
            Err(KeepDisks::InUse)
        );
        assert_eq!(
            may_purge(row, Some(proof), true, (B, 1)),
            Ok(()),
            "of an earlier stay"
        );
    }
}
