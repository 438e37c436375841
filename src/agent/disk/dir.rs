//! A folder held open. Everything in it is reached relative to it and without following links, so that nobody who can
//! write there (or plant a link) makes the agent touch a file elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::agent::absent::if_there;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat2};

pub(super) struct Dir(OwnedFd);

const FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);

fn inside() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

impl Dir {
    /// The store's root, named by the operator's configuration: the only path that may lead through links.
    pub(super) fn open_root(path: &std::path::Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    pub(super) fn open_dir(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat2(
            &self.0,
            name,
            flags,
            Mode::empty(),
            inside(),
        )?))
    }

    /// The folder `name`, made (durably) if it is not there.
    pub(super) fn make_dir(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, FOLDER_MODE) {
            Ok(()) => self.sync()?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        self.open_dir(name)
    }

    /// Opens a plain file; anything else (a pipe, a device, a folder, a link) is refused.
    pub(super) fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        // NONBLOCK: opening a planted pipe must not hang before it can be refused.
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = openat2(&self.0, name, flags, create_mode(flags), inside())?;
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name} is not a plain file"),
            ));
        }
        Ok(File::from(fd))
    }

    pub(super) fn read_write(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR)
    }

    pub(super) fn read_only(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY)
    }

    /// Opens for reading and writing, made empty if it is not there.
    pub(super) fn open_or_create(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE)
    }

    /// A new, empty file in the place of whatever file had the name.
    pub(super) fn create_anew(&self, name: &str) -> io::Result<File> {
        self.remove(name)?;
        self.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    pub(super) fn exists(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Renames within the folder, in the place of whatever file has the new name.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Removes a file; none there is fine.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes a folder of plain files; none there is fine. A folder within it is an error: we never made one.
    pub(super) fn remove_folder(&self, name: &str) -> io::Result<()> {
        let Some(folder) = if_there(self.open_dir(name))? else {
            return Ok(());
        };
        for entry in folder.names()? {
            folder.remove(&entry)?;
        }
        rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?;
        self.sync()
    }

    /// Names in the folder, sorted; a name that is not UTF-8 comes with replacement characters.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    pub(super) fn is_folder(&self, name: &str) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

/// The kernel refuses a mode where nothing is created.
fn create_mode(flags: OFlags) -> Mode {
    if flags.contains(OFlags::CREATE) {
        FILE_MODE
    } else {
        Mode::empty()
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
