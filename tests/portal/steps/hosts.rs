//! The hosts of one move, with no more than a ledger each: what was granted and sealed, what runs, and what was done for
//! which job, so that a job given again is answered as before. Two runners, a grant that is none and a purge of what is
//! needed are panics.

use std::collections::{BTreeMap, HashMap};

use xenbeta::domain::ids::{HostId, JobId};
use xenbeta::wire::{LinodeReport, Order, Report, Task};

use crate::host::by_hand::says;
use crate::support::TestApp;
use crate::support::fleet::WEB;

#[derive(Debug, Default, Clone, Copy)]
pub struct Marks {
    pub granted: i64,
    pub sealed: i64,
    pub running: bool,
}

#[derive(Debug, Default)]
pub struct Hosts {
    pub of: BTreeMap<HostId, Marks>,
    done: HashMap<JobId, Report>,
    /// How often a guest was started.
    pub starts: usize,
}

impl Hosts {
    pub fn runners(&self) -> Vec<HostId> {
        let runs = self.of.iter().filter(|(_, marks)| marks.running);
        runs.map(|(host, _)| *host).collect()
    }

    /// Carries an order out, or finds it done.
    pub fn does(&mut self, app: &TestApp, host: HostId, order: &Order) -> Report {
        if let Some(report) = self.done.get(&order.job) {
            return report.clone();
        }
        self.effect(host, &order.task);
        assert!(self.runners().len() <= 1, "two runners: {:?}", self.of);
        let report = app.success(order);
        self.done.insert(order.job, report.clone());
        report
    }

    fn effect(&mut self, host: HostId, task: &Task) {
        let highest = self.of.values().map(|it| it.granted.max(it.sealed)).max();
        let here = self.of.entry(host).or_default();
        match task {
            Task::Start { epoch, boot, .. } => {
                assert!(Some(*epoch) > highest, "epoch {epoch} after {highest:?}");
                here.granted = *epoch;
                self.starts += usize::from(boot.is_some() && !here.running);
                here.running = boot.is_some();
            }
            Task::StopSeal { epoch, .. } => {
                assert!(*epoch >= here.granted && *epoch > here.sealed);
                here.sealed = *epoch;
                here.running = false;
            }
            Task::Purge { epoch } => {
                assert!(
                    !here.running || *epoch < here.granted,
                    "a purge of what it lives on"
                );
                assert!(here.sealed >= *epoch, "a purge of what is not sealed");
            }
            _ => {}
        }
    }

    /// What the host says of the Linode, if it knows it.
    pub fn report(&self, host: HostId) -> Vec<LinodeReport> {
        let known = self.of.get(&host).filter(|it| it.granted + it.sealed > 0);
        let said = known.map(|it| says(WEB, it.granted, it.sealed, it.running));
        said.into_iter().collect()
    }
}
