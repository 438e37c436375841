//! A volume group that is a folder of files, for everything about volumes but LVM itself: a new volume holds what "an
//! earlier tenant" left, and a call fails on demand, before or after it did its work. And a program that talks as LVM does on
//! hosts whose `lvm.conf` is not as usual.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use xenbeta::agent::disk::lvm::{Extents, Group, TAG, Volume};
use xenbeta::agent::disk::{DiskError, DiskFault};

pub const EXTENT: u64 = 64 * 1024;
const TOTAL: u64 = 4096;

#[derive(Default)]
pub struct State {
    pub volumes: Vec<Volume>,
    made: u64,
    /// Calls that change something, so far.
    pub changes: u64,
    /// All calls that would be a process.
    pub processes: u64,
    /// There is no room for snapshots, or the kernel knows none.
    pub no_snapshots: bool,
    pub snapshots_are_full: bool,
    /// The so-manieth change from now fails: `true`, before it did anything; `false`, after.
    pub fail: Option<(u64, bool)>,
}

#[derive(Clone)]
pub struct FakeGroup {
    dir: PathBuf,
    pub state: Arc<Mutex<State>>,
}

impl FakeGroup {
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        Self {
            dir: dir.to_owned(),
            state: Arc::default(),
        }
    }

    fn change<T>(
        &self,
        act: impl FnOnce(&mut State) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let mut state = self.state.lock().unwrap();
        state.processes += 1;
        state.changes += 1;
        let failed = || DiskError::new(DiskFault::Io, "injected", "injected");
        let (now, before) = match &mut state.fail {
            Some((left, before)) => {
                *left -= 1;
                (*left == 0, *before)
            }
            None => (false, false),
        };
        if now {
            state.fail = None;
        }
        if now && before {
            return Err(failed());
        }
        let done = act(&mut state);
        if now { Err(failed()) } else { done }
    }

    fn ask<T>(&self, act: impl FnOnce(&State) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        state.processes += 1;
        act(&state)
    }
}

fn ours(volume: &Volume, uuids: &[&str]) -> bool {
    uuids.contains(&volume.uuid.as_str()) && volume.tags.iter().any(|tag| tag == TAG)
}

impl Group for FakeGroup {
    fn extents(&self) -> Result<Extents, DiskError> {
        let used: u64 = self.ask(|s| s.volumes.iter().map(|v| v.bytes / EXTENT).sum());
        Ok(Extents {
            size: EXTENT,
            total: TOTAL,
            free: TOTAL - used,
        })
    }

    fn volumes(&self) -> Result<Vec<Volume>, DiskError> {
        let mut volumes = self.ask(|state| state.volumes.clone());
        volumes.retain(|volume| volume.tags.iter().any(|tag| tag == TAG));
        Ok(volumes)
    }

    fn named(&self, name: &str) -> Result<Option<Volume>, DiskError> {
        Ok(self.ask(|state| state.volumes.iter().find(|v| v.name == name).cloned()))
    }

    fn create(&self, name: &str, extents: u64, tags: &[String]) -> Result<(), DiskError> {
        self.change(|state| {
            if state.volumes.iter().any(|volume| volume.name == name) {
                return Err(DiskError::new(DiskFault::Io, "taken", name));
            }
            state.made += 1;
            let bytes = extents * EXTENT;
            let mut file = File::create_new(self.dir.join(name)).unwrap();
            let tenant = b"the earlier tenant's data. ";
            let leavings = tenant.repeat(usize::try_from(bytes).unwrap() / tenant.len() + 1);
            file.write_all(&leavings[..usize::try_from(bytes).unwrap()])
                .unwrap();
            state.volumes.push(Volume {
                name: name.into(),
                uuid: format!("{:032}", state.made),
                bytes,
                tags: tags.to_vec(),
                writable: true,
            });
            Ok(())
        })
    }

