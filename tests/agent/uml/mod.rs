//! The `uml` driver with real guests, in a network namespace of the test's own. Needs root and Debian's `user-mode-linux`;
//! says so and does nothing where they are missing.

mod jail;
mod trial;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use xenbeta::agent::driver::uml::Uml;
use xenbeta::agent::driver::{Driver, Guest, GuestState, Stopped};
use xenbeta::agent::initramfs::{self, Compression, Options, Set};
use xenbeta::domain::ids::{DiskId, IpId, LinodeId};
use xenbeta::domain::linode::{Helper, IpKind, RunLevel};
use xenbeta::wire::{AddressSpec, BootSpec, DiskSpec, GuestSpec};

use crate::agents::PROGRAM;
use crate::samples::One;

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/uml/guest");
/// Set in the copy of this test that runs in the namespace.
const INSIDE: &str = "XENBETA_TEST_NETNS";
const LINODE: LinodeId = LinodeId(8204);
const DISK: DiskId = DiskId(11);
/// What a guest gets to shut down.
const LIMIT: Duration = Duration::from_secs(20);
/// What anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A network namespace that is gone with this value, and with it everything in it.
struct Netns(String);

impl Netns {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("xbtest{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let namespace = Self(name);
        for line in [
            "link set lo up",
            "link add br0 type bridge",
            "addr add 10.77.0.1/24 dev br0",
            "link set br0 up",
        ] {
            let mut args = vec!["-n", namespace.0.as_str()];
            args.extend(line.split(' '));
            run("ip", &args);
        }
        namespace
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        run("ip", &["netns", "delete", &self.0]);
    }
}

#[test]
fn real_guests_start_stop_and_are_found_again() {
    in_a_namespace("uml::real_guests_start_stop_and_are_found_again", inside);
}

/// Runs `test`, which is this test, by this program in a network namespace. Says so and does nothing where that cannot be.
fn in_a_namespace(name: &str, test: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let missing = run(TOOL, &["missing"]);
    if !rustix::process::geteuid().is_root() || !missing.is_empty() {
        eprintln!("SKIPPED: real UML guests need root and the packages {missing:?}");
        return;
    }
    // Rarely a guest's kernel panics by itself: the first process of an emulated boot dies (seen in 2 of some 150 boots, not
    // explained). That is not the driver's doing, and only then it is tried again.
    for attempt in 1..=3 {
        let (fine, said) = run_inside(name);
        // Indented, so that its own count is not taken for this run's.
        eprintln!("  | {}", said.replace('\n', "\n  | "));
        if fine {
            return;
        }
        assert!(said.contains("Kernel panic - not syncing"), "see above");
        eprintln!("attempt {attempt}: the guest's own kernel panicked");
    }
    panic!("a guest's kernel panicked in each of three attempts");
}

