//! How much memory the host has for guests, and whether one more fits.

use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use super::domains::Xen;
use super::find::Search;
use super::keeper;
use super::xl::{self, Domain};
use crate::agent::driver::files::host;
use crate::agent::driver::{DriverError, Result};
use crate::domain::ids::LinodeId;
use crate::wire::BootSpec;

/// A domain takes a little more than the memory its guest sees.
const OVERHEAD_MB: i64 = 4;
/// How long the host's memory is taken to be as it was, and how often it is read until two readings agree.
const KNOWN: Duration = Duration::from_secs(60);
const READINGS: u32 = 3;
/// Xen wipes what a domain had before it gives it away again.
const WIPED: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(250);

impl Xen {
    /// Memory that a guest could have now: what Xen has free, and what an earlier run of the same guest still has. The
    /// control domain is never made smaller for it.
    fn memory_free_mb(&self, search: &Search) -> Result<i64> {
        // Before the domains, as in `Search::keepers`: a guest whose `xl` makes its domain anew is in one of the two.
        let others = self.kept_by(|linode| linode != search.linode)?;
        let domains = xl::domains()?.known;
        let sum = |ours: bool| -> i64 {
            let guests = domains.iter().filter(|domain| domain.id != 0);
            guests
                .filter(|domain| search.is_ours(domain) == ours)
                .map(|domain| domain.memory_mb)
                .sum()
        };
        let promised = promised(&others, &domains);
        let free = xl::info()?.free_memory_mb + sum(true) - OVERHEAD_MB - promised;
        let allowed = self
            .config
            .memory_mb
            .map(|total| total - sum(false) - promised);
        Ok(allowed.map_or(free, |allowed| allowed.min(free)))
    }

    /// The guests that have an `xl`, which has or will in a moment have a domain for them.
    fn kept_by(&self, which: impl Fn(LinodeId) -> bool) -> Result<Vec<Search>> {
        let known = self.known()?.into_iter().filter(|linode| which(*linode));
        let searches: Vec<Search> = known
            .map(|linode| self.search(linode))
            .collect::<Result<_, _>>()?;
        let files: Vec<_> = searches.iter().map(|it| it.folder.domain_file()).collect();
        let keepers = keeper::among(&files).map_err(host)?;
        let both = searches.into_iter().zip(keepers);
        Ok(both
            .filter(|(_, keepers)| !keepers.is_empty())
            .map(|(search, _)| search)
            .collect())
    }

    pub fn check_memory(&self, search: &Search, boot: &BootSpec) -> Result<()> {
        let free = self.memory_free_mb(search)?;
        if boot.ram_mb <= free {
            return Ok(());
        }
        Err(DriverError::Refused {
            public: format!(
                "The host has not enough free memory for the Linode's {} MB.",
                boot.ram_mb
            ),
            detail: format!("{free} MB are free"),
        })
    }

    /// After a stop the memory of the earlier run may not be wiped yet.
    pub fn wait_for_memory(&self, search: &Search, boot: &BootSpec) -> Result<()> {
        let deadline = Instant::now() + WIPED;
        loop {
            match self.check_memory(search, boot) {
                Err(DriverError::Refused { .. }) if Instant::now() < deadline => {
                    thread::sleep(POLL)
                }
                outcome => return outcome,
            }
        }
    }

    /// Without a setting: what is free and what guests have. The control domain may give memory up after the agent's start
    /// (or take some), so it is asked again from time to time; while it cannot be asked, it is as it was.
    pub fn memory_total(&self) -> i64 {
        if let Some(total) = self.config.memory_mb {
            return total;
        }
        let mut kept = self
            .memory_total
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (when, before) = kept.unzip();
        if let (Some(when), Some(before)) = (when, before)
            && Instant::elapsed(&when) < KNOWN
        {
            return before;
        }
        match settled(|| Ok(xl::info()?.free_memory_mb), guests_memory_mb) {
            Ok(total) => {
                *kept = Some((Instant::now(), total));
                total
            }
            Err(error) => {
                tracing::warn!(%error, "the host's memory is not known");
                before.unwrap_or(0)
            }
        }
    }
}

/// What these guests were started with and have not now: between the two domains of a reboot, or while one is built.
fn promised(kept: &[Search], domains: &[Domain]) -> i64 {
    let lacks = |search: &Search| {
        let due = search.record.as_ref().map_or(0, |record| record.ram_mb);
        let ours = domains.iter().filter(|domain| search.is_ours(domain));
        (due - ours.map(|domain| domain.memory_mb).sum::<i64>()).max(0)
    };
    kept.iter().map(lacks).sum()
}

fn guests_memory_mb() -> Result<i64> {
    let domains = xl::domains()?;
    let guests = domains.known.iter().filter(|domain| domain.id != 0);
    Ok(guests.map(|domain| domain.memory_mb).sum())
}

/// Free and used memory together, of one moment: a guest that starts or ends between the two looks would count twice or not
/// at all, so what is free must be the same before and after.
fn settled(
    mut free: impl FnMut() -> Result<i64>,
    mut used: impl FnMut() -> Result<i64>,
) -> Result<i64> {
    let mut before = free()?;
    let mut total = before;
    for _ in 0..READINGS {
        let used = used()?;
        let after = free()?;
        total = after + used;
        if after == before {
            break;
        }
        before = after;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::agent::driver::xen::find::tests::{domain, search};

    #[test]
    fn a_guest_between_its_two_domains_keeps_its_memory() {
        let dir = tempfile::tempdir().unwrap();
        let kept = [search(dir.path(), &[])];
        let built = |memory_mb| Domain {
            memory_mb,
            ..domain(5, 8204)
        };
        assert_eq!(promised(&kept, &[]), 128, "it reboots");
        assert_eq!(promised(&kept, &[built(0)]), 128, "the old one is dying");
        assert_eq!(promised(&kept, &[built(28)]), 100, "it is built");
        assert_eq!(promised(&kept, &[built(128), domain(6, 8205)]), 0);
        assert_eq!(promised(&[], &[domain(6, 8205)]), 0);
    }

    #[test]
    fn a_guest_that_starts_between_two_looks_is_counted_once() {
        // 1000 MB in all; a guest of 300 begins after the first look at what is free.
        let free = RefCell::new(vec![700, 700, 1000]);
        let used = RefCell::new(vec![300, 0]);
        let next = |of: &RefCell<Vec<i64>>| Ok(of.borrow_mut().pop().unwrap());
        assert_eq!(settled(|| next(&free), || next(&used)).unwrap(), 1000);
        assert!(free.borrow().is_empty() && used.borrow().is_empty());
        // One that never comes to rest has an end too.
        let mut free = 0;
        let restless = || {
            free += 1;
            Ok(free)
        };
        assert!(settled(restless, || Ok(0)).unwrap() > 0);
        assert!(settled(|| Ok(1), || Err(DriverError::Host("away".to_owned()))).is_err());
    }
}
