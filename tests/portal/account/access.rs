//! How long lasts what lets somebody in: sessions, links for a password; and that sign-in tells nobody who has an account.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use xenbeta::app::account::sign_in::Origin;
use xenbeta::app::secrets::{self, purpose};
use xenbeta::store::error::StoreError;
use xenbeta::store::schema::outbox;

use crate::both_databases;
use crate::browser::Site;
use crate::races::judge::count;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD};

const FROM: Origin<'static> = Origin {
    address: "198.51.100.7",
    user_agent: "test",
    device: "",
};
const HOUR: i64 = 3600;

/// The text of the newest mail with a link, when there are so many.
fn linked(app: &TestApp, mails: usize) -> String {
    let begun = Instant::now();
    loop {
        let mut texts: Vec<String> = app.in_db(|conn| {
            Ok::<_, StoreError>(
                outbox::table
                    .filter(outbox::kind.eq("password_reset"))
                    .order(outbox::id)
                    .select(outbox::text_body)
                    .load(conn)?,
            )
        });
        if texts.len() == mails {
            return texts.pop().unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{texts:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

both_databases! {
    fn a_session_ends_at_sign_out_after_twelve_idle_hours_and_after_fourteen_days(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let begin = || app.sign_in(MEMBER_EMAIL, PASSWORD, FROM).unwrap().unwrap().whole().unwrap().token;
        let lives = |token: &str| app.visitor(token).unwrap();
        let (used, idle) = (begin(), begin());
        assert_ne!(used, idle);
        for token in [&used, &idle] {
            assert_eq!(count(&app, &format!("sessions WHERE hash = '{token}'")), 0);
            assert_eq!(count(&app, &format!("sessions WHERE hash = '{}'", secrets::hash(purpose::SESSION, token))), 1);
        }
        app.pass_s(11 * HOUR);
        assert!(lives(&used).is_some());
        app.pass_s(2 * HOUR);
        assert!(lives(&used).is_some() && lives(&idle).is_none());
        let mut hours = 13;
        while lives(&used).is_some() {
            app.pass_s(HOUR);
            hours += 1;
            assert!(hours <= 14 * 24, "however much it is used");
        }
        assert_eq!(hours, 14 * 24);
        let left = begin();
        app.sign_out(&lives(&left).unwrap(), "198.51.100.7").unwrap();
        assert!(lives(&left).is_none());
    }

    fn a_link_for_a_password_is_good_once_for_ten_minutes_and_names_the_portals_host(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut mails = 0;
        let mut ask = || {
            let mut mia = site.visitor();
            let page = mia.get("/password/forgot");
            mia.submit(&page, "Send the link", &[("email", MEMBER_EMAIL)]);
            mails += 1;
            let text = linked(&app, mails);
            // It was asked for at another name: that of the request.
            let (_, rest) = text.split_once("https://lpm.example.net/password/reset/").unwrap();
            assert!(!text.contains(&site.base), "{text}");
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let late = ask();
        assert_eq!(count(&app, &format!("password_resets WHERE hash = '{}'", secrets::hash(purpose::RESET, &late))), 1);
        app.pass_s(590);
        assert!(app.reset_is_good(&late).unwrap());
        app.pass_s(11);
        assert!(!app.reset_is_good(&late).unwrap());
        assert!(app.reset_password(&late, "a password of her own", FROM).is_err());
        let link = ask();
        app.reset_password(&link, "a password of her own", FROM).unwrap();
        assert!(app.reset_password(&link, "and another one of hers", FROM).is_err());
    }

    fn sign_in_says_the_same_whatever_is_wrong(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.sql("UPDATE users SET disabled = TRUE WHERE email = 'otto@example.com'");
        let site = Site::serve(&app.app);
        let said = [
            (MEMBER_EMAIL, "a guess that is wrong"),
            ("nobody@example.com", PASSWORD),
            ("no address at all", PASSWORD),
            ("otto@example.com", PASSWORD),
        ]
        .map(|(email, password)| {
            let reply = site.visitor().sign_in(email, password);
            (reply.status, reply.text().replace(email, ""))
        });
        assert_eq!(said[0].0, 422);
        for other in &said[1..] {
            assert_eq!(*other, said[0]);
        }
    }
}