/// Did it pass, and what did it say?
fn run_inside(test: &str) -> (bool, String) {
    let namespace = Netns::new();
    let me = std::env::current_exe().unwrap();
    let output = Command::new("ip")
        .args(["netns", "exec", &namespace.0])
        .arg(me)
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(INSIDE, &namespace.0)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

struct Fixture {
    dir: tempfile::TempDir,
    spec: GuestSpec,
    boot: BootSpec,
    disks: Vec<(DiskId, PathBuf)>,
    jail: &'static str,
    /// Tests run side by side, with Linodes of one number: each has users of its own.
    first_uid: u32,
    /// In the kernel's place.
    kernel: PathBuf,
}

impl Fixture {
    fn new(jail: &'static str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("11.img");
        run(
            TOOL,
            &[
                "image",
                image.to_str().unwrap(),
                "10.77.0.10/24",
                "10.77.0.1",
            ],
        );
        let spec = GuestSpec {
            label: "web-01".into(),
            ram_mb: 64,
            mac: "fe:fd:40:16:47:b4".into(),
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
            cpu_weight: 64,
            io_priority: 4,
        };
        let boot = BootSpec {
            label: "Debian".into(),
            kernel: "2.6".into(),
            devices: [("ubda".to_owned(), DISK)].into(),
            root_device: "/dev/ubda".into(),
            read_only_root: false,
            run_level: RunLevel::Default,
            ram_mb: 64,
            vcpus: 1,
            helpers: vec![],
        };
        Self {
            dir,
            spec,
            boot,
            disks: vec![(DISK, image)],
            jail,
            first_uid: 1_000_000_000 + (std::process::id() % 45_000 * 2 + number % 2) * 10_000,
            kernel: "/usr/bin/linux.uml".into(),
        }
    }

    /// The user of the Linode's guest.
    fn uid(&self) -> u32 {
        self.first_uid + u32::try_from(LINODE.0).unwrap()
    }

    /// What an agent has after every start of its own: a new driver, the same folders.
    fn driver(&self) -> Uml {
        self.driver_with(self.jail)
    }

    fn driver_with(&self, jail: &str) -> Uml {
        let path = |name: &str| self.dir.path().join(name);
        let text = format!(
            "prefix = \"t1\"\nbridge = \"br0\"\nmemory_mb = 100\numl_dir = \"{}\"\nconsole_kb = 64\n\
             jail = \"{}\"\nfirst_uid = {}\nprogram = \"{PROGRAM}\"\n\
             [[kernels]]\nid = \"2.6\"\nlabel = \"2.6\"\nfamily = \"2.6\"\npath = \"{}\"\n\
             [[kernels]]\nid = \"2.6-helpers\"\nlabel = \"2.6\"\nfamily = \"2.6\"\npath = \"/usr/bin/linux.uml\"\n\
             initramfs = \"{}\"\n",
            path("uml").display(),
            jail,
            self.first_uid,
            self.kernel.display(),
            path("initramfs").display()
        );
        Uml::new(toml::from_str(&text).unwrap(), path("driver")).unwrap()
    }

    fn start(&self) -> Result<(), String> {
        let guest = Guest {
            linode: LINODE,
            spec: &self.spec,
            boot: &self.boot,
            disks: &self.disks,
        };
        self.driver()
            .start(&guest)
            .map_err(|error| error.to_string())
    }

    fn id(&self) -> Option<String> {
        match self.driver().state(LINODE).unwrap() {
            GuestState::Running { id, .. } => Some(id),
            GuestState::Absent => None,
        }
    }

    fn pid(&self) -> String {
        let id = self.id().unwrap();
        id.split(':').next().unwrap().to_owned()
    }

    /// The numbers the guest wrote, read from its disk by another program while it is off.
    fn written(&self) -> Vec<u64> {
        let image = self.disks[0].1.to_str().unwrap();
        let said = run("debugfs", &["-R", "cat /data/seq", image]);
        said.lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// If an assertion fails, no guest is left behind.
struct StopAtEnd<'a>(&'a Fixture);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.0.driver().console_tail(LINODE, 80));
            let _ = self.0.driver().stop(LINODE, Duration::ZERO);
        }
    }
}

fn get(path: &str) -> Option<String> {
    get_within(Duration::from_secs(2), path)
}

fn get_within(limit: Duration, path: &str) -> Option<String> {
    let address = "10.77.0.10:80".parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.trim().to_owned())
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn inside() {
    let mut fixture = Fixture::new("required");
    helpers_run_before_the_guests_init(&mut fixture);
    refuses_what_cannot_run(&fixture);
    lives(&fixture);
    // As the last release started all of them.
    let plain = Fixture::new("none");
    lives(&plain);
}

fn lives(fixture: &Fixture) {
    let _guard = StopAtEnd(fixture);
    starts_serves_and_stops_cleanly(fixture);
    a_reboot_inside_is_the_guests_own_affair(fixture);
    force_and_killed_guests(fixture);
    fixture.driver().withdraw(LINODE).unwrap();
    fixture.driver().withdraw(LINODE).unwrap();
    assert!(!Path::new("/sys/class/net/t18204").exists());
}

