//! What the drivers' parts of the agent's configuration have in common: a rule of them stands here once. Each error names
//! the key.

use std::path::Path;

use super::files::plain;
use super::net::is_interface;

/// With it an interface of a Linode id up to nine digits keeps to the 15 characters of its name.
const PREFIX_LIMIT: usize = 5;

pub(super) fn default_prefix() -> String {
    "xb".to_owned()
}

pub(super) fn default_console_kb() -> u64 {
    256
}

pub(super) fn check_prefix(prefix: &str) -> Result<(), String> {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if prefix.len() > PREFIX_LIMIT
        || !prefix.starts_with(|c: char| c.is_ascii_lowercase())
        || !prefix.chars().all(lower)
    {
        return Err(format!(
            "driver.prefix: {prefix:?} is not 1 to {PREFIX_LIMIT} lower-case letters and digits, a letter first"
        ));
    }
    Ok(())
}

pub(super) fn check_bridge(bridge: &str) -> Result<(), String> {
    if is_interface(bridge) {
        Ok(())
    } else {
        Err(format!(
            "driver.bridge: {bridge:?} is not the name of an interface"
        ))
    }
}

pub(super) fn check_memory(memory_mb: i64) -> Result<(), String> {
    if memory_mb >= 1 {
        Ok(())
    } else {
        Err(format!("driver.memory_mb: {memory_mb} is not positive"))
    }
}

pub(super) fn check_console(console_kb: u64) -> Result<(), String> {
    if (4..=65_536).contains(&console_kb) {
        Ok(())
    } else {
        Err(format!(
            "driver.console_kb: {console_kb} is not between 4 and 65536"
        ))
    }
}

/// Kernels have ids of their own, and there is one at least.
pub(super) fn check_kernel_ids<'a>(ids: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = Vec::new();
    for id in ids {
        if id.is_empty() || seen.contains(&id) {
            return Err(format!("driver.kernels: id {id:?} is empty or there twice"));
        }
        seen.push(id);
    }
    if seen.is_empty() {
        return Err("driver.kernels: none, so nothing could boot".to_owned());
    }
    Ok(())
}

pub(super) fn check_path(key: &str, path: &Path) -> Result<(), String> {
    if path.is_absolute() && plain(path).is_some() {
        Ok(())
    } else {
        Err(format!(
            "{key}: {} is not an absolute path of plain characters",
            path.display()
        ))
    }
}

/// One that need not be there.
pub(super) fn check_path_if(key: &str, path: Option<&Path>) -> Result<(), String> {
    path.map_or(Ok(()), |path| check_path(key, path))
}
