//! Who counts as one asker at the doors, what each may ask for, and that nobody is locked out by others.

use std::time::{Duration, Instant};

use xenbeta::app::account::sign_in::Origin;
use xenbeta::app::error::AppError;
use xenbeta::domain::ids::UserId;
use xenbeta::domain::network::Asker;
use xenbeta::store;
use xenbeta::store::account::session::FailedAt;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::browser::{Browser, Reply, Site};
use crate::races::judge::{count, mails};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, STAFF_EMAIL};

const MIA: UserId = UserId(1);
const OTHER_EMAIL: &str = "otto@example.com";
const GUESS: &str = "a guess that is wrong";

fn proxied(app: TestApp, listen: &str) -> (TestApp, Site) {
    let app = app.with_fleet().with_passwords();
    let site = Site::behind_a_proxy(&app.app, listen);
    (app, site)
}

/// Failed sign-ins from there that were just now, without the hashing of each.
fn failed(app: &TestApp, email: &str, address: &str, times: usize) {
    let asker = Asker::of(address);
    let from = FailedAt {
        asker: &asker.own,
        network: asker.wide.as_deref().unwrap_or_default(),
    };
    let now = app.now();
    let put = |conn: &mut Db| {
        (0..times).try_for_each(|_| {
            store::account::session::insert_sign_in_failure(conn, email, from, now)
        })
    };
    app.db.write(put).unwrap();
}

fn retry_after(reply: &Reply) -> i64 {
    assert_eq!(reply.status, 429, "{}", reply.body);
    reply.headers["retry-after"].parse().unwrap()
}

fn ask_for_link(browser: &mut Browser, email: &str) -> Reply {
    let page = browser.get("/password/forgot");
    browser.submit(&page, "Send the link", &[("email", email)])
}

/// The work behind the answer is done.
fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn from(address: &str) -> Origin<'_> {
    Origin {
        address,
        user_agent: "test",
        device: "",
    }
}

