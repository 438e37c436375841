//! The portal's own sums, made once more in another way.

use std::collections::BTreeMap;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use xenbeta::agent::driver::simulated::witness::{Event, now_ns};
use xenbeta::app::host::liveness::asked_at;
use xenbeta::store;
use xenbeta::store::db::Db;

use super::client::{Client, links};
use super::judge::{Named, ask, count, now_s, walked};
use super::town::{STAFF, Town};
use crate::browser::Reply;
use crate::support::fleet::PASSWORD;
use crate::support::witness;

#[derive(QueryableByName, Debug)]
struct Held {
    #[diesel(sql_type = BigInt)]
    host: i64,
    #[diesel(sql_type = BigInt)]
    linode: i64,
    /// `lives`, `comes`, `may return`, `disks`.
    #[diesel(sql_type = Text)]
    why: String,
}

/// Hosts' room, memory and disk: what is promised, thing by thing, at one moment.
pub fn rooms(town: &Town) {
    let mut pg = PgConnection::establish(&town.app.url).expect("connects");
    pg.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .unwrap();
    let held: Vec<Held> = diesel::sql_query(
        "SELECT host_id AS host, id AS linode, 'lives' AS why FROM linodes \
         UNION ALL SELECT destination_host_id, linode_id, 'comes' FROM migrations WHERE state IN ('offered', 'queued', 'preparing', 'copying', 'holding', 'switching') \
         UNION ALL SELECT source_host_id, linode_id, CASE kind WHEN 'return' THEN 'disks' ELSE 'may return' END FROM migrations WHERE state = 'finished' \
         UNION ALL SELECT destination_host_id, linode_id, 'before' FROM migrations WHERE state = 'finished' AND kind = 'return' \
         UNION ALL SELECT destination_host_id, linode_id, 'disks' FROM migrations WHERE state = 'failed' AND started_at IS NOT NULL \
         UNION ALL SELECT host_id, linode_id, 'disks' FROM jobs WHERE kind IN ('purge', 'release') AND state IN ('pending', 'leased')",
    )
    .load(&mut pg)
    .unwrap();
    let number = |pg: &mut PgConnection, sql: &str| -> BTreeMap<i64, i64> {
        let rows: Vec<Named> = diesel::sql_query(sql).load(pg).unwrap();
        rows.into_iter()
            .map(|it| (it.name.parse().unwrap(), it.count))
            .collect()
    };
    let memory = number(
        &mut pg,
        "SELECT linodes.id::text AS name, ram_mb AS count FROM linodes JOIN plans ON plans.id = plan_id",
    );
    let disk = number(
        &mut pg,
        "SELECT linode_id::text AS name, sum(size_mb)::bigint AS count FROM disks GROUP BY 1",
    );
    let at_work = number(
        &mut pg,
        "SELECT host::text AS name, count(*) AS count FROM (SELECT source_host_id AS host FROM migrations WHERE state IN ('preparing', 'copying', 'switching') \
         UNION ALL SELECT destination_host_id FROM migrations WHERE state IN ('preparing', 'copying', 'switching')) AS busy GROUP BY 1",
    );
    let mut conn = Db::Pg(pg);
    let rooms = store::host::room::rooms(&mut conn, asked_at(town.app.now())).unwrap();
    for room in rooms {
        let mut linodes: BTreeMap<i64, bool> = BTreeMap::new();
        for it in held
            .iter()
            .filter(|it| it.host == room.host.0 && it.why != "before")
        {
            *linodes.entry(it.linode).or_default() |= it.why != "disks";
        }
        let whole = linodes.iter().filter(|(_, whole)| **whole);
        let memory_mb: i64 = whole.map(|(id, _)| memory[id]).sum();
        let disk_mb: i64 = linodes.keys().map(|id| disk[id]).sum();
        // Where a way back led, the disks of before it are there as well.
        let before = held
            .iter()
            .filter(|it| it.host == room.host.0 && it.why == "before");
        let disk_mb = disk_mb + before.map(|it| disk[&it.linode]).sum::<i64>();
        if (memory_mb, disk_mb) != (room.memory_promised_mb, room.disk_promised_mb) {
            town.tally.fault(format_args!(
                "host {}: {memory_mb} and {disk_mb} MiB are promised, not {room:?}; {linodes:?}",
                room.name
            ));
        }
        if memory_mb > room.memory_mb {
            town.tally.fault(format_args!(
                "host {}: {memory_mb} MiB promised of {}",
                room.name, room.memory_mb
            ));
        }
        // Slots may be lowered while more moves go on; four is the most that staff ever set here.
        if at_work.get(&room.host.0).is_some_and(|busy| *busy > 2 * 4) {
            town.tally.fault(format_args!(
                "host {}: {at_work:?} moves at work",
                room.name
            ));
        }
    }
}

