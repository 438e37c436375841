//! Who may do what, from the two marks alone: the newest epoch this host was granted and the newest it sealed.
//! Pure, so that every combination can be tried; the steps ask here and never decide for themselves.

use serde::{Deserialize, Serialize};

/// What this host durably knows of its rights to a Linode; 0 is "none yet". Neither ever goes down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    pub granted: i64,
    pub sealed: i64,
}

impl Marks {
    /// Does this host own the Linode, as far as it knows?
    pub fn owns(self) -> bool {
        self.granted > self.sealed
    }

    /// The marks after this host accepted `epoch`.
    #[must_use]
    pub fn grant(self, epoch: i64) -> Self {
        Self {
            granted: self.granted.max(epoch),
            ..self
        }
    }

    /// The marks after this host sealed `epoch`.
    #[must_use]
    pub fn seal(self, epoch: i64) -> Self {
        Self {
            sealed: self.sealed.max(epoch),
            ..self
        }
    }
}

/// Why an order is not carried out. None of these is an error of the host: the order is from another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "epoch {epoch} is stale here: granted {}, sealed {}",
        marks.granted,
        marks.sealed
    )]
    Stale { epoch: i64, marks: Marks },
    #[error("epoch {epoch} is sealed here: it may not run again")]
    Sealed { epoch: i64 },
    #[error("epoch {epoch} is not sealed here: granted {}, sealed {}", marks.granted, marks.sealed)]
    NotSealed { epoch: i64, marks: Marks },
    #[error("epoch {epoch} was already granted here (granted {granted}): its disks stay")]
    Granted { epoch: i64, granted: i64 },
    #[error("the Linode is running here")]
    Running,
    #[error("the disks are not whole here")]
    NotWhole,
    #[error(
        "the disks in use here are not those of epoch {granted}, which this host was granted last"
    )]
    OtherDisks { granted: i64 },
    #[error("the Linode's lock is not held")]
    NotLocked,
    #[error("{0} is not an epoch")]
    NoEpoch(i64),
    #[error(
        "the guest came up here under epoch {epoch} and has written: the migration that brought it does not seal it"
    )]
    Held { epoch: i64 },
}

/// An order to accept ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Newer than anything known: persist it before acting.
    New,
    /// The same order again; nothing happened in between that would forbid it.
    Repeat,
}

/// An order to seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    Now,
    /// Sealed before; say so again.
    Already,
}

fn real(epoch: i64) -> Result<(), Refusal> {
    if epoch > 0 {
        Ok(())
    } else {
        Err(Refusal::NoEpoch(epoch))
    }
}

/// Only an epoch greater than both marks is accepted; the one accepted last may be repeated while it is unsealed.
pub fn accept_grant(marks: Marks, epoch: i64) -> Result<Accept, Refusal> {
    real(epoch)?;
    if epoch > marks.granted && epoch > marks.sealed {
        Ok(Accept::New)
    } else if epoch == marks.granted && marks.owns() {
        Ok(Accept::Repeat)
    } else if epoch <= marks.sealed && epoch >= marks.granted {
        Err(Refusal::Sealed { epoch })
    } else {
        Err(Refusal::Stale { epoch, marks })
    }
}

/// A Linode that already lives here, after an import. Only for a host that knows nothing of it, or just this epoch.
pub fn adopt(marks: Marks, epoch: i64) -> Result<Accept, Refusal> {
    real(epoch)?;
    if marks == Marks::default() {
        Ok(Accept::New)
    } else if epoch == marks.granted && marks.owns() {
        Ok(Accept::Repeat)
    } else {
        Err(Refusal::Stale { epoch, marks })
    }
}

/// Boot, reboot, shut down, read live disks: for the owner, under just the epoch it was granted.
pub fn act(marks: Marks, epoch: i64) -> Result<(), Refusal> {
    real(epoch)?;
    if epoch != marks.granted {
        Err(Refusal::Stale { epoch, marks })
    } else if !marks.owns() {
        Err(Refusal::Sealed { epoch })
    } else {
        Ok(())
    }
}

/// Reading disks out to the next owner: also after the seal, never under an epoch that is over.
pub fn serve(marks: Marks, epoch: i64) -> Result<(), Refusal> {
    real(epoch)?;
    if epoch == marks.granted && marks.sealed <= epoch {
        Ok(())
    } else {
        Err(Refusal::Stale { epoch, marks })
    }
}

/// A guest may be started: owned under this very epoch, its own whole disks (`generation` names those in use here), and
/// nobody else at work on this Linode.
pub fn may_start(
    marks: Marks,
    epoch: i64,
    generation: Option<i64>,
    whole: bool,
    locked: bool,
) -> Result<(), Refusal> {
    act(marks, epoch)?;
    if generation != Some(marks.granted) {
        return Err(Refusal::OtherDisks {
            granted: marks.granted,
        });
    }
    if !whole {
        return Err(Refusal::NotWhole);
    }
    if !locked {
        return Err(Refusal::NotLocked);
    }
    Ok(())
}

