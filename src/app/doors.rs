//! How often one may knock at each door that is open to everybody, in memory: what a flood costs is bounded before anything
//! is read or hashed. Wrong passwords are counted in the database (`account::sign_in`), so that they outlive the process
//! and count for several portals together.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as Ticks;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::clock::Clock;
use super::error::{AppError, Result};
use super::refusals::Refusals;
use crate::domain::network::Asker;

/// Askers that are known of at a door. Beyond them, newcomers share so many budgets.
const MOST_KEYS: usize = 20_000;
const CROWDS: u64 = 1024;
/// What a wider network may do, as a multiple of what one asker may.
const WIDER: u32 = 4;
/// Credentials of agents, and tokens of the API, that were good, and pass uncounted.
const MOST_KNOWN: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A connection is opened.
    Connect,
    SignIn,
    /// A link for a new password is asked for.
    Forgot,
    /// Such a link is used, or tried.
    Reset,
    Register,
    /// API tokens are made.
    Token,
    Enrol,
    /// An agent with a credential that was not good before.
    Agent,
    /// A call of the API with a token that was not good before.
    Api,
}

const DOORS: [Door; 9] = [
    Door::Connect,
    Door::SignIn,
    Door::Forgot,
    Door::Reset,
    Door::Register,
    Door::Token,
    Door::Enrol,
    Door::Agent,
    Door::Api,
];

impl Door {
    /// So many at once, and one more after each of these times.
    fn budget(self) -> (u32, Duration) {
        let (burst, again_ms) = match self {
            Self::Connect => (2000, 5),
            Self::SignIn => (200, 1000),
            Self::Forgot => (20, 180_000),
            Self::Reset => (60, 10_000),
            Self::Register => (120, 1000),
            Self::Token => (60, 10_000),
            Self::Enrol => (200, 1000),
            Self::Agent => (1000, 100),
            Self::Api => (60, 1000),
        };
        (burst, Duration::from_millis(again_ms))
    }
}

/// The portal's clock that nobody can set, as the limiter reads it: since the doors were opened.
#[derive(Debug, Clone)]
struct Steady {
    clock: Clock,
    opened: Duration,
}

impl Steady {
    fn gone(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.opened)
    }
}

impl Ticks for Steady {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.gone())
    }
}

type Counted = RateLimiter<String, HashMapStateStore<String>, Steady, NoOpMiddleware<Nanos>>;

/// One door's askers of one width.
struct Limit {
    counted: Counted,
    /// When those whose budget is whole again were forgotten last.
    swept_s: AtomicU64,
}

impl Limit {
    fn new(clock: &Steady, (burst, again): (u32, Duration)) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(again).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        Self {
            counted: RateLimiter::new(
                quota.allow_burst(burst),
                HashMapStateStore::default(),
                clock.clone(),
            ),
            swept_s: AtomicU64::new(0),
        }
    }

    fn take(&self, key: &str) -> Result<()> {
        let taken = if self.is_full() {
            self.counted.check_key(&crowd(key))
        } else {
            self.counted.check_key(&key.to_owned())
        };
        taken.map_err(|not_until| {
            let wait = not_until.wait_time_from(self.counted.clock().now());
            AppError::TooMany {
                retry_after_s: wait.as_secs() + 1,
            }
        })
    }

    fn is_full(&self) -> bool {
        if self.counted.len() < MOST_KEYS {
            return false;
        }
        let now = self.counted.clock().gone().as_secs();
        if self.swept_s.swap(now, Ordering::Relaxed) != now {
            self.counted.retain_recent();
            self.counted.shrink_to_fit();
        }
        self.counted.len() >= MOST_KEYS
    }
}

/// Newcomers when there are too many to know each: those of one crowd share a budget.
fn crowd(key: &str) -> String {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
    format!("crowd {}", hash % CROWDS)
}

pub struct Doors {
    /// By door: one asker, and the network around.
    limits: Vec<[Limit; 2]>,
    known: Mutex<HashSet<String>>,
    unsent: AtomicU64,
    pub(super) refusals: Refusals,
    /// Held by who walks the whole audit trail: one at a time.
    pub(super) walk: Mutex<()>,
}

