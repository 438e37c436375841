//! A PostgreSQL of one world's own, that can be restarted; durable against its own crash, not against the machine's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::pg::{as_nobody, binaries};
use crate::support::port::free_port;

pub struct Postgres {
    data: PathBuf,
    pub log: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    pub fn start(folder: &Path) -> Self {
        let data = folder.join("data");
        std::fs::create_dir_all(folder).unwrap();
        std::os::unix::fs::chown(folder, Some(65534), Some(65534)).ok();
        let made = as_nobody(&binaries().join("initdb"))
            .args(["--auth=trust", "--username=xenbeta", "--encoding=UTF8"])
            .args(["--no-locale", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut pg = Self {
            data,
            log: folder.join("log"),
            port: free_port(),
            child: None,
        };
        pg.up();
        pg.sql("CREATE DATABASE portal");
        pg
    }

    pub fn url(&self) -> String {
        self.url_of("portal")
    }

    fn url_of(&self, name: &str) -> String {
        format!("postgres://xenbeta@127.0.0.1:{}/{name}", self.port)
    }

    fn sql(&self, sql: &str) {
        let mut conn = PgConnection::establish(&self.url_of("postgres")).unwrap();
        conn.batch_execute(sql).unwrap();
    }

    fn up(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let child = as_nobody(&binaries().join("postgres"))
            .arg("-D")
            .arg(&self.data)
            .args(["-h", "127.0.0.1", "-k", "", "-p", &self.port.to_string()])
            .args(["-c", "fsync=off", "-c", "max_connections=100"])
            .args(["-c", "shared_buffers=32MB", "-c", "log_lock_waits=on"])
            .args(["-c", "log_min_duration_statement=3000"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(60);
        while let Err(error) = PgConnection::establish(&self.url_of("postgres")) {
            assert!(
                Instant::now() < until,
                "PostgreSQL does not come up: {error}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn down(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).ok();
        let until = Instant::now() + Duration::from_secs(30);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() >= until {
                kill_process(pid, Signal::QUIT).ok();
                child.wait().unwrap();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As `pg_ctl restart -m immediate`, or `-m fast`.
    pub fn restart(&mut self, immediate: bool, pause: Duration) {
        self.down(if immediate { Signal::QUIT } else { Signal::INT });
        std::thread::sleep(pause);
        self.up();
    }

    /// A dump of `pg_dump --format=custom` in the database's place, as one does by hand.
    pub fn put_back(&self, dump: &Path) {
        self.sql("DROP DATABASE portal WITH (FORCE)");
        self.sql("CREATE DATABASE portal");
        let done = Command::new(binaries().join("pg_restore"))
            .args(["--exit-on-error", "--dbname", &self.url()])
            .arg(dump)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.down(Signal::QUIT);
    }
}