both_databases! {
    fn a_port_behind_the_address_makes_nobody_everybody(app: TestApp) {
        let (_app, site) = proxied(app, "127.0.0.1:0");
        for n in 1..=52 {
            let address = match n % 2 {
                0 => format!("198.51.100.{n}:40512"),
                _ => format!("[2001:db8:{n}00::7]:443"),
            };
            let refused = site.visitor_from(address).sign_in(OTHER_EMAIL, GUESS);
            assert_eq!(refused.status, 422, "{n}");
        }
        assert_eq!(site.visitor_from("198.51.100.200").sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
    }

    fn words_of_a_proxy_that_are_no_addresses_are_not_the_proxy(app: TestApp) {
        let (app, site) = proxied(app, "127.0.0.1:0");
        failed(&app, OTHER_EMAIL, "unreadable: unknown", 50);
        assert_eq!(site.visitor_from("unknown").sign_in(MEMBER_EMAIL, PASSWORD).status, 429);
        assert_eq!(site.visitor_from("_k3x").sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
    }

    fn on_every_address_a_mapped_proxy_is_the_proxy(app: TestApp) {
        let (app, site) = proxied(app, "[::]:0");
        failed(&app, OTHER_EMAIL, "127.0.0.1", 50);
        failed(&app, OTHER_EMAIL, "198.51.100.9", 50);
        assert_eq!(site.visitor_from("198.51.100.7").sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
        assert_eq!(site.visitor_from("::ffff:198.51.100.9").sign_in(MEMBER_EMAIL, PASSWORD).status, 429);
        // The trail has the whole address.
        site.visitor_from("2001:db8:7:7::abc").sign_in(STAFF_EMAIL, PASSWORD);
        let trail = format!("audit_events WHERE action = 'sign_in' AND address = '{}'", "2001:db8:7:7::abc");
        assert_eq!(count(&app, &trail), 1);
    }

    fn a_network_of_ipv6_is_one_guesser(app: TestApp) {
        let (app, site) = proxied(app, "127.0.0.1:0");
        for n in 1..=10 {
            let refused = site.visitor_from(format!("2001:db8:7:7::{n:x}")).sign_in(MEMBER_EMAIL, GUESS);
            assert_eq!(refused.status, 422, "{n}");
        }
        assert_eq!(site.visitor_from("2001:db8:7:7::b").sign_in(MEMBER_EMAIL, PASSWORD).status, 429);
        assert_eq!(site.visitor_from("2001:db8:7:8::b").sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
        // A network around it has a larger budget, and not one for each of its networks.
        for n in 0..20 {
            failed(&app, "nobody@example.com", &format!("2001:db8:9:{n:x}::1"), 10);
        }
        assert_eq!(site.visitor_from("2001:db8:9:ff::1").sign_in(MEMBER_EMAIL, PASSWORD).status, 429);
        assert_eq!(site.visitor_from("2001:db8:9:100::1").sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
    }

    fn retry_after_is_when_it_may_be_tried_again(app: TestApp) {
        let (app, site) = proxied(app, "127.0.0.1:0");
        failed(&app, MEMBER_EMAIL, "198.51.100.7", 4);
        app.pass_s(600);
        failed(&app, MEMBER_EMAIL, "198.51.100.7", 6);
        let mut browser = site.visitor_from("198.51.100.7");
        let wait = retry_after(&browser.sign_in(MEMBER_EMAIL, PASSWORD));
        assert!((295..=302).contains(&wait), "the first of them counts until then: {wait}");
        app.pass_s(wait);
        assert_eq!(browser.sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
    }

    fn links_are_bounded_by_address_and_unknown_addresses_leave_no_entry(app: TestApp) {
        let (app, site) = proxied(app, "127.0.0.1:0");
        let entries = count(&app, "audit_events");
        let mut browser = site.visitor_from("2001:db8:7:7::1");
        let page = browser.get("/password/forgot");
        for n in 0..20 {
            let email = format!("nobody{n}@example.com");
            let reply = browser.submit(&page, "Send the link", &[("email", &email)]);
            assert_eq!(reply.status, 303);
        }
        browser.forwarded_for = "2001:db8:7:7::2".to_owned();
        let refused = browser.submit(&page, "Send the link", &[("email", MEMBER_EMAIL)]);
        assert!((170..=181).contains(&retry_after(&refused)));
        until("all are counted", || app.doors.unsent() == 20);
        assert_eq!(count(&app, "audit_events"), entries, "nobody fills the trail");
        assert_eq!(mails(&app, "password_reset"), 0);
        app.pass_s(181);
        assert_eq!(ask_for_link(&mut browser, MEMBER_EMAIL).status, 303);
        until("it is sent", || mails(&app, "password_reset") == 1);
        assert_eq!(count(&app, "audit_events WHERE action = 'password.forgot'"), 1);
    }

    fn nobody_uses_up_anothers_links(app: TestApp) {
        let (app, site) = proxied(app, "127.0.0.1:0");
        let mut known = site.visitor_from("198.51.100.1");
        assert_eq!(known.sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
        for _ in 0..8 {
            app.forgot_password(MEMBER_EMAIL, from("198.51.100.66")).unwrap();
        }
        assert_eq!(mails(&app, "password_reset"), 5, "one asker's");
        app.forgot_password(MEMBER_EMAIL, from("198.51.100.7")).unwrap();
        assert_eq!(mails(&app, "password_reset"), 6, "the owner's own");
        // From everywhere, nobody's mail is flooded.
        for n in 100..140 {
            app.forgot_password(MEMBER_EMAIL, from(&format!("198.51.100.{n}"))).unwrap();
        }
        assert_eq!(mails(&app, "password_reset"), 20);
        // Staff's is sent, and so is one to a device that she signed in on before.
        app.send_password_reset(&app.staff(), MIA).unwrap();
        assert_eq!(mails(&app, "password_reset"), 21);
        ask_for_link(&mut known, MEMBER_EMAIL);
        until("it is sent", || mails(&app, "password_reset") == 22);
    }

    fn a_shared_address_locks_out_nobody_who_signed_in_before(app: TestApp) {
        let (app, site) = proxied(app, "127.0.0.1:0");
        let shared = "198.51.100.7";
        let mut known = site.visitor_from(shared);
        assert_eq!(known.sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
        let device = known.cookies["lpm-device"].clone();
        let again = |email: &str, password: &str| {
            let mut browser = site.visitor_from(shared);
            browser.cookies.insert("lpm-device".to_owned(), device.clone());
            browser.sign_in(email, password)
        };
        failed(&app, "nobody@example.com", shared, 50);
        failed(&app, MEMBER_EMAIL, shared, 10);
        assert_eq!(site.visitor_from(shared).sign_in(MEMBER_EMAIL, PASSWORD).status, 429, "a stranger's device");
        assert_eq!(again(OTHER_EMAIL, PASSWORD).status, 429, "another's");
        assert_eq!(again(MEMBER_EMAIL, PASSWORD).status, 303);
        // It is no place to guess at either.
        for _ in 0..10 {
            assert_eq!(again(MEMBER_EMAIL, GUESS).status, 422);
        }
        retry_after(&again(MEMBER_EMAIL, PASSWORD));
        app.pass_s(16 * 60);
        failed(&app, "nobody@example.com", shared, 50);
        assert_eq!(again(MEMBER_EMAIL, PASSWORD).status, 303);
        // What was known by the old password is not by the new one.
        let page = known.get("/members/accounts");
        let fields = [("password", PASSWORD), ("new_password", "quite another one")];
        assert_eq!(known.submit(&page, "Change password", &fields).status, 303);
        assert_eq!(again(MEMBER_EMAIL, "quite another one").status, 429);
    }

    fn the_answer_does_not_wait_for_the_link(app: TestApp) {
        let (app, site) = proxied(app, "127.0.0.1:0");
        let mut browser = site.visitor_from("198.51.100.7");
        let page = browser.get("/password/forgot");
        std::thread::scope(|scope| {
            let held = scope.spawn(|| {
                let hold = |conn: &mut Db| {
                    store::account::lock_writer(conn, MIA, None)?;
                    std::thread::sleep(Duration::from_secs(3));
                    Ok::<_, StoreError>(())
                };
                app.db.write(hold).unwrap();
            });
            std::thread::sleep(Duration::from_millis(300));
            let begun = Instant::now();
            let reply = browser.submit(&page, "Send the link", &[("email", MEMBER_EMAIL)]);
            assert_eq!((reply.status, reply.location.as_str()), (303, "/password/forgot/sent"));
            assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
            assert_eq!(mails(&app, "password_reset"), 0, "it waits");
            held.join().unwrap();
        });
        until("it is sent", || mails(&app, "password_reset") == 1);
    }

    fn credentials_that_were_never_good_are_not_looked_up_for_ever(app: TestApp) {
        let app = app.with_fleet();
        let good = app.rotate_credential(&crate::support::hand::agent(crate::support::fleet::UML1)).unwrap().credential;
        let there = "198.51.100.7";
        assert!(app.agent_at(&good, there).unwrap().is_some());
        let mut refused = 0;
        for n in 0..1200 {
            match app.agent_at(&format!("never given {n}"), there) {
                Ok(None) => {}
                Err(AppError::TooMany { retry_after_s }) => {
                    assert!(retry_after_s <= 2);
                    refused += 1;
                }
                other => panic!("{:?}", other.map(|_| ())),
            }
        }
        assert!(refused > 50, "{refused}");
        assert!(app.agent_at(&good, there).unwrap().is_some(), "an agent of the same address works on");
    }
}
