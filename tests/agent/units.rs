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
