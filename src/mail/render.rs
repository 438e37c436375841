//! From kind and fields to subject, text and HTML. A struct per template, so that askama checks each one when it compiles.

use askama::Template;

use super::clean::one_line;
use super::fields::MailFields;
use super::wrap::wrap;
use crate::domain::mail;
use crate::domain::mail::MailKind;

/// A mail without its addressee: what an outbox row keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Bodies may hold a password reset link.
impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

macro_rules! templates {
    ($($text:ident $text_path:literal, $html:ident $html_path:literal;)+) => { $(
        #[derive(Template)]
        #[template(path = $text_path)]
        struct $text<'a> { f: &'a MailFields }

        #[derive(Template)]
        #[template(path = $html_path)]
        struct $html<'a> { f: &'a MailFields, subject: &'a str }
    )+ };
}

templates! {
    RegisteredText "mail/registered.txt", RegisteredHtml "mail/registered.html";
    ApprovedText "mail/approved.txt", ApprovedHtml "mail/approved.html";
    DeclinedText "mail/declined.txt", DeclinedHtml "mail/declined.html";
    OfferReadyText "mail/offer_ready.txt", OfferReadyHtml "mail/offer_ready.html";
    OfferExpiredText "mail/offer_expired.txt", OfferExpiredHtml "mail/offer_expired.html";
    ScheduledText "mail/scheduled.txt", ScheduledHtml "mail/scheduled.html";
    StartedText "mail/started.txt", StartedHtml "mail/started.html";
    FinishedText "mail/finished.txt", FinishedHtml "mail/finished.html";
    FailedText "mail/failed.txt", FailedHtml "mail/failed.html";
    ReturnedText "mail/returned.txt", ReturnedHtml "mail/returned.html";
    ConfirmedText "mail/confirmed.txt", ConfirmedHtml "mail/confirmed.html";
    PasswordResetText "mail/password_reset.txt", PasswordResetHtml "mail/password_reset.html";
    GraduationReadyText "mail/graduation_ready.txt", GraduationReadyHtml "mail/graduation_ready.html";
    GraduatedText "mail/graduated.txt", GraduatedHtml "mail/graduated.html";
    BetaEndedText "mail/beta_ended.txt", BetaEndedHtml "mail/beta_ended.html";
    UnscheduledText "mail/unscheduled.txt", UnscheduledHtml "mail/unscheduled.html";
    CheckFailedText "mail/check_failed.txt", CheckFailedHtml "mail/check_failed.html";
    LateText "mail/late.txt", LateHtml "mail/late.html";
    TriedFirstText "mail/tried_first.txt", TriedFirstHtml "mail/tried_first.html";
    TimeReminderText "mail/time_reminder.txt", TimeReminderHtml "mail/time_reminder.html";
    OfferReminderText "mail/offer_reminder.txt", OfferReminderHtml "mail/offer_reminder.html";
    PasswordChangedText "mail/password_changed.txt", PasswordChangedHtml "mail/password_changed.html";
    TokenMadeText "mail/token_made.txt", TokenMadeHtml "mail/token_made.html";
    RoleChangedText "mail/role_changed.txt", RoleChangedHtml "mail/role_changed.html";
    SecondFactorText "mail/second_factor.txt", SecondFactorHtml "mail/second_factor.html";
    EvacuationText "mail/evacuation.txt", EvacuationHtml "mail/evacuation.html";
    BatchText "mail/batch.txt", BatchHtml "mail/batch.html";
    CalledOffText "mail/called_off.txt", CalledOffHtml "mail/called_off.html";
    BugOpenedText "mail/bug_opened.txt", BugOpenedHtml "mail/bug_opened.html";
    BugReplyText "mail/bug_reply.txt", BugReplyHtml "mail/bug_reply.html";
    BugStateText "mail/bug_state.txt", BugStateHtml "mail/bug_state.html";
    QuestionAnsweredText "mail/question_answered.txt", QuestionAnsweredHtml "mail/question_answered.html";
    StaffNeededText "mail/staff_needed.txt", StaffNeededHtml "mail/staff_needed.html";
    AuditHeadText "mail/audit_head.txt", AuditHeadHtml "mail/audit_head.html";
}

