//! Where a host's report contradicts what the portal knows (rule 15).

use std::collections::{HashMap, HashSet};

use crate::app::error::Result;
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::job::JobKind;
use crate::domain::linode::LinodeStatus;
use crate::domain::migration;
use crate::domain::ownership::{Contradiction, Word, contradiction};
use crate::store;
use crate::store::db::Db;
use crate::store::linode::Linode;

/// As many as are held at the most, in practice; of others, words are noted once those are settled.
const MOST_HELD: i64 = 100_000;

/// Jobs that change what a host is granted or has sealed.
const CHANGE_MARKS: [JobKind; 3] = [JobKind::Start, JobKind::StopSeal, JobKind::Adopt];

/// What a host's report says against the portal's rows.
#[derive(Debug, Default)]
pub(in crate::app) struct Contrary {
    /// To be held now.
    pub proven: Vec<(LinodeId, Word, Contradiction)>,
    /// Its owner has been told so, which the portal forgot.
    pub told: Vec<(LinodeId, i64)>,
    /// To be held if the next report says so too.
    pub once: Vec<LinodeId>,
    /// Words of Linodes that are held already.
    pub words: Vec<(LinodeId, Word)>,
}

/// What a report weighs, where one alone may be from before the latest change.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) enum Weight<'a> {
    /// It does not follow the one before, and proves nothing by repetition.
    One,
    /// What the report before this one contradicted.
    After(&'a [LinodeId]),
    /// The portal recovers, and this was made in this life of its memory, in which nothing has changed hands yet: it is from
    /// after all that the portal knows.
    OfThisLife,
}

impl Weight<'_> {
    fn proves(self, linode: LinodeId) -> bool {
        match self {
            Self::One => false,
            Self::After(before) => before.contains(&linode),
            Self::OfThisLife => true,
        }
    }
}

/// Compares the words with the rows.
pub(in crate::app) fn compare(
    conn: &mut Db,
    (words, weight): (&[(LinodeId, Word)], Weight),
    host: HostId,
    here: &[Linode],
) -> Result<Contrary> {
    let mut contrary = Contrary::default();
    let held: HashSet<LinodeId> = store::ownership::hold::ids(conn, MOST_HELD)?
        .into_iter()
        .collect();
    let mut known: HashMap<LinodeId, Linode> = here.iter().map(|it| (it.id, it.clone())).collect();
    let strange: Vec<LinodeId> = words
        .iter()
        .filter(|(id, word)| {
            (word.claims() || word.running == Some(true)) && !known.contains_key(id)
        })
        .map(|(id, _)| *id)
        .collect();
    if !strange.is_empty() {
        known.extend(
            store::linode::some(conn, &strange)?
                .into_iter()
                .map(|it| (it.id, it)),
        );
    }
    let sealed = match weight {
        Weight::OfThisLife => store::ownership::hold::sealed_by(conn, host)?,
        Weight::One | Weight::After(_) => HashSet::new(),
    };
    for (id, word) in words {
        if held.contains(id) {
            contrary.words.push((*id, *word));
            continue;
        }
        let Some(linode) = known.get(id) else {
            continue;
        };
        let Some(found) = contradiction(linode.row(), word, sealed.contains(id)) else {
            continue;
        };
        if found.is_of_a_move() && is_moving(conn, linode)? {
            continue;
        }
        if found == Contradiction::Told {
            contrary.told.push((*id, word.granted));
        } else if found.is_proof() || weight.proves(*id) {
            contrary.proven.push((*id, *word, found));
        } else {
            contrary.once.push(*id);
        }
    }
    Ok(contrary)
}

/// Is a move at work on it, or something that takes it over, so that its owner may have sealed it?
fn is_moving(conn: &mut Db, linode: &Linode) -> Result<bool> {
    if matches!(linode.status, LinodeStatus::Provisioning) {
        return Ok(true);
    }
    if store::job::open_of_linode(conn, linode.id, &CHANGE_MARKS)?.is_some() {
        return Ok(true);
    }
    Ok(store::migration::is_in(
        conn,
        linode.id,
        &migration::AT_WORK,
    )?)
}

/// In words for staff.
pub(in crate::app) fn reason(host: &str, row: &Linode, found: Contradiction) -> String {
    let knows = format!(
        "The portal has host {} with epoch {}.",
        row.host_id, row.epoch
    );
    match found {
        Contradiction::Ahead { granted } => {
            format!("{host} was granted epoch {granted}. {knows}")
        }
        Contradiction::Strayed => {
            format!("It runs on {host}, whose ledger gives it no right to. {knows}")
        }
        Contradiction::Unsealed => {
            format!("Its owner {host} sealed it, and now holds itself for the owner again. {knows}")
        }
        Contradiction::Told => format!("{host} has been told of its epoch. {knows}"),
        Contradiction::Elsewhere { running: true } => format!("It runs on {host}. {knows}"),
        Contradiction::Elsewhere { running: false } => {
            format!("{host} holds itself for its owner. {knows}")
        }
        Contradiction::Behind { granted: 0 } => {
            format!("Its owner {host} knows nothing of it. {knows}")
        }
        Contradiction::Behind { granted } => {
            format!("Its owner {host} knows no epoch after {granted}. {knows}")
        }
        Contradiction::Sealed { sealed } => {
            format!("Its owner {host} has sealed epoch {sealed}. {knows}")
        }
    }
}
