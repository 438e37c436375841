//! What waits for staff is told by mail: once for as long as it stands, and by one of the portals.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use xenbeta::domain::ownership::joint::JointKind;
use xenbeta::store::error::StoreError;
use xenbeta::store::schema::outbox;

use crate::both_databases;
use crate::host::by_hand::says;
use crate::support::TestApp;
use crate::support::fleet::{PASSWORD, UML1, UML2, WEB, XEN1, XEN2};

/// To whom, about what, and what it says.
fn mails(app: &TestApp) -> Vec<(String, String, String)> {
    app.in_db(|conn| {
        Ok::<_, StoreError>(
            outbox::table
                .filter(outbox::kind.eq("staff_needed"))
                .order(outbox::id)
                .select((outbox::recipient, outbox::subject, outbox::text_body))
                .load(conn)?,
        )
    })
}

both_databases! {
    fn a_recovery_that_waits_is_told_once_and_again_when_it_comes_again(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        app.begin_recovery("a backup was put back").unwrap();
        app.pass_watched_s(100);
        app.reconcile().unwrap();
        assert_eq!(mails(&app), vec![], "what puts itself right is nobody's errand");
        app.pass_watched_s(30);
        assert_eq!(app.reconcile().unwrap().alerted, 1);
        app.second().reconcile().unwrap();
        app.reconcile().unwrap();
        let told = mails(&app);
        assert_eq!(told.iter().map(|(to, ..)| to.as_str()).collect::<Vec<_>>(), ["sam@example.net", "sue@example.net"]);
        assert!(told[0].1.contains("waits for hosts that do not report"), "{}", told[0].1);
        assert!(told[0].2.contains("/staff/recovery"), "{}", told[0].2);
        app.all_poll(&[]);
        app.reconcile().unwrap();
        app.reconcile().unwrap();
        app.begin_recovery("and again").unwrap();
        app.pass_watched_s(130);
        app.reconcile().unwrap();
        assert_eq!(mails(&app).len(), 4);
    }

    fn what_waits_at_the_same_time_is_in_one_mail(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        // Two hosts that both say they own it: nobody but staff can tell.
        app.polls(XEN1, vec![says(WEB, 5, 0, true)]);
        app.polls(XEN2, vec![says(WEB, 5, 0, true)]);
        app.reconcile().unwrap();
        assert!(app.is_held(WEB));
        let fault = format!("UPDATE hosts SET ledger_fault = 'its ledger turned up on another machine' WHERE id = {UML2}");
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&fault)?));
        app.pass_watched_s(130);
        app.reconcile().unwrap();
        let told = mails(&app);
        assert_eq!(told.len(), 2, "{told:?}");
        let (_, subject, text) = &told[0];
        assert!(subject.contains("2 things wait for staff"), "{subject}");
        for said in ["web is held", "uml2 gets no work: its ledger turned up on another machine."] {
            assert!(text.replace('\n', " ").contains(said), "{text}");
        }
    }

    fn the_second_of_two_staff_hears_at_once(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        app.ask_joint(&app.staff(), PASSWORD, (JointKind::Takeover, UML1), "its rack burnt").unwrap();
        app.reconcile().unwrap();
        let told = mails(&app);
        assert_eq!(told.len(), 2);
        assert!(told[1].1.contains("Somebody asked for taking uml1 over"), "{}", told[1].1);
    }

    fn two_portals_at_once_tell_it_once(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        app.ask_joint(&app.staff(), PASSWORD, (JointKind::Takeover, UML1), "its rack burnt").unwrap();
        let portals: Vec<_> = (0..4).map(|_| app.second()).collect();
        std::thread::scope(|scope| {
            for portal in &portals {
                scope.spawn(|| portal.reconcile().unwrap());
            }
        });
        assert_eq!(mails(&app).len(), 2);
    }
}
