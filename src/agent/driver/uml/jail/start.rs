//! The jailer: `xenbeta-agent jail`, started anew for each guest. It takes what only the host's root can (the tap), makes the
//! namespaces, leaves the first process of them behind and says its pid.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::init;
use super::spec::{Spec, doing};
use crate::agent::driver::net;

/// Without `tap` the jailer itself; with it the first process inside, which has the tap as this descriptor.
pub fn main(spec: &Path, tap: Option<i32>, words: &[String]) -> ExitCode {
    let outcome = match tap {
        None => jailer(spec, words).map(|pid| println!("{pid}")),
        Some(tap) => read(spec).and_then(|spec| init::run(&spec, tap)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read(spec: &Path) -> io::Result<Spec> {
    Ok(serde_json::from_slice(&fs::read(spec)?)?)
}

fn jailer(path: &Path, words: &[String]) -> io::Result<u32> {
    let spec = read(path)?;
    // A guest without a network is told of none; what it then holds in the tap's place takes and gives nothing.
    let tap = match &spec.tap {
        Some(name) => net::tap::open(name).map_err(doing("the tap"))?,
        None => fs::File::open("/dev/null")?,
    };
    fcntl_setfd(&tap, FdFlags::empty())?;
    namespaces().map_err(doing("namespaces"))?;
    #[allow(
        clippy::disallowed_methods,
        reason = "the first process of the namespaces, which is this program again, and ends as it likes"
    )]
    let mut child = std::process::Command::new("/proc/self/exe")
        .arg("jail")
        .arg("--spec")
        .arg(path)
        .arg("--tap")
        .arg(tap.as_raw_fd().to_string())
        .args(words)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // It says what fails; once the guest's root is its own and UML is next, it closes this end without a word.
    let mut failure = String::new();
    if let Some(mut said) = child.stdout.take() {
        said.read_to_string(&mut failure)?;
    }
    if failure.is_empty() {
        Ok(child.id())
    } else {
        child.wait()?;
        Err(io::Error::other(failure))
    }
}

#[allow(
    unsafe_code,
    reason = "unshare is unsafe only with the flag FILES, which is not among these"
)]
fn namespaces() -> io::Result<()> {
    let flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWNET;
    // SAFETY: this process has one thread, and no descriptor table is unshared.
    unsafe { unshare_unsafe(flags) }?;
    Ok(())
}
