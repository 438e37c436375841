//! The end: everything comes to rest, and then everything is looked at.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::client::Client;
use super::town::{Machines, STAFF, Town};
use super::trouble::Trouble;
use super::{mails, sums};
use crate::processes::Host;
use crate::support::fleet::PASSWORD;
use crate::support::witness;

/// A row's name and number.
#[derive(QueryableByName, Debug, Clone)]
pub struct Named {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// By a connection of its own, in words of PostgreSQL's.
pub fn ask(town: &Town, sql: &str) -> Vec<Named> {
    let mut conn = PgConnection::establish(&town.app.url).expect("connects");
    diesel::sql_query(sql)
        .load(&mut conn)
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub fn count(town: &Town, what: &str) -> i64 {
    ask(
        town,
        &format!("SELECT '' AS name, count(*) AS count FROM {what}"),
    )[0]
    .count
}

/// Seconds since 1970, by the clock that nobody moved.
pub fn now_s() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64()
}

#[derive(Default)]
struct Life {
    since: Option<Instant>,
    first_kib: u64,
    last_kib: u64,
}

/// What each portal has in memory: of its present life, the first figure and the last, and the most of all.
#[derive(Default)]
pub struct Memory {
    lives: [Life; 2],
    most_kib: [u64; 2],
}

impl Memory {
    pub fn began(&mut self, trouble: Trouble) {
        if let Trouble::Portal(at, _) = trouble {
            self.lives[at] = Life::default();
        }
    }

    pub fn look(&mut self, machines: &Machines) {
        for (at, portal) in machines.portals.iter().enumerate() {
            let Some(kib) = portal.program.resident_kib() else {
                continue;
            };
            let life = &mut self.lives[at];
            if life.since.is_none() {
                life.since = Some(Instant::now());
                life.first_kib = kib;
            }
            life.last_kib = kib;
            self.most_kib[at] = self.most_kib[at].max(kib);
        }
    }

    pub fn words(&self) -> String {
        let mib = |kib: u64| kib / 1024;
        let one = |at: usize| {
            let life = &self.lives[at];
            let for_s = life.since.map_or(0, |it| it.elapsed().as_secs());
            format!(
                "portal {at}: {} MiB at first, {} MiB {for_s} s later, at most {} MiB",
                mib(life.first_kib),
                mib(life.last_kib),
                mib(self.most_kib[at])
            )
        };
        format!("memory: {}; {}", one(0), one(1))
    }

