//! A store whose mount is missing is an empty folder, and would be filled as if it were new: on the root file system, until
//! the mount comes and the same paths mean other disks. So a store is marked at its first use, the state folder keeps the
//! mark, and a store without it is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::absent::if_there;
use super::disk::{DiskError, DiskFault};
use super::ledger::file;

/// In the store.
const MARK: &str = ".xenbeta-store";
/// In the state folder.
const KEPT: &str = "store.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    dir: PathBuf,
    mark: String,
}

/// Is the store in `dir` the one that was there before? One that is used for the first time is marked. A store in another folder
/// is another one: the configuration's word. `make` makes the folder of such a one, if need be.
pub(super) fn hold(
    state: &Path,
    dir: &Path,
    make: impl FnOnce() -> io::Result<()>,
) -> Result<(), DiskError> {
    let failed = |error: io::Error| DiskError::io("look for the store's mark", &error);
    let found = if_there(fs::read_to_string(dir.join(MARK))).map_err(failed)?;
    let found = found.as_deref().map(str::trim);
    let kept = if_there(fs::read_to_string(state.join(KEPT))).map_err(failed)?;
    let kept: Option<Kept> = kept
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| failed(io::Error::other(error)))?;
    match kept.filter(|kept| kept.dir == dir) {
        Some(kept) if found == Some(&kept.mark) => Ok(()),
        Some(_) => Err(DiskError::new(
            DiskFault::Missing,
            "The host's disks are not there",
            format!(
                "{} is not the store that was there before: is its file system mounted? (If it is meant to be another one, \
                 remove {} from the state folder)",
                dir.display(),
                KEPT
            ),
        )),
        None => {
            let mark = match found {
                Some(mark) => mark.to_owned(),
                None => make().and_then(|()| mark(dir)).map_err(failed)?,
            };
            let dir = dir.to_owned();
            let text = serde_json::to_vec(&Kept { dir, mark }).map_err(io::Error::other);
            text.and_then(|text| file::replace(state, KEPT, &text))
                .map_err(failed)
        }
    }
}

/// A new mark, or the one that somebody else made at this moment.
fn mark(dir: &Path) -> io::Result<String> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|error| io::Error::other(error.to_string()))?;
    let mark = data_encoding::HEXLOWER.encode(&chance);
    let fresh = format!("{MARK}.{mark}");
    file::replace(dir, &fresh, mark.as_bytes())?;
    let linked = fs::hard_link(dir.join(&fresh), dir.join(MARK));
    file::remove(dir, &fresh)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::read_to_string(dir.join(MARK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_whose_mount_is_missing_is_refused_and_not_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let (state, store) = (root.path().join("state"), root.path().join("store"));
        let mount = |there: bool| {
            let (from, to) = (root.path().join("away"), store.clone());
            let (from, to) = if there { (from, to) } else { (to, from) };
            fs::rename(from, to).unwrap();
        };
        fs::create_dir(&state).unwrap();
        fs::create_dir(&store).unwrap();
        let hold = |state: &Path, store: &Path| hold(state, store, || Ok(()));
        for _ in 0..2 {
            hold(&state, &store).unwrap();
        }
        mount(false);
        fs::create_dir(&store).unwrap();
        let error = hold(&state, &store).unwrap_err();
        assert!(error.detail.contains("mounted?"), "{error:?}");
        assert!(fs::read_dir(&store).unwrap().next().is_none());
        // Another agent's store in its place is as wrong.
        let other = root.path().join("other");
        fs::create_dir(&other).unwrap();
        hold(&other, &store).unwrap();
        hold(&state, &store).unwrap_err();
        fs::remove_dir_all(&store).unwrap();
        mount(true);
        hold(&state, &store).unwrap();
        // A state folder that is lost, and a store elsewhere.
        fs::remove_file(state.join(KEPT)).unwrap();
        hold(&state, &store).unwrap();
        hold(&state, &other).unwrap();
        assert_eq!(
            fs::read_dir(&other).unwrap().count(),
            2,
            "nothing is left of the making"
        );
    }
}
