//! For operators: is it alive, can it work, and figures for Prometheus.

use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::extract::Client;
use super::fault::{Fault, Response};
use super::portal::{self, Portal};
use crate::app::host::liveness::is_silent;
use crate::domain::registration::RegistrationState;
use crate::store;
use crate::store::pulse::{Next, Unwell};

/// `GET /health`: the program answers. Asks nothing of anyone else.
pub async fn health() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// How long a load balancer waits at most.
const READY: Duration = Duration::from_secs(2);

/// `GET /ready`: the database takes writes. The word of what is wrong is for whoever looks why a balancer left this portal
/// out.
pub async fn ready(portal: Portal) -> HttpResponse {
    match writable(&portal, Instant::now()).await {
        Ok(()) => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body("ready\n"),
        Err(unwell) => {
            tracing::warn!(%unwell, "not ready");
            HttpResponse::ServiceUnavailable()
                .content_type("application/json")
                .body(format!("{{\"error\":\"{unwell}\"}}"))
        }
    }
}

async fn writable(portal: &Portal, begun: Instant) -> Result<(), Unwell> {
    while begun.elapsed() < READY {
        match portal.db.pulse.next() {
            Next::Known(answer) => return answer,
            Next::Asked(since) if since > READY => return Err(Unwell::Slow),
            Next::Asked(_) => {}
            Next::Ask => {
                let app = portal.clone();
                // It outlives this request if the database stands still; nobody asks anew until it ends.
                let _asking = web::block(move || app.db.pulse.note(app.db.try_write()));
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Unwell::Slow)
}

type Counts = Family<[(&'static str, String); 1], Gauge>;

fn by_state<S: ToString>(rows: Vec<(S, i64)>) -> Counts {
    let counts = Counts::default();
    for (state, count) in rows {
        let state = [("state", state.to_string())];
        counts.get_or_create(&state).set(count);
    }
    counts
}

/// `GET /metrics`, for scrapers on this machine only: put a proxy's rule before it to open it further.
pub async fn metrics(portal: Portal, client: Client, request: HttpRequest) -> Response {
    // Behind a proxy on this machine everyone would look local.
    let is_forwarded = ["x-forwarded-for", "forwarded", "via"]
        .iter()
        .any(|name| request.headers().contains_key(*name));
    if is_forwarded || !client.address.is_loopback() {
        return Err(Fault::NotFound);
    }
    let now = portal.now();
    let (migrations, jobs, waiting, hosts) = portal::read(&portal, |conn| {
        Ok((
            store::migration::counts(conn)?,
            store::job::counts(conn)?,
            store::registration::count(conn, RegistrationState::Requested)?,
            store::host::all(conn)?,
        ))
    })
    .await?;
    let silent = hosts.iter().filter(|host| is_silent(host, now)).count();
    let mut registry = Registry::with_prefix("xenbeta");
    registry.register("migrations", "Migrations by state", by_state(migrations));
    registry.register("jobs", "Jobs by state", by_state(jobs));
    let mut gauge = |name, help, value| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    let waiting_help = "Registrations waiting for review";
    gauge("registrations_waiting", waiting_help, waiting);
    let count = |of: usize| i64::try_from(of).unwrap_or(i64::MAX);
    gauge(
        "password_links_unsent",
        "Links for a new password that were asked for since this process began and not sent: nobody has the address, or too many were asked for",
        i64::try_from(portal.doors.unsent()).unwrap_or(i64::MAX),
    );
    gauge("hosts", "Hosts known", count(hosts.len()));
    gauge(
        "hosts_silent",
        "Hosts, enabled or draining, that were heard of once and are silent now",
        count(silent),
    );
    let mut text = String::new();
    encode(&mut text, &registry).map_err(Fault::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ))
        .body(text))
}
