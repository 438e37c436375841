//! Watching guests that were just started. A look at one costs nearly what a look at all costs (every process of the host, or
//! a list of all domains), and many may be watched at once: those who watch share their looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::driver::{Driver, GuestState};
use crate::domain::ids::LinodeId;

#[derive(Debug, Default)]
pub struct Looks(Mutex<Shared>);

#[derive(Debug, Default)]
struct Shared {
    watched: BTreeSet<LinodeId>,
    last: Option<Look>,
}

#[derive(Debug)]
struct Look {
    begun: Instant,
    /// An error is the same for all who share the look.
    states: BTreeMap<LinodeId, Result<GuestState, String>>,
}

/// A guest that is watched for as long as this lives.
pub struct Watching<'a> {
    looks: &'a Looks,
    linode: LinodeId,
}

impl Looks {
    pub fn watch(&self, linode: LinodeId) -> Watching<'_> {
        self.shared().watched.insert(linode);
        let looks = self;
        Watching { looks, linode }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching<'_> {
    /// The guest's state in a look that was begun after `after`: another's, or else one for all who watch.
    pub fn state(&self, driver: &dyn Driver, after: Instant) -> Result<GuestState, String> {
        // Held for the whole look: who comes meanwhile waits for it, and has it too.
        let mut shared = self.looks.shared();
        let known = shared.last.as_ref().filter(|look| look.begun > after);
        if let Some(state) = known.and_then(|look| look.states.get(&self.linode)) {
            return state.clone();
        }
        let begun = Instant::now();
        let watched: Vec<LinodeId> = shared.watched.iter().copied().collect();
        let states = driver.states(&watched).into_iter();
        let states = states.map(|(linode, state)| (linode, state.map_err(|e| e.to_string())));
        let look = Look {
            begun,
            states: states.collect(),
        };
        let state = look.states.get(&self.linode).cloned();
        shared.last = Some(look);
        state.unwrap_or_else(|| Err("the driver said nothing".into()))
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.looks.shared().watched.remove(&self.linode);
    }
}
