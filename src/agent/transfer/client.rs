//! The destination's end of a connection: who is there, a question, its answer.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::channel::Channel;
use super::copy::Live;
use super::message::{Answer, Ask, FRAME_MAX, malformed};
use super::{Fault, Result, TransferError};
use crate::wire::Peer;

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Ids and sizes of the disks a source grants.
pub(super) type Granted = Vec<(i64, u64)>;

/// Connects, proves who is who, and hears what is granted.
pub(super) fn connect(
    live: &Live,
    peer: &Peer,
    config: &Arc<rustls::ClientConfig>,
    migration: i64,
) -> Result<(Channel, Granted)> {
    let address = peer
        .address
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    let address = address.ok_or_else(|| {
        TransferError::new(
            Fault::Unreachable,
            format!("not an address: {}", peer.address),
        )
    })?;
    let tcp = TcpStream::connect_timeout(&address, CONNECT).map_err(|e| broken(&e))?;
    live.watch(tcp.try_clone().map_err(|e| broken(&e))?);
    let mut channel = Channel::connect(tcp, Arc::clone(config)).map_err(|e| broken(&e))?;
    let hello = Ask::Hello {
        migration,
        token: peer.token.clone(),
    };
    match call(&mut channel, &hello)? {
        Answer::Welcome { disks, .. } => Ok((channel, disks)),
        _ => Err(malformed("no welcome")),
    }
}

pub(super) fn call(channel: &mut Channel, ask: &Ask) -> Result<Answer> {
    channel
        .write(&ask.encode())
        .and_then(|()| channel.flush())
        .map_err(|e| broken(&e))?;
    let (kind, len) = read_head(channel)?;
    read_answer(channel, kind, len)
}

/// A wrong key is not a broken line: no use trying again.
pub(super) fn broken(e: &std::io::Error) -> TransferError {
    if e.kind() == std::io::ErrorKind::PermissionDenied {
        TransferError::new(Fault::Refused, format!("TLS: {e}"))
    } else {
        TransferError::new(Fault::Unreachable, e.to_string())
    }
}

pub(super) fn read_head(channel: &mut Channel) -> Result<(u8, usize)> {
    let mut head = [0; 5];
    channel.read_exact(&mut head).map_err(|e| broken(&e))?;
    let [kind, len @ ..] = head;
    let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
    if len > FRAME_MAX {
        return Err(malformed("a frame is too long"));
    }
    Ok((kind, len))
}

/// Reads a whole answer (not `Data`, whose bytes have their own buffer); the other end's failure becomes ours.
pub(super) fn read_answer(channel: &mut Channel, kind: u8, len: usize) -> Result<Answer> {
    let mut body = vec![0; len];
    channel.read_exact(&mut body).map_err(|e| broken(&e))?;
    match Answer::decode(kind, &body)? {
        Answer::Fail {
            fault,
            public,
            detail,
        } => Err(TransferError {
            fault,
            public,
            detail: format!("the source: {detail}"),
        }),
        answer => Ok(answer),
    }
}
