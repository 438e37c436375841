//! `xenbeta-agent stop-guests`: every guest of this host shut down, before the host itself is (`xenbeta-guests.service`).
//!
//! To the ledger and the portal this is what a loss of power is, but that guests ended cleanly: nobody's order, so nothing is
//! written down. The agent does not run meanwhile, or the portal would learn that they are off before it learns why: as the host
//! speaks again, from another boot, what ran there is booted by the portal's word.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::config::Config;
use super::driver::{Driver, DriverError, Stopped};
use super::host;
use super::run;
use crate::domain::ids::LinodeId;

/// So many at once: each is looked at several times a second, and a look goes through all processes or domains.
const AT_ONCE: usize = 16;
/// A guest that is started while others are stopped is stopped too; who starts them again and again is not waited for.
const ROUNDS: u32 = 3;

/// What became of one guest.
pub type Outcome = (LinodeId, Result<Stopped, DriverError>);

/// Asks every guest to end and uses force after `limit`. `tell` hears of each as it ends.
pub fn stop_guests(
    config: &Config,
    limit: Duration,
    tell: &(dyn Fn(&Outcome) + Sync),
) -> Result<(), DriverError> {
    let _lock = run::lock(&config.state()).map_err(|error| {
        DriverError::Host(format!(
            "{error}; stop it first (systemctl stop xenbeta-agent), or the portal takes its guests for shut down"
        ))
    })?;
    let driver = host::driver(config)?;
    if let Some(trials) = driver.trials() {
        // Nothing of them is kept; their clones go when the agent starts again.
        for linode in trials.guests()? {
            trials.destroy(linode)?;
        }
    }
    for _ in 0..ROUNDS {
        let guests = driver.guests()?;
        if guests.is_empty() {
            return Ok(());
        }
        stop(&*driver, guests, limit, tell);
    }
    match driver.guests()?.as_slice() {
        [] => Ok(()),
        left => Err(DriverError::Host(format!("{} guests run on", left.len()))),
    }
}

fn stop(
    driver: &dyn Driver,
    guests: Vec<LinodeId>,
    limit: Duration,
    tell: &(dyn Fn(&Outcome) + Sync),
) {
    let threads = guests.len().min(AT_ONCE);
    let queue = Mutex::new(VecDeque::from(guests));
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(linode) = next() {
                    tell(&(linode, driver.stop(linode, limit)));
                }
            });
        }
    });
}
