//! UML's management console: one datagram there, one back, on a unix socket. Spoken directly, since `uml_mconsole` waits
//! for ever for a guest that does not answer.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::net::sockopt::set_socket_passcred;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::jail::inside::UML_DIR;
use crate::agent::process::ProcessRef;

const MAGIC: u32 = 0xcafe_babe;
const VERSION: u32 = 2;
/// Both ways a message is three 32-bit words in the host's byte order and up to this many bytes of text.
const TEXT: usize = 512;
const HEADER: usize = 12;

#[derive(Debug, thiserror::Error)]
pub(super) enum MconsoleError {
    #[error("{path}: {source}")]
    Socket { path: PathBuf, source: io::Error },
    #[error("the guest says: {0}")]
    Said(String),
    #[error("an answer of {0} bytes, too short")]
    Short(usize),
}

/// Where a guest listens.
#[derive(Debug, Clone)]
pub(super) enum Listener {
    /// A socket in the file system of the host.
    Plain(PathBuf),
    /// One in the jail that this process is the first of. Names in there are the guest's to choose, so that none is followed.
    Jailed { init: ProcessRef, umid: String },
}

impl Listener {
    pub(super) fn plain(uml_dir: &Path, umid: &str) -> Self {
        Self::Plain(uml_dir.join(umid).join("mconsole"))
    }

    /// Is the guest so far that it can be asked something?
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Plain(path) => path.exists(),
            Self::Jailed { init, umid } => open(*init, umid).is_ok(),
        }
    }

    /// Sends one command (`cad`, `halt`, `version`) and waits for the answer's first part.
    pub(super) fn ask(&self, command: &str, limit: Duration) -> Result<String, MconsoleError> {
        match self {
            Self::Plain(path) => {
                let dir = path.parent().and_then(Path::parent);
                let failed = |source| MconsoleError::Socket {
                    path: path.clone(),
                    source,
                };
                let reply = Reply::bind(dir.unwrap_or(path)).map_err(failed)?;
                converse(&reply.socket, path, command, limit)
            }
            Self::Jailed { init, umid } => {
                let failed = |source| MconsoleError::Socket {
                    path: PathBuf::from(format!("mconsole of {umid}")),
                    source,
                };
                let there = open(*init, umid).map_err(failed)?;
                let socket = socket_in(*init).map_err(failed)?;
                let path = PathBuf::from(format!("/proc/self/fd/{}", there.as_raw_fd()));
                converse(&socket, &path, command, limit)
            }
        }
    }
}

fn converse(
    socket: &UnixDatagram,
    path: &Path,
    command: &str,
    limit: Duration,
) -> Result<String, MconsoleError> {
    let failed = |source| MconsoleError::Socket {
        path: path.to_path_buf(),
        source,
    };
    let limit = limit.max(Duration::from_millis(1));
    socket.set_read_timeout(Some(limit)).map_err(failed)?;
    socket.set_write_timeout(Some(limit)).map_err(failed)?;
    socket.send_to(&request(command), path).map_err(failed)?;
    let mut buffer = [0; HEADER + TEXT];
    let length = socket.recv(&mut buffer).map_err(failed)?;
    parse(buffer.get(..length).unwrap_or_default())
}

/// The guest's socket itself, found from its root without following a link.
fn open(init: ProcessRef, umid: &str) -> io::Result<OwnedFd> {
    let root = rustix::fs::open(
        format!("/proc/{}/root", init.pid),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // Only now: the root is of this very process.
    if !init.lives() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let path = Path::new(UML_DIR).join(umid).join("mconsole");
    let socket = rustix::fs::openat2(
        &root,
        path.strip_prefix("/").unwrap_or(&path),
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&socket)?.st_mode);
    if kind != FileType::Socket {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(socket)
}

/// A socket in the guest's network namespace, without a name in a file system: the guest can answer to no other. (A thread
/// moves there and stays; the process does not.)
fn socket_in(init: ProcessRef) -> io::Result<UnixDatagram> {
    let namespace = fs::File::open(format!("/proc/{}/ns/net", init.pid))?;
    if !init.lives() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let there = move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let socket = UnixDatagram::unbound()?;
        // With it the kernel gives the socket a name when it sends.
        set_socket_passcred(&socket, true)?;
        Ok(socket)
    };
    let thread = thread::Builder::new()
        .name("mconsole".into())
        .spawn(there)?;
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread for it ended")))
}