    /// A minute's life is one's caches; what comes after ten more is not to be much.
    fn judge(&self, town: &Town) {
        for (at, life) in self.lives.iter().enumerate() {
            let is_long = life
                .since
                .is_some_and(|it| it.elapsed() > Duration::from_secs(600));
            if is_long && life.last_kib > life.first_kib * 3 / 2 + (32 << 10) {
                town.tally
                    .fault(format_args!("portal {at} grows: {}", self.words()));
            }
        }
    }
}

/// Each minute: a line, and what costs little.
pub fn minute(town: &Town, machines: &Machines, minute: u64) {
    let (requests, p50, p99) = town.tally.lately();
    let states = ask(
        town,
        "SELECT CASE WHEN state IN ('queued', 'preparing', 'copying', 'holding', 'switching', 'returning') THEN 'going' ELSE 'rest' END AS name, \
         count(*) AS count FROM migrations GROUP BY 1",
    );
    let of = |name: &str| {
        states
            .iter()
            .find(|it| it.name == name)
            .map_or(0, |it| it.count)
    };
    let kib = |at: usize| machines.portals[at].program.resident_kib().unwrap_or(0) / 1024;
    town.tally.note(format_args!(
        "minute {minute}: {requests} requests (p50 {p50} ms, p99 {p99} ms), {} of {} mails out, {} moves go on of {}, portals {} and {} MiB, {}; {} faults",
        town.smtp.count(),
        count(town, "outbox"),
        of("going"),
        of("going") + of("rest"),
        kib(0),
        kib(1),
        town.tally.counts(),
        town.tally.faults().len()
    ));
    runners(town, machines);
    sums::rooms(town);
}

/// A lease runs out, a killed mailer's mail is due again, and what waits for a host's slots has its turn.
const REST_IN: Duration = Duration::from_secs(600);

/// The load is over: what goes on comes to its end, with what staff would do about what failed.
pub fn drain(town: &Town, patient: bool) {
    let begun = Instant::now();
    let mut staff = Client::new(town, 5000, STAFF[0], PASSWORD);
    staff.sign_in();
    let mut acts = 0;
    loop {
        let open = restless(town);
        if open.is_empty() {
            break;
        }
        if begun.elapsed() > REST_IN {
            town.tally
                .fault(format_args!("it does not come to rest: {open:?}"));
            break;
        }
        if !patient {
            // What a killed mailer had in hand is tried again after five minutes, and what a server put off after some.
            let mut conn = PgConnection::establish(&town.app.url).expect("connects");
            let sql = "UPDATE outbox SET next_at = now() - interval '1 minute' WHERE state = 'pending' AND attempts > 0 \
                       AND next_at BETWEEN now() + interval '20 seconds' AND now() + interval '260 seconds'";
            diesel::sql_query(sql)
                .execute(&mut conn)
                .expect("is put off");
        }
        staff.enable_hosts();
        staff.look_after_moves();
        cancel_chosen(&mut staff);
        acts += 1;
        if acts % 10 == 0 {
            town.tally.note(format_args!("not at rest: {open:?}"));
        }
        thread::sleep(Duration::from_secs(1));
    }
    town.tally.note(format_args!(
        "at rest after {:.1?}, {acts} looks of staff",
        begun.elapsed()
    ));
}

/// What is not at rest, in words.
fn restless(town: &Town) -> Vec<String> {
    let found = ask(
        town,
        "SELECT 'job ' || kind || ' of host ' || host_id || ' for ' || linode_id || ' ' || state AS name, id AS count FROM jobs WHERE state IN ('pending', 'leased') \
         UNION ALL SELECT 'migration ' || kind || ' of ' || linode_id || ' ' || state || ' ' || COALESCE(step, ''), id FROM migrations \
           WHERE state IN ('queued', 'preparing', 'copying', 'holding', 'switching', 'returning') \
         UNION ALL SELECT 'mail ' || kind || ' ' || last_error, id FROM outbox WHERE state = 'pending' \
         UNION ALL SELECT 'Linode ' || id || ' is ' || status, id FROM linodes WHERE status NOT IN ('running', 'offline') \
         UNION ALL SELECT 'Linode ' || linode_id || ' is held: ' || reason, linode_id FROM holds",
    );
    found
        .iter()
        .map(|it| format!("{} ({})", it.name, it.count))
        .collect()
}

/// Times that are still to come would be waited for.
fn cancel_chosen(staff: &mut Client<'_>) {
    let later = ask(
        staff.town,
        "SELECT '' AS name, id AS count FROM migrations WHERE state IN ('queued', 'holding') AND not_before > now()",
    );
    for migration in later {
        staff.confirm(
            &format!("/staff/migrations/{}/cancel", migration.count),
            &[("reason", "It is the end of the day.")],
        );
    }
}

pub fn judge(town: &Town, machines: &mut Machines, memory: &Memory) {
    runners(town, machines);
    guests(town, machines);
    disks(town, machines);
    sums::rooms(town);
    sums::pages(town);
    mails::judge(town);
    marks(town);
    logs(town);
    postgres(town, machines);
    memory.judge(town);
    for portal in &machines.portals {
        let out = portal.program.tool(&["audit", "verify"]);
        let said = String::from_utf8_lossy(&out.stdout)
            .trim()
            .replace('\n', "; ");
        town.tally.note(format_args!("audit verify: {said}"));
        if !out.status.success() {
            town.tally.fault(format_args!("audit verify: {out:?}"));
        }
    }
}

/// Never two at once, and no number lost.
fn runners(town: &Town, machines: &Machines) {
    let verdict = witness::judge(&town.folder.join("witness")).unwrap();
    for violation in verdict.violations {
        town.tally.fault(violation);
    }
    let mut at: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for host in &machines.hosts {
        for linode in running(host) {
            at.entry(linode).or_default().push(&host.program.name);
        }
    }
    for (linode, hosts) in at.iter().filter(|(_, hosts)| hosts.len() > 1) {
        town.tally
            .fault(format_args!("Linode {linode} runs on {hosts:?}"));
    }
}

fn numbers(folder: &std::path::Path, before: &str) -> Vec<i64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|it| it.file_name().to_string_lossy().into_owned());
    names
        .filter_map(|name| name.strip_prefix(before)?.parse().ok())
        .collect()
}

