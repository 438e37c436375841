//! The `xen` driver with real domains. Runs only in a Xen host that can be spared for it (`tests/lab/xen/driver` boots one,
//! puts this program in and names the folder of what it needs in `XENBETA_TEST_XEN`); says so and does nothing elsewhere.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use xenbeta::agent::driver::xen::Xen;
use xenbeta::agent::driver::{Driver, Guest, GuestState, Stopped};
use xenbeta::domain::ids::{DiskId, IpId, LinodeId};
use xenbeta::domain::linode::{IpKind, RunLevel};
use xenbeta::wire::{AddressSpec, BootSpec, DiskSpec, GuestSpec, Share};

use crate::samples::One;

/// A folder with `vmlinuz`, `initramfs` and `guest.img`.
const GIVEN: &str = "XENBETA_TEST_XEN";
const LINODE: LinodeId = LinodeId(8204);
const OTHER: LinodeId = LinodeId(8205);
const DISK: DiskId = DiskId(11);
const MAC: &str = "fe:fd:40:16:47:b4";
/// Processors are emulated there, and shared with whatever else the machine does.
const LIMIT: Duration = Duration::from_secs(150);

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn eventually<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            eprintln!("{what}: {:.1} s", begun.elapsed().as_secs_f32());
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn get(path: &str) -> Option<String> {
    get_from("10.77.0.10", path)
}

fn get_from(address: &str, path: &str) -> Option<String> {
    let address = format!("{address}:80").parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.trim().to_owned())
}

fn tell(what: &str) {
    let said = get(&format!("/cgi-bin/do?{what}")).unwrap();
    assert!(said.ends_with("done"), "{what}: {said}");
}

/// One guest, on a fresh disk.
struct Fixture {
    given: PathBuf,
    dir: tempfile::TempDir,
    linode: LinodeId,
    spec: GuestSpec,
    boot: BootSpec,
    disks: Vec<(DiskId, PathBuf)>,
    _alone: MutexGuard<'static, ()>,
}

/// All tests use one address.
static ALONE: Mutex<()> = Mutex::new(());

impl Fixture {
    /// `None` where there is no Xen to test with.
    fn new(on_lvm: bool) -> Option<Self> {
        let control = fs::read_to_string("/proc/xen/capabilities").unwrap_or_default();
        let Some(given) = std::env::var_os(GIVEN).filter(|_| control.contains("control_d")) else {
            eprintln!(
                "SKIPPED: real Xen guests need a Xen host and {GIVEN} (see tests/lab/xen/driver)"
            );
            return None;
        };
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let given = PathBuf::from(given);
        let dir = tempfile::Builder::new()
            .prefix("xb")
            .tempdir_in("/root")
            .unwrap();
        let image = given.join("guest.img");
        let disk = if on_lvm {
            let disk = PathBuf::from("/dev/vg0/test-8204");
            if !disk.exists() {
                run(
                    "lvcreate",
                    &["-qq", "-y", "-Wn", "-L", "64M", "-n", "test-8204", "vg0"],
                );
            }
            disk
        } else {
            dir.path().join("11.img")
        };
        let (from, to) = (
            format!("if={}", image.display()),
            format!("of={}", disk.display()),
        );
        run("dd", &[&from, &to, "bs=1M", "conv=fsync", "status=none"]);
        let spec = GuestSpec {
            label: "web\"01".into(),
            ram_mb: 128,
            mac: MAC.into(),
            addresses: vec![AddressSpec {
                id: IpId(1),
                address: "10.77.0.10".into(),
                prefix: 24,
                gateway: Some("10.77.0.1".into()),
                kind: IpKind::Public,
            }],
            disks: vec![DiskSpec {
                id: DISK,
                label: "root".into(),
                size_bytes: 64 << 20,
            }],
            cpu_weight: 300,
            io_priority: 6,
        };
        let boot = BootSpec {
            label: "Debian".into(),
            kernel: "2.6".into(),
            devices: [("xvda".to_owned(), DISK)].into(),
            root_device: "/dev/xvda".into(),
            read_only_root: false,
            run_level: RunLevel::Default,
            ram_mb: 128,
            vcpus: 1,
            helpers: vec![],
        };
        Some(Self {
            given,
            dir,
            linode: LINODE,
            spec,
            boot,
            disks: vec![(DISK, disk)],
            _alone: alone,
        })
    }

