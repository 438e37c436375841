//! What mails there are, which their reader can switch off, and by what words.

use super::account::{Right, StaffRole, may};
use super::string_enum::StringEnum;
use crate::string_enum;

string_enum! {
    /// What a mail tells. Each has its templates in `templates/mail/{word}.txt` and `.html`.
    pub enum MailKind {
        Registered = "registered", Approved = "approved", Declined = "declined", OfferReady = "offer_ready",
        OfferExpired = "offer_expired", Scheduled = "scheduled", Started = "started", Finished = "finished",
        Failed = "failed", Returned = "returned", Confirmed = "confirmed", PasswordReset = "password_reset",
        GraduationReady = "graduation_ready", Graduated = "graduated", BetaEnded = "beta_ended",
        BugOpened = "bug_opened", BugReply = "bug_reply", BugState = "bug_state", QuestionAnswered = "question_answered",
        Unscheduled = "unscheduled", Late = "late", TimeReminder = "time_reminder", OfferReminder = "offer_reminder",
        PasswordChanged = "password_changed", TokenMade = "token_made", RoleChanged = "role_changed",
        /// The second factor was set up, changed or taken away, or a recovery code was used.
        SecondFactor = "second_factor",
        /// It was to be tried on its new host before it stops, and did not come up there.
        TriedFirst = "tried_first",
        /// What its member wants to answer does not, after a move.
        CheckFailed = "check_failed",
        /// Staff have decided many registrations of an account at once.
        Batch = "batch",
        /// Staff move it off its host, or have called that off.
        Evacuation = "evacuation",
        /// Any other move that staff have called off.
        CalledOff = "called_off",
        StaffNeeded = "staff_needed",
        /// To where the configuration says, and to nobody else.
        AuditHead = "audit_head",
    }
}

string_enum! {
    /// Where a mail stands in the outbox, in the order of its life.
    pub enum MailState { Pending = "pending", Sent = "sent", Failed = "failed" }
}

string_enum! {
    /// What the choices are grouped by on the account's page.
    pub enum Group { Registration = "registration", Move = "move", Board = "board" }
}

/// The group of a mail that its reader can switch off; `None` for those that always go: they are about who can get in,
/// or about what waits for its reader.
pub fn group(kind: MailKind) -> Option<Group> {
    use MailKind as K;
    match kind {
        K::Registered
        | K::Approved
        | K::Declined
        | K::Batch
        | K::OfferReady
        | K::OfferReminder
        | K::OfferExpired => Some(Group::Registration),
        K::Evacuation
        | K::CalledOff
        | K::Scheduled
        | K::Unscheduled
        | K::Late
        | K::TriedFirst
        | K::TimeReminder
        | K::Started
        | K::Finished
        | K::Failed
        | K::Returned
        | K::CheckFailed
        | K::Confirmed => Some(Group::Move),
        K::GraduationReady | K::Graduated | K::BetaEnded => Some(Group::Registration),
        K::BugOpened | K::BugReply | K::BugState | K::QuestionAnswered => Some(Group::Board),
        K::PasswordReset
        | K::PasswordChanged
        | K::TokenMade
        | K::RoleChanged
        | K::SecondFactor
        | K::StaffNeeded
        | K::AuditHead => None,
    }
}

/// Is it about who can get in? Such mail is of use for minutes, and goes before all other.
pub fn is_of_access(kind: MailKind) -> bool {
    matches!(
        kind,
        MailKind::PasswordReset
            | MailKind::PasswordChanged
            | MailKind::TokenMade
            | MailKind::RoleChanged
            | MailKind::SecondFactor
    )
}

/// What its reader has to be allowed, of a mail that goes to staff: they can do something about it.
pub fn right(kind: MailKind) -> Option<Right> {
    use MailKind as K;
    match kind {
        K::BugOpened => Some(Right::Bugs),
        K::StaffNeeded => Some(Right::Hosts),
        K::AuditHead => Some(Right::Read),
        K::Registered
        | K::Approved
        | K::Declined
        | K::OfferReady
        | K::OfferReminder
        | K::OfferExpired
        | K::Batch
        | K::CalledOff
        | K::Evacuation
        | K::Scheduled
        | K::Unscheduled
        | K::Late
        | K::TriedFirst
        | K::TimeReminder
        | K::Started
        | K::Finished
        | K::Failed
        | K::Returned
        | K::CheckFailed
        | K::Confirmed
        | K::GraduationReady
        | K::Graduated
        | K::BetaEnded
        | K::BugReply
        | K::BugState
        | K::QuestionAnswered
        | K::PasswordReset
        | K::PasswordChanged
        | K::TokenMade
        | K::RoleChanged
        | K::SecondFactor => None,
    }
}

/// Does someone get such mails at all? `role`: of the staff, if they are.
pub fn is_for(kind: MailKind, role: Option<StaffRole>) -> bool {
    match right(kind) {
        None => true,
        Some(right) => role.is_some_and(|role| may(role, right)),
    }
}

/// The kinds of a group that someone of this role gets, in the order of what happens.
pub fn kinds(of: Group, role: Option<StaffRole>) -> impl Iterator<Item = MailKind> {
    MailKind::ALL
        .iter()
        .copied()
        .filter(move |kind| group(*kind) == Some(of) && is_for(*kind, role))
}

/// What a mail tells, as its reader would say it.
pub fn name(kind: MailKind) -> &'static str {
    use MailKind as K;
    match kind {
        K::Registered => "A Linode is registered",
        K::Approved => "A registration is approved",
        K::Declined => "A registration is declined",
        K::Batch => "Several registrations are decided at once: one mail for all",
        K::OfferReady => "A Linode can migrate",
        K::OfferReminder => "An offer to migrate ends soon",
        K::OfferExpired => "An offer to migrate has ended",
        K::Scheduled => "A time is set or changed, with a calendar file",
        K::Unscheduled => "A time is cancelled, with a calendar file",
        K::Late => "A Linode is not in step at its time",
        K::TriedFirst => "A Linode does not come up when it is tried before its move",
        K::TimeReminder => "Reminder a day before the time",
        K::Evacuation => "Staff move a Linode to another host, or call that off",
        K::CalledOff => "Staff call a migration off",
        K::Started => "A migration starts",
        K::Finished => "A migration has finished",
        K::Failed => "A migration has failed",
        K::CheckFailed => "A check fails after a move",
        K::Returned => "A Linode is back on its old host",
        K::Confirmed => "A migration is confirmed",
        K::GraduationReady => "A Linode can graduate to a production host",
        K::Graduated => "A Linode has graduated",
        K::BetaEnded => "The beta has ended",
        K::BugOpened => "Members have opened bugs: one mail for all of a quarter of an hour",
        K::BugReply => "A reply in a thread of a bug that is mine, hits me, or that I wrote in",
        K::BugState => "Such a bug changes its state",
        K::QuestionAnswered => "A question of mine is answered",
        K::PasswordReset => "A new password is asked for",
        K::PasswordChanged => "The password is changed",
        K::TokenMade => "An API token is made",
        K::RoleChanged => "The role among the staff is changed",
        K::SecondFactor => "The second factor is changed, or a recovery code is used",
        K::StaffNeeded => "Something waits for staff",
        K::AuditHead => "The audit trail's head, once a day",
    }
}
