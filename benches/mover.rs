//! Times the mover beside its peers on the image of the design: 4 GiB, half of it holes, the rest random.
//! `make bench-mover` runs it; see docs/PERFORMANCE.md for what the rows mean. Prints a table, never fails a goal.
//!
//! Environment: `BENCH_DIR` (a folder on a disk with 16 GiB free), `BENCH_RUNS` (5), `BENCH_GIB` (4),
//! `BENCH_ONLY` (a part of a row's name).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark stops where it cannot go on"
)]

#[path = "../tests/support/port.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod port;
#[path = "../tests/support/rng.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod rng;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use port::free_port;
use rng::Rng;
use xenbeta::agent::disk::{DiskStore, FileStore};
use xenbeta::agent::transfer::{Cap, Fetch, Granted, Identity, Server, Source, Watch};
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};
use xenbeta::wire::{DiskDigest, DiskSpec, Peer, Progress};

const LINODE: LinodeId = LinodeId(1);
const EPOCH: i64 = 1;
const MIB: u64 = 1 << 20;

struct Open(Granted);
impl Source for Open {
    fn authorise(&self, migration: MigrationId, _: &str, _: &str) -> Option<Granted> {
        Some(Granted {
            migration,
            ..self.0.clone()
        })
    }
    fn expects(&self, _: &str) -> bool {
        true
    }
    fn sealed(&self, _: LinodeId) -> i64 {
        EPOCH
    }
    fn report_digests(&self, _: MigrationId, _: i64, _: &[DiskDigest]) -> Result<(), String> {
        Ok(())
    }
}

struct Nobody;
impl Watch for Nobody {
    fn progress(&self, _: Progress) {}
    fn cancelled(&self) -> bool {
        false
    }
}

impl Rng {
    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
    }
}

/// Two agents of ours on this machine, over the loopback.
struct Ours {
    identity: Identity,
    peer: Peer,
    _server: Server,
    to: Arc<FileStore>,
    from: Arc<FileStore>,
    disks: Vec<DiskSpec>,
    next: i64,
}

impl Ours {
    fn new(dir: &Path, size: u64) -> Self {
        let disks = vec![DiskSpec {
            id: DiskId(1),
            label: "bench".into(),
            size_bytes: size,
        }];
        for name in ["a", "b", "sa", "sb"] {
            std::fs::create_dir_all(dir.join(name)).unwrap();
        }
        let from = Arc::new(FileStore::open(&dir.join("a")).unwrap());
        let to = Arc::new(FileStore::open(&dir.join("b")).unwrap());
        let ia = Identity::load_or_create(&dir.join("sa")).unwrap();
        let identity = Identity::load_or_create(&dir.join("sb")).unwrap();
        let granted = Granted {
            migration: MigrationId(0),
            linode: LINODE,
            epoch: EPOCH,
            disks: disks.clone(),
        };
        let server = Server::start(
            "127.0.0.1:0".parse().unwrap(),
            &ia,
            Arc::new(Open(granted)),
            from.clone(),
            Arc::new(Cap::new(None)),
        )
        .unwrap();
        let peer = Peer {
            address: server.local_addr().to_string(),
            fingerprint: ia.fingerprint().into(),
            token: "bench".into(),
        };
        Self {
            identity,
            peer,
            _server: server,
            to,
            from,
            disks,
            next: 1,
        }
    }

    fn image(dir: &Path) -> PathBuf {
        dir.join(format!("a/linodes/{LINODE}/e{EPOCH}/1.img"))
    }