    /// What an agent has after every start of its own: a new driver, the same folder.
    fn driver(&self) -> Xen {
        let text = format!(
            "prefix = \"t1\"\nbridge = \"xenbr0\"\nconsole_kb = 64\n\
             [[kernels]]\nid = \"2.6\"\nlabel = \"2.6\"\nfamily = \"2.6\"\npath = \"{0}/vmlinuz\"\ninitramfs = \"{0}/initramfs\"\n",
            self.given.display()
        );
        Xen::new(
            toml::from_str(&text).unwrap(),
            self.dir.path().join("driver"),
        )
        .unwrap()
    }

    fn start(&self) -> Result<(), String> {
        let guest = Guest {
            linode: self.linode,
            spec: &self.spec,
            boot: &self.boot,
            disks: &self.disks,
        };
        self.driver()
            .start(&guest)
            .map_err(|error| error.to_string())
    }

    fn started(&self) -> String {
        let begun = Instant::now();
        self.start().unwrap();
        eprintln!("xl create: {:.1} s", begun.elapsed().as_secs_f32());
        eventually("the guest answers", || get("/index.html"));
        self.id().expect("it runs")
    }

    fn id(&self) -> Option<String> {
        match self.driver().state(self.linode).unwrap() {
            GuestState::Running { id, .. } => Some(id),
            GuestState::Absent => None,
        }
    }

    fn stop(&self, limit: Duration) -> Stopped {
        let begun = Instant::now();
        let stopped = self.driver().stop(self.linode, limit).unwrap();
        eprintln!("stop, {stopped:?}: {:.1} s", begun.elapsed().as_secs_f32());
        assert_eq!(self.id(), None);
        assert!(!run("xl", &["list"]).contains("t1-"));
        assert!(!run("losetup", &["-a"]).contains("11.img"));
        stopped
    }

    /// The numbers the guest wrote, read from its disk by another program while it is off.
    fn written(&self) -> Vec<u64> {
        let said = run(
            "debugfs",
            &["-R", "cat /data/seq", self.disks[0].1.to_str().unwrap()],
        );
        said.lines().map(|line| line.parse().unwrap()).collect()
    }

    fn acked(&self) -> u64 {
        eventually("it writes", || {
            get("/acked")?.parse().ok().filter(|n| *n > 5)
        })
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "{}\n{}",
                run("xl", &["list", "-v"]),
                self.driver().console_tail(self.linode, 30)
            );
        }
        for linode in [LINODE, OTHER] {
            let _ = self.driver().stop(linode, Duration::ZERO);
            let _ = self.driver().withdraw(linode);
        }
    }
}

#[test]
fn starts_serves_is_found_again_and_stops_cleanly() {
    let Some(fixture) = Fixture::new(true) else {
        return;
    };
    let driver = fixture.driver();
    assert_eq!(driver.stop(LINODE, LIMIT).unwrap(), Stopped::WasAbsent);
    driver
        .preflight(LINODE, &fixture.spec, &fixture.boot)
        .unwrap();
    let mut large = fixture.boot.clone();
    large.ram_mb = 100_000;
    let error = driver.preflight(LINODE, &fixture.spec, &large).unwrap_err();
    assert!(error.to_string().contains("MB are free"), "{error}");
    let total = driver.memory_total_mb();
    assert!(total > 500 && total < 100_000, "{total}");
    for (what, found) in driver.examine() {
        eprintln!("{what}: {found:?}");
        assert!(found.is_ok() || what == "xendomains");
    }

    let id = fixture.started();
    let acked = fixture.acked();
    let driver = fixture.driver();
    assert_eq!(driver.guests().unwrap(), [LINODE]);
    assert_eq!(
        fixture.id().as_ref(),
        Some(&id),
        "the same run, as a new agent sees it"
    );
    driver.announce(LINODE, &fixture.spec).unwrap();
    assert_eq!(
        driver.maintain(),
        Vec::<String>::new(),
        "its rules are known"
    );
    tell("write");
    let sample = driver.sample(LINODE).unwrap();
    eprintln!("{sample:?}");
    assert!(sample.cpu_ms > 0 && sample.net_in_bytes > 0 && sample.net_out_bytes > 0);
    assert!(sample.disk_read_ops > 0 && sample.disk_read_bytes > 100_000);
    assert!(sample.disk_write_bytes > 4 << 20 && sample.disk_write_ops > 0);
    let console = driver.console_tail(LINODE, 50);
    assert!(console.contains("guest is up"), "{console}");
    let again = fixture.start().unwrap_err();
    assert!(again.contains("runs already"), "{again}");
    assert_eq!(fixture.id(), Some(id), "and that changed nothing");
    // Xen itself takes a little for each domain.
    let now = fixture.driver().memory_total_mb();
    assert!(
        (now - total).abs() <= 8,
        "{total} MB, and {now} beside a guest"
    );

    assert_eq!(fixture.stop(LIMIT), Stopped::Cleanly);
    assert!(driver.guests().unwrap().is_empty());
    let disk = fixture.disks[0].1.to_str().unwrap();
    let file_system = run("dumpe2fs", &["-h", disk]);
    assert!(!file_system.contains("needs_recovery"), "put away whole");
    assert_eq!(driver.stop(LINODE, LIMIT).unwrap(), Stopped::WasAbsent);
    driver.withdraw(LINODE).unwrap();
    driver.withdraw(LINODE).unwrap();
    assert!(!run("nft", &["list", "tables"]).contains("t18204"));
    let written = fixture.written();
    assert!(written.len() as u64 >= acked);
    assert!(
        written
            .iter()
            .zip(1..)
            .all(|(found, expected)| *found == expected)
    );
}

