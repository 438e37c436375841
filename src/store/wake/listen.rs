//! PostgreSQL's LISTEN on a connection of its own, which must not go through a transaction pooler.

use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection, RunQueryDsl};

use super::{CHANNEL, Wake};
use crate::store::connect::{patient, takes_writes};
use crate::store::error::{Result, StoreError};

/// A connection that only listens would never notice that its server is gone, frozen or a standby now, and a proxy takes
/// it for dead: it asks something this often.
const PULSE: Duration = Duration::from_secs(2);

pub struct Listener {
    conn: PgConnection,
    asked: Instant,
}

impl Listener {
    pub fn connect(url: &str) -> Result<Self> {
        let mut conn = PgConnection::establish(&patient(url, true))
            .map_err(|error| StoreError::Connect(error.to_string()))?;
        diesel::sql_query(format!("LISTEN {CHANNEL}")).execute(&mut conn)?;
        Ok(Self {
            conn,
            asked: Instant::now(),
        })
    }

    /// What has been told since the last call; does not wait.
    pub fn drain(&mut self) -> Result<Vec<Wake>> {
        if self.asked.elapsed() > PULSE {
            takes_writes(&mut self.conn)?;
            self.asked = Instant::now();
        }
        let mut wakes = Vec::new();
        for notification in self.conn.notifications_iter() {
            wakes.extend(Wake::from_payload(&notification?.payload));
        }
        Ok(wakes)
    }
}
