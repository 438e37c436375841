//! What people and programs may take of the portal, all of them together: bytes of bodies that are being read, live streams,
//! connections. What one request may take stands with what reads it.

mod budget;
mod connections;
mod guarded;
mod streams;
mod turns;

use std::sync::Arc;

use actix_web::{HttpRequest, web};

pub use budget::{Budget, Share, Whose};
pub use connections::{Busy, Connections, Listening, Visit};
pub use guarded::Guarded;
pub use streams::{Place, Streams};
pub use turns::{Turn, Turns};

/// One for all workers of a portal.
pub struct Bounds {
    pub connections: Arc<Connections>,
    /// Forms, and what a host enrols with: whoever sends them is not known.
    pub forms: Arc<Budget>,
    /// Of agents whose credential was good.
    pub agents: Arc<Budget>,
    /// Files of people who are signed in.
    pub uploads: Arc<Budget>,
    pub turns: Arc<Turns>,
    pub streams: Arc<Streams>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: Arc::default(),
            forms: Budget::new(8 * 1024 * 1024),
            agents: Budget::new(24 * 1024 * 1024),
            uploads: Budget::new(32 * 1024 * 1024),
            turns: Arc::default(),
            streams: Arc::default(),
        }
    }
}

/// For as long as the body of somebody unknown is read.
pub fn listens(request: &HttpRequest) -> Option<Listening> {
    request.conn_data::<Arc<Visit>>().map(Visit::listens)
}

impl Bounds {
    pub fn of(request: &HttpRequest) -> web::Data<Self> {
        let here = request.app_data::<web::Data<Self>>().cloned();
        here.unwrap_or_default()
    }
}
