//! Loops that run without a request: the reconciler, the mailer, batches of registrations, waves, the roll-up of usage, PostgreSQL's notifications. Each is a thread that
//! ends when it is told to; each only calls into `app`.

pub mod batches;
pub mod mailer;
pub mod notifications;
pub mod reconciler;
pub mod stop;
pub mod usage;
pub mod waves;

use std::thread::JoinHandle;

use crate::app::App;
use crate::mail::Transport;
use crate::work::stop::Stop;

/// A named thread for a loop.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Starts every loop the portal needs.
pub fn start(
    app: &App,
    mail: Option<Box<dyn Transport>>,
    mail_domain: String,
    stop: &Stop,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut loops = Vec::new();
    let (its_app, its_stop) = (app.clone(), stop.clone());
    loops.push(spawn("reconciler", move || {
        reconciler::run(&its_app, &its_stop)
    })?);
    let (its_app, its_stop) = (app.clone(), stop.clone());
    loops.push(spawn("notifications", move || {
        notifications::run(&its_app.db, &its_stop)
    })?);
    let (its_app, its_stop) = (app.clone(), stop.clone());
    loops.push(spawn("usage", move || usage::run(&its_app, &its_stop))?);
    let (its_app, its_stop) = (app.clone(), stop.clone());
    loops.push(spawn("batches", move || batches::run(&its_app, &its_stop))?);
    let (its_app, its_stop) = (app.clone(), stop.clone());
    loops.push(spawn("waves", move || waves::run(&its_app, &its_stop))?);
    if let Some(transport) = mail {
        let (its_app, its_stop) = (app.clone(), stop.clone());
        loops.push(spawn("mailer", move || {
            mailer::run(&its_app, transport.as_ref(), &mail_domain, &its_stop)
        })?);
    } else {
        tracing::warn!("no mail transport is configured: mail stays in the outbox");
    }
    Ok(loops)
}
