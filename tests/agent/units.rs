//! What the units promise, which no test here can try: systemd does not run in it.

/// The values of a key, in the order they stand in.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines();
    lines
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect()
}

const AGENT: &str = include_str!("../../packaging/xenbeta-agent.service");
const GUESTS: &str = include_str!("../../packaging/xenbeta-guests.service");
const CONSOLES: &str = include_str!("../../packaging/xenbeta-consoles.service");
const CONSOLES_TIMER: &str = include_str!("../../packaging/xenbeta-consoles.timer");

#[test]
fn the_agent_is_started_again_however_often_it_fails_and_outlives_a_guest_without_memory() {
    assert_eq!(values(AGENT, "Restart"), ["always"]);
    assert_eq!(values(AGENT, "StartLimitIntervalSec"), ["0"]);
    assert_eq!(values(AGENT, "OOMPolicy"), ["continue"]);
    let (unit, service) = AGENT.split_once("[Service]").unwrap();
    assert!(unit.contains("\nStartLimitIntervalSec=") && service.contains("\nOOMPolicy="));
}

#[test]
fn guests_are_shut_down_after_the_agent_and_before_the_network_and_by_nothing_else() {
    let after = values(GUESTS, "After").join(" ");
    for before in ["network.target", "xen.service", "xendomains.service"] {
        assert!(after.split(' ').any(|unit| unit == before), "{before}");
    }
    // Stopped after it.
    assert_eq!(values(GUESTS, "Before"), ["xenbeta-agent.service"]);
    assert_eq!(values(GUESTS, "RemainAfterExit"), ["yes"]);
    assert_eq!(values(GUESTS, "RefuseManualStop"), ["yes"]);
    assert!(values(GUESTS, "ExecStop")[0].contains("xenbeta-agent stop-guests "));
    // No bond to the agent: its restart is none of guests'.
    for bond in ["Requires", "BindsTo", "PartOf", "Requisite"] {
        assert_eq!(values(GUESTS, bond), Vec::<&str>::new());
    }
}

/// The unit's own words, without systemd's reading of them: they have no quotes within words.
#[test]
fn what_guests_say_is_bounded_without_an_agent_and_their_writers_go_on() {
    use std::fs::{self, File};
    use std::io::Write;

    assert_eq!(values(CONSOLES_TIMER, "OnUnitInactiveSec"), ["1min"]);
    assert_eq!(values(CONSOLES_TIMER, "WantedBy"), ["timers.target"]);
    // No bond to the agent, whose absence is what it is for.
    assert!(!values(CONSOLES, "ExecStart")[0].contains("xenbeta-agent"));
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("console")).unwrap();
    let many = vec![b'y'; 1 << 20];
    let open = |name: &str| {
        let mut file = File::options();
        let mut file = file.create(true).append(true).open(path(name)).unwrap();
        file.write_all(&many).unwrap();
        file
    };
    let names = [
        "console/guest-xb-8204.log",
        "xl-xb-8204.log",
        "console/hypervisor.log",
        "xenstored.log",
    ];
    let mut files = names.map(open);
    let lengths = || names.map(|name| fs::metadata(path(name)).unwrap().len());
    let run = || {
        let words =
            values(CONSOLES, "ExecStart")[0].replace("/var/log/xen", dir.path().to_str().unwrap());
        let words: Vec<&str> = words
            .split(' ')
            .map(|word| word.trim_matches('"'))
            .collect();
        let done = std::process::Command::new(words[0])
            .args(&words[1..])
            .status();
        assert!(done.unwrap().success());
    };
    run();
    assert_eq!(lengths(), [1 << 20; 4], "no more than is let be");
    for file in &mut files {
        file.write_all(b"more").unwrap();
    }
    run();
    let full = (1 << 20) + 4;
    assert_eq!(lengths(), [0, 0, full, full]);
    for file in &mut files {
        file.write_all(b"and on").unwrap();
    }
    assert_eq!(lengths(), [6, 6, full + 6, full + 6], "without a hole");
}