    fn with<T>(&self, job: impl FnOnce(&Fetch<'_>) -> T) -> T {
        let cap = Cap::new(None);
        job(&Fetch {
            identity: &self.identity,
            source: &self.peer,
            linode: LINODE,
            migration: MigrationId(self.next),
            disks: &self.disks,
            store: &*self.to,
            cap: &cap,
            watch: &Nobody,
        })
    }

    fn reserve(&self) {
        self.to
            .reserve(LINODE, MigrationId(self.next), &self.disks, None)
            .unwrap();
    }

    /// Drops this run's copy; the next is another migration.
    fn clear(&mut self) {
        self.to.release(LINODE, MigrationId(self.next)).unwrap();
        self.from
            .close_source(LINODE, MigrationId(self.next))
            .unwrap();
        self.next += 1;
    }
}

struct Row {
    name: String,
    times: Vec<f64>,
    note: String,
}

impl Row {
    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

fn run(program: &str, args: &[&str]) {
    let out = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

fn has(program: &str) -> bool {
    let out = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    out.is_ok_and(|out| out.status.success())
}

fn timed(job: impl FnOnce()) -> f64 {
    let start = Instant::now();
    job();
    start.elapsed().as_secs_f64()
}

/// Half random, half holes, in stretches of 4 MiB; everything in the page cache and on the disk.
fn make_image(path: &Path, size: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    let mut dice = Rng::new(1);
    let mut buf = vec![0; 4 << 20];
    for at in (0..size).step_by(8 << 20) {
        dice.fill(&mut buf);
        file.write_all_at(&buf, at).unwrap();
    }
    file.sync_all().unwrap();
}

/// Changes 1 % of the 4 KiB blocks, anywhere; durable before the clock starts.
fn change(path: &Path, size: u64, seed: u64, share: f64) {
    let file = File::options().write(true).open(path).unwrap();
    let mut dice = Rng::new(seed);
    let mut block = [0; 4096];
    let blocks = size / 4096;
    for _ in 0..(blocks as f64 * share) as u64 {
        dice.fill(&mut block);
        file.write_all_at(&block, dice.below(blocks) * 4096)
            .unwrap();
    }
    file.sync_all().unwrap();
}

fn read_cached(path: &Path) {
    let file = File::open(path).unwrap();
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let n = file.read_at(&mut buf, at).unwrap();
        if n == 0 {
            break;
        }
        at += n as u64;
    }
}

fn sync() {
    run("sync", &[]);
}

/// Ends with its child: no process is left behind, whatever happens.
struct Running(Child);
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(port: u16) {
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("nothing listens on {port}");
}

fn rsyncd(dir: &Path) -> (Running, u16) {
    let port = free_port();
    let conf = dir.join("rsyncd.conf");
    let path = dir.join("peer");
    std::fs::create_dir_all(&path).unwrap();
    let text = format!(
        "port = {port}\naddress = 127.0.0.1\nuse chroot = no\nuid = {}\n[b]\npath = {}\nread only = no\n",
        "root",
        path.display()
    );
    std::fs::write(&conf, text).unwrap();
    let child = Command::new("rsync")
        .args(["--daemon", "--no-detach", "--config"])
        .arg(&conf)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    wait_for(port);
    (running, port)
}

fn qemu_nbd(target: &Path) -> (Running, u16) {
    let port = free_port();
    let child = Command::new("qemu-nbd")
        .args([
            "-f",
            "raw",
            "-b",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "--persistent",
            "--discard=unmap",
        ])
        .args(["--detect-zeroes=unmap"])
        .arg(target)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    wait_for(port);
    (running, port)
}

struct Bench {
    dir: PathBuf,
    size: u64,
    runs: usize,
    only: String,
    rows: Vec<Row>,
}

impl Bench {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.only) || name.starts_with("limit")
    }

