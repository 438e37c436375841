//! Who of the staff may do what: each role at each route, what pages offer, who gives roles, and what somebody had asked for
//! whose role was taken.

use std::collections::BTreeMap;

use scraper::{Html, Selector};
use xenbeta::app::account::staff::{FirstPassword, NewStaff};
use xenbeta::app::context::{Actor, Who};
use xenbeta::app::error::AppError;
use xenbeta::domain::account::{Right, StaffRole, UserRole, least, may};
use xenbeta::domain::ids::{HostId, UserId};
use xenbeta::domain::mail::MailKind;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::ownership::joint::JointKind;
use xenbeta::domain::string_enum::StringEnum;
use xenbeta::store;

use crate::both_databases;
use crate::browser::{Browser, Site};
use crate::pages::{MATRIX, address, ask, rights};
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, STAFF_EMAIL, WEB, XEN1, XEN2};
use crate::support::hand::now_click;
use crate::support::jobs;
use crate::support::{On, TestApp};

const SAM: UserId = UserId(3);
const SUE: UserId = UserId(4);
const SUE_EMAIL: &str = "sue@example.net";

fn email(role: StaffRole) -> String {
    format!("{role}@example.net")
}

/// Somebody of each role, beside Sam, who is an owner.
fn with_each_role(app: TestApp) -> TestApp {
    let app = app.with_fleet().with_passwords();
    for (id, role) in (50..).zip(StaffRole::ALL) {
        app.sql(&format!(
            "INSERT INTO users (id, email, name, role, staff_role, timezone, disabled, created_at, password_hash) \
             SELECT {id}, '{}', '{role}', 'staff', '{role}', 'UTC', FALSE, created_at, password_hash FROM users WHERE id = 3",
            email(*role)
        ));
    }
    app
}

fn as_role(app: &TestApp, role: StaffRole) -> Actor {
    let found = app.in_db(|conn| store::account::user_by_email(conn, &email(role)));
    Actor {
        user: found.unwrap().id,
        role: UserRole::Staff,
        staff_role: Some(role),
        name: email(role),
        ..app.staff()
    }
}

/// The second of the staff's two owners, as an operator.
fn give_sue(app: &TestApp, role: StaffRole) {
    app.set_staff_role(&app.staff(), SUE, (StaffRole::Owner, role))
        .unwrap();
}

/// The right of the route that an address leads to.
fn taken(rights: &BTreeMap<(String, String), Right>, method: &str, url: &str) -> Option<Right> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let fits = |route: &str| {
        let (mut a, mut b) = (route.split('/'), path.split('/'));
        loop {
            match (a.next(), b.next()) {
                (None, None) => return true,
                (Some(part), Some(word)) if part == word => {}
                (Some(part), Some(word)) if part.starts_with('{') && !word.is_empty() => {}
                _ => return false,
            }
        }
    };
    let exact = rights.get(&(method.to_owned(), path.to_owned()));
    exact.copied().or_else(|| {
        let mut found = rights
            .iter()
            .filter(|((m, route), _)| m == method && fits(route));
        found.next().map(|(_, right)| *right)
    })
}

