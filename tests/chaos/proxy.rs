//! A TCP proxy that can be told to misbehave: between agents and portal, and between agents.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Pass,
    /// What is open is cut, what is new is refused.
    Cut,
    /// Every piece waits so many milliseconds.
    Delay(u64),
    /// A connection ends after so many more bytes.
    Truncate(u64),
    /// Connections stand, and nothing passes.
    Blackhole,
}

struct Shared {
    mood: Mutex<Mood>,
    /// Connections of an earlier mood's number may have to end.
    turn: AtomicU64,
    /// The first that takes connections gets them.
    targets: Mutex<Vec<SocketAddr>>,
    end: AtomicBool,
}

pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

const LOOK: Duration = Duration::from_millis(20);

impl Proxy {
    pub fn to(target: SocketAddr) -> Self {
        Self::to_either(vec![target])
    }

    pub fn to_either(targets: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Pass),
            turn: AtomicU64::new(0),
            targets: Mutex::new(targets),
            end: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &for_thread));
        Self { address, shared }
    }

    /// New connections go to another one first.
    pub fn change_over(&self) {
        self.shared.targets.lock().unwrap().rotate_left(1);
    }

    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
        self.shared.turn.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::SeqCst);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.end.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else {
            thread::sleep(LOOK / 4);
            continue;
        };
        if *shared.mood.lock().unwrap() == Mood::Cut {
            continue;
        }
        let targets = shared.targets.lock().unwrap().clone();
        let connect = |to: &SocketAddr| TcpStream::connect_timeout(to, Duration::from_secs(2)).ok();
        let Some(server) = targets.iter().find_map(connect) else {
            continue;
        };
        let (client_2, server_2) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        for (from, to) in [(client, server), (server_2, client_2)] {
            let shared = Arc::clone(shared);
            thread::spawn(move || {
                pass(&from, &to, &shared);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }
}

/// One direction, until either end or the mood ends it.
fn pass(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) {
    let _ = from.set_nonblocking(false);
    let _ = from.set_read_timeout(Some(LOOK));
    let _ = to.set_nodelay(true);
    let mut bytes = vec![0; 64 << 10];
    let mut passed: u64 = 0;
    let mut turn = shared.turn.load(Ordering::SeqCst);
    loop {
        let mood = *shared.mood.lock().unwrap();
        let now = shared.turn.load(Ordering::SeqCst);
        if now != turn {
            turn = now;
            passed = 0;
        }
        if shared.end.load(Ordering::SeqCst) || mood == Mood::Cut {
            return;
        }
        if mood == Mood::Blackhole {
            thread::sleep(LOOK);
            continue;
        }
        let read = match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                continue;
            }
            Err(_) => return,
        };
        let mut piece = &bytes[..read];
        let mut last = false;
        match *shared.mood.lock().unwrap() {
            Mood::Delay(ms) => thread::sleep(Duration::from_millis(ms)),
            Mood::Truncate(limit) => {
                let left = usize::try_from(limit.saturating_sub(passed)).unwrap();
                if piece.len() > left {
                    piece = &piece[..left];
                    last = true;
                }
            }
            Mood::Pass | Mood::Cut | Mood::Blackhole => {}
        }
        passed += u64::try_from(piece.len()).unwrap();
        if to.write_all(piece).is_err() || last {
            return;
        }
    }
}
