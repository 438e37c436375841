//! The schema goes up and down on both databases, and a schema from elsewhere is refused in words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Bool, Text};
use diesel::{QueryableByName, RunQueryDsl};
use xenbeta::store;
use xenbeta::store::db::Database;
use xenbeta::store::error::StoreError;

use crate::support::{On, TestApp};

fn down_and_up(app: TestApp) {
    let database = Database::open_any_schema(&app.url, 1).unwrap();
    let all = store::schema_migrations::state(&database).unwrap();
    assert!(all.pending().is_empty() && all.unknown().is_empty());
    for _ in &all.applied {
        store::schema_migrations::down(&database).unwrap();
    }
    assert_eq!(
        store::schema_migrations::state(&database).unwrap().applied,
        Vec::<String>::new()
    );
    assert!(has_no_table(&database), "down leaves nothing behind");
    let refused = xenbeta::store::schema_migrations::open(&app.url, 1)
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("xenbeta schema up"), "{refused}");
    assert_eq!(
        store::schema_migrations::up(&database).unwrap(),
        all.known.len()
    );
    assert_eq!(store::schema_migrations::up(&database).unwrap(), 0);
    // And it is the same schema: the fleet goes in.
    app.with_fleet();
}

fn has_no_table(database: &Database) -> bool {
    database
        .read(|conn| {
            Ok::<_, StoreError>(conn.batch_execute("SELECT count(*) FROM linodes").is_err())
        })
        .unwrap()
}

fn newer(app: TestApp) {
    app.db
        .write(|conn| {
            conn.batch_execute(
                "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')",
            )?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let refused = xenbeta::store::schema_migrations::open(&app.url, 1)
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("newer xenbeta"), "{refused}");
}

crate::both_databases! {
    fn down_and_up_again(app: TestApp) { down_and_up(app) }
    fn a_newer_schema_is_refused(app: TestApp) { newer(app) }
}

/// `src/store/schema.rs`, from what PostgreSQL says of its tables after every schema migration. `SCHEMA=write` writes it.
#[test]
fn schema_rs_is_generated() {
    let app = TestApp::new(On::Postgresql);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/schema.rs");
    let made = generated(&app, &std::fs::read_to_string(&path).unwrap());
    if std::env::var("SCHEMA").is_ok_and(|it| it == "write") {
        std::fs::write(&path, &made).unwrap();
    }
    let has = std::fs::read_to_string(&path).unwrap();
    let differs = words(&has)
        .into_iter()
        .zip(words(&made))
        .find(|(has, made)| has != made);
    let same = differs.is_none() && words(&has).len() == words(&made).len();
    assert!(
        same,
        "{differs:?}: SCHEMA=write cargo test --test portal schema_rs, then cargo fmt"
    );
}

/// Both databases have the same columns, and the same of them may be empty.
#[test]
fn both_databases_have_the_same_columns() {
    let (one, other) = (TestApp::new(On::Sqlite), TestApp::new(On::Postgresql));
    let (one, other) = (columns(&one, OF_SQLITE), columns(&other, OF_POSTGRESQL));
    let differ: Vec<_> = one.symmetric_difference(&other).collect();
    assert!(differ.is_empty(), "{differ:?}");
}

/// As rustfmt may break lines elsewhere, and adds commas.
fn words(text: &str) -> Vec<&str> {
    let code = text.lines().filter(|line| !line.starts_with("//!"));
    code.flat_map(|line| line.split(|c: char| c.is_whitespace() || ",()".contains(c)))
        .filter(|word| !word.is_empty())
        .collect()
}

#[derive(Debug, PartialEq, QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
}

const OF_POSTGRESQL: &str = "SELECT c.table_name AS table, c.column_name AS name, c.data_type AS kind, c.is_nullable = 'YES' AS nullable \
    FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
    WHERE table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND data_type <> 'tsvector' \
    ORDER BY c.table_name COLLATE \"C\", c.ordinal_position";
const OF_SQLITE: &str = "SELECT t.name AS \"table\", c.name AS name, c.type AS kind, c.\"notnull\" = 0 AND c.pk = 0 AS nullable \
    FROM sqlite_schema t, pragma_table_xinfo(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid";

/// Without what full-text search keeps, each database in its own way (`store::search`).
fn rows(app: &TestApp, sql: &str) -> Vec<Column> {
    app.in_db(|conn| Ok::<_, StoreError>(diesel::sql_query(sql).load(conn)?))
        .into_iter()
        .filter(|it: &Column| {
            !it.table.starts_with("__diesel")
                && !it.table.starts_with("sqlite_")
                && !it.table.starts_with("bug_words")
                && !it.table.starts_with("faq_words")
                && !it.table.starts_with("name_parts")
        })
        .collect()
}

fn columns(app: &TestApp, sql: &str) -> BTreeSet<(String, String, bool)> {
    rows(app, sql)
        .into_iter()
        .map(|it| (it.table, it.name, it.nullable))
        .collect()
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    child: String,
    #[diesel(sql_type = Text)]
    name: String,
}

const PRIMARY: &str = "SELECT k.conrelid::regclass::text AS child, a.attname::text AS name \
    FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS u(num, at) \
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num \
    WHERE k.contype = 'p' AND k.connamespace = current_schema()::regnamespace ORDER BY 1, u.at";

fn generated(app: &TestApp, has: &str) -> String {
    let primary: Vec<Key> =
        app.in_db(|conn| Ok::<_, StoreError>(diesel::sql_query(PRIMARY).load(conn)?));
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for column in rows(app, OF_POSTGRESQL) {
        tables.entry(column.table.clone()).or_default().push(column);
    }
    let mut text = String::from(
        "//! The tables, as Diesel knows them; `migrations/` has what the databases enforce. Generated: `tests/portal/store/schema.rs` says how.\n\n\
         #![allow(clippy::wildcard_imports, reason = \"what diesel's table! macro expands to\")]\n",
    );
    for (table, columns) in &tables {
        let key: Vec<&str> = primary
            .iter()
            .filter(|it| it.child == *table)
            .map(|it| it.name.as_str())
            .collect();
        text += "\ndiesel::table! {\n";
        if columns.iter().any(|it| it.kind.starts_with("timestamp")) {
            text += "    use diesel::sql_types::*;\n    use crate::store::types::Utc;\n\n";
        }
        text += &format!("    {table} ({}) {{\n", key.join(", "));
        for column in columns {
            let kind = match column.kind.as_str() {
                "bigint" => "BigInt",
                "integer" => "Integer",
                "text" => "Text",
                "boolean" => "Bool",
                "bytea" => "Binary",
                "timestamp with time zone" => "Utc",
                other => panic!(
                    "{table}.{}: say here what {other} is for Diesel",
                    column.name
                ),
            };
            let kind = if column.nullable {
                format!("Nullable<{kind}>")
            } else {
                kind.into()
            };
            text += &format!("        {} -> {kind},\n", column.name);
        }
        text += "    }\n}\n";
    }
    // By which reference two tables are joined is chosen by hand, and stays.
    let (_, joins) = has.split_once("\ndiesel::joinable!").unwrap();
    let (joins, _) = joins.split_once("diesel::allow_tables").unwrap();
    let names: Vec<String> = tables
        .keys()
        .map(|table| format!("    {table},\n"))
        .collect();
    text + "\ndiesel::joinable!"
        + joins
        + "diesel::allow_tables_to_appear_in_same_query!(\n"
        + &names.concat()
        + ");\n"
}