/// An epoch which is over is never sealed again. One that was **not yet accepted** is: it is a promise never to start
/// under it, and a Start for it which arrives later is then refused.
pub fn may_seal(marks: Marks, epoch: i64) -> Result<Seal, Refusal> {
    real(epoch)?;
    if epoch < marks.granted {
        Err(Refusal::Stale { epoch, marks })
    } else if marks.sealed >= epoch {
        Ok(Seal::Already)
    } else {
        Ok(Seal::Now)
    }
}

/// A move is not taken back over the guest it brought: one that held, or that runs, has written, and only its member or
/// staff may discard that. Any later move seals it as usual; and if one has, a portal that asks for this has forgotten it.
/// `back`: the seal is of the migration that brought it.
pub fn may_take_back(marks: Marks, epoch: i64, back: bool, held: bool) -> Result<(), Refusal> {
    if back && held && epoch == marks.granted {
        Err(Refusal::Held { epoch })
    } else {
        Ok(())
    }
}

/// Disks are deleted only where `sealed >= epoch >= granted`, and never under a running guest.
pub fn may_purge(marks: Marks, epoch: i64, running: bool) -> Result<(), Refusal> {
    real(epoch)?;
    if epoch < marks.granted {
        return Err(Refusal::Stale { epoch, marks });
    }
    if marks.sealed < epoch {
        return Err(Refusal::NotSealed { epoch, marks });
    }
    if running {
        return Err(Refusal::Running);
    }
    Ok(())
}

/// Disks of an earlier stay, under an epoch that was sealed and whose place a later generation took here: no order can
/// ever start them again, so they may go without a look at what runs now. They are never the disks in use.
pub fn superseded(marks: Marks, generation: Option<i64>, epoch: i64) -> bool {
    epoch > 0 && marks.sealed >= epoch && generation.is_some_and(|current| epoch < current)
}

/// A clone of a migration's copies may boot only where the Linode does not live and does not run: beside it, never with it.
pub fn may_try(marks: Marks, running: bool) -> Result<(), Refusal> {
    if marks.owns() || running {
        Err(Refusal::Running)
    } else {
        Ok(())
    }
}

/// A migration's copies may go as long as the epoch they would run under was never granted here.
pub fn may_release(marks: Marks, epoch: i64) -> Result<(), Refusal> {
    real(epoch)?;
    if marks.granted >= epoch {
        Err(Refusal::Granted {
            epoch,
            granted: marks.granted,
        })
    } else {
        Ok(())
    }
}

impl Refusal {
    /// The marks of a host that is ahead of the order: it owns the Linode, under the order's epoch or a later one, or did.
    pub fn ahead(self, marks: Marks) -> Option<Marks> {
        if matches!(self, Self::Held { .. }) {
            return Some(marks);
        }
        let (Self::Stale { epoch, .. }
        | Self::NotSealed { epoch, .. }
        | Self::Granted { epoch, .. }) = self
        else {
            return None;
        };
        (marks.owns() && marks.granted >= epoch).then_some(marks)
    }
}

