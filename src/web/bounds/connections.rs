//! Connections that are open. One that answers nothing costs a buffer, of which its other end chooses the size up to that of
//! the longest head of a request; of those there are so many, and the oldest gives way.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::rt::net::TcpStream as Stream;

use crate::domain::network::Address;

/// Of one address, of those that answer nothing; a proxy that is trusted speaks for many, and has no bound of its own.
const OF_ADDRESS: usize = 200;
const ALL: usize = 1000;

pub struct Connections(Mutex<Open>);

impl Default for Connections {
    fn default() -> Self {
        Self::of(OF_ADDRESS, ALL)
    }
}

struct Open {
    of_address: usize,
    most: usize,
    /// By number, so that the oldest is first.
    all: BTreeMap<u64, One>,
    next: u64,
}

struct One {
    near: IpAddr,
    /// `None`: it stays, whatever comes.
    handle: Option<TcpStream>,
    /// Requests that are being answered on it.
    busy: usize,
}

impl One {
    fn may_go(&self) -> bool {
        self.busy == 0 && self.handle.is_some()
    }
}

/// A connection, as long as it is open.
pub struct Visit {
    connections: Arc<Connections>,
    number: u64,
}

/// A request on it, as long as it is being answered.
pub struct Busy(Arc<Connections>, u64);

impl Connections {
    fn of(of_address: usize, most: usize) -> Self {
        Self(Mutex::new(Open {
            of_address,
            most,
            all: BTreeMap::new(),
            next: 0,
        }))
    }

    /// `None`: what `io` is, is not known.
    pub fn enter(self: &Arc<Self>, io: &dyn Any, proxies: &[IpAddr]) -> Option<Visit> {
        let secured = io.downcast_ref::<TlsStream<Stream>>();
        let stream = match secured {
            Some(secured) => secured.get_ref().0,
            None => io.downcast_ref::<Stream>()?,
        };
        let peer = stream.peer_addr().map(|peer| peer.ip());
        let peer = Address::of(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let handle = stream.as_fd().try_clone_to_owned().ok();
        let handle = handle.filter(|_| !peer.is_among(proxies));
        Some(self.note(peer.near(), handle.map(TcpStream::from)))
    }

    fn note(self: &Arc<Self>, near: IpAddr, handle: Option<TcpStream>) -> Visit {
        let mut open = self.lock();
        open.make_room(near);
        open.next += 1;
        let number = open.next;
        let one = One {
            near,
            handle,
            busy: 0,
        };
        open.all.insert(number, one);
        Visit {
            connections: Arc::clone(self),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// For one more from there.
    fn make_room(&mut self, near: IpAddr) {
        let mut from: HashMap<IpAddr, usize> = HashMap::new();
        for one in self.all.values().filter(|one| one.may_go()) {
            *from.entry(one.near).or_default() += 1;
        }
        let theirs = from.get(&near).copied().unwrap_or(0);
        let most = from.iter().max_by_key(|(_, count)| **count);
        let of = match most {
            _ if theirs >= self.of_address => near,
            Some((most, _)) if from.values().sum::<usize>() >= self.most => *most,
            _ => return,
        };
        let mut all = self.all.iter_mut();
        let oldest = all.find(|(_, one)| one.near == of && one.may_go());
        // Its end is noted when it is seen there.
        if let Some(handle) = oldest.and_then(|(_, one)| one.handle.take()) {
            let _ = handle.shutdown(Shutdown::Both);
        }
    }
}

impl Visit {
    pub fn answers(&self) -> Busy {
        if let Some(one) = self.connections.lock().all.get_mut(&self.number) {
            one.busy += 1;
        }
        Busy(Arc::clone(&self.connections), self.number)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(one) = self.0.lock().all.get_mut(&self.1) {
            one.busy = one.busy.saturating_sub(1);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.connections.lock().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    struct Door {
        listener: TcpListener,
        connections: Arc<Connections>,
    }

    impl Door {
        fn new() -> Self {
            Self {
                listener: TcpListener::bind("127.0.0.1:0").unwrap(),
                connections: Arc::new(Connections::of(8, 20)),
            }
        }

        fn one(&self, from: u8) -> (TcpStream, Visit) {
            let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
            client.set_nonblocking(true).unwrap();
            let near = IpAddr::from([192, 0, 2, from]);
            let served = self.listener.accept().unwrap().0;
            (client, self.connections.note(near, Some(served)))
        }
    }

    fn is_open((client, _): &mut (TcpStream, Visit)) -> bool {
        client.read(&mut [0]).is_err()
    }

    #[test]
    fn the_oldest_of_an_address_that_answers_nothing_gives_way() {
        let door = Door::new();
        let mut theirs: Vec<_> = (0..8).map(|_| door.one(1)).collect();
        let mut another = door.one(2);
        let busy = theirs[0].1.answers();
        let mut more = [door.one(1), door.one(1)];
        assert!(more.iter_mut().all(is_open));
        assert!(is_open(&mut another) && is_open(&mut theirs[0]));
        assert!(!is_open(&mut theirs[1]) && is_open(&mut theirs[2]));
        drop(busy);
        theirs.push(door.one(1));
        assert!(!is_open(&mut theirs[0]));
        theirs.clear();
        assert_eq!(door.connections.lock().all.len(), 3);
    }

    #[test]
    fn of_all_together_the_greediest_gives_way() {
        let door = Door::new();
        let mut few = door.one(1);
        let mut many: Vec<_> = (0..20)
            .map(|n| door.one(2 + u8::from(n < 7) * (1 + n % 2)))
            .collect();
        assert!(is_open(&mut few));
        let open = many.iter_mut().map(is_open).filter(|open| *open).count();
        assert_eq!(open, 7 + 8, "the third address has as many as one may");
        let mut more: Vec<_> = (10..15).map(|n| door.one(n)).collect();
        assert!(is_open(&mut few) && more.iter_mut().all(is_open));
        let open = many.iter_mut().map(is_open).filter(|open| *open).count();
        assert_eq!(open, 20 - 6);
    }
}
