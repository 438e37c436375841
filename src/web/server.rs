//! Brings the HTTP server up: workers, limits, TLS.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App as Web, HttpServer, web};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::bounds::Bounds;
use super::public::assets;
use super::settings::Settings;
use super::{layer, routes};
use crate::app::App;
use crate::config::{Config, Tls};

/// How long the head of a request may take to arrive, and how long requests get when the portal stops.
const HEAD_TIME: Duration = Duration::from_secs(10);
const STOP_S: u64 = 5;
/// Long polls of agents are most of the connections; each has two descriptors of the unit's 65,536.
const CONNECTIONS_PER_WORKER: usize = 10_000;
/// TLS handshakes at once, each given three seconds; beyond them nobody else is let in.
const HANDSHAKES_PER_WORKER: usize = 2_000;
/// Calls that block, at once: the database has far fewer connections, and each thread keeps what it once took.
const CALLS_PER_WORKER: usize = 32;

/// A server with all layers around all routes. A macro, as the type of an application has no name.
macro_rules! surface {
    ($app:expr, $settings:expr) => {{
        let (app, settings) = (web::Data::new($app), web::Data::new($settings));
        let bounds = web::Data::new(Bounds::default());
        let (connections, proxies) = (bounds.connections.clone(), settings.trusted_proxies.clone());
        let surface = move || {
            Web::new()
                .app_data(app.clone())
                .app_data(settings.clone())
                .app_data(bounds.clone())
                .wrap(from_fn(layer::edge))
                // Outermost. Static files and event streams say how they are encoded and are left alone.
                .wrap(Compress::default())
                .configure(routes::configure)
        };
        HttpServer::new(surface).on_connect(move |io, of| {
            if let Some(visit) = connections.enter(io, &proxies) {
                of.insert(visit);
            }
        })
    }};
}

/// The same surface on a listener that is open already, plain, with one worker: for tests.
pub fn on(listener: TcpListener, app: App, settings: Settings) -> io::Result<Server> {
    let server = surface!(app, settings)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)?;
    Ok(server.run())
}

/// Serves until told to stop (SIGINT, SIGTERM).
pub fn serve(config: &Config, app: App) -> io::Result<()> {
    let settings = Settings {
        public_origin: config.base_url.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
    };
    tracing::debug!(css = assets::assets().css.url, "static files are packed");
    let server = surface!(app, settings)
        .workers(2)
        .max_connections(CONNECTIONS_PER_WORKER)
        .max_connection_rate(HANDSHAKES_PER_WORKER)
        .worker_max_blocking_threads(CALLS_PER_WORKER)
        .client_request_timeout(HEAD_TIME)
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(STOP_S);
    let server = match &config.tls {
        Some(tls) => server.bind_rustls_0_23(config.listen, tls_config(tls)?),
        None => server.bind(config.listen),
    }
    .map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen on {}: {error}", config.listen),
        )
    })?;
    for address in server.addrs() {
        tracing::info!(%address, "serving");
    }
    actix_web::rt::System::new().block_on(server.run())
}

/// HTTP/1.1 is all that is offered: actix adds the names of what it can speak. Of HTTP/2 it bounds neither the number of
/// streams nor what their answers wait in, and lets nobody else do so; one connection took all memory
/// (`a_client_that_wants_http_2_gets_http_1`).
fn tls_config(tls: &Tls) -> io::Result<ServerConfig> {
    let bad = |what: &std::path::Path, error: &dyn std::fmt::Display| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{}: {error}", what.display()),
        )
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad(&tls.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| bad(&tls.key, &error))?;
    ServerConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|error| bad(&tls.certificate, &error))?
    .with_no_client_auth()
    .with_single_cert(chain, key)
    .map_err(|error| bad(&tls.certificate, &error))
}