/// What pages count, at both portals, against the database and against the lists that they lead to.
pub fn pages(town: &Town) {
    let mut staff = Client::new(town, 5001, STAFF[1], PASSWORD);
    if !staff.sign_in() {
        return town.tally.fault("staff cannot sign in at the end");
    }
    cards(&mut staff);
    for list in [
        "/staff/registrations",
        "/staff/migrations",
        "/staff/bugs",
        "/staff/mail",
        "/staff/jobs",
        "/staff/members",
    ] {
        tabs(&mut staff, list);
    }
    readiness(&mut staff);
    board(&mut staff);
    totals(town);
    moments(town);
}

/// The dashboard's counts, each with the list behind it.
fn cards(staff: &mut Client<'_>) {
    for _ in 0..4 {
        let Some(page) = staff.get("/staff/") else {
            return staff.town.tally.fault("no dashboard at the end");
        };
        let counts = page.texts("main ul.cards li b");
        let labels = page.texts("main ul.cards li a");
        let paths = links(&page);
        for ((label, count), path) in labels.iter().zip(&counts).zip(&paths) {
            // Questions and graduations stand among other rows on their pages.
            if path.starts_with("/staff/faq")
                || path.starts_with("/staff/graduation")
                || path.starts_with("/staff/recovery")
            {
                continue;
            }
            let found = walked(staff, path);
            if found.map(|it| it.to_string()).as_ref() != Some(count) {
                staff.town.tally.fault(format_args!(
                    "the dashboard says {count} {label}, {path} has {found:?}"
                ));
            }
        }
        let of = |label: &str| {
            labels
                .iter()
                .position(|it| it == label)
                .and_then(|at| counts[at].parse::<i64>().ok())
        };
        for (label, what) in [
            (
                "registrations wait for review",
                "registrations WHERE state = 'requested'",
            ),
            (
                "offers wait for their member",
                "migrations WHERE state = 'offered'",
            ),
            ("migrations queued", "migrations WHERE state = 'queued'"),
            (
                "migrations running",
                "migrations WHERE state IN ('preparing', 'copying', 'holding', 'switching')",
            ),
            (
                "finished, not confirmed",
                "migrations WHERE state = 'finished'",
            ),
            ("migrations failed", "migrations WHERE state = 'failed'"),
            ("new bugs", "bugs WHERE state = 'new'"),
            (
                "questions wait for an answer",
                "faq_questions WHERE state = 'open'",
            ),
            ("Linodes held", "holds"),
            (
                "hosts being emptied",
                "hosts WHERE emptying_since IS NOT NULL",
            ),
        ] {
            let there = count(staff.town, what);
            if of(label) != Some(there) {
                staff.town.tally.fault(format_args!(
                    "the dashboard says {:?} {label}, there are {there}",
                    of(label)
                ));
            }
        }
    }
}

/// Every tab over a list has its number of rows.
fn tabs(staff: &mut Client<'_>, list: &str) {
    let Some(page) = staff.get(list) else {
        return staff.town.tally.fault(format_args!("no {list} at the end"));
    };
    let paths: Vec<String> = links(&page)
        .into_iter()
        .filter(|it| it.starts_with(list))
        .collect();
    let before = said(&page);
    for (at, path) in paths.iter().enumerate().take(before.len()) {
        let found = walked(staff, path);
        // What is told some minutes later, news of the board, comes meanwhile.
        let after = staff.get(list).map(|page| said(&page)).unwrap_or_default();
        let of = |all: &[i64]| all.get(at).copied().unwrap_or(-1);
        let counted = of(&before)..=of(&after);
        if !found.is_some_and(|it| counted.contains(&it)) {
            staff.town.tally.fault(format_args!(
                "{list}: a tab says {counted:?}, and leads to {found:?} rows ({path})"
            ));
        }
    }
}

/// What the tabs over a list say of it.
fn said(page: &Reply) -> Vec<i64> {
    let names = page.texts("main ul.subtabs a");
    let count = |it: &String| it.rsplit(' ').next()?.parse().ok();
    names.iter().map(|it| count(it).unwrap_or(-1)).collect()
}

/// Moves by what became of them, and by week.
fn readiness(staff: &mut Client<'_>) {
    let Some(page) = staff.get("/staff/readiness") else {
        return staff.town.tally.fault("no readiness page at the end");
    };
    let number = |text: &String| text.parse::<i64>().unwrap_or(-1);
    let mut started = 0;
    let kinds = ["beta", "evacuation", "graduation"];
    let rows = page.rows("Moves by what became of them");
    for row in &rows {
        started += row[1..6].iter().map(number).sum::<i64>();
    }
    let weeks: i64 = page
        .rows("Moves by the week")
        .iter()
        .map(|row| row[1..6].iter().map(number).sum::<i64>())
        .sum();
    let there = count(
        staff.town,
        "migrations WHERE started_at IS NOT NULL AND kind <> 'return'",
    );
    let tries: i64 = rows.iter().map(|row| number(&row[6])).sum();
    let failed = count(
        staff.town,
        "migration_events JOIN migrations ON migrations.id = migration_id WHERE migration_events.state = 'failed' AND kind <> 'return'",
    );
    if (started, weeks, tries) != (there, there, failed) {
        staff.town.tally.fault(format_args!(
            "readiness counts {started} moves ({weeks} by week) and {tries} tries that failed, there are {there} and {failed}; {kinds:?} {rows:?}"
        ));
    }
}

