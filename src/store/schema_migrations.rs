//! Schema migrations: up, state, and the refusal of a schema newer than the program.

use diesel::migration::{Migration, MigrationSource};
use diesel_migrations::MigrationHarness;

use super::connect::Purpose;
use super::db::{Database, Db, POSTGRESQL, SQLITE, run_migrations};
use super::error::{Result, StoreError};

/// Opens the database and checks that its schema is the one this program was built for.
pub fn open(url: &str, connections: u32) -> Result<Database> {
    let database = Database::open_for(url, connections, Purpose::Requests)?;
    check(&database)?;
    Ok(database)
}

/// What the database has against what the program knows.
pub struct SchemaState {
    pub applied: Vec<String>,
    pub known: Vec<String>,
}

impl SchemaState {
    pub fn pending(&self) -> Vec<String> {
        self.known
            .iter()
            .filter(|version| !self.applied.contains(version))
            .cloned()
            .collect()
    }

    pub fn unknown(&self) -> Vec<String> {
        self.applied
            .iter()
            .filter(|version| !self.known.contains(version))
            .cloned()
            .collect()
    }
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> StoreError {
    StoreError::Schema(error.to_string())
}

#[allow(clippy::type_complexity, reason = "what MigrationSource gives")]
fn known<DB: diesel::backend::Backend>(
    migrations: Result<Vec<Box<dyn Migration<DB>>>, Box<dyn std::error::Error + Send + Sync>>,
) -> Result<Vec<String>> {
    let mut versions: Vec<String> = migrations
        .map_err(|error| failed(error.as_ref()))?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    versions.sort();
    Ok(versions)
}

pub fn state(database: &Database) -> Result<SchemaState> {
    database.read(|conn| {
        let (applied, known) = match conn {
            Db::Pg(pg) => (
                pg.applied_migrations(),
                known::<diesel::pg::Pg>(POSTGRESQL.migrations())?,
            ),
            Db::Sqlite(lite) => (
                lite.applied_migrations(),
                known::<diesel::sqlite::Sqlite>(SQLITE.migrations())?,
            ),
        };
        let mut applied: Vec<String> = applied
            .map_err(|error| failed(error.as_ref()))?
            .iter()
            .map(ToString::to_string)
            .collect();
        applied.sort();
        Ok(SchemaState { applied, known })
    })
}

/// Refuses a database that this program would not understand.
pub(super) fn check(database: &Database) -> Result<()> {
    let state = state(database)?;
    if !state.unknown().is_empty() {
        return Err(StoreError::Schema(format!(
            "the database has schema migrations this program does not know ({}): it was upgraded by a newer xenbeta. Run that version, or restore a backup.",
            state.unknown().join(", ")
        )));
    }
    if !state.pending().is_empty() {
        return Err(StoreError::Schema(
            "the database's schema is older than this program: run `xenbeta schema up`".to_owned(),
        ));
    }
    Ok(())
}

/// Brings the schema up to date; says how many schema migrations were run.
pub fn up(database: &Database) -> Result<usize> {
    let state = state(database)?;
    if !state.unknown().is_empty() {
        return check(database).map(|()| 0);
    }
    let run = database.read(run_migrations)?;
    // What is found by its name, and was there before the index of names.
    database.write(super::name_index::fill)?;
    Ok(run)
}

/// Takes the newest schema migration back.
pub fn down(database: &Database) -> Result<String> {
    database.read(|conn| {
        let reverted = match conn {
            Db::Pg(pg) => pg.revert_last_migration(POSTGRESQL),
            Db::Sqlite(lite) => lite.revert_last_migration(SQLITE),
        };
        reverted
            .map(|version| version.to_string())
            .map_err(|error| failed(error.as_ref()))
    })
}
