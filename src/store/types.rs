//! How domain values travel to and from columns: one macro for ids, one for words, and an SQL type of our own for time.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, Queryable};
use diesel::expression::AsExpression;
use diesel::internal::derives::as_expression::Bound;
use diesel::pg::Pg;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, HasSqlType, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::db::{MultiBackend, MultiRawValue};
use crate::domain::account::{StaffRole, TokenScope, UserRole};
use crate::domain::batch::{BatchKind, BatchState, ItemOutcome};
use crate::domain::bug::attachment::FileKind;
use crate::domain::bug::{BugState, Changed, Component, FactKind, Severity};
use crate::domain::fairness::shares::RuleKind;
use crate::domain::host::{HostRole, HostState};
use crate::domain::ids::{
    AccountId, AuditId, BatchId, BugFileId, BugId, BugPostId, ConfigId, DiskId, FaqId, HostId,
    IpId, JobId, JobPauseId, JointActId, LinodeId, MailId, MigrationId, PlanId, QuestionId,
    RegistrationId, SessionId, TokenId, TrialId, UserId, WaveId,
};
use crate::domain::job::{JobKind, JobState};
use crate::domain::linode::check::CheckState;
use crate::domain::linode::{IpKind, KernelFamily, LinodeStatus, RunLevel};
use crate::domain::mail::MailState;
use crate::domain::migration::forecast::Part;
use crate::domain::migration::{MigrationKind, MigrationState, Side, Step};
use crate::domain::ownership::joint::{JointKind, JointState};
use crate::domain::platform::Platform;
use crate::domain::programme::{ProgrammeState, TextSection};
use crate::domain::registration::RegistrationState;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::domain::trial::TrialState;
use crate::domain::wave::{ItemState, Sequence, WaveKind, WaveState};

/// TIMESTAMPTZ on PostgreSQL; on SQLite text of fixed width, so that the order of text is the order of time.
#[derive(Clone, Copy, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
#[diesel(
    postgres_type(oid = 1184, array_oid = 1185),
    sqlite_type(name = "Text")
)]
pub struct Utc;
impl diesel::sql_types::SqlOrd for Utc {}
impl HasSqlType<Utc> for MultiBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        MultiBackend::lookup_sql_type::<Utc>(lookup)
    }
}

const FIXED_WIDTH: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// As [`FIXED_WIDTH`] says. By hand, because a page reads hundreds of times, and the general way takes ten times as long.
pub(super) fn written(at: DateTime<chrono::Utc>) -> String {
    if !(0..=9999).contains(&at.year()) {
        return at.format(FIXED_WIDTH).to_string();
    }
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.nanosecond() / 1000
    )
}

pub(super) fn read(text: &str) -> Result<NaiveDateTime, chrono::ParseError> {
    // What is not quite of that shape is for the general way to understand, or to say what is wrong.
    read_fixed(text.as_bytes()).map_or_else(|| NaiveDateTime::parse_from_str(text, FIXED_WIDTH), Ok)
}

fn read_fixed(text: &[u8]) -> Option<NaiveDateTime> {
    let (year, rest) = number(text, 4, b'-')?;
    let (month, rest) = number(rest, 2, b'-')?;
    let (day, rest) = number(rest, 2, b'T')?;
    let (hour, rest) = number(rest, 2, b':')?;
    let (minute, rest) = number(rest, 2, b':')?;
    let (second, rest) = number(rest, 2, b'.')?;
    let (micros, rest) = number(rest, 6, b'Z')?;
    if !rest.is_empty() {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?
        .and_hms_micro_opt(hour, minute, second, micros)
}

/// So many digits and what ends them; and the rest.
fn number(text: &[u8], digits: usize, end: u8) -> Option<(u32, &[u8])> {
    let (head, rest) = text.split_at_checked(digits)?;
    let rest = rest.strip_prefix(&[end])?;
    head.iter()
        .try_fold(0_u32, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + u32::from(byte - b'0'))
        })
        .map(|sum| (sum, rest))
}

