//! Every mail once: each row of the outbox against what the server took, and the causes against the rows.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Integer, Text};

use super::judge::{ask, count, now_s};
use super::staff::DISABLED;
use super::town::{Town, until};
use crate::support::smtp::Received;

#[derive(QueryableByName, Debug)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    recipient: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Text)]
    last_error: String,
    #[diesel(sql_type = Double)]
    created_s: f64,
}

pub fn judge(town: &Town) {
    // News of the board goes some minutes later.
    until("all mails are out", Duration::from_secs(90), || {
        count(town, "outbox WHERE state = 'pending'") == 0
    });
    let mut conn = PgConnection::establish(&town.app.url).expect("connects");
    let sql = "SELECT id, kind, recipient, state, attempts, last_error, \
               EXTRACT(EPOCH FROM created_at)::float8 AS created_s FROM outbox ORDER BY id";
    let rows: Vec<Row> = diesel::sql_query(sql).load(&mut conn).unwrap();
    let mut came: BTreeMap<String, Vec<Received>> = BTreeMap::new();
    for mail in town.smtp.received() {
        let id = mail.headers.get("Message-ID").cloned().unwrap_or_default();
        came.entry(id).or_default().push(mail);
    }
    let excused = town.tally.outages_s(now_s(), 2.0);
    let (mut sent, mut repeated, mut in_vain) = (0, 0, 0);
    for row in &rows {
        let id = format!("<xenbeta.{}.{}@example.com>", row.id, row.created_s.floor());
        let copies = came.remove(&id).unwrap_or_default();
        if let Some(other) = copies.iter().find(|it| it.to != [row.recipient.clone()]) {
            town.tally
                .fault(format_args!("mail {row:?} went to {:?}", other.to));
        }
        // Ended between the server's word and its own, a mailer sends it once more, with the same Message-ID.
        let cut = |at: f64| excused.iter().any(|(from, to)| (*from..=*to).contains(&at));
        let all_but_last_cut = copies.iter().rev().skip(1).all(|it| cut(it.at));
        repeated += copies.len().saturating_sub(1);
        let right = match row.state.as_str() {
            "sent" => {
                !copies.is_empty()
                    && all_but_last_cut
                    && row.attempts >= i32::try_from(copies.len()).unwrap()
            }
            "failed" => {
                row.last_error.starts_with("Not sent:") && copies.iter().all(|it| cut(it.at))
            }
            _ => false,
        };
        sent += usize::from(row.state == "sent");
        in_vain += usize::from(row.state == "failed");
        if !right {
            let at: Vec<f64> = copies.iter().map(|it| it.at).collect();
            town.tally
                .fault(format_args!("mail of {}: {row:?} came at {at:?}", row.kind));
        }
    }
    for (id, mails) in came {
        town.tally.fault(format_args!(
            "a mail without a row: {id} {:?}",
            mails[0].headers.get("Subject")
        ));
    }
    town.tally.note(format_args!(
        "{} mails: {sent} sent, {in_vain} not worth sending, {repeated} repeated by what was cut",
        rows.len()
    ));
    causes(town);
}

/// How many mails of a kind an account's member is due, by what happened.
fn causes(town: &Town) {
    let moves = |of: &str, kinds: &str| {
        format!(
            "SELECT account_id AS account, count(*) AS due FROM audit_events JOIN migrations ON object = 'migration ' || migrations.id \
             WHERE action = 'migration' AND {of} AND kind IN ({kinds}) GROUP BY 1"
        )
    };
    // A batch tells each account once: of one Linode by the mail that it has for that, of several by a list.
    let singly = |kind: &str| {
        format!(
            "SELECT account_id AS account, count(*) AS due FROM (SELECT batch_id, account_id FROM batch_items WHERE outcome = 'done' \
             GROUP BY 1, 2 HAVING count(*) = 1) AS alone JOIN batches ON id = batch_id WHERE kind = '{kind}' GROUP BY 1"
        )
    };
    // Each offer by its own mail, but those that a batch made together. One that stands again after its member's cancel is
    // nobody's, and they know of it.
    let offered = "SELECT account, sum(offers)::bigint AS due FROM ( \
           SELECT account_id AS account, count(*) AS offers FROM migrations \
           WHERE kind IN ('beta', 'graduation') AND offered_by IS NOT NULL GROUP BY 1 \
         UNION ALL \
           SELECT account_id, -count(*) FROM (SELECT account_id, count(*) OVER (PARTITION BY batch_id, account_id) AS beside \
             FROM batch_items JOIN batches ON id = batch_id WHERE outcome = 'done' AND kind = 'configure') AS items \
           WHERE beside > 1 GROUP BY 1 \
         ) AS both_ways GROUP BY 1";
    let all = "'beta', 'graduation', 'evacuation', 'return'";
    let due = [
        (
            "registered",
            "SELECT account_id AS account, count(*) AS due FROM registrations GROUP BY 1"
                .to_owned(),
        ),
        ("approved", singly("approve")),
        ("declined", singly("decline")),
        (
            "batch",
            "SELECT account_id AS account, count(*) AS due FROM (SELECT batch_id, account_id FROM batch_items WHERE outcome = 'done' \
             GROUP BY 1, 2 HAVING count(*) > 1) AS several GROUP BY 1"
                .to_owned(),
        ),
        ("offer_ready graduation_ready", offered.to_owned()),
        (
            "started",
            moves("before = 'queued' AND after = 'preparing'", all),
        ),
        (
            "finished",
            moves(
                "before = 'switching' AND after = 'finished'",
                "'beta', 'graduation', 'evacuation'",
            ),
        ),
        ("returned", moves("after = 'returned'", all)),
        ("failed", moves("after = 'failed'", all)),
        (
            "confirmed",
            moves("after = 'confirmed'", "'beta', 'evacuation', 'return'"),
        ),
        ("graduated", moves("after = 'confirmed'", "'graduation'")),
        (
            "called_off",
            moves(
                "after = 'cancelled' AND reason <> ''",
                "'beta', 'graduation', 'return'",
            ),
        ),
        ("offer_expired", moves("after = 'expired'", all)),
    ];
    for (kind, causes) in due {
        let wrong = ask(
            town,
            &format!(
                "SELECT email || ': ' || COALESCE(due, 0) AS name, COALESCE(had, 0)::bigint AS count FROM users \
                 LEFT JOIN ({causes}) AS causes ON causes.account = users.account_id \
                 LEFT JOIN (SELECT recipient, count(*) AS had FROM outbox WHERE kind = ANY(string_to_array('{kind}', ' ')) GROUP BY 1) AS mails ON recipient = email \
                 WHERE role = 'member' AND email <> '{DISABLED}' AND COALESCE(due, 0) <> COALESCE(had, 0)"
            ),
        );
        for row in wrong {
            town.tally.fault(format_args!(
                "mails {kind} of {} due, {} there",
                row.name, row.count
            ));
        }
    }
}
