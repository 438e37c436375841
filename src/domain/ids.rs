//! Typed ids: two of them swapped in a call do not compile.

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> { text.parse().map(Self) }
        }
    )+ };
}

ids! {
    AccountId, UserId, PlanId, LinodeId, DiskId, ConfigId, IpId, HostId, RegistrationId, MigrationId, JobId, SessionId,
    TokenId, MailId, AuditId,
    BugId, BugPostId, BugFileId, FaqId, QuestionId, JointActId, TrialId, BatchId, JobPauseId, WaveId,
}

/// Config profiles that are added in the portal have numbers from here on: no manager comes so far.
pub const OWN_CONFIGS: ConfigId = ConfigId(1_000_000_000_000);
