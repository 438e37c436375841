//! The receipt in a copy's folder: while it is there, the folder belongs to its migration.

use std::io::{Read, Write};

use super::dir::Dir;
use super::layout::{at, taken};
use super::{Receipt, Result};
use crate::agent::absent::if_there;
use crate::agent::ledger::file;

const NAME: &str = "copy.json";
/// The receipt of a generation that was activated: it says what came, and whose it is no longer.
const ORIGIN: &str = "origin.json";
/// A receipt is a few hundred bytes a disk; anything larger is not one.
const MAX: u64 = 1 << 20;

pub(super) fn read(folder: &Dir) -> Result<Option<Receipt>> {
    named(folder, NAME)
}

pub(super) fn retired(folder: &Dir) -> Result<Option<Receipt>> {
    named(folder, ORIGIN)
}

fn named(folder: &Dir, name: &str) -> Result<Option<Receipt>> {
    let Some(file) = if_there(folder.read_only(name)).map_err(at("open the receipt"))? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(MAX)
        .read_to_end(&mut bytes)
        .map_err(at("read the receipt"))?;
    file::decode_or_plain(&bytes)
        .map(Some)
        .map_err(|e| taken(&format!("the receipt {name} is damaged: {e}")))
}

pub(super) fn write(folder: &Dir, receipt: &Receipt) -> Result<()> {
    let bytes = file::encode(receipt).map_err(|e| taken(&format!("receipt: {e}")))?;
    let fresh = "copy.new";
    let mut file = folder.create_anew(fresh).map_err(at("write the receipt"))?;
    file.write_all(&bytes)
        .and_then(|()| file.sync_all())
        .map_err(at("write the receipt"))?;
    folder
        .rename(fresh, NAME)
        .and_then(|()| folder.sync())
        .map_err(at("write the receipt"))
}

pub(super) fn drop(folder: &Dir) -> Result<()> {
    folder.remove(NAME).map_err(at("drop a receipt"))
}

/// The folder is no longer its migration's; what was proved of it stays.
pub(super) fn retire(folder: &Dir) -> Result<()> {
    // It is not there where that was done before.
    if_there(folder.rename(NAME, ORIGIN))
        .map(|_| ())
        .map_err(at("retire a receipt"))
}
