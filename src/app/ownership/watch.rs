//! The reconciler's look at the clock (rule 20 and the promise's windows): counts the seconds that portals watched, gives
//! leases time after a pause in which nobody could renew them, and notices a clock that jumped. While one stands, nothing
//! begins or ends because its time has come.

use std::time::Duration;

use crate::app::App;
use crate::app::context::{Actor, PORTAL, Tx};
use crate::app::error::Result;
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::time::watch::{self, Gap, Own};
use crate::store;
use crate::wire::LEASE_S;

/// Between two looks, in seconds: several in a lease.
const LOOK_S: i64 = 10;

/// An answer that took longer says little of the time: it is of some moment in between.
const SOON: Duration = Duration::from_secs(1);

impl App {
    /// Where the database has a server, its clock counts, for all portals alike: each of theirs may be wrong by another minute.
    pub fn keep_servers_time(&self) -> Result<()> {
        let asked = self.clock.monotonic();
        let said = self.db.read(store::host::silence::server_time)?;
        let took = self.clock.monotonic().saturating_sub(asked);
        if let Some(at) = said.filter(|_| took < SOON) {
            self.clock.put_right(at, took / 2);
        }
        Ok(())
    }

    /// Looks at the clock if it is time to; `true` if it can be trusted.
    pub(in crate::app) fn look_at_the_clock(&self) -> Result<bool> {
        let now = self.now();
        let at = (now, self.clock.monotonic());
        let seen = self.db.read(store::ownership::memory::get)?;
        let gap = Gap {
            since_any: seen.watched_at.map(|last| now.seconds_since(last)),
            own: self.watch.since(at),
        };
        let jump = gap.own.and_then(Own::jump);
        let is_recent = gap.since_any.is_some_and(|gap| (0..LOOK_S).contains(&gap));
        if is_recent && gap.own.is_some() && jump.is_none() {
            return Ok(seen.clock_jump_s.is_none());
        }
        // Each in a transaction of its own: others take jobs first, and this row last.
        if gap.is_pause(i64::from(LEASE_S)) {
            let until = now.plus_s(i64::from(LEASE_S));
            self.db.write(|conn| store::job::extend_all(conn, until))?;
        }
        if let Some(jump) = jump {
            self.transact_at(now, PORTAL, |tx| note_jump(tx, jump))?;
        }
        self.db.write(|conn| {
            store::ownership::memory::take_look(conn, seen.watched_at, now, gap.watched())
        })?;
        // Last: what could not be written down is found again by the next look.
        self.watch.set(at);
        self.is_clock_right()
    }

    /// No jump of the clock stands.
    pub(in crate::app) fn is_clock_right(&self) -> Result<bool> {
        Ok(self
            .db
            .read(store::ownership::memory::get)?
            .clock_jump_s
            .is_none())
    }

    /// Staff say that the clock is right as it is: what waited goes on.
    pub fn clock_is_right(&self, actor: &Actor) -> Result<()> {
        actor.require(Right::Hosts)?;
        self.transact(actor.who(), |tx| {
            let Some(jump) = store::ownership::memory::locked(tx.conn)?.clock_jump_s else {
                return Ok(());
            };
            store::ownership::memory::set_clock_jump(tx.conn, None)?;
            let before = format!("jumped by {jump} s");
            tx.audit(Action::Clock, Object::Portal, (&before, "right"))
        })
    }
}

fn note_jump(tx: &mut Tx<'_>, jump: i64) -> Result<()> {
    let before = store::ownership::memory::locked(tx.conn)?.clock_jump_s;
    let stands = watch::standing(before, jump);
    store::ownership::memory::set_clock_jump(tx.conn, stands.map(|seconds| (seconds, tx.now)))?;
    tracing::error!(jump, ?stands, "the clock jumped");
    let words = |stands: Option<i64>| match stands {
        Some(seconds) => format!("jumped by {seconds} s"),
        None => "right".to_owned(),
    };
    let (from, to) = (words(before), words(stands));
    tx.audit(Action::Clock, Object::Portal, (&from, &to))
}