impl Doors {
    pub fn new(clock: &Clock) -> Self {
        let clock = Steady {
            opened: clock.monotonic(),
            clock: clock.clone(),
        };
        let limits = DOORS.map(|door| {
            let (burst, again) = door.budget();
            [
                Limit::new(&clock, (burst, again)),
                Limit::new(&clock, (burst * WIDER, again / WIDER)),
            ]
        });
        Self {
            limits: limits.into(),
            known: Mutex::default(),
            unsent: AtomicU64::new(0),
            refusals: Refusals::default(),
            walk: Mutex::default(),
        }
    }

    /// Once more at this door, from this address.
    ///
    /// # Errors
    /// [`AppError::TooMany`], with the time after which it may be tried again.
    pub fn knock(&self, door: Door, address: &str) -> Result<()> {
        self.knock_as(door, &Asker::of(address))
    }

    /// As [`Doors::knock`], as whoever is counted otherwise.
    pub(super) fn knock_as(&self, door: Door, asker: &Asker) -> Result<()> {
        let Some([own, wide]) = self.limits.get(door as usize) else {
            return Ok(());
        };
        own.take(&asker.own)?;
        // What one asker is refused is not taken from its neighbours.
        match &asker.wide {
            Some(network) => wide.take(network),
            None => Ok(()),
        }
    }

    /// Was this credential good before? Whoever has it does not pay for others of their address.
    pub(super) fn is_known(&self, hash: &str) -> bool {
        self.known().contains(hash)
    }

    pub(super) fn set_known(&self, hash: &str, good: bool) {
        let mut known = self.known();
        if !good {
            known.remove(hash);
            return;
        }
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(hash.to_owned());
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A link for a new password that was asked for and not sent: nobody has the address, or too many were asked for.
    pub(super) fn note_unsent(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
    }

    /// So many, since this process began.
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use super::*;

    fn doors() -> (Doors, Arc<AtomicI64>) {
        let at = Arc::new(AtomicI64::new(1_000_000));
        (Doors::new(&Clock::Fixed(Arc::clone(&at))), at)
    }

    fn wait_s(said: Result<()>) -> Option<u64> {
        match said {
            Ok(()) => None,
            Err(AppError::TooMany { retry_after_s }) => Some(retry_after_s),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn retry_after_is_true() {
        let (doors, at) = doors();
        let knock = || wait_s(doors.knock(Door::Forgot, "198.51.100.7"));
        for _ in 0..20 {
            assert_eq!(knock(), None);
        }
        let wait = knock().expect("twenty are enough");
        assert!((180..=181).contains(&wait), "{wait}");
        at.fetch_add(i64::try_from(wait - 2).unwrap() * 1000, Ordering::Relaxed);
        assert!(knock().is_some(), "not before");
        at.fetch_add(2000, Ordering::Relaxed);
        assert_eq!(knock(), None, "and then");
        assert_eq!(wait_s(doors.knock(Door::Forgot, "198.51.100.8")), None);
        assert_eq!(wait_s(doors.knock(Door::Reset, "198.51.100.7")), None);
    }

    #[test]
    fn a_network_has_one_budget_and_the_one_around_it_a_larger_one() {
        let (doors, _) = doors();
        let passed = |address: &dyn Fn(u32) -> String| {
            (0..2000)
                .filter(|n| doors.knock(Door::Forgot, &address(*n)).is_ok())
                .count()
        };
        assert_eq!(passed(&|n| format!("2001:db8:7:7::{n:x}")), 20);
        // What is left of the /56.
        assert_eq!(passed(&|n| format!("2001:db8:7:{:x}::1", n % 256)), 80 - 20);
    }

    #[test]
    fn memory_is_bounded_whoever_knocks() {
        let (doors, at) = doors();
        for n in 0..60_000_u32 {
            let _ = doors.knock(Door::Forgot, &std::net::Ipv4Addr::from(n).to_string());
        }
        let known = doors.limits[Door::Forgot as usize][0].counted.len();
        let most = MOST_KEYS + usize::try_from(CROWDS).unwrap();
        assert!(known <= most, "{known}");
        at.fetch_add(3_600_000 * 2, Ordering::Relaxed);
        doors.knock(Door::Forgot, "198.51.100.7").unwrap();
        let known = doors.limits[Door::Forgot as usize][0].counted.len();
        assert!(known <= 2, "{known} are left when their budgets are whole");
    }

    #[test]
    fn a_door_has_its_own_budget() {
        for (at, door) in DOORS.iter().enumerate() {
            assert_eq!(*door as usize, at);
        }
    }
}