    fn add(&mut self, name: &str, seconds: f64, note: &str) {
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.times.push(seconds),
            None => self.rows.push(Row {
                name: name.into(),
                times: vec![seconds],
                note: note.into(),
            }),
        }
    }

    fn print(&mut self, title: &str) {
        println!("\n{title}\n");
        println!("| what | median s | runs | × limit | |\n| --- | ---: | --- | ---: | --- |");
        let limit = self.rows.first().map_or(1.0, Row::median);
        for row in std::mem::take(&mut self.rows) {
            let mut times = row.times.clone();
            times.sort_by(f64::total_cmp);
            let (low, high) = (times[0], times[times.len() - 1]);
            let median = row.median();
            println!(
                "| {} | {median:.2} | {low:.2} to {high:.2} | {:.2} | {} |",
                row.name,
                median / limit,
                row.note
            );
        }
    }

    fn full(&mut self) {
        let mut ours = Ours::new(&self.dir, self.size);
        let image = Ours::image(&self.dir);
        make_image(&image, self.size);
        let source = image.to_str().unwrap().to_owned();
        let out = self.dir.join("peer.img");
        let target = out.to_str().unwrap().to_owned();
        for _ in 0..self.runs {
            sync();
            let t = timed(|| {
                run("cp", &["--sparse=always", &source, &target]);
                sync();
            });
            self.add(
                "limit: cp --sparse=always, sync",
                t,
                "no network, no hash, no re-read",
            );
            std::fs::remove_file(&out).unwrap();
            if self.wants("xenbeta full") {
                sync();
                let mut sent = 0;
                let t = timed(|| {
                    ours.reserve();
                    sent = ours.with(|fetch| fetch.finish(EPOCH)).unwrap().sent_bytes;
                });
                self.add(
                    "xenbeta full",
                    t,
                    "TLS 1.3, BLAKE3, fsynced, re-read uncached, roots compared",
                );
                ours.clear();
            }
            self.full_peers(&source, &out);
        }
        self.print("Full copy");
    }

    fn full_peers(&mut self, source: &str, out: &Path) {
        let target = out.to_str().unwrap();
        if self.wants("rsync daemon") && has("rsync") {
            let (_daemon, port) = rsyncd(&self.dir);
            sync();
            let t = timed(|| {
                let url = format!("rsync://127.0.0.1:{port}/b/peer.img");
                run("rsync", &["--whole-file", "--sparse", source, &url]);
                sync();
            });
            self.add("rsync daemon", t, "whole file, sparse, plain");
            std::fs::remove_file(self.dir.join("peer/peer.img")).unwrap();
        }
        if self.wants("qemu-img to qemu-nbd") && has("qemu-nbd") {
            File::create(out).unwrap().set_len(self.size).unwrap();
            let (_nbd, port) = qemu_nbd(out);
            sync();
            let t = timed(|| {
                let url = format!("nbd://127.0.0.1:{port}");
                run(
                    "qemu-img",
                    &[
                        "convert",
                        "-n",
                        "--target-is-zero",
                        "-f",
                        "raw",
                        "-O",
                        "raw",
                        source,
                        &url,
                    ],
                );
                sync();
            });
            self.add("qemu-img to qemu-nbd", t, "plain");
            std::fs::remove_file(target).unwrap();
        }
    }

    fn delta(&mut self) {
        let mut ours = Ours::new(&self.dir, self.size);
        let image = Ours::image(&self.dir);
        make_image(&image, self.size);
        let source = image.to_str().unwrap().to_owned();
        let peer = self.dir.join("peer/peer.img");
        let rsync = self.wants("rsync inplace") && has("rsync");
        let daemon = rsync.then(|| {
            let daemon = rsyncd(&self.dir);
            run("cp", &["--sparse=always", &source, peer.to_str().unwrap()]);
            daemon
        });
        for seed in 0..self.runs as u64 {
            ours.reserve();
            ours.with(|fetch| fetch.warm(1)).unwrap();
            change(&image, self.size, 1000 + seed, 0.01);
            sync();
            read_cached(&image);
            let t = timed(|| read_cached(&image));
            self.add("limit: read the source once, cached", t, "");
            let t = timed(|| {
                ours.with(|fetch| fetch.finish(EPOCH)).unwrap();
            });
            ours.clear();
            let note =
                "the store cannot tell what changed: both ends read all, verified, published";
            self.add("xenbeta final", t, note);
            if let Some((_, port)) = &daemon {
                let url = format!("rsync://127.0.0.1:{port}/b/peer.img");
                let t = timed(|| {
                    run(
                        "rsync",
                        &[
                            "--inplace",
                            "--no-whole-file",
                            "--ignore-times",
                            &source,
                            &url,
                        ],
                    );
                    sync();
                });
                self.add("rsync inplace", t, "--no-whole-file, plain");
            }
        }
        let _ = std::fs::remove_file(&peer);
        self.print("Final pass, 1 % of 4 KiB blocks changed at random");
    }

    /// The pass between stop and start, on a store that can tell what changed: XFS with reflink on a loop device.
    fn reflink(&mut self) {
        let Some(mount) = Mount::xfs(&self.dir, self.size * 3) else {
            println!("\nFinal pass on XFS: skipped, needs root, mkfs.xfs and a free loop device");
            return;
        };
        let mut ours = Ours::new(&mount.at, self.size);
        assert!(ours.from.tells_changes(), "XFS without reflink");
        let image = Ours::image(&mount.at);
        make_image(&image, self.size);
        for seed in 0..self.runs as u64 {
            read_cached(&image);
            let t = timed(|| read_cached(&image));
            self.add("limit: read the source once, cached", t, "");
            for (name, share) in [
                ("xenbeta final, quiet guest", 0.0),
                ("xenbeta final, 0.1 % changed", 0.001),
            ] {
                ours.reserve();
                ours.with(|fetch| fetch.warm(2)).unwrap();
                change(&image, self.size, 2000 + seed, share);
                let t = timed(|| {
                    ours.with(|fetch| fetch.finish(EPOCH)).unwrap();
                });
                self.add(
                    name,
                    t,
                    "compared extents, read what changed, verified, published",
                );
                ours.clear();
            }
        }
        self.print("Final pass on XFS with reflink (the store can tell what changed)");
    }
}

