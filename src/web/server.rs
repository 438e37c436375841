//! Brings the HTTP server up: workers, limits, TLS.

use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::{Extensions, HttpService, Request, Response};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_tls::accept::max_concurrent_tls_connect;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::AppConfig;
use actix_web::middleware::{Compress, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App as Web, web};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::bounds::{Bounds, Guarded};
use super::public::assets;
use super::settings::Settings;
use super::{layer, routes};
use crate::app::App;
use crate::app::doors::Door;
use crate::config::{Config, Tls};
use crate::domain::network::Address;

/// How long the head of a request may take to arrive, and how long requests get when the portal stops.
const HEAD_TIME: Duration = Duration::from_secs(10);
const STOP_S: u64 = 5;
/// For a connection between two requests, and for its end.
const KEPT_FOR: Duration = Duration::from_secs(75);
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;
/// Long polls of agents are most of the connections; the unit has 65,536 descriptors.
const CONNECTIONS_PER_WORKER: usize = 10_000;
/// TLS handshakes at once, each given three seconds; beyond them nobody else is let in.
const HANDSHAKES_PER_WORKER: usize = 2_000;
/// Calls that block, at once: the database has far fewer connections, and each thread keeps what it once took.
const CALLS_PER_WORKER: usize = 32;

/// As `actix_web::HttpServer` does it, but for the first door: whoever has too many connections, or opens them too fast, is
/// let go before a byte is read.
fn listen(
    builder: ServerBuilder,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    (app, settings): (App, Settings),
) -> io::Result<Server> {
    let (app, settings) = (web::Data::new(app), web::Data::new(settings));
    let bounds = web::Data::new(Bounds::default());
    let stops = builder.graceful_shutdown_signal();
    let door = {
        let (app, settings, bounds) = (app.clone(), settings.clone(), bounds.clone());
        move |stream| ready(enter(stream, &app, &settings, &bounds).ok_or(()))
    };
    let routes = move || {
        let routes = Web::new()
            .app_data(app.clone())
            .app_data(settings.clone())
            .app_data(bounds.clone())
            .wrap(from_fn(layer::edge))
            // Outermost. Static files and event streams say how they are encoded and are left alone.
            .wrap(Compress::default())
            .configure(routes::configure)
            .into_factory()
            .map_err(|error| error.error_response());
        map_config(routes, |()| AppConfig::default())
    };
    let server = match tls {
        Some(tls) => builder.listen("portal", listener, move || {
            let secured = Acceptor::new(tls.clone()).map_err(drop);
            fn_service(door.clone())
                .and_then(secured)
                .and_then(http(routes(), stops.clone()))
        })?,
        None => builder.listen("portal", listener, move || {
            fn_service(door.clone()).and_then(http(routes(), stops.clone()))
        })?,
    };
    Ok(server.run())
}

/// HTTP on a connection that was let in.
fn http<T, S, B>(
    routes: S,
    stops: GracefulShutdownSignal,
) -> impl ServiceFactory<T, Config = (), Response = (), Error = (), InitError = ()>
where
    T: LetIn + AsyncRead + AsyncWrite + Unpin + 'static,
    S: ServiceFactory<Request, Config = ()> + 'static,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Future: 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let http = HttpService::build()
        .client_request_timeout(HEAD_TIME)
        .client_disconnect_timeout(GOODBYE_TIME)
        .keep_alive(KEPT_FOR)
        .graceful_shutdown_signal(move || {
            let stops = stops.clone();
            async move { stops.notified().await }
        })
        .on_connect_ext(|io: &T, of: &mut Extensions| {
            of.insert(Arc::clone(io.guarded().visit()));
        })
        .h1(routes);
    fn_service(|io: T| {
        let peer = io.guarded().peer();
        ready(Ok((io, peer)))
    })
    .and_then(http.map_err(drop))
}

/// What came through the first door.
trait LetIn {
    fn guarded(&self) -> &Guarded;
}

impl LetIn for Guarded {
    fn guarded(&self) -> &Guarded {
        self
    }
}

impl LetIn for TlsStream<Guarded> {
    fn guarded(&self) -> &Guarded {
        self.get_ref().0
    }
}

/// `None`: not now.
fn enter(stream: TcpStream, app: &App, settings: &Settings, bounds: &Bounds) -> Option<Guarded> {
    let peer = Address::of(stream.peer_addr().ok()?.ip());
    let near = (!peer.is_among(&settings.trusted_proxies)).then(|| peer.near());
    if let Some(near) = near {
        app.doors.knock(Door::Connect, &near.to_string()).ok()?;
    }
    let visit = bounds.connections.enter(near)?;
    Some(Guarded::new(stream, visit))
}

/// The same surface on a listener that is open already, plain, with one worker: for tests.
pub fn on(listener: TcpListener, app: App, settings: Settings) -> io::Result<Server> {
    let builder = Server::build()
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0);
    listen(builder, listener, None, (app, settings))
}

/// Serves until told to stop (SIGINT, SIGTERM).
pub fn serve(config: &Config, app: App) -> io::Result<()> {
    let settings = Settings {
        public_origin: config.base_url.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
    };
    tracing::debug!(css = assets::assets().css.url, "static files are packed");
    let tls = config.tls.as_ref().map(tls_config).transpose()?;
    max_concurrent_tls_connect(HANDSHAKES_PER_WORKER);
    let listener = TcpListener::bind(config.listen)
        .and_then(|listener| {
            rustix::net::listen(&listener, BACKLOG)?;
            Ok(listener)
        })
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on {}: {error}", config.listen),
            )
        })?;
    let address = listener.local_addr()?;
    let builder = Server::build()
        .workers(2)
        .max_concurrent_connections(CONNECTIONS_PER_WORKER)
        .worker_max_blocking_threads(CALLS_PER_WORKER)
        .shutdown_timeout(STOP_S);
    let system = actix_web::rt::System::new();
    system.block_on(async {
        let server = listen(builder, listener, tls, (app, settings))?;
        tracing::info!(%address, "serving");
        server.await
    })
}

/// HTTP/1.1 is all that is offered. Of HTTP/2 actix bounds neither the number of streams nor what their answers wait in, and
/// lets nobody else do so; one connection took all memory
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
    let mut config = ServerConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|error| bad(&tls.certificate, &error))?
    .with_no_client_auth()
    .with_single_cert(chain, key)
    .map_err(|error| bad(&tls.certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
