//! What is kept for how long, and what is never deleted.

use diesel::prelude::*;
use xenbeta::domain::job::{JobKind, JobState};
use xenbeta::domain::migration::MigrationState;
use xenbeta::store;
use xenbeta::wire::{Outcome, Report};

use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::{DB, UML1, WEB, XEN1};
use crate::support::jobs;
use crate::support::memory::take_mails;

const DAY: i64 = 86_400;

fn later(app: &TestApp, days: i64) {
    app.pass_s(days * DAY);
    app.tidy().unwrap();
}

both_databases! {
    fn jobs_go_after_ninety_days_if_nothing_stands_on_them(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        for _ in 0..2 {
            app.power(&app.member(), DB, JobKind::Reboot, None).unwrap();
            let order = app.take(UML1);
            app.answer(UML1, &order, Outcome::Succeeded { report: Report::Done }).unwrap();
        }
        let count = |app: &TestApp| app.in_db(|c| jobs::of_migration(c, row.id)).len();
        let steps = count(&app);
        later(&app, 89);
        assert_eq!(app.in_db(|c| jobs::of_linode(c, DB, 10)).len(), 2);
        later(&app, 2);
        assert_eq!(app.in_db(|c| jobs::of_linode(c, DB, 10)).len(), 1, "the highest id stays: agents' ledgers hold ids");
        assert_eq!(count(&app), steps, "a move that is not over keeps its jobs");
        app.confirm_migration(&app.member(), row.id).unwrap();
        app.work_all(&[UML1, XEN1]);
        later(&app, 91);
        assert!(count(&app) <= 1, "{}", count(&app));
        assert_eq!(app.in_db(|c| store::migration::digests(c, row.id)).len(), 4);
        later(&app, 300);
        assert!(!app.in_db(|c| store::migration::events(c, row.id)).is_empty());
        later(&app, 10);
        assert!(app.in_db(|c| store::migration::events(c, row.id)).len() <= 1);
        assert!(app.in_db(|c| store::migration::digests(c, row.id)).is_empty(), "receipts as long as logs");
    }

    fn mail_loses_its_text_and_then_goes(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let now = app.now();
        let mails = app.db.write(|c| take_mails(c, (now, now.plus_s(1)), 100)).unwrap();
        assert!(mails.len() > 2);
        for mail in &mails[1..] {
            app.db.write(|c| store::mail::mark_sent(c, store::mail::Taken::from(mail), now)).unwrap();
        }
        let text = |app: &TestApp, at: usize| app.in_db(|c| store::mail::mail(c, mails[at].id)).map(|mail| mail.text_body.is_empty());
        later(&app, 29);
        assert_eq!(text(&app, 1), Some(false));
        later(&app, 2);
        assert_eq!((text(&app, 0), text(&app, 1)), (Some(false), Some(true)), "what waits keeps its text");
        later(&app, 150);
        assert_eq!((text(&app, 0), text(&app, 1)), (Some(false), None));
        assert_eq!(text(&app, mails.len() - 1), Some(true), "the highest id stays");
    }

    fn a_mail_that_took_a_deleted_ones_id_is_not_marked(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let now = app.now();
        let mails = app.db.write(|c| take_mails(c, (now, now.plus_s(1)), 100)).unwrap();
        let last = mails.iter().max_by_key(|mail| mail.id).unwrap();
        app.pass_s(5);
        app.run_sql(&format!("UPDATE outbox SET created_at = (SELECT min(created_at) FROM users) WHERE id = {}", last.id));
        app.db.write(|c| store::mail::mark_sent(c, store::mail::Taken::from(last), now)).unwrap();
        app.db.write(|c| store::mail::mark_failed(c, store::mail::Taken::from(last), "no", None)).unwrap();
        assert_eq!(app.in_db(|c| store::mail::mail(c, last.id)).unwrap().state, xenbeta::domain::mail::MailState::Pending);
    }

    fn ended_tokens_and_old_proofs_go(app: TestApp) {
        let app = app.with_fleet();
        let now = app.now();
        app.run_sql("DELETE FROM enrolment_tokens");
        app.new_enrolment_token(app.staff().who(), UML1).unwrap();
        let proof = store::ownership::proof::ProofRow { linode_id: WEB, host_id: UML1, epoch: 1, running: true, at: now, watched_s: app.in_db(store::ownership::memory::get).watched_s };
        app.db.write(|c| store::ownership::proof::put(c, &proof)).unwrap();
        let tokens = |app: &TestApp| {
            use xenbeta::store::schema::enrolment_tokens::dsl;
            app.in_db(|c| Ok(dsl::enrolment_tokens.count().get_result::<i64>(c)?))
        };
        app.tidy().unwrap();
        assert!(app.in_db(|c| store::ownership::proof::of(c, WEB)).is_some());
        assert_eq!(tokens(&app), 1);
        later(&app, 30);
        assert_eq!(tokens(&app), 0);
        assert!(app.in_db(|c| store::ownership::proof::of(c, WEB)).is_none());
    }

    fn a_move_that_failed_is_cancelled_after_a_month(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("warm_copy");
        let no = Outcome::Failed { retry: false, public: "No.".into(), detail: String::new(), console: None, owns: None };
        app.answer(XEN1, &order, no).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
        later(&app, 29);
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
        later(&app, 2);
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        let log = app.in_db(|c| store::migration::events(c, row.id));
        assert!(log.last().unwrap().message.contains("30 days"), "{log:?}");
        let kinds: Vec<_> = app.in_db(|c| jobs::of_migration(c, row.id)).into_iter().filter(|job| job.state == JobState::Pending).map(|job| job.kind).collect();
        assert_eq!(kinds, [JobKind::CloseTransfer, JobKind::Release]);
    }
}
