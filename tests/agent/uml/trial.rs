//! A real clone beside everything else: it boots, reaches no network, is nobody's guest, and nothing of it is left.

use xenbeta::agent::driver::Trials;
use xenbeta::domain::trial::came_up;

use super::jail::processes_of;
use super::*;

/// As in `agent::driver::uml`: between a guest's user and its trial's.
const TRIAL_USERS: u32 = 70_000_000;

#[test]
fn a_real_clone_boots_without_a_network_and_nothing_of_it_is_left() {
    in_a_namespace(
        "uml::trial::a_real_clone_boots_without_a_network_and_nothing_of_it_is_left",
        || {
            for jail in ["required", "none"] {
                tried(&mut Fixture::new(jail));
            }
        },
    );
}

/// If an assertion fails, no clone is left behind.
struct DestroyAtEnd<'a>(&'a Trials);

impl Drop for DestroyAtEnd<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.0.console(LINODE, 80));
            let _ = self.0.destroy(LINODE);
        }
    }
}

fn tried(fixture: &mut Fixture) {
    let driver = fixture.driver();
    let trials = driver.trials().unwrap();
    let _guard = DestroyAtEnd(&trials);
    let copy = fixture.disks[0].1.clone();
    let clone = fixture.dir.path().join("m5.trial.img");
    fs::copy(&copy, &clone).unwrap();
    let before = fs::read(&copy).unwrap();
    trials
        .preflight(LINODE, &fixture.spec, &fixture.boot)
        .unwrap();
    trials
        .start(&Guest {
            linode: LINODE,
            spec: &fixture.spec,
            boot: &fixture.boot,
            disks: &[(DISK, clone.clone())],
        })
        .unwrap();
    let console = eventually("its init's word", || {
        let console = trials.console(LINODE, 100);
        came_up(&console, fixture.boot.run_level).then_some(console)
    });
    assert!(!console.contains("Kernel panic"), "{console}");
    nobodys_guest(fixture, &driver, &trials);
    assert!(get("/boot").is_none(), "it answers nobody");
    let ports = fs::read_dir("/sys/class/net").unwrap().flatten();
    let ports: Vec<_> = ports
        .filter(|it| it.file_name().to_string_lossy().starts_with("t1"))
        .collect();
    assert!(ports.is_empty(), "{ports:?}");
    // Another run of the agent finds it, and destroys it.
    let again = fixture.driver().trials().unwrap();
    assert!(again.runs(LINODE).unwrap());
    again.destroy(LINODE).unwrap();
    again.destroy(LINODE).unwrap();
    assert!(!trials.runs(LINODE).unwrap() && trials.guests().unwrap().is_empty());
    assert_eq!(processes_of(fixture.uid() + TRIAL_USERS), 0);
    let folder = fixture.dir.path().join("driver/trials/linode-8204");
    assert!(!folder.exists(), "{folder:?}");
    assert!(fs::read(&copy).unwrap() == before, "the copy is only read");
    // And the Linode itself starts as if nothing had been.
    fixture.start().unwrap();
    let _guest = StopAtEnd(fixture);
    eventually("it serves", || get("/boot"));
    assert!(!trials.runs(LINODE).unwrap(), "the Linode is no trial");
    assert_eq!(driver.stop(LINODE, LIMIT).unwrap(), Stopped::Cleanly);
    driver.withdraw(LINODE).unwrap();
}

fn nobodys_guest(fixture: &Fixture, driver: &Uml, trials: &Trials) {
    assert!(trials.runs(LINODE).unwrap());
    assert_eq!(trials.guests().unwrap(), [LINODE]);
    assert_eq!(driver.state(LINODE).unwrap(), GuestState::Absent);
    assert!(driver.guests().unwrap().is_empty());
    assert!(driver.samples(&[LINODE]).is_empty());
    // A stop of the Linode is none of its trial.
    assert_eq!(
        driver.stop(LINODE, Duration::ZERO).unwrap(),
        Stopped::WasAbsent
    );
    assert!(trials.runs(LINODE).unwrap());
    // 64 of the host's 100 MB are the clone's.
    let error = driver
        .preflight(LinodeId(8205), &fixture.spec, &fixture.boot)
        .unwrap_err();
    assert!(error.to_string().contains("36 MB are free"), "{error}");
}
