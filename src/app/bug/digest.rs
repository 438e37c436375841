//! What happens on the board is told in bounded mails: replies to those whom a thread concerns, new bugs to staff. The first
//! goes at once; what comes soon after waits and goes in one mail. The reconciler calls both, every few seconds.

use std::collections::HashMap;

use super::mail::{person_shown, thread};
use crate::app::App;
use crate::app::context::{PORTAL, Tx};
use crate::app::error::Result;
use crate::app::mail::kinds::UserMail;
use crate::domain::ids::{BugId, UserId};
use crate::domain::mail::MailKind;
use crate::store;
use crate::store::account::User;
use crate::store::bug::digest::Round;
use crate::store::bug::{Bug, Person, Post};
use crate::store::db::Db;

/// A reader gets at most one mail about replies in a thread within this time.
pub const REPLIES_EVERY_S: i64 = 600;
/// Staff get at most one mail about new bugs within this time.
pub const BUGS_EVERY_S: i64 = 900;
/// Readers written to in one transaction, and transactions in one call.
const READERS: i64 = 50;
const PIECES: usize = 20;
/// Replies that one mail quotes, and their characters in all; bugs that one mail names.
const QUOTED_POSTS: i64 = 10;
const QUOTED: usize = 3000;
const NAMED: usize = 20;
/// New bugs that are marked as told at a time.
const UNTOLD: i64 = 5000;

impl App {
    /// Writes the mails that are due; says how many transactions that took.
    pub fn tell_news(&self) -> Result<usize> {
        let mut done = usize::from(self.tell_staff_of_bugs()?);
        for _ in 0..PIECES {
            let now = self.now();
            if !self.db.read(|conn| store::bug::digest::is_due(conn, now))? {
                break;
            }
            done += 1;
            self.transact_at(now, PORTAL, |tx| {
                match store::bug::digest::take_due(tx.conn, tx.now)? {
                    Some(round) => self.tell_some(tx, &round),
                    None => Ok(()),
                }
            })?;
        }
        Ok(done)
    }

    /// The next piece of a thread's round.
    fn tell_some(&self, tx: &mut Tx<'_>, round: &Round) -> Result<()> {
        let Some(bug) = store::bug::bug(tx.conn, round.id)? else {
            return Ok(());
        };
        let until = match round.news_until {
            0 => store::bug::digest::last_post(tx.conn, bug.id)?,
            until => until,
        };
        // One more than is quoted, to know whether there are more.
        let posts =
            store::bug::digest::posts(tx.conn, bug.id, (round.news_post, until), QUOTED_POSTS + 1)?;
        let readers = if posts.is_empty() {
            Vec::new()
        } else {
            let after = UserId(round.news_reader);
            store::bug::readers(tx.conn, bug.id, MailKind::BugReply, after, READERS)?
        };
        let people = store::bug::names(tx.conn, posts.iter().map(|post| post.author_id).collect())?;
        for reader in &readers {
            tell_reader(tx, &bug, &posts, (&people, reader))?;
        }
        let whole = i64::try_from(readers.len()).unwrap_or(READERS) == READERS;
        match readers.last().filter(|_| whole) {
            Some(last) => store::bug::digest::go_on(tx.conn, round, until, last.id)?,
            None => {
                let more = store::bug::digest::last_post(tx.conn, bug.id)? > until;
                let next = more.then(|| tx.now.plus_s(REPLIES_EVERY_S));
                store::bug::digest::end(tx.conn, round, until, tx.now, next)?;
            }
        }
        Ok(())
    }

    /// One mail to each of staff who want it about the bugs that are new, unless the last one is too young; says whether
    /// there was one to write.
    fn tell_staff_of_bugs(&self) -> Result<bool> {
        let now = self.now();
        let is_time = |conn: &mut Db| -> Result<bool> {
            let last = store::bug::digest::last_digest(conn)?;
            Ok(last.is_none_or(|last| last.plus_s(BUGS_EVERY_S) <= now)
                && !store::bug::digest::untold(conn, 1)?.is_empty())
        };
        if !self.db.read(is_time)? {
            return Ok(false);
        }
        self.transact_at(now, PORTAL, |tx| {
            // Two portals must not both write.
            store::bug::lock_triage(tx.conn)?;
            if !is_time(tx.conn)? {
                return Ok(false);
            }
            let new = store::bug::digest::untold(tx.conn, UNTOLD)?;
            let ids: Vec<BugId> = new.iter().map(|(id, _)| *id).collect();
            store::bug::digest::mark_told(tx.conn, &ids)?;
            store::bug::digest::note_digest(tx.conn, tx.now)?;
            let lines: Vec<String> = new
                .iter()
                .take(NAMED)
                .map(|(id, title)| format!("Bug {id}: {title}"))
                .collect();
            let (title, path) = match new.as_slice() {
                [(id, title)] => (
                    format!("New bug {id}: {title}"),
                    format!("/staff/bugs/{id}"),
                ),
                several => (
                    format!("{} new bugs", several.len()),
                    "/staff/bugs?state=new".to_owned(),
                ),
            };
            let lines = match lines.as_slice() {
                [_] => String::new(),
                several => several.join("\n"),
            };
            for user in store::account::staff_who_get(tx.conn, MailKind::BugOpened)? {
                let mail = UserMail::BugOpened {
                    title: &title,
                    path: &path,
                    lines: &lines,
                };
                tx.mail(&user, mail)?;
            }
            Ok(true)
        })
    }
}

fn tell_reader(
    tx: &mut Tx<'_>,
    bug: &Bug,
    posts: &[Post],
    (people, reader): (&HashMap<UserId, Person>, &User),
) -> Result<()> {
    let others: Vec<&Post> = posts
        .iter()
        .filter(|post| post.author_id != reader.id)
        .collect();
    let who = |post: &Post| person_shown(people.get(&post.author_id), post.by_staff, reader);
    let (acted, words) = match others.as_slice() {
        [] => return Ok(()),
        [one] => (who(one), one.body.clone()),
        several => {
            let quoted = usize::try_from(QUOTED_POSTS).unwrap_or(10);
            let parts: Vec<String> = several
                .iter()
                .take(quoted)
                .map(|post| format!("{} wrote:\n{}", who(post), post.body))
                .collect();
            (String::new(), parts.join("\n\n"))
        }
    };
    let text: String = words.chars().take(QUOTED).collect();
    let mail = UserMail::BugReply {
        thread: &thread(bug, reader),
        who: &acted,
        text: &text,
    };
    tx.mail(reader, mail)
}
