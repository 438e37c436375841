//! Folders copied as they are.

use std::fs;
use std::path::Path;

/// Sockets and the like are passed over; a file that goes meanwhile is, too.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    if let Ok(about) = fs::metadata(from) {
        fs::set_permissions(to, about.permissions()).unwrap();
    }
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let there = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &there);
        } else if kind.is_file() {
            fs::copy(entry.path(), &there).ok();
        }
    }
}
