//! The second factor: set up, asked for at sign-in, good once; recovery codes; who has to have one; and who is asked again
//! before what matters.

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use xenbeta::app::Settings;
use xenbeta::app::account::sign_in::{Entry, Origin};
use xenbeta::app::context::{Actor, Owes, Who};
use xenbeta::app::error::AppError;
use xenbeta::app::secrets::Secret;
use xenbeta::domain::account::Right;
use xenbeta::domain::ids::UserId;
use xenbeta::domain::second_factor::{Key, Policy};

use crate::both_databases;
use crate::browser::{Browser, Reply, Site};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, STAFF_EMAIL, WEB};

const FROM: Origin<'_> = Origin {
    address: "198.51.100.7",
    user_agent: "test",
    device: "",
};
const HERE: &str = "/members/accounts/second-factor";

/// As it is configured for staff who have to have one, and who are asked again after an hour.
fn strict(mut app: TestApp) -> TestApp {
    app.app.settings = Arc::new(Settings {
        second_factor: Policy::Required,
        proof_s: 3600,
        ..(*app.app.settings).clone()
    });
    app
}

/// The key of a page that sets one up, read as an app would be told it.
fn key(page: &Reply) -> Key {
    let text = page.texts("main code").remove(0).replace(' ', "");
    Key::of_bytes(&BASE32_NOPAD.decode(text.as_bytes()).unwrap()).unwrap()
}

/// Sets one up: the key and the recovery codes.
fn set_up(app: &TestApp, browser: &mut Browser) -> (Key, Vec<String>) {
    let page = browser.get(&format!("{HERE}/setup"));
    let key = key(&page);
    let code = key.shown_at(app.now());
    let done = browser.submit(&page, "Turn it on", &[("code", &code)]);
    done.shows(&["shown this once"]);
    let codes = done.texts("main pre").remove(0);
    (key, codes.split_whitespace().map(str::to_owned).collect())
}

/// As far as the page that asks for a code.
fn half(site: &Site, email: &str, address: &str) -> (Browser, Reply) {
    let mut browser = site.visitor_from(address);
    let asked = browser.sign_in(email, PASSWORD);
    assert_eq!(asked.status, 200, "{}", asked.location);
    asked.shows(&["Now type the code that your app shows"]);
    (browser, asked)
}

fn send(browser: &mut Browser, page: &Reply, code: &str) -> Reply {
    browser.submit(page, "Sign in", &[("code", code)])
}

