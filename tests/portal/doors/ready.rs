//! A portal whose disk is full says so where a load balancer asks.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Raw, status};
use crate::served::{Served, config};

#[track_caller]
fn becomes(served: &Served, expected: u16, word: &str) {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let mut raw = Raw::to(&format!("http://{}", served.address));
        raw.sends(b"GET /ready HTTP/1.1\r\nHost: portal\r\n\r\n");
        let answer = raw.answer();
        if status(&answer) == expected && answer.contains(word) {
            return;
        }
        assert!(Instant::now() < until, "{answer}\n{}", served.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// On a file system of its own, which nobody else sees.
#[test]
fn a_full_disk_under_sqlite_is_not_ready() {
    let mut disk = PathBuf::new();
    let served = Served::by(|folder, address| {
        disk = folder.join("disk");
        std::fs::create_dir(&disk).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", "mount -t tmpfs -o size=24m none \"$2\" && \"$1\" schema up --config \"$3\" && exec \"$1\" serve --config \"$3\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_xenbeta"))
            .arg(&disk)
            .arg(config(folder, address, ""))
            .env("DATABASE_URL", disk.join("portal.db"));
        command
    });
    becomes(&served, 200, "ready");
    let within = PathBuf::from(format!("/proc/{}/root", served.pid()));
    let filler = within.join(disk.strip_prefix("/").unwrap()).join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    becomes(&served, 503, "full");
    std::fs::remove_file(&filler).unwrap();
    drop(file);
    becomes(&served, 200, "ready");
}
