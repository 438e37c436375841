//! A guest's root, and code in the place of its kernel, try to get out of the jail.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::*;

const ATTACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/uml/attack.c");
const GUEST_ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/uml/attack.sh");
/// As `console_kb` of the fixture, and as much of what was before.
const CONSOLE: u64 = 2 * 64 * 1024;

#[test]
fn code_in_the_kernels_place_reaches_nothing() {
    in_a_namespace(
        "uml::jail::code_in_the_kernels_place_reaches_nothing",
        || {
            let mut fixture = Fixture::new("required");
            fixture.kernel = fixture.dir.path().join("attack");
            let out = fixture.kernel.to_str().unwrap();
            run("cc", &["-O1", "-Wall", "-o", out, ATTACK]);
            run("ip", &["tuntap", "add", "dev", "t1other", "mode", "tap"]);
            let name = SocketAddr::from_abstract_name("xenbeta-jail-test").unwrap();
            let host = UnixDatagram::bind_addr(&name).unwrap();
            host.set_nonblocking(true).unwrap();

            let error = fixture.start().unwrap_err();
            assert!(error.contains("ended as it started"), "{error}");
            let said = fixture.driver().console_tail(LINODE, 1000);
            let lines = |word: &str| -> Vec<String> {
                let found = said
                    .lines()
                    .filter_map(|line| line.trim().strip_prefix(word));
                found.map(|rest| rest.trim().to_owned()).collect()
            };
            assert_eq!(lines("BROKEN"), Vec::<String>::new(), "{said}");
            let tried: u32 = lines("TRIED")[0].parse().unwrap();
            assert!(tried > 90, "{said}");
            assert!(host.recv(&mut [0; 8]).is_err(), "the host heard something");

            let reached: BTreeSet<String> = lines("REACHES").into_iter().collect();
            let loader = |path: &&String| !path.starts_with("/lib");
            let reached: Vec<&String> = reached.iter().filter(loader).collect();
            let expected = [
                "/",
                "/boot",
                "/boot/linux",
                "/dev",
                "/dev/null writes",
                "/dev/random writes",
                "/dev/shm",
                "/dev/urandom writes",
                "/disks",
                "/disks/11 writes",
                "/kernel",
                "/preload.so",
                "/proc",
                "/proc/cpuinfo",
                "/u",
            ];
            assert_eq!(reached, expected);
            let forks: u32 = lines("FORKS")[0].parse().unwrap();
            assert!(forks < 400, "{forks}");
            let filled: Vec<u64> = lines("FILLS")[0]
                .split(' ')
                .map(|n| n.parse().unwrap())
                .collect();
            assert!(filled[0] <= 65 && filled[1] <= 32, "{filled:?}");
            assert_eq!(processes_of(fixture.uid()), 0);
            fixture.driver().withdraw(LINODE).unwrap();
        },
    );
}

#[test]
fn a_guests_root_reaches_nothing() {
    in_a_namespace("uml::jail::a_guests_root_reaches_nothing", || {
        let (fixture, _device) = hostile_guest();
        let _guard = StopAtEnd(&fixture);
        let most = Cell::new(0);
        let report = || {
            eventually("the report", || {
                most.set(most.get().max(processes_of(fixture.uid())));
                get("/report").filter(|it| it.contains("DONE"))
            })
        };
        fixture.start().unwrap();
        let first = report();
        let boot = get("/boot").unwrap();
        assert!(first.contains("COW written"), "{first}");
        assert_eq!(
            fixture.driver().stop(LINODE, LIMIT).unwrap(),
            Stopped::Cleanly
        );

        // Started again, the disk with the header is what it was.
        fixture.start().unwrap();
        let second = report();
        assert!(
            get("/boot").unwrap() != boot && second.contains("COW kept"),
            "{second}"
        );
        for said in [&first, &second] {
            assert!(!said.contains("BROKEN"), "{said}");
            assert!(
                said.contains("HOSTFS-MOUNTS ") && !said.contains("HOSTFS-MOUNTS 0"),
                "{said}"
            );
        }
        let most = most.get();
        assert!((200..=400).contains(&most), "{most} processes on the host");
        let of = |name: &str| fixture.dir.path().join("driver/linode-8204").join(name);
        let console: u64 = [of("console"), of("console.old")]
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum();
        assert!(console <= CONSOLE, "{console}");
        native_code_ends_with_its_kernel(&fixture);
    });
}

/// Programs that compute run as they are, in processes that UML traces: killed, it lets go of them.
fn native_code_ends_with_its_kernel(fixture: &Fixture) {
    eventually("it computes", || get("/boot"));
    run("kill", &["-9", &fixture.pid()]);
    eventually("nothing of it runs", || {
        (processes_of(fixture.uid()) == 0).then_some(())
    });
}

/// A real guest whose root runs `attack.sh`, with a second disk for it.
fn hostile_guest() -> (Fixture, Device) {
    let mut fixture = Fixture::new("required");
    let path = |name: &str| fixture.dir.path().join(name);
    fs::write(
        path("inittab"),
        include_str!("../../lab/uml/rootfs/inittab").to_owned() + "::once:/etc/attack\n",
    )
    .unwrap();
    fs::write(path("header"), cow_header(&fixture.disks[0].1)).unwrap();
    let second = path("12.img");
    fs::write(&second, vec![0; 1 << 20]).unwrap();
    let image = fixture.disks[0].1.to_str().unwrap().to_owned();
    let put = |from: &str, to: &str| {
        for line in [format!("rm {to}"), format!("write {from} {to}")] {
            run("debugfs", &["-w", "-R", &line, &image]);
        }
    };
    put(path("inittab").to_str().unwrap(), "/etc/inittab");
    put(path("header").to_str().unwrap(), "/etc/header");
    put(GUEST_ROOT, "/etc/attack");
    run(
        "debugfs",
        &[
            "-w",
            "-R",
            "set_inode_field /etc/attack mode 0100755",
            &image,
        ],
    );
    // Room for its processes: what counts is the host's limit, not its own.
    (fixture.spec.ram_mb, fixture.boot.ram_mb) = (96, 96);
    let disk = DiskId(12);
    fixture.spec.disks.push(DiskSpec {
        id: disk,
        label: "data".into(),
        size_bytes: 1 << 20,
    });
    fixture.boot.devices.insert("ubdb".into(), disk);
    let device = Device::of(&second);
    fixture.disks.push((disk, device.0.clone()));
    (fixture, device)
}

