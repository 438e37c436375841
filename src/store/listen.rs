//! PostgreSQL's LISTEN on a connection of its own, which must not go through a transaction pooler.

use diesel::{Connection, PgConnection, RunQueryDsl};

use super::db::StoreError;
use super::wake::{CHANNEL, Wake};

pub struct Listener(PgConnection);

impl Listener {
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        let mut conn =
            PgConnection::establish(url).map_err(|error| StoreError::Connect(error.to_string()))?;
        diesel::sql_query(format!("LISTEN {CHANNEL}")).execute(&mut conn)?;
        Ok(Self(conn))
    }

    /// What has been told since the last call; does not wait.
    pub fn drain(&mut self) -> Result<Vec<Wake>, StoreError> {
        let mut wakes = Vec::new();
        for notification in self.0.notifications_iter() {
            wakes.extend(Wake::from_payload(&notification?.payload));
        }
        Ok(wakes)
    }
}