fn running(host: &Host) -> Vec<i64> {
    let all = numbers(&host.state().join("driver"), "linode-");
    all.into_iter()
        .filter(|id| host.guest(xenbeta::domain::ids::LinodeId(*id)).is_some())
        .collect()
}

/// Guests run where the portal says, and only there.
fn guests(town: &Town, machines: &Machines) {
    let rows = ask(
        town,
        "SELECT hosts.name || ' ' || status AS name, linodes.id AS count FROM linodes JOIN hosts ON hosts.id = host_id",
    );
    for row in rows {
        let (host, status) = row.name.split_once(' ').unwrap();
        let on: Vec<&str> = machines
            .hosts
            .iter()
            .filter(|it| running(it).contains(&row.count))
            .map(|it| it.program.name.as_str())
            .collect();
        let expected: Vec<&str> = if status == "running" {
            vec![host]
        } else {
            vec![]
        };
        if on != expected {
            town.tally.fault(format_args!(
                "Linode {} is {status} on {host}, and runs on {on:?}",
                row.count
            ));
        }
    }
}

/// Disks are where the portal counts them, and nowhere else.
fn disks(town: &Town, machines: &Machines) {
    let counted = ask(
        town,
        "SELECT DISTINCT hosts.name, there.linode AS count FROM (\
           SELECT host_id AS host, id AS linode FROM linodes \
           UNION SELECT source_host_id, linode_id FROM migrations WHERE state IN ('finished', 'returning') \
           UNION SELECT destination_host_id, linode_id FROM migrations WHERE state = 'finished' AND kind = 'return' \
           UNION SELECT destination_host_id, linode_id FROM migrations WHERE state = 'failed' AND started_at IS NOT NULL \
           UNION SELECT destination_host_id, linode_id FROM migrations WHERE state IN ('preparing', 'copying', 'holding', 'switching') \
           UNION SELECT host_id, linode_id FROM jobs WHERE state IN ('pending', 'leased') AND kind IN ('purge', 'release') \
         ) AS there JOIN hosts ON hosts.id = host",
    );
    for host in &machines.hosts {
        let name = &host.program.name;
        let folder = host.dir.join("disks/linodes");
        for linode in numbers(&folder, "") {
            let files = fs::read_dir(folder.join(linode.to_string()))
                .into_iter()
                .flatten()
                .count();
            if files > 0
                && !counted
                    .iter()
                    .any(|it| it.name == *name && it.count == linode)
            {
                town.tally.fault(format_args!(
                    "host {name} has disks of Linode {linode} that nobody counts"
                ));
            }
        }
    }
    for row in ask(
        town,
        "SELECT hosts.name, linodes.id AS count FROM linodes JOIN hosts ON hosts.id = host_id",
    ) {
        let host = machines
            .hosts
            .iter()
            .find(|it| it.program.name == row.name)
            .unwrap();
        if !host
            .dir
            .join(format!("disks/linodes/{}", row.count))
            .exists()
        {
            town.tally.fault(format_args!(
                "host {} has no disks of Linode {}",
                row.name, row.count
            ));
        }
    }
}

