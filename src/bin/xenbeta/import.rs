//! `xenbeta import`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use xenbeta::app::import::file::MAX_BYTES;
use xenbeta::config::Config;

use super::{COMMAND_LINE, Failure, app_without_secret};

pub fn run(file: &Path, config: &Config) -> Result<(), Failure> {
    let bytes = read(file)?;
    let app = app_without_secret(config)?;
    let imported = app
        .import(COMMAND_LINE, &bytes)
        .map_err(|error| format!("{}: nothing was imported\n{error}", file.display()))?;
    for count in &imported.0 {
        println!(
            "{:<16} {:>7} added {:>7} already there",
            count.what, count.added, count.there
        );
    }
    Ok(())
}

/// The whole file, if it is not too large (which a pipe only shows while it is read).
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(named)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(named)?;
    if bytes.len() as u64 > MAX_BYTES {
        let most = MAX_BYTES >> 20;
        return Err(format!(
            "{}: more than {most} MiB; split it by accounts (plans, kernels and hosts first)",
            path.display()
        )
        .into());
    }
    Ok(bytes)
}