/// A loop-mounted file system, gone with the value.
struct Mount {
    at: PathBuf,
    file: PathBuf,
}

impl Mount {
    fn xfs(dir: &Path, size: u64) -> Option<Self> {
        let (file, at) = (dir.join("xfs.img"), dir.join("xfs"));
        std::fs::create_dir_all(&at).ok()?;
        File::create(&file).ok()?.set_len(size).ok()?;
        let ok = |program: &str, args: &[&str]| {
            Command::new(program)
                .args(args)
                .output()
                .is_ok_and(|out| out.status.success())
        };
        let made = ok("mkfs.xfs", &["-q", "-m", "reflink=1", file.to_str()?])
            && ok("mount", &["-o", "loop", file.to_str()?, at.to_str()?]);
        if made { Some(Self { at, file }) } else { None }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
        let _ = std::fs::remove_file(&self.file);
    }
}

fn main() {
    let env = |name: &str| std::env::var(name).ok();
    let number =
        |name: &str, default: u64| env(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    let root = env("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::Builder::new()
        .prefix("bench-mover-")
        .tempdir_in(root)
        .unwrap();
    let mut bench = Bench {
        dir: dir.path().to_owned(),
        size: number("BENCH_GIB", 4) * 1024 * MIB,
        runs: usize::try_from(number("BENCH_RUNS", 5)).unwrap().max(1),
        only: env("BENCH_ONLY").unwrap_or_default(),
        rows: Vec::new(),
    };
    let cores = std::thread::available_parallelism().unwrap();
    println!(
        "{} GiB image, half holes; {cores} cores; {} runs",
        bench.size / 1024 / MIB,
        bench.runs
    );
    for (name, part) in [
        ("full", Bench::full as fn(&mut Bench)),
        ("delta", Bench::delta),
        ("reflink", Bench::reflink),
    ] {
        if env("BENCH_PART").is_none_or(|only| only == name) {
            part(&mut bench);
        }
    }
}
