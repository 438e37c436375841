//! What the portal writes and reads is not everybody's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::SECRET;
use crate::support::port::free_address;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// With the umask that most systems give.
fn xenbeta(arguments: &str) -> Command {
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_xenbeta");
    command
        .args(["-c", &format!("umask 022; exec {program} {arguments}")])
        .env_remove("DATABASE_URL");
    command
}

fn refusal(arguments: &str) -> String {
    let out: Output = xenbeta(arguments).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn a_database_is_its_users_alone_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (config, secret) = (at("portal.toml"), at("secret"));
    let text = format!(
        "listen = \"{}\"\ndatabase_url = {:?}\nsecret_file = {secret:?}\n[mail]\ntransport = \"folder\"\nfolder = {:?}\nfrom = \"beta@example.com\"\n",
        free_address(),
        at("portal.db"),
        at("mail")
    );
    fs::write(&config, text).unwrap();
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
    let config = config.display();
    let out = xenbeta(&format!("schema up --config {config}"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    assert_eq!(mode(&at("portal.db")), 0o600);

    // One that an earlier release made.
    fs::set_permissions(at("portal.db"), Permissions::from_mode(0o644)).unwrap();
    let mut portal = xenbeta(&format!("serve --config {config}"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while mode(&at("portal.db")) != 0o600 || !at("mail").exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it is open still"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    portal.kill().unwrap();
    portal.wait().unwrap();
    assert_eq!(mode(&at("mail")), 0o700);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let is_ours = path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("portal.db");
        assert!(
            !is_ours || mode(&path) & 0o077 == 0,
            "{path:?}: {:o}",
            mode(&path)
        );
    }
}

#[test]
fn a_secret_that_everybody_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (config, secret) = (at("portal.toml"), at("secret"));
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let text = format!(
        "database_url = {:?}\nsecret_file = {secret:?}\n",
        at("portal.db")
    );
    fs::write(&config, text).unwrap();
    let why = refusal(&format!("serve --config {}", config.display()));
    let advice = format!("can be read by everybody: chmod o= {}", secret.display());
    assert!(why.contains(&advice), "{why}");

    for url in [
        "postgres://beta:hunter2@127.0.0.1:1/beta",
        "postgres://127.0.0.1:1/beta?password=hunter2",
    ] {
        fs::write(&config, format!("database_url = \"{url}\"\n")).unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o644)).unwrap();
        let why = refusal(&format!("schema status --config {}", config.display()));
        assert!(
            why.contains("can be read by everybody") && !why.contains("hunter2"),
            "{why}"
        );
    }
}
