//! One act on many Linodes: in transactions that are short enough for others to wait for, with an answer for each.

use super::App;
use super::context::{Actor, Tx};
use super::error::{AppError, Result};
use crate::domain::ids::LinodeId;

/// Linodes that one act may take, and that one of its transactions takes: others wait no longer than for these.
pub const AT_ONCE: usize = 1000;
const IN_ONE: usize = 50;

pub(super) type Answer = (LinodeId, Result<(), String>);

/// Does them all. A conflict is the whole transaction's (one of them was taken by somebody else at the same moment): then
/// they are done one by one, and it is the answer of the one it was about. What is refused of a Linode's own is its answer.
pub(super) fn each<T>(
    (app, actor): (&App, &Actor),
    items: &[T],
    linode: impl Fn(&T) -> LinodeId,
    mut call: impl FnMut(&mut Tx<'_>, &[T]) -> Result<Vec<Answer>>,
) -> Result<Outcome<LinodeId>> {
    let mut many = Outcome::default();
    for chunk in items.chunks(IN_ONE) {
        let mut whole = Vec::with_capacity(chunk.len());
        match app.transact(actor.who(), |tx| call(tx, chunk)) {
            Ok(answers) => whole.extend(answers),
            Err(AppError::Conflict(_)) => {
                for item in chunk {
                    let one = std::slice::from_ref(item);
                    match app.transact(actor.who(), |tx| call(tx, one)) {
                        Ok(answers) => whole.extend(answers),
                        Err(AppError::Conflict(why)) => whole.push((linode(item), Err(why))),
                        Err(other) => return Err(other),
                    }
                }
            }
            Err(other) => return Err(other),
        }
        for (linode, answer) in whole {
            many.note(linode, answer);
        }
    }
    Ok(many)
}

/// What came of each of several things asked for at once.
#[derive(Debug)]
pub struct Outcome<Id> {
    pub done: Vec<Id>,
    pub refused: Vec<(Id, String)>,
}

impl<Id> Outcome<Id> {
    pub fn note(&mut self, id: Id, answer: Result<(), String>) {
        match answer {
            Ok(()) => self.done.push(id),
            Err(why) => self.refused.push((id, why)),
        }
    }
}

impl<Id> Default for Outcome<Id> {
    fn default() -> Self {
        Self {
            done: Vec::new(),
            refused: Vec::new(),
        }
    }
}
