//! What there is of one guest: domains, the `xl` that would make it anew, and what either left behind.

use super::folder::{Folder, Record};
use super::xl::{self, Domain};
use super::{backend, keeper, names};
use crate::agent::driver::DriverError;
use crate::agent::driver::files::host;
use crate::agent::driver::net;
use crate::agent::process::ProcessRef;
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
pub struct Found {
    pub domains: Vec<Domain>,
    pub keepers: Vec<ProcessRef>,
}

impl Found {
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
    pub fn new(prefix: &str, linode: LinodeId, folder: Folder) -> Result<Self, DriverError> {
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

    /// The `xl` first: it may make a domain between the two looks, but a domain never makes an `xl`.
    pub fn keepers(&self) -> Result<Vec<ProcessRef>, DriverError> {
        let found = keeper::among(&[self.folder.domain_file()]).map_err(host)?;
        Ok(found.into_iter().flatten().collect())
    }

    pub fn find(&self) -> Result<Found, DriverError> {
        let keepers = self.keepers()?;
        Ok(self.found(keepers, &xl::domains()?))
    }

    /// What is this guest's of all domains there were, listed after its `xl` was looked for.
    pub fn found(&self, keepers: Vec<ProcessRef>, domains: &[Domain]) -> Found {
        let ours = domains.iter().filter(|domain| self.is_ours(domain));
        Found {
            domains: ours.cloned().collect(),
            keepers,
        }
    }

    pub fn is_ours(&self, domain: &Domain) -> bool {
        domain.name == self.name || domain.uuid.starts_with(&self.lead)
    }

    /// Remembers a domain of the guest, so that its devices are looked for when it is gone.
    pub fn note(&mut self, domain: u32) -> Result<(), DriverError> {
        if let Some(record) = &mut self.record
            && record.note(domain)
        {
            self.folder.write(record).map_err(host)?;
        }
        Ok(())
    }

    /// What is left of the guest where no domain of it is, in words; nothing if it is absent.
    pub fn left(&self) -> Result<Vec<String>, DriverError> {
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
