//! The checks of a move: each is asked once at home, before anything is copied, and after the move until each that answered at
//! home has answered, or its time is over. Then the Linode goes home by itself, if its member said so, or its member is told.

use super::event_details::EventDetails;
use super::guard::{closed_to_members, no_way_back};
use crate::app::context::Tx;
use crate::app::error::{AppError, Result};
use crate::app::linode::check::{answer_to, askable, note};
use crate::app::mail::kinds::LinodeMail;
use crate::app::ownership::change::is_current;
use crate::domain::ids::MigrationId;
use crate::domain::job::JobKind;
use crate::domain::linode::check::{CheckState, Verdict, again_s, kept, verdict};
use crate::domain::migration::{Event, MigrationKind, MigrationState};
use crate::domain::text::{CONSOLE_LINES, last_lines};
use crate::mail::AfterCheck;
use crate::store;
use crate::store::db::wake_on_commit;
use crate::store::job::{Again, Job, NewJob};
use crate::store::migration::Migration;
use crate::store::migration::check::{CheckRun, CheckedRow, RunChange};
use crate::store::wake::Wake;
use crate::wire::{ASKS_CHECKS, CheckAnswer};

/// Of a console's end, for the mail and the page.
const CONSOLE_MOST: usize = 4000;

const OLD_AGENT: &str = "The agent of its host is of an older release, and asks no checks.";

/// What the source found before anything is copied.
pub(in crate::app) fn found_at_home(
    tx: &mut Tx<'_>,
    row: &Migration,
    answers: &[CheckAnswer],
) -> Result<()> {
    if row.kind == MigrationKind::Return {
        return Ok(());
    }
    let mut plan = store::linode::check::plan(tx.conn, row.linode_id)?;
    // Where staff empty a host it does not go back.
    plan.goes_home &= row.kind != MigrationKind::Evacuation;
    let mut rows = Vec::new();
    for (position, check) in (1..).zip(&askable(tx.conn, row.linode_id)?) {
        let (ok, said) = answer_to(answers, check).unwrap_or((None, OLD_AGENT.to_owned()));
        rows.push(CheckedRow::new(row.id, (position, check), (ok, &said)));
    }
    store::migration::check::begin(tx.conn, &CheckRun::new(row.id, plan), &rows)?;
    note(tx, row.linode_id, answers)?;
    for (ok, what) in [(Some(false), "failed"), (None, "could not be asked")] {
        let count = rows.iter().filter(|it| it.home_ok == ok).count();
        if count > 0 {
            let line = format!(
                "{count} of {} checks {what} before the move: not demanded after it.",
                rows.len()
            );
            tx.log(row, &line)?;
        }
    }
    Ok(())
}