/// May an order that changes ownership be taken from a portal that shows this revision, by an agent that has seen `seen`?
/// A lower one means that the portal's memory went back. `None`: one of the two does not say (an older release).
pub fn follows(seen: Option<(&str, i64)>, shown: Option<(&str, i64)>) -> bool {
    match (seen, shown) {
        (Some((seen_in, seen)), Some((shown_in, shown))) => {
            shown > seen || (shown == seen && shown_in == seen_in)
        }
        // It was upgraded and is now older again: it cannot show how far its memory reaches.
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// The final pass may write a generation only for an epoch that is still to come here: never over disks that run.
pub fn may_publish(marks: Marks, next: i64) -> Result<(), Refusal> {
    real(next)?;
    if next > marks.granted && next > marks.sealed {
        Ok(())
    } else {
        Err(Refusal::Stale { epoch: next, marks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOP: i64 = 5;

    fn every() -> impl Iterator<Item = (Marks, i64)> {
        (0..=TOP).flat_map(|granted| {
            (0..=TOP).flat_map(move |sealed| {
                (-1..=TOP + 1).map(move |epoch| (Marks { granted, sealed }, epoch))
            })
        })
    }

    #[test]
    fn every_combination_obeys_the_protocol() {
        for (marks, epoch) in every() {
            let Marks { granted, sealed } = marks;
            let new = epoch > 0 && epoch > granted && epoch > sealed;
            let current = epoch > 0 && epoch == granted && granted > sealed;
            assert_eq!(accept_grant(marks, epoch) == Ok(Accept::New), new);
            assert_eq!(accept_grant(marks, epoch) == Ok(Accept::Repeat), current);
            assert_eq!(act(marks, epoch).is_ok(), current);
            let its_own = Some(granted);
            let start = |whole, locked| may_start(marks, epoch, its_own, whole, locked);
            assert_eq!(start(true, true).is_ok(), current);
            assert!(start(false, true).is_err());
            assert!(start(true, false).is_err());
            for other in [None, Some(granted - 1), Some(granted + 1)] {
                assert!(may_start(marks, epoch, other, true, true).is_err());
            }
            assert_eq!(
                may_purge(marks, epoch, false).is_ok(),
                epoch > 0 && sealed >= epoch && epoch >= granted
            );
            assert!(may_purge(marks, epoch, true).is_err());
            assert_eq!(
                may_release(marks, epoch).is_ok(),
                epoch > 0 && granted < epoch
            );
            assert_eq!(
                may_seal(marks, epoch).is_ok(),
                epoch > 0 && epoch >= granted
            );
            assert_eq!(may_publish(marks, epoch).is_ok(), new);
            assert_eq!(
                serve(marks, epoch).is_ok(),
                epoch > 0 && epoch == granted && sealed <= epoch
            );
            let blank = granted == 0 && sealed == 0;
            assert_eq!(adopt(marks, epoch).is_ok(), (epoch > 0 && blank) || current);
        }
    }

    #[test]
    fn what_is_sealed_never_starts_and_what_may_start_is_never_purged_or_released() {
        for (marks, epoch) in every() {
            for other in 1..=TOP {
                let sealed = marks.seal(epoch);
                if other <= epoch {
                    assert!(may_start(sealed, other, Some(sealed.granted), true, true).is_err());
                    assert!(accept_grant(sealed, other).is_err());
                }
                if may_start(marks, epoch, Some(epoch), true, true).is_ok() {
                    assert!(may_purge(marks, other, false).is_err());
                    assert!(may_release(marks, epoch).is_err());
                }
            }
        }
    }

    #[test]
    fn only_older_sealed_disks_are_superseded() {
        for (marks, epoch) in every() {
            assert!(!superseded(marks, None, epoch));
            for current in 1..=TOP {
                let old = superseded(marks, Some(current), epoch);
                assert_eq!(old, epoch > 0 && epoch < current && epoch <= marks.sealed);
                assert!(!old || may_start(marks, epoch, Some(epoch), true, true).is_err());
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Say {
        Adopt(i64),
        Grant(i64),
        Seal(i64),
        Purge(i64),
        Boot(i64),
    }

    fn say() -> impl Strategy<Value = Say> {
        let epoch = 1..=TOP;
        prop_oneof![
            epoch.clone().prop_map(Say::Adopt),
            epoch.clone().prop_map(Say::Grant),
            epoch.clone().prop_map(Say::Seal),
            epoch.clone().prop_map(Say::Purge),
            epoch.prop_map(Say::Boot),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

        /// Orders lost, repeated and out of order: marks only rise, nothing runs under an epoch that is over, and no
        /// epoch is accepted as new twice.
        #[test]
        fn shuffled_and_repeated_orders_accept_nothing_stale(orders in prop::collection::vec(say(), 1..60)) {
            let (mut marks, mut accepted, mut running) = (Marks::default(), Vec::new(), None::<i64>);
            for order in orders {
                let before = marks;
                match order {
                    Say::Adopt(epoch) => if adopt(marks, epoch) == Ok(Accept::New) {
                        marks = marks.grant(epoch);
                        accepted.push(epoch);
                    },
                    Say::Grant(epoch) => if let Ok(accept) = accept_grant(marks, epoch) {
                        if accept == Accept::New {
                            prop_assert!(accepted.iter().all(|earlier| *earlier < epoch));
                            accepted.push(epoch);
                        }
                        marks = marks.grant(epoch);
                        running = Some(epoch);
                    },
                    Say::Seal(epoch) => if may_seal(marks, epoch).is_ok() {
                        running = None;
                        marks = marks.seal(epoch);
                    },
                    Say::Purge(epoch) => if may_purge(marks, epoch, running.is_some()).is_ok() {
                        prop_assert!(running.is_none() && !marks.owns());
                    },
                    Say::Boot(epoch) => if act(marks, epoch).is_ok() {
                        prop_assert_eq!(accepted.last().copied(), Some(epoch));
                        running = Some(epoch);
                    },
                }
                prop_assert!(marks.granted >= before.granted && marks.sealed >= before.sealed);
                if running.is_some() {
                    prop_assert!(marks.owns());
                }
            }
        }
    }
}