/// What was taken is there once; what was not is there once at most.
fn marks(town: &Town) {
    let marks = town.marks.lock().unwrap();
    let mut conn = PgConnection::establish(&town.app.url).expect("connects");
    for mark in marks.iter() {
        let sql = format!(
            "SELECT '' AS name, count(*) AS count FROM {} WHERE {} = $1",
            mark.table, mark.column
        );
        let found: Vec<Named> = diesel::sql_query(sql)
            .bind::<Text, _>(&mark.text)
            .load(&mut conn)
            .unwrap();
        // What is answered again, or hidden, may have gone since.
        let right = if mark.taken {
            found[0].count == 1
        } else {
            found[0].count <= 1
        };
        if !right {
            town.tally.fault(format_args!(
                "{} is there {} times in {}, and was {}taken",
                mark.text,
                found[0].count,
                mark.table,
                if mark.taken { "" } else { "not " }
            ));
        }
    }
    let taken = marks.iter().filter(|it| it.taken).count();
    town.tally.note(format_args!(
        "{} texts were sent, {taken} of them taken, each is there once",
        marks.len()
    ));
}

/// No error but around what was down.
fn logs(town: &Town) {
    let excused = town.tally.outages_s(now_s(), 6.0);
    for (at, shift) in [(0, 15.0), (1, -15.0)] {
        let log = fs::read_to_string(town.folder.join(format!("portal-{at}/portal.log"))).unwrap();
        let mut warned = 0;
        for line in log.lines() {
            let plain: String = strip(line);
            let Some((when, rest)) = plain.trim_start().split_once(' ') else {
                continue;
            };
            let stamp = DateTime::parse_from_rfc3339(when);
            let is_error = rest.trim_start().starts_with("ERROR") || plain.contains("panicked");
            warned += usize::from(rest.trim_start().starts_with("WARN"));
            let at_s = stamp.map_or(0.0, |it| it.timestamp_millis() as f64 / 1000.0 - shift);
            if is_error
                && !excused
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&at_s))
            {
                town.tally.fault(format_args!("portal {at} logs: {plain}"));
            }
        }
        town.tally.note(format_args!(
            "portal {at}: {} lines of log, {warned} warnings",
            log.lines().count()
        ));
    }
}

/// Without colours.
fn strip(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    text + rest
}

/// What PostgreSQL says of deadlocks, of sessions that it ended, and of statements that took long.
fn postgres(town: &Town, machines: &Machines) {
    const NEVER: [&str; 6] = [
        "deadlock detected",
        "could not serialize",
        "too many connections",
        "too many clients",
        "statement timeout",
        "idle-in-transaction timeout",
    ];
    let excused = town.tally.outages_s(now_s(), 3.0);
    let log = fs::read_to_string(&machines.pg.log).unwrap();
    let (mut waits, mut slow) = (0, 0);
    for line in log.lines() {
        waits += usize::from(line.contains("still waiting for"));
        if NEVER.iter().any(|it| line.contains(it)) || line.contains("PANIC:") {
            town.tally.fault(format_args!("PostgreSQL: {line}"));
        }
        let Some((_, after)) = line.split_once("duration: ") else {
            continue;
        };
        slow += 1;
        let ms: f64 = after
            .split(' ')
            .next()
            .and_then(|it| it.parse().ok())
            .unwrap_or(0.0);
        let stamp = line
            .get(..23)
            .and_then(|it| NaiveDateTime::parse_from_str(it, "%Y-%m-%d %H:%M:%S%.3f").ok());
        let at_s = stamp.map_or(0.0, |it| it.and_utc().timestamp_millis() as f64 / 1000.0);
        if ms > 10_000.0
            && !excused
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&at_s))
        {
            town.tally.fault(format_args!("PostgreSQL: {line}"));
        }
    }
    town.tally.note(format_args!(
        "PostgreSQL: {waits} waits for a lock over a second, {slow} statements over three"
    ));
}

/// Pages of one list, one after the other: how many rows.
pub fn walked(client: &mut Client<'_>, path: &str) -> Option<i64> {
    let mut found = 0;
    let mut page = client.get(path)?;
    loop {
        found += i64::try_from(page.texts("main tbody tr").len()).unwrap();
        let next = page.attribute("main a[rel=next]", "href");
        match next {
            Some(next) => page = client.get(&next)?,
            None => return Some(found),
        }
    }
}
