//! The order in which a wave's Linodes go.

use std::collections::HashMap;

use crate::domain::ids::{LinodeId, RegistrationId};
use crate::string_enum;

string_enum! {
    pub enum Sequence {
        /// The first to ask first.
        Asked = "asked",
        Smallest = "smallest", Largest = "largest",
        /// One of each account, then the next one of each.
        InTurn = "in_turn",
    }
}

/// A Linode that can go in a wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub linode: LinodeId,
    /// `None`: its move is staff's.
    pub registration: Option<RegistrationId>,
    pub label: String,
    pub account: String,
    pub disk_mb: i64,
}

impl Candidate {
    fn asked(&self) -> (Option<RegistrationId>, LinodeId) {
        (self.registration, self.linode)
    }
}

pub fn in_sequence(mut all: Vec<Candidate>, by: Sequence) -> Vec<Candidate> {
    all.sort_by_key(Candidate::asked);
    match by {
        Sequence::Asked => {}
        Sequence::Smallest => all.sort_by_key(|it| it.disk_mb),
        Sequence::Largest => all.sort_by_key(|it| std::cmp::Reverse(it.disk_mb)),
        Sequence::InTurn => {
            let mut turns: HashMap<String, usize> = HashMap::new();
            all.sort_by_cached_key(|it| {
                let turn = turns.entry(it.account.clone()).or_default();
                *turn += 1;
                *turn
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: i64, account: &str, disk_mb: i64) -> Candidate {
        Candidate {
            linode: LinodeId(id),
            registration: Some(RegistrationId(100 - id)),
            label: format!("l{id}"),
            account: account.to_owned(),
            disk_mb,
        }
    }

    #[test]
    fn each_order_is_the_same_whatever_came_first() {
        let all = vec![
            candidate(1, "A", 30),
            candidate(2, "A", 10),
            candidate(3, "A", 10),
            candidate(4, "B", 20),
        ];
        let mut turned = all.clone();
        turned.reverse();
        for (by, expected) in [
            (Sequence::Asked, [4, 3, 2, 1]),
            (Sequence::Smallest, [3, 2, 4, 1]),
            (Sequence::Largest, [1, 4, 3, 2]),
            (Sequence::InTurn, [4, 3, 2, 1]),
        ] {
            for of in [all.clone(), turned.clone()] {
                let ids: Vec<i64> = in_sequence(of, by).iter().map(|it| it.linode.0).collect();
                assert_eq!(ids, expected, "{by}");
            }
        }
    }
}
