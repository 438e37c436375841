//! Several queries at once: on PostgreSQL the way to the server takes longer than what most are there for.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Nullable;
use diesel::{PgConnection, QueryResult, RunQueryDsl};

/// What these queries find, of each a [`Vec`]: `together!(conn, Disk: disks(id), (Job, String): jobs(id))`. None may ask what
/// another one found. PostgreSQL is sent one statement; SQLite, which is but a call away, one after the other. Each has to
/// select several columns, one of which is never null.
macro_rules! together {
    ($conn:expr, $($row:ty: $query:expr),+ $(,)?) => {
        match $conn {
            $crate::store::db::Db::Pg(pg) => {
                let rows: Vec<($(Option<$row>,)+)> =
                    $crate::store::together::Beside(($($query,)+)).load(pg)?;
                <($(Vec<$row>,)+) as $crate::store::together::Parts>::of(rows)
            }
            $crate::store::db::Db::Sqlite(lite) => ($($query.load::<$row>(lite)?,)+),
        }
    };
}
pub(in crate::store) use together;

/// The rows of several queries, those of each in its order, beside nulls for the others. No row matches one of another query:
/// such a join PostgreSQL makes by reading each side once.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Beside<T>(pub T);

/// The rows of [`Beside`], taken apart.
pub(in crate::store) trait Parts {
    type Row;
    fn of(rows: Vec<Self::Row>) -> Self;
}

impl<T: QueryId> QueryId for Beside<T> {
    type QueryId = Beside<T::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID;
}

impl<T> RunQueryDsl<PgConnection> for Beside<T> {}

macro_rules! beside {
    ($zeroth:ident, $($at:tt $of:ident),+) => {
        impl<$zeroth: Query, $($of: Query),+> Query for Beside<($zeroth, $($of),+)> {
            type SqlType = (Nullable<$zeroth::SqlType>, $(Nullable<$of::SqlType>),+);
        }

        impl<$zeroth: QueryFragment<Pg>, $($of: QueryFragment<Pg>),+> QueryFragment<Pg>
            for Beside<($zeroth, $($of),+)>
        {
            fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                pass.push_sql("SELECT * FROM (");
                self.0.0.walk_ast(pass.reborrow())?;
                pass.push_sql(") AS of0");
                $(
                    pass.push_sql(" FULL JOIN (");
                    self.0.$at.walk_ast(pass.reborrow())?;
                    pass.push_sql(concat!(") AS of", $at, " ON FALSE"));
                )+
                Ok(())
            }
        }

        impl<$zeroth, $($of),+> Parts for (Vec<$zeroth>, $(Vec<$of>),+) {
            type Row = (Option<$zeroth>, $(Option<$of>),+);

            fn of(rows: Vec<Self::Row>) -> Self {
                let mut parts = Self::default();
                for row in rows {
                    parts.0.extend(row.0);
                    $(parts.$at.extend(row.$at);)+
                }
                parts
            }
        }
    };
}

beside!(A, 1 B);
beside!(A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 G);
