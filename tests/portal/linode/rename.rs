//! A Linode's parts that its member names, adds and deletes; the Host Job Queue with its history.

use diesel::connection::SimpleConnection;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::job::JobKind;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::values::Label;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::wire::Outcome;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, UML1, WEB, XEN1};

const OTHER_EMAIL: &str = "otto@example.com";
const LINODE: &str = "/members/linodes/101";

both_databases! {
    fn a_linode_is_renamed_by_its_member_while_it_moves(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        let at = member.get(LINODE).link("Rename web");
        let form = member.get(&at);
        form.shows(&["Rename web", "it runs on", "At most 64"]);
        let long = "x".repeat(65);
        for (label, said) in [
            ("", "Enter a label"),
            ("...", "dots alone"),
            ("a<b>", "but not '<'"),
            ("a\r\nBcc: x", "but not"),
            (long.as_str(), "64 characters or fewer"),
            ("db", "Another Linode of your account has this label"),
        ] {
            let refused = member.submit(&form, "Rename the Linode", &[("label", label)]);
            assert_eq!(refused.status, 422, "{label:?}");
            refused.says(&["There is a problem", said]);
            if !label.contains('\r') {
                assert_eq!(refused.attribute("#label", "value").unwrap(), label, "what was typed is kept");
            }
        }
        // Another account may have a Linode of this name.
        let theirs = "theirs";
        let migration = app.clicked(WEB);
        let order = app.take(UML1);
        let reply = member.submit(&form, "Rename the Linode", &[("label", theirs)]);
        member.follow(&reply).shows(&["It is called theirs now.", "Rename theirs"]);
        assert_eq!(member.submit(&form, "Rename the Linode", &[("label", theirs)]).status, 303, "twice is once");
        // The agent's order was given before, and its answer still counts: it knows the Linode by its number.
        let report = app.success(&order);
        app.answer(UML1, &order, Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(migration.id).state, MigrationState::Finished);
        for path in ["/members/", "/members/xenbeta", "/members/fairness"] {
            member.get(path).shows(&["theirs"]);
        }
        member.get("/members/").hides(&["web"]);
        for path in ["/staff/migrations", "/staff/jobs", "/staff/registrations?state=approved", "/staff/members/1"] {
            staff.get(path).shows(&["theirs"]);
        }
        staff.get("/staff/registrations?state=approved&q=thei").shows(&["theirs"]);
        staff.get("/staff/registrations?state=approved&q=web").hides(&["theirs"]);
        staff.get("/staff/audit?object=linode%20101&action=linode.rename").shows(&[MEMBER_EMAIL, "theirs"]);
        let entries = staff.get("/staff/audit.csv?action=linode.rename").body;
        assert_eq!(entries.lines().count(), 2, "one entry: {entries}");
        let last = app.in_db(|conn| xenbeta::store::mail::list(conn, &Default::default(), None, 1)).remove(0);
        assert!(last.subject.starts_with("theirs"), "{}", last.subject);
        let other = app.rename_linode(&app.other_member(), WEB, &Label::parse("mine").unwrap());
        assert!(matches!(other, Err(xenbeta::app::error::AppError::NotFound)));
        let staffs = app.rename_linode(&app.staff(), WEB, &Label::parse("mine").unwrap());
        assert!(staffs.is_err(), "staff have no account to rename in");
        // Two at once take one label: one of them has it.
        let mia = app.member();
        let taken: Vec<bool> = std::thread::scope(|scope| {
            let app = &app.app;
            let rename = |id: i64| {
                let actor = mia.clone();
                scope.spawn(move || app.rename_linode(&actor, LinodeId(id), &Label::parse("same").unwrap()).is_ok())
            };
            [rename(102), rename(103)].into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|done| **done).count(), 1);
    }

    fn a_profile_is_added_booted_and_another_deleted(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let at = member.get(LINODE).link("Add a config profile");
        let page = member.get(&at);
        page.shows(&["New config profile", "Disk on ubda", "Disk on ubdb", "2.6 under UML"]).hides(&["2.6 on Xen", "Disk on ubdc"]);
        for (field, value, said) in [
            ("label", "", "label"),
            ("label", "default", "Another config profile"),
            ("kernel", "xen-2.6", "Choose a kernel of the Linode's host"),
            ("device_a", "1012", "each disk image for one device only"),
            ("device_a", "2011", "Choose disk images of this Linode"),
            ("device_a", "x", "Choose disk images of this Linode"),
            ("root_device", "/dev/ubdc", "a device of this profile (ubda, ubdb)"),
        ] {
            let mut fields = vec![("label", "rescue")];
            fields.retain(|(name, _)| *name != field);
            fields.push((field, value));
            let refused = member.submit(&page, "Add the config profile", &fields);
            assert_eq!(refused.status, 422, "{field}={value}: {}", refused.text());
            refused.says(&["There is a problem", said]);
        }
        let fields = [("label", "rescue"), ("device_a", "1012"), ("device_b", ""), ("run_level", "single")];
        let reply = member.submit(&page, "Add the config profile", &fields);
        member.follow(&reply).shows(&["The config profile is added", "rescue", "ubda: swap"]);
        assert_eq!(member.submit(&page, "Add the config profile", &fields).status, 422, "a second click makes no second one");
        let rescue = app.in_db(|conn| store::linode::profile::profiles_of(conn, WEB)).into_iter().find(|row| row.label == "rescue").unwrap();
        // The one it boots stays; another one boots, and then the first goes.
        let first = format!("{LINODE}/profiles/1");
        member.get(&first).shows(&["It cannot be deleted now", "boots with this config profile"]);
        assert_eq!(member.get(&format!("{first}/delete")).status, 409);
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute("UPDATE linodes SET status = 'offline' WHERE id = 101")?));
        app.power(&app.member(), WEB, JobKind::Boot, Some(rescue.id)).unwrap();
        app.work(UML1);
        let at = member.get(&first).link("Delete this config profile");
        let question = member.get(&at);
        question.shows(&["Delete the config profile default?"]);
        let mut other = site.signed_in(OTHER_EMAIL);
        assert_eq!(other.get(&format!("{first}/delete")).status, 404);
        assert!(matches!(app.delete_profile(&app.other_member(), WEB, rescue.id), Err(xenbeta::app::error::AppError::NotFound)));
        let reply = member.submit(&question, "Delete default", &[]);
        member.follow(&reply).shows(&["The config profile is deleted."]).hides(&["Fix fstab"]);
        assert_eq!(member.submit(&question, "Delete default", &[]).status, 404, "it is gone");
        assert_eq!(app.delete_profile(&app.member(), WEB, rescue.id).unwrap_err().to_string(), "It is the only config profile of this Linode, which could not boot without one.");
    }

    fn what_a_move_was_agreed_on_is_neither_added_to_nor_deleted(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let two = "INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES (9, 101, 'second', 'uml-2.6', '{\"ubda\":1011}', '/dev/ubda', TRUE, 'default', '[]');";
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(two)?));
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let later = xenbeta::app::migration::actions::Click { at: Some(app.now().plus_days(2)), accept_kernels: false, ..crate::support::hand::now_click() };
        let row = app.migrate(&app.member(), WEB, later).unwrap();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(&format!("{LINODE}/profiles/new"));
        let refused = member.submit(&page, "Add the config profile", &[("label", "old"), ("kernel", "uml-2.4")]);
        assert_eq!(refused.status, 422);
        refused.says(&["which you did not agree to"]);
        let question = member.get(&format!("{LINODE}/profiles/9/delete"));
        let refused = member.submit(&question, "Delete second", &[]);
        assert_eq!(refused.status, 409);
        refused.says(&["A move of this Linode is asked for"]);
        app.unschedule(&app.member(), row.id).unwrap();
        app.migrate(&app.member(), WEB, crate::support::hand::now_click()).unwrap();
        app.reconcile().unwrap();
        assert_eq!(member.submit(&page, "Add the config profile", &[("label", "third")]).status, 409, "it is being moved");
        assert_eq!(app.in_db(|conn| store::linode::profile::profiles_of(conn, WEB)).len(), 2);
    }

    fn after_the_move_it_is_the_same_on_xen(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(&format!("{LINODE}/profiles/new"));
        page.shows(&["Disk on xvda", "2.6 on Xen"]).hides(&["2.6 under UML"]);
        let reply = member.submit(&page, "Add the config profile", &[("label", "four"), ("vcpus", "4")]);
        member.follow(&reply).shows(&["The config profile is added", "xvdb: swap"]);
        let page = member.get(&format!("{LINODE}/disks/1011"));
        let reply = member.submit(&page, "Rename the disk image", &[("label", "Debian")]);
        member.follow(&reply).shows(&["xvda: Debian"]);
    }

    fn a_disk_is_renamed(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let at = member.get(LINODE).link("Rename root");
        let page = member.get(&at);
        let long = "x".repeat(300);
        for foul in ["", "swap", long.as_str(), "../../etc", "a\r\nb", "<b>"] {
            let refused = member.submit(&page, "Rename the disk image", &[("label", foul)]);
            assert_eq!(refused.status, 422, "{foul:?}");
            refused.says(&["There is a problem"]);
        }
        for _ in 0..2 {
            let reply = member.submit(&page, "Rename the disk image", &[("label", " Debian 12 ")]);
            member.follow(&reply).shows(&["The disk image is renamed.", "Debian 12", "ubda: Debian 12"]);
        }
        let mut other = site.signed_in(OTHER_EMAIL);
        assert_eq!(other.get(&page.path).status, 404);
        // Their own Linode does not open somebody else's disk.
        assert_eq!(other.get("/members/linodes/201/disks/1011").status, 404);
        assert_eq!(other.get("/members/linodes/201/ips/1").status, 404);
    }

    fn an_address_gets_its_reverse_name(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let at = member.get(LINODE).link("Set the reverse name of 192.0.2.11");
        let page = member.get(&at);
        page.shows(&["Reverse name of 192.0.2.11"]);
        let long = format!("{}.example.com", "x".repeat(64));
        for foul in ["web", "192.0.2.11", "-a.example.com", "a..example.com", "a b.example.com", "a.example.com\r\nx", "ü.example.com", long.as_str(), "<b>.example.com"] {
            let refused = member.submit(&page, "Save the reverse name", &[("rdns", foul)]);
            assert_eq!(refused.status, 422, "{foul:?}");
            refused.says(&["Enter a host name like web.example.com"]);
            assert!(refused.body.contains("<title>Error: "));
        }
        let reply = member.submit(&page, "Save the reverse name", &[("rdns", " Web.Example.COM. ")]);
        member.follow(&reply).shows(&["The reverse name is saved.", "web.example.com"]);
        let at = member.get(LINODE).link("Change the reverse name of 192.0.2.11");
        let page = member.get(&at);
        let reply = member.submit(&page, "Save the reverse name", &[("rdns", "")]);
        member.follow(&reply).shows(&["The reverse name is saved."]).hides(&["web.example.com"]);
        assert_eq!(member.get(&format!("{LINODE}/ips/2")).status, 404, "private");
    }

    fn the_queue_has_its_whole_history(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mut sql = String::new();
        for n in 1..=120 {
            sql.push_str(&format!("INSERT INTO jobs (host_id, linode_id, kind, state, epoch, run_after, entered_at, started_at, finished_at, message) VALUES (1, 101, 'boot', 'succeeded', 1, '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:01.000000Z', '2026-01-01T00:01:31.000000Z', 'Job number {n}.');"));
        }
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let at = member.get(LINODE).link("All jobs of web");
        let mut page = member.get(&at);
        page.shows(&["Host Job Queue of web", "Job number 120.", "uml1"]).hides(&["Job number 70."]);
        let mut seen = page.text().matches("Job number").count();
        for _ in 0..2 {
            page = member.get(&page.link("Next page"));
            seen += page.text().matches("Job number").count();
        }
        assert_eq!(seen, 120, "each once");
        page.shows(&["Job number 1."]);
        assert!(!page.body.contains("rel=\"next\""));
        let mut other = site.signed_in(OTHER_EMAIL);
        assert_eq!(other.get(&format!("{LINODE}/jobs")).status, 404);
        assert_eq!(member.get(&format!("{LINODE}/jobs?before=x")).status, 400);
    }
}
