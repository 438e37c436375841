//! One TLS connection, read and written by one thread, with a time limit on every wait.
//!
//! rustls's unbuffered interface: this room owns the buffers, so that records are decrypted where they arrived and a
//! system call moves a quarter of a megabyte, where the buffered interface reads 4 KiB at a time.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};

use super::identity;
use super::records::{Incoming, Sink, Tried, try_encrypt};

/// The other end must finish its part of the handshake within this; who asks, also say what for.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Whoever is refused is listened to for so long yet, at most so many bytes: closed at once, the connection would be reset,
/// and the reason lost.
const REFUSED: Duration = Duration::from_millis(500);
const UNHEARD: usize = 64 * 1024;
/// The other end must send or take something within this. Long enough for a segment of a slow disk.
const IDLE: Duration = Duration::from_mins(1);

const IN: usize = 256 * 1024;
/// Plaintext encrypted before it is handed to the kernel.
const OUT: usize = 128 * 1024;
/// Room for `OUT` bytes in records: 22 bytes for each 16 KiB, and slack for a key update.
const OUT_TLS: usize = OUT + 4096;
/// Small messages wait here to share a record.
const STAGE: usize = 16 * 1024;

enum Conn {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

pub(super) struct Channel {
    tcp: TcpStream,
    conn: Conn,
    incoming: Vec<u8>,
    start: usize,
    end: usize,
    /// Decrypted and not yet read.
    plain: Vec<u8>,
    plain_at: usize,
    stage: Vec<u8>,
    outgoing: Vec<u8>,
    out_len: usize,
    /// Until then, however often something comes; no more of it once the other end is welcome.
    until: Option<Instant>,
    /// Bytes put on the wire, and the time the kernel (so, the link) took to take them.
    pub wire_bytes: u64,
    pub wire_time: Duration,
}

impl Channel {
    pub(super) fn connect(tcp: TcpStream, config: Arc<ClientConfig>) -> io::Result<Self> {
        // The name is part of the handshake and never looked at: keys are pinned.
        let name = ServerName::try_from("agent.invalid").map_err(io::Error::other)?;
        let conn = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut channel = Self::handshake(tcp, Conn::Client(conn))?;
        channel.welcome()?;
        Ok(channel)
    }

    /// Until [`Channel::welcome`], the other end's time is short.
    pub(super) fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let conn = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        Self::handshake(tcp, Conn::Server(conn))
    }

