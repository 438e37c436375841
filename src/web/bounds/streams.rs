//! Live streams that are open.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::ids::UserId;

/// A browser opens six connections to a site over HTTP/1.1: two are left for its pages.
const OF_USER: usize = 4;
const OF_ADDRESS: usize = 100;
const ALL: usize = 1000;

#[derive(Default)]
pub struct Streams(Mutex<Open>);

#[derive(Default)]
struct Open {
    next: u64,
    /// The oldest first.
    all: Vec<One>,
}

struct One {
    number: u64,
    user: UserId,
    near: IpAddr,
    gives_way: Arc<Notify>,
}

/// A stream's place among the others, until it is dropped.
pub struct Place {
    streams: Arc<Streams>,
    number: u64,
    gives_way: Arc<Notify>,
}

impl Streams {
    /// `near`: as [`near`](crate::domain::network::Address::near) takes it. A user's oldest stream gives way to their next one; `None` where an address, or all
    /// together, have as many as may be.
    pub fn enter(self: &Arc<Self>, user: UserId, near: IpAddr) -> Option<Place> {
        let mut open = self.lock();
        let theirs = |one: &One| one.user == user;
        if open.all.iter().filter(|one| theirs(one)).count() >= OF_USER
            && let Some(at) = open.all.iter().position(theirs)
        {
            open.all.remove(at).gives_way.notify_one();
        }
        let from_there = open.all.iter().filter(|one| one.near == near).count();
        if from_there >= OF_ADDRESS || open.all.len() >= ALL {
            return None;
        }
        open.next += 1;
        let number = open.next;
        let gives_way = Arc::new(Notify::new());
        open.all.push(One {
            number,
            user,
            near,
            gives_way: Arc::clone(&gives_way),
        });
        Some(Place {
            streams: Arc::clone(self),
            number,
            gives_way,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until a newer one of the same user's takes its place.
    pub async fn given_up(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams
            .lock()
            .all
            .retain(|one| one.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn from(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn a_users_oldest_stream_gives_way() {
        let streams = Arc::new(Streams::default());
        let mut open: Vec<Place> = (0..=OF_USER)
            .map(|_| streams.enter(UserId(1), from(1)).unwrap())
            .collect();
        assert_eq!(streams.lock().all.len(), OF_USER);
        assert!(open[0].given_up().now_or_never().is_some());
        assert!(open[1].given_up().now_or_never().is_none());
        assert!(streams.enter(UserId(2), from(1)).is_some());
        open.clear();
        assert_eq!(streams.lock().all.len(), 0);
    }

    #[test]
    fn an_address_and_all_together_have_so_many() {
        let streams = Arc::new(Streams::default());
        let mut open = Vec::new();
        for user in 0..2000_u16 {
            let near = from(u8::try_from(user / 150).unwrap());
            open.extend(streams.enter(UserId(user.into()), near));
        }
        assert_eq!(open.len(), ALL);
        let from_one = |n| {
            streams
                .lock()
                .all
                .iter()
                .filter(|one| one.near == from(n))
                .count()
        };
        assert_eq!(from_one(0), OF_ADDRESS);
    }
}
