//! How many rows a statement gives at most, said in its text.

use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, TypedExpressionType, ValidGrouping,
    is_aggregate,
};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId, SelectQuery};
use diesel::query_dsl::methods::LoadQuery;
use diesel::result::QueryResult;
use diesel::sql_types::IntoNullable;
use diesel::{OptionalExtension, RunQueryDsl};

/// A query with a limit behind it. Diesel's own `limit` binds the number, and SQLite, which plans by it, then compiles the
/// statement anew each time it is run: half of a page's time.
#[derive(Debug, Clone, Copy)]
pub struct AtMost<T, N>(T, N);

/// The first value that a query finds, or null, as a value within another one: as Diesel's `single_value`, whose limit is
/// bound, too.
#[derive(Debug, Clone, Copy)]
pub struct FirstOf<T>(AtMost<T, Const<1>>);

/// A number that is the same whenever the statement is run, which is then kept without looking at its text.
#[derive(Debug, Clone, Copy)]
pub struct Const<const N: i64>;

pub trait Count: 'static {
    const IS_CONST: bool;
    fn count(&self) -> i64;
}

impl<const N: i64> Count for Const<N> {
    const IS_CONST: bool = true;
    fn count(&self) -> i64 {
        N
    }
}

/// One of few: each makes a statement of its own.
impl Count for i64 {
    const IS_CONST: bool = false;
    fn count(&self) -> i64 {
        *self
    }
}

/// To be called last, after `select`.
pub trait Limit: Sized {
    fn at_most<const N: i64>(self) -> AtMost<Self, Const<N>>
    where
        Self: Query,
    {
        AtMost(self, Const)
    }

    /// For what takes as many as its caller wants.
    fn limited(self, most: i64) -> AtMost<Self, i64>
    where
        Self: Query,
    {
        AtMost(self, most)
    }

    /// The one row there is, or the first of them; none is no error.
    fn one<'query, Row, Conn>(self, conn: &mut Conn) -> QueryResult<Option<Row>>
    where
        Self: Query,
        AtMost<Self, Const<1>>: LoadQuery<'query, Conn, Row>,
    {
        self.at_most::<1>().get_result(conn).optional()
    }

    fn first_value(self) -> FirstOf<Self>
    where
        Self: SelectQuery,
    {
        FirstOf(AtMost(self, Const))
    }
}

impl<T> Limit for T {}

impl<DB: Backend, T: QueryFragment<DB>, N: Count> QueryFragment<DB> for AtMost<T, N> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(pass.reborrow())?;
        pass.push_sql(&format!(" LIMIT {}", self.1.count()));
        Ok(())
    }
}

impl<T: QueryId, N: Count> QueryId for AtMost<T, N> {
    type QueryId = AtMost<T::QueryId, N>;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID && N::IS_CONST;
}

impl<T: Query, N> Query for AtMost<T, N> {
    type SqlType = T::SqlType;
}

impl<T, N, Conn> RunQueryDsl<Conn> for AtMost<T, N> {}

impl<DB: Backend, T: QueryFragment<DB>> QueryFragment<DB> for FirstOf<T> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_sql("(");
        self.0.walk_ast(pass.reborrow())?;
        pass.push_sql(")");
        Ok(())
    }
}

impl<T: QueryId> QueryId for FirstOf<T> {
    type QueryId = FirstOf<T::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID;
}

impl<T> Expression for FirstOf<T>
where
    T: SelectQuery<SqlType: IntoNullable<Nullable: TypedExpressionType>>,
{
    type SqlType = <T::SqlType as IntoNullable>::Nullable;
}

impl<T, From> AppearsOnTable<From> for FirstOf<T> where Self: Expression {}
impl<T, From> SelectableExpression<From> for FirstOf<T> where Self: Expression {}
impl<T, By> ValidGrouping<By> for FirstOf<T> {
    type IsAggregate = is_aggregate::Never;
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;
    use diesel::query_builder::QueryId;
    use diesel::sqlite::Sqlite;

    use super::Limit;
    use crate::store::schema::{ips, linodes};

    #[test]
    fn a_limit_stands_in_the_text_and_is_not_bound() {
        let first = ips::table
            .filter(ips::linode_id.eq(linodes::id))
            .order(ips::id)
            .select(ips::address)
            .first_value();
        let page = linodes::table
            .select((linodes::label, first))
            .at_most::<51>();
        assert_eq!(
            diesel::debug_query::<Sqlite, _>(&page).to_string(),
            "SELECT `linodes`.`label`, (SELECT `ips`.`address` FROM `ips` WHERE (`ips`.`linode_id` = `linodes`.`id`) \
             ORDER BY `ips`.`id` LIMIT 1) FROM `linodes` LIMIT 51 -- binds: []"
        );
    }

    /// A statement that is kept without looking at its text must not be taken for one with another limit.
    #[test]
    fn each_limit_is_a_statement_of_its_own() {
        fn id<T: QueryId>(_: &T) -> Option<std::any::TypeId> {
            T::query_id()
        }
        let all = || linodes::table.select(linodes::label);
        let few = id(&all().at_most::<2>());
        assert!(few.is_some());
        assert_ne!(few, id(&all().at_most::<3>()));
        assert_ne!(few, id(&all()));
        assert_eq!(id(&all().limited(2)), None);
    }
}
