//! What there is of one guest: domains, the `xl` that would make it anew, and what either left behind.

use super::folder::{Folder, Record};
use super::xl::{self, Domain, Domains, Odd};
use super::{backend, keeper, names};
use crate::agent::driver::files::host;
use crate::agent::driver::net;
use crate::agent::driver::{DriverError, Result};
use crate::agent::process::{ProcessRef, now};
use crate::domain::ids::LinodeId;

/// A guest's names and the record of its last start.
pub struct Search {
    pub linode: LinodeId,
    pub name: String,
    /// What its domains' UUIDs begin with.
    pub lead: String,
    pub port: String,
    pub folder: Folder,
    pub record: Option<Record>,
}

/// What can run, or make something that runs.
#[derive(Debug, Clone, Default)]
pub struct Remains {
    pub domains: Vec<Domain>,
    pub keepers: Vec<ProcessRef>,
}

impl Remains {
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.keepers.is_empty()
    }

    /// The one that runs; the newest, where one is still being cleaned up.
    pub fn alive(&self) -> Option<&Domain> {
        self.domains
            .iter()
            .filter(|domain| domain.alive())
            .max_by_key(|domain| domain.id)
    }

    /// It ended, and nobody is there who would clean up after it.
    pub fn forsaken(&self) -> bool {
        self.keepers.is_empty() && !self.domains.is_empty() && self.alive().is_none()
    }
}

impl Search {
    pub fn new(prefix: &str, linode: LinodeId, folder: Folder) -> Result<Self> {
        let record = folder.record().map_err(host)?;
        Ok(Self {
            linode,
            name: names::domain(prefix, linode),
            lead: names::lead(prefix, linode)?,
            port: net::port(prefix, linode)?,
            folder,
            record,
        })
    }

    /// Of a guest without a network: what stands for its port is longer than any interface's name, so that there is none.
    pub fn without_port(prefix: &str, linode: LinodeId, folder: Folder) -> Result<Self> {
        let record = folder.record().map_err(host)?;
        let name = names::domain(prefix, linode);
        Ok(Self {
            linode,
            port: format!("no-port-of-{name}"),
            name,
            lead: names::lead(prefix, linode)?,
            folder,
            record,
        })
    }

    /// The `xl` first: it may make a domain between the two looks, but a domain never makes an `xl`.
    pub fn keepers(&self) -> Result<Vec<ProcessRef>> {
        let found = keeper::among(&[self.folder.domain_file()]).map_err(host)?;
        Ok(found.into_iter().flatten().collect())
    }

    pub fn find(&mut self) -> Result<Remains> {
        let keepers = self.keepers()?;
        self.found(keepers, &xl::domains()?)
    }

    /// What is this guest's of all domains there were, listed after its `xl` was looked for.
    pub fn found(&mut self, keepers: Vec<ProcessRef>, all: &Domains) -> Result<Remains> {
        if let Some(odd) = all.odd.iter().find(|odd| self.is_ours_too(odd)) {
            return Err(DriverError::Host(format!(
                "xl said what is not understood of this guest: {:?}",
                odd.line
            )));
        }
        self.drop_strangers(all)?;
        let ours = all.known.iter().filter(|domain| self.is_ours(domain));
        Ok(Remains {
            domains: ours.cloned().collect(),
            keepers,
        })
    }

    pub fn is_ours(&self, domain: &Domain) -> bool {
        domain.name == self.name || domain.uuid.starts_with(&self.lead)
    }

    fn is_ours_too(&self, odd: &Odd) -> bool {
        odd.is_called(&self.name) || odd.uuid.starts_with(&self.lead)
    }

    /// Numbers come round again: one that is another guest's now says nothing of this one's devices any more.
    fn drop_strangers(&mut self, all: &Domains) -> Result<()> {
        let strangers = all.known.iter().filter(|domain| !self.is_ours(domain));
        let strangers: Vec<u32> = strangers.map(|domain| domain.id).collect();
        let is_one = |id: &u32| strangers.contains(id);
        match &self.record {
            Some(record) if record.domains.iter().any(is_one) => {}
            _ => return Ok(()),
        }
        self.change(|record| record.domains.retain(|id| !is_one(id)))
    }

    /// Remembers a domain of the guest, so that its devices are looked for when it is gone. One that makes new ones all the
    /// time loses its leave to.
    pub fn note(&mut self, domain: u32) -> Result<()> {
        let Some(record) = &self.record else {
            return Ok(());
        };
        if record.domains.contains(&domain) {
            return Ok(());
        }
        self.change(|record| record.note(domain, now()))?;
        if self.record.as_ref().is_some_and(|record| record.restless) {
            tracing::warn!(linode = %self.linode, "the guest reboots all the time: its next reboot ends it");
            self.folder.forbid().map_err(host)?;
        }
        Ok(())
    }

