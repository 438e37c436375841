//! Which guests run: of one, where something depends on it, or of all at once, for reports.

use std::collections::BTreeMap;

use super::domains::Xen;
use super::find::{Remains, Search};
use super::{backend, keeper, names, xl};
use crate::agent::driver::files::host;
use crate::agent::driver::{DriverError, GuestState, Result};
use crate::agent::process::{ProcessRef, now};
use crate::domain::ids::LinodeId;

type States = BTreeMap<LinodeId, Result<GuestState>>;
type Domains<'a> = &'a mut dyn FnMut() -> Result<xl::Domains>;

pub(super) fn state(driver: &Xen, linode: LinodeId) -> Result<GuestState> {
    let mut search = driver.search(linode)?;
    let keepers = search.keepers()?;
    judge(driver, &mut search, keepers, &mut xl::domains)
}

/// One look at all processes, then one list of all domains, if any guest's port does not say it all. In this order: see
/// [`Search::keepers`].
pub(super) fn states(driver: &Xen, linodes: &[LinodeId]) -> States {
    let mut states = States::new();
    let mut searches = Vec::new();
    for linode in linodes {
        match driver.search(*linode) {
            Ok(search) => searches.push(search),
            Err(error) => {
                states.insert(*linode, Err(error));
            }
        }
    }
    let files: Vec<_> = searches.iter().map(|it| it.folder.domain_file()).collect();
    let keepers = match keeper::among(&files) {
        Ok(keepers) => keepers,
        Err(error) => {
            let failed =
                |search: &Search| (search.linode, Err(DriverError::Host(error.to_string())));
            states.extend(searches.iter().map(failed));
            return states;
        }
    };
    let mut domains = once(xl::domains);
    for (mut search, keepers) in searches.into_iter().zip(keepers) {
        let state = judge(driver, &mut search, keepers, &mut domains);
        states.insert(search.linode, state);
    }
    states
}

/// Asks the first time only; also what went wrong is the same for all.
fn once<T: Clone>(ask: impl Fn() -> Result<T>) -> impl FnMut() -> Result<T> {
    let mut answer: Option<Result<T, String>> = None;
    move || {
        let answer = answer.get_or_insert_with(|| ask().map_err(|error| error.to_string()));
        answer.clone().map_err(DriverError::Host)
    }
}

fn judge(
    driver: &Xen,
    search: &mut Search,
    keepers: Vec<ProcessRef>,
    domains: Domains<'_>,
) -> Result<GuestState> {
    let first = keepers.first().map(ProcessRef::since);
    let running = |search: &Search, what: &str| {
        let record = search.record.as_ref();
        GuestState::Running {
            id: match record {
                Some(record) => format!("{what}.{}", record.uuid),
                None => what.to_owned(),
            },
            since: record.map(|it| it.since).or(first).unwrap_or_else(now),
        }
    };
    // A console that cannot be cut is no reason not to say what runs.
    let _ = driver
        .console(search.linode)
        .bound(driver.config.console_kb * 1024);
    if let (Some(domain), false) = (backend::domain_of(&search.port), keepers.is_empty()) {
        search.note(domain)?;
        return Ok(running(search, &domain.to_string()));
    }
    let found = search.found(keepers, &domains()?)?;
    let found = bury(search, found)?;
    if let Some(domain) = found.domains.iter().max_by_key(|domain| domain.id) {
        search.note(domain.id)?;
        return Ok(running(search, &domain.id.to_string()));
    }
    if !found.keepers.is_empty() {
        // It reboots, or what is left of it is just being taken away.
        return Ok(running(search, "none"));
    }
    if search.left()?.is_empty() {
        Ok(GuestState::Absent)
    } else {
        // Its devices hold the disks: that is not absent.
        Ok(running(search, "left"))
    }
}

/// Ends the state in which a guest ended, and the `xl` that would have cleaned up after it was killed: its domain runs
/// nothing any more, but stays, and would be taken for a guest that runs.
fn bury(search: &mut Search, found: Remains) -> Result<Remains> {
    if !found.forsaken() {
        return Ok(found);
    }
    for domain in &found.domains {
        search.note(domain.id)?;
        // Someone else may be at it; the next look tells.
        let _ = xl::destroy(domain.id);
    }
    search.find()
}

/// Every guest that runs or may in a moment, by its domain or the `xl` that would make one.
pub(super) fn guests(driver: &Xen) -> Result<Vec<LinodeId>> {
    let prefix = &driver.config.prefix;
    let known = driver.known()?;
    let mut files = Vec::new();
    for linode in &known {
        files.push(driver.search(*linode)?.folder.domain_file());
    }
    let keepers = keeper::among(&files).map_err(host)?;
    let kept = known
        .iter()
        .zip(&keepers)
        .filter(|(_, keepers)| !keepers.is_empty());
    let mut running: Vec<LinodeId> = kept.map(|(linode, _)| *linode).collect();
    let domains = xl::domains()?;
    running.extend(domains.known.iter().filter_map(|domain| {
        names::linode_of(prefix, &domain.name)
            .or_else(|| names::linode_of_uuid(prefix, &domain.uuid))
    }));
    let odd = domains.odd.iter();
    running.extend(odd.filter_map(|domain| names::linode_of_uuid(prefix, &domain.uuid)));
    running.sort_unstable();
    running.dedup();
    Ok(running)
}

/// Those that lost their leave to reboot, in words.
pub(super) fn restless(driver: &Xen, known: &[LinodeId]) -> Vec<String> {
    let searches = known
        .iter()
        .filter_map(|linode| driver.search(*linode).ok());
    let restless = searches.filter(|search| {
        let record = search.record.as_ref();
        record.is_some_and(|record| record.restless) && backend::domain_of(&search.port).is_some()
    });
    let words = |search: Search| {
        format!(
            "Linode {} does nothing but reboot: its next reboot ends it",
            search.linode
        )
    };
    restless.map(words).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn one_answer_serves_all() {
        let asked = Cell::new(0);
        let mut answer = once(|| {
            asked.set(asked.get() + 1);
            Ok(asked.get())
        });
        assert_eq!(
            (answer().unwrap(), answer().unwrap(), asked.get()),
            (1, 1, 1)
        );
        let mut failed = once(|| -> Result<(), _> {
            asked.set(asked.get() + 1);
            Err(DriverError::Host("away".to_owned()))
        });
        assert_eq!(failed().unwrap_err().to_string(), "away");
        assert_eq!(failed().unwrap_err().to_string(), "away");
        assert_eq!(asked.get(), 2);
    }
}