fn helpers_run_before_the_guests_init(fixture: &mut Fixture) {
    let (plain, path) = (fixture.boot.clone(), |name: &str| {
        fixture.dir.path().join(name)
    });
    fixture.boot.kernel = "2.6-helpers".into();
    fixture.boot.helpers = vec![Helper::Console, Helper::Fstab];
    let error = fixture.start().unwrap_err();
    assert!(error.contains("initramfs is not there"), "{error}");
    let modules = fs::read_dir("/usr/lib/uml/modules")
        .unwrap()
        .next()
        .unwrap();
    let built = initramfs::build(&Options {
        modules_dir: modules.unwrap().path(),
        busybox: "/bin/busybox".into(),
        modules: vec![],
        set: Set::None,
        compression: Compression::Gzip,
    });
    initramfs::write(&path("initramfs"), &built.unwrap().bytes).unwrap();
    // As it was on Xen.
    let image = fixture.disks[0].1.to_str().unwrap().to_owned();
    fs::write(path("fstab"), "/dev/xvda / ext4 defaults 0 1\n").unwrap();
    let put = format!("write {} /etc/fstab", path("fstab").display());
    run("debugfs", &["-w", "-R", &put, &image]);

    fixture.start().unwrap();
    {
        let _guard = StopAtEnd(fixture);
        eventually("the guest answers", || get("/index.html"));
        let console = fixture.driver().console_tail(LINODE, 50);
        assert!(
            console.contains("xenbeta: fstab: changed /etc/fstab"),
            "{console}"
        );
        assert_eq!(
            fixture.driver().stop(LINODE, LIMIT).unwrap(),
            Stopped::Cleanly
        );
    }
    let said = run("debugfs", &["-R", "cat /etc/fstab", &image]);
    assert_eq!(said, "/dev/ubda / ext4 defaults 0 1\n");
    run("debugfs", &["-w", "-R", "rm /data/seq", &image]);
    fixture.boot = plain;
}

fn refuses_what_cannot_run(fixture: &Fixture) {
    let driver = fixture.driver();
    let mut boot = fixture.boot.clone();
    driver.preflight(LINODE, &fixture.spec, &boot).unwrap();
    boot.ram_mb = 128;
    let error = driver.preflight(LINODE, &fixture.spec, &boot).unwrap_err();
    assert!(error.to_string().contains("100 MB are free"), "{error}");
    boot.ram_mb = 64;
    assert!(!driver.runs_helpers(&boot), "no initramfs");
    boot.kernel = "2.6-helpers".into();
    assert!(driver.runs_helpers(&boot));
    boot.kernel = "2.4".into();
    let error = driver.preflight(LINODE, &fixture.spec, &boot).unwrap_err();
    assert!(error.to_string().contains("2.4"), "{error}");
    assert_eq!(driver.stop(LINODE, LIMIT).unwrap(), Stopped::WasAbsent);
}

fn starts_serves_and_stops_cleanly(fixture: &Fixture) {
    let begun = Instant::now();
    fixture.start().unwrap();
    let id = fixture.id().expect("it runs");
    eventually("the guest answers", || get("/index.html"));
    eprintln!("start to first answer: {:?}", begun.elapsed());
    let acked: u64 = eventually("it writes", || {
        get("/acked")?.parse().ok().filter(|n| *n > 5)
    });

    // The agent of today, whoever started it.
    let driver = fixture.driver_with("required");
    assert_eq!(driver.guests().unwrap(), [LINODE]);
    assert_eq!(
        fixture.id().as_ref(),
        Some(&id),
        "the same run, as a new agent sees it"
    );
    driver.announce(LINODE, &fixture.spec).unwrap();
    let sample = driver.sample(LINODE).unwrap();
    assert!(sample.cpu_ms > 0 && sample.net_in_bytes > 0 && sample.net_out_bytes > 0);
    assert!(driver.console_tail(LINODE, 50).contains("guest is up"));
    let again = fixture.start().unwrap_err();
    assert!(again.contains("runs already"), "{again}");
    // Memory of what runs is not free for another; it is for the same one.
    let other = driver.preflight(LinodeId(1), &fixture.spec, &fixture.boot);
    assert!(other.unwrap_err().to_string().contains("36 MB are free"));
    driver
        .preflight(LINODE, &fixture.spec, &fixture.boot)
        .unwrap();

    let begun = Instant::now();
    assert_eq!(driver.stop(LINODE, LIMIT).unwrap(), Stopped::Cleanly);
    eprintln!("clean stop: {:?}", begun.elapsed());
    assert_eq!(fixture.id(), None);
    assert!(driver.guests().unwrap().is_empty());
    let written = fixture.written();
    assert!(written.len() as u64 >= acked);
    assert!(
        written
            .iter()
            .zip(1..)
            .all(|(found, expected)| *found == expected)
    );
}