    /// In the record that is looked at here, and in the kept one if that is still of the same start.
    fn change(&mut self, change: impl Fn(&mut Record)) -> Result<()> {
        if let Some(record) = &mut self.record {
            change(record);
            self.folder.change(&record.uuid, &change).map_err(host)?;
        }
        Ok(())
    }

    /// What is left of the guest where no domain of it is, in words; nothing if it is absent.
    pub fn left(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        if net::sys(&self.port).exists() {
            left.push(format!("port {}", self.port));
        }
        let Some(record) = &self.record else {
            return Ok(left);
        };
        left.extend(backend::holders(&record.disks).map_err(host)?);
        for device in backend::devices().map_err(host)? {
            if record.domains.contains(&device.domain) && !left.contains(&device.name()) {
                left.push(device.name());
            }
        }
        for domain in &record.domains {
            let threads = backend::threads(*domain).ids;
            left.extend(threads.iter().map(|thread| format!("thread {thread}")));
        }
        match backend::writes_in_flight(&record.disks) {
            0 => {}
            writes => left.push(format!("{writes} writes on their way")),
        }
        Ok(left)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::agent::driver::files::boot_id;

    const LINODE: LinodeId = LinodeId(8204);

    pub(crate) fn search(dir: &Path, domains: &[u32]) -> Search {
        let folder = Folder::new(dir, "xb", LINODE);
        folder.make().unwrap();
        let record = Record {
            boot_id: boot_id().unwrap(),
            uuid: names::uuid("xb", LINODE).unwrap(),
            since: now(),
            disks: vec![],
            ram_mb: 128,
            domains: domains.to_vec(),
            noted: vec![],
            restless: false,
        };
        folder.write(&record).unwrap();
        Search::new("xb", LINODE, folder).unwrap()
    }

    pub(crate) fn domain(id: u32, linode: i64) -> Domain {
        Domain {
            id,
            name: names::domain("xb", LinodeId(linode)),
            memory_mb: 128,
            vcpus: 1,
            shut_down: false,
            crashed: false,
            dying: false,
            cpu_ms: 0,
            uuid: names::uuid("xb", LinodeId(linode)).unwrap(),
        }
    }

    #[test]
    fn a_number_that_came_round_is_not_this_guests_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut search = search(dir.path(), &[17, 18, 19]);
        let all = Domains {
            known: vec![domain(17, 8205), domain(19, 8204)],
            odd: vec![],
        };
        let found = search.found(vec![], &all).unwrap();
        assert_eq!(found.domains.len(), 1);
        let kept = |search: &Search| search.record.clone().unwrap().domains;
        assert_eq!(kept(&search), [18, 19], "what B has as 17 is B's");
        let again = Search::new("xb", LINODE, Folder::new(dir.path(), "xb", LINODE)).unwrap();
        assert_eq!(kept(&again), [18, 19], "and stays so");
    }

    #[test]
    fn what_is_not_understood_of_a_guest_is_not_taken_for_absent() {
        let dir = tempfile::tempdir().unwrap();
        let mut search = search(dir.path(), &[]);
        let odd = |linode: i64, name: &str| Odd {
            uuid: names::uuid("xb", LinodeId(linode)).unwrap(),
            line: format!("{name} 4 128 odd"),
        };
        let mut asked = |odd: Odd| {
            let known = vec![domain(5, 8204)];
            search.found(
                vec![],
                &Domains {
                    known,
                    odd: vec![odd],
                },
            )
        };
        assert_eq!(asked(odd(8205, "xb-8205")).unwrap().domains.len(), 1);
        assert!(asked(odd(8204, "(null)")).is_err());
        assert!(asked(odd(8205, "xb-8204")).is_err());
    }

    #[test]
    fn a_nameless_domain_that_is_dying_with_this_guests_uuid_is_still_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut search = search(dir.path(), &[]);
        let dying = Domain {
            name: "(null)".to_owned(),
            dying: true,
            ..domain(4, 8204)
        };
        let all = Domains {
            known: vec![dying, domain(5, 8205)],
            odd: vec![],
        };
        let found = search.found(vec![], &all).unwrap();
        assert!(found.alive().is_none());
        assert_eq!(found.domains.len(), 1, "not absent");
    }

    #[test]
    fn a_guest_that_reboots_all_the_time_loses_its_leave_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut search = search(dir.path(), &[]);
        search.folder.permit(Path::new("/bin/true"), None).unwrap();
        let mut last = 0;
        while search.folder.kernel().exists() {
            last += 1;
            assert!(last < 100, "for ever");
            search.note(last).unwrap();
        }
        assert!(last > 10, "a few are its own affair: {last}");
        assert!(search.folder.record().unwrap().unwrap().restless);
    }
}
