//! What agents report with every poll, and what is put right by the answer.

use super::agents::Agent;
use super::{App, AppError};
use crate::domain::ids::{JobId, LinodeId};
use crate::domain::shares::{Claim, Rule};
use crate::domain::words::LinodeStatus;
use crate::store::fleet::{self, Linode, Plan};
use crate::store::hosts::{self, Seen};
use crate::store::{jobs, weights};
use crate::wire::{Inventory, LinodeReport, Poll, Share};

/// Kernels of one host that are kept.
const MOST_KERNELS: usize = 100;

impl App {
    /// Takes in what a poll reports: what the host has, and which jobs its agent holds. One transaction, and none at all
    /// if nothing is new. Answers with the shares that the host is to set.
    pub fn note_poll(
        &self,
        agent: &Agent,
        poll: &Poll,
    ) -> Result<Vec<(LinodeId, Share)>, AppError> {
        self.note(agent, &poll.inventory, Some(&poll.held))
    }

    /// As [`App::note_poll`], for a report that comes while a poll is open. It says nothing of jobs: one may be on its way
    /// in that poll's answer, and is not lost.
    pub fn note_report(
        &self,
        agent: &Agent,
        inventory: &Inventory,
    ) -> Result<Vec<(LinodeId, Share)>, AppError> {
        self.note(agent, inventory, None)
    }

    fn note(
        &self,
        agent: &Agent,
        inventory: &Inventory,
        held: Option<&[JobId]>,
    ) -> Result<Vec<(LinodeId, Share)>, AppError> {
        let now = self.now();
        let reports = &inventory.linodes;
        let (lost, host, statuses, shares) = self.db.read(|conn| {
            let lost = match held {
                Some(held) => jobs::lost(conn, agent.host, held)?,
                None => Vec::new(),
            };
            let host = hosts::host(conn, agent.host)?.ok_or(AppError::NotFound)?;
            if reports.is_empty() {
                return Ok::<_, AppError>((lost, host, Vec::new(), Vec::new()));
            }
            let linodes = fleet::linodes_on(conn, agent.host)?;
            let shares = if reports.iter().any(|report| report.share.is_some()) {
                let (rule, own) = (weights::rule(conn)?, weights::own_on(conn, agent.host)?);
                let due = |linode: &Linode, plan: &Plan| {
                    share_due(rule, claim(plan, own.get(&linode.id).copied()))
                };
                wrong_shares(&linodes, &fleet::plans(conn)?, reports, due)
            } else {
                Vec::new()
            };
            Ok((lost, host, changed_statuses(&linodes, reports), shares))
        })?;
        let seen_is_old = host
            .last_seen_at
            .is_none_or(|seen| now.seconds_since(seen) >= 5);
        if lost.is_empty() && statuses.is_empty() && !seen_is_old {
            return Ok(shares);
        }
        self.lose_each(&lost, now, "The agent did not get it, or lost it.");
        self.db.write(|conn| {
            for (linode, status) in &statuses {
                fleet::set_status(conn, *linode, *status, now)?;
            }
            let unknown: Vec<String> = inventory
                .unknown
                .iter()
                .take(100)
                .map(|name| super::sign_in::clip(name, 200))
                .collect();
            let unknown_disks = serde_json::to_string(&unknown).unwrap_or_else(|_| "[]".to_owned());
            let kernels: Vec<_> = inventory
                .kernels
                .iter()
                .take(MOST_KERNELS)
                .filter(|kernel| kernel.id.len() <= 100 && kernel.label.len() <= 200)
                .collect();
            let kernels = serde_json::to_string(&kernels).unwrap_or_else(|_| "[]".to_owned());
            hosts::set_seen(
                conn,
                agent.host,
                &Seen {
                    agent_version: &super::sign_in::clip(&inventory.agent_version, 100),
                    disk_free_mb: inventory.disk_free_mb,
                    tells_changes: inventory.tells_changes,
                    unknown_disks: &unknown_disks,
                    kernels: &kernels,
                    now,
                },
            )?;
            Ok::<_, AppError>(())
        })?;
        Ok(shares)
    }
}

/// Linodes of the host whose status the report contradicts. Only the owner's word under the present epoch counts, and
/// not while something is being done to the Linode.
fn changed_statuses(linodes: &[Linode], reports: &[LinodeReport]) -> Vec<(LinodeId, LinodeStatus)> {
    let mut changed = Vec::new();
    for linode in linodes {
        let Some(report) = reports.iter().find(|report| report.linode == linode.id) else {
            continue;
        };
        let settled = matches!(linode.status, LinodeStatus::Running | LinodeStatus::Offline);
        if !settled || report.granted != linode.epoch || report.granted <= report.sealed {
            continue;
        }
        let status = if report.running {
            LinodeStatus::Running
        } else {
            LinodeStatus::Offline
        };
        if status != linode.status {
            changed.push((linode.id, status));
        }
    }
    changed
}

/// The shares which a host gives otherwise than the plan says: someone changed the plan, or the host.
fn wrong_shares(
    linodes: &[Linode],
    plans: &[Plan],
    reports: &[LinodeReport],
    share_due: impl Fn(&Linode, &Plan) -> Share,
) -> Vec<(LinodeId, Share)> {
    let due = |linode: &Linode| {
        let plan = plans.iter().find(|plan| plan.id == linode.plan_id)?;
        Some(share_due(linode, plan))
    };
    linodes
        .iter()
        .filter_map(|linode| {
            let report = reports.iter().find(|report| report.linode == linode.id)?;
            let due = due(linode)?;
            (report.share? != due).then_some((linode.id, due))
        })
        .collect()
}

/// A Linode's claim by its plan, and by staff's hand.
#[must_use]
pub fn claim(plan: &Plan, own_weight: Option<i64>) -> Claim {
    Claim {
        ram_mb: plan.ram_mb,
        plan_weight: plan.cpu_weight,
        own_weight,
    }
}

/// What a Linode is due of its host.
#[must_use]
pub fn share_due(rule: Rule, claim: Claim) -> Share {
    let due = rule.due(claim);
    Share {
        cpu_weight: due.weight,
        io_priority: due.io_priority,
    }
}
