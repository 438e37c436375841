//! What mail templates may say. Everything is already words: hosts by name, times formatted with their zone.

use crate::domain::ids::{BugId, LinodeId, MigrationId};

use super::clean::{one_line, paragraph};

/// What one mail may say. A text that is empty is not known, and its sentence is left out, so that a mail is never held
/// up by a missing detail.
#[derive(Debug, Clone, Default)]
pub struct MailFields {
    /// From the configuration (never from a request), without a trailing slash: `https://manager.example.com`.
    pub base_url: String,
    /// The beta's name, as in "Xen Public Beta".
    pub programme: String,
    /// Who is spoken to.
    pub member: String,
    /// They have no account, and so no Linodes: they begin at staff's dashboard.
    pub only_staff: bool,
    /// The Linode's label.
    pub linode: String,
    /// Labels of many, a line each.
    pub linodes: String,
    pub linode_id: Option<LinodeId>,
    pub migration_id: Option<MigrationId>,
    pub from_host: String,
    pub to_host: String,
    /// Place in the queue of registrations, from 1.
    pub position: Option<i64>,
    /// When what the mail tells happens or happened: "22 Nov 2026, 16:40 CET".
    pub when: String,
    /// When copying begins for it, in the same form; empty: at once.
    pub begins: String,
    /// Until when the reader can act (offer, way back, reset link), in the same form.
    pub until: String,
    /// Expected or measured, as in "about 20 seconds".
    pub downtime: String,
    /// The name of the file of the signed receipt that goes with it; empty if none does.
    pub receipt: String,
    /// Of the end of the beta: the Linode had moved, and taken the way back.
    pub came_back: bool,
    /// Of a reminder: quiet hours hold the chosen time, and `when` is the end of them.
    pub is_held: bool,
    /// Of a failure: what was copied is dropped, and nothing goes on from it.
    pub is_over: bool,
    /// Of a failure: the Linode did not come up where it stayed, either.
    pub is_off: bool,
    /// Of a move that staff began, because they empty a host.
    pub move_off: MoveOff,
    /// Of checks that did not answer.
    pub checks: CheckFields,
    /// Why, in words a member can use; may have several lines.
    pub reason: String,
    pub reset: ResetToken,
    /// Can its reader switch this kind of mail off? The renderer says so.
    pub optional: bool,
    /// The bug or question it is about.
    pub board: Board,
}

/// What a mail about a move off a host says besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveOff {
    /// Of many Linodes, by one mail.
    pub many: bool,
    /// The mail is about such a move.
    pub is: bool,
    /// It will not be: staff have called it off.
    pub called_off: bool,
    /// An offer to migrate ended with it.
    pub offer_ended: bool,
    /// The way back of the move before ended with it.
    pub way_back_closed: bool,
}

/// What follows after checks of a move did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterCheck<'a> {
    /// Its member decides.
    Told,
    GoesHome,
    /// It was to go home, and this keeps it.
    Stays(&'a str),
    /// They could not be asked at all.
    NotAsked,
}

impl AfterCheck<'_> {
    pub(crate) fn told(self, console: &str) -> CheckFields {
        CheckFields {
            console: console.to_owned(),
            goes_home: self == Self::GoesHome,
            were_asked: self != Self::NotAsked,
            stays: match self {
                Self::Stays(why) => why.to_owned(),
                Self::Told | Self::GoesHome | Self::NotAsked => String::new(),
            },
        }
    }
}

/// The same, and the end of the console; what is empty is left out.
#[derive(Debug, Clone, Default)]
pub struct CheckFields {
    pub console: String,
    pub goes_home: bool,
    pub were_asked: bool,
    /// Why it stays, though it was to go home.
    pub stays: String,
}

