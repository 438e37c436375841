//! The root of a jailed guest: an empty file system of its own, with what it needs bound into it, read-only but for its disks,
//! its memory and its control socket.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Gid, Mode, Uid, chownat, mknodat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change,
    mount_remount, unmount,
};
use rustix::process::pivot_root;

use super::spec::{Spec, disk, doing, inside};

/// Folders, mount points and the copy of `/proc/cpuinfo`.
const ROOT: &str = "mode=755,size=256k,nr_inodes=96";
/// UML's pid file and socket.
const CONTROL: &str = "size=32k,nr_inodes=12";
/// More would not fit into the root, and UML looks at the first processor only.
const CPUINFO: usize = 64 * 1024;

/// Puts the root together, in a mount namespace of the caller's own, and moves into it. What is outside cannot be named any more.
pub(super) fn enter(spec: &Spec) -> io::Result<()> {
    mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )
    .map_err(doing("private mounts"))?;
    let root = Root(&spec.root);
    tmpfs(&spec.root, ROOT, MountFlags::NOEXEC)?;
    root.programs(spec)?;
    for (id, path) in &spec.disks {
        root.disk(&disk(*id), path, spec.uid)?;
    }
    for device in ["/dev/null", "/dev/random", "/dev/urandom"] {
        root.bind(Path::new(device), device, MountFlags::NOEXEC)?;
    }
    // UML's memory is a file there, which it runs code from.
    let memory = format!(
        "uid={0},gid={0},mode=700,size={1}m,nr_inodes=8",
        spec.uid,
        spec.ram_mb + 1
    );
    tmpfs(&root.folder("/dev/shm")?, &memory, MountFlags::NODEV)?;
    let control = format!("uid={0},gid={0},mode=700,{CONTROL}", spec.uid);
    tmpfs(
        &root.folder(inside::UML_DIR)?,
        &control,
        MountFlags::NOEXEC | MountFlags::NODEV,
    )?;
    root.folder("/proc")?;
    fs::write(root.path("/proc/cpuinfo"), first_processor()?)?;
    read_only(&spec.root, MountFlags::NOEXEC)?;
    std::env::set_current_dir(&spec.root)?;
    pivot_root(".", ".").map_err(doing("pivot_root"))?;
    // The old root lies over the new one now.
    unmount(".", UnmountFlags::DETACH).map_err(doing("the old root"))?;
    std::env::set_current_dir("/")
}

struct Root<'a>(&'a Path);

impl Root<'_> {
    fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        self.0.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    fn folder(&self, inside: impl AsRef<Path>) -> io::Result<PathBuf> {
        let path = self.path(inside);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    fn programs(&self, spec: &Spec) -> io::Result<()> {
        let program = MountFlags::NODEV;
        self.bind(&spec.kernel, inside::KERNEL, program)?;
        self.bind(&spec.preload, inside::PRELOAD, program)?;
        for library in &spec.libraries {
            self.bind(library, library, program)?;
        }
        if let Some(initramfs) = &spec.initramfs {
            self.bind(
                initramfs,
                inside::INITRAMFS,
                MountFlags::NODEV | MountFlags::NOEXEC,
            )?;
        }
        let boot = self.folder(inside::BOOT)?;
        self.over(&spec.boot, &boot, MountFlags::NODEV | MountFlags::NOEXEC)
    }

    /// Binds a file of the host's at a path of the jail, read-only.
    fn bind(&self, file: &Path, inside: impl AsRef<Path>, flags: MountFlags) -> io::Result<()> {
        let path = self.place(inside.as_ref())?;
        self.over(file, &path, flags)
    }

    fn over(&self, from: &Path, path: &Path, flags: MountFlags) -> io::Result<()> {
        mount_bind(from, path).map_err(doing(&from.display().to_string()))?;
        read_only(path, flags)
    }

    /// An empty file to bind over.
    fn place(&self, inside: &Path) -> io::Result<PathBuf> {
        if let Some(folder) = inside.parent() {
            self.folder(folder)?;
        }
        let path = self.path(inside);
        File::create(&path)?;
        Ok(path)
    }

    /// A file of the store, which is the guest's already, or a node of its own for a device: the host's own nodes are others'.
    fn disk(&self, inside: &Path, disk: &Path, uid: u32) -> io::Result<()> {
        let meta = fs::metadata(disk).map_err(doing(&disk.display().to_string()))?;
        if meta.file_type().is_block_device() {
            if let Some(folder) = inside.parent() {
                self.folder(folder)?;
            }
            let path = self.path(inside);
            let failed = doing("a disk's node");
            let owner = Mode::RUSR | Mode::WUSR;
            mknodat(
                rustix::fs::CWD,
                &path,
                FileType::BlockDevice,
                owner,
                meta.rdev(),
            )
            .map_err(&failed)?;
            let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
            return chownat(
                rustix::fs::CWD,
                &path,
                Some(user),
                Some(group),
                rustix::fs::AtFlags::empty(),
            )
            .map_err(&failed);
        }
        let path = self.place(inside)?;
        mount_bind(disk, &path).map_err(doing(&disk.display().to_string()))?;
        let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount_remount(&path, flags, "").map_err(doing("a disk's mount"))
    }
}

fn tmpfs(path: &Path, options: &str, flags: MountFlags) -> io::Result<()> {
    let options = CString::new(options)?;
    mount(
        "tmpfs",
        path,
        "tmpfs",
        MountFlags::NOSUID | flags,
        options.as_c_str(),
    )
    .map_err(doing("a tmpfs"))
}

/// Of a mount or a bind; `flags` beside. Devices in it work only in the root itself, where nobody can make one.
fn read_only(path: &Path, flags: MountFlags) -> io::Result<()> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | flags;
    mount_remount(path, flags, "").map_err(doing("read-only"))
}

fn first_processor() -> io::Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let end = text.find("\n\n").map_or(text.len(), |at| at + 2);
    Ok(text.get(..end.min(CPUINFO)).unwrap_or_default().to_owned())
}
