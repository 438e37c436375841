//! What guests used and are given: a fixed number of programs and looks, however many guests there are.

use std::collections::BTreeMap;

use super::domains::Xen;
use super::{backend, share, xl};
use crate::agent::driver::net;
use crate::agent::driver::{Counted, Driver, DriverError, GuestState};
use crate::agent::process::now;
use crate::domain::ids::LinodeId;
use crate::wire::{Sample, Share};

type States = BTreeMap<LinodeId, Result<GuestState, DriverError>>;

/// By its port, which costs no program. A guest can have its port taken away by closing it: then its state says the domain.
pub(super) fn domain(driver: &Xen, linode: LinodeId) -> Option<u32> {
    let found = domains(&[linode], &|it| driver.domain(it), &|some| {
        driver.states(some)
    });
    found.first().map(|(_, domain)| *domain)
}

fn domains(
    linodes: &[LinodeId],
    by_port: &dyn Fn(LinodeId) -> Option<u32>,
    states: &dyn Fn(&[LinodeId]) -> States,
) -> Vec<(LinodeId, u32)> {
    let mut found: Vec<(LinodeId, u32)> = Vec::new();
    let mut others = Vec::new();
    for linode in linodes {
        match by_port(*linode) {
            Some(domain) => found.push((*linode, domain)),
            None => others.push(*linode),
        }
    }
    if !others.is_empty() {
        let runs = running(states(&others)).into_iter();
        found.extend(runs.filter_map(|(linode, run)| Some((linode, domain_in(&run)?))));
    }
    found
}

fn running(states: States) -> Vec<(LinodeId, String)> {
    let runs = |(linode, state)| match state {
        Ok(GuestState::Running { id, .. }) => Some((linode, id)),
        _ => None,
    };
    states.into_iter().filter_map(runs).collect()
}

/// The states first, then one list of all domains: a guest whose domain is not in it any more is left out, so that no
/// counters are taken for those of another run.
pub(super) fn all(driver: &Xen, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Counted> {
    let running = running(driver.states(linodes));
    if running.is_empty() {
        return BTreeMap::new();
    }
    let Ok(domains) = xl::domains() else {
        return BTreeMap::new();
    };
    let at = now();
    let cpu: BTreeMap<u32, u64> = domains.known.iter().map(|it| (it.id, it.cpu_ms)).collect();
    let disks = backend::traffic();
    let counted = |(linode, run): (LinodeId, String)| {
        let domain = domain_in(&run)?;
        let disk = disks.get(&domain).copied().unwrap_or_default();
        let port = net::port(&driver.config.prefix, linode).ok()?;
        let (net_in_bytes, net_out_bytes) = net::traffic(&port);
        let sample = Sample {
            at,
            cpu_ms: *cpu.get(&domain)?,
            disk_read_bytes: disk.read_bytes,
            disk_write_bytes: disk.write_bytes,
            disk_read_ops: disk.reads,
            disk_write_ops: disk.writes,
            net_in_bytes,
            net_out_bytes,
            wait_ms: driver.waits.of(domain),
        };
        Some((linode, Counted { run, sample }))
    };
    running.into_iter().filter_map(counted).collect()
}

/// A run is named `DOMAIN.UUID`; one that is between two domains has none.
pub(super) fn domain_in(run: &str) -> Option<u32> {
    run.split('.').next()?.parse().ok()
}

/// One list of weights, one look at all threads, one call for their levels.
pub(super) fn shares(driver: &Xen, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Share> {
    let domains = domains(linodes, &|it| driver.domain(it), &|some| {
        driver.states(some)
    });
    if domains.is_empty() {
        return BTreeMap::new();
    }
    let Ok(weights) = xl::weights() else {
        return BTreeMap::new();
    };
    let ids: Vec<u32> = domains.iter().map(|(_, domain)| *domain).collect();
    let levels = share::io_priorities(&ids);
    let share = |(linode, domain): (LinodeId, u32)| {
        let share = Share {
            cpu_weight: share::weight(domain, &weights)?,
            io_priority: *levels.get(&domain)?,
        };
        Some((linode, share))
    };
    domains.into_iter().filter_map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_closed_its_port_keeps_no_share_by_it() {
        let [open, closed, off] = [LinodeId(1), LinodeId(2), LinodeId(3)];
        let by_port = |linode| (linode == open).then_some(17);
        let states = |some: &[LinodeId]| -> States {
            assert_eq!(some, [closed, off], "who has a port is not looked for");
            let id = "18.78620000-0000-0000-200c-0123456789ab".to_owned();
            let runs = GuestState::Running { id, since: now() };
            [(closed, Ok(runs)), (off, Ok(GuestState::Absent))].into()
        };
        let found = domains(&[open, closed, off], &by_port, &states);
        assert_eq!(found, [(open, 17), (closed, 18)]);
        let nobody = |_: &[LinodeId]| -> States { unreachable!("it costs programs") };
        assert_eq!(domains(&[open], &by_port, &nobody), [(open, 17)]);
    }

    #[test]
    fn a_run_names_its_domain() {
        assert_eq!(domain_in("4.78620000-0000-0000-200c-0123456789ab"), Some(4));
        assert_eq!(domain_in("17"), Some(17));
        assert_eq!(domain_in("none.78620000-0000-0000-200c-0123456789ab"), None);
        assert_eq!(domain_in("left"), None);
    }
}
