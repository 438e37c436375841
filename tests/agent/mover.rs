//! Two stores, a source's listener and a destination, for tests of disks and transfers.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use xenbeta::agent::disk::{Base, DiskStore, FileStore};
use xenbeta::agent::transfer::{
    Cap, Fetch, FinalReport, Granted, Identity, Server, Source, TransferError, WarmReport, Watch,
    same_token,
};
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};
use xenbeta::wire::{DiskDigest, DiskSpec, Peer, Progress};

use crate::rng::Rng;

pub const LINODE: LinodeId = LinodeId(7);
pub const MIGRATION: MigrationId = MigrationId(3);
pub const EPOCH: i64 = 4;
pub const MIB: u64 = 1 << 20;

/// As fast as the disks go.
pub fn unpaced(epoch: i64) -> Base<'static> {
    Base {
        epoch,
        pace: &|_| true,
    }
}

/// The portal's and the ledger's part.
pub struct FakeSource {
    pub granted: Granted,
    pub token: String,
    pub peer: String,
    pub sealed: AtomicI64,
    pub open: AtomicBool,
    pub reported: Mutex<Vec<DiskDigest>>,
    pub portal_up: AtomicBool,
}

impl Source for FakeSource {
    fn authorise(&self, migration: MigrationId, token: &str, peer: &str) -> Option<Granted> {
        let fits = migration == self.granted.migration
            && same_token(token, &self.token)
            && peer == self.peer;
        (fits && self.open.load(Ordering::SeqCst)).then(|| self.granted.clone())
    }
    fn expects(&self, peer: &str) -> bool {
        peer == self.peer && self.open.load(Ordering::SeqCst)
    }
    fn sealed(&self, linode: LinodeId) -> i64 {
        assert_eq!(linode, LINODE);
        self.sealed.load(Ordering::SeqCst)
    }
    fn report_digests(
        &self,
        migration: MigrationId,
        epoch: i64,
        digests: &[DiskDigest],
    ) -> Result<(), String> {
        assert_eq!((migration, epoch), (MIGRATION, EPOCH));
        if !self.portal_up.load(Ordering::SeqCst) {
            return Err("the portal is down".into());
        }
        *self.reported.lock().unwrap() = digests.to_vec();
        Ok(())
    }
}

/// Remembers what it was told last, and cancels when asked to.
#[derive(Default)]
pub struct Quiet {
    pub cancel: AtomicBool,
    pub last: Mutex<Option<Progress>>,
    pub reports: AtomicU64,
}

impl Watch for Quiet {
    fn progress(&self, progress: Progress) {
        *self.last.lock().unwrap() = Some(progress);
        self.reports.fetch_add(1, Ordering::SeqCst);
    }
    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::SeqCst)
    }
}

pub struct Lab {
    /// Goes with it.
    _dir: tempfile::TempDir,
    pub source: Arc<FakeSource>,
    pub server: Server,
    pub from: Arc<dyn DiskStore>,
    pub to: Arc<dyn DiskStore>,
    pub identity: Identity,
    pub peer: Peer,
    pub disks: Vec<DiskSpec>,
    pub cap: Arc<Cap>,
    pub source_cap: Arc<Cap>,
    pub watch: Quiet,
}

pub fn spec(id: i64, size_bytes: u64) -> DiskSpec {
    DiskSpec {
        id: DiskId(id),
        label: format!("disk {id}"),
        size_bytes,
    }
}

/// A generation as an import leaves it.
pub fn make_generation(store: &Path, linode: LinodeId, epoch: i64, disks: &[DiskSpec]) {
    let folder = store.join(format!("linodes/{linode}/e{epoch}"));
    std::fs::create_dir_all(&folder).unwrap();
    for disk in disks {
        let file = File::create(folder.join(format!("{}.img", disk.id))).unwrap();
        file.set_len(disk.size_bytes).unwrap();
    }
}

impl Lab {
    pub fn new(sizes: &[u64]) -> Self {
        Self::wrapped(sizes, |store| store)
    }

    /// The destination's store behind `wrap`.
    pub fn wrapped(
        sizes: &[u64],
        wrap: impl FnOnce(Arc<dyn DiskStore>) -> Arc<dyn DiskStore>,
    ) -> Self {
        let dir = tempfile::tempdir_in(work_dir()).unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::create_dir_all(&a).unwrap();
        std::fs::create_dir_all(&b).unwrap();
        Self::on(dir, &a, &b, sizes, |store| store, wrap)
    }