macro_rules! expression {
    ($rust:ty, $sql:ty) => {
        impl AsExpression<$sql> for $rust {
            type Expression = Bound<$sql, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl AsExpression<Nullable<$sql>> for $rust {
            type Expression = Bound<Nullable<$sql>, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl<'expr> AsExpression<$sql> for &'expr $rust {
            type Expression = Bound<$sql, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl<'expr> AsExpression<Nullable<$sql>> for &'expr $rust {
            type Expression = Bound<Nullable<$sql>, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl<DB: Backend> ToSql<Nullable<$sql>, DB> for $rust
        where
            $rust: ToSql<$sql, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                ToSql::<$sql, DB>::to_sql(self, out)
            }
        }
    };
}

macro_rules! row_value {
    ($rust:ty, $sql:ty) => {
        impl<DB: Backend> Queryable<$sql, DB> for $rust
        where
            $rust: FromSql<$sql, DB>,
        {
            type Row = Self;
            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }
    };
}

expression!(Time, Utc);
row_value!(Time, Utc);

impl ToSql<Utc, Pg> for Time {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<diesel::sql_types::Timestamptz, Pg>::to_sql(
            &self.utc().naive_utc(),
            &mut out.reborrow(),
        )
    }
}
impl FromSql<Utc, Pg> for Time {
    fn from_sql(value: diesel::pg::PgValue<'_>) -> deserialize::Result<Self> {
        let at: DateTime<chrono::Utc> =
            FromSql::<diesel::sql_types::Timestamptz, Pg>::from_sql(value)?;
        Ok(Self::new(at))
    }
}
impl ToSql<Utc, Sqlite> for Time {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(written(self.utc()));
        Ok(IsNull::No)
    }
}
impl FromSql<Utc, Sqlite> for Time {
    fn from_sql(value: diesel::sqlite::SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
        Ok(Self::new(read(&text)?.and_utc()))
    }
}
impl ToSql<Utc, MultiBackend> for Time {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, MultiBackend>) -> serialize::Result {
        out.set_value((Utc, self));
        Ok(IsNull::No)
    }
}
impl FromSql<Utc, MultiBackend> for Time {
    fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Utc>()
    }
}

macro_rules! ids {
    ($($id:ty),+ $(,)?) => { $(
        expression!($id, BigInt);
        row_value!($id, BigInt);
        impl<DB: Backend> ToSql<BigInt, DB> for $id where i64: ToSql<BigInt, DB> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                <i64 as ToSql<BigInt, DB>>::to_sql(&self.0, out)
            }
        }
        impl<DB: Backend> FromSql<BigInt, DB> for $id where i64: FromSql<BigInt, DB> {
            fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
                <i64 as FromSql<BigInt, DB>>::from_sql(value).map(Self)
            }
        }
    )+ };
}

macro_rules! string_enums {
    ($($word:ty),+ $(,)?) => { $(
        expression!($word, Text);
        row_value!($word, Text);
        impl<DB: Backend> ToSql<Text, DB> for $word where str: ToSql<Text, DB> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                <str as ToSql<Text, DB>>::to_sql(self.as_str(), out)
            }
        }
        impl<DB: Backend> FromSql<Text, DB> for $word where String: FromSql<Text, DB> {
            fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
                let text = <String as FromSql<Text, DB>>::from_sql(value)?;
                Ok(text.parse::<Self>()?)
            }
        }
    )+ };
}

ids!(
    AccountId,
    UserId,
    PlanId,
    LinodeId,
    DiskId,
    ConfigId,
    IpId,
    HostId,
    RegistrationId,
    MigrationId,
    JobId,
    SessionId,
    TokenId,
    MailId,
    AuditId,
    BugId,
    BugPostId,
    BugFileId,
    FaqId,
    QuestionId,
    JointActId,
    TrialId,
    BatchId,
    JobPauseId,
    WaveId,
);
string_enums!(
    Platform,
    HostRole,
    HostState,
    KernelFamily,
    UserRole,
    StaffRole,
    TokenScope,
    IpKind,
    RunLevel,
    LinodeStatus,
    ProgrammeState,
    RegistrationState,
    MigrationKind,
    MigrationState,
    CheckState,
    TrialState,
    BatchKind,
    BatchState,
    ItemOutcome,
    WaveKind,
    WaveState,
    ItemState,
    Sequence,
    MailState,
    Part,
    Side,
    JobKind,
    JointKind,
    JointState,
    JobState,
    Step,
    RuleKind,
    TextSection,
    BugState,
    Severity,
    Component,
    FactKind,
    Changed,
    FileKind,
);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_the_general_way_does() {
        for micros in [
            0,
            1,
            1_767_225_600_000_000,
            4_102_444_799_999_999,
            -62_135_596_800_000_000,
            951_827_696_000_001,
        ] {
            let at = DateTime::from_timestamp_micros(micros).unwrap();
            let text = written(at);
            assert_eq!(text, at.format(FIXED_WIDTH).to_string());
            assert_eq!(read_fixed(text.as_bytes()), Some(at.naive_utc()));
            assert_eq!(read(&text), Ok(at.naive_utc()));
        }
        let far = DateTime::from_timestamp(300_000_000_000, 0).unwrap();
        assert_eq!(written(far), far.format(FIXED_WIDTH).to_string());
        for other in [
            "2026-01-01T00:00:00Z",
            "2026-1-1T00:00:00.000000Z",
            "2026-02-30T00:00:00.000000Z",
            "2026-01-01T00:00:60.000000Z",
            "2026-01-01T00:00:00.000000Zx",
            "",
        ] {
            assert_eq!(read_fixed(other.as_bytes()), None, "{other}");
            assert_eq!(
                read(other),
                NaiveDateTime::parse_from_str(other, FIXED_WIDTH),
                "{other}"
            );
        }
    }
}
