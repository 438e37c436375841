//! Who asks for what is done here, and the line in the audit trail that says so.

use super::App;
use super::error::{AppError, Result};
use crate::domain::account::{self, Right, StaffRole, UserRole};
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{AccountId, HostId, UserId};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::account::User;
use crate::store::account::session::Session;
use crate::store::db::Db;
use crate::store::error::StoreError;

/// An agent that has proved which host it speaks for.
#[derive(Clone)]
pub struct Agent {
    pub host: HostId,
    pub name: String,
    pub cap_mb_s: Option<u32>,
}

/// Who does something, and from where: for permission and for the audit trail.
#[derive(Debug, Clone)]
pub struct Actor {
    pub user: UserId,
    pub account: Option<AccountId>,
    pub role: UserRole,
    /// What of the staff they are, if they are.
    pub staff_role: Option<StaffRole>,
    /// What the audit trail calls them: their e-mail address.
    pub name: String,
    /// The address the request came from.
    pub address: String,
    /// By which they ask; `None` for commands.
    pub session: Option<Session>,
    /// What they have to do first, as one of the staff.
    pub owes: Option<Owes>,
}

/// What stands between somebody and what their role gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owes {
    /// Staff have to have a second factor here, and they have none. `proof`: they showed long ago who they are, too.
    SecondFactor { proof: bool },
    /// They showed long ago who they are.
    Proof,
}

impl Actor {
    /// Somebody as they are now, asking from this address.
    pub fn of(user: &User, address: &str, session: Option<Session>) -> Self {
        Self {
            user: user.id,
            account: user.account_id,
            role: user.role,
            staff_role: user.staff_role,
            name: user.email.clone(),
            address: address.to_owned(),
            session,
            owes: None,
        }
    }

    /// Refused to who has to show again who they are.
    pub(in crate::app) fn require_proof(&self) -> Result<()> {
        match self.owes {
            Some(Owes::Proof | Owes::SecondFactor { proof: true }) => Err(AppError::Prove),
            Some(Owes::SecondFactor { proof: false }) | None => Ok(()),
        }
    }

    /// To who is not of the staff, what it takes a right for is not there; to the others it is refused in words.
    pub fn require(&self, right: Right) -> Result<()> {
        match self.staff_role {
            None => Err(AppError::Forbidden),
            Some(role) if !account::may(role, right) => Err(AppError::Right(right, role)),
            Some(_) => match self.owes {
                Some(Owes::SecondFactor { .. }) => Err(AppError::SecondFactor),
                Some(Owes::Proof) if account::asks_again(right) => Err(AppError::Prove),
                Some(Owes::Proof) | None => Ok(()),
            },
        }
    }

    /// Who has to set a second factor up first may nothing before. (The proof is asked for where something is done.)
    pub fn may(&self, right: Right) -> bool {
        !matches!(self.owes, Some(Owes::SecondFactor { .. }))
            && self
                .staff_role
                .is_some_and(|role| account::may(role, right))
    }

    /// The account whose things they may touch as a member.
    pub fn require_account(&self) -> Result<AccountId> {
        self.account.ok_or(AppError::Forbidden)
    }

    pub fn who(&self) -> Who<'_> {
        Who {
            name: &self.name,
            address: &self.address,
            user: Some(self.user),
        }
    }
}

/// The actor of an audit entry: a person, an agent, or the portal itself.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    pub name: &'a str,
    pub address: &'a str,
    pub user: Option<UserId>,
}

impl<'a> Who<'a> {
    /// Whom the trail knows by a name only: an agent, or who is not signed in.
    pub(in crate::app) fn named(name: &'a str, address: &'a str) -> Self {
        Self {
            name,
            address,
            user: None,
        }
    }
}

/// The portal itself, when a time has come.
pub const PORTAL: Who<'static> = Who {
    name: "portal",
    address: "",
    user: None,
};

/// A use case at work: its transaction, the moment it began, and who acts. What it does is done in this one transaction.
pub struct Tx<'a> {
    pub app: &'a App,
    pub conn: &'a mut Db,
    pub now: Time,
    pub who: Who<'a>,
    /// Members are told of it together with other things, afterwards.
    pub is_quiet: bool,
    /// What goes into the audit trail at the end. Everybody waits for the trail's head: whoever took it and went on to lock
    /// rows would be waited for by those who have the rows and want it.
    trail: &'a mut Vec<Line>,
}

/// A line of the audit trail, until it is written.
struct Line {
    at: Time,
    actor: String,
    address: String,
    action: Action,
    object: String,
    before: String,
    after: String,
}

impl App {
    /// Runs a use case in one transaction: all of it is kept, or nothing.
    pub(in crate::app) fn transact<T, E: From<StoreError>>(
        &self,
        who: Who<'_>,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact_at(self.now(), who, run)
    }

    /// As [`App::transact`], at a moment that something was looked at before.
    pub fn transact_at<T, E: From<StoreError>>(
        &self,
        now: Time,
        who: Who<'_>,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.write(|conn| {
            let mut trail = Vec::new();
            let done = run(&mut Tx {
                app: self,
                conn,
                now,
                who,
                is_quiet: false,
                trail: &mut trail,
            })?;
            for line in &trail {
                self.write_line(conn, line)?;
            }
            Ok(done)
        })
    }

    fn write_line(&self, conn: &mut Db, line: &Line) -> Result<(), StoreError> {
        let entry = store::audit::Entry {
            at: line.at,
            actor: &line.actor,
            address: &line.address,
            action: line.action.as_str(),
            object: &line.object,
            before: &line.before,
            after: &line.after,
        };
        store::audit::append(conn, self.secret.trail_key(), &entry)
    }
}

impl Tx<'_> {
    /// The same transaction, for what somebody else does in it.
    pub(in crate::app) fn by<'b>(&'b mut self, who: Who<'b>) -> Tx<'b> {
        Tx {
            app: self.app,
            conn: self.conn,
            now: self.now,
            who,
            is_quiet: self.is_quiet,
            trail: self.trail,
        }
    }

    /// The same transaction, in which no mail about a Linode is posted.
    pub(in crate::app) fn quietly(&mut self) -> Tx<'_> {
        let who = self.who;
        Tx {
            is_quiet: true,
            ..self.by(who)
        }
    }

    /// The same transaction, in which it is: what is told together tells nothing of another move that ends by it.
    pub(in crate::app) fn aloud(&mut self) -> Tx<'_> {
        let who = self.who;
        Tx {
            is_quiet: false,
            ..self.by(who)
        }
    }

    /// A line in the audit trail, written at the end of the transaction.
    #[allow(
        clippy::unnecessary_wraps,
        reason = "the last thing that most use cases do, and they can fail"
    )]
    pub(in crate::app) fn audit(
        &mut self,
        action: Action,
        object: Object<'_>,
        (before, after): (impl ToString, impl ToString),
    ) -> Result<()> {
        self.trail.push(Line {
            at: self.now,
            actor: self.who.name.to_owned(),
            address: self.who.address.to_owned(),
            action,
            object: object.to_string(),
            before: before.to_string(),
            after: after.to_string(),
        });
        Ok(())
    }
}