    /// With stores in these folders, each behind its `wrap`.
    pub fn on(
        dir: tempfile::TempDir,
        a: &Path,
        b: &Path,
        sizes: &[u64],
        wrap_from: impl FnOnce(Arc<dyn DiskStore>) -> Arc<dyn DiskStore>,
        wrap_to: impl FnOnce(Arc<dyn DiskStore>) -> Arc<dyn DiskStore>,
    ) -> Self {
        let disks: Vec<_> = sizes
            .iter()
            .zip(1..)
            .map(|(size, id)| spec(id, *size))
            .collect();
        make_generation(a, LINODE, EPOCH, &disks);
        let from = wrap_from(Arc::new(FileStore::open(a).unwrap()));
        Self::from_store(dir, disks, from, b, wrap_to)
    }

    /// From a store that has the disks as generation [`EPOCH`], to one in a folder.
    pub fn from_store(
        dir: tempfile::TempDir,
        disks: Vec<DiskSpec>,
        from: Arc<dyn DiskStore>,
        b: &Path,
        wrap_to: impl FnOnce(Arc<dyn DiskStore>) -> Arc<dyn DiskStore>,
    ) -> Self {
        let to = wrap_to(Arc::new(FileStore::open(b).unwrap()));
        Self::between(dir, disks, from, to)
    }

    /// With these stores, the first of which has the disks as generation [`EPOCH`].
    pub fn between(
        dir: tempfile::TempDir,
        disks: Vec<DiskSpec>,
        from: Arc<dyn DiskStore>,
        to: Arc<dyn DiskStore>,
    ) -> Self {
        let (sa, sb) = (dir.path().join("state-a"), dir.path().join("state-b"));
        std::fs::create_dir_all(&sa).unwrap();
        std::fs::create_dir_all(&sb).unwrap();
        let (ia, ib) = (
            Identity::load_or_create(&sa).unwrap(),
            Identity::load_or_create(&sb).unwrap(),
        );
        let source = Arc::new(FakeSource {
            granted: Granted {
                migration: MIGRATION,
                linode: LINODE,
                epoch: EPOCH,
                disks: disks.clone(),
            },
            token: "a token of the portal's".into(),
            peer: ib.fingerprint().into(),
            sealed: AtomicI64::new(0),
            open: AtomicBool::new(true),
            reported: Mutex::default(),
            portal_up: AtomicBool::new(true),
        });
        let source_cap = Arc::new(Cap::new(None));
        let server = Server::start(
            "127.0.0.1:0".parse().unwrap(),
            &ia,
            source.clone(),
            from.clone(),
            source_cap.clone(),
        )
        .unwrap();
        let peer = Peer {
            address: server.local_addr().to_string(),
            fingerprint: ia.fingerprint().into(),
            token: source.token.clone(),
        };
        to.reserve(LINODE, MIGRATION, &disks, None).unwrap();
        let cap = Arc::new(Cap::new(None));
        Self {
            _dir: dir,
            source,
            server,
            from,
            to,
            identity: ib,
            peer,
            disks,
            cap,
            source_cap,
            watch: Quiet::default(),
        }
    }

    pub fn fetch(&self) -> Fetch<'_> {
        Fetch {
            identity: &self.identity,
            source: &self.peer,
            linode: LINODE,
            migration: MIGRATION,
            disks: &self.disks,
            store: &*self.to,
            cap: &self.cap,
            watch: &self.watch,
        }
    }

    pub fn warm(&self, passes: u32) -> Result<WarmReport, TransferError> {
        self.fetch().warm(passes)
    }

    pub fn seal(&self) {
        self.from.seal(LINODE, EPOCH).unwrap();
        self.source.sealed.store(EPOCH, Ordering::SeqCst);
    }

    pub fn finish(&self) -> Result<FinalReport, TransferError> {
        self.fetch().finish(EPOCH)
    }

    pub fn source_disk(&self, id: i64) -> File {
        let path = self.from.path(LINODE, EPOCH, DiskId(id));
        File::options().read(true).write(true).open(path).unwrap()
    }

    /// The published copy equals the source, byte by byte and root by root.
    pub fn assert_equal(&self, report: &FinalReport) {
        for disk in &self.disks {
            let a = content(&self.from.path(LINODE, EPOCH, disk.id), disk);
            let b = content(&self.to.path(LINODE, EPOCH + 1, disk.id), disk);
            assert!(a == b, "disk {} differs", disk.id);
        }
        assert_eq!(report.digests, *self.source.reported.lock().unwrap());
        assert_eq!(
            report.digests,
            self.disks
                .iter()
                .map(|disk| {
                    let bytes = content(&self.from.path(LINODE, EPOCH, disk.id), disk);
                    reference_digest(disk, &bytes)
                })
                .collect::<Vec<_>>()
        );
    }
}

