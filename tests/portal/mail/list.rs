//! Staff's list of mail: what failed is sent again where that is of use.

use xenbeta::app::error::AppError;
use xenbeta::domain::ids::{MailId, UserId};
use xenbeta::store;
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB};
use crate::support::memory::{MemoryTransport, take_mails};

impl TestApp {
    /// Fails every mail that waits, for good.
    pub fn fail_mails(&self) {
        let now = self.now();
        self.db
            .write(|conn| {
                for mail in take_mails(conn, (now, now.plus_s(60)), 1000)? {
                    store::mail::mark_failed(
                        conn,
                        store::mail::Taken::from(&mail),
                        "550 no such mailbox",
                        None,
                    )?;
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }
}

both_databases! {
    fn failed_mail_is_sent_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.register(&app.member(), &[WEB]).unwrap();
        let row = app.in_db(|conn| xenbeta::store::registration::newest_of(conn, WEB)).unwrap();
        app.approve(&app.staff(), &[row.id]).unwrap();
        app.fail_mails();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let list = staff.get("/staff/mail?state=failed");
        let subjects = list.column("Mail", "Subject");
        assert_eq!(subjects.len(), 2, "{subjects:?}");
        assert!(subjects.iter().any(|it| it.starts_with("web: registered")) && subjects.iter().any(|it| it.starts_with("web: registration")), "{subjects:?}");
        assert_eq!(list.column("Mail", "State"), ["Failed 550 no such mailbox"; 2]);
        let one = staff.get(&list.link("web: registered for the Xen Public Beta"));
        one.shows(&["Hello Mia"]);
        let reply = staff.submit(&one, "Send it again", &[]);
        let again = staff.follow(&reply);
        assert_eq!((again.said(), again.texts("main .tag")), ("It is sent again.".to_owned(), vec!["Waiting".to_owned()]));
        assert_eq!(staff.submit(&one, "Send it again", &[]).status, 303, "twice is once");
        let ask = list.link("Send all failed mail again…");
        let question = staff.get(&ask);
        assert_eq!(question.heading(), "Send 1 mail again?");
        question.shows(&["Of 1 mail that failed, 1 would be sent"]);
        let all = staff.submit(&question, "Send 1 mail again", &[]);
        assert_eq!(staff.follow(&all).said(), "1 mail is sent again.");
        let all = staff.submit(&question, "Send 1 mail again", &[]);
        staff.follow(&all).shows(&["Nothing is left"]);
        let nothing = staff.get(&ask);
        staff.follow(&nothing).shows(&["Nothing is left"]);
        assert_eq!(app.in_db(store::mail::counts), [(xenbeta::domain::mail::MailState::Pending, 2)]);
        assert!(matches!(app.retry_mails(&app.member(), "", 1), Err(AppError::Forbidden)));
        // More have failed since it was asked.
        app.fail_mails();
        let late = staff.submit(&question, "Send 1 mail again", &[]);
        assert_eq!(late.status, 409);
        late.says(&["There are 2 now, and not 1."]);
        staff.get("/staff/mail?q=nobody").shows(&["There is none."]);
        assert_eq!(staff.get("/staff/mail?state=lost").status, 400);
        assert_eq!(staff.get("/staff/mail/999").status, 404);
    }

    fn mail_that_is_of_no_use_is_not_sent_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mail = |id: i64, recipient: &str, stale: &str, text: &str| {
            app.sql(&format!("INSERT INTO outbox (id, kind, recipient, subject, text_body, html_body, state, next_at, created_at, stale_at) VALUES ({id}, 'offer_reminder', '{recipient}', 'Mail {id}', '{text}', '', 'failed', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', {stale})"));
        };
        mail(901, MEMBER_EMAIL, "NULL", "Hello");
        mail(902, MEMBER_EMAIL, "'2026-01-02T00:00:00.000000Z'", "Hello");
        mail(903, MEMBER_EMAIL, "'2126-01-02T00:00:00.000000Z'", "Hello");
        mail(904, MEMBER_EMAIL, "NULL", "");
        mail(905, "otto@example.com", "NULL", "Hello");
        app.set_user_disabled(&app.staff(), UserId(2), true).unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let question = staff.get("/staff/mail/retry");
        question.shows(&["Of 5 mails that failed, 2 would be sent", "3 mails stay as they are"]);
        staff.get("/staff/mail/retry?q=MIA").shows(&["Of 4 mails that failed to “MIA”, 2 would be sent"]);
        let reply = staff.submit(&question, "Send 2 mails again", &[]);
        let again = staff.follow(&reply);
        assert_eq!(again.said(), "2 mails are sent again.");
        assert_eq!(again.column("Mail", "Subject"), ["Mail 903", "Mail 901"]);
        for (id, why) in [(902, "Its moment has passed"), (904, "Its text is not kept any more"), (905, "Its recipient is disabled")] {
            let Err(AppError::Conflict(said)) = app.retry_mail(&app.staff(), MailId(id)) else { panic!("mail {id}") };
            assert!(said.contains(why), "{said}");
        }
        // The mailer looks at it too: of the two that wait, one is stale by now.
        app.sql("UPDATE outbox SET stale_at = '2026-01-03T00:00:00.000000Z' WHERE id = 903");
        let sent = MemoryTransport::default();
        xenbeta::work::mailer::round(&app.app, &sent, "example.net").unwrap();
        assert_eq!(staff.get("/staff/mail/901").texts("main .tag"), ["Sent"]);
        let stale = staff.get("/staff/mail/903");
        stale.shows(&["Not sent: its moment has passed."]);
        assert_eq!(stale.texts("main .tag"), ["Failed"]);
    }
}
