//! Bytes of bodies that are being read.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::ids::{AccountId, HostId, UserId};

/// Of each body these are free, so that a sign-in gets through whatever others hold; connections bound what they come to.
const FREE: usize = 4 * 1024;

/// Whose body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Of whom nothing but the address is known, as [`near`](crate::domain::network::Address::near) takes it.
    Address(IpAddr),
    Host(HostId),
    Account(AccountId),
    /// Staff without an account; of uploads, whoever sends them.
    User(UserId),
}

/// A number of bytes for all. One may hold as many as are free for the others: half of them where nobody else wants any,
/// a fifth where four do; however greedy they are, whoever comes next finds as much as each of them has.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    of: HashMap<Whose, usize>,
}

impl Budget {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: Mutex::default(),
        })
    }

    /// For one body.
    pub fn share(self: &Arc<Self>, whose: Whose) -> Share {
        Share {
            budget: Arc::clone(self),
            whose,
            read: 0,
            held: 0,
        }
    }

    fn grow(&self, whose: Whose, bytes: usize) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = held.of.get(&whose).copied().unwrap_or(0) + bytes;
        let all = held.all + bytes;
        if all > self.most || theirs > self.most - all {
            return false;
        }
        held.all = all;
        held.of.insert(whose, theirs);
        true
    }

    fn shrink(&self, whose: Whose, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all = held.all.saturating_sub(bytes);
        if let Some(theirs) = held.of.get_mut(&whose) {
            *theirs = theirs.saturating_sub(bytes);
            if *theirs == 0 {
                held.of.remove(&whose);
            }
        }
    }
}

/// What one body has of a [`Budget`], until it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    whose: Whose,
    read: usize,
    held: usize,
}

impl Share {
    /// So many bytes more are kept; `false`: there is no room for them now.
    pub fn take(&mut self, bytes: usize) -> bool {
        self.read += bytes;
        let more = self.read.saturating_sub(FREE).saturating_sub(self.held);
        let fits = more == 0 || self.budget.grow(self.whose, more);
        if fits {
            self.held += more;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.held > 0 {
            self.budget.shrink(self.whose, self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn address(n: u8) -> Whose {
        Whose::Address([192, 0, 2, n].into())
    }

    /// All that one gets by taking as much as there is.
    fn greedy(budget: &Arc<Budget>, whose: Whose) -> (Share, usize) {
        let mut share = budget.share(whose);
        while share.take(1024) {}
        let held = share.held;
        (share, held)
    }

    #[test]
    fn the_greedy_leave_as_much_as_each_of_them_has() {
        let budget = Budget::new(MIB);
        let mut all = Vec::new();
        for n in 1..=6 {
            let (share, _) = greedy(&budget, address(n));
            all.push(share);
        }
        assert!(budget.held.lock().unwrap().all <= MIB);
        let (seventh, held) = greedy(&budget, address(7));
        assert!(held >= 4 * 1024, "{held}");
        // Several bodies of one are one's.
        assert_eq!(greedy(&budget, address(1)).1, 0);
        drop((all, seventh));
        assert_eq!(greedy(&budget, address(8)).1, MIB / 2);
    }

    #[test]
    fn what_is_small_needs_no_room_and_what_ended_holds_none() {
        let budget = Budget::new(0);
        let mut share = budget.share(address(1));
        assert!(share.take(FREE));
        assert!(!share.take(1));
        let budget = Budget::new(MIB);
        drop(greedy(&budget, address(1)));
        let held = budget.held.lock().unwrap();
        assert_eq!((held.all, held.of.len()), (0, 0));
    }
}