/// Renders a mail.
///
/// # Errors
/// Only if a template's formatting fails, which none of them does on its own.
pub fn render(kind: MailKind, fields: &MailFields) -> Result<Rendered, askama::Error> {
    let f = &MailFields {
        optional: mail::group(kind).is_some(),
        ..fields.cleaned()
    };
    let subject = one_line(&subject(kind, f));
    let s = subject.as_str();
    macro_rules! both {
        ($text:ident, $html:ident) => {
            ($text { f }.render()?, $html { f, subject: s }.render()?)
        };
    }
    let (text, html) = match kind {
        MailKind::Registered => both!(RegisteredText, RegisteredHtml),
        MailKind::Approved => both!(ApprovedText, ApprovedHtml),
        MailKind::Declined => both!(DeclinedText, DeclinedHtml),
        MailKind::OfferReady => both!(OfferReadyText, OfferReadyHtml),
        MailKind::OfferExpired => both!(OfferExpiredText, OfferExpiredHtml),
        MailKind::Scheduled => both!(ScheduledText, ScheduledHtml),
        MailKind::Started => both!(StartedText, StartedHtml),
        MailKind::Finished => both!(FinishedText, FinishedHtml),
        MailKind::Failed => both!(FailedText, FailedHtml),
        MailKind::Returned => both!(ReturnedText, ReturnedHtml),
        MailKind::Confirmed => both!(ConfirmedText, ConfirmedHtml),
        MailKind::PasswordReset => both!(PasswordResetText, PasswordResetHtml),
        MailKind::GraduationReady => both!(GraduationReadyText, GraduationReadyHtml),
        MailKind::Graduated => both!(GraduatedText, GraduatedHtml),
        MailKind::BetaEnded => both!(BetaEndedText, BetaEndedHtml),
        MailKind::Unscheduled => both!(UnscheduledText, UnscheduledHtml),
        MailKind::CheckFailed => both!(CheckFailedText, CheckFailedHtml),
        MailKind::Late => both!(LateText, LateHtml),
        MailKind::TriedFirst => both!(TriedFirstText, TriedFirstHtml),
        MailKind::TimeReminder => both!(TimeReminderText, TimeReminderHtml),
        MailKind::OfferReminder => both!(OfferReminderText, OfferReminderHtml),
        MailKind::PasswordChanged => both!(PasswordChangedText, PasswordChangedHtml),
        MailKind::TokenMade => both!(TokenMadeText, TokenMadeHtml),
        MailKind::RoleChanged => both!(RoleChangedText, RoleChangedHtml),
        MailKind::SecondFactor => both!(SecondFactorText, SecondFactorHtml),
        MailKind::Evacuation => both!(EvacuationText, EvacuationHtml),
        MailKind::Batch => both!(BatchText, BatchHtml),
        MailKind::CalledOff => both!(CalledOffText, CalledOffHtml),
        MailKind::BugOpened => both!(BugOpenedText, BugOpenedHtml),
        MailKind::BugReply => both!(BugReplyText, BugReplyHtml),
        MailKind::BugState => both!(BugStateText, BugStateHtml),
        MailKind::QuestionAnswered => both!(QuestionAnsweredText, QuestionAnsweredHtml),
        MailKind::StaffNeeded => both!(StaffNeededText, StaffNeededHtml),
        MailKind::AuditHead => both!(AuditHeadText, AuditHeadHtml),
    };
    Ok(Rendered {
        text: wrap(&text),
        html,
        subject,
    })
}

/// The Linode comes first: in a list of mails it is what tells one from the next.
fn subject(kind: MailKind, f: &MailFields) -> String {
    let (linode, programme) = (&f.linode, &f.programme);
    match kind {
        MailKind::Registered => format!("{linode}: registered for the {programme}"),
        MailKind::Approved => format!("{linode}: registration for the {programme} approved"),
        MailKind::Declined => format!("{linode}: registration for the {programme} declined"),
        MailKind::OfferReady => format!("{linode}: ready to migrate when you are"),
        MailKind::OfferExpired => format!("{linode}: the offer to migrate has expired"),
        MailKind::Scheduled => format!("{linode}: stops for its move on {}", f.when),
        MailKind::CheckFailed if f.checks.goes_home => {
            format!("{linode}: a check failed, it goes home")
        }
        MailKind::CheckFailed if !f.checks.were_asked => {
            format!("{linode}: its checks could not be asked")
        }
        MailKind::CheckFailed => format!("{linode}: a check failed after the move"),
        MailKind::Late => format!("{linode}: not in step at the time you chose"),
        MailKind::TriedFirst if f.move_off.is => {
            format!("{linode}: did not come up when it was tried on its new host")
        }
        MailKind::TriedFirst => {
            format!("{linode}: not stopped, it did not come up when it was tried")
        }
        MailKind::Started => format!("{linode}: migration started"),
        MailKind::Finished => format!("{linode}: migration finished"),
        MailKind::Failed => format!("{linode}: migration failed, your Linode stays where it was"),
        MailKind::Returned => format!("{linode}: back on {}", f.to_host),
        MailKind::Confirmed => format!("{linode}: migration confirmed"),
        MailKind::PasswordReset => "Set a new password".to_owned(),
        MailKind::GraduationReady => format!("{linode}: ready to graduate from the {programme}"),
        MailKind::Graduated => format!("{linode}: graduated from the {programme}"),
        MailKind::BetaEnded => format!("{linode}: the {programme} has ended"),
        MailKind::Unscheduled => format!("{linode}: the time for its migration is cancelled"),
        MailKind::TimeReminder => format!("{linode}: stops for its move on {}", f.when),
        MailKind::OfferReminder => format!("{linode}: the offer to migrate ends soon"),
        MailKind::PasswordChanged => "Your password was changed".to_owned(),
        MailKind::TokenMade => "An API token was made for your account".to_owned(),
        MailKind::RoleChanged => "Your role among the staff is changed".to_owned(),
        MailKind::SecondFactor => "Your second factor for signing in".to_owned(),
        MailKind::Evacuation if f.move_off.called_off => {
            format!("{linode}: will not be moved to another host")
        }
        MailKind::Evacuation if f.when.is_empty() => {
            format!("{linode}: will be moved to another host")
        }
        MailKind::Evacuation => format!("{linode}: will be moved to another host on {}", f.when),
        MailKind::CalledOff => format!("{linode}: our staff have called its move off"),
        MailKind::Batch | MailKind::BugOpened | MailKind::BugReply | MailKind::AuditHead => {
            f.board.title.clone()
        }
        MailKind::StaffNeeded => f.board.title.chars().take(150).collect(),
        MailKind::BugState => format!("{}: {}", f.board.title, f.reason),
        MailKind::QuestionAnswered => "Your question is answered".to_owned(),
    }
}
