//! A host that was rebooted: what ran on it is to run again.

use std::collections::HashSet;

use crate::domain::ids::LinodeId;
use crate::domain::linode::LinodeStatus;
use crate::store::host::Host;
use crate::store::linode::Linode;

/// A status that turned out to be another, of a Linode as it was then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub linode: LinodeId,
    pub epoch: i64,
    pub was: LinodeStatus,
    pub is: LinodeStatus,
}

/// The boot that a poll speaks from.
pub(super) struct Boot<'a> {
    pub host: &'a Host,
    /// Empty from agents that do not say.
    pub id: String,
    /// Those whose guests were looked at in this boot.
    pub seen: HashSet<LinodeId>,
    /// Statuses that turned out to be others.
    pub ended: &'a [Turn],
}

/// What is to be written of it.
#[derive(Default)]
pub(super) struct Reboot {
    /// The host speaks from another boot than before.
    pub boot: Option<String>,
    /// What ran when its host went down, and is to run again.
    pub interrupted: Vec<LinodeId>,
    /// What ran then, and has not been looked at yet, if that changed.
    pub unseen: Option<Vec<LinodeId>>,
}

impl Reboot {
    pub(super) fn is_nothing(&self) -> bool {
        self.boot.is_none() && self.unseen.is_none()
    }
}

impl Boot<'_> {
    /// A host that speaks from another boot was rebooted: what is found to have ended ended with it, and nobody ordered that. (What
    /// was shut down by order, or by itself while its host was up, is offline already.) What cannot be looked at yet is remembered
    /// until it is. A portal that may have forgotten orders boots nothing.
    pub(super) fn look(self, linodes: &[Linode], may_forget: bool) -> Reboot {
        if self.id.is_empty() {
            return Reboot::default();
        }
        let known: Vec<LinodeId> = serde_json::from_str(&self.host.unseen).unwrap_or_default();
        let is_another = self.host.boot_id.as_deref() != Some(self.id.as_str());
        let mut waits: HashSet<LinodeId> = known.iter().copied().collect();
        if is_another && self.host.boot_id.is_some() {
            let ran = linodes
                .iter()
                .filter(|it| it.status == LinodeStatus::Running);
            waits.extend(ran.map(|linode| linode.id));
        }
        if may_forget {
            waits.clear();
        }
        let is_off = |it: &&Turn| it.is == LinodeStatus::Offline && waits.contains(&it.linode);
        let interrupted = self.ended.iter().filter(is_off).map(|it| it.linode);
        let interrupted = interrupted.collect();
        let mut unseen: Vec<LinodeId> = waits.difference(&self.seen).copied().collect();
        unseen.sort_unstable();
        Reboot {
            interrupted,
            unseen: (unseen != known).then_some(unseen),
            boot: is_another.then_some(self.id),
        }
    }
}