both_databases! {
    fn it_is_set_up_asked_for_and_each_code_is_good_once(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::behind_a_proxy(&app.app, "127.0.0.1:0");
        let (mut member, mut elsewhere) = (site.signed_in(MEMBER_EMAIL), site.signed_in(MEMBER_EMAIL));
        member.get("/members/accounts").shows(&["Signing in takes your password alone"]);
        let page = member.get(&format!("{HERE}/setup"));
        assert_eq!(page.attribute("main svg", "role").unwrap(), "img");
        // Nothing is there before a code shows that the app has it.
        for wrong in ["", "12345", "000000", "aaaa-aaaa-aaaa-aaaa"] {
            let refused = member.submit(&page, "Turn it on", &[("code", wrong)]);
            assert_eq!(refused.status, 422, "{wrong}");
            assert_eq!(refused.texts("main code"), page.texts("main code"), "the same key");
        }
        assert_eq!(site.visitor().sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
        let (key, codes) = set_up(&app, &mut member);
        assert_eq!(codes.len(), 10);
        assert_eq!(elsewhere.get("/members/").location, "/login?next=/members/", "other sessions have ended");
        member.get("/members/").shows(&["web"]);
        member.get("/members/accounts").shows(&["Signing in takes a code besides the password"]);
        // The code that set it up is used.
        let (mut browser, asked) = half(&site, MEMBER_EMAIL, "192.0.2.7");
        assert_eq!(browser.get("/members/").location, "/login?next=/members/", "half is nothing");
        let used = send(&mut browser, &asked, &key.shown_at(app.now()));
        assert_eq!(used.status, 422);
        used.says_beside("code", "not right, or was used already");
        app.pass_s(30);
        let code = key.shown_at(app.now());
        let (mut second, asked_too) = half(&site, MEMBER_EMAIL, "192.0.2.8");
        let before = browser.cookies.clone();
        let done = send(&mut browser, &used, &code);
        assert_eq!((done.status, done.location.as_str()), (303, "/members/"));
        browser.get("/members/").shows(&["web"]);
        assert_eq!(send(&mut second, &asked_too, &code).status, 422, "good once, for whoever");
        // Half a sign-in is good once, and for ten minutes.
        browser.cookies = before;
        assert_eq!(send(&mut browser, &asked, &code).location, "/login");
        app.pass_s(601);
        assert_eq!(send(&mut second, &asked_too, &key.shown_at(app.now())).location, "/login");
        // The secret is in the database, and not to be read there.
        let sealed = app.in_db(|conn| xenbeta::store::account::second_factor::get(conn, UserId(1))).unwrap().sealed;
        let plain = [BASE32_NOPAD.encode(key.bytes()), data_encoding::BASE64URL_NOPAD.encode(key.bytes())];
        assert!(!plain.iter().any(|plain| sealed.contains(plain)));
        let mut staff = site.signed_in(STAFF_EMAIL);
        staff.get("/staff/mail?q=mia").shows(&["Your second factor for signing in"]);
        staff.get("/staff/audit?action=second_factor.on").shows(&[MEMBER_EMAIL]);
        staff.get("/staff/audit?action=code.refused").shows(&[MEMBER_EMAIL]);
    }

    fn a_recovery_code_stands_for_one_code_and_new_ones_spoil_the_old(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::behind_a_proxy(&app.app, "127.0.0.1:0");
        let mut member = site.signed_in(MEMBER_EMAIL);
        let (_, codes) = set_up(&app, &mut member);
        let (mut browser, asked) = half(&site, MEMBER_EMAIL, "192.0.2.7");
        let typed = codes[0].to_uppercase().replace('-', " ");
        assert_eq!(send(&mut browser, &asked, &typed).status, 303);
        let (mut browser, asked) = half(&site, MEMBER_EMAIL, "192.0.2.7");
        assert_eq!(send(&mut browser, &asked, &codes[0]).status, 422, "each once");
        assert_eq!(member.get(HERE).fact("Recovery codes left"), "9");
        let question = member.get(&format!("{HERE}/codes"));
        let made = member.submit(&question, "Make new recovery codes", &[]);
        let anew = made.texts("main pre").remove(0);
        assert_eq!(anew.split_whitespace().count(), 10);
        assert_eq!(send(&mut browser, &asked, &codes[1]).status, 422, "those of before are void");
        assert_eq!(send(&mut browser, &asked, anew.split_whitespace().next().unwrap()).status, 303);
        // Gone is gone.
        let question = member.get(&format!("{HERE}/remove"));
        let reply = member.submit(&question, "Take it away", &[]);
        assert_eq!(member.follow(&reply).said(), "The second factor is taken away.");
        assert_eq!(member.submit(&question, "Take it away", &[]).status, 409);
        assert_eq!(site.visitor().sign_in(MEMBER_EMAIL, PASSWORD).status, 303);
    }

    fn codes_are_guessed_at_ten_times_from_wherever_and_known_devices_go_on(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::behind_a_proxy(&app.app, "127.0.0.1:0");
        let mut member = site.signed_in(MEMBER_EMAIL);
        let (key, codes) = set_up(&app, &mut member);
        for n in 0..10 {
            let (mut browser, asked) = half(&site, MEMBER_EMAIL, &format!("192.0.{n}.7"));
            // Nothing that is no code at all is counted.
            assert_eq!(send(&mut browser, &asked, "what?").status, 422);
            assert_eq!(send(&mut browser, &asked, "aaaa-aaaa-aaaa-aaaa").status, 422);
        }
        let (mut browser, asked) = half(&site, MEMBER_EMAIL, "198.51.100.9");
        app.pass_s(60);
        assert_eq!(send(&mut browser, &asked, &key.shown_at(app.now())).status, 429, "right or not");
        assert_eq!(send(&mut browser, &asked, &codes[0]).status, 429);
        // Where she signed in before, others' guesses count nothing.
        let reply = member.get("/members/accounts");
        member.submit(&reply, "Sign out", &[]);
        let asked = member.sign_in(MEMBER_EMAIL, PASSWORD);
        assert_eq!(send(&mut member, &asked, &key.shown_at(app.now())).status, 303);
    }

    fn a_new_password_keeps_the_second_factor_and_ends_what_waits_for_a_code(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::behind_a_proxy(&app.app, "127.0.0.1:0");
        let mut member = site.signed_in(MEMBER_EMAIL);
        let (key, _) = set_up(&app, &mut member);
        app.pass_s(60);
        let (mut waits, asked) = half(&site, MEMBER_EMAIL, "192.0.2.7");
        let profile = member.get("/members/accounts");
        let new = "an entirely new password";
        assert_eq!(member.submit(&profile, "Change password", &[("password", PASSWORD), ("new_password", new)]).status, 303);
        assert_eq!(send(&mut waits, &asked, &key.shown_at(app.now())).location, "/login");
        let entry = app.sign_in(MEMBER_EMAIL, new, FROM).unwrap().unwrap();
        let Entry::Half(token) = entry else { panic!("no code is asked for") };
        let wrong = app.sign_in_by_code(&token, "000000", FROM).unwrap();
        assert!(wrong.is_none());
        assert!(app.sign_in_by_code(&token, &key.shown_at(app.now()), FROM).unwrap().is_some());
        assert!(matches!(app.sign_in_by_code("xbnothing", "000000", FROM), Err(AppError::SignIn)));
    }

    fn a_form_and_a_way_are_carried_through_the_code(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let (key, codes) = set_up(&app, &mut member);
        let profile = member.get("/members/accounts");
        let mut late = site.visitor();
        let login = late.get("/login?next=/members/bugs");
        let asked = late.submit(&login, "Sign in", &[("email", MEMBER_EMAIL), ("password", PASSWORD)]);
        app.pass_s(30);
        let wrong = send(&mut late, &asked, "aaaa-aaaa-aaaa-aaaa");
        assert_eq!(send(&mut late, &wrong, &key.shown_at(app.now())).location, "/members/bugs");
        // A form sent after the session ended.
        let out = member.get("/members/accounts");
        member.submit(&out, "Sign out", &[]);
        let refused = member.submit(&profile, "Save profile", &[("name", "Mia Muster")]);
        refused.says(&["Mia Muster"]);
        let asked = member.submit(&refused, "Sign in", &[("email", MEMBER_EMAIL), ("password", PASSWORD)]);
        let again = send(&mut member, &asked, &codes[0]);
        again.shows(&["What you sent before is not done yet", "Mia Muster"]);
        let done = member.submit(&again, "Send it again", &[]);
        assert_eq!(member.follow(&done).said(), "Your profile is saved.");
    }

    fn staff_who_have_to_have_one_do_nothing_before(app: TestApp) {
        let app = strict(app.with_fleet().with_second_staff());
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let led = staff.get("/staff/hosts");
        assert_eq!(led.location, format!("{HERE}/setup?next=/staff/hosts"));
        let token = staff.get("/members/accounts").token();
        let refused = staff.post("/staff/members/1/disable", &[("csrf".to_owned(), token)]);
        assert_eq!(refused.status, 403);
        refused.says(&["A second factor is needed", "Set it up"]);
        // Nor do they set one up by a session that was left open.
        app.pass_watched_s(3601);
        let asked = staff.follow(&led);
        assert!(asked.location.starts_with("/again?next=/members/accounts/second-factor/setup"), "{}", asked.location);
        let page = staff.follow(&asked);
        let on = staff.submit(&page, "It is me", &[("password", PASSWORD)]);
        let page = staff.follow(&on);
        let done = staff.submit(&page, "Turn it on", &[("code", &key(&page).shown_at(app.now()))]);
        assert_eq!(done.link("I have kept them: go on"), "/staff/hosts");
        staff.get("/staff/hosts").shows(&["uml1"]);
        // It is theirs to change, and not to be without.
        staff.get(HERE).shows(&["Staff need a second factor here"]).hides(&["Take the second factor away"]);
        let token = staff.get(HERE).token();
        assert_eq!(staff.post(&format!("{HERE}/remove"), &[("csrf".to_owned(), token)]).status, 409);
        // By members' pages they see no more of others than members do.
        let owes = Actor { owes: Some(Owes::SecondFactor { proof: false }), ..app.second_staff() };
        assert!(!owes.may(Right::Read) && app.second_staff().may(Right::Read));
        assert!(matches!(owes.require(Right::Read), Err(AppError::SecondFactor)));
        // Members need none.
        assert_eq!(site.signed_in(MEMBER_EMAIL).get("/members/").status, 200);
    }

    fn who_left_a_browser_open_is_asked_again_before_what_matters(app: TestApp) {
        let app = strict(app.with_fleet().with_passwords());
        app.register(&app.member(), &[WEB]).unwrap();
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        let (key, codes) = set_up(&app, &mut staff);
        let disable = staff.get("/staff/members/1/disable");
        app.pass_watched_s(3601);
        // Reading needs no more than the session; changes do, the page before them and the form itself.
        staff.get("/staff/hosts").shows(&["uml1"]);
        let list = staff.get("/staff/registrations");
        let review = staff.submit(&list, "Approve…", &[("all", "yes")]);
        assert!(review.location.starts_with("/again?next=/staff/registrations/review"), "{} {}", review.status, review.location);
        let refused = staff.submit(&disable, "Disable mia@example.com", &[]);
        assert_eq!(refused.status, 403);
        refused.says(&["Is it you?", "Nothing was changed."]);
        assert!(app.in_db(|conn| xenbeta::store::account::user(conn, UserId(1))).is_some_and(|mia| !mia.disabled));
        // By a code; the password alone is not enough.
        let page = staff.get(&review.location);
        let wrong = staff.submit(&page, "It is me", &[("code", "aaaa-aaaa-aaaa-aaaa")]);
        assert_eq!(wrong.status, 422);
        let on = staff.submit(&wrong, "It is me", &[("code", &key.shown_at(app.now()))]);
        staff.follow(&on).shows(&["Approve 1 registration"]);
        // Members are asked by their password, where they change what signs them in.
        member.get("/members/linodes/101").shows(&["web"]);
        let led = member.get(&format!("{HERE}/setup"));
        assert_eq!(led.location, format!("/again?next={HERE}/setup"));
        let page = member.follow(&led);
        assert_eq!(member.submit(&page, "It is me", &[("password", "wrong")]).status, 422);
        let on = member.submit(&page, "It is me", &[("password", PASSWORD)]);
        member.follow(&on).shows(&["Set a second factor up"]);
        // A form that was refused is sent again after it, be it nothing but a button.
        app.pass_watched_s(3601);
        let refused = staff.submit(&disable, "Disable mia@example.com", &[]);
        refused.says(&["Show that it is you, and send it again"]);
        let proved = staff.submit(&refused, "It is me", &[("code", &codes[0])]);
        let done = staff.submit(&proved, "Send it again", &[]);
        assert_eq!(staff.follow(&done).said(), "mia@example.com is disabled.");
        staff.get("/staff/audit?action=proved").shows(&[STAFF_EMAIL]);
    }

    fn a_lost_one_is_taken_away_by_an_owner_or_by_command(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        staff.get("/staff/members/1").hides(&["Take the second factor away…"]);
        set_up(&app, &mut member);
        let page = staff.get("/staff/members/1");
        assert!(page.fact("Second factor").starts_with("since "));
        let question = staff.get(&page.link("Take the second factor away…"));
        question.shows(&["whoever has the password can sign in"]);
        let button = "Take the second factor of mia@example.com away";
        let reply = staff.submit(&question, button, &[]);
        assert_eq!(staff.follow(&reply).fact("Second factor"), "none");
        assert_eq!(staff.submit(&question, button, &[]).status, 409, "once");
        assert_eq!(member.get("/members/").status, 303, "what they had open has ended");
        assert!(matches!(app.remove_second_factor_of(&app.staff(), UserId(3)), Err(AppError::Conflict(_))), "not one's own");
        // The last owner has lost theirs.
        set_up(&app, &mut staff);
        let command = Who { name: "command line", address: "", user: None };
        app.restore_owner(command, STAFF_EMAIL).unwrap();
        assert!(app.in_db(|conn| xenbeta::store::account::user(conn, UserId(3))).unwrap().second_factor_at.is_none());
    }

    fn with_another_secret_recovery_codes_still_sign_in(app: TestApp) {
        let mut app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (key, codes) = set_up(&app, &mut site.signed_in(MEMBER_EMAIL));
        drop(site);
        app.app.secret = Arc::new(Secret::from_text("another secret, of no use for what was sealed").unwrap());
        app.pass_s(60);
        let enter = |code: &str| {
            let Some(Entry::Half(token)) = app.sign_in(MEMBER_EMAIL, PASSWORD, FROM).unwrap() else { panic!("no code") };
            app.sign_in_by_code(&token, code, FROM)
        };
        let told = enter(&key.shown_at(app.now()));
        assert!(matches!(told, Err(AppError::Conflict(why)) if why.contains("Use a recovery code")));
        assert!(enter(&codes[0]).unwrap().is_some());
    }
}