/// It is at its destination: from now on its checks are asked there.
pub(super) fn begin(tx: &mut Tx<'_>, id: MigrationId) -> Result<()> {
    let run = store::migration::check::run(tx.conn, id)?;
    if run.is_none_or(|run| run.state != CheckState::Waiting) {
        return Ok(());
    }
    let row = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
    let answers = store::migration::check::answers(tx.conn, id)?;
    if !row.was_running {
        return not_asked(tx, &row, "It was off, so its checks were not asked.");
    }
    if answers.iter().all(|it| it.home_ok == Some(false)) {
        let why = "No check passed before the move, so none is demanded after it.";
        return not_asked(tx, &row, why);
    }
    if answers.iter().all(|it| it.home_ok != Some(true)) {
        return could_not(
            tx,
            &row,
            "No check that passed could be asked before the move.",
        );
    }
    if !store::host::speaks(tx.conn, row.destination_host_id, ASKS_CHECKS)? {
        return could_not(tx, &row, OLD_AGENT);
    }
    let linode = store::linode::linode(tx.conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    let asking = RunChange {
        state: Some(CheckState::Asking),
        ..RunChange::default()
    };
    store::migration::check::change(tx.conn, id, &asking)?;
    let job = NewJob {
        migration_id: Some(id),
        ..NewJob::own(&linode, JobKind::Check, tx.now, None)
    };
    store::job::enqueue(tx.conn, &job)?;
    tx.log(&row, "Its checks are asked now.")
}

/// It leaves the state in which it is asked: whoever ended that does not wait for the checks.
pub(super) fn end(tx: &mut Tx<'_>, id: MigrationId) -> Result<()> {
    let why = "The move was confirmed, taken back or lost before they had passed.";
    no_more(tx, id, why)
}

/// The way back is over, however: what was to be at its end is no more.
pub(super) fn is_over(tx: &mut Tx<'_>, id: MigrationId) -> Result<()> {
    let change = RunChange {
        comes_up: Some(false),
        ..RunChange::default()
    };
    Ok(store::migration::check::change(tx.conn, id, &change)?)
}

fn no_more(tx: &mut Tx<'_>, id: MigrationId, why: &str) -> Result<()> {
    let run = store::migration::check::run(tx.conn, id)?;
    if run.is_some_and(|run| run.state == CheckState::Asking) {
        store::migration::check::change(tx.conn, id, &without(why))?;
    }
    Ok(())
}

fn without(why: &str) -> RunChange {
    RunChange {
        state: Some(CheckState::NotAsked),
        why: Some(why.to_owned()),
        ..RunChange::default()
    }
}

/// Of a Linode whose moves these are: does somebody wait for it to answer, or is it to run at home?
pub(in crate::app) fn is_awaited(tx: &mut Tx<'_>, moves: &[Migration]) -> Result<bool> {
    for row in moves {
        let run = store::migration::check::run(tx.conn, row.id)?;
        if run.is_some_and(|run| run.state == CheckState::Asking || run.comes_up) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Its member shuts it down: that it does not answer then is no failure, and at home it is to be off, too. `moves`: the
/// Linode's, locked.
pub(in crate::app) fn shut_down(tx: &mut Tx<'_>, moves: &[Migration]) -> Result<()> {
    for row in moves {
        no_more(tx, row.id, "It was shut down before they had passed.")?;
        is_over(tx, row.id)?;
    }
    Ok(())
}

/// Is it to run at the end of this way back, whatever became of it where it was? `None`: as it is found.
pub(in crate::app) fn comes_up(tx: &mut Tx<'_>, back: &Migration) -> Result<Option<bool>> {
    let Some(parent) = back.parent_id else {
        return Ok(None);
    };
    let run = store::migration::check::run(tx.conn, parent)?;
    Ok(run.filter(|run| run.comes_up).map(|_| true))
}

fn not_asked(tx: &mut Tx<'_>, row: &Migration, why: &str) -> Result<()> {
    store::migration::check::change(tx.conn, row.id, &without(why))?;
    tx.log(row, why)
}

/// The move whose question this job is, if its answer is still waited for.
fn asked_for(tx: &mut Tx<'_>, job: &Job) -> Result<Option<(Migration, CheckRun)>> {
    let Some(id) = job.migration_id.filter(|_| job.kind == JobKind::Check) else {
        return Ok(None);
    };
    let row = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
    let run = store::migration::check::run(tx.conn, id)?;
    let is_waited_for = row.state == MigrationState::Finished;
    let run = run.filter(|run| is_waited_for && run.state == CheckState::Asking);
    Ok(run.map(|run| (row, run)))
}

/// What was answered after the move, and what follows.
pub(in crate::app) struct Heard {
    row: Migration,
    run: CheckRun,
    all: Vec<CheckedRow>,
    verdict: Verdict,
    /// The job is to be given again, then.
    pub again: Option<Again<'static>>,
}

/// Notes what they answered after the move. `None`: nobody waits for it.
pub(in crate::app) fn hear(
    tx: &mut Tx<'_>,
    job: &Job,
    answers: &[CheckAnswer],
) -> Result<Option<Heard>> {
    let Some((row, run)) = asked_for(tx, job)? else {
        return Ok(None);
    };
    if !is_current(tx.conn, row.linode_id, job)? {
        return Ok(None);
    }
    let mut all = store::migration::check::answers(tx.conn, row.id)?;
    let last = all.iter().filter_map(|it| it.asked_at).max();
    // Once is enough.
    for one in all.iter_mut().filter(|it| it.ok != Some(true)) {
        if let Some((ok, said)) = answer_to(answers, &one.check()) {
            let of = (row.id, one.position);
            store::migration::check::answered(tx.conn, of, (ok, &said), tx.now)?;
            (one.ok, one.said, one.asked_at) = (ok, said, Some(tx.now));
        }
    }
    let until = run.until.unwrap_or(tx.now.plus_s(i64::from(run.limit_s)));
    let kept = kept(until, last, tx.now);
    let until = kept.unwrap_or(until);
    let verdict = match verdict(all.iter().map(CheckedRow::asked), until, tx.now) {
        Verdict::Failed | Verdict::NotAsked if kept.is_some() => Verdict::Again,
        verdict => verdict,
    };
    let again = (verdict == Verdict::Again).then(|| {
        let left_s = until.seconds_since(tx.now);
        Again {
            run_after: tx.now.plus_s(again_s(run.limit_s, left_s)),
            failures: 0,
            losses: 0,
            detail: "",
        }
    });
    let run = CheckRun {
        until: Some(until),
        ..run
    };
    Ok(Some(Heard {
        row,
        run,
        all,
        verdict,
        again,
    }))
}

/// What follows, once the job is ended or given back: the trail comes after all other rows.
pub(in crate::app) fn follow(
    tx: &mut Tx<'_>,
    heard: &Heard,
    (answers, console): (&[CheckAnswer], &str),
) -> Result<()> {
    let row = &heard.row;
    note(tx, row.linode_id, answers)?;
    wake_on_commit(tx.conn, Wake::Migration(row.id))?;
    match heard.verdict {
        Verdict::Again => {
            let change = RunChange {
                until: heard.run.until,
                ..RunChange::default()
            };
            Ok(store::migration::check::change(tx.conn, row.id, &change)?)
        }
        Verdict::Passed => passed(tx, row),
        Verdict::Failed => failed(tx, heard, console),
        Verdict::NotAsked => could_not(tx, row, COULD_NOT),
    }
}

const COULD_NOT: &str = "Its host could not ask its checks.";

/// The job of the question has ended without a word on it: its host never came to it, or it fits the Linode no more.
pub(in crate::app) fn lapsed(tx: &mut Tx<'_>, job: &Job) -> Result<()> {
    match asked_for(tx, job)? {
        Some((row, _)) => could_not(tx, &row, COULD_NOT),
        None => Ok(()),
    }
}

fn passed(tx: &mut Tx<'_>, row: &Migration) -> Result<()> {
    let change = RunChange {
        state: Some(CheckState::Passed),
        ..RunChange::default()
    };
    store::migration::check::change(tx.conn, row.id, &change)?;
    tx.log(
        row,
        "Each check that passed before the move passes after it.",
    )
}

/// Those that are demanded and have not answered, a line each.
fn open_lines(all: &[CheckedRow]) -> String {
    let open = all.iter().filter(|it| it.asked().is_open());
    let each: Vec<String> = open
        .map(|it| format!("{}: {}", it.check().words(), it.said))
        .collect();
    each.join("\n")
}

/// Nothing is known against the Linode, so it stays: its member is asked to look.
fn could_not(tx: &mut Tx<'_>, row: &Migration, why: &str) -> Result<()> {
    not_asked(tx, row, why)?;
    let all = store::migration::check::answers(tx.conn, row.id)?;
    let each: Vec<String> = all.iter().map(|it| it.check().words()).collect();
    tell(tx, row, &each.join("\n"), ("", AfterCheck::NotAsked))
}

fn failed(tx: &mut Tx<'_>, heard: &Heard, console: &str) -> Result<()> {
    let (row, run) = (&heard.row, &heard.run);
    let console = last_lines(console, CONSOLE_LINES, CONSOLE_MOST);
    let change = RunChange {
        state: Some(CheckState::Failed),
        console: Some(console.clone()),
        ..RunChange::default()
    };
    store::migration::check::change(tx.conn, row.id, &change)?;
    let said = open_lines(&heard.all);
    for line in said.lines() {
        tx.log(row, &format!("A check failed. {line}."))?;
    }
    let stays = if run.goes_home {
        go_home(tx, row)?
    } else {
        None
    };
    let goes_home = run.goes_home && stays.is_none();
    let change = RunChange {
        went_home: Some(goes_home),
        comes_up: Some(goes_home),
        why: stays.clone(),
        ..RunChange::default()
    };
    store::migration::check::change(tx.conn, row.id, &change)?;
    let then = match &stays {
        Some(why) => AfterCheck::Stays(why),
        None if goes_home => AfterCheck::GoesHome,
        None => AfterCheck::Told,
    };
    tell(tx, row, &said, (&console, then))
}

/// Begins the way back; gives back what keeps it, if something does.
fn go_home(tx: &mut Tx<'_>, row: &Migration) -> Result<Option<String>> {
    let source = store::host::host(tx.conn, row.source_host_id)?.ok_or(AppError::NotFound)?;
    let watched_s = store::ownership::memory::get(tx.conn)?.watched_s;
    let why = if let Some(why) = closed_to_members(row, &source) {
        Some(why.to_owned())
    } else if row.way_back_is_over(tx.now, watched_s) {
        Some("The time for the way back is over.".to_owned())
    } else {
        no_way_back(tx.conn, row, &source)?
    };
    if let Some(why) = why {
        tx.log(row, &format!("It was to go home, and cannot. {why}"))?;
        return Ok(Some(why));
    }
    let given = EventDetails::saying("It goes home by itself, as its member had said.");
    let taken = tx.apply(row.id, Event::WayBack, &given)?.taken();
    Ok(taken.err().map(|refused| refused.to_string()))
}

fn tell(
    tx: &mut Tx<'_>,
    row: &Migration,
    said: &str,
    (console, then): (&str, AfterCheck<'_>),
) -> Result<()> {
    let linode = store::linode::linode(tx.conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    tx.mail_about(
        &linode,
        LinodeMail::CheckFailed {
            of: row,
            said,
            console,
            then,
        },
    )
}

/// Why it went home by itself: what did not answer.
pub(in crate::app) fn why_home(tx: &mut Tx<'_>, of: MigrationId) -> Result<String> {
    Ok(open_lines(&store::migration::check::answers(tx.conn, of)?))
}
