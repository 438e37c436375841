//! A member's config profiles and console, through the pages.

use xenbeta::domain::job::JobKind;
use xenbeta::domain::linode::Helper;
use xenbeta::store;
use xenbeta::store::error::StoreError;

use diesel::connection::SimpleConnection;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, OLD, UML1, WEB, XEN1};

const OTHER_EMAIL: &str = "otto@example.com";
const URL: &str = "/members/linodes/101/profiles/1";

both_databases! {
    fn a_member_changes_kernel_helpers_and_limits(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let linode = member.get("/members/linodes/101");
        let page = member.get(&linode.link("default"));
        page.shows_at("h1", &["Config profile default"]).shows_at("h1 + p", &["ubda: root"]);
        page.shows_at("#kernel option", &["2.6 under UML"]).shows_at("main label", &["Disable /lib/tls"]).hides(&["2.6 on Xen"]);
        let fields = [("label", "rescue"), ("kernel", "uml-2.4"), ("ram_limit_mb", "256"), ("helper", "console"), ("run_level", "single")];
        let reply = member.submit(&page, "Save the config profile", &fields);
        let linode = member.follow(&reply);
        linode.shows_at("main > div.note > p", &["The config profile is changed"]);
        let row = linode.rows("Config profiles").remove(0);
        assert!(row[0].starts_with("rescue") && row[1].contains("2.4 under UML") && row[1].contains("Single user mode"), "{row:?}");
        assert!(row[4].starts_with("256 MiB"), "{row:?}");
        let row = app.in_db(|conn| store::linode::profile::profiles_of(conn, WEB)).remove(0);
        assert_eq!(row.helper_list().unwrap(), vec![Helper::Console], "the others are switched off");
        assert!(row.read_only_root, "what was not touched stays");
        assert_eq!(member.submit(&page, "Save the config profile", &fields).status, 303, "twice is once");
        let said = xenbeta::store::audit::TrailFilter { action: "profile".to_owned(), ..Default::default() };
        assert_eq!(app.in_db(|conn| xenbeta::store::audit::list(conn, &said, None, 9)).len(), 1);
        // It is what the next boot gets.
        app.power(&app.member(), WEB, JobKind::Reboot, None).unwrap();
        let order = app.take(UML1);
        assert!(matches!(&order.task, xenbeta::wire::Task::Reboot { boot, .. } if boot.kernel == "uml-2.4" && boot.ram_mb == 256), "{order:?}");
    }

    fn bad_values_are_named_beside_their_fields(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let two = "INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES (9, 101, 'second', 'uml-2.6', '{\"ubda\":1011}', '/dev/ubda', TRUE, 'default', '[]');";
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(two)?));
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(URL);
        for (field, value, said) in [
            ("label", "", "label"),
            ("label", "second", "Another config profile"),
            ("kernel", "xen-2.6", "Choose a kernel of the Linode's host"),
            ("kernel", "../../etc", "Choose a kernel of the Linode's host"),
            ("root_device", "/dev/ubdq", "a device of this profile (ubda, ubdb)"),
            ("root_device", "/dev/ubda/../sda", "a device of this profile"),
            ("ram_limit_mb", "513", "from 64 to 512 MB"),
            ("ram_limit_mb", "63", "from 64 to 512 MB"),
            ("ram_limit_mb", "-1", "from 64 to 512 MB"),
            ("ram_limit_mb", "lots", "Enter a whole number"),
            ("vcpus", "99999999999", "Enter a small number"),
            ("vcpus", "2", "from 1 to 1"),
            ("helper", "rm", "is none of"),
            ("run_level", "9", "is none of"),
        ] {
            let reply = member.submit(&page, "Save the config profile", &[(field, value)]);
            reply.says_beside(field, said);
            assert!(reply.body.contains("<title>Error: "));
        }
        let row = app.in_db(|conn| store::linode::profile::profiles_of(conn, WEB)).remove(0);
        assert_eq!((row.label.as_str(), row.kernel_id.as_str()), ("default", "uml-2.6"), "nothing was changed");
        let mut other = site.signed_in(OTHER_EMAIL);
        assert_eq!(other.get(URL).status, 404);
        // Their own Linode does not open somebody else's profile.
        assert_eq!(other.get("/members/linodes/201/profiles/1").status, 404);
        let form = member.get(URL);
        app.clicked(WEB);
        let reply = member.submit(&form, "Save the config profile", &[("comments", "x")]);
        assert_eq!(reply.status, 409);
        reply.says_at("main > p", &["is being moved"]);
    }

    fn what_was_agreed_stays_agreed(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let later = xenbeta::app::migration::actions::Click {
            at: Some(app.now().plus_days(2)),
            accept_kernels: false,
            ..crate::support::hand::now_click()
        };
        app.migrate(&app.member(), WEB, later).unwrap();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(URL);
        let reply = member.submit(&page, "Save the config profile", &[("kernel", "uml-2.4")]);
        reply.says_beside("kernel", "which you did not agree to");
        assert_eq!(app.in_db(|conn| store::linode::profile::profiles_of(conn, WEB))[0].kernel_id, "uml-2.6", "and nothing was changed");
        let reply = member.submit(&page, "Save the config profile", &[("comments", "mine")]);
        assert_eq!(reply.status, 303);
    }

    fn a_way_back_without_room_is_said_before_it_is_asked_for(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/migrations/{}/way-back", row.id);
        let free = |mb: i64| {
            let sql = format!("UPDATE hosts SET disk_free_mb = {mb} WHERE id = {UML1}");
            app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
        };
        free(1);
        member.get(&url).shows_at("h1 + p", &["There is not enough room for it now", "1.0 MiB are free there", "Ask staff in a ticket"]);
        free(1_000_000);
        member.get(&url).shows_at("h1 + p", &["nothing written since the move is lost"]).hides(&["not enough room"]);
    }

    fn the_way_back_gives_a_profile_what_it_had(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(OLD);
        app.work_all(&[UML1, XEN1]);
        let there = app.in_db(|conn| store::linode::profile::profiles_of(conn, OLD)).remove(0);
        assert_eq!((there.kernel_id.as_str(), there.vcpus), ("xen-2.6", 4));
        app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        let order = app.work_until("preflight_destination");
        assert!(matches!(&order.task, xenbeta::wire::Task::PreflightDestination { boots, .. } if boots[0].kernel == "uml-2.4"), "{order:?}");
        let report = app.success(&order);
        app.answer(UML1, &order, xenbeta::wire::Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        let back = app.in_db(|conn| store::linode::profile::profiles_of(conn, OLD)).remove(0);
        assert_eq!((back.kernel_id.as_str(), back.vcpus, back.root_device.as_str()), ("uml-2.4", 1, "/dev/ubda"));
        assert!(back.helper_list().unwrap().contains(&Helper::Fstab), "names inside have to be put back");
    }

    fn the_console_is_read_when_asked_for(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get("/members/linodes/101");
        page.shows_at("#console + p", &["Nothing of it was read yet"]);
        let reply = member.submit(&page, "Read the last 100 lines now", &[]);
        let linode = member.follow(&reply);
        linode.shows_at("main > div.note > p", &["The host is asked for the console"]).shows_at("#power ~ div.row button", &["Reboot web"]);
        let again = app.read_console(&app.member(), WEB).unwrap();
        let order = app.work(UML1);
        assert_eq!(order.job, again, "asked twice, one job");
        app.nothing_for(UML1);
        member.get("/members/linodes/101").shows_at("pre[aria-label=Console]", &["guest is up"]).shows_at("#console + p", &["as of"]);
        assert!(matches!(app.read_console(&app.other_member(), WEB), Err(xenbeta::app::error::AppError::NotFound)));
    }

    fn a_host_without_the_kernel_is_not_offered(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        let kernels = |ids: &str| format!("UPDATE hosts SET kernels = '{ids}' WHERE id = 3;");
        let one = |id: &str| format!(r#"[{{"id":"{id}","label":"a","family":"2.6","modules":true,"initramfs":true}}]"#);
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&kernels(&one("xen-9")))?));
        let refused = app.offer(&app.staff(), registration, Some(XEN1)).unwrap_err().to_string();
        assert!(refused.contains("xen1 does not have the kernel xen-2.6"), "{refused}");
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&kernels(&one("xen-2.6")))?));
        app.offer(&app.staff(), registration, Some(XEN1)).expect("now it has");
    }
}