/// A block device, as a volume is one.
struct Device(PathBuf);

impl Device {
    fn of(file: &Path) -> Self {
        let said = run("losetup", &["--find", "--show", file.to_str().unwrap()]);
        Self(said.trim().into())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        run("losetup", &["--detach", self.0.to_str().unwrap()]);
    }
}

/// As UML's own `uml_mkcow` writes it (version 3): all numbers with their highest byte first.
/// It names the first disk, which the guest may see: of a file that is not in the jail UML could not even ask the size.
fn cow_header(of: &Path) -> Vec<u8> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(of).unwrap();
    let mut header = Vec::new();
    for word in [0x4f4f_4f4d_u32, 3, u32::try_from(meta.mtime()).unwrap()] {
        header.extend(word.to_be_bytes());
    }
    header.extend(meta.len().to_be_bytes());
    for word in [512_u32, 4096, 0] {
        header.extend(word.to_be_bytes());
    }
    header.extend(b"/disks/11");
    header.resize(8192, 0);
    header
}

/// Zombies run nothing.
pub(super) fn processes_of(uid: u32) -> usize {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter(|entry| entry.metadata().is_ok_and(|meta| meta.uid() == uid));
    let stat = |path: PathBuf| fs::read_to_string(path.join("stat")).unwrap_or_default();
    pids.map(|entry| stat(entry.path()))
        .filter(|stat| stat.contains(") ") && !stat.contains(") Z "))
        .count()
}

/// What a jail costs, beside none: `cargo test --no-default-features --features agent --test agent uml::jail::costs -- --ignored --nocapture`.
#[test]
#[ignore = "figures, for an idle machine"]
fn costs() {
    in_a_namespace("uml::jail::costs", || {
        let mut rows: Vec<[Vec<u64>; 4]> = vec![Default::default(), Default::default()];
        let guests = ["none", "required"].map(measured_guest);
        for _ in 0..5 {
            for (fixture, row) in guests.iter().zip(&mut rows) {
                let begun = Instant::now();
                fixture.start().unwrap();
                eventually("the guest answers", || get("/index.html"));
                row[0].push(begun.elapsed().as_millis() as u64);
                row[1].push(memory_kib(fixture));
                for (at, page) in [(2, "/cgi-bin/read"), (3, "/cgi-bin/write")] {
                    let begun = Instant::now();
                    assert!(get_within(PATIENCE, page).unwrap().contains("done"));
                    row[at].push(64_000 / begun.elapsed().as_millis() as u64);
                }
                fixture.driver().stop(LINODE, LIMIT).unwrap();
            }
        }
        eprintln!("medians of five      boot ms   host KiB   read MB/s  write MB/s");
        for (jail, row) in ["none", "required"].iter().zip(&mut rows) {
            let median = |values: &mut Vec<u64>| {
                values.sort_unstable();
                values[2]
            };
            let medians: Vec<String> = row
                .iter_mut()
                .map(|it| format!("{:>10}", median(it)))
                .collect();
            eprintln!("jail = {jail:<12} {}", medians.join(" "));
        }
    });
}

/// What the guest and its jail have of the host's memory beside the guest's own: programs are files, which all guests share.
fn memory_kib(fixture: &Fixture) -> u64 {
    let main: u32 = fixture.pid().parse().unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let session = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?
            .1
            .split(' ')
            .nth(3)?
            .parse::<u32>()
            .ok()
    };
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pss = |pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss_Anon:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    pids.filter(|pid| session(*pid) == Some(main))
        .filter_map(pss)
        .sum()
}

/// One that reads and writes its second disk when asked.
fn measured_guest(jail: &'static str) -> Fixture {
    let mut fixture = Fixture::new(jail);
    let image = fixture.disks[0].1.to_str().unwrap().to_owned();
    run("debugfs", &["-w", "-R", "mkdir /www/cgi-bin", &image]);
    for (name, what) in [
        ("read", "if=/dev/ubdb of=/dev/null bs=1M"),
        (
            "write",
            "if=/dev/zero of=/dev/ubdb bs=1M count=64 conv=fsync",
        ),
    ] {
        let script = fixture.dir.path().join(name);
        fs::write(
            &script,
            format!("#!/bin/sh\nprintf 'Content-type: text/plain\\r\\n\\r\\n'; echo 3 > /proc/sys/vm/drop_caches; dd {what} && echo done\n"),
        )
        .unwrap();
        for line in [
            format!("write {} /www/cgi-bin/{name}", script.display()),
            format!("set_inode_field /www/cgi-bin/{name} mode 0100755"),
        ] {
            run("debugfs", &["-w", "-R", &line, &image]);
        }
    }
    let second = fixture.dir.path().join("12.img");
    fs::write(&second, vec![1; 64 << 20]).unwrap();
    fixture.boot.devices.insert("ubdb".into(), DiskId(12));
    fixture.spec.disks.push(DiskSpec {
        id: DiskId(12),
        label: "data".into(),
        size_bytes: 64 << 20,
    });
    fixture.disks.push((DiskId(12), second));
    fixture
}