/// What a guest sees: a volume may be longer than its disk, by zeros.
fn content(path: &Path, disk: &DiskSpec) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    let tail = bytes.split_off(usize::try_from(disk.size_bytes).unwrap());
    assert!(tail.iter().all(|byte| *byte == 0), "behind {}", disk.label);
    bytes
}

/// The root as the wire defines it, computed plainly.
pub fn reference_digest(disk: &DiskSpec, bytes: &[u8]) -> DiskDigest {
    let mut roots = blake3::Hasher::new();
    for chunk in bytes.chunks(16 * 1024) {
        roots.update(blake3::hash(chunk).as_bytes());
    }
    DiskDigest {
        disk: disk.id,
        size_bytes: disk.size_bytes,
        root: roots.finalize().to_hex().to_string(),
    }
}

/// A folder on a real file system: temporary files may be in memory elsewhere.
pub fn work_dir() -> std::path::PathBuf {
    std::env::temp_dir()
}

impl Rng {
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }

    /// Writes `len` random bytes at `at`.
    pub fn write(&mut self, file: &File, at: u64, len: usize) {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        file.write_all_at(&bytes, at).unwrap();
    }
}

/// A mounted file system, gone with the value. `None`, with a plain word on stderr, where that takes more than we have.
pub struct Mount {
    pub at: std::path::PathBuf,
}

impl Mount {
    /// XFS with reflinks, in a file on a loop device.
    pub fn xfs(dir: &Path, size: u64) -> Option<Self> {
        let file = dir.join("xfs.img");
        File::create(&file).unwrap().set_len(size).unwrap();
        let file = file.to_str().unwrap();
        if !done("mkfs.xfs", &["-q", "-m", "reflink=1", file]) {
            eprintln!("SKIPPED: no mkfs.xfs (package xfsprogs)");
            return None;
        }
        Self::made(dir, &["-o", "loop", file])
    }

    pub fn btrfs(dir: &Path, size: u64) -> Option<Self> {
        let file = dir.join("btrfs.img");
        File::create(&file).unwrap().set_len(size).unwrap();
        let file = file.to_str().unwrap();
        if !done("mkfs.btrfs", &["-q", file]) {
            eprintln!("SKIPPED: no mkfs.btrfs (package btrfs-progs)");
            return None;
        }
        Self::made(dir, &["-o", "loop", file])
    }

    pub fn tmpfs(dir: &Path, size: u64) -> Option<Self> {
        let size = format!("size={size}");
        Self::made(dir, &["-t", "tmpfs", "-o", &size, "none"])
    }

    /// A file system that refuses O_DIRECT, and does not say how full it is.
    pub fn ramfs(dir: &Path) -> Option<Self> {
        Self::made(dir, &["-t", "ramfs", "none"])
    }

    fn made(dir: &Path, args: &[&str]) -> Option<Self> {
        let at = dir.join("mount");
        std::fs::create_dir_all(&at).unwrap();
        let mut all = args.to_vec();
        all.push(at.to_str().unwrap());
        if done("mount", &all) {
            return Some(Self { at });
        }
        eprintln!("SKIPPED: mount {args:?} is not allowed here (needs root, and a loop device)");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: what a failed test still holds open must not keep it mounted for ever.
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.at)
            .status();
    }
}

fn done(program: &str, args: &[&str]) -> bool {
    std::process::Command::new(program)
        .args(args)
        .output()
        .is_ok_and(|out| out.status.success())
}
