//! What the audit trail says was done, and to what.

use std::fmt;

use super::ids::{
    BatchId, BugId, ConfigId, DiskId, FaqId, HostId, JobId, LinodeId, MailId, MigrationId,
    QuestionId, RegistrationId, UserId, WaveId,
};
use super::ownership::joint::{JointKind, JointState};
use super::programme::TextSection;
use crate::string_enum;

string_enum! {
    /// What someone did. A word never changes: it is in the hash of each entry that has it. Old entries may have words that
    /// are no longer here, so entries are read as text.
    pub enum Action {
        SignIn = "sign_in", SignInRefused = "sign_in.refused", SignOut = "sign_out", SessionsEnd = "sessions.end",
        FormRefused = "form.refused", TooMany = "too_many.refused", AgentRefused = "agent.refused",
        PasswordChange = "password.change", PasswordForgot = "password.forgot", PasswordRefused = "password.refused",
        PasswordReset = "password.reset", PasswordSend = "password.send", TokenMake = "token.make",
        TokenRevoke = "token.revoke", ProfileChange = "profile.change", MailsMuted = "mails.muted",
        StaffAdd = "staff.add", StaffRole = "staff.role", StaffRestore = "staff.restore", User = "user",
        RightRefused = "right.refused",
        SecondFactorOn = "second_factor.on", SecondFactorOff = "second_factor.off",
        RecoveryCodes = "recovery_codes", RecoveryCodeUsed = "recovery_code.used",
        CodeAsked = "code.asked", CodeRefused = "code.refused", Proved = "proved",
        BugOpened = "bug opened", BugRepliedTo = "bug replied to", BugHits = "bug hits them too",
        BugHitsNoMore = "bug hits them no more", BugTriaged = "bug triaged", BugNotedOn = "bug noted on",
        BugExplains = "bug explains a migration", BugExplainsNoMore = "bug explains a migration no more",
        BugPartHidden = "bug part hidden", BugPartShown = "bug part shown again", BugFileDeleted = "bug file deleted",
        QuestionAsked = "question asked", QuestionAnswered = "question answered", FaqAdded = "faq entry added",
        FaqChanged = "faq entry changed", FaqMoved = "faq entry moved", FaqRetired = "faq entry retired",
        FaqPutBack = "faq entry put back",
        WeightRule = "weight_rule", LinodeWeight = "linode_weight",
        Import = "import", HostAdd = "host.add", HostToken = "host.token", HostRevoke = "host.revoke",
        HostState = "host.state", HostLimits = "host.limits", HostEmpty = "host.empty", AgentEnrol = "agent.enrol",
        AgentRotate = "agent.rotate",
        Power = "power",
        LinodeRename = "linode.rename", NeverBoth = "linode.never_both", Checks = "linode.checks", DiskRename = "disk.rename", Rdns = "rdns", ConfigProfile = "profile",
        ConfigProfileAdd = "profile.add", ConfigProfileDelete = "profile.delete",
        Batch = "batch", Wave = "wave", MovesPause = "moves.pause",
        Register = "register", Registration = "registration",
        Offer = "offer", Schedule = "schedule", StopLimit = "stop limit", Patience = "patience",
        DownLimit = "downtime limit", TryFirst = "try first", Migration = "migration",
        MigrationCancel = "migration.cancel", Trial = "migration.trial", Evacuate = "evacuate",
        JobLost = "job.lost", JobRetry = "job.retry", JobPause = "job.pause",
        MailRetry = "mail.retry",
        Owner = "owner", LinodeHold = "linode.hold", LinodeBelieve = "linode.believe", LedgerPin = "ledger.pin",
        LedgerFault = "ledger.fault", RecoveryBegin = "recovery.begin", RecoveryEnd = "recovery.end", Clock = "clock",
        TakeoverAsk = "takeover.ask", TakeoverAgree = "takeover.agree", TakeoverWithdraw = "takeover.withdraw",
        WaiveAsk = "waive.ask", WaiveAgree = "waive.agree", WaiveWithdraw = "waive.withdraw",
        TrustLedgerAsk = "trust_ledger.ask", TrustLedgerAgree = "trust_ledger.agree",
        TrustLedgerWithdraw = "trust_ledger.withdraw",
        Programme = "programme", ProgrammeText = "programme.text", ProgrammeEnd = "programme.end",
        MoveTimes = "move_times", ReceiptKey = "receipt_key", ReadinessLimits = "readiness.limits",
    }
}