/// A thread or a question. A reply's or answer's text is the fields' `reason`.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// The bug, if it is one.
    pub bug: Option<BugId>,
    /// "Bug 12: no network after the move", or the question.
    pub title: String,
    /// Where it is read: a path of the portal.
    pub path: String,
    /// Who acted, as far as the reader may know.
    pub who: String,
    /// The bug that this one is a duplicate of, if it is, and where that is read.
    pub other_title: String,
    pub other_path: String,
}

/// The secret part of a password reset link.
#[derive(Clone, Default)]
pub struct ResetToken(pub String);

impl std::fmt::Debug for ResetToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResetToken")
    }
}

/// Deep links. One whose id is not known leads to where its reader begins.
impl MailFields {
    pub fn home(&self) -> String {
        let begin = if self.only_staff { "staff" } else { "members" };
        format!("{}/{begin}/", self.base_url)
    }

    pub fn registration_link(&self) -> String {
        format!("{}/members/xenbeta", self.base_url)
    }

    pub fn linode_link(&self) -> String {
        self.linode_id.map_or_else(
            || self.home(),
            |id| format!("{}/members/linodes/{id}", self.base_url),
        )
    }

    pub fn migrate_link(&self) -> String {
        self.linode_id.map_or_else(
            || self.home(),
            |id| format!("{}/members/linodes/{id}/migrate", self.base_url),
        )
    }

    pub fn migration_link(&self) -> String {
        self.migration_id.map_or_else(
            || self.home(),
            |id| format!("{}/members/migrations/{id}", self.base_url),
        )
    }

    /// Where one chooses which mails one gets.
    pub fn choices_link(&self) -> String {
        format!("{}/members/accounts#notifications", self.base_url)
    }

    pub fn account_link(&self) -> String {
        format!("{}/members/accounts", self.base_url)
    }

    pub fn board_link(&self) -> String {
        if self.board.path.is_empty() {
            return self.home();
        }
        format!("{}{}", self.base_url, self.board.path)
    }

    pub fn other_link(&self) -> String {
        format!("{}{}", self.base_url, self.board.other_path)
    }

    pub fn reset_link(&self) -> String {
        format!("{}/password/reset/{}", self.base_url, self.reset.0)
    }

    pub fn forgot_link(&self) -> String {
        format!("{}/password/forgot", self.base_url)
    }

    pub fn linode_lines(&self) -> Vec<&str> {
        self.linodes.lines().collect()
    }

    /// The reason's lines, for templates that set each one apart.
    pub fn reason_lines(&self) -> Vec<&str> {
        self.reason.lines().collect()
    }

    /// Names on one line, texts without control characters: what templates are given.
    pub(super) fn cleaned(&self) -> Self {
        Self {
            base_url: one_line(self.base_url.trim_end_matches('/')),
            programme: one_line(&self.programme),
            member: one_line(&self.member),
            only_staff: self.only_staff,
            linode: one_line(&self.linode),
            linodes: paragraph(&self.linodes),
            linode_id: self.linode_id,
            migration_id: self.migration_id,
            from_host: one_line(&self.from_host),
            to_host: one_line(&self.to_host),
            position: self.position,
            when: one_line(&self.when),
            begins: one_line(&self.begins),
            until: one_line(&self.until),
            downtime: one_line(&self.downtime),
            receipt: one_line(&self.receipt),
            came_back: self.came_back,
            is_held: self.is_held,
            is_over: self.is_over,
            is_off: self.is_off,
            move_off: self.move_off,
            checks: CheckFields {
                console: paragraph(&self.checks.console),
                stays: one_line(&self.checks.stays),
                ..self.checks
            },
            reason: paragraph(&self.reason),
            reset: ResetToken(one_line(&self.reset.0)),
            optional: self.optional,
            board: Board {
                bug: self.board.bug,
                title: one_line(&self.board.title),
                path: one_line(&self.board.path),
                who: one_line(&self.board.who),
                other_title: one_line(&self.board.other_title),
                other_path: one_line(&self.board.other_path),
            },
        }
    }
}