/// What a page offers: method and address of its links and forms.
fn offers(body: &str) -> Vec<(&'static str, String)> {
    let page = Html::parse_document(body);
    let select = |css: &str| Selector::parse(css).unwrap();
    let mut all: Vec<(&'static str, String)> = page
        .select(&select("a[href^='/staff']"))
        .map(|link| ("GET", link.attr("href").unwrap().to_owned()))
        .collect();
    for form in page.select(&select("form[action^='/staff']")) {
        let method = if form.attr("method") == Some("post") {
            "POST"
        } else {
            "GET"
        };
        all.push((method, form.attr("action").unwrap().to_owned()));
    }
    all
}

/// Looks at every page that a role can read, from address to address, and says what it should not offer.
fn too_much(browser: &mut Browser, role: StaffRole, from: &[String]) -> (usize, Vec<String>) {
    let rights = rights();
    let mut todo = from.to_vec();
    let mut seen = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    while let Some(url) = todo.pop() {
        if seen.len() > 250 || !seen.insert(url.clone()) || url.ends_with("/events") {
            continue;
        }
        let page = browser.get(&url);
        if page.status != 200
            || !page
                .headers
                .get("content-type")
                .is_some_and(|it| it.starts_with("text/html"))
        {
            continue;
        }
        for (method, to) in offers(&page.body) {
            let Some(right) = taken(&rights, method, &to) else {
                continue;
            };
            if !may(role, right) {
                wrong.push(format!("{role}: {url} offers {method} {to}"));
            } else if method == "GET"
                && right == Right::Read
                && !to.contains('?')
                && !to.ends_with(".csv")
            {
                todo.push(to);
            }
        }
    }
    (seen.len(), wrong)
}

both_databases! {
    fn each_role_gets_what_its_rights_allow(app: TestApp) {
        let app = with_each_role(app);
        let migration = app.clicked(WEB);
        app.reconcile().unwrap();
        let registration = migration.registration_id.unwrap();
        let job = app.in_db(|conn| jobs::of_migration(conn, migration.id)).first().unwrap().id;
        let ids = (migration.id.0, registration.0, job.0);
        let site = Site::serve(&app.app);
        let rights = rights();
        // What changes something last, and first by those who may the least.
        for method in ["GET", "POST"] {
            for role in StaffRole::ALL {
                let mut browser = site.signed_in(&email(*role));
                let token = browser.get("/members/accounts").token();
                for (_, path, [.., owners]) in MATRIX.iter().filter(|(of, path, _)| *of == method && path.starts_with("/staff/")) {
                    let right = rights[&(method.to_owned(), (*path).to_owned())];
                    if *owners == 0 {
                        continue;
                    }
                    let reply = ask(&mut browser, method, &address(path, ids), &token);
                    let told = format!("{method} {path} as {role}: {} {}", reply.location, reply.text());
                    if !may(*role, right) {
                        assert_eq!(reply.status, 403, "{told}");
                        reply.says(&["You cannot do this", &format!("the role {}", least(right)), &format!("yours is {role}"), "An owner of this portal can give it to you", "Who the owners are"]);
                    } else if method == "GET" {
                        assert_eq!(reply.status, *owners, "{told}");
                    } else {
                        assert_ne!(reply.status, 403, "{told}");
                    }
                }
            }
        }
        // Refusals are in the trail, with who it was.
        app.tell_refusals().unwrap();
        let mut auditor = site.signed_in(&email(StaffRole::Viewer));
        auditor.get("/staff/audit?action=right.refused").shows(&["right.refused", "by operator@example.net"]);
    }

    fn pages_offer_what_their_reader_may_do(app: TestApp) {
        let app = with_each_role(app);
        let row = app.clicked(WEB);
        app.reconcile().unwrap();
        app.fail_mails();
        app.approved(crate::support::fleet::DB);
        app.register(&app.member(), &[crate::support::fleet::OLD]).unwrap();
        let bug = crate::bug::thread::opened(&app, "Disk slow");
        app.ask_joint(&app.staff(), PASSWORD, (JointKind::Takeover, XEN2), "burnt").unwrap();
        let site = Site::serve(&app.app);
        let from: Vec<String> = ["/staff/", "/staff/registrations?state=approved", "/staff/mail?state=failed", "/staff/mail/1", "/staff/members/1", "/staff/hosts/1", "/staff/hosts/4", "/staff/programme", "/staff/joint/1", "/staff/fairness/weights?kind=linear&base=0&unit_mb=2&linode=101&weight=512&reason=x"]
            .into_iter().map(str::to_owned)
            .chain([format!("/staff/bugs/{bug}"), format!("/staff/migrations/{}", row.id)])
            .collect();
        for role in StaffRole::ALL {
            let mut browser = site.signed_in(&email(*role));
            let (pages, wrong) = too_much(&mut browser, *role, &from);
            assert!(pages > 30, "{pages}");
            assert_eq!(wrong, Vec::<String>::new());
            // The tabs have what can be read, which is everything.
            browser.get("/staff/").says_at("nav a", &["Today", "Members", "Moves", "Hosts", "Talk & records"]);
            browser.get("/staff/audit").says_at("nav a", &["Bugs", "Audit", "Programme"]);
        }
        // What is not offered says why.
        let mut auditor = site.signed_in(&email(StaffRole::Viewer));
        let why = "yours is viewer";
        for page in ["/staff/programme", "/staff/programme/times", "/staff/hosts/1", "/staff/members/1", "/staff/registrations", &format!("/staff/bugs/{bug}")] {
            auditor.get(page).shows(&[why]);
        }
        auditor.get("/staff/programme").hides(&["Save the programme", "End the beta…"]);
        let mut owner = site.signed_in(STAFF_EMAIL);
        owner.get("/staff/programme").shows(&["Save the programme", "End the beta…"]).hides(&["yours is"]);
    }

    fn roles_are_given_by_owners_to_others_and_count_at_once(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let site = Site::serve(&app.app);
        let (mut sam, mut sue) = (site.signed_in(STAFF_EMAIL), site.signed_in(SUE_EMAIL));
        // One's own role is changed by nobody.
        sue.get("/staff/members/4").hides(&["Change the role…"]);
        assert!(matches!(app.set_staff_role(&app.staff(), SAM, (StaffRole::Owner, StaffRole::Viewer)), Err(AppError::Conflict(_))));
        sue.get("/members/accounts").shows(&["owner: everything"]);
        let page = sam.get("/staff/members/4");
        assert_eq!(page.fact("Role"), "owner: everything, also the programme, people and their roles");
        let question = sam.get(&page.link("Change the role…"));
        question.shows(&["It counts from their next click on", "sees all of staff’s pages and changes nothing"]);
        let reply = sam.submit(&question, "Change the role of sue@example.net", &[("role", "support")]);
        assert_eq!(sam.follow(&reply).said(), "sue@example.net is support.");
        assert_eq!(sam.submit(&question, "Change the role of sue@example.net", &[("role", "support")]).status, 303, "twice is once");
        // What was shown is not there any more: somebody else was here.
        assert_eq!(sam.submit(&question, "Change the role of sue@example.net", &[("role", "operator")]).status, 409);
        // The session goes on, with what the role allows now.
        sue.get("/staff/").shows(&["Staff dashboard"]);
        assert_eq!(sue.get("/staff/hosts/new").status, 403);
        assert_eq!(sue.get("/staff/members/1/disable").status, 403);
        assert_eq!(sue.get("/staff/members/3/role").status, 403);
        sue.get("/staff/faq/new").shows(&["New FAQ entry"]);
        assert!(matches!(app.set_staff_role(&app.second_staff(), SAM, (StaffRole::Owner, StaffRole::Viewer)), Err(AppError::Right(..))), "looked at in the transaction, too");
        sam.get("/staff/members?show=staff&role=support").shows(&[SUE_EMAIL, "Staff, support"]).hides(&[STAFF_EMAIL]);
        assert_eq!(sam.get("/staff/members?role=king").status, 400);
        // It is told, and in the trail.
        let mail = sam.get("/staff/mail?q=sue@");
        assert_eq!(mail.column("Mail", "Subject"), ["Your role among the staff is changed"]);
        sam.get("/staff/audit?action=staff.role").shows(&["owner", "support", "user 4"]);
        // Members have none, and nothing of a form gives them one.
        assert_eq!(sam.get("/staff/members/1/role").status, 404);
        assert!(matches!(app.set_staff_role(&app.staff(), UserId(1), (StaffRole::Viewer, StaffRole::Owner)), Err(AppError::Conflict(_))));
    }

    fn the_last_owner_who_can_sign_in_stays_one(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let command = Who { name: "command line", address: "", user: None };
        give_sue(&app, StaffRole::Operator);
        let last = |done: Result<bool, AppError>| matches!(done, Err(AppError::Conflict(why)) if why.contains("last owner"));
        assert!(last(app.set_staff_role_of(command, STAFF_EMAIL, StaffRole::Viewer)));
        // An owner who is disabled is none that counts.
        app.set_staff_role(&app.staff(), SUE, (StaffRole::Operator, StaffRole::Owner)).unwrap();
        app.set_user_disabled(&app.staff(), SUE, true).unwrap();
        assert!(last(app.set_staff_role_of(command, STAFF_EMAIL, StaffRole::Viewer)));
        let refused = app.set_user_disabled(&app.second_staff(), SAM, true);
        assert!(matches!(refused, Err(AppError::SignIn)), "who is disabled disables nobody");
        // Broken glass: by the command line.
        let link = app.restore_owner(command, SUE_EMAIL).unwrap();
        let token = link.rsplit('/').next().unwrap();
        let from = xenbeta::app::account::sign_in::Origin { address: "192.0.2.1", user_agent: "", device: "" };
        app.reset_password(token, "quite another password", from).unwrap();
        assert!(app.sign_in(SUE_EMAIL, "quite another password", from).unwrap().is_some());
        assert!(app.set_staff_role_of(command, STAFF_EMAIL, StaffRole::Viewer).unwrap());
        let site = Site::serve(&app.app);
        let mut sam = site.signed_in(STAFF_EMAIL);
        sam.get("/staff/audit?action=staff.restore").shows(&["command line", "owner, disabled", "owner, enabled"]);
        assert!(matches!(app.restore_owner(command, MEMBER_EMAIL), Err(AppError::Conflict(_))), "members are not made staff by it");
        // New ones have what was said, and nothing else.
        let new = NewStaff { email: "eve@example.net", name: "Eve", role: StaffRole::Viewer };
        if app.on() == On::Postgresql {
            app.sql("SELECT setval(pg_get_serial_sequence('users', 'id'), 1000)");
        }
        app.add_staff(command, &new, &FirstPassword::Link).unwrap();
        sam.get("/staff/members?role=viewer").shows(&["eve@example.net"]);
    }

    fn what_was_ordered_by_somebody_who_may_not_any_more_is_not_done(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        // An act that takes two: the first one is an operator no more when the second agrees.
        let act = app.ask_joint(&app.second_staff(), PASSWORD, (JointKind::Takeover, XEN2), "burnt").unwrap();
        // And a move that she ordered, which waits in the queue.
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        app.sql(&format!("UPDATE migrations SET queued_by = 4 WHERE id = {}", row.id));
        give_sue(&app, StaffRole::Support);
        let refused = app.decide_joint(&app.staff(), PASSWORD, act, true);
        assert!(matches!(refused, Err(AppError::Conflict(why)) if why.contains("may not do so any more")));
        assert_eq!(app.reconcile().unwrap().admitted, 0);
        assert_eq!(app.migration(row.id).state, MigrationState::Offered, "its offer stands");
        // Her own way to the use cases is closed as well as her pages.
        let sue = Actor { staff_role: Some(StaffRole::Support), ..app.second_staff() };
        assert!(matches!(app.cancel_migration(&sue, row.id), Err(AppError::Right(Right::Moves, _))));
        assert!(matches!(app.revoke_host(&sue, HostId(1)), Err(AppError::Right(Right::Hosts, _))));
        assert!(matches!(app.set_user_disabled(&sue, UserId(1), true), Err(AppError::Right(Right::People, _))));
    }

    fn mail_for_staff_goes_to_those_who_can_act_on_it(app: TestApp) {
        let app = with_each_role(app);
        crate::bug::thread::opened(&app, "First");
        app.tell_news().unwrap();
        let site = Site::serve(&app.app);
        let mut sam = site.signed_in(STAFF_EMAIL);
        let to = |sam: &mut Browser, q: &str| sam.get(&format!("/staff/mail?q={q}@example.net")).column("Mail", "Kind");
        assert!(to(&mut sam, "viewer").is_empty());
        assert_eq!(to(&mut sam, "support").len(), 1);
        let who = |kind| -> Vec<String> { app.in_db(|conn| store::account::staff_who_get(conn, kind)).into_iter().map(|it| it.email).collect() };
        assert_eq!(who(MailKind::StaffNeeded), ["operator@example.net", "owner@example.net", STAFF_EMAIL]);
        assert_eq!(who(MailKind::BugOpened), ["operator@example.net", "owner@example.net", STAFF_EMAIL, "support@example.net"]);
        // The choices on one's own page are of those kinds.
        let mut viewer = site.signed_in(&email(StaffRole::Viewer));
        viewer.get("/members/accounts").shows(&["viewer: sees all of staff’s pages"]).hides(&["Members have opened bugs"]);
        let mut support = site.signed_in(&email(StaffRole::Support));
        support.get("/members/accounts").shows(&["Members have opened bugs"]);
        let operator = as_role(&app, StaffRole::Operator);
        assert!(operator.may(Right::Hosts) && !operator.may(Right::People));
    }
}