#[test]
fn shares_are_set_read_back_and_changed_live() {
    let Some(fixture) = Fixture::new(true) else {
        return;
    };
    fixture.started();
    let driver = fixture.driver();
    let share = eventually("its threads have their level", || {
        driver.share(LINODE).filter(|share| share.io_priority == 6)
    });
    assert_eq!(share.cpu_weight, 300);
    let new = Share {
        cpu_weight: 77,
        io_priority: 2,
    };
    driver.set_share(LINODE, new).unwrap();
    assert_eq!(driver.share(LINODE), Some(new));
    driver.set_share(LINODE, new).unwrap();
    // By the host's own tools, on the right threads.
    assert!(run("xl", &["sched-credit2", "-d", "t1-8204"]).contains(" 77 "));
    let domain = run("xl", &["domid", "t1-8204"]);
    let mut seen = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with(&format!("{}.xvda", domain.trim())) {
            let pid = entry.file_name().into_string().unwrap();
            assert_eq!(run("ionice", &["-p", &pid]).trim(), "best-effort: prio 2");
            seen += 1;
        }
    }
    assert!(seen > 0, "no disk thread");
    fixture.stop(Duration::ZERO);
}

#[test]
fn a_reboot_inside_is_the_guests_own_affair_and_no_stop_is_undone_by_it() {
    let Some(fixture) = Fixture::new(true) else {
        return;
    };
    let id = fixture.started();
    let first = get("/boot").unwrap();
    tell("reboot");
    eventually("it is back", || get("/boot").filter(|boot| *boot != first));
    let second = fixture.id().unwrap();
    assert_ne!(second, id);
    assert_eq!(
        second.split('.').nth(1),
        id.split('.').nth(1),
        "the same start"
    );
    let rules = run("nft", &["list", "table", "bridge", "t18204"]);
    assert!(rules.contains("10.77.0.10"));

    // Now in the window: the old domain is gone, the new one not there.
    tell("reboot");
    eventually("its port is gone", || {
        (!Path::new("/sys/class/net/t18204").exists()).then_some(())
    });
    assert!(fixture.id().is_some(), "not absent while it may come back");
    assert_ne!(fixture.stop(LIMIT), Stopped::WasAbsent);
    for _ in 0..10 {
        thread::sleep(Duration::from_secs(1));
        assert_eq!(fixture.id(), None, "it came back");
    }
}