/// Whom each bug hits.
fn board(staff: &mut Client<'_>) {
    let hits = ask(
        staff.town,
        "SELECT bugs.id::text AS name, (SELECT count(DISTINCT user_id) FROM bug_hits JOIN bugs AS same ON same.id = bug_hits.bug_id \
         WHERE same.root_id = bugs.root_id) AS count FROM bugs ORDER BY bugs.id DESC LIMIT 40",
    );
    for bug in hits {
        let said = staff
            .get(&format!("/staff/bugs/{}", bug.name))
            .map(|page| page.text());
        let words = format!("Hits {} member", bug.count);
        if !said.as_ref().is_some_and(|it| it.contains(&words)) {
            staff.town.tally.fault(format_args!(
                "bug {} {words}s, and its page does not say so: {said:?}",
                bug.name
            ));
        }
    }
}

/// How long Linodes were away is told to members and counted: a move's start is when the guest itself says that it began.
fn moments(town: &Town) {
    let lines = witness::read(&town.folder.join("witness")).unwrap();
    // Guests tell by the machine's own clock.
    let ms = |ns: u64| i64::try_from(ns / 1_000_000).unwrap();
    let booted_ms = (now_s() * 1000.0) as i64 - ms(now_ns());
    let since_1970_ms = |ns: u64| booted_ms + ms(ns);
    let starts = ask(
        town,
        "SELECT name || ' ' || linode_id AS name, (EXTRACT(EPOCH FROM running_at) * 1000)::bigint AS count \
         FROM migrations JOIN hosts ON hosts.id = destination_host_id WHERE finished_at IS NOT NULL AND running_at IS NOT NULL",
    );
    for start in starts {
        let (host, linode) = start.name.split_once(' ').unwrap();
        let of_it = lines.iter().filter(|it| {
            it.event == Event::Start && it.host == host && it.linode.to_string() == linode
        });
        let off_ms = of_it
            .map(|it| (since_1970_ms(it.at_ns) - start.count).abs())
            .min();
        if off_ms.is_none_or(|off| off > START_OFF_MS) {
            town.tally.fault(format_args!(
                "Linode {linode} began on {host} {off_ms:?} ms away from when its move says"
            ));
        }
    }
}

/// Between a guest's first word and its agent's, on a busy machine; portals' clocks are wrong by more.
const START_OFF_MS: i64 = 10_000;

/// What no page says, and must be so.
fn totals(town: &Town) {
    for (what, why) in [
        (
            "(SELECT linode_id FROM registrations WHERE state IN ('requested', 'approved') GROUP BY 1 HAVING count(*) > 1) AS x",
            "Linodes are registered twice",
        ),
        (
            "migrations WHERE state = 'returning'",
            "moves are going back still",
        ),
        (
            "(SELECT root_id FROM bugs WHERE id = root_id AND duplicate_of IS NOT NULL) AS x",
            "bugs are their own duplicates",
        ),
        (
            "bugs AS one JOIN bugs AS root ON root.id = one.root_id WHERE root.root_id <> root.id",
            "bugs' roots have roots",
        ),
        ("hosts WHERE ledger_fault <> ''", "ledgers are not trusted"),
        (
            "portal WHERE recovery_since IS NOT NULL",
            "the portal recovers still",
        ),
        (
            "portal WHERE clock_jump_s IS NOT NULL",
            "the clock has jumped",
        ),
        (
            "joint_acts WHERE state = 'asked'",
            "joint acts nobody asked for",
        ),
        (
            "migrations WHERE finished_at IS NOT NULL AND NOT (started_at <= stopped_at \
             AND stopped_at <= COALESCE(running_at, finished_at) AND COALESCE(running_at, stopped_at) <= finished_at)",
            "moves whose moments are out of order",
        ),
        (
            "(SELECT at, lag(at) OVER (PARTITION BY migration_id ORDER BY id) AS before FROM migration_events) AS x \
             WHERE at < before - INTERVAL '1 second'",
            "lines of moves' logs that go back in time",
        ),
    ] {
        let found = count(town, what);
        if found > 0 {
            town.tally.fault(format_args!("{found} {why}"));
        }
    }
}
