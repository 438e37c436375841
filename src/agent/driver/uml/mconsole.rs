//! UML's management console: one datagram there, one back, on a unix socket. Spoken directly, since `uml_mconsole` waits
//! for ever for a guest that does not answer.

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MAGIC: u32 = 0xcafe_babe;
const VERSION: u32 = 2;
/// Both ways a message is three 32-bit words in the host's byte order and up to this many bytes of text.
const TEXT: usize = 512;
const HEADER: usize = 12;

#[derive(Debug, thiserror::Error)]
pub enum MconsoleError {
    #[error("{path}: {source}")]
    Socket { path: PathBuf, source: io::Error },
    #[error("the guest says: {0}")]
    Said(String),
    #[error("an answer of {0} bytes, too short")]
    Short(usize),
}

/// Our end of the conversation, gone from the file system when dropped.
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

/// Sends one command (`cad`, `halt`, `version`) and waits for the answer's first part.
pub fn ask(
    uml_dir: &Path,
    umid: &str,
    command: &str,
    limit: Duration,
) -> Result<String, MconsoleError> {
    let path = socket_path(uml_dir, umid);
    let failed = |source| MconsoleError::Socket {
        path: path.clone(),
        source,
    };
    let reply = Reply::bind(uml_dir).map_err(failed)?;
    let limit = limit.max(Duration::from_millis(1));
    reply.socket.set_read_timeout(Some(limit)).map_err(failed)?;
    reply
        .socket
        .set_write_timeout(Some(limit))
        .map_err(failed)?;
    reply
        .socket
        .send_to(&request(command), &path)
        .map_err(failed)?;
    let mut buffer = [0; HEADER + TEXT];
    let length = reply.socket.recv(&mut buffer).map_err(failed)?;
    parse(buffer.get(..length).unwrap_or_default())
}

/// Where a guest listens.
pub fn socket_path(uml_dir: &Path, umid: &str) -> PathBuf {
    uml_dir.join(umid).join("mconsole")
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
fn parse(message: &[u8]) -> Result<String, MconsoleError> {
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
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::thread;

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
        let guest = UnixDatagram::bind(socket_path(dir.path(), "g")).unwrap();
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
        let ask = |limit| ask(dir.path(), "g", "version", Duration::from_millis(limit));
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
        assert!(ask(dir.path(), "g", "cad", Duration::from_secs(1)).is_err());
    }
}
