//! The source's side of a transfer, answered from the ledger: who may read what, what is sealed, and the digests' way to
//! the portal.

use std::sync::Arc;

use super::client::Client;
use super::ledger::{Ledger, rules};
use super::transfer::{Granted, Source, same_token};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::wire::{DiskDigest, SealedDigests};

pub struct LedgerSource {
    ledger: Arc<Ledger>,
    client: Client,
}

impl LedgerSource {
    pub fn new(ledger: Arc<Ledger>, client: Client) -> Self {
        Self { ledger, client }
    }
}

impl Source for LedgerSource {
    fn authorise(
        &self,
        migration: MigrationId,
        token: &str,
        peer_fingerprint: &str,
    ) -> Option<Granted> {
        let open = self.ledger.transfer(migration).ok().flatten()?;
        let entry = self.ledger.entry(open.linode).ok()?;
        let peer = open.peer_fingerprint == peer_fingerprint;
        // The transfer may have been left open while the Linode moved on: its epoch must still be the one here.
        if !same_token(&open.token, token)
            || !peer
            || rules::serve(entry.marks, open.epoch).is_err()
        {
            return None;
        }
        Some(Granted {
            migration,
            linode: open.linode,
            epoch: entry.generation?,
            disks: open.guest.disks,
        })
    }

    fn expects(&self, peer_fingerprint: &str) -> bool {
        self.ledger.serves(peer_fingerprint)
    }

    fn sealed(&self, linode: LinodeId) -> i64 {
        // A record that cannot be read says nothing is sealed: the final pass waits.
        self.ledger
            .entry(linode)
            .map_or(0, |entry| entry.marks.sealed)
    }

    fn report_digests(
        &self,
        migration: MigrationId,
        epoch: i64,
        digests: &[DiskDigest],
    ) -> Result<(), String> {
        let digests = SealedDigests {
            epoch,
            digests: digests.to_vec(),
        };
        self.client
            .digests(migration, &digests)
            .map_err(|error| error.to_string())
    }
}