fn a_reboot_inside_is_the_guests_own_affair(fixture: &Fixture) {
    fixture.start().unwrap();
    let first = eventually("the guest answers", || get("/boot"));
    let id = fixture.id();
    // What `reboot` in the guest does, asked from outside through UML's own tool, so without the driver knowing.
    let uml_dir = match fixture.jail {
        "none" => fixture.dir.path().join("uml/t1-linode-8204/mconsole"),
        _ => PathBuf::from(format!(
            "/proc/{}/root/u/t1-linode-8204/mconsole",
            fixture.pid()
        )),
    };
    let ask = || {
        let tool = ["2", "uml_mconsole", uml_dir.to_str().unwrap(), "cad"];
        Command::new("timeout").args(tool).status().unwrap()
    };
    // The tool waits for an answer that a guest sometimes never gives; that it comes back is what counts.
    let mut asked = Instant::now();
    let mut answers = vec![ask()];
    eventually("it is back", || {
        let boot = get("/boot")?;
        if boot == first && asked.elapsed() > Duration::from_secs(10) {
            asked = Instant::now();
            answers.push(ask());
        }
        (boot != first).then_some(())
    });
    eprintln!("asked to reboot: {answers:?}");
    assert_eq!(fixture.id(), id, "the same process all along");
    assert_eq!(
        fixture.driver().stop(LINODE, LIMIT).unwrap(),
        Stopped::Cleanly
    );
}

fn force_and_killed_guests(fixture: &Fixture) {
    // No time given: by force, and nothing written before is lost.
    fixture.start().unwrap();
    let acked: u64 = eventually("it writes", || {
        get("/acked")?.parse().ok().filter(|n| *n > 5)
    });
    assert_eq!(
        fixture.driver().stop(LINODE, Duration::ZERO).unwrap(),
        Stopped::ByForce
    );
    assert_eq!(fixture.id(), None);
    // 1 is "repaired": the journal was replayed.
    let repair = Command::new("e2fsck")
        .arg("-p")
        .arg(&fixture.disks[0].1)
        .status()
        .unwrap();
    assert!(repair.code().is_some_and(|code| code <= 1), "{repair}");
    assert!(fixture.written().len() as u64 >= acked);

    if fixture.jail == "required" {
        killed_behind_our_back_all_is_gone(fixture);
    } else {
        killed_behind_our_back_helpers_are_not_absent(fixture);
    }

    // Somebody else writes the disk: neither start nor a false "absent".
    let image = fs::OpenOptions::new()
        .append(true)
        .open(&fixture.disks[0].1)
        .unwrap();
    let mut bystander = Command::new("sleep")
        .arg("60")
        .stdout(Stdio::from(image))
        .spawn()
        .unwrap();
    let error = fixture.start().unwrap_err();
    assert!(error.contains("open for writing"), "{error}");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    fixture.start().unwrap();
    assert_eq!(
        fixture.driver().stop(LINODE, Duration::ZERO).unwrap(),
        Stopped::ByForce
    );
}

/// Its main process killed: helpers still hold the disk, and that is not "absent".
fn killed_behind_our_back_helpers_are_not_absent(fixture: &Fixture) {
    fixture.start().unwrap();
    eventually("the guest answers", || get("/index.html"));
    let id = fixture.id().unwrap();
    let pid = fixture.pid();
    run("kill", &["-9", &pid]);
    eventually("its main process is gone", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
    assert!(fixture.id().is_some_and(|now| now != id));
    assert!(fixture.start().unwrap_err().contains("runs already"));
    assert_eq!(
        fixture.driver().stop(LINODE, LIMIT).unwrap(),
        Stopped::ByForce
    );
    assert_eq!(fixture.id(), None);
}

/// The jail ends as one.
fn killed_behind_our_back_all_is_gone(fixture: &Fixture) {
    fixture.start().unwrap();
    eventually("the guest answers", || get("/index.html"));
    run("kill", &["-9", &fixture.pid()]);
    eventually("it is gone", || fixture.id().is_none().then_some(()));
    assert_eq!(
        fixture.driver().stop(LINODE, LIMIT).unwrap(),
        Stopped::WasAbsent
    );
}
