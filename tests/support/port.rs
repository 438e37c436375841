//! Ports for programs that have to be told theirs before they listen.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{SystemTime, UNIX_EPOCH};

/// Below those that the system gives out by itself (from 32768 on, by `ip_local_port_range`): a port that was bound once
/// and closed again is one of the next that it gives to somebody else's connection.
const FIRST: u16 = 20_000;
const PORTS: u16 = 12_000;

/// A port that nobody listens on, and that no other test is given while this process lives.
pub fn free_port() -> u16 {
    let locks = std::env::temp_dir().join("xenbeta-test-ports");
    fs::create_dir_all(&locks).expect("a folder of locks");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let somewhere = u16::try_from(now.subsec_nanos() % u32::from(PORTS)).expect("below PORTS");
    for step in 0..PORTS {
        let port = FIRST + (somewhere + step) % PORTS;
        let lock = File::create(locks.join(port.to_string())).expect("a lock");
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            // Until the process ends.
            std::mem::forget(lock);
            return port;
        }
    }
    panic!("no port is free");
}

pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}
