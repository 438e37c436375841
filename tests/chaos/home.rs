//! Failures after a move, one after the other: a kernel that panics at a device that is not there, no network, a service that
//! does not start, a panic when nobody watches the start any more. Each ends with the Linode serving at its source, and no acknowledged write lost. In every run a few;
//! `CHAOS_HOMES=100` for as many as one likes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::time::Instant;

use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::linode::check::{Check, CheckPlan};
use xenbeta::domain::migration::MigrationState as State;
use xenbeta::store;

use crate::judge::Findings;
use crate::support::On;
use crate::support::fleet::XEN1;
use crate::world::{MOVED, World};

/// In the destination's driver; the first one ends the move before anything is asked.
const FAILURES: [&str; 4] = ["fail-boot", "no-network", "no-service", "late-panic"];
/// So long each check has to answer here, in seconds.
const LIMIT_S: i32 = 2;

impl World {
    fn address(&self, linode: LinodeId) -> String {
        let ips = self
            .app()
            .in_db(|conn| store::linode::address::ips_of(conn, linode));
        ips[0].address.clone()
    }

    fn with_checks(&self, linode: LinodeId) {
        let member = self.app().member();
        let address = self.address(linode);
        for (port, path) in [("80", "/"), ("22", "")] {
            let check = Check::parse(&address, port, path, "").unwrap();
            self.app().add_check(&member, linode, &check).unwrap();
        }
        let plan = CheckPlan {
            goes_home: true,
            limit_s: 60,
        };
        self.app().set_check_plan(&member, linode, plan).unwrap();
        self.app()
            .sql(&format!("UPDATE check_plans SET limit_s = {LIMIT_S}"));
    }

    /// What its service says to whoever connects.
    fn serves(&self, linode: LinodeId) -> Option<String> {
        let file = self
            .folder
            .join("addresses")
            .join(self.address(linode).replace(':', "_"));
        let text = fs::read_to_string(file).ok()?;
        let mut line = String::new();
        BufReader::new(TcpStream::connect(text.lines().nth(1)?).ok()?)
            .read_line(&mut line)
            .ok()?;
        Some(line)
    }

    fn fault(&self, what: &str, linode: LinodeId, is_on: bool) {
        let faults = self.host(XEN1).state().join("driver/faults");
        fs::create_dir_all(&faults).unwrap();
        let file = faults.join(format!("{what}-{linode}"));
        if is_on {
            fs::write(file, "").unwrap();
        } else {
            fs::remove_file(file).ok();
        }
    }

    /// It has been away, and is back.
    fn is_home(&self, linode: LinodeId) -> bool {
        let row = self.beta(linode).unwrap();
        matches!(row.state, State::Failed | State::Returned) && self.ails(linode).is_none()
    }

    fn comes_home(&self, number: usize, linode: LinodeId) {
        let failure = FAILURES[number % FAILURES.len()];
        self.fault(failure, linode, true);
        let begun = Instant::now();
        assert!(self.go_on(linode), "{number}: it begins");
        self.until(
            &format!("{number}: Linode {linode} is home after {failure}"),
            || self.is_home(linode),
        );
        let row = self.beta(linode).unwrap();
        let want = if failure == "fail-boot" {
            State::Failed
        } else {
            State::Returned
        };
        assert_eq!(row.state, want, "{number}: {failure}");
        let said = self.serves(linode).unwrap_or_default();
        assert!(
            said.starts_with(&format!("linode {linode} host uml1 ")),
            "{number} {failure}: {said:?}"
        );
        self.note(format!(
            "{number}: {failure} of {linode}: home in {:?}",
            begun.elapsed()
        ));
        self.fault(failure, linode, false);
    }
}

fn homes(on: On, count: usize) {
    let world = World::new(on);
    MOVED.iter().for_each(|linode| world.with_checks(*linode));
    for number in 0..count {
        world.comes_home(number, MOVED[number % MOVED.len()]);
    }
    let mut found: Findings = world.judge();
    world.look_at_disks(&mut found);
    assert!(found.is_none(), "{found:#?}");
    println!("homes: {count} of {count} serve at home again, no acknowledged write lost");
}

fn count() -> usize {
    let asked = std::env::var("CHAOS_HOMES").ok();
    asked
        .and_then(|text| text.parse().ok())
        .unwrap_or(FAILURES.len())
}

#[test]
fn what_fails_after_a_move_comes_home_by_itself_on_sqlite() {
    homes(On::Sqlite, count());
}

#[test]
fn what_fails_after_a_move_comes_home_by_itself_on_postgresql() {
    homes(On::Postgresql, count());
}
