//! The FAQ: staff write, order and retire entries; members ask; a question becomes an entry or is answered in private.

use super::App;
use super::context::{Actor, Tx};
use super::error::{AppError, Result};
use super::idempotency::{check_once, sent_before, too_many};
use super::mail::kinds::UserMail;
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{FaqId, QuestionId, UserId};
use crate::domain::markdown::{Markdown, Title};
use crate::domain::search::slug;
use crate::domain::time::Time;
use crate::store;
use crate::store::faq::{Entry, EntryChange, NewEntry, NewQuestion};

/// Questions of an account within an hour.
const MOST_ASKED: i64 = 5;
const HOUR_S: i64 = 3600;
/// Characters.
pub const MOST_QUESTION: usize = 1000;
pub const MOST_ANSWER: usize = 10_000;

/// An entry as staff want it.
#[derive(Debug, Clone)]
pub struct EntryText {
    pub question: Title,
    pub answer: Markdown,
    /// The date it is shown with.
    pub dated_at: Time,
}

/// How a question is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// For everybody, as an entry.
    Entry(EntryText),
    /// For who asked.
    Private(Markdown),
}

impl App {
    /// Puts a question to staff. The same form sent twice asks once.
    pub fn ask(&self, actor: &Actor, text: &Markdown, once: &str) -> Result<QuestionId> {
        let account = actor.require_account()?;
        check_once(once)?;
        self.transact(actor.who(), |tx| {
            store::account::lock_writer(tx.conn, actor.user, Some(account))?;
            if let Some((id, asked)) = store::faq::asked_once(tx.conn, actor.user, once)? {
                return if asked == text.as_str() { Ok(id) } else { Err(sent_before("question")) };
            }
            if store::faq::asked_since(tx.conn, account, tx.now.plus_s(-HOUR_S))? >= MOST_ASKED {
                return Err(too_many(&format!(
                    "You have asked {MOST_ASKED} questions within an hour. Wait a while, then send it again"
                )));
            }
            let id = store::faq::insert_question(
                tx.conn,
                &NewQuestion {
                    asked_by: actor.user,
                    account_id: account,
                    question: text.as_str(),
                    state: "open",
                    once,
                    asked_at: tx.now,
                },
            )?;
            tx.audit(Action::QuestionAsked, Object::Question(id), ("", ""))?;
            Ok(id)
        })
    }

    /// Answers a question that waits. Of two answers at once, the second is told who was faster.
    pub fn answer_question(
        &self,
        actor: &Actor,
        id: QuestionId,
        answer: &Answer,
    ) -> Result<Option<FaqId>> {
        actor.require(Right::Faq)?;
        self.transact(actor.who(), |tx| {
            // An entry is in the trail before the question is answered: of two answers one waits here.
            store::faq::lock_question(tx.conn, id)?;
            let question = store::faq::question(tx.conn, id)?.ok_or(AppError::NotFound)?;
            let entry = match answer {
                Answer::Entry(text) => Some(add_entry(tx, text)?),
                Answer::Private(_) => None,
            };
            let private = match answer {
                Answer::Entry(_) => None,
                Answer::Private(text) => Some(text.as_str()),
            };
            let of = entry.as_ref().map(|entry| entry.id);
            if !store::faq::answer(tx.conn, id, of, private, actor.user, tx.now)? {
                // The same button twice.
                let now = store::faq::question(tx.conn, id)?;
                return match now {
                    Some(row)
                        if row.answered_by == Some(actor.user)
                            && (row.entry_id, row.answer.as_deref()) == (of, private) =>
                    {
                        Ok(of)
                    }
                    now => Err(answered(tx, now.and_then(|row| row.answered_by))?),
                };
            }
            let asker = store::account::user(tx.conn, question.asked_by)?;
            if let Some(asker) = asker.filter(|asker| !asker.disabled && asker.id != actor.user) {
                let (path, words) = match (&entry, answer) {
                    (Some(entry), _) => (entry.slug.clone(), entry.answer.as_str()),
                    (None, Answer::Private(text)) => (format!("question-{id}"), text.as_str()),
                    (None, Answer::Entry(_)) => (String::new(), ""),
                };
                let asked: String = question.question.chars().take(200).collect();
                let mail = UserMail::QuestionAnswered {
                    question: &asked,
                    path: &format!("/members/faq/{path}"),
                    answer: words,
                };
                tx.mail(&asker, mail)?;
            }
            let how = match of {
                Some(entry) => format!("entry {entry}"),
                None => "private".to_owned(),
            };
            tx.audit(Action::QuestionAnswered, Object::Question(id), ("", &how))?;
            Ok(of)
        })
    }

    /// Adds an entry at the end.
    pub fn add_faq(&self, actor: &Actor, text: &EntryText) -> Result<FaqId> {
        actor.require(Right::Faq)?;
        self.transact(actor.who(), |tx| Ok(add_entry(tx, text)?.id))
    }

