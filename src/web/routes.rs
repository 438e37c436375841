//! The whole surface on one screen.

use actix_web::web::{self, ServiceConfig};

use super::agent;

pub fn configure(config: &mut ServiceConfig) {
    config
        .route("/health", web::get().to(|| async { "ok\n" }))
        .configure(agent::configure);
}
