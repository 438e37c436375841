//! One record, one file, replaced as a whole: a crash at any point leaves the old record or the new one, and damage is
//! noticed. A file is the record's JSON, a line feed, and the BLAKE3 of that JSON in hex.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::absent::if_there;

/// The places where a replacement can be cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Created,
    Written,
    Synced,
    Renamed,
}

/// Makes a folder only its owner can enter.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Replaces `dir/name` durably: temporary file, fsync, rename, fsync of the folder. Only the owner may read it.
pub fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_watched(dir, name, bytes, &mut |_| Ok(()))
}

/// As [`replace`]; `at` is told of every point passed, and an error from it ends the work just there.
pub fn replace_watched(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    at: &mut dyn FnMut(Point) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = create(&temporary)?;
    at(Point::Created)?;
    file.write_all(bytes)?;
    at(Point::Written)?;
    file.sync_all()?;
    at(Point::Synced)?;
    fs::rename(&temporary, dir.join(name))?;
    at(Point::Renamed)?;
    File::open(dir)?.sync_all()
}

/// Replaces `dir/name` as a whole, for as long as the power stays on.
pub fn replace_unsynced(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    create(&temporary)?.write_all(bytes)?;
    fs::rename(&temporary, dir.join(name))
}

/// Removes a file durably; it is no error if there is none.
pub fn remove(dir: &Path, name: &str) -> io::Result<()> {
    remove_unsynced(dir, name)?;
    File::open(dir)?.sync_all()
}

/// As [`remove`], for as long as the power stays on.
pub fn remove_unsynced(dir: &Path, name: &str) -> io::Result<()> {
    if_there(fs::remove_file(dir.join(name))).map(drop)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// The bytes of a record's file.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(record)?;
    let digest = blake3::hash(&bytes).to_hex();
    bytes.push(b'\n');
    bytes.extend_from_slice(digest.as_bytes());
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a record back; the error says what is wrong with the file.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = bytes
        .strip_suffix(b"\n")
        .ok_or("it does not end in a line feed")?;
    let cut = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .ok_or("it has no digest line")?;
    let (json, digest) = text.split_at(cut);
    let digest = digest.get(1..).unwrap_or_default();
    if blake3::hash(json).to_hex().as_bytes() != digest {
        return Err("its digest does not match its content".into());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// As [`decode`]; a record that an older release wrote without a digest is read, too. One that has a digest never passes
/// for one that has none: the digest's line is no JSON.
pub fn decode_or_plain<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match decode(bytes) {
        Err(reason) => serde_json::from_slice(bytes).map_err(|_| reason),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [Point; 4] = [
        Point::Created,
        Point::Written,
        Point::Synced,
        Point::Renamed,
    ];

    #[test]
    fn a_cut_at_any_point_leaves_the_old_record_or_the_new() {
        for stop in POINTS {
            let dir = tempfile::tempdir().unwrap();
            replace(dir.path(), "r", &encode(&1).unwrap()).unwrap();
            let result = replace_watched(dir.path(), "r", &encode(&2).unwrap(), &mut |point| {
                if point == stop {
                    Err(io::Error::other("cut"))
                } else {
                    Ok(())
                }
            });
            assert!(result.is_err());
            let read: i32 = decode(&fs::read(dir.path().join("r")).unwrap()).unwrap();
            assert_eq!(read, if stop == Point::Renamed { 2 } else { 1 });
        }
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_noticed() {
        let whole = encode(&vec!["granted", "sealed"]).unwrap();
        for length in 0..whole.len() {
            assert!(
                decode::<Vec<String>>(whole.get(..length).unwrap()).is_err(),
                "cut at {length}"
            );
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bad = whole.clone();
                *bad.get_mut(at).unwrap() ^= 1 << bit;
                assert!(decode::<Vec<String>>(&bad).is_err(), "byte {at} bit {bit}");
                let plain = decode_or_plain::<Vec<String>>(&bad);
                assert!(plain.is_err(), "byte {at} bit {bit}");
            }
        }
        assert_eq!(
            decode::<Vec<String>>(&whole).unwrap(),
            ["granted", "sealed"]
        );
        assert_eq!(decode_or_plain::<Vec<i32>>(b"[1]").unwrap(), [1], "of old");
    }
}