    fn snapshot(
        &self,
        (of, uuid): (&str, &str),
        name: &str,
        extents: u64,
        tags: &[String],
    ) -> Result<(), DiskError> {
        self.change(|state| {
            let origin = state
                .volumes
                .iter()
                .find(|v| v.name == of && v.uuid == uuid);
            if origin.is_none() || state.no_snapshots {
                return Err(DiskError::new(DiskFault::Io, "no snapshot", name));
            }
            state.made += 1;
            fs::copy(self.dir.join(of), self.dir.join(name)).unwrap();
            state.volumes.push(Volume {
                name: name.into(),
                uuid: format!("{:032}", state.made),
                bytes: extents * EXTENT,
                tags: tags.to_vec(),
                writable: true,
            });
            Ok(())
        })
    }

    fn is_short_of_room(&self) -> Result<bool, DiskError> {
        Ok(self.ask(|state| state.snapshots_are_full))
    }

    fn add_tags(&self, uuid: &str, tags: &[String]) -> Result<(), DiskError> {
        self.change(|state| {
            for volume in state.volumes.iter_mut().filter(|v| v.uuid == uuid) {
                volume.tags.extend(tags.iter().cloned());
                volume.tags.dedup();
            }
            Ok(())
        })
    }

    fn remove(&self, uuids: &[&str]) -> Result<(), DiskError> {
        if uuids.is_empty() {
            return Ok(());
        }
        self.change(|state| {
            for volume in state.volumes.iter().filter(|v| ours(v, uuids)) {
                fs::remove_file(self.dir.join(&volume.name)).unwrap();
            }
            state.volumes.retain(|volume| !ours(volume, uuids));
            Ok(())
        })
    }

    fn set_writable(&self, uuids: &[&str], writable: bool) -> Result<(), DiskError> {
        self.change(|state| {
            for volume in state.volumes.iter_mut().filter(|v| ours(v, uuids)) {
                volume.writable = writable;
            }
            Ok(())
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn open(&self, name: &str, uuid: &str, write: bool) -> Result<File, DiskError> {
        let state = self.state.lock().unwrap();
        let found = state.volumes.iter().find(|v| v.name == name);
        let fault = match found {
            Some(volume) if volume.uuid != uuid => DiskFault::Refused,
            Some(volume) if write && !volume.writable => DiskFault::Refused,
            Some(_) => {
                let path = self.dir.join(name);
                return Ok(File::options().read(true).write(write).open(path).unwrap());
            }
            None => DiskFault::Missing,
        };
        Err(DiskError::new(fault, "not to be opened", name))
    }

    fn is_writable(&self, device: &File) -> Result<bool, DiskError> {
        let node = device.metadata().unwrap().ino();
        let state = self.state.lock().unwrap();
        let found = state.volumes.iter().find(|volume| {
            fs::metadata(self.dir.join(&volume.name)).is_ok_and(|meta| meta.ino() == node)
        });
        Ok(found.unwrap().writable)
    }
}

/// What `Program` says to a report.
const SAYINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/lvm_said");

/// In LVM's place: keeps its calls, and answers reports with a file of `lvm_said`.
pub struct Program {
    dir: tempfile::TempDir,
}

impl Program {
    /// `obeys`: by its arguments it talks as asked, as LVM does. Else it is one that takes no setting but its own.
    pub fn new(saying: &str, obeys: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = Self { dir };
        let text = format!(
            r#"#!/bin/sh
echo "$*" >> {calls}
obeys={obeys}
asked() {{ $obeys && case "$all " in *" $1 "*) ;; *) false ;; esac; }}
all="$*"
case $1 in
    lvmconfig)
        [ "$4" != log/verbose ] || {{ $obeys && echo verbose=0 || echo verbose=2; exit; }}
        asked 'log/command_names=0' && echo command_names=0 || echo command_names=1
        for word in $(echo "$all" | sed 's/.*--config //'); do echo "${{word#*/}}" | grep -v command_names; done
        echo 'prefix="  "' ;;
    lvs | vgs)
        if asked -qq && asked 'log/report_command_log=0' && asked 'log/command_names=0'; then
            cat {SAYINGS}/plain.$1
        else
            cat {SAYINGS}/{saying}.$1
        fi ;;
esac
"#,
            calls = program.calls_file().display()
        );
        fs::write(program.path(), text).unwrap();
        fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("lvm")
    }

    fn calls_file(&self) -> PathBuf {
        self.dir.path().join("calls")
    }

    /// A line for each call.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.calls_file()).unwrap()
    }
}
