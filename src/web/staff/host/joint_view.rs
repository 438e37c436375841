//! What takes two staff, as the host's page shows it: what is asked for, and what can be.

use crate::app::host::liveness::is_silent;
use crate::domain::host::HostState;
use crate::domain::ownership::joint::JointKind;
use crate::domain::time::Time;
use crate::store::host::Host;
use crate::store::ownership::joint::JointAct;
use crate::store::ownership::memory::Portal as Memory;
use crate::web::staff::ownership::joint_case::title;
use crate::web::ui::{Link, When, Zone};

#[derive(Debug, Default)]
pub struct JointView {
    pub asked: Vec<AskedRow>,
    pub acts: Vec<Link>,
}

#[derive(Debug)]
pub struct AskedRow {
    pub link: Link,
    pub by: String,
    pub at: When,
    pub evidence: String,
}

impl JointView {
    /// What can be asked for, for those who may.
    #[must_use]
    pub fn for_those_who(mut self, may: bool) -> Self {
        self.acts.retain(|_| may);
        self
    }

    pub fn new(
        host: &Host,
        memory: &Memory,
        asked: Vec<(JointAct, String)>,
        (now, zone): (Time, Zone),
    ) -> Self {
        let is_asked = |kind: JointKind| asked.iter().any(|(act, _)| act.kind == kind);
        let takes_part = HostState::TAKING_PART.contains(&host.state) && host.fingerprint.is_some();
        let waived = host.waived_in.as_deref() == Some(memory.incarnation.as_str());
        let waits = memory.recovery_since.is_some() || is_silent(host, now);
        let acts = [
            (JointKind::TrustLedger, !host.ledger_fault.is_empty()),
            (JointKind::Waive, takes_part && !waived && waits),
            (JointKind::Takeover, host.state != HostState::Quarantined),
        ];
        Self {
            acts: acts
                .into_iter()
                .filter(|(kind, can)| *can && !is_asked(*kind))
                .map(|(kind, _)| {
                    Link::new(
                        format!("/staff/hosts/{}/joint/{kind}", host.id),
                        title(kind, &host.name),
                    )
                })
                .collect(),
            asked: asked
                .into_iter()
                .map(|(act, by)| AskedRow {
                    link: Link::new(
                        format!("/staff/joint/{}", act.id),
                        title(act.kind, &host.name),
                    ),
                    by,
                    at: zone.both(act.asked_at),
                    evidence: act.evidence,
                })
                .collect(),
        }
    }
}
