//! What each mail tells, besides the names of its reader, the Linode and the hosts: nothing that its template needs can be
//! left out.

use crate::domain::batch::BatchKind;
use crate::domain::ids::{BugId, MigrationId};
use crate::domain::mail::MailKind;
use crate::domain::migration::{MigrationKind, hold};
use crate::domain::time::Time;
use crate::mail::{AfterCheck, Board, MailFields, MoveOff, ResetToken};
use crate::store::migration::Migration;

/// A time that its member chose, for their calendar.
#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    pub at: Time,
    /// Of the calendar file; higher than in all before.
    pub sequence: i32,
    pub cancelled: bool,
}

/// A mail about a Linode, for everyone of its account.
#[derive(Clone, Copy)]
pub enum LinodeMail<'a> {
    /// Its place in the queue.
    Registered(i64),
    Approved,
    Declined {
        reason: &'a str,
    },
    BetaEnded {
        reason: &'a str,
        came_back: bool,
    },
    OfferReady(&'a Migration),
    GraduationReady(&'a Migration),
    OfferReminder(&'a Migration),
    OfferExpired(&'a Migration),
    Scheduled {
        of: &'a Migration,
        chosen: Option<Chosen>,
    },
    /// Not in step at the time chosen; it may still stop until then.
    /// `why`: what keeps one from stopping that is in step; empty: it is not in step yet.
    Late {
        of: &'a Migration,
        until: Time,
        why: &'a str,
    },
    /// It was to be tried before it stops, and did not come up there. `why`: what became of the trial.
    TriedFirst {
        of: &'a Migration,
        why: &'a str,
        console: &'a str,
    },
    /// `held`: quiet hours hold the chosen time until then.
    TimeReminder {
        of: &'a Migration,
        held: Option<Time>,
    },
    /// `reason`: what happens instead; `stands`: until when the offer can still be used.
    Unscheduled {
        of: &'a Migration,
        chosen: Chosen,
        reason: &'a str,
        stands: Option<Time>,
    },
    /// Staff move it off its host. `expected`: how long it will be away; empty if that is not known.
    Evacuation {
        of: &'a Migration,
        chosen: Option<Chosen>,
        move_off: MoveOff,
        expected: &'a str,
    },
    /// Staff have called it off, and say why.
    CalledOff {
        of: &'a Migration,
        chosen: Option<Chosen>,
    },
    Started(&'a Migration),
    Finished(&'a Migration),
    /// `is_over`: no other try goes on from what was copied; `is_off`: nobody starts it where it stayed but its member.
    Failed {
        of: &'a Migration,
        is_over: bool,
        is_off: bool,
    },
    /// `back`: the way back itself; `why`: what did not answer, if that is why it went home by itself.
    Returned {
        of: &'a Migration,
        back: Option<MigrationId>,
        why: &'a str,
    },
    /// `said`: the checks that did not answer after the move, a line each.
    CheckFailed {
        of: &'a Migration,
        said: &'a str,
        console: &'a str,
        then: AfterCheck<'a>,
    },
    Confirmed(&'a Migration),
    Graduated(&'a Migration),
}

impl<'a> LinodeMail<'a> {
    pub(super) fn kind(self) -> MailKind {
        match self {
            Self::Registered(_) => MailKind::Registered,
            Self::Approved => MailKind::Approved,
            Self::Declined { .. } => MailKind::Declined,
            Self::BetaEnded { .. } => MailKind::BetaEnded,
            Self::OfferReady(_) => MailKind::OfferReady,
            Self::GraduationReady(_) => MailKind::GraduationReady,
            Self::OfferReminder(_) => MailKind::OfferReminder,
            Self::OfferExpired(_) => MailKind::OfferExpired,
            Self::Scheduled { .. } => MailKind::Scheduled,
            Self::Late { .. } => MailKind::Late,
            Self::TriedFirst { .. } => MailKind::TriedFirst,
            Self::TimeReminder { .. } => MailKind::TimeReminder,
            Self::Unscheduled { .. } => MailKind::Unscheduled,
            Self::Evacuation { .. } => MailKind::Evacuation,
            Self::CalledOff { .. } => MailKind::CalledOff,
            Self::Started(_) => MailKind::Started,
            Self::Finished(_) => MailKind::Finished,
            Self::Failed { .. } => MailKind::Failed,
            Self::Returned { .. } => MailKind::Returned,
            Self::CheckFailed { .. } => MailKind::CheckFailed,
            Self::Confirmed(_) => MailKind::Confirmed,
            Self::Graduated(_) => MailKind::Graduated,
        }
    }

    pub(super) fn migration(self) -> Option<&'a Migration> {
        match self {
            Self::Registered(_)
            | Self::Approved
            | Self::Declined { .. }
            | Self::BetaEnded { .. } => None,
            Self::OfferReady(of)
            | Self::GraduationReady(of)
            | Self::OfferReminder(of)
            | Self::OfferExpired(of)
            | Self::Scheduled { of, .. }
            | Self::Late { of, .. }
            | Self::TriedFirst { of, .. }
            | Self::TimeReminder { of, .. }
            | Self::Unscheduled { of, .. }
            | Self::Evacuation { of, .. }
            | Self::CalledOff { of, .. }
            | Self::Started(of)
            | Self::Finished(of)
            | Self::Failed { of, .. }
            | Self::Returned { of, .. }
            | Self::CheckFailed { of, .. }
            | Self::Confirmed(of)
            | Self::Graduated(of) => Some(of),
        }
    }

    /// What its calendar file says, if it has one.
    pub(super) fn chosen(self) -> Option<Chosen> {
        match self {
            Self::Scheduled { chosen, .. }
            | Self::Evacuation { chosen, .. }
            | Self::CalledOff { chosen, .. } => chosen,
            Self::Unscheduled { chosen, .. } => Some(chosen),
            _ => None,
        }
    }

    /// Whose receipt goes with it.
    pub(super) fn receipt_of(self) -> Option<MigrationId> {
        match self {
            Self::Finished(of) => Some(of.id),
            Self::Returned { back, .. } => back,
            _ => None,
        }
    }

    /// From when on it asks for, or announces, what is over.
    pub(super) fn stale_at(self) -> Option<Time> {
        match self {
            Self::OfferReady(of) | Self::GraduationReady(of) | Self::OfferReminder(of) => {
                Some(of.expires_at)
            }
            Self::Scheduled { of, .. } => of.not_before,
            Self::TimeReminder { of, held } => held.or(of.not_before),
            _ => None,
        }
    }

    /// `shown`: a moment in the reader's zone.
    pub(super) fn tell(self, facts: &mut MailFields, now: Time, shown: impl Fn(Time) -> String) {
        let words = |at: Option<Time>| at.map(&shown).unwrap_or_default();
        match self {
            Self::Registered(position) => facts.position = Some(position),
            Self::Declined { reason } => reason.clone_into(&mut facts.reason),
            Self::BetaEnded { reason, came_back } => {
                reason.clone_into(&mut facts.reason);
                facts.came_back = came_back;
            }
            Self::OfferReady(of)
            | Self::GraduationReady(of)
            | Self::OfferReminder(of)
            | Self::OfferExpired(of) => facts.until = shown(of.expires_at),
            Self::Scheduled { of, .. } => {
                facts.when = words(of.not_before);
                facts.begins = words(of.begin_at.filter(|at| *at > now));
            }
            Self::Late { of, until, why } => {
                why.clone_into(&mut facts.reason);
                facts.when = words(of.not_before);
                facts.until = shown(until);
            }
            Self::TriedFirst { of, why, console } => {
                why.clone_into(&mut facts.reason);
                console.clone_into(&mut facts.checks.console);
                facts.when = words(of.not_before.filter(|at| *at > now));
                facts.move_off.is = of.kind == MigrationKind::Evacuation;
                facts.until = if facts.move_off.is {
                    shown(of.expires_at)
                } else {
                    let until = |at| hold::may_stop_until(at, of.patience_s);
                    words(of.not_before.map(until))
                };
            }
            Self::TimeReminder { of, held } => {
                facts.when = words(held.or(of.not_before));
                facts.is_held = held.is_some();
            }
            Self::Unscheduled {
                chosen,
                reason,
                stands,
                ..
            } => {
                reason.clone_into(&mut facts.reason);
                facts.when = shown(chosen.at);
                facts.until = words(stands);
            }
            Self::Evacuation {
                of,
                move_off,
                expected,
                ..
            } => {
                facts.reason.clone_from(&of.reason);
                facts.when = words(of.not_before);
                facts.move_off = move_off;
                if !expected.is_empty() {
                    expected.clone_into(&mut facts.downtime);
                }
            }
            Self::CalledOff { of, .. } => {
                facts.reason.clone_from(&of.reason);
                facts.when = words(of.not_before);
            }
            Self::Finished(of) => {
                facts.when = shown(now);
                // The way back of an evacuation is staff's.
                let theirs = of.kind != MigrationKind::Evacuation;
                facts.until = words(of.way_back_until.filter(|_| theirs));
            }
            Self::Failed {
                of,
                is_over,
                is_off,
            } => {
                facts.reason.clone_from(&of.failure);
                (facts.is_over, facts.is_off) = (is_over, is_off);
            }
            Self::Started(_) => facts.when = shown(now),
            Self::Returned { why, .. } => {
                facts.when = shown(now);
                why.clone_into(&mut facts.reason);
            }
            Self::CheckFailed {
                of,
                said,
                console,
                then,
            } => {
                said.clone_into(&mut facts.reason);
                facts.checks = then.told(console);
                let theirs = of.kind != MigrationKind::Evacuation;
                facts.until = words(of.way_back_until.filter(|_| theirs));
            }
            Self::Approved | Self::Confirmed(_) | Self::Graduated(_) => {}
        }
    }
}

/// A bug as its reader may see it: its title, and where they read it.
#[derive(Clone)]
pub struct Thread {
    pub bug: BugId,
    pub title: String,
    pub path: String,
}

/// A mail to one person.
#[derive(Clone, Copy)]
pub enum UserMail<'a> {
    /// `token`: the secret part of a link that is good until then.
    PasswordReset {
        token: &'a str,
        until: Time,
    },
    PasswordChanged,
    TokenMade {
        token: &'a str,
    },
    /// `role`: with what it is for.
    RoleChanged {
        role: &'a str,
    },
    /// `what` happened to it: a sentence.
    SecondFactor {
        what: &'a str,
    },
    /// `lines`: the things one by one, if there are several.
    StaffNeeded {
        title: &'a str,
        path: &'a str,
        lines: &'a str,
    },
    BugOpened {
        title: &'a str,
        path: &'a str,
        lines: &'a str,
    },
    /// `who`: empty if there were several.
    BugReply {
        thread: &'a Thread,
        who: &'a str,
        text: &'a str,
    },
    /// `root`: the bug that it is a duplicate of.
    BugState {
        thread: &'a Thread,
        who: &'a str,
        state: &'a str,
        root: Option<&'a Thread>,
    },
    QuestionAnswered {
        question: &'a str,
        path: &'a str,
        answer: &'a str,
    },
    /// Staff have decided many registrations of their account. `linodes`: their labels, a line each.
    Batch {
        kind: BatchKind,
        count: usize,
        linodes: &'a str,
        reason: &'a str,
        /// When staff move them.
        at: Option<Time>,
    },
}

impl UserMail<'_> {
    pub(super) fn kind(self) -> MailKind {
        match self {
            Self::PasswordReset { .. } => MailKind::PasswordReset,
            Self::PasswordChanged => MailKind::PasswordChanged,
            Self::TokenMade { .. } => MailKind::TokenMade,
            Self::RoleChanged { .. } => MailKind::RoleChanged,
            Self::SecondFactor { .. } => MailKind::SecondFactor,
            Self::StaffNeeded { .. } => MailKind::StaffNeeded,
            Self::BugOpened { .. } => MailKind::BugOpened,
            Self::BugReply { .. } => MailKind::BugReply,
            Self::BugState { .. } => MailKind::BugState,
            Self::QuestionAnswered { .. } => MailKind::QuestionAnswered,
            Self::Batch { .. } => MailKind::Batch,
        }
    }

    pub(super) fn stale_at(self) -> Option<Time> {
        match self {
            Self::PasswordReset { until, .. } => Some(until),
            _ => None,
        }
    }

    /// `shown`: a moment in the reader's zone.
    pub(super) fn tell(self, facts: &mut MailFields, now: Time, shown: impl Fn(Time) -> String) {
        let board = |title: &str, path: &str| Board {
            title: title.to_owned(),
            path: path.to_owned(),
            ..Board::default()
        };
        let of = |thread: &Thread, who: &str| Board {
            bug: Some(thread.bug),
            who: who.to_owned(),
            ..board(&thread.title, &thread.path)
        };
        let (about, words) = match self {
            Self::PasswordReset { token, until } => {
                facts.until = shown(until);
                facts.reset = ResetToken(token.to_owned());
                return;
            }
            Self::PasswordChanged => {
                facts.when = shown(now);
                return;
            }
            Self::TokenMade { token: words }
            | Self::RoleChanged { role: words }
            | Self::SecondFactor { what: words } => {
                facts.when = shown(now);
                (Board::default(), words)
            }
            Self::StaffNeeded { title, path, lines } | Self::BugOpened { title, path, lines } => {
                (board(title, path), lines)
            }
            Self::BugReply { thread, who, text } => (of(thread, who), text),
            Self::BugState {
                thread,
                who,
                state,
                root,
            } => {
                let mut about = of(thread, who);
                if let Some(root) = root {
                    about.other_title.clone_from(&root.title);
                    about.other_path.clone_from(&root.path);
                }
                (about, state)
            }
            Self::QuestionAnswered {
                question,
                path,
                answer,
            } => (board(question, path), answer),
            Self::Batch {
                kind,
                count,
                linodes,
                reason,
                at,
            } => {
                let title = match kind {
                    BatchKind::Approve => format!("{count} of your Linodes are approved"),
                    BatchKind::Decline => format!("{count} registrations are declined"),
                    BatchKind::Configure => format!("{count} of your Linodes can migrate"),
                    BatchKind::Graduate => {
                        format!("{count} of your Linodes can move to a production host")
                    }
                    BatchKind::Evacuate => {
                        format!("We move {count} of your Linodes to other hosts")
                    }
                    // Nobody is told of it.
                    BatchKind::Retry => String::new(),
                };
                linodes.clone_into(&mut facts.linodes);
                facts.when = at.map(&shown).unwrap_or_default();
                facts.move_off.many = kind == BatchKind::Evacuate;
                let path = if facts.move_off.many {
                    "/members/"
                } else {
                    "/members/xenbeta"
                };
                (board(&title, path), reason)
            }
        };
        facts.board = about;
        words.clone_into(&mut facts.reason);
    }
}
