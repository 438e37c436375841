//! The states of rustls's unbuffered machine, turned into what [`super::channel`] does next.

use std::io;

use rustls::unbuffered::{ConnectionState, UnbufferedStatus};

/// What one step through the incoming records found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Incoming {
    /// Something moved on; look again.
    More,
    /// Nothing whole is left in the buffer; plaintext may be sent.
    Idle,
    /// The handshake waits for the other end.
    Blocked,
    Closed,
}

pub(super) enum Tried {
    Done {
        discard: usize,
        written: usize,
    },
    /// Something else had to be dealt with first.
    Other {
        discard: usize,
        plain: Vec<u8>,
        encoded: usize,
        closed: bool,
    },
    Failed(io::Error),
}

pub(super) fn try_encrypt<D>(
    status: UnbufferedStatus<'_, '_, D>,
    part: &[u8],
    room: &mut [u8],
) -> Tried {
    let mut discard = status.discard;
    let mut plain = Vec::new();
    let mut encoded = 0;
    let mut closed = false;
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            return match traffic.encrypt(part, room) {
                Ok(written) => Tried::Done { discard, written },
                Err(e) => Tried::Failed(io::Error::other(e)),
            };
        }
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                    Err(e) => return Tried::Failed(tls_error(e)),
                }
            }
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => match data.encode(room) {
            Ok(n) => encoded = n,
            Err(e) => return Tried::Failed(io::Error::other(e)),
        },
        Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
        Ok(_) => closed = true,
        Err(e) => return Tried::Failed(tls_error(e)),
    }
    Tried::Other {
        discard,
        plain,
        encoded,
        closed,
    }
}

/// Where what comes out of the TLS machine goes.
#[allow(clippy::mut_mut, reason = "the caller's slice shrinks as it is filled")]
pub(super) struct Sink<'a, 'b> {
    pub dst: &'a mut &'b mut [u8],
    pub plain: &'a mut Vec<u8>,
    pub plain_at: &'a mut usize,
    pub outgoing: &'a mut Vec<u8>,
    pub out_len: &'a mut usize,
}

impl Sink<'_, '_> {
    pub(super) fn take<D>(
        &mut self,
        status: UnbufferedStatus<'_, '_, D>,
    ) -> (usize, io::Result<Incoming>) {
        let mut discard = status.discard;
        let found = match status.state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            self.plaintext(record.payload);
                        }
                        Err(e) => return (discard, Err(tls_error(e))),
                    }
                }
                Ok(Incoming::More)
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let room = self.outgoing.get_mut(*self.out_len..).unwrap_or_default();
                match data.encode(room) {
                    Ok(n) => {
                        *self.out_len += n;
                        Ok(Incoming::More)
                    }
                    Err(e) => Err(io::Error::other(e)),
                }
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // Encoded bytes stay in `outgoing` until the caller transmits, which it does before it waits.
                data.done();
                Ok(Incoming::More)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Incoming::Blocked),
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Incoming::Idle),
            Ok(_) => Ok(Incoming::Closed),
            Err(e) => Err(tls_error(e)),
        };
        (discard, found)
    }

    fn plaintext(&mut self, payload: &[u8]) {
        let whole = std::mem::take(self.dst);
        let n = whole.len().min(payload.len());
        let (head, rest) = whole.split_at_mut(n);
        let (now, later) = payload.split_at(n);
        head.copy_from_slice(now);
        *self.dst = rest;
        if *self.plain_at == self.plain.len() {
            self.plain.clear();
            *self.plain_at = 0;
        }
        self.plain.extend_from_slice(later);
    }
}

/// Keeps "whoever is there is not who we were told" apart from "the line broke".
fn tls_error(e: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, e)
}