#[test]
fn force_loses_nothing_that_was_synced_and_files_are_let_go() {
    let Some(fixture) = Fixture::new(false) else {
        return;
    };
    fixture.started();
    assert!(
        run("losetup", &["-a"]).contains("11.img"),
        "the disk is a file behind a loop device"
    );
    let acked = fixture.acked();
    let error = Command::new("sh")
        .args(["-c", "exec 9>>$0; sleep 60"])
        .arg(&fixture.disks[0].1)
        .spawn();
    let mut bystander = error.unwrap();
    let begun = Instant::now();
    let error = fixture.driver().stop(LINODE, Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("open for writing"), "{error}");
    eprintln!("refused to call it absent after {:?}", begun.elapsed());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    // The shell's child has it too.
    eventually("nobody writes the disk", || {
        fixture.driver().stop(LINODE, Duration::ZERO).ok()
    });
    let repair = Command::new("e2fsck")
        .arg("-p")
        .arg(&fixture.disks[0].1)
        .status()
        .unwrap();
    assert!(repair.code().is_some_and(|code| code <= 1), "{repair}");
    assert!(fixture.written().len() as u64 >= acked);

    // Somebody else holds the disk: it is not started over their head.
    let image = fixture.disks[0].1.to_str().unwrap();
    let device = run("losetup", &["--show", "-f", image]);
    let error = fixture.start().unwrap_err();
    assert!(error.contains("there is still: loop"), "{error}");
    run("losetup", &["-d", device.trim()]);
    fixture.started();
    fixture.stop(LIMIT);
}

#[test]
fn a_crash_ends_it_and_its_last_words_stay() {
    let Some(fixture) = Fixture::new(true) else {
        return;
    };
    fixture.started();
    tell("panic");
    eventually("it is absent", || fixture.id().is_none().then_some(()));
    let console = fixture.driver().console_tail(LINODE, 60);
    assert!(console.contains("Kernel panic"), "{console}");
    assert_eq!(
        fixture.driver().stop(LINODE, LIMIT).unwrap(),
        Stopped::WasAbsent
    );

    // No root: seen by whoever watches the start, and the reason is on the console.
    let disk = fixture.disks[0].1.to_str().unwrap().to_owned();
    run(
        "dd",
        &[
            "if=/dev/zero",
            &format!("of={disk}"),
            "bs=1M",
            "count=8",
            "status=none",
        ],
    );
    fixture.start().unwrap();
    eventually("it is absent", || fixture.id().is_none().then_some(()));
    let console = fixture.driver().console_tail(LINODE, 60);
    eprintln!("{console}");
    assert!(console.contains("xvda holds no file system"), "{console}");
}

#[test]
fn what_nobody_cleans_up_after_is_cleaned_up() {
    let Some(fixture) = Fixture::new(true) else {
        return;
    };
    let id = fixture.started();
    // The xl that waits for the domain's end is killed behind our back: the guest runs on, and is still seen.
    let keeper = run("pgrep", &["-f", "xl create .*t1-8204/domain.cfg"]);
    run("kill", &["-9", keeper.trim()]);
    assert_eq!(fixture.id(), Some(id.clone()));
    assert_eq!(fixture.driver().guests().unwrap(), [LINODE]);
    // It ends, and its domain stays: that is not a guest that runs.
    tell("reboot");
    eventually("it is absent", || fixture.id().is_none().then_some(()));
    assert!(!run("xl", &["list"]).contains("t1-8204"));
    fixture.started();
    assert_ne!(fixture.id(), Some(id));
    // And without it, a stop is as good.
    let keeper = run("pgrep", &["-f", "xl create .*t1-8204/domain.cfg"]);
    run("kill", &["-9", keeper.trim()]);
    assert_eq!(fixture.stop(LIMIT), Stopped::Cleanly);
}

#[test]
fn a_guest_can_use_its_own_addresses_only() {
    let Some(fixture) = Fixture::new(true) else {
        return;
    };
    fixture.started();
    run("ip", &["neigh", "flush", "dev", "xenbr0"]);
    // An address that is not its own: neither its answers nor its traffic get out.
    tell("address=10.77.0.77");
    assert_eq!(get_from("10.77.0.77", "/index.html"), None);
    assert!(!run("ip", &["neigh", "show", "10.77.0.77"]).contains("fe:fd"));
    assert!(get("/index.html").is_some(), "its own goes on");
    // Nor another card's: the bridge never hears of it.
    let heard = || run("bridge", &["fdb", "show", "br", "xenbr0"]).contains("fe:fd:00:00:00:99");
    tell("mac=fe:fd:00:00:00:99");
    for _ in 0..30 {
        thread::sleep(Duration::from_millis(200));
        assert!(!heard(), "a foreign MAC got into the bridge");
    }
    eventually("it has its card again", || get("/index.html"));
    // Without the rules both work: it is they that kept it.
    run("nft", &["delete", "table", "bridge", "t18204"]);
    run("ip", &["neigh", "flush", "dev", "xenbr0"]);
    eventually("the foreign address works", || {
        get_from("10.77.0.77", "/index.html")
    });
    run(
        "bridge",
        &["link", "set", "dev", "t18204", "learning", "on"],
    );
    tell("mac=fe:fd:00:00:00:99");
    eventually("the foreign MAC is heard", || heard().then_some(()));
    eventually("it has its card again", || get("/index.html"));
    // The next look notices, loads them again, and says so.
    let said = fixture.driver().maintain().concat();
    assert!(
        said.contains("rules of Linode 8204 were gone") && said.contains("loaded again"),
        "{said}"
    );
    assert_eq!(fixture.driver().maintain(), Vec::<String>::new());
    run("ip", &["neigh", "flush", "dev", "xenbr0"]);
    assert_eq!(get_from("10.77.0.77", "/index.html"), None);
    assert!(get("/index.html").is_some(), "its own goes on");
    // As when a host's own rules are loaded by a service that begins with this.
    run("nft", &["flush", "ruleset"]);
    assert_eq!(fixture.driver().maintain().len(), 1);
    assert_eq!(fixture.driver().maintain(), Vec::<String>::new());
    fixture.stop(Duration::ZERO);
}

