//! What goes wrong: each fault is done, healed, and told in one line.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::copies::copy;
use crate::proxy::Mood;
use crate::random::Random;
use crate::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    KillPortal,
    StopPortal,
    KillAgent(usize),
    StopAgent(usize),
    /// The way between a host and the portal, or (`true`) from its peers to it.
    Network(usize, bool, Mood),
    /// `true`: immediate.
    RestartDatabase(bool),
    /// A backup now, put back after a while; `true`: by `xenbeta restore`.
    DatabaseBack(bool),
    LedgerBack(usize),
    StateLost(usize),
    Clone(usize),
}

impl Fault {
    /// Some faults are more of a strain than others, and come less often.
    pub fn draw(random: &mut Random, on_pg: bool, hosts: usize) -> Self {
        let at = random.index(hosts);
        match random.below(100) {
            0..12 => Self::KillPortal,
            12..18 => Self::StopPortal,
            18..34 => Self::KillAgent(at),
            34..42 => Self::StopAgent(at),
            42..64 => {
                let mood = match random.below(4) {
                    0 => Mood::Cut,
                    1 => Mood::Delay(20 + random.below(300)),
                    2 => Mood::Truncate(random.below(40_000)),
                    _ => Mood::Blackhole,
                };
                Self::Network(at, random.below(2) == 0, mood)
            }
            64..74 if on_pg => Self::RestartDatabase(random.below(2) == 0),
            64..82 => Self::DatabaseBack(random.below(2) == 0),
            82..89 => Self::LedgerBack(at),
            89..95 => Self::StateLost(at),
            _ => Self::Clone(at),
        }
    }
}

impl World {
    /// Does it, and heals what does not heal itself.
    pub fn inflict(&mut self, fault: Fault, random: &mut Random) -> Result<(), String> {
        let rest = Duration::from_millis(50 + random.below(1200));
        match fault {
            Fault::KillPortal => {
                self.portal.program.kill();
                thread::sleep(rest);
                self.portal.start();
            }
            Fault::StopPortal => self.portal.program.stand_still(rest * 2),
            Fault::KillAgent(at) => {
                self.hosts[at].program.kill();
                thread::sleep(rest);
                self.hosts[at].start();
            }
            Fault::StopAgent(at) => self.hosts[at].program.stand_still(rest * 2),
            Fault::Network(at, peers, mood) => {
                let host = &self.hosts[at];
                let proxy = if peers {
                    &host.from_peers
                } else {
                    &host.to_portal
                };
                proxy.set(mood);
                thread::sleep(rest * 2);
                // What hung in a black hole is lost, as after a real one.
                proxy.set(Mood::Cut);
                thread::sleep(Duration::from_millis(60));
                proxy.set(Mood::Pass);
            }
            Fault::RestartDatabase(immediate) => {
                let pg = self.pg.as_mut().expect("it is on PostgreSQL");
                pg.restart(immediate, rest / 2);
            }
            Fault::DatabaseBack(told) => {
                let file = self.back_up().ok_or("no backup could be made")?;
                thread::sleep(rest * 3);
                if told {
                    self.put_back_told(&file);
                } else {
                    self.put_back_raw(&file);
                }
                fs::remove_file(file).ok();
            }
            Fault::LedgerBack(at) => self.ledger_back(at, rest),
            Fault::StateLost(at) => return self.state_lost(at, rest),
            Fault::Clone(at) => {
                let mut clone = self.hosts[at].cloned();
                thread::sleep(rest * 3);
                clone.kill();
            }
        }
        Ok(())
    }

    /// An earlier copy of a ledger comes back, and after a while the newest that there was.
    fn ledger_back(&mut self, at: usize, rest: Duration) {
        let ledger = self.hosts[at].state().join("ledger");
        let (old, new) = (beside(&ledger, "old"), beside(&ledger, "new"));
        for copy in [&old, &new] {
            fs::remove_dir_all(copy).ok();
        }
        self.hosts[at].program.signal(Signal::STOP);
        copy(&ledger, &old);
        self.hosts[at].program.signal(Signal::CONT);
        thread::sleep(rest * 2);
        self.hosts[at].program.kill();
        fs::rename(&ledger, &new).unwrap();
        fs::rename(&old, &ledger).unwrap();
        self.hosts[at].start();
        thread::sleep(rest * 2);
        self.hosts[at].program.kill();
        fs::remove_dir_all(&ledger).unwrap();
        fs::rename(&new, &ledger).unwrap();
        self.hosts[at].start();
    }

    /// A state folder is lost: enrolling anew is refused while the host owns Linodes or takes part in moves. The folder
    /// is found again afterwards.
    fn state_lost(&mut self, at: usize, rest: Duration) -> Result<(), String> {
        let state = self.hosts[at].state();
        let kept = beside(&state, "kept");
        let host = self.hosts[at].id;
        self.hosts[at].program.kill();
        fs::rename(&state, &kept).unwrap();
        // The one that nobody moves is always on the first host.
        let owns = self.owns_any(host);
        let out = self.enrol_fresh(at);
        thread::sleep(rest);
        let taken = out.is_ok_and(|out| out.status.success());
        fs::remove_dir_all(&state).ok();
        fs::rename(&kept, &state).unwrap();
        self.hosts[at].start();
        match (taken, owns) {
            (true, true) => {
                // Healed all the same, so that what follows from it is seen.
                self.enrol_right(at).ok();
                Err(format!(
                    "host {host} was enrolled anew without its state, and it owns Linodes"
                ))
            }
            // The credential was replaced: staff enrol the right folder again.
            (true, false) => self.enrol_right(at),
            (false, _) => Ok(()),
        }
    }

    fn enrol_right(&mut self, at: usize) -> Result<(), String> {
        self.hosts[at].program.kill();
        let out = self.enrol(&self.hosts[at], true);
        let out = out.map_err(|error| format!("no token: {error}"))?;
        self.hosts[at].start();
        if out.status.success() {
            Ok(())
        } else {
            Err(format!(
                "the right state is not taken again: {}",
                String::from_utf8_lossy(&out.stderr)
            ))
        }
    }
}

fn beside(path: &std::path::Path, what: &str) -> PathBuf {
    path.with_file_name(format!(
        "{}-{what}",
        path.file_name().unwrap().to_string_lossy()
    ))
}
