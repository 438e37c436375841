//! The schema goes up and down on both databases, and a schema from elsewhere is refused in words.

use diesel::connection::SimpleConnection;
use xenbeta::store;
use xenbeta::store::db::{Database, StoreError};

use crate::support::TestApp;

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
    let refused = Database::open(&app.url, 1).err().unwrap().to_string();
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
    let refused = Database::open(&app.url, 1).err().unwrap().to_string();
    assert!(refused.contains("newer xenbeta"), "{refused}");
}

crate::both_databases! {
    fn down_and_up_again(app: TestApp) { down_and_up(app) }
    fn a_newer_schema_is_refused(app: TestApp) { newer(app) }
}
