//! What hosts report in polls, played by hand, and what two staff agree on.

use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::ownership::joint::JointKind;
use xenbeta::store;
use xenbeta::wire::{Inventory, LinodeReport, PROTOCOL, Poll};

use crate::support::TestApp;
use crate::support::fleet::{PASSWORD, UML1, UML2, XEN1, XEN2};
use crate::support::hand::agent;

pub fn says(linode: LinodeId, granted: i64, sealed: i64, running: bool) -> LinodeReport {
    LinodeReport {
        linode,
        granted,
        sealed,
        generation: Some(granted),
        running,
        since: None,
        sample: None,
        share: None,
    }
}

pub fn poll(linodes: Vec<LinodeReport>) -> Poll {
    Poll {
        protocol: PROTOCOL,
        inventory: Inventory {
            linodes,
            ..Inventory::default()
        },
        ..Poll::default()
    }
}

impl TestApp {
    pub fn polls(&self, host: HostId, linodes: Vec<LinodeReport>) {
        let said = self.with_others(host, linodes);
        let seen = Some(self.mark().unwrap());
        self.note_poll(&agent(host), &Poll { seen, ..poll(said) })
            .unwrap();
    }

    /// Says that it knows nothing but this.
    pub fn polls_only(&self, host: HostId, linodes: Vec<LinodeReport>) {
        self.note_poll(&agent(host), &poll(linodes)).unwrap();
    }

    /// Every host reports: these what is given, and of every other Linode what the portal knows.
    pub fn all_poll(&self, with: &[(HostId, Vec<LinodeReport>)]) {
        self.pass_s(6);
        for host in [UML1, UML2, XEN1, XEN2] {
            let said = with.iter().find(|(of, _)| *of == host);
            self.polls(host, said.map(|(_, said)| said.clone()).unwrap_or_default());
        }
    }

    /// What is said, and of the host's other Linodes what the portal knows.
    pub fn with_others(&self, host: HostId, said: Vec<LinodeReport>) -> Vec<LinodeReport> {
        let others = self.in_db(|c| store::linode::linodes_on(c, host));
        let left_out = others
            .iter()
            .filter(|it| !said.iter().any(|said| said.linode == it.id));
        let known: Vec<_> = left_out
            .map(|it| says(it.id, it.epoch, 0, it.status == LinodeStatus::Running))
            .collect();
        said.into_iter().chain(known).collect()
    }

    pub fn is_held(&self, linode: LinodeId) -> bool {
        self.in_db(|c| store::ownership::hold::of(c, linode))
            .is_some()
    }

    /// Two staff agree on it.
    pub fn jointly(&self, kind: JointKind, host: HostId) {
        let id = self
            .ask_joint(
                &self.staff(),
                PASSWORD,
                (kind, host),
                "seen dark by two of us",
            )
            .unwrap();
        self.decide_joint(&self.second_staff(), PASSWORD, id, true)
            .unwrap();
    }
}
