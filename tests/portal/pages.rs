//! The pages through the front door: who sees what, what forms do, and what they say when they do not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use xenbeta::domain::account::Right;
use xenbeta::domain::string_enum::StringEnum;

use crate::both_databases;
use crate::browser::{Browser, Reply, Site};
use crate::support::TestApp;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, UML1, WEB, XEN1, XEN2};
use crate::support::jobs;

const OTHER_EMAIL: &str = "otto@example.com";

fn site(app: &TestApp) -> Site {
    Site::serve(&app.app)
}

both_databases! {
    fn a_member_registers_staff_configure_one_click_moves_it(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = site(&app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        // Two Linodes at once.
        let page = member.get("/members/xenbeta");
        page.shows(&["Xen Public Beta Registration", "Open", "web", "db", "old"]);
        let reply = member.submit(&page, "Register the chosen Linodes", &[("linode", "101"), ("linode", "102")]);
        let page = member.follow(&reply);
        page.shows(&["2 Linodes are registered", "Number 1 in the queue.", "Number 2 in the queue."]);
        member.get("/members/xenbeta").hides(&["2 Linodes are registered"]);

        // Staff take all that wait, after a look at the room.
        staff.get("/staff/").shows(&["2 registrations wait for review"]);
        let list = staff.get("/staff/registrations");
        list.shows(&["web", "db", "Mia Ltd"]);
        let review = staff.submit(&list, "Approve and configure…", &[("all", "yes")]);
        review.shows(&["Configure 2 registrations", "xen1", "Memory free after"]);
        let reply = staff.submit(&review, "Configure 2 registrations", &[]);
        staff.follow(&reply).shows(&["2 registrations are configured."]);

        // One click.
        let page = member.get("/members/");
        let offer = member.get(&page.link("Migrate web"));
        offer.shows(&["What moves", "192.0.2.11", "2.6 under UML", "2.6 on Xen", "/dev/ubda", "/dev/xvda", "hvc0", "Fix fstab"]);
        let reply = member.submit(&offer, "Migrate web", &[]);
        let again = member.submit(&offer, "Migrate web", &[]);
        assert_eq!(reply.location, again.location, "a second click finds the first");
        let running = member.follow(&reply);
        running.shows(&["Migration of web", "Next in the queue"]);
        let live = running.attribute("main", "data-live").unwrap();

        // The stream says what the page says.
        app.reconcile().unwrap();
        let event = member.first_event(&live);
        let page = member.get(&running.path);
        assert_eq!(page.attribute("main", "data-shape").unwrap(), event["shape"].as_str().unwrap());
        for (key, text) in page.live_texts() {
            if key != "asof" && key != "bar" {
                assert_eq!(event["text"][&key].as_str().unwrap(), text, "{key}");
            }
        }
        page.shows(&["Checking the present host", "Cancel the move of web"]);
        staff.get(&running.path.replace("members", "staff")).shows(&["Check this host", "Who did what", MEMBER_EMAIL]);

        app.work_all(&[UML1, XEN1, XEN2]);
        let done = member.get(&running.path);
        done.shows(&["Moved. It runs on its new host.", "Equal", "Please check", "All is well: confirm", "Move web back"]).hides(&["Different"]);
        assert_eq!(done.attribute("main", "data-live"), None, "nothing more to wait for");
        member.get("/members/linodes/101").shows(&["Xen", "xvda: root", "Host Job Queue", "Copy the rest", "2.6 on Xen"]);

        // The way back, and on the other Linode: confirm.
        let question = member.get(&done.link("Move web back"));
        let reply = member.submit(&question, "Move web back", &[]);
        let back = member.follow(&reply);
        back.says(&["Way back"]);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1, XEN2]);
        member.get(&running.path).shows(&["Moved back to the old host."]);

        let offer = member.get("/members/linodes/102/migrate");
        let reply = member.submit(&offer, "Migrate db", &[]);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1, XEN2]);
        let done = member.follow(&reply);
        let question = member.get(&done.link("All is well: confirm"));
        let reply = member.submit(&question, "Confirm the move and delete the old copy of db", &[]);
        member.follow(&reply).shows(&["Moved and confirmed."]);
        assert_eq!(app.newest_migration(DB).state.to_string(), "confirmed");
        assert_eq!(app.newest_migration(WEB).kind.to_string(), "return");
    }

    fn a_24_kernel_is_accepted_first_and_a_time_can_be_chosen(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(OLD);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let site = site(&app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let offer = member.get("/members/linodes/103/migrate");
        offer.shows(&["2.4 to 2.6", "I accept that “default” gets 2.6 on Xen in place of 2.4 under UML"]);
        let refused = member.submit(&offer, "Migrate old", &[]);
        assert_eq!(refused.status, 422);
        refused.says(&["There is a problem", "Confirm that the kernel changes"]);
        assert!(refused.body.contains("<title>Error: Migrate old"), "{}", refused.body);
        let fields = [("when", "at"), ("at", "soon"), ("stop_limit_s", "4"), ("accept_kernels", "yes")];
        let refused = member.submit(&offer, "Migrate old", &fields);
        assert_eq!(refused.status, 422);
        refused.says(&["Enter the date and time", "5 to 600"]);
        assert_eq!(refused.attribute("#at", "value").unwrap(), "soon", "what was typed is kept");
        let at = app.now().plus_days(2).utc().format("%Y-%m-%dT%H:%M").to_string();
        let fields = [("when", "at"), ("at", at.as_str()), ("accept_kernels", "yes")];
        let reply = member.submit(&offer, "Migrate old", &fields);
        let page = member.follow(&reply);
        page.shows(&["It will stop for its move at", "It stops at", "UTC)", "Copying begins at", "Change the time"]);
        // Its time is typed in the member's zone.
        let planned = app.newest_migration(OLD).not_before.unwrap();
        assert!(page.body.contains(&at.replace('T', " ").split(' ').nth(1).unwrap().to_owned()), "{planned}");
        // Changed to now.
        let form = member.get(&page.link("Change the time"));
        let reply = member.submit(&form, "Migrate old", &[("when", "now")]);
        member.follow(&reply).shows(&["Next in the queue"]);
    }

    fn head_is_get_without_a_body(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = site(&app);
        let mut visitor = site.visitor();
        for (path, status) in [("/health", 200), ("/login", 200), ("/members/", 303), ("/no-such-page", 404)] {
            let reply = visitor.head(path);
            assert_eq!(reply.status, status, "{path}");
            assert_eq!(reply.body, "", "{path}");
        }
    }

    fn clear_answers_to_bad_input(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = site(&app);
        let mut visitor = site.visitor();
        // A wrong password and no such person: the same answer.
        let login = visitor.get("/login?next=/members/accounts");
        let wrong = visitor.submit(&login, "Sign in", &[("email", MEMBER_EMAIL), ("password", "not the right one")]);
        let nobody = visitor.submit(&login, "Sign in", &[("email", MEMBER_EMAIL), ("password", "x")]);
        assert_eq!((wrong.status, nobody.status), (422, 422));
        assert_eq!(wrong.text(), nobody.text());
        assert_eq!(wrong.attribute("#email", "value").unwrap(), MEMBER_EMAIL);
        assert_eq!(wrong.attribute("#password", "value").unwrap(), "", "a password is not written back");
        // Then right, and on to where they were going; the session is a new one, the old form secret is gone.
        let mut member = site.visitor();
        let login = member.get("/login?next=/members/accounts");
        let reply = member.submit(&login, "Sign in", &[("email", MEMBER_EMAIL), ("password", crate::support::fleet::PASSWORD)]);
        assert_eq!(reply.location, "/members/accounts");
        assert_eq!(member.cookies.keys().collect::<Vec<_>>(), ["lpm", "lpm-device"]);
        // What they asked for comes back to the letter, though it is a value in another address meanwhile.
        let (mut reader, asked) = (site.visitor(), "/members/faq?q=a%26b+100%25");
        let login = reader.get(asked).location;
        assert_eq!(login, "/login?next=/members/faq%3Fq%3Da%2526b%2B100%2525");
        let login = reader.get(&login);
        let reply = reader.submit(&login, "Sign in", &[("email", MEMBER_EMAIL), ("password", crate::support::fleet::PASSWORD)]);
        assert_eq!(reply.location, asked);
        for foreign in ["//evil.test", "/%5Cevil.test", "https://evil.test/"] {
            let login = site.visitor().get(&format!("/login?next={foreign}"));
            assert!(!login.body.contains("evil.test"), "{foreign}");
        }
        // 300 characters for a name.
        let page = member.get("/members/accounts");
        let long = "x".repeat(300);
        let refused = member.submit(&page, "Save profile", &[("name", &long)]);
        assert_eq!(refused.status, 422);
        assert_eq!(refused.attribute("#name", "value").unwrap(), long);
        // The time zone is chosen among the world's; what is sent all the same is looked at.
        assert_eq!(page.texts("#timezone option[selected]"), ["Europe/Vienna"]);
        assert!(page.texts("#timezone option").len() > 150);
        let refused = member.submit(&page, "Save profile", &[("timezone", "Mars/Base")]);
        assert_eq!(refused.texts("#timezone option[selected]"), ["Mars/Base"], "what was typed is kept");
        refused.says(&["There is a problem", "Europe/Vienna"]);
        // A stolen form: another's token, a foreign page, no token at all.
        let mut thief = site.signed_in(OTHER_EMAIL);
        let (_, action, fields) = page.form("Save profile", &[("name", "Mallory")]);
        let stolen = thief.post(&action, &fields);
        assert_eq!(stolen.status, 403);
        stolen.says(&["This form has expired", "Mallory", "Reference:"]);
        let foreign = member.post_from(&action, &fields, "http://evil.test");
        assert_eq!(foreign.status, 403);
        let bare: Vec<_> = fields.iter().filter(|(name, _)| name != "csrf").cloned().collect();
        assert_eq!(member.post(&action, &bare).status, 403);
        let mut more = fields.clone();
        more.push(("role".to_owned(), "staff".to_owned()));
        assert_eq!(member.post(&action, &more).status, 400, "a field nobody asked for");
        member.get("/members/accounts").hides(&["Mallory"]);
        // A form sent after signing out keeps its text.
        let mut gone = site.signed_in(MEMBER_EMAIL);
        let page = gone.get("/members/accounts");
        let cookies = gone.cookies.clone();
        gone.submit(&page, "Sign out", &[]);
        gone.cookies = cookies;
        let late = gone.submit(&page, "Save profile", &[("name", "Typed with care")]);
        assert_eq!(late.status, 403);
        late.says(&["This form has expired", "Typed with care"]);
        assert_eq!(gone.get("/members/").location, "/login?next=/members/");
    }

    fn an_offer_that_has_ended_says_so(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, None).unwrap();
        let site = site(&app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let offer = member.get("/members/linodes/101/migrate");
        app.pass_s(13 * 86_400);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let offer = member.get(&offer.path);
        app.pass_s(2 * 86_400);
        // The session, like the offer, has passed its time: a new one, with the old form's offer.
        let mut late = site.signed_in(MEMBER_EMAIL);
        let (_, action, mut fields) = offer.form("Migrate web", &[]);
        let token = late.get("/members/accounts").token();
        fields.iter_mut().filter(|(name, _)| name == "csrf").for_each(|(_, value)| value.clone_from(&token));
        let reply = late.post(&action, &fields);
        assert_eq!(reply.status, 409, "{}", reply.text());
        reply.says(&["This offer has ended", "See how its registration stands"]);
    }

    fn passwords_and_sessions(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = site(&app);
        let (mut one, mut two) = (site.signed_in(MEMBER_EMAIL), site.signed_in(MEMBER_EMAIL));
        let page = one.get("/members/accounts");
        page.shows(&["Where you are signed in", "this one"]);
        let short = one.submit(&page, "Change password", &[("password", crate::support::fleet::PASSWORD), ("new_password", "short")]);
        assert_eq!(short.status, 422);
        short.says(&["12 characters or more"]);
        let reply = one.submit(&page, "Change password", &[("password", crate::support::fleet::PASSWORD), ("new_password", "another long password")]);
        one.follow(&reply).shows(&["Your password is changed"]);
        assert_eq!(two.get("/members/").status, 303, "other sessions have ended");
        let mut forgot = site.visitor();
        let page = forgot.get("/password/forgot");
        for email in [MEMBER_EMAIL, "nobody@example.com"] {
            let reply = forgot.submit(&page, "Send the link", &[("email", email)]);
            assert_eq!(reply.location, "/password/forgot/sent");
        }
        forgot.get("/password/reset/no-such-token").shows(&["This link has expired"]);
    }

    fn bulk_actions_answer_row_by_row(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = site(&app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get("/members/xenbeta");
        member.submit(&page, "Register the chosen Linodes", &[("linode", "101"), ("linode", "102"), ("linode", "103")]);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let list = staff.get("/staff/registrations?q=D%42");
        list.shows(&["db"]).hides(&["web", "2.4"]);
        staff.get("/staff/registrations?q=mia").shows(&["db", "web", "2.4"]);
        staff.get("/staff/registrations?q=100%25").shows(&["There are none."]);
        let csv = staff.get("/staff/registrations.csv?q=db");
        assert_eq!(csv.body.lines().count(), 2, "{}", csv.body);
        // xen2 has room for one Linode 1024 or two Linode 512, not for all.
        let list = staff.get("/staff/registrations");
        let review = staff.submit(&list, "Approve and configure…", &[("all", "yes")]);
        let refused = staff.submit(&review, "Configure 3 registrations", &[("destination", "4")]);
        let refused = staff.follow(&refused);
        assert_eq!(refused.heading(), "Configure 3 registrations");
        refused.says(&["xen2 cannot take this Linode: the host has too little free memory"]);
        // Declining needs a reason, which its member reads.
        let page = member.get("/members/xenbeta");
        page.shows(&["Migrate web"]);
        let question = member.get(&page.link("Withdraw web"));
        let reply = member.submit(&question, "Withdraw web", &[]);
        member.follow(&reply).shows(&["It is withdrawn."]);
        let page = member.get("/members/xenbeta");
        let reply = member.submit(&page, "Register the chosen Linodes", &[("linode", "101")]);
        member.follow(&reply);
        let list = staff.get("/staff/registrations");
        let id = list.attribute("input[name=id]", "value").unwrap();
        let review = staff.submit(&list, "Decline…", &[("id", &id)]);
        let none = staff.submit(&review, "Decline 1 registration", &[("reason", " ")]);
        assert_eq!(none.status, 422);
        let reply = staff.submit(&review, "Decline 1 registration", &[("reason", "Its disks are too large for now.")]);
        staff.follow(&reply).shows(&["1 registration is declined."]);
        member.get("/members/xenbeta").shows(&["Declined", "Its disks are too large for now."]);
        // Nothing ticked; a list that changed.
        let empty = staff.get("/staff/registrations/review?do=approve&state=requested");
        assert_eq!(empty.status, 303);
        staff.follow(&empty).shows(&["Nothing was ticked."]);
        let changed = staff.get("/staff/registrations/review?do=approve&state=approved&all=yes&count=50");
        assert_eq!(changed.status, 409);
        changed.says(&["The list has changed"]);
    }

    fn hosts_are_added_and_set(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        if app.url.starts_with("postgres") {
            // The fleet brought its own ids; the database's count has to follow.
            use diesel::connection::SimpleConnection;
            let sql = "SELECT setval(pg_get_serial_sequence('hosts', 'id'), 100)";
            app.db.write(|conn| { conn.batch_execute(sql)?; Ok::<_, xenbeta::store::error::StoreError>(()) }).unwrap();
        }
        let site = site(&app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let form = staff.get("/staff/hosts/new");
        let bad = staff.submit(&form, "Add the host", &[("name", "no_such name"), ("memory_mb", "much"), ("disk_mb", "1000")]);
        assert_eq!(bad.status, 422);
        bad.says_beside("memory_mb", "Enter a whole number for “Memory for guests, MiB”");
        let shown = staff.submit(&form, "Add the host", &[("name", "xen9"), ("memory_mb", "4096"), ("disk_mb", "100000")]);
        shown.shows(&["Enrol xen9", "xenbeta-agent enrol --portal", "--token"]);
        let page = staff.get(&shown.link("Go to xen9"));
        page.shows(&["Not enrolled", "4.0 GiB"]).hides(&["--token"]);
        let reply = staff.submit(&page, "Set the state", &[("state", "draining")]);
        staff.follow(&reply).shows(&["The host is draining."]);
        let bad = staff.submit(&page, "Save the limits", &[("slots", "-1")]);
        assert_eq!(bad.status, 422);
        let reply = staff.submit(&page, "Save the limits", &[("slots", "5"), ("cap_mb_s", "50")]);
        staff.follow(&reply).shows(&["The limits are saved."]);
        staff.get("/staff/hosts").shows(&["xen9", "Draining", "uml1"]);
        let page = staff.get("/staff/hosts/3");
        let question = staff.get(&page.link("Revoke the agent…"));
        let reply = staff.submit(&question, "Revoke the agent", &[]);
        staff.follow(&reply).shows(&["The agent's credential is revoked."]);
    }

    fn pages_keep_their_budget(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        many_registrations(&app);
        let site = site(&app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        for path in ["/members/", "/members/xenbeta", "/members/linodes/101", "/members/accounts"] {
            let size = gzip(&member.get(path).body);
            assert!(size <= 6 * 1024, "{path}: {size} bytes of gzip");
        }
        let list = staff.get("/staff/registrations");
        assert_eq!(list.body.matches("name=\"id\"").count(), 100);
        let size = gzip(&list.body);
        assert!(size <= 14 * 1024, "a list of 100 rows: {size} bytes of gzip");
        // Page by page, every row once.
        let mut seen = BTreeSet::new();
        let mut page = list;
        loop {
            let ids = page.body.split("name=\"id\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
            for id in ids {
                assert!(seen.insert(id.clone()), "{id} twice");
            }
            if !page.body.contains("rel=\"next\"") {
                break;
            }
            page = staff.get(&page.link("Next page"));
        }
        assert_eq!(seen.len(), 250);
    }
}

fn many_registrations(app: &TestApp) {
    use diesel::connection::SimpleConnection;
    let mut sql = String::new();
    for n in 1..=250 {
        let id = 1000 + n;
        sql.push_str(&format!(
            "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 2, 'node-{n}', 1, 2, 1, TRUE, 'running', '2026-01-01T00:00:00.000000Z', 'fe:fd:00:01:{:02x}:{:02x}', '2026-01-01T00:00:00.000000Z');
             INSERT INTO registrations (linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, 2, 2, 'requested', '2026-01-01T00:00:{:02}.000000Z');",
            n / 256, n % 256, n % 3
        ));
    }
    app.db
        .write(|conn| {
            conn.batch_execute(&sql)?;
            Ok::<_, xenbeta::store::error::StoreError>(())
        })
        .unwrap();
}

pub fn gzip(text: &str) -> usize {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().len()
}

/// What each kind of visitor gets: anonymous, the member whose Linode it is, another member, staff.
pub const MATRIX: &[(&str, &str, [u16; 4])] = &[
    ("GET", "/", [200, 200, 200, 200]),
    ("GET", "/health", [200, 200, 200, 200]),
    ("GET", "/ready", [200, 200, 200, 200]),
    ("GET", "/metrics", [200, 200, 200, 200]),
    ("GET", "/static/{name}", [404, 404, 404, 404]),
    ("GET", "/receipt-keys.json", [200, 200, 200, 200]),
    ("GET", "/login", [200, 303, 303, 303]),
    ("POST", "/login", [400, 400, 400, 400]),
    ("GET", "/login/code", [303, 303, 303, 303]),
    ("POST", "/login/code", [400, 400, 400, 400]),
    ("GET", "/again", [303, 200, 200, 200]),
    ("POST", "/again", [303, 422, 422, 422]),
    ("GET", "/password/forgot", [200, 200, 200, 200]),
    ("POST", "/password/forgot", [400, 400, 400, 400]),
    ("GET", "/password/forgot/sent", [200, 200, 200, 200]),
    ("GET", "/password/reset/{token}", [200, 200, 200, 200]),
    ("POST", "/password/reset/{token}", [400, 400, 400, 400]),
    ("GET", "/members", [308, 308, 308, 308]),
    ("GET", "/members/", [303, 200, 200, 404]),
    ("GET", "/members/linodes/{id}", [303, 200, 404, 404]),
    ("POST", "/members/linodes/{id}/boot", [303, 409, 404, 404]),
    ("POST", "/members/linodes/{id}/reboot", [303, 303, 404, 404]),
    (
        "GET",
        "/members/linodes/{id}/shutdown",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/shutdown",
        [303, 409, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/console",
        [303, 303, 404, 404],
    ),
    (
        "GET",
        "/members/linodes/{id}/profiles/{profile}",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/profiles/{profile}",
        [303, 400, 400, 404],
    ),
    (
        "GET",
        "/members/linodes/{id}/profiles/new",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/profiles/new",
        [303, 400, 400, 404],
    ),
    (
        "GET",
        "/members/linodes/{id}/profiles/{profile}/delete",
        [303, 409, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/profiles/{profile}/delete",
        [303, 409, 404, 404],
    ),
    ("GET", "/members/linodes/{id}/rename", [303, 200, 404, 404]),
    ("POST", "/members/linodes/{id}/rename", [303, 400, 400, 404]),
    (
        "GET",
        "/members/linodes/{id}/never-both",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/never-both",
        [303, 303, 404, 404],
    ),
    ("GET", "/members/linodes/{id}/checks", [303, 200, 404, 404]),
    ("POST", "/members/linodes/{id}/checks", [303, 400, 400, 404]),
    (
        "POST",
        "/members/linodes/{id}/checks/remove",
        [303, 400, 400, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/checks/ask",
        [303, 409, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/checks/plan",
        [303, 400, 400, 404],
    ),
    ("GET", "/members/linodes/{id}/jobs", [303, 200, 404, 404]),
    (
        "GET",
        "/members/linodes/{id}/disks/{disk}",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/disks/{disk}",
        [303, 400, 400, 404],
    ),
    (
        "GET",
        "/members/linodes/{id}/ips/{ip}",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/linodes/{id}/ips/{ip}",
        [303, 303, 404, 404],
    ),
    ("GET", "/members/linodes/{id}/migrate", [303, 200, 404, 404]),
    (
        "POST",
        "/members/linodes/{id}/migrate",
        [303, 400, 400, 404],
    ),
    ("GET", "/members/migrations/{id}", [303, 200, 404, 404]),
    ("GET", "/members/migrations/{id}/events", [303, 0, 404, 404]),
    (
        "GET",
        "/members/migrations/{id}/receipt",
        [303, 404, 404, 404],
    ),
    (
        "GET",
        "/members/migrations/{id}/receipt.json",
        [303, 404, 404, 404],
    ),
    (
        "GET",
        "/members/migrations/{id}/unschedule",
        [303, 409, 404, 404],
    ),
    (
        "POST",
        "/members/migrations/{id}/unschedule",
        [303, 409, 404, 404],
    ),
    (
        "GET",
        "/members/migrations/{id}/cancel",
        [303, 200, 404, 404],
    ),
    (
        "GET",
        "/members/migrations/{id}/confirm",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/migrations/{id}/confirm",
        [303, 409, 404, 404],
    ),
    (
        "GET",
        "/members/migrations/{id}/way-back",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/migrations/{id}/way-back",
        [303, 409, 404, 404],
    ),
    (
        "POST",
        "/members/migrations/{id}/retry",
        [303, 303, 404, 404],
    ),
    (
        "GET",
        "/members/migrations/{id}/untried",
        [303, 409, 404, 404],
    ),
    (
        "POST",
        "/members/migrations/{id}/untried",
        [303, 303, 404, 404],
    ),
    ("GET", "/members/migrations/{id}/try", [303, 409, 404, 404]),
    ("POST", "/members/migrations/{id}/try", [303, 409, 404, 404]),
    (
        "POST",
        "/members/migrations/{id}/cancel",
        [303, 303, 404, 404],
    ),
    ("GET", "/members/xenbeta", [303, 200, 200, 404]),
    ("POST", "/members/xenbeta", [303, 422, 422, 404]),
    ("GET", "/members/xenbeta.cfm", [308, 308, 308, 308]),
    (
        "GET",
        "/members/xenbeta/{id}/withdraw",
        [303, 200, 404, 404],
    ),
    (
        "POST",
        "/members/xenbeta/{id}/withdraw",
        [303, 303, 404, 404],
    ),
    ("GET", "/members/bugs", [303, 200, 200, 404]),
    ("GET", "/members/bugs/new", [303, 200, 200, 404]),
    ("POST", "/members/bugs/new", [303, 400, 400, 404]),
    ("GET", "/members/bugs/{id}", [303, 404, 404, 404]),
    ("POST", "/members/bugs/{id}", [303, 400, 400, 404]),
    ("POST", "/members/bugs/{id}/hit", [303, 404, 404, 404]),
    ("POST", "/members/bugs/{id}/unhit", [303, 404, 404, 404]),
    (
        "GET",
        "/members/bugs/{id}/files/{file}",
        [303, 404, 404, 404],
    ),
    ("GET", "/faq", [200, 200, 200, 200]),
    ("GET", "/members/faq", [303, 200, 200, 200]),
    ("POST", "/members/faq", [303, 400, 400, 400]),
    ("GET", "/members/faq/{entry}", [303, 303, 303, 303]),
    ("GET", "/members/accounts", [303, 200, 200, 200]),
    ("POST", "/members/accounts/profile", [303, 400, 400, 400]),
    ("POST", "/members/accounts/password", [303, 400, 400, 400]),
    (
        "POST",
        "/members/accounts/notifications",
        [303, 303, 303, 303],
    ),
    (
        "GET",
        "/members/accounts/second-factor",
        [303, 303, 303, 303],
    ),
    (
        "GET",
        "/members/accounts/second-factor/setup",
        [303, 200, 200, 200],
    ),
    (
        "POST",
        "/members/accounts/second-factor/setup",
        [303, 400, 400, 400],
    ),
    (
        "GET",
        "/members/accounts/second-factor/remove",
        [303, 303, 303, 303],
    ),
    (
        "POST",
        "/members/accounts/second-factor/remove",
        [303, 409, 409, 409],
    ),
    (
        "GET",
        "/members/accounts/second-factor/codes",
        [303, 303, 303, 303],
    ),
    (
        "POST",
        "/members/accounts/second-factor/codes",
        [303, 409, 409, 409],
    ),
    ("POST", "/members/accounts/tokens", [303, 400, 400, 400]),
    (
        "GET",
        "/members/accounts/tokens/{id}/revoke",
        [303, 404, 404, 404],
    ),
    (
        "POST",
        "/members/accounts/tokens/{id}/revoke",
        [303, 404, 404, 404],
    ),
    (
        "POST",
        "/members/accounts/sessions/end-others",
        [303, 303, 303, 303],
    ),
    (
        "POST",
        "/members/accounts/sessions/{id}/end",
        [303, 404, 404, 404],
    ),
    ("GET", "/staff", [308, 308, 308, 308]),
    ("GET", "/staff/", [303, 404, 404, 200]),
    ("GET", "/staff/registrations", [303, 404, 404, 200]),
    ("GET", "/staff/registrations.csv", [303, 404, 404, 200]),
    ("GET", "/staff/registrations/review", [303, 404, 404, 400]),
    ("POST", "/staff/registrations/{deed}", [303, 404, 404, 400]),
    ("GET", "/staff/batches", [303, 404, 404, 200]),
    ("GET", "/staff/batches/{id}", [303, 404, 404, 404]),
    ("POST", "/staff/batches/{id}/stop", [303, 404, 404, 404]),
    ("GET", "/staff/waves", [303, 404, 404, 200]),
    ("POST", "/staff/waves", [303, 404, 404, 422]),
    ("GET", "/staff/waves.csv", [303, 404, 404, 200]),
    ("GET", "/staff/waves/new", [303, 404, 404, 200]),
    ("GET", "/staff/waves/pause", [303, 404, 404, 200]),
    ("POST", "/staff/waves/pause", [303, 404, 404, 422]),
    ("POST", "/staff/waves/go-on", [303, 404, 404, 303]),
    ("GET", "/staff/waves/{id}", [303, 404, 404, 404]),
    ("GET", "/staff/waves/{id}/items.csv", [303, 404, 404, 404]),
    ("POST", "/staff/waves/{id}/skip", [303, 404, 404, 400]),
    ("GET", "/staff/waves/{id}/{deed}", [303, 404, 404, 404]),
    ("POST", "/staff/waves/{id}/{deed}", [303, 404, 404, 404]),
    ("GET", "/staff/linodes", [303, 404, 404, 200]),
    ("GET", "/staff/linodes/{id}", [303, 404, 404, 200]),
    ("GET", "/staff/migrations", [303, 404, 404, 200]),
    ("GET", "/staff/migrations/{id}", [303, 404, 404, 200]),
    ("GET", "/staff/migrations/{id}/events", [303, 404, 404, 0]),
    (
        "GET",
        "/staff/migrations/{id}/receipt",
        [303, 404, 404, 404],
    ),
    (
        "GET",
        "/staff/migrations/{id}/receipt.json",
        [303, 404, 404, 404],
    ),
    ("GET", "/staff/migrations/{id}/{deed}", [303, 404, 404, 200]),
    (
        "POST",
        "/staff/migrations/{id}/{deed}",
        [303, 404, 404, 303],
    ),
    ("GET", "/staff/held", [303, 404, 404, 200]),
    ("GET", "/staff/held/{id}", [303, 404, 404, 404]),
    ("GET", "/staff/held/{id}/believe", [303, 404, 404, 404]),
    ("POST", "/staff/held/{id}/believe", [303, 404, 404, 303]),
    ("GET", "/staff/recovery", [303, 404, 404, 200]),
    ("GET", "/staff/recovery/clock", [303, 404, 404, 303]),
    ("POST", "/staff/recovery/clock", [303, 404, 404, 303]),
    ("GET", "/staff/joint/{id}", [303, 404, 404, 404]),
    ("POST", "/staff/joint/{id}", [303, 404, 404, 400]),
    ("GET", "/staff/joint/{id}/withdraw", [303, 404, 404, 404]),
    ("POST", "/staff/joint/{id}/withdraw", [303, 404, 404, 400]),
    (
        "GET",
        "/staff/hosts/{id}/joint/{kind}",
        [303, 404, 404, 200],
    ),
    (
        "POST",
        "/staff/hosts/{id}/joint/{kind}",
        [303, 404, 404, 400],
    ),
    ("GET", "/staff/hosts", [303, 404, 404, 200]),
    ("POST", "/staff/hosts", [303, 404, 404, 400]),
    ("GET", "/staff/hosts/new", [303, 404, 404, 200]),
    ("GET", "/staff/hosts/{id}", [303, 404, 404, 200]),
    ("POST", "/staff/hosts/{id}/state", [303, 404, 404, 400]),
    ("POST", "/staff/hosts/{id}/limits", [303, 404, 404, 400]),
    ("GET", "/staff/hosts/{id}/evacuate", [303, 404, 404, 200]),
    ("POST", "/staff/hosts/{id}/evacuate", [303, 404, 404, 400]),
    ("GET", "/staff/hosts/{id}/token", [303, 404, 404, 200]),
    ("POST", "/staff/hosts/{id}/token", [303, 404, 404, 200]),
    ("GET", "/staff/hosts/{id}/revoke", [303, 404, 404, 200]),
    ("POST", "/staff/hosts/{id}/revoke", [303, 404, 404, 303]),
    ("GET", "/staff/hosts/{id}/fairness", [303, 404, 404, 200]),
    (
        "GET",
        "/staff/hosts/{id}/fairness.csv",
        [303, 404, 404, 200],
    ),
    ("GET", "/staff/fairness", [303, 404, 404, 200]),
    ("GET", "/staff/fairness.csv", [303, 404, 404, 200]),
    ("GET", "/staff/fairness/weights", [303, 404, 404, 200]),
    ("POST", "/staff/fairness/weights/rule", [303, 404, 404, 400]),
    (
        "POST",
        "/staff/fairness/weights/linode",
        [303, 404, 404, 400],
    ),
    ("GET", "/members/fairness", [303, 200, 200, 404]),
    ("GET", "/members/fairness.csv", [303, 200, 200, 404]),
    ("GET", "/staff/bugs", [303, 404, 404, 200]),
    ("GET", "/staff/bugs.csv", [303, 404, 404, 200]),
    ("GET", "/staff/bugs/{id}", [303, 404, 404, 404]),
    ("POST", "/staff/bugs/{id}", [303, 404, 404, 400]),
    ("GET", "/staff/bugs/{id}/hide", [303, 404, 404, 400]),
    ("POST", "/staff/bugs/{id}/hide", [303, 404, 404, 400]),
    ("POST", "/staff/bugs/{id}/reply", [303, 404, 404, 400]),
    ("POST", "/staff/bugs/{id}/note", [303, 404, 404, 400]),
    ("POST", "/staff/bugs/{id}/explains", [303, 404, 404, 400]),
    ("GET", "/staff/bugs/{id}/files/{file}", [303, 404, 404, 404]),
    ("GET", "/staff/faq", [303, 404, 404, 200]),
    ("GET", "/staff/faq/new", [303, 404, 404, 200]),
    ("POST", "/staff/faq/new", [303, 404, 404, 400]),
    ("GET", "/staff/faq/{id}", [303, 404, 404, 404]),
    ("POST", "/staff/faq/{id}", [303, 404, 404, 400]),
    ("POST", "/staff/faq/{id}/move", [303, 404, 404, 400]),
    ("POST", "/staff/faq/{id}/retire", [303, 404, 404, 400]),
    ("GET", "/staff/questions/{id}", [303, 404, 404, 404]),
    ("POST", "/staff/questions/{id}", [303, 404, 404, 400]),
    ("GET", "/staff/programme", [303, 404, 404, 200]),
    ("GET", "/staff/programme/funnel.csv", [303, 404, 404, 200]),
    ("GET", "/staff/programme/times", [303, 404, 404, 200]),
    ("POST", "/staff/programme/times", [303, 404, 404, 400]),
    ("POST", "/staff/programme", [303, 404, 404, 400]),
    ("GET", "/staff/programme/end", [303, 404, 404, 200]),
    (
        "GET",
        "/staff/programme/texts/{section}",
        [303, 404, 404, 200],
    ),
    (
        "POST",
        "/staff/programme/texts/{section}",
        [303, 404, 404, 400],
    ),
    ("GET", "/staff/plan", [303, 404, 404, 200]),
    ("POST", "/staff/plan", [303, 404, 404, 400]),
    ("GET", "/staff/plan.csv", [303, 404, 404, 200]),
    ("GET", "/staff/plan/hosts.csv", [303, 404, 404, 200]),
    ("GET", "/staff/graduation", [303, 404, 404, 200]),
    ("GET", "/staff/graduation.csv", [303, 404, 404, 200]),
    ("GET", "/staff/graduation/offer", [303, 404, 404, 409]),
    ("POST", "/staff/graduation/offer", [303, 404, 404, 400]),
    ("GET", "/staff/readiness", [303, 404, 404, 200]),
    ("GET", "/staff/readiness.csv", [303, 404, 404, 200]),
    ("GET", "/staff/readiness/limits", [303, 404, 404, 200]),
    ("POST", "/staff/readiness/limits", [303, 404, 404, 400]),
    ("GET", "/staff/members", [303, 404, 404, 200]),
    ("GET", "/staff/members/{id}", [303, 404, 404, 200]),
    ("GET", "/staff/members/{id}/role", [303, 404, 404, 404]),
    ("POST", "/staff/members/{id}/role", [303, 404, 404, 400]),
    ("GET", "/staff/members/{id}/{deed}", [303, 404, 404, 404]),
    ("POST", "/staff/members/{id}/{deed}", [303, 404, 404, 404]),
    ("GET", "/staff/mail", [303, 404, 404, 200]),
    ("GET", "/staff/mail/retry", [303, 404, 404, 303]),
    ("POST", "/staff/mail/retry", [303, 404, 404, 303]),
    ("GET", "/staff/mail/{id}", [303, 404, 404, 200]),
    ("POST", "/staff/mail/{id}/retry", [303, 404, 404, 303]),
    ("GET", "/staff/audit", [303, 404, 404, 200]),
    ("GET", "/staff/audit.csv", [303, 404, 404, 200]),
    ("GET", "/staff/audit/verify", [303, 404, 404, 200]),
    ("GET", "/staff/jobs", [303, 404, 404, 200]),
    ("GET", "/staff/jobs/retry", [303, 404, 404, 409]),
    ("POST", "/staff/jobs/retry", [303, 404, 404, 400]),
    ("GET", "/staff/jobs/pauses", [303, 404, 404, 200]),
    ("POST", "/staff/jobs/pauses", [303, 404, 404, 422]),
    ("POST", "/staff/jobs/pauses/{id}/end", [303, 404, 404, 303]),
    ("GET", "/staff/jobs/{id}", [303, 404, 404, 200]),
    ("POST", "/staff/jobs/{id}/retry", [303, 404, 404, 409]),
    ("POST", "/staff/programme/end", [303, 404, 404, 409]),
    ("POST", "/logout", [303, 303, 303, 303]),
];

/// Routes as they are spelled, of our own pages (agents have a table of their own).
fn all_routes() -> Vec<(String, String, Option<Right>)> {
    let source: String = concat!(
        include_str!("../../src/web/routes.rs"),
        include_str!("../../src/web/staff/routes.rs")
    )
    .split_whitespace()
    .collect();
    source
        .split(".route(\"")
        .skip(1)
        .map(|rest| {
            let (path, rest) = rest.split_once("\",").unwrap();
            let method = if rest.starts_with("get()") || rest.starts_with("get_by(") {
                "GET"
            } else if rest.starts_with("post()") || rest.starts_with("post_by(") {
                "POST"
            } else {
                panic!("{rest}")
            };
            (method.to_owned(), path.to_owned(), named(rest))
        })
        .collect()
}

/// The right that a route names, as `get_by(Read).to(…)` does.
fn named(rest: &str) -> Option<Right> {
    let (by, _) = rest.split_once(").to(")?;
    let (_, word) = by.split_once("_by(")?;
    let found = Right::ALL.iter().find(|right| format!("{right:?}") == word);
    Some(*found.unwrap_or_else(|| panic!("no right: {word}")))
}

/// What each route of staff's takes.
pub fn rights() -> BTreeMap<(String, String), Right> {
    all_routes()
        .into_iter()
        .filter_map(|(method, path, right)| Some(((method, path), right?)))
        .collect()
}

fn routes() -> BTreeSet<(String, String)> {
    all_routes()
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect()
}

#[test]
fn every_route_has_its_line_in_the_matrix() {
    let listed: BTreeSet<(String, String)> = MATRIX
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(listed, routes());
}

#[test]
fn every_route_of_staffs_names_its_right_and_no_other_does() {
    for (method, path, right) in all_routes() {
        // That one leads on and says nothing.
        let is_theirs = path.starts_with("/staff") && path != "/staff";
        assert_eq!(right.is_some(), is_theirs, "{method} {path}");
        if method == "POST" {
            assert_ne!(right, Some(Right::Read), "{path} changes something");
        }
    }
}

both_databases! {
    fn who_gets_what(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let migration = app.clicked(WEB);
        app.reconcile().unwrap();
        let registration = migration.registration_id.unwrap();
        let job = app.in_db(|conn| jobs::of_migration(conn, migration.id)).first().unwrap().id;
        let site = site(&app);
        // Staff last: what they do changes things. The events streams are read in another test.
        for (column, email) in ["", OTHER_EMAIL, MEMBER_EMAIL, STAFF_EMAIL].into_iter().enumerate() {
            let column = [0, 2, 1, 3][column];
            let mut browser = if email.is_empty() { site.visitor() } else { site.signed_in(email) };
            let token = if email.is_empty() { browser.get("/login").token() } else { browser.get("/members/accounts").token() };
            for (method, path, expected) in MATRIX {
                let expected = expected[column];
                if expected == 0 {
                    continue;
                }
                let url = address(path, (migration.id.0, registration.0, job.0));
                let reply = ask(&mut browser, method, &url, &token);
                assert_eq!(reply.status, expected, "{method} {url} as {email:?}: {} {}", reply.location, reply.text());
                if reply.status == 303 && column == 0 && *path != "/logout" {
                    assert!(reply.location.starts_with("/login"), "{method} {url}: {}", reply.location);
                }
                if column == 2 && reply.status == 404 {
                    reply.hides(&["web", "Mia", "192.0.2.11"]);
                }
                assert_eq!(reply.headers.get("x-content-type-options").map(String::as_str), Some("nosniff"), "{url}");
            }
        }
    }
}

/// A route's address with the test's own things in it: a migration, a registration, a job.
pub fn address(path: &str, (migration, registration, job): (i64, i64, i64)) -> String {
    let id = match path {
        path if path.contains("linodes/") => WEB.0,
        path if path.contains("migrations/") => migration,
        path if path.contains("xenbeta/") => registration,
        path if path.contains("hosts/") => XEN2.0,
        path if path.contains("jobs/") => job,
        path if path.contains("staff/members/") || path.contains("staff/mail/") => 1,
        _ => 987_654,
    };
    path.replace("{id}", &id.to_string())
        .replace("{deed}", "cancel")
        .replace("{kind}", "takeover")
        .replace("{profile}", "1")
        .replace("{disk}", "1011")
        .replace("{ip}", "1")
        .replace("{section}", "brings")
        .replace("{token}", "none")
        .replace("{name}", "x.css")
        .replace("{file}", "1")
        .replace("{entry}", "x")
}

pub fn ask(browser: &mut Browser, method: &str, url: &str, token: &str) -> Reply {
    if method == "GET" {
        browser.get(url)
    } else {
        browser.post(url, &[("csrf".to_owned(), token.to_owned())])
    }
}
