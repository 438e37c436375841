//! What the audit trail says was done.

use super::ownership::joint::{JointKind, JointState};
use crate::string_enum;

string_enum! {
    /// What someone did. A word never changes: it is in the hash of each entry that has it. Old entries may have words that
    /// are no longer here, so entries are read as text.
    pub enum Action {
        SignIn = "sign_in", SignInRefused = "sign_in.refused", SignOut = "sign_out", SessionsEnd = "sessions.end",
        PasswordChange = "password.change", PasswordForgot = "password.forgot", PasswordRefused = "password.refused",
        PasswordReset = "password.reset", PasswordSend = "password.send", TokenMake = "token.make",
        TokenRevoke = "token.revoke", ProfileChange = "profile.change", MailsMuted = "mails.muted",
        StaffAdd = "staff.add", User = "user",
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
        LinodeRename = "linode.rename", DiskRename = "disk.rename", Rdns = "rdns", ConfigProfile = "profile",
        ConfigProfileAdd = "profile.add", ConfigProfileDelete = "profile.delete",
        Register = "register", Registration = "registration",
        Offer = "offer", Schedule = "schedule", StopLimit = "stop limit", Migration = "migration",
        MigrationCancel = "migration.cancel", Evacuate = "evacuate",
        JobLost = "job.lost", JobRetry = "job.retry",
        MailRetry = "mail.retry",
        Owner = "owner", LinodeHold = "linode.hold", LinodeBelieve = "linode.believe", LedgerPin = "ledger.pin",
        LedgerFault = "ledger.fault", RecoveryBegin = "recovery.begin", RecoveryEnd = "recovery.end", Clock = "clock",
        TakeoverAsk = "takeover.ask", TakeoverAgree = "takeover.agree", TakeoverWithdraw = "takeover.withdraw",
        WaiveAsk = "waive.ask", WaiveAgree = "waive.agree", WaiveWithdraw = "waive.withdraw",
        TrustLedgerAsk = "trust_ledger.ask", TrustLedgerAgree = "trust_ledger.agree",
        TrustLedgerWithdraw = "trust_ledger.withdraw",
        Programme = "programme", ProgrammeText = "programme.text", ProgrammeEnd = "programme.end",
        MoveTimes = "move_times",
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
