//! `xenbeta-demo` as a process: it comes up, ends without leaving anything running, and comes up again as it was.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use xenbeta::agent::process::ProcessRef;
use xenbeta::app::account::password::Hasher;
use xenbeta::app::clock::Clock;
use xenbeta::app::context::Actor;
use xenbeta::app::migration::actions::Click;
use xenbeta::app::secrets::{self, Secret, purpose};
use xenbeta::app::{App, Settings};
use xenbeta::domain::ids::{HostId, LinodeId, MigrationId};
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::receipt::sealed;
use xenbeta::domain::registration::RegistrationState;
use xenbeta::domain::values::{Patience, StopLimit};
use xenbeta::store;
use xenbeta::store::db::Database;
use xenbeta::store::error::StoreError;

use crate::support::witness;

/// The member's, with a 2.4 kernel.
const OLD_MAIL: LinodeId = LinodeId(4103);
const PATIENCE: Duration = Duration::from_secs(180);

struct Demo {
    folder: TempDir,
    child: Option<Child>,
}

impl Demo {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            child: None,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("demo")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenbeta-demo"));
        command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it says that it is ready.
    fn start(&mut self) -> Value {
        let said = self.folder.path().join("said");
        let out = fs::File::create(&said).unwrap();
        self.child = Some(
            self.command()
                .stdout(out.try_clone().unwrap())
                .stderr(out)
                .spawn()
                .unwrap(),
        );
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&said).unwrap();
            if text.contains("The demo is ready") {
                break;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "{text}");
            std::thread::sleep(Duration::from_millis(50));
        }
        serde_json::from_str(&fs::read_to_string(self.data().join("demo.json")).unwrap()).unwrap()
    }

    fn signal(&mut self, signal: Signal) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        ProcessRef::of(child.id()).unwrap().signal(signal).unwrap();
        child.wait().unwrap().code()
    }

    fn database(&self) -> Database {
        xenbeta::store::schema_migrations::open(self.data().join("portal.db").to_str().unwrap(), 1)
            .unwrap()
    }

    fn running(&self) -> usize {
        let all = self.database().read(|conn| {
            let mut all = Vec::new();
            for host in store::host::all(conn)? {
                all.extend(store::linode::linodes_on(conn, host.id)?);
            }
            Ok::<_, StoreError>(all)
        });
        all.unwrap()
            .iter()
            .filter(|linode| linode.status == LinodeStatus::Running)
            .count()
    }

    fn linode(&self, id: LinodeId) -> store::linode::Linode {
        let row = self.database().read(|conn| store::linode::linode(conn, id));
        row.unwrap().unwrap()
    }

    /// The whole way, clicked by its people; gives back the host it went to.
    fn moves_a_linode(&self) -> HostId {
        let database = self.data().join("portal.db");
        let secret = fs::read_to_string(self.data().join("secret")).unwrap();
        let app = App {
            db: xenbeta::store::schema_migrations::open(database.to_str().unwrap(), 2).unwrap(),
            clock: Clock::System,
            watch: xenbeta::app::clock::Watch::default(),
            secret: Arc::new(Secret::from_text(&secret).unwrap()),
            settings: Arc::new(Settings::default()),
            hasher: Arc::new(Hasher::new().unwrap()),
            doors: Arc::new(xenbeta::app::doors::Doors::new(&Clock::System)),
        };
        let actor = |email: &str| {
            let user = app
                .db
                .read(|conn| store::account::user_by_email(conn, email));
            Actor::of(&user.unwrap().unwrap(), "", None)
        };
        let (member, staff) = (actor("member@example.com"), actor("staff@example.com"));
        let registered = app.register(&member, &[OLD_MAIL]).unwrap();
        assert_eq!(registered.refused, vec![]);
        let row = app
            .db
            .read(|conn| store::registration::newest_of(conn, OLD_MAIL));
        let registration = row.unwrap().unwrap().id;
        app.approve(&staff, &[registration]).unwrap();
        let to = app.db.read(|conn| store::host::by_name(conn, "xen-beta-1"));
        let to = to.unwrap().unwrap().id;
        app.offer(&staff, registration, Some(to)).unwrap();
        let click = Click {
            at: None,
            patience: Patience::default(),
            accept_kernels: true,
            stop_limit: StopLimit(60),
            down_limit: None,
            try_first: false,
        };
        let row = app.migrate(&member, OLD_MAIL, click).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let now = app
                .db
                .read(|conn| store::migration::migration(conn, row.id));
            let now = now.unwrap().unwrap();
            match now.state {
                MigrationState::Finished => {
                    self.its_receipt_is_of_its_sealed_disks(&app, row.id);
                    return to;
                }
                MigrationState::Failed | MigrationState::Cancelled => panic!("{now:?}"),
                _ => assert!(Instant::now() < until, "{now:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What both agents computed is what `xenbeta verify` computes of the disks that the old host keeps.
    fn its_receipt_is_of_its_sealed_disks(&self, app: &App, id: MigrationId) {
        let file = app.receipt(None, id).unwrap();
        let receipt = sealed::open(file.as_bytes()).unwrap().receipt;
        let (path, keys) = (
            self.folder.path().join("r.json"),
            self.folder.path().join("k.json"),
        );
        fs::write(&path, &file).unwrap();
        fs::write(
            &keys,
            serde_json::to_vec(&app.receipt_keys().unwrap()).unwrap(),
        )
        .unwrap();
        let kept = self.data().join("hosts").join(&receipt.from.host);
        let kept = kept.join(format!("disks/linodes/{OLD_MAIL}/e1"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenbeta"));
        command.arg("verify").arg(&path).arg("--keys").arg(&keys);
        for disk in &receipt.disks {
            let image = kept.join(format!("{}.img", disk.id));
            command
                .arg("--disk")
                .arg(format!("{}={}", disk.id, image.display()));
        }
        let out = command.output().unwrap();
        assert!(out.status.success() && !receipt.disks.is_empty(), "{out:?}");
        assert!(receipt.times.started.is_some() && receipt.versions.source_agent.is_some());
    }

    /// Processes started with something in the folder.
    fn processes(&self) -> HashSet<u32> {
        let data = self.data();
        let about = |path: &Path| {
            let arguments = fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments)
                .split('\0')
                .any(|argument| Path::new(argument).starts_with(&data))
        };
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| about(&entry.path()))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        for pid in self.processes() {
            if let Some(process) = ProcessRef::of(pid) {
                let _ = process.signal(Signal::KILL);
            }
        }
    }
}

#[test]
fn it_comes_up_ends_and_comes_up_again() {
    let mut demo = Demo::new();
    let first = demo.start();
    for who in ["member", "other_member", "staff"] {
        for field in ["email", "password", "token"] {
            assert!(first[who][field].as_str().unwrap().len() >= 16, "{first}");
        }
    }
    assert_eq!(first["hosts"].as_array().unwrap().len(), 5);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(demo.data().join("demo.json"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "passwords are in it");
    assert_eq!(demo.running(), 41);
    let waiting = demo
        .database()
        .read(|conn| store::registration::count(conn, RegistrationState::Requested));
    assert_eq!(waiting.unwrap(), 31);
    let token = secrets::hash(purpose::API, first["member"]["token"].as_str().unwrap());
    let known = demo.database().read(|conn| {
        use diesel::prelude::*;
        use xenbeta::store::schema::api_tokens;
        let known = api_tokens::table.filter(api_tokens::hash.eq(&token));
        Ok::<i64, StoreError>(known.count().get_result(conn)?)
    });
    assert_eq!(known.unwrap(), 1);

    let second = demo.command().output().unwrap();
    let why = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && why.contains("another demo runs on"),
        "{why}"
    );
    let listen = first["url"].as_str().unwrap().replace("http://", "");
    let elsewhere = Command::new(env!("CARGO_BIN_EXE_xenbeta-demo"))
        .args(["--listen", &listen, "--data"])
        .arg(demo.folder.path().join("another"))
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    assert!(
        why.contains("cannot listen on") && why.contains("--listen"),
        "{why}"
    );

    let new_home = demo.moves_a_linode();
    assert_eq!(demo.signal(Signal::TERM), Some(0));
    assert_eq!(demo.processes(), HashSet::new(), "nothing runs on");

    let again = demo.start();
    assert_eq!(again["member"], first["member"]);
    assert_eq!(again["staff"], first["staff"]);
    assert_eq!(demo.running(), 41);
    assert_eq!(demo.linode(OLD_MAIL).host_id, new_home, "it stays moved");
    let waiting = demo
        .database()
        .read(|conn| store::registration::count(conn, RegistrationState::Requested));
    assert_eq!(waiting.unwrap(), 31, "nobody registers twice");

    // Killed, it leaves agents and guests; the next one finds them and takes over.
    let mut killed = demo.child.take().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap(); // until then it may still hold the folder's lock
    let guests = demo.processes().len();
    assert!(guests > 41, "{guests}");
    demo.start();
    assert_eq!(demo.running(), 41);
    assert_eq!(demo.signal(Signal::INT), Some(0));
    assert_eq!(demo.processes(), HashSet::new());
    let verdict = witness::judge(&demo.data().join("witness.log")).unwrap();
    assert_eq!(verdict.violations, Vec::<String>::new());
}