#[test]
fn weights_decide_who_gets_the_processor() {
    let Some(mut fixture) = Fixture::new(true) else {
        return;
    };
    let shares = |fixture: &Fixture, weights: [i64; 2]| {
        let driver = fixture.driver();
        for (linode, weight) in [LINODE, OTHER].into_iter().zip(weights) {
            let now = driver.share(linode).unwrap();
            let share = Share {
                cpu_weight: weight,
                ..now
            };
            driver.set_share(linode, share).unwrap();
        }
        thread::sleep(Duration::from_secs(3));
        let first = [LINODE, OTHER].map(|linode| driver.sample(linode).unwrap());
        thread::sleep(Duration::from_secs(30));
        let second = [LINODE, OTHER].map(|linode| driver.sample(linode).unwrap());
        let used = [0, 1].map(|at: usize| second[at].cpu_ms - first[at].cpu_ms);
        eprintln!("weights {weights:?}: {used:?} ms of CPU");
        used[1] as f64 / used[0] as f64
    };
    fixture.started();
    tell("burn");
    // A second one, on a file; it needs no disk of its own to burn, and no address.
    let image = fixture.dir.path().join("12.img");
    fs::copy(fixture.given.join("guest.img"), &image).unwrap();
    let first = (fixture.linode, fixture.disks.clone());
    fixture.linode = OTHER;
    fixture.disks = vec![(DISK, image)];
    fixture.spec.mac = "fe:fd:40:16:47:b5".into();
    fixture.spec.addresses[0].address = "10.77.0.11".into();
    // Its init is a shell that burns.
    let begin = ["-w", "-R"];
    let script = fixture.dir.path().join("burn");
    fs::write(
        &script,
        "#!/bin/sh\nexport PATH=/bin\nmount -t proc proc /proc\nwhile :; do :; done\n",
    )
    .unwrap();
    let disk = fixture.disks[0].1.to_str().unwrap().to_owned();
    for request in [
        "rm /sbin/init".to_owned(),
        format!("write {} /sbin/init", script.display()),
        "sif /sbin/init mode 0100755".to_owned(),
    ] {
        run("debugfs", &[begin[0], begin[1], &request, &disk]);
    }
    fixture.start().unwrap();
    (fixture.linode, fixture.disks) = first;
    let driver = fixture.driver();
    eventually("both have disk threads", || {
        driver.share(OTHER).and(driver.share(LINODE))
    });
    // One processor for both, the other for the control domain.
    run("xl", &["vcpu-pin", "Domain-0", "all", "0"]);
    run("xl", &["vcpu-pin", "t1-8204", "all", "1"]);
    run("xl", &["vcpu-pin", "t1-8205", "all", "1"]);
    let equal = shares(&fixture, [256, 256]);
    let double = shares(&fixture, [256, 512]);
    run("xl", &["vcpu-pin", "Domain-0", "all", "all"]);
    eprintln!("1:{equal:.3} with equal weights, 1:{double:.3} with 1:2");
    assert!((0.9..1.1).contains(&equal), "{equal}");
    assert!((1.8..2.2).contains(&double), "{double}");
    driver.stop(OTHER, Duration::ZERO).unwrap();
    fixture.stop(Duration::ZERO);
}
