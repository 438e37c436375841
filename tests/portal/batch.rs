//! Many registrations decided by one form: in the background, each once, with one mail for each account.

use std::time::Duration;

use xenbeta::app::batch::NewOrder;
use xenbeta::app::context::Actor;
use xenbeta::app::error::AppError;
use xenbeta::domain::batch::{BatchKind, BatchState, ItemOutcome};
use xenbeta::domain::ids::{BatchId, HostId, RegistrationId};
use xenbeta::domain::registration::RegistrationState;
use xenbeta::store;
use xenbeta::store::batch::{NewItem, Progress};

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, WEB, XEN2};

const LONG: Duration = Duration::from_secs(60);

impl TestApp {
    /// Registered by their members, by id.
    fn registered(&self) -> Vec<RegistrationId> {
        self.register(&self.member(), &[WEB, DB, OLD]).unwrap();
        self.register(&self.other_member(), &[THEIRS]).unwrap();
        [WEB, DB, OLD, THEIRS]
            .map(|linode| {
                self.in_db(|conn| store::registration::newest_of(conn, linode))
                    .unwrap()
                    .id
            })
            .to_vec()
    }

    fn progress_of(&self, id: BatchId) -> Progress {
        self.in_db(|conn| store::batch::progress(conn, id))
            .expect("is there")
    }

    fn waiting(&self) -> i64 {
        self.in_db(|conn| store::registration::count(conn, RegistrationState::Requested))
    }

    fn begins(&self, kind: BatchKind, of: &[RegistrationId], to: Option<HostId>) -> BatchId {
        self.begin_batch(&self.staff(), &order(kind, of, to))
            .expect("begins")
    }
}

fn order(kind: BatchKind, of: &[RegistrationId], destination: Option<HostId>) -> NewOrder {
    NewOrder {
        kind,
        of: of
            .iter()
            .map(|id| NewItem {
                to: destination,
                ..NewItem::of(id.0)
            })
            .collect(),
        reason: "There is no room for it now.".to_owned(),
        off: None,
        once: format!("{kind}-{}-of-it", of.len()),
    }
}

