//! A destination killed at random moments of its copies, and how much memory a copy takes: both in a child process.

use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use xenbeta::agent::disk::{DiskStore, FileStore, Image};
use xenbeta::agent::transfer::{Cap, Fetch, Identity};
use xenbeta::wire::Peer;

use super::mover::{EPOCH, LINODE, Lab, MIB, MIGRATION, Quiet, spec};
use super::mover_store::{Faults, Faulty};
use super::rng::Rng;

const TEST: &str = "transfer_kill::child_that_copies";

/// This very test in a process of its own, told by its environment what to do.
fn child(lab: &Lab, job: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--ignored", "--nocapture"])
        .env("CHILD_JOB", job)
        .env("CHILD_DIR", lab.dir())
        .env(
            "CHILD_PEER",
            format!(
                "{} {} {}",
                lab.peer.address, lab.peer.fingerprint, lab.disks[0].size_bytes
            ),
        )
        .env("CHILD_TOKEN", &lab.peer.token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn child_that_copies() {
    let Ok(job) = std::env::var("CHILD_JOB") else {
        return;
    };
    let dir = std::path::PathBuf::from(std::env::var("CHILD_DIR").unwrap());
    let peer = std::env::var("CHILD_PEER").unwrap();
    let [address, fingerprint, size] = peer.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let source = Peer {
        address: address.into(),
        fingerprint: fingerprint.into(),
        token: std::env::var("CHILD_TOKEN").unwrap(),
    };
    let identity = Identity::load_or_create(&dir.join("state-b")).unwrap();
    let mut store: Arc<dyn DiskStore> = Arc::new(FileStore::open(&dir.join("b")).unwrap());
    if let Some(writes) = job.strip_prefix("die after ") {
        store = Faulty::wrap(
            store,
            Arc::new(Die(AtomicU64::new(writes.parse().unwrap()))),
        );
    }
    let disks = [spec(1, size.parse().unwrap())];
    let (cap, watch) = (Cap::new(None), Quiet::default());
    let fetch = Fetch {
        identity: &identity,
        source: &source,
        linode: LINODE,
        migration: MIGRATION,
        disks: &disks,
        store: &*store,
        cap: &cap,
        watch: &watch,
    };
    let before = memory_kib("VmRSS:");
    match job.as_str() {
        "warm" => loop {
            fetch.warm(1).unwrap();
        },
        "final" => drop(fetch.finish(EPOCH).unwrap()),
        "memory" => {
            fetch.warm(2).unwrap();
            println!("\nGREW {}", memory_kib("VmHWM:") - before);
        }
        die => {
            fetch.warm(1).unwrap();
            panic!("{die}: not dead");
        }
    }
}

/// Ends the process, as a SIGKILL would, right after so many writes.
struct Die(AtomicU64);

impl Faults for Die {
    fn write(&self, image: &dyn Image, buf: &[u8], at: u64) -> std::io::Result<()> {
        image.write_at(buf, at)?;
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
        Ok(())
    }
}

#[test]
fn a_block_that_went_there_and_back_while_its_copy_was_killed_is_not_taken_for_unchanged() {
    for writes in [1, 2, 5] {
        let lab = Lab::new(&[40 * MIB]);
        let disk = lab.source_disk(1);
        let mut rng = Rng::new(31);
        rng.write(&disk, 0, 30 << 20);
        lab.warm(1).unwrap();
        let places: Vec<u64> = (0..8).map(|i| i * 4 * MIB + 8192).collect();
        let mut block = vec![0; 4096];
        let mut first = Vec::new();
        for at in &places {
            disk.read_exact_at(&mut block, *at).unwrap();
            first.push(block.clone());
            rng.write(&disk, *at, 4096);
        }
        let status = child(&lab, &format!("die after {writes}")).wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(6),
            "{status}"
        );
        for (at, block) in places.iter().zip(&first) {
            disk.write_all_at(block, *at).unwrap();
        }
        lab.seal();
        let report = lab.finish().unwrap();
        lab.assert_equal(&report);
    }
}

fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_destination_killed_at_random_moments_ends_with_equal_disks() {
    const SIZE: u64 = 48 * MIB;
    let lab = Lab::new(&[SIZE]);
    let disk = lab.source_disk(1);
    let mut rng = Rng::new(21);
    rng.write(&disk, 0, 40 << 20);
    // Blocks that go A → B → A while copies of them are killed half-way.
    let places: Vec<u64> = (0..200).map(|_| rng.below(SIZE / 4096) * 4096).collect();
    let first: Vec<Vec<u8>> = places
        .iter()
        .map(|at| {
            let mut block = vec![0; 4096];
            disk.read_exact_at(&mut block, *at).unwrap();
            block
        })
        .collect();
    let mut moments = Vec::new();
    for round in 0..24 {
        for (at, block) in places.iter().zip(&first) {
            if round % 2 == 0 {
                rng.write(&disk, *at, 4096);
            } else {
                disk.write_all_at(block, *at).unwrap();
            }
        }
        let mut running = child(&lab, "warm");
        let moment = Duration::from_millis(30 + rng.below(200));
        std::thread::sleep(moment);
        moments.push(moment);
        running.kill().unwrap();
        running.wait().unwrap();
    }
    lab.seal();
    for _ in 0..6 {
        let mut running = child(&lab, "final");
        std::thread::sleep(Duration::from_millis(20 + rng.below(120)));
        let _ = running.kill();
        running.wait().unwrap();
    }
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
}

#[test]
fn a_copy_takes_little_memory_however_large_the_disk() {
    // Larger than the bound many times over, and a delta on top, and a hole that is larger still.
    let lab = Lab::new(&[8192 * MIB]);
    let disk = lab.source_disk(1);
    let mut rng = Rng::new(22);
    for at in 0..24 {
        rng.write(&disk, at * 333 * MIB, 16 << 20);
    }
    let output = child(&lab, "memory").wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let grew: u64 = text
        .split("GREW ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    eprintln!("the destination's memory grew by {} MiB", grew / 1024);
    assert!(grew < 32 * 1024, "{grew} KiB");
}
