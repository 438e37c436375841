//! A host that is off for good: two staff take it over, its Linode runs again from the disks it left behind, and the
//! host, should it come back, starts nothing.

use std::thread;
use std::time::Duration;

use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::ownership::joint::JointKind;

use crate::support::On;
use crate::support::fleet::{UML1, WEB, XEN1};
use crate::world::World;

fn host_off_for_good(on: On) {
    let mut world = World::new(on);
    assert!(world.go_on(WEB), "the move begins");
    world.until("the move is finished", || {
        world
            .beta(WEB)
            .is_some_and(|row| row.state == MigrationState::Finished)
    });
    world.cut_power(1);
    world.two_staff(JointKind::Takeover, XEN1).unwrap();
    world.until("it runs where it came from", || {
        world.row(WEB).is_some_and(|row| row.host_id == UML1) && world.hosts[0].guest(WEB).is_some()
    });
    // What was written since the move is lost with the host, by agreement; two runners there never are.
    world.hosts[1].start();
    thread::sleep(Duration::from_secs(5));
    assert_eq!(world.judge().overlaps, Vec::<String>::new());
    assert!(world.hosts[1].guest(WEB).is_none(), "it starts nothing");
}

#[test]
fn a_host_off_for_good_is_taken_over_on_sqlite() {
    host_off_for_good(On::Sqlite);
}

#[test]
fn a_host_off_for_good_is_taken_over_on_postgresql() {
    host_off_for_good(On::Postgresql);
}