impl Action {
    /// Of an act that takes two: it is asked for, agreed to or withdrawn.
    pub fn joint(kind: JointKind, to: JointState) -> Self {
        use JointKind as K;
        use JointState as S;
        match (kind, to) {
            (K::Takeover, S::Asked) => Self::TakeoverAsk,
            (K::Takeover, S::Done) => Self::TakeoverAgree,
            (K::Takeover, S::Withdrawn) => Self::TakeoverWithdraw,
            (K::Waive, S::Asked) => Self::WaiveAsk,
            (K::Waive, S::Done) => Self::WaiveAgree,
            (K::Waive, S::Withdrawn) => Self::WaiveWithdraw,
            (K::TrustLedger, S::Asked) => Self::TrustLedgerAsk,
            (K::TrustLedger, S::Done) => Self::TrustLedgerAgree,
            (K::TrustLedger, S::Withdrawn) => Self::TrustLedgerWithdraw,
        }
    }
}

/// What it was done to. The words never change either: by them an entry is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object<'a> {
    Batch(BatchId),
    Bug(BugId),
    Faq(FaqId),
    Host(HostId),
    Job(JobId),
    /// Several of them.
    Jobs,
    Linode(LinodeId),
    Mail(MailId),
    Migration(MigrationId),
    Question(QuestionId),
    Registration(RegistrationId),
    User(UserId),
    Wave(WaveId),
    Address(LinodeId, &'a str),
    ConfigProfile(LinodeId, ConfigId),
    Disk(LinodeId, DiskId),
    /// A Linode's own weight.
    Weight(LinodeId),
    /// The rule for all of them.
    Weights,
    /// What an import brought.
    Fleet,
    /// Several mails at once.
    Outbox,
    Portal,
    Programme,
    ProgrammeText(TextSection),
    /// Whoever is signed in, or is not let in.
    Session,
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(id) => write!(f, "batch {id}"),
            Self::Bug(id) => write!(f, "bug {id}"),
            Self::Faq(id) => write!(f, "faq {id}"),
            Self::Host(id) => write!(f, "host {id}"),
            Self::Job(id) => write!(f, "job {id}"),
            Self::Jobs => f.write_str("jobs"),
            Self::Linode(id) => write!(f, "linode {id}"),
            Self::Mail(id) => write!(f, "mail {id}"),
            Self::Migration(id) => write!(f, "migration {id}"),
            Self::Question(id) => write!(f, "question {id}"),
            Self::Registration(id) => write!(f, "registration {id}"),
            Self::User(id) => write!(f, "user {id}"),
            Self::Wave(id) => write!(f, "wave {id}"),
            Self::Address(of, address) => write!(f, "linode {of}, address {address}"),
            Self::ConfigProfile(of, id) => write!(f, "linode {of}, config profile {id}"),
            Self::Disk(of, id) => write!(f, "linode {of}, disk {id}"),
            Self::Weight(of) => write!(f, "linode:{of}"),
            Self::Weights => f.write_str("weights"),
            Self::Fleet => f.write_str("fleet"),
            Self::Outbox => f.write_str("mail"),
            Self::Portal => f.write_str("portal"),
            Self::Programme => f.write_str("programme"),
            Self::ProgrammeText(section) => write!(f, "programme text {section}"),
            Self::Session => f.write_str("session"),
        }
    }
}

impl Object<'_> {
    /// The thing that an entry names, if it is one that has a page of its own for staff.
    pub fn with_page(text: &str) -> Option<Self> {
        let id = text.split_once(' ')?.1.parse().ok()?;
        let named = [
            Self::Migration(MigrationId(id)),
            Self::Host(HostId(id)),
            Self::Job(JobId(id)),
            Self::User(UserId(id)),
            Self::Mail(MailId(id)),
            Self::Wave(WaveId(id)),
        ];
        named.into_iter().find(|thing| thing.to_string() == text)
    }
}
