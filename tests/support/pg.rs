//! A PostgreSQL of this test program's own: made on first use, in memory-backed settings that no production has, ended
//! with the program (by a parent-death signal, so also when it is killed).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use xenbeta::store;
use xenbeta::store::db::Database;

pub struct Pg {
    port: u16,
    folder: PathBuf,
    next: AtomicU32,
}

static PG: OnceLock<Pg> = OnceLock::new();

/// The URL of a fresh database with the schema in it.
pub fn fresh_database() -> String {
    PG.get_or_init(start).fresh()
}

/// The same database by the server's socket, as a portal on its server's machine reaches it.
pub fn by_socket(url: &str) -> String {
    let pg = PG.get().expect("a server");
    let name = url.rsplit('/').next().unwrap_or_default();
    let (folder, port) = (pg.folder.display(), pg.port);
    format!("postgres:///{name}?host={folder}&port={port}&user=xenbeta")
}

impl Pg {
    fn url(&self, name: &str) -> String {
        format!("postgres://xenbeta@127.0.0.1:{}/{name}", self.port)
    }

    fn fresh(&self) -> String {
        let name = format!("test_{}", self.next.fetch_add(1, Ordering::Relaxed));
        let mut conn = PgConnection::establish(&self.url("postgres")).expect("the server is up");
        // Two copies of one template at once are refused: wait for the other test's.
        for attempt in 0.. {
            match conn.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE pattern")) {
                Ok(()) => break,
                Err(error) if attempt < 200 && error.to_string().contains("being accessed") => {
                    std::thread::sleep(Duration::from_millis(25));
                }
                Err(error) => panic!("create a database: {error}"),
            }
        }
        self.url(&name)
    }
}

pub fn binaries() -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is missing: run scripts/setup (Debian package postgresql)")
        .filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin")))
        .filter(|path| path.join("initdb").exists())
        .collect();
    versions.sort();
    versions
        .pop()
        .expect("PostgreSQL is missing: run scripts/setup (Debian package postgresql)")
}

/// PostgreSQL refuses to run as root.
pub fn as_nobody(program: &Path) -> Command {
    let root = std::fs::metadata("/proc/self")
        .is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if root {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command
        .arg(program)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

#[allow(clippy::zombie_processes, reason = "it lives as long as this program")]
fn start() -> Pg {
    let folder = fresh_folder();
    let bin = binaries();
    let data = folder.join("data");
    let made = as_nobody(&bin.join("initdb"))
        .args([
            "--auth=trust",
            "--username=xenbeta",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ])
        .arg(&data)
        .output()
        .expect("initdb runs");
    assert!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let port = super::port::free_port();
    let mut command = as_nobody(&bin.join("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
        .arg(&folder)
        .args([
            "-c",
            "fsync=off",
            "-c",
            "synchronous_commit=off",
            "-c",
            "full_page_writes=off",
        ])
        .args([
            "-c",
            "max_connections=400",
            "-c",
            "shared_buffers=64MB",
            "-c",
            "log_min_messages=warning",
        ])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).expect("a log"));
    // The death signal comes when the thread that started it ends: this one lives as long as the program.
    std::thread::spawn(move || {
        let _server = command.spawn().expect("postgres runs");
        loop {
            std::thread::park();
        }
    });
    let pg = Pg {
        port,
        folder,
        next: AtomicU32::new(0),
    };
    let until = Instant::now() + Duration::from_secs(60);
    let mut conn = loop {
        match PgConnection::establish(&pg.url("postgres")) {
            Ok(conn) => break conn,
            Err(error) => assert!(
                Instant::now() < until,
                "PostgreSQL does not come up: {error}"
            ),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    conn.batch_execute("CREATE DATABASE pattern")
        .expect("a database");
    let pattern = Database::open_any_schema(&pg.url("pattern"), 1).expect("the template opens");
    store::schema_migrations::up(&pattern).expect("the schema");
    pg
}

/// A folder named for this process; what ended processes left is removed.
fn fresh_folder() -> PathBuf {
    let base = std::env::temp_dir();
    for entry in std::fs::read_dir(&base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(pid) = name.strip_prefix("xenbeta-pg-")
            && !Path::new("/proc").join(pid).exists()
        {
            let _gone = std::fs::remove_dir_all(entry.path());
        }
    }
    let folder = base.join(format!("xenbeta-pg-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).ok();
    folder
}