/// Our end of the conversation with a guest without a jail, gone from the file system when dropped.
struct Reply {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Reply {
    fn bind(dir: &Path) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!(".reply-{}-{number}", std::process::id()));
        let socket = match UnixDatagram::bind(&path) {
            // Left by an earlier agent with our pid: nobody listens there.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                fs::remove_file(&path)?;
                UnixDatagram::bind(&path)?
            }
            other => other?,
        };
        Ok(Self { socket, path })
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // A socket file left behind is found by the next bind to it.
        let _ = fs::remove_file(&self.path);
    }
}

fn request(command: &str) -> Vec<u8> {
    let text: Vec<u8> = command.bytes().take(TEXT - 1).collect();
    let length = u32::try_from(text.len()).unwrap_or(0);
    let mut message = Vec::with_capacity(HEADER + TEXT);
    for word in [MAGIC, VERSION, length] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(&text);
    message.resize(HEADER + TEXT, 0);
    message
}

/// An answer is `error, more, length`, then the text.
pub(super) fn parse(message: &[u8]) -> Result<String, MconsoleError> {
    let (header, text) = message
        .split_at_checked(HEADER)
        .ok_or(MconsoleError::Short(message.len()))?;
    let failed = header.iter().take(4).any(|byte| *byte != 0);
    let text = String::from_utf8_lossy(text);
    let text = text.trim_end_matches(['\0', '\n']).to_owned();
    if failed {
        Err(MconsoleError::Said(text))
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_uml_expects() {
        let message = request("cad");
        assert_eq!(message.len(), 524);
        assert_eq!(message[..4], 0xcafe_babe_u32.to_ne_bytes());
        assert_eq!(message[4..8], 2_u32.to_ne_bytes());
        assert_eq!(message[8..12], 3_u32.to_ne_bytes());
        assert_eq!(&message[12..16], b"cad\0");
    }

    #[test]
    fn answers_and_refusals() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("g")).unwrap();
        let guest = UnixDatagram::bind(dir.path().join("g/mconsole")).unwrap();
        let answer = thread::spawn(move || {
            for (error, text) in [(0_u32, "OK 6.1\0"), (1, "no such command\n\0")] {
                let mut buffer = [0; 600];
                let (_, from) = guest.recv_from(&mut buffer).unwrap();
                let mut message: Vec<u8> =
                    [error, 0, 7].iter().flat_map(|w| w.to_ne_bytes()).collect();
                message.extend_from_slice(text.as_bytes());
                guest
                    .send_to(&message, from.as_pathname().unwrap())
                    .unwrap();
            }
            guest
        });
        let listener = Listener::plain(dir.path(), "g");
        let ask = |limit| listener.ask("version", Duration::from_millis(limit));
        assert_eq!(ask(5000).unwrap(), "OK 6.1");
        assert_eq!(
            ask(5000).unwrap_err().to_string(),
            "the guest says: no such command"
        );
        let _listening = answer.join().unwrap();
        // One that listens and does not answer costs the limit, no more.
        assert!(matches!(ask(20), Err(MconsoleError::Socket { .. })));
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 1, "no reply socket is left behind");
    }

    #[test]
    fn nobody_there() {
        let dir = tempfile::tempdir().unwrap();
        let listener = Listener::plain(dir.path(), "g");
        assert!(!listener.is_there() && listener.ask("cad", Duration::from_secs(1)).is_err());
    }
}
