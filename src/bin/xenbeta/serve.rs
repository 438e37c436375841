//! `xenbeta serve`.

use xenbeta::config::Config;
use xenbeta::web::server;
use xenbeta::work;
use xenbeta::work::stop::Stop;

use super::Failure;

pub fn run(config: &Config) -> Result<(), Failure> {
    xenbeta::log::to_stderr(config.log);
    let _lock = config.lock_database()?;
    config.close_database()?;
    let app = config.app(config.secret()?)?;
    // Before the first agent is answered.
    app.look_at_database()?;
    app.ready_receipt_key()?;
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
