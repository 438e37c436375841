//! `xenbeta backup`: the whole database into one file, while the portal serves.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xenbeta::command::Tool;
use xenbeta::config::Config;
use xenbeta::store;
use xenbeta::store::db::Database;

use super::Failure;

pub fn run(file: &Path, limit_s: u64, config: &Config) -> Result<(), Failure> {
    let named = |error: std::io::Error| format!("{}: {error}", file.display());
    if fs::symlink_metadata(file).is_ok() {
        return Err(exists(file));
    }
    let part = beside(file)?;
    // Password hashes are in it: only its owner may read it.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .map_err(|error| format!("{}: {error}", part.display()))?;
    let done = write(&part, limit_s, config)
        .and_then(|()| Ok(File::open(&part)?.sync_all()?))
        // A link, unlike a renaming, never takes the place of a file that has come up meanwhile.
        .and_then(|()| {
            fs::hard_link(&part, file).map_err(|error| {
                if error.kind() == std::io::ErrorKind::AlreadyExists {
                    exists(file)
                } else {
                    named(error).into()
                }
            })
        });
    let removed = fs::remove_file(&part);
    done?;
    removed?;
    File::open(folder_of(file)).and_then(|folder| folder.sync_all())?;
    let bytes = fs::metadata(file).map_err(named)?.len();
    println!("{}: {bytes} bytes", file.display());
    Ok(())
}

fn exists(file: &Path) -> Failure {
    format!(
        "{} is there already: a backup overwrites nothing",
        file.display()
    )
    .into()
}

pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The file's name while it is incomplete.
fn beside(file: &Path) -> Result<PathBuf, Failure> {
    let name = file
        .file_name()
        .ok_or_else(|| format!("{} is not a file's name", file.display()))?;
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    Ok(file.with_file_name(part))
}

fn write(part: &Path, limit_s: u64, config: &Config) -> Result<(), Failure> {
    let database = Database::open_any_schema(&config.database_url()?, 1)?;
    let path = part.to_str().ok_or("the file's path is not UTF-8")?;
    let Some(url) = store::backup::postgresql_url(&database) else {
        return Ok(store::backup::copy_sqlite(&database, path)?);
    };
    let (url, password) = store::backup::without_password(url);
    let mut dump = Tool::new(pg_program("pg_dump"))
        .args([
            "--format=custom",
            "--no-password",
            "--file",
            path,
            "--dbname",
            &url,
        ])
        .limit(Duration::from_secs(limit_s));
    if let Some(password) = password {
        dump = dump.env("PGPASSWORD", password);
    }
    dump.run()
        .map_err(|error| format!("{error} (pg_dump is in Debian's postgresql-client)"))?;
    Ok(())
}

/// The newest that Debian has installed, as a dump has to be made by a program no older than the server; else whatever
/// is on the path.
pub(super) fn pg_program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql");
    versions
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let program = entry.path().join("bin").join(name);
            program.exists().then_some((version, program))
        })
        .max()
        .map_or_else(|| PathBuf::from(name), |(_, program)| program)
}
