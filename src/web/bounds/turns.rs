//! Uploads that go on, by user.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::UserId;

const OF_USER: usize = 2;

#[derive(Default)]
pub struct Turns(Mutex<Vec<UserId>>);

/// One of a user's uploads, while it goes on.
pub struct Turn {
    turns: Arc<Turns>,
    user: UserId,
}

impl Turns {
    /// `None`: as many of theirs go on already as may.
    pub fn take(self: &Arc<Self>, user: UserId) -> Option<Turn> {
        let mut sending = self.lock();
        let theirs = sending.iter().filter(|other| **other == user).count();
        (theirs < OF_USER).then(|| {
            sending.push(user);
            Turn {
                turns: Arc::clone(self),
                user,
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UserId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut sending = self.turns.lock();
        if let Some(at) = sending.iter().position(|other| *other == self.user) {
            sending.swap_remove(at);
        }
    }
}
