//! The checks of a move: each is asked once at home, before anything is copied, and after the move until each that answered at
//! home has answered, or its time is over. Then the Linode goes home by itself, if its member said so, or its member is told.

use super::event_details::EventDetails;
use super::guard::{closed_to_members, no_way_back};
use crate::app::context::Tx;
use crate::app::error::AppError;
use crate::app::linode::check::{answer_to, askable, note};
use crate::app::mail::kinds::LinodeMail;
use crate::app::ownership::change::is_current;
use crate::domain::ids::{LinodeId, MigrationId};
use crate::domain::job::JobKind;
use crate::domain::linode::check::{AGAIN_S, CheckState, Verdict, verdict};
use crate::domain::migration::{Event, MigrationKind, MigrationState};
use crate::domain::text::last_lines;
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
) -> Result<(), AppError> {
    if row.kind == MigrationKind::Return {
        return Ok(());
    }
    let mut plan = store::linode::check::plan(tx.conn, row.linode_id)?;
    // Where staff empty a host it does not go back.
    plan.goes_home &= row.kind != MigrationKind::Evacuation;
    let mut rows = Vec::new();
    for (position, check) in (1..).zip(&askable(tx.conn, row.linode_id)?) {
        let (ok, said) = answer_to(answers, check).unwrap_or((None, OLD_AGENT.to_owned()));
        rows.push(CheckedRow::new(
            row.id,
            (position, check),
            (ok, &said),
            tx.now,
        ));
    }
    store::migration::check::begin(tx.conn, &CheckRun::new(row.id, plan), &rows)?;
    note(tx, row.linode_id, answers)?;
    let failed = rows.iter().filter(|it| it.home_ok != Some(true)).count();
    if failed > 0 {
        let line = format!(
            "{failed} of {} checks failed before the move: not demanded after it.",
            rows.len()
        );
        tx.log(row, &line)?;
    }
    Ok(())
}

