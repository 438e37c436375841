//! Restarts while all go on: of portals, agents and the database, by the thread that started them.

use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;

use super::fleet;
use super::tally::Down;
use super::town::{Machines, Town};
use crate::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// By SIGTERM, or (`true`) kill -9.
    Portal(usize, bool),
    Agent(usize, bool),
    /// `pg_ctl restart -m fast`.
    Database,
    /// A host's agent speaks to the other portal from now on.
    ChangeOver(usize),
    Import,
}

/// How long a portal, or an agent, may take to end in order.
const ENDS_IN: Duration = Duration::from_secs(40);
const WELL_IN: Duration = Duration::from_secs(60);

impl Trouble {
    /// One of each first, then as they come.
    pub fn draw(turn: usize, random: &mut Random, hosts: usize) -> Self {
        let (host, portal) = (random.index(hosts), random.index(2));
        match turn {
            0 => Self::Portal(0, false),
            1 => Self::Agent(0, true),
            2 => Self::Portal(1, true),
            3 => Self::Database,
            4 => Self::ChangeOver(1),
            5 => Self::Import,
            _ => match random.below(100) {
                0..25 => Self::Portal(portal, false),
                25..40 => Self::Portal(portal, true),
                40..65 => Self::Agent(host, random.below(2) == 0),
                65..73 => Self::Database,
                73..90 => Self::ChangeOver(host),
                _ => Self::Import,
            },
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Portal(_, false) => "portals ended",
            Self::Portal(_, true) => "portals killed",
            Self::Agent(_, false) => "agents ended",
            Self::Agent(_, true) => "agents killed",
            Self::Database => "databases restarted",
            Self::ChangeOver(_) => "change-overs",
            Self::Import => "imports",
        }
    }

    pub fn befall(self, town: &Town, machines: &mut Machines, random: &mut Random) {
        let rest = Duration::from_millis(200 + random.below(3000));
        town.tally.note(format_args!("{self:?}"));
        town.tally.count(self.name());
        match self {
            Self::Portal(at, killed) => {
                town.tally.goes_down(Down::Portal(at));
                let portal = &mut machines.portals[at];
                if killed {
                    portal.program.kill();
                } else if !portal.program.end(ENDS_IN) {
                    town.tally
                        .fault(format_args!("portal {at} does not end in {ENDS_IN:?}"));
                }
                thread::sleep(rest);
                portal.start();
                well(town, at);
                town.tally.is_up(Down::Portal(at));
            }
            Self::Agent(at, killed) => {
                let host = &mut machines.hosts[at];
                if killed {
                    host.program.kill();
                } else if !host.program.end(ENDS_IN) {
                    town.tally.fault(format_args!(
                        "the agent of {} does not end in {ENDS_IN:?}",
                        host.program.name
                    ));
                }
                thread::sleep(rest);
                host.start();
            }
            Self::Database => {
                town.tally.goes_down(Down::Database);
                machines.pg.restart(false, rest / 3);
                (0..2).for_each(|at| well(town, at));
                town.tally.is_up(Down::Database);
            }
            Self::ChangeOver(at) => machines.hosts[at].to_portal.change_over(),
            Self::Import => {
                let out = fleet::grow(town, &machines.portals[0].program, random.below(4));
                if !out.status.success() {
                    town.tally.fault(format_args!("import: {out:?}"));
                }
            }
        }
    }
}

/// Until the portal says itself that it can work.
fn well(town: &Town, at: usize) {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(5)))
        .build()
        .into();
    let url = format!("http://{}/ready", town.portals[at]);
    let begun = Instant::now();
    while !agent
        .get(&url)
        .call()
        .is_ok_and(|answer| answer.status() == 200)
    {
        if begun.elapsed() > WELL_IN {
            return town
                .tally
                .fault(format_args!("portal {at} is not ready in {WELL_IN:?}"));
        }
        thread::sleep(Duration::from_millis(50));
    }
}