    /// Changes an entry that the form showed at `version`.
    pub fn change_faq(
        &self,
        actor: &Actor,
        id: FaqId,
        version: i32,
        text: &EntryText,
    ) -> Result<()> {
        actor.require(Right::Faq)?;
        self.transact(actor.who(), |tx| {
            store::bug::lock_triage(tx.conn)?;
            let entry = store::faq::entry(tx.conn, id)?.ok_or(AppError::NotFound)?;
            let same = (
                entry.question.as_str(),
                entry.answer.as_str(),
                entry.dated_at,
            ) == (text.question.as_str(), text.answer.as_str(), text.dated_at);
            if same {
                return Ok(());
            }
            let change = EntryChange {
                question: text.question.as_str(),
                answer: text.answer.as_str(),
                dated_at: text.dated_at,
                changed_at: tx.now,
            };
            if !store::faq::change(tx.conn, id, version, &change)? {
                return Err(AppError::conflict(
                    "Someone else changed this entry while you looked at it. Look at it again.",
                ));
            }
            if entry.retired_at.is_none() {
                store::search::set_entry_text(tx.conn, id, Some(&words(text)))?;
            }
            tx.audit(
                Action::FaqChanged,
                Object::Faq(id),
                (&entry.question, text.question.as_str()),
            )
        })
    }

    /// Moves an entry one place up or down. At the end of the list it stays.
    pub fn move_faq(&self, actor: &Actor, id: FaqId, up: bool) -> Result<()> {
        actor.require(Right::Faq)?;
        self.transact(actor.who(), |tx| {
            store::bug::lock_triage(tx.conn)?;
            let standing = store::faq::entries(tx.conn, "")?;
            let at = standing
                .iter()
                .position(|entry| entry.id == id)
                .ok_or(AppError::NotFound)?;
            let to = if up {
                at.checked_sub(1)
            } else {
                at.checked_add(1)
            };
            let (Some(one), Some(other)) = (standing.get(at), to.and_then(|to| standing.get(to)))
            else {
                return Ok(());
            };
            store::faq::set_position(tx.conn, one.id, other.position)?;
            store::faq::set_position(tx.conn, other.id, one.position)?;
            let way = if up { "up" } else { "down" };
            tx.audit(Action::FaqMoved, Object::Faq(id), ("", way))
        })
    }

    /// Takes an entry off the page, or puts it back. Its text and anchor are kept.
    pub fn retire_faq(&self, actor: &Actor, id: FaqId, retire: bool) -> Result<()> {
        actor.require(Right::Faq)?;
        self.transact(actor.who(), |tx| {
            store::bug::lock_triage(tx.conn)?;
            let entry = store::faq::entry(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if entry.retired_at.is_some() == retire {
                return Ok(());
            }
            let standing =
                i64::try_from(store::faq::entries(tx.conn, "")?.len()).unwrap_or(i64::MAX);
            if !retire && standing >= store::faq::MOST_ENTRIES {
                return Err(AppError::conflict(full()));
            }
            store::faq::set_retired(tx.conn, id, retire.then_some(tx.now))?;
            let text = format!("{}\n{}", entry.question, entry.answer);
            store::search::set_entry_text(tx.conn, id, (!retire).then_some(text.as_str()))?;
            let what = if retire {
                Action::FaqRetired
            } else {
                Action::FaqPutBack
            };
            tx.audit(what, Object::Faq(id), ("", &entry.question))
        })
    }
}

fn answered(tx: &mut Tx<'_>, by: Option<UserId>) -> Result<AppError> {
    let by = match by {
        Some(by) => store::account::user(tx.conn, by)?.map(|user| user.name),
        None => None,
    };
    let by = by.as_deref().unwrap_or("Someone else");
    Ok(AppError::conflict(format!(
        "{by} has answered this question already."
    )))
}

fn add_entry(tx: &mut Tx<'_>, text: &EntryText) -> Result<Entry> {
    store::bug::lock_triage(tx.conn)?;
    let standing = store::faq::entries(tx.conn, "")?;
    // The same form sent twice.
    if let Some(twin) = standing.iter().find(|entry| {
        entry.question == text.question.as_str() && entry.answer == text.answer.as_str()
    }) {
        return Ok(twin.clone());
    }
    if i64::try_from(standing.len()).unwrap_or(i64::MAX) >= store::faq::MOST_ENTRIES {
        return Err(AppError::invalid("question", full()));
    }
    let mut name = slug(text.question.as_str());
    // Other parts of the page have these anchors.
    if name.starts_with("question")
        || ["main", "ask", "yours", "problems", "q"].contains(&name.as_str())
    {
        name.insert_str(0, "the-");
    }
    let stem = name.clone();
    let mut number = 2;
    while store::faq::slug_is_taken(tx.conn, &name)? {
        name = format!("{stem}-{number}");
        number += 1;
    }
    let position = store::faq::last_position(tx.conn)? + 1;
    let entry = store::faq::insert(
        tx.conn,
        &NewEntry {
            slug: &name,
            question: text.question.as_str(),
            answer: text.answer.as_str(),
            position,
            dated_at: text.dated_at,
            changed_at: tx.now,
        },
    )?;
    store::search::set_entry_text(tx.conn, entry.id, Some(&words(text)))?;
    tx.audit(
        Action::FaqAdded,
        Object::Faq(entry.id),
        ("", &entry.question),
    )?;
    Ok(entry)
}

fn full() -> String {
    format!(
        "There are {} entries, which is all the page can hold: retire one first.",
        store::faq::MOST_ENTRIES
    )
}

fn words(text: &EntryText) -> String {
    format!("{}\n{}", text.question.as_str(), text.answer.as_str())
}