    fn handshake(tcp: TcpStream, conn: Conn) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        let deadline = Instant::now() + HANDSHAKE;
        let mut channel = Self {
            tcp,
            conn,
            incoming: vec![0; IN],
            start: 0,
            end: 0,
            plain: Vec::new(),
            plain_at: 0,
            stage: Vec::with_capacity(STAGE),
            outgoing: vec![0; OUT_TLS],
            out_len: 0,
            until: Some(deadline),
            wire_bytes: 0,
            wire_time: Duration::ZERO,
        };
        loop {
            channel.hurry(deadline)?;
            let found = channel.step(&mut &mut [][..]);
            if found.is_err() {
                // The alert, which tells the other end why.
                let _ = channel.step(&mut &mut [][..]);
            }
            channel.transmit()?;
            match found {
                Ok(Incoming::More) => {}
                Ok(Incoming::Blocked) => channel.receive()?,
                Ok(Incoming::Idle) => return Ok(channel),
                Ok(Incoming::Closed) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(e) => {
                    channel.refuse();
                    return Err(e);
                }
            }
        }
    }

    /// The other end is who it should be: from now on it only has to send or take something now and then.
    pub(super) fn welcome(&mut self) -> io::Result<()> {
        self.until = None;
        self.tcp.set_read_timeout(Some(IDLE))?;
        self.tcp.set_write_timeout(Some(IDLE))
    }

    fn hurry(&self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the handshake took too long",
            ));
        }
        self.tcp.set_read_timeout(Some(left))?;
        self.tcp.set_write_timeout(Some(left))
    }

    fn refuse(&mut self) {
        let until = Instant::now() + REFUSED;
        let _ = self.tcp.shutdown(Shutdown::Write);
        let (mut unheard, mut bin) = (0, [0; 4096]);
        while unheard < UNHEARD && self.hurry(until).is_ok() {
            match self.tcp.read(&mut bin) {
                Ok(n) if n > 0 => unheard += n,
                _ => return,
            }
        }
    }

    /// The other end's certificate, as a fingerprint.
    pub(super) fn peer(&self) -> Option<String> {
        let chain = match &self.conn {
            Conn::Client(conn) => conn.peer_certificates(),
            Conn::Server(conn) => conn.peer_certificates(),
        };
        chain.and_then(<[_]>::first).map(identity::fingerprint)
    }

    /// One state of the TLS machine. Plaintext goes into `dst` as far as it fits.
    #[allow(clippy::mut_mut, reason = "the caller's slice shrinks as it is filled")]
    fn step(&mut self, dst: &mut &mut [u8]) -> io::Result<Incoming> {
        let incoming = self
            .incoming
            .get_mut(self.start..self.end)
            .unwrap_or_default();
        let mut sink = Sink {
            dst,
            plain: &mut self.plain,
            plain_at: &mut self.plain_at,
            outgoing: &mut self.outgoing,
            out_len: &mut self.out_len,
        };
        let (discard, found) = match &mut self.conn {
            Conn::Client(conn) => sink.take(conn.process_tls_records(incoming)),
            Conn::Server(conn) => sink.take(conn.process_tls_records(incoming)),
        };
        self.start += discard;
        if self.start >= self.end {
            self.start = 0;
            self.end = 0;
        }
        found
    }

    fn receive(&mut self) -> io::Result<()> {
        // Move a partial record to the front when there may be no room for its rest.
        if self.start > 0 && self.incoming.len() - self.end < 32 * 1024 {
            self.incoming.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end >= self.incoming.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a TLS record is too long",
            ));
        }
        if let Some(until) = self.until {
            self.hurry(until)?;
        }
        let room = self.incoming.get_mut(self.end..).unwrap_or_default();
        match self.tcp.read(room) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was cut",
            )),
            Ok(n) => {
                self.end += n;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn transmit(&mut self) -> io::Result<()> {
        if self.out_len > 0 {
            let started = Instant::now();
            self.tcp
                .write_all(self.outgoing.get(..self.out_len).unwrap_or_default())?;
            self.wire_time += started.elapsed();
            self.wire_bytes += self.out_len as u64;
            self.out_len = 0;
        }
        Ok(())
    }

    /// Fills `dst`. What was written before must have been flushed if the other end is to answer it.
    pub(super) fn read_exact(&mut self, mut dst: &mut [u8]) -> io::Result<()> {
        let ready = self.plain.get(self.plain_at..).unwrap_or_default();
        let n = ready.len().min(dst.len());
        let (head, rest) = dst.split_at_mut(n);
        head.copy_from_slice(ready.get(..n).unwrap_or_default());
        dst = rest;
        self.plain_at += n;
        if self.plain_at == self.plain.len() {
            self.plain.clear();
            self.plain_at = 0;
        }
        while !dst.is_empty() {
            match self.step(&mut dst)? {
                Incoming::More => {}
                Incoming::Idle | Incoming::Blocked => {
                    self.transmit()?;
                    self.receive()?;
                }
                Incoming::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    }

    /// Queues `data`; large data goes out at once, small waits for [`Channel::flush`].
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        if self.stage.len() + data.len() <= STAGE {
            self.stage.extend_from_slice(data);
            return Ok(());
        }
        self.encrypt_stage()?;
        if data.len() <= STAGE {
            self.stage.extend_from_slice(data);
            return Ok(());
        }
        for part in data.chunks(OUT) {
            self.encrypt(part)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.encrypt_stage()?;
        self.transmit()
    }

    fn encrypt_stage(&mut self) -> io::Result<()> {
        if self.stage.is_empty() {
            return Ok(());
        }
        let stage = std::mem::take(&mut self.stage);
        let done = self.encrypt(&stage);
        self.stage = stage;
        self.stage.clear();
        done
    }

    fn encrypt(&mut self, part: &[u8]) -> io::Result<()> {
        // Records to encrypt and whatever is still waiting share one buffer.
        if self.out_len + part.len() + 2048 > OUT_TLS {
            self.transmit()?;
        }
        loop {
            let incoming = self
                .incoming
                .get_mut(self.start..self.end)
                .unwrap_or_default();
            let room = self.outgoing.get_mut(self.out_len..).unwrap_or_default();
            // Fast path: nothing has come in, so nothing can be in the way.
            let status = match &mut self.conn {
                Conn::Client(conn) => try_encrypt(conn.process_tls_records(incoming), part, room),
                Conn::Server(conn) => try_encrypt(conn.process_tls_records(incoming), part, room),
            };
            match status {
                Tried::Done { discard, written } => {
                    self.start += discard;
                    self.out_len += written;
                    return Ok(());
                }
                Tried::Failed(e) => return Err(e),
                Tried::Other {
                    discard,
                    plain,
                    encoded,
                    closed,
                } => {
                    self.start += discard;
                    self.plain.extend_from_slice(&plain);
                    self.out_len += encoded;
                    if closed {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}
