//! The long poll: reports are taken in at once, then the request waits for a job without holding a connection.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Call, hear, json, run, take};
use crate::wire::{Inventory, POLL_WAIT_S, Poll, PollAnswer, Reported, SHOWS_LEDGER, Samples};

/// How often a waiting poll looks without being woken: for jobs whose time comes, and for a lost wake.
const LOOK: Duration = Duration::from_secs(5);

pub(in crate::web) async fn poll(call: Call) -> Answer<PollAnswer> {
    let (app, agent, poll): (_, _, Poll) = hear(call).await?;
    let until = Instant::now() + Duration::from_secs(u64::from(poll.wait_s.min(POLL_WAIT_S)));
    let wants_work = poll.free_slots > 0;
    let (shares, knows_life) = {
        let (app, agent) = (app.clone(), agent.clone());
        run(move || {
            let life = app.mark()?.incarnation;
            let knows_life = poll.protocol < SHOWS_LEDGER
                || poll.seen.as_ref().is_some_and(|it| it.incarnation == life);
            Ok((app.note_poll(&agent, &poll)?, knows_life))
        })
        .await?
    };
    // An agent that does not know of the portal's newest life is told at once: recoveries wait for it.
    let until = if knows_life { until } else { Instant::now() };
    let host = app.db.hub.host(agent.host);
    let mut answer = PollAnswer {
        portal: None,
        order: None,
        cap_mb_s: None,
        shares,
    };
    loop {
        let woken = host.notified();
        tokio::pin!(woken);
        // Listening before looking: what is enqueued in between is not missed.
        woken.as_mut().enable();
        if wants_work {
            let (app, agent) = (app.clone(), agent.clone());
            answer.order = run(move || app.claim(&agent)).await?;
        }
        let now = Instant::now();
        if answer.order.is_some() || !answer.shares.is_empty() || now >= until {
            let app = app.clone();
            // After the order was claimed, so never less than what it is made from.
            let (mark, cap_mb_s) = run(move || Ok((app.mark()?, app.cap_mb_s(&agent)?))).await?;
            answer.portal = Some(mark);
            answer.cap_mb_s = cap_mb_s;
            return Ok(json(answer));
        }
        // Running out of time is no error: it looks again.
        let _woken_or_not = timeout_at(until.min(now + LOOK), woken).await;
    }
}

/// What the host has now, from an agent whose poll is still open.
pub(in crate::web) async fn report(call: Call) -> Answer<Reported> {
    take(call, |app, agent, inventory: &Inventory| {
        app.note_report(agent, inventory)
    })
    .await
    .map(json)
}

/// What the host's guests used.
pub(in crate::web) async fn samples(call: Call) -> Answer<Reported> {
    let shares = take(call, |app, agent, samples: &Samples| {
        app.note_samples(agent, samples)
    })
    .await?;
    Ok(json(Reported {
        shares,
        ..Reported::default()
    }))
}