/// It has moved: from now on its checks are asked there.
pub(super) fn begin(tx: &mut Tx<'_>, id: MigrationId) -> Result<(), AppError> {
    let Some(run) = store::migration::check::run(tx.conn, id)? else {
        return Ok(());
    };
    let row = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
    if run.state != CheckState::Waiting {
        return Ok(());
    }
    let answers = store::migration::check::answers(tx.conn, id)?;
    let why = if !row.was_running {
        Some("It was off, so its checks were not asked.")
    } else if answers.iter().all(|it| it.home_ok != Some(true)) {
        Some("No check passed before the move, so none is demanded after it.")
    } else if !store::host::speaks(tx.conn, row.destination_host_id, ASKS_CHECKS)? {
        Some(OLD_AGENT)
    } else {
        None
    };
    if let Some(why) = why {
        return not_asked(tx, &row, why);
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

/// It is finished no more: whoever ended that does not wait for the checks.
pub(super) fn end(tx: &mut Tx<'_>, id: MigrationId) -> Result<(), AppError> {
    let why = "The move was confirmed or taken back before they had answered.";
    no_more(tx, id, why)
}

fn no_more(tx: &mut Tx<'_>, id: MigrationId, why: &str) -> Result<(), AppError> {
    let run = store::migration::check::run(tx.conn, id)?;
    if run.is_some_and(|run| run.state == CheckState::Asking) {
        let change = RunChange {
            state: Some(CheckState::NotAsked),
            why: Some(why.to_owned()),
            ..RunChange::default()
        };
        store::migration::check::change(tx.conn, id, &change)?;
    }
    Ok(())
}

/// Its member shuts it down: that it does not answer then is no failure, and at home it is to be off, too.
pub(in crate::app) fn shut_down(tx: &mut Tx<'_>, linode: LinodeId) -> Result<(), AppError> {
    let open = [MigrationState::Finished, MigrationState::Returning];
    let moves = store::migration::of_linode(tx.conn, linode)?;
    for row in moves.iter().filter(|row| open.contains(&row.state)) {
        no_more(tx, row.id, "It was shut down before they had answered.")?;
        let change = RunChange {
            comes_up: Some(false),
            ..RunChange::default()
        };
        store::migration::check::change(tx.conn, row.id, &change)?;
    }
    Ok(())
}

/// Is it to run at the end of this way back, whatever became of it where it was? `None`: as it is found.
pub(in crate::app) fn comes_up(
    tx: &mut Tx<'_>,
    back: &Migration,
) -> Result<Option<bool>, AppError> {
    let Some(parent) = back.parent_id else {
        return Ok(None);
    };
    let run = store::migration::check::run(tx.conn, parent)?;
    Ok(run.filter(|run| run.comes_up).map(|_| true))
}

fn not_asked(tx: &mut Tx<'_>, row: &Migration, why: &str) -> Result<(), AppError> {
    let change = RunChange {
        state: Some(CheckState::NotAsked),
        why: Some(why.to_owned()),
        ..RunChange::default()
    };
    store::migration::check::change(tx.conn, row.id, &change)?;
    tx.log(row, why)
}

/// A question of a move, and the move's row, if it is still of use.
pub(in crate::app) fn asked_for(
    tx: &mut Tx<'_>,
    job: &Job,
) -> Result<Option<(Migration, CheckRun)>, AppError> {
    let Some(id) = job.migration_id.filter(|_| job.kind == JobKind::Check) else {
        return Ok(None);
    };
    let row = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
    let run = store::migration::check::run(tx.conn, id)?;
    let is_wanted =
        row.state == MigrationState::Finished && is_current(tx.conn, row.linode_id, job)?;
    let run = run.filter(|run| is_wanted && run.state == CheckState::Asking);
    Ok(run.map(|run| (row, run)))
}

/// What they answered after the move. `Some`: the job is to be given again, then.
pub(in crate::app) fn answered(
    tx: &mut Tx<'_>,
    job: &Job,
    (answers, console): (&[CheckAnswer], &str),
) -> Result<Option<Again<'static>>, AppError> {
    let Some((row, run)) = asked_for(tx, job)? else {
        return Ok(None);
    };
    for one in store::migration::check::answers(tx.conn, row.id)? {
        // Once is enough.
        if one.ok != Some(true)
            && let Some((ok, said)) = answer_to(answers, &one.check())
        {
            let of = (row.id, one.position);
            store::migration::check::answered(tx.conn, of, (ok, &said), tx.now)?;
        }
    }
    note(tx, row.linode_id, answers)?;
    let all = store::migration::check::answers(tx.conn, row.id)?;
    let until = run.until.unwrap_or(tx.now.plus_s(i64::from(run.limit_s)));
    wake_on_commit(tx.conn, Wake::Migration(row.id))?;
    match verdict(all.iter().map(CheckedRow::asked), until, tx.now) {
        Verdict::Again => {
            let change = RunChange {
                until: Some(until),
                ..RunChange::default()
            };
            store::migration::check::change(tx.conn, row.id, &change)?;
            return Ok(Some(Again {
                run_after: tx.now.plus_s(AGAIN_S),
                failures: 0,
                losses: 0,
                detail: "",
            }));
        }
        Verdict::Passed => passed(tx, &row)?,
        Verdict::Failed => failed(tx, &row, &run, console)?,
        Verdict::NotAsked => could_not(tx, &row, "Its host could not ask its checks.")?,
    }
    Ok(None)
}

/// Its host never came to ask, or failed at it.
pub(in crate::app) fn given_up(tx: &mut Tx<'_>, job: &Job) -> Result<(), AppError> {
    match asked_for(tx, job)? {
        Some((row, _)) => could_not(tx, &row, "Its host could not ask its checks."),
        None => Ok(()),
    }
}

fn passed(tx: &mut Tx<'_>, row: &Migration) -> Result<(), AppError> {
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
fn could_not(tx: &mut Tx<'_>, row: &Migration, why: &str) -> Result<(), AppError> {
    not_asked(tx, row, why)?;
    let all = store::migration::check::answers(tx.conn, row.id)?;
    tell(tx, row, &open_lines(&all), ("", AfterCheck::NotAsked))
}

fn failed(tx: &mut Tx<'_>, row: &Migration, run: &CheckRun, console: &str) -> Result<(), AppError> {
    let console = last_lines(console, CONSOLE_MOST);
    let change = RunChange {
        state: Some(CheckState::Failed),
        console: Some(console.clone()),
        ..RunChange::default()
    };
    store::migration::check::change(tx.conn, row.id, &change)?;
    let all = store::migration::check::answers(tx.conn, row.id)?;
    let said = open_lines(&all);
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
fn go_home(tx: &mut Tx<'_>, row: &Migration) -> Result<Option<String>, AppError> {
    let source = store::host::host(tx.conn, row.source_host_id)?.ok_or(AppError::NotFound)?;
    let closed = closed_to_members(row, &source).map(str::to_owned);
    let why = match closed {
        Some(why) => Some(why),
        None => no_way_back(tx.conn, row, &source)?,
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
) -> Result<(), AppError> {
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

/// Why it went home by itself, if it did: what did not answer.
pub(in crate::app) fn why_home(tx: &mut Tx<'_>, of: MigrationId) -> Result<String, AppError> {
    let run = store::migration::check::run(tx.conn, of)?;
    if !run.is_some_and(|run| run.went_home) {
        return Ok(String::new());
    }
    Ok(open_lines(&store::migration::check::answers(tx.conn, of)?))
}
