//! `xenbeta restore`: a backup in the place of the database, and the portal told that its memory went back. Nothing is
//! lost: an SQLite database that was there is kept beside the new one, and PostgreSQL's is replaced in one transaction.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use xenbeta::command::Tool;
use xenbeta::config::Config;
use xenbeta::store;
use xenbeta::store::db::Database;
use xenbeta::store::error::StoreError;

use super::backup::{folder_of, pg_program};
use super::{Failure, any_secret, app_without_secret};

const WHY: &str = "A backup was put back.";

pub fn run(file: &Path, yes: bool, limit_s: u64, config: &Config) -> Result<(), Failure> {
    if !yes {
        return Err(
            "what is in the database is replaced by the backup: stop the portal, then say --yes"
                .into(),
        );
    }
    let named = |error: std::io::Error| format!("{}: {error}", file.display());
    if !fs::metadata(file).map_err(named)?.is_file() {
        return Err(format!("{} is not a file", file.display()).into());
    }
    let url = config.database_url()?;
    let steps = match xenbeta::store::db::Target::parse(&url)? {
        xenbeta::store::db::Target::Sqlite(path) => sqlite(file, Path::new(&path), config)?,
        xenbeta::store::db::Target::Postgresql(url) => {
            postgresql(file, &url, limit_s)?;
            let steps = store::schema_migrations::up(&Database::open_any_schema(&url, 1)?)?;
            app_without_secret(config)?.begin_recovery(WHY)?;
            steps
        }
    };
    if steps > 0 {
        println!("The backup's schema was brought up to date ({steps} steps).");
    }
    println!(
        "{} is in place. Start the portal: nothing changes hands until every host has reported (see /staff/recovery).",
        file.display()
    );
    Ok(())
}

/// Copied beside the database, looked at, told that it went back, and only then put in its place. Gives the steps that
/// its schema was behind.
fn sqlite(file: &Path, target: &Path, config: &Config) -> Result<usize, Failure> {
    let _lock = config.lock_database()?;
    let part = with_ending(target, "restoring")?;
    let done = prepare(file, &part, config).and_then(|steps| {
        swap(&part, target)?;
        Ok(steps)
    });
    if done.is_err() {
        // It would only take room: perhaps there was too little.
        for ending in ENDINGS {
            with_suffix(&part, ending).and_then(|it| remove(&it)).ok();
        }
    }
    done.map_err(|error| format!("{error}. The database that was there is as it was.").into())
}

/// A write-ahead log belongs to one database: with another's, that would be torn. So it moves first and comes back last.
const ENDINGS: [&str; 3] = ["-wal", "-shm", ""];

fn prepare(file: &Path, part: &Path, config: &Config) -> Result<usize, Failure> {
    for ending in ENDINGS {
        remove(&with_suffix(part, ending)?)?;
    }
    fs::copy(file, part).map_err(|error| format!("{}: {error}", part.display()))?;
    let text = part.to_str().ok_or("the database's path is not UTF-8")?;
    {
        let database = Database::open_any_schema(text, 1)
            .map_err(|error| format!("{} is no database: {error}", file.display()))?;
        store::backup::check_sqlite(&database)
            .and_then(|()| store::schema_migrations::state(&database).map(|_| ()))
            .map_err(|error: StoreError| format!("{} is not whole: {error}", file.display()))?;
    }
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", part.display());
    let steps = Database::open_any_schema(text, 1)
        .and_then(|database| store::schema_migrations::up(&database));
    let steps = steps.map_err(|error| at(&error))?;
    let database = xenbeta::store::schema_migrations::open(text, 1).map_err(|error| at(&error))?;
    let app = config.app_over(database, any_secret(config)?)?;
    app.begin_recovery(WHY).map_err(|error| at(&error))?;
    store::backup::settle_sqlite(&app.db).map_err(|error| at(&error))?;
    drop(app);
    for ending in ["-wal", "-shm"] {
        remove(&with_suffix(part, ending)?)?;
    }
    let synced = File::open(part).and_then(|part| part.sync_all());
    synced.map_err(|error| at(&error))?;
    Ok(steps)
}

/// All that is moved is moved back if something does not work.
fn swap(part: &Path, target: &Path) -> Result<(), Failure> {
    let kept = with_ending(target, "before-restore")?;
    for ending in ENDINGS {
        remove(&with_suffix(&kept, ending)?)?;
    }
    let mut moved = Vec::new();
    let done = replace(part, target, &kept, &mut moved);
    if let Err(error) = done {
        for (old, new) in moved.iter().rev() {
            fs::rename(new, old).map_err(|also| {
                format!(
                    "{error}; and the database that was there could not be put back: {also}. It is {} now: \
                     move it back to {}, with its -wal, before the portal is started",
                    kept.display(),
                    target.display()
                )
            })?;
        }
        return Err(error);
    }
    println!("What was there before is kept as {}.", kept.display());
    Ok(())
}

/// What was moved, and whereto.
type Moved = Vec<(PathBuf, PathBuf)>;

fn replace(part: &Path, target: &Path, kept: &Path, moved: &mut Moved) -> Result<(), Failure> {
    for ending in ENDINGS {
        let (old, new) = (with_suffix(target, ending)?, with_suffix(kept, ending)?);
        match fs::rename(&old, &new) {
            Ok(()) => moved.push((old, new)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", old.display()).into()),
        }
    }
    let at = |error: std::io::Error| format!("{}: {error}", target.display());
    fs::rename(part, target).map_err(at)?;
    let folder = File::open(folder_of(target)).and_then(|folder| folder.sync_all());
    folder.map_err(at)?;
    Ok(())
}

fn postgresql(file: &Path, url: &str, limit_s: u64) -> Result<(), Failure> {
    let database = Database::open_any_schema(url, 1)?;
    let others = database.read(store::backup::other_sessions)?;
    if others > 0 {
        return Err(
            format!("{others} other sessions use the database: stop every portal first").into(),
        );
    }
    drop(database);
    let path = file.to_str().ok_or("the file's path is not UTF-8")?;
    let (url, password) = store::backup::without_password(url);
    let mut restore = Tool::new(pg_program("pg_restore"))
        .args([
            "--clean",
            "--if-exists",
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-password",
            "--dbname",
            &url,
            path,
        ])
        .limit(Duration::from_secs(limit_s));
    if let Some(password) = password {
        restore = restore.env("PGPASSWORD", password);
    }
    restore
        .run()
        .map_err(|error| format!("{error} (pg_restore is in Debian's postgresql-client)"))?;
    Ok(())
}

fn with_ending(path: &Path, ending: &str) -> Result<PathBuf, Failure> {
    with_suffix(path, &format!(".{ending}"))
}

fn with_suffix(path: &Path, suffix: &str) -> Result<PathBuf, Failure> {
    let mut name = path
        .file_name()
        .ok_or_else(|| format!("{} is not a file's name", path.display()))?
        .to_owned();
    name.push(suffix);
    Ok(path.with_file_name(name))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", path.display()).into())
        }
        Err(_) | Ok(()) => Ok(()),
    }
}
