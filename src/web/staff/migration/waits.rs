//! What a migration waits for when it stands still, since when, and who can do what about it: for its page. The table in
//! `docs/OPERATIONS.md`, "Nothing waits without a button", has the same rows.

use crate::app::host::liveness::is_silent;
use crate::domain::host::HostState;
use crate::domain::job::JobState;
use crate::domain::migration::{MigrationState as State, Step};
use crate::domain::time::Time;
use crate::domain::trial::First;
use crate::store::host::Host;
use crate::store::job::Job;
use crate::store::migration::page::MigrationDetail;
use crate::store::wave::HeldBack;
use crate::web::migration::live::is_at_work;
use crate::web::ui::names::job_name;
use crate::web::ui::{Link, When, Zone, units};

#[derive(Debug)]
pub struct WaitsView {
    pub what: String,
    pub since: Option<When>,
    pub who: &'static str,
    pub links: Vec<Link>,
}

/// Can the switch-over be taken back: was the new host not told yet?
pub fn can_roll_back(detail: &MigrationDetail) -> bool {
    match detail.migration.step {
        Some(Step::StopSeal | Step::FinalCopy) => true,
        Some(Step::Start) => !detail.linode.fetched,
        Some(
            Step::PreflightSource
            | Step::PreflightDestination
            | Step::Reserve
            | Step::OpenTransfer
            | Step::WarmCopy
            | Step::Hold
            | Step::TopUp
            | Step::SealDestination
            | Step::Restore,
        )
        | None => false,
    }
}

struct Waits<'a> {
    detail: &'a MigrationDetail,
    now: Time,
    zone: Zone,
}

/// `None`: it goes on, or nothing more is to come of it.
pub fn waits(detail: &MigrationDetail, now: Time, zone: Zone) -> Option<WaitsView> {
    let it = Waits { detail, now, zone };
    let state = detail.migration.state;
    match state {
        State::Expired | State::Cancelled | State::Returned => None,
        State::Confirmed => it.old_disks(),
        State::Failed => Some(it.view(
            "somebody to try it again, or nothing: the Linode is on its old host".to_owned(),
            detail.migration.closed_at,
            "Its member or staff can retry; staff can make another offer.",
            Vec::new(),
        )),
        State::Offered
        | State::Queued
        | State::Preparing
        | State::Copying
        | State::Holding
        | State::Switching
        | State::Finished
        | State::Returning => it.paused().or_else(|| it.open(state)),
    }
}

fn host_link(host: &Host) -> Link {
    Link::new(format!("/staff/hosts/{}", host.id), host.name.clone())
}

fn takeover(host: &Host) -> Link {
    Link::new(
        format!("/staff/hosts/{}/joint/takeover", host.id),
        format!("Take {} over…", host.name),
    )
}

