//! `xenbeta serve`.

use std::io::IsTerminal;

use xenbeta::config::Config;
use xenbeta::web::server;
use xenbeta::work;
use xenbeta::work::stop::Stop;

use super::Failure;

pub fn run(config: &Config) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let _lock = config.lock_database()?;
    config.close_database()?;
    let app = config.app(config.secret()?)?;
    // Before the first agent is answered.
    app.look_at_database()?;
    let mail = config.mail_transport()?;
    let stop = Stop::default();
    let loops = work::start(&app, mail, config.mail_domain(), &stop)?;
    let served = server::serve(config, app);
    stop.ask();
    for handle in loops {
        // A loop that panicked has said so; the others still end in order.
        let _ended = handle.join();
    }
    Ok(served?)
}