both_databases! {
    fn an_account_gets_one_mail(app: TestApp) {
        let app = app.with_fleet();
        let all = app.registered();
        let id = app.begins(BatchKind::Approve, &all, None);
        assert_eq!(app.waiting(), 4, "begun is not done");
        app.work_on(id, LONG).unwrap();
        assert_eq!(app.waiting(), 0);
        let told = app.mails_of("batch");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("3 of your Linodes are approved: db old web"), "{}", told[0]);
        let alone = app.mails_of("approved");
        assert!(alone.len() == 1 && alone[0].contains("theirs"), "{alone:?}");
        let of = app.progress_of(id);
        assert_eq!((of.batch.state, of.count(Some(ItemOutcome::Done)), of.count(None)), (BatchState::Ended, 4, 0));
        // All of it again finds it done, and tells nobody.
        let again = app.begin_batch(&app.staff(), &NewOrder { once: "another-form".to_owned(), ..order(BatchKind::Approve, &all, None) }).unwrap();
        app.work_on(again, LONG).unwrap();
        assert_eq!(app.progress_of(again).count(Some(ItemOutcome::Before)), 4);
        assert_eq!((app.mails_of("batch").len(), app.mails_of("approved").len()), (1, 1));
    }

    fn a_form_sent_twice_is_one(app: TestApp) {
        let app = app.with_fleet();
        let all = app.registered();
        let of = order(BatchKind::Decline, &all, None);
        let first = app.begin_batch(&app.staff(), &of).unwrap();
        assert_eq!(app.begin_batch(&app.staff(), &of).unwrap(), first);
        app.work_on(first, LONG).unwrap();
        assert_eq!(app.begin_batch(&app.staff(), &of).unwrap(), first);
        assert!(app.mails_of("batch")[0].contains("There is no room for it now."));
        let wordless = NewOrder { reason: " ".to_owned(), ..of.clone() };
        assert!(matches!(app.begin_batch(&app.staff(), &wordless), Err(AppError::Invalid { .. })));
        assert!(app.begin_batch(&app.member(), &of).is_err());
        let empty = NewOrder { of: Vec::new(), once: "another-form".to_owned(), ..of };
        assert!(matches!(app.begin_batch(&app.staff(), &empty), Err(AppError::Invalid { .. })));
    }

    /// Whoever finds no place keeps waiting: it is not approved by the way.
    fn what_has_no_place_stays_as_it_is(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.registered();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let list = staff.get("/staff/registrations");
        let review = staff.submit(&list, "Approve and configure…", &[("all", "yes")]);
        // xen1 has room for three of these four, xen2 for two: all find a place by themselves.
        review.says(&["Configure 4 registrations"]);
        let reply = staff.submit(&review, "Configure 4 registrations", &[("destination", &XEN2.to_string())]);
        let page = staff.follow(&reply);
        assert_eq!(page.heading(), "Configure 4 registrations");
        assert_eq!((page.fact("configured"), page.fact("refused"), page.fact("not done")), ("2".to_owned(), "2".to_owned(), "0".to_owned()));
        let why = page.column("What was refused, and why", "Why");
        assert!(why.iter().all(|it| it.contains("xen2 cannot take this Linode")), "{why:?}");
        assert_eq!(app.waiting(), 2);
        let offered = app.mails_of("offer_ready").len() + app.mails_of("batch").len();
        assert!(offered >= 1 && app.mails_of("approved").is_empty());
        assert_eq!(site.signed_in(MEMBER_EMAIL).get(&page.path).status, 404);
    }

    fn portals_share_it_and_one_that_dies_leaves_it_to_others(app: TestApp) {
        let app = app.with_fleet();
        let all = app.registered();
        let id = app.begins(BatchKind::Approve, &all, None);
        // A piece, and the portal is gone.
        app.work_on(id, Duration::ZERO).unwrap();
        app.work_batches(Duration::ZERO).unwrap();
        let portals: Vec<_> = (0..4).map(|_| app.second()).collect();
        std::thread::scope(|scope| {
            for portal in &portals {
                scope.spawn(|| portal.work_on(id, LONG).unwrap());
            }
        });
        assert_eq!(app.progress_of(id).count(Some(ItemOutcome::Done)), 4);
        assert_eq!((app.mails_of("batch").len(), app.mails_of("approved").len()), (1, 1));
        let decided: Vec<i64> = app.in_db(|conn| {
            use diesel::prelude::*;
            use xenbeta::store::schema::audit_events::dsl;
            Ok(dsl::audit_events.filter(dsl::action.eq("registration")).select(dsl::id).load(conn)?)
        });
        assert_eq!(decided.len(), 4, "each once");
        assert!(!app.work_batches(LONG).unwrap(), "nothing is left");
    }

    fn who_may_decide_no_more_decides_no_more(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let all = app.registered();
        let id = app.begins(BatchKind::Approve, &all, None);
        app.set_user_disabled(&app.second_staff(), app.staff().user, true).unwrap();
        app.work_on(id, LONG).unwrap();
        assert_eq!((app.progress_of(id).batch.state, app.waiting()), (BatchState::Stopped, 4));
        assert!(app.mails_of("batch").is_empty());
    }

    fn it_is_stopped_from_its_page(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let all = app.registered();
        let id = app.begins(BatchKind::Approve, &all, None);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let url = format!("/staff/batches/{id}");
        let page = staff.get(&url);
        assert_eq!((page.heading().as_str(), page.fact("to be done").as_str()), ("Approve 4 registrations", "4"));
        let reply = staff.submit(&page, "Stop the rest", &[]);
        let stopped = staff.follow(&reply);
        assert_eq!(stopped.fact("not done"), "4");
        assert_eq!(staff.submit(&page, "Stop the rest", &[]).status, 303, "twice is once");
        app.work_batches(LONG).unwrap();
        assert_eq!(app.waiting(), 4);
        // What had been done by then is told all the same, and once.
        app.sql("UPDATE batch_items SET outcome = 'done' WHERE item_id IN (SELECT id FROM registrations WHERE linode_id IN (101, 102))");
        app.pass_s(61);
        for _ in 0..2 {
            app.work_batches(LONG).unwrap();
        }
        assert!(app.mails_of("batch")[0].contains("2 of your Linodes are approved: db web"));
        assert_eq!(app.mails_of("batch").len(), 1);
        assert_eq!(staff.get("/staff/batches/987654").status, 404);
        staff.get("/staff/batches").shows(&["Approve 4 registrations", "Stopped", "2 of 4"]);
        let actor: Actor = app.member();
        assert!(app.stop_batch(&actor, id).is_err());
    }
}