impl Waits<'_> {
    fn view(
        &self,
        what: String,
        since: Option<Time>,
        who: &'static str,
        links: Vec<Link>,
    ) -> WaitsView {
        WaitsView {
            what,
            since: since.map(|at| self.zone.both(at)),
            who,
            links,
        }
    }

    /// Held, or a recovery: nothing happens to its Linode.
    fn paused(&self) -> Option<WaitsView> {
        let pause = self.detail.queue.pause;
        if let Some(since) = pause.held_since {
            let link = Link::new(
                format!("/staff/held/{}", self.detail.linode.id),
                format!("What the hosts say of {}", self.detail.linode.label),
            );
            return Some(self.view(
                "its Linode to be let go: it is held, as a host contradicts the portal".to_owned(),
                Some(since),
                "It ends by itself when every host has reported and it is clear; else staff believe the hosts.",
                vec![link],
            ));
        }
        let since = pause.recovery_since?;
        Some(self.view(
            "the portal's recovery: every host has to report first".to_owned(),
            Some(since),
            "It ends by itself; for a host that is off for good two members of staff can say so.",
            vec![Link::new("/staff/recovery", "Recovery")],
        ))
    }

    /// Staff hold back all moves, or its wave is paused.
    fn held_back(&self) -> Option<WaitsView> {
        let (what, since, link) = match self.detail.queue.held_back? {
            HeldBack::All(since) => (
                "moves to go on: staff hold all of them back",
                Some(since),
                Link::new("/staff/waves/pause", "Why, and let them go on"),
            ),
            HeldBack::Wave(id) => (
                "its wave to go on: it is paused",
                None,
                Link::new(format!("/staff/waves/{id}"), format!("Wave {id}")),
            ),
        };
        let who = "Staff let them go on; its member's click and time are kept.";
        Some(self.view(what.to_owned(), since, who, vec![link]))
    }

    fn open(&self, state: State) -> Option<WaitsView> {
        let row = &self.detail.migration;
        match state {
            State::Offered | State::Queued if self.detail.queue.held_back.is_some() => {
                self.held_back()
            }
            State::Offered | State::Queued if self.shut().is_some() => self.shut(),
            State::Offered => Some(self.view(
                "its member's click".to_owned(),
                Some(row.offered_at),
                "The member starts it; staff can cancel it. The offer ends by itself.",
                Vec::new(),
            )),
            State::Queued => Some(self.view(
                "its time, and for a free place on both hosts and between them".to_owned(),
                row.queued_at,
                "Its member can choose another time or cancel; staff set the limits of the hosts and of the programme.",
                vec![
                    host_link(&self.detail.source),
                    host_link(&self.detail.destination),
                    Link::new("/staff/programme/times", "Times and limits"),
                ],
            )),
            State::Holding if row.step == Some(Step::Hold) => {
                let over = row.over_limit(self.detail.queue.forecast);
                let what = match (self.detail.queue.held_until.or(row.not_before), over) {
                    _ if self.detail.queue.first == Some(First::Failed) => {
                        "its member's word: it was to be tried first, and that failed".to_owned()
                    }
                    (Some(at), _) if at > self.now => format!("its time to stop, {}", self.zone.both(at).text),
                    _ if matches!(self.detail.queue.first, Some(First::ToTry | First::AtWork)) => {
                        "the end of its trial on the new host".to_owned()
                    }
                    (_, Some((limit_s, forecast))) => format!(
                        "a stop within its member's limit of {}: now it would take {}",
                        units::span(i64::from(limit_s)),
                        forecast.down.words()
                    ),
                    _ => "a free stop on both hosts, or for one that is never down together with it".to_owned(),
                };
                Some(self.view(
                    what,
                    row.in_step_at,
                    "Its member can choose another time, go on without a trial or cancel; staff can have it tried again, and set how many stop at once.",
                    vec![Link::new("/staff/programme/times", "Times and limits")],
                ))
            }
            State::Finished => {
                let until = row.way_back_until.filter(|_| !row.way_back_is_over(self.now, self.detail.queue.pause.watched_s));
                match until {
                    Some(until) => Some(self.view(
                        format!(
                            "its member to confirm, or the end of its way back on {}",
                            self.zone.both(until).text
                        ),
                        row.finished_at,
                        "The member confirms or takes the way back.",
                        Vec::new(),
                    )),
                    None => self.old_disks(),
                }
            }
            State::Returning => self.detail.child.as_ref().map(|child| {
                self.view(
                    "the way back".to_owned(),
                    child.queued_at,
                    "See what that waits for.",
                    vec![Link::migration(child.id)],
                )
            }),
            _ if is_at_work(state) || state == State::Holding => self.at_work(),
            _ => None,
        }
    }

    /// One of its hosts cannot take part now.
    fn shut(&self) -> Option<WaitsView> {
        let (id, why) = self.detail.queue.shut?;
        let host = if id == self.detail.source.id {
            &self.detail.source
        } else {
            &self.detail.destination
        };
        Some(self.view(
            format!("{}, which cannot take part: {why}", host.name),
            None,
            "It goes on when that is over; staff put it right on the host's page, or cancel this and offer another host.",
            vec![host_link(host), Link::new(format!("/staff/migrations/{}/cancel", self.detail.migration.id), "Cancel…")],
        ))
    }

    /// The old disks go only when the new host has shown that it has everything.
    fn old_disks(&self) -> Option<WaitsView> {
        let row = &self.detail.migration;
        if row.purged_at.is_some() || row.committed_at.is_none() {
            return None;
        }
        let owner = &self.detail.destination;
        if self.detail.linode.host_id != owner.id {
            return None;
        }
        let mut what = format!(
            "{} to show that it has the Linode's disks: until then the old copy on {} stays",
            owner.name, self.detail.source.name
        );
        if is_silent(owner, self.now) {
            what.push_str(". It is silent");
        }
        Some(self.view(
            what,
            row.closed_at.or(row.way_back_until),
            "It is asked again and again. If the host is lost for good, two members of staff take it over, and the old copy is started.",
            vec![host_link(owner), host_link(&self.detail.source), takeover(owner)],
        ))
    }

    fn host_of(&self, job: &Job) -> &Host {
        if job.host_id == self.detail.source.id {
            &self.detail.source
        } else {
            &self.detail.destination
        }
    }

    /// What staff can do with the migration itself in this step.
    fn own_acts(&self) -> Vec<Link> {
        let row = &self.detail.migration;
        let url = |deed: &str| format!("/staff/migrations/{}/{deed}", row.id);
        let mut links = Vec::new();
        if matches!(
            row.state,
            State::Preparing | State::Copying | State::Holding
        ) && !row.cancel_asked
        {
            links.push(Link::new(url("cancel"), "Cancel…"));
        }
        if can_roll_back(self.detail) {
            links.push(Link::new(url("roll-back"), "Roll back…"));
        }
        links
    }

    fn at_work(&self) -> Option<WaitsView> {
        let job = self.detail.job.as_ref()?;
        let host = self.host_of(job);
        let step = job_name(job.kind);
        let mut links = self.own_acts();
        if job.state == JobState::Failed {
            links.insert(
                0,
                Link::new(
                    format!("/staff/jobs/{}", job.id),
                    format!("Job {}: retry it", job.id),
                ),
            );
            return Some(self.view(
                format!(
                    "staff: “{step}” has failed on {}, and is not tried again by itself",
                    host.name
                ),
                job.finished_at,
                "Mend what the job's log says and retry it; or take back what has begun.",
                links,
            ));
        }
        if let Some(since) = self.detail.queue.job_paused {
            links.insert(0, Link::new("/staff/jobs/pauses", "Paused jobs"));
            return Some(self.view(
                format!("staff: they hold “{step}” on {} back", host.name),
                Some(since),
                "Staff end the pause.",
                links,
            ));
        }
        links.insert(0, host_link(host));
        self.host_stands(host, &links)
            .or_else(|| self.job_stands(job, host, links))
    }

    /// The host at work gets no work, or does none.
    fn host_stands(&self, host: &Host, links: &[Link]) -> Option<WaitsView> {
        let mut links = links.to_vec();
        if !host.ledger_fault.is_empty() {
            return Some(self.view(
                format!(
                    "{}, whose ledger is not trusted: it gets no work",
                    host.name
                ),
                host.ledger_fault_at,
                "Put its right state folder back, or two members of staff trust it again.",
                links,
            ));
        }
        if !HostState::TAKING_PART.contains(&host.state) {
            return Some(self.view(
                format!("{}, which takes no jobs: it is {}", host.name, host.state),
                None,
                "Staff enable it on its page.",
                links,
            ));
        }
        if is_silent(host, self.now) {
            links.push(takeover(host));
            return Some(self.view(
                format!("{}, which is silent", host.name),
                host.last_seen_at,
                "It goes on when the host answers. If it does not come back: take back what has begun, or two members of staff take the host over.",
                links,
            ));
        }
        None
    }

    /// The job itself waits.
    fn job_stands(&self, job: &Job, host: &Host, links: Vec<Link>) -> Option<WaitsView> {
        let step = job_name(job.kind);
        if self.detail.migration.cancel_asked && job.cancel_asked {
            return Some(self.view(
                format!("{} to say that it has stopped its work", host.name),
                job.started_at,
                "It ends by itself; if the host falls silent, when its lease ends.",
                links,
            ));
        }
        let put_off = job.state == JobState::Pending && job.run_after > job.entered_at;
        let again = Some(job.run_after).filter(|at| put_off && *at > self.now)?;
        Some(self.view(
            format!(
                "the next try of “{step}” on {}, at {}",
                host.name,
                self.zone.precise(again).text
            ),
            None,
            "It is tried again by itself.",
            links,
        ))
    }
}
