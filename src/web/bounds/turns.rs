//! Uploads that go on, by whose they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Whose;

const OF_ONE: usize = 2;
/// Of those who are not signed in: of theirs only the texts are kept, to be shown again, so there is no hurry.
const STRANGERS: usize = 8;

#[derive(Default)]
pub struct Turns(Mutex<Vec<Whose>>);

/// An upload, while it goes on.
pub struct Turn {
    turns: Arc<Turns>,
    whose: Whose,
}

impl Turns {
    /// `None`: as many go on already as may.
    pub fn take(self: &Arc<Self>, whose: Whose) -> Option<Turn> {
        let mut sending = self.lock();
        let is_stranger = |one: &Whose| matches!(one, Whose::Address(_));
        let theirs = sending.iter().filter(|other| **other == whose).count();
        let strangers = sending.iter().filter(|other| is_stranger(other)).count();
        let may = theirs < OF_ONE && !(is_stranger(&whose) && strangers >= STRANGERS);
        may.then(|| {
            sending.push(whose);
            Turn {
                turns: Arc::clone(self),
                whose,
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Whose>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut sending = self.turns.lock();
        if let Some(at) = sending.iter().position(|other| *other == self.whose) {
            sending.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UserId;

    #[test]
    fn one_has_two_and_strangers_have_eight() {
        let turns = Arc::new(Turns::default());
        let take = |whose| turns.take(whose);
        let mia = [(); 3].map(|()| take(Whose::User(UserId(1))));
        assert_eq!(mia.iter().flatten().count(), 2);
        let strangers: Vec<Turn> = (0..20)
            .filter_map(|n| take(Whose::Address([192, 0, 2, n / 2].into())))
            .collect();
        assert_eq!(strangers.len(), STRANGERS);
        assert!(take(Whose::User(UserId(2))).is_some());
        drop((mia, strangers));
        assert!(turns.lock().is_empty());
    }
}
