//! `xenbeta import`: all or nothing, again without harm, and errors that say where.

use std::time::Instant;

use diesel::prelude::*;
use serde_json::{Value, json};
use xenbeta::app::App;
use xenbeta::app::context::{Actor, PORTAL};
use xenbeta::app::import::report::{ImportError, Imported};
use xenbeta::app::linode::profile::ProfileEdit;
use xenbeta::domain::ids::{AuditId, ConfigId, DiskId, LinodeId};
use xenbeta::domain::job::JobKind;
use xenbeta::domain::linode::{LinodeStatus, RunLevel};
use xenbeta::domain::ownership::Row;
use xenbeta::domain::values::Label;
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::store::schema::accounts;

use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::XEN1;

const SAMPLE: &str = include_str!("../../packaging/fleet.example.json");
const WEB: LinodeId = LinodeId(4101);

fn import(app: &App, text: &str) -> Result<Imported, ImportError> {
    app.import(PORTAL, text.as_bytes())
}

/// The problems, one a line.
fn refused(app: &App, text: &str) -> String {
    match import(app, text) {
        Err(ImportError::File(problems)) => ImportError::File(problems).to_string(),
        other => panic!("a refusal, not {other:?}"),
    }
}

fn sample() -> Value {
    serde_json::from_str(SAMPLE).unwrap()
}

/// The sample with the value at `pointer` replaced.
fn with(pointer: &str, value: Value) -> String {
    let mut fleet = sample();
    *fleet.pointer_mut(pointer).expect(pointer) = value;
    serde_json::to_string_pretty(&fleet).unwrap()
}

/// Changes the database behind the use cases' back.
fn written<T>(app: &TestApp, f: impl FnOnce(&mut Db) -> Result<T, StoreError>) -> T {
    app.db.write(f).unwrap()
}

fn linodes(app: &TestApp) -> usize {
    ["uml-12", "uml-17"]
        .iter()
        .filter_map(|name| app.in_db(|c| store::host::by_name(c, name)))
        .map(|host| app.in_db(|c| store::linode::linodes_on(c, host.id)).len())
        .sum()
}

fn is_empty(app: &TestApp) {
    assert_eq!(app.in_db(store::catalogue::plans).len(), 0);
    assert_eq!(app.in_db(store::host::all).len(), 0);
    assert_eq!(
        app.in_db(|c| Ok(accounts::table.count().get_result::<i64>(c)?)),
        0
    );
    assert_eq!(
        app.in_db(|c| store::audit::page(c, AuditId(0), 10)).len(),
        0
    );
}

/// A fleet of `count` Linodes on two hosts, a hundred to an account.
fn large(count: i64) -> String {
    let linode = |n: i64| {
        let (a, b, c) = (n >> 16 & 255, n >> 8 & 255, n & 255);
        json!({
            "id": n, "label": format!("linode{n}"), "plan": "Linode 128", "host": if n % 2 == 0 { "uml-12" } else { "uml-17" },
            "mac": format!("fe:fd:00:{a:02x}:{b:02x}:{c:02x}"),
            "disks": [{"id": 2 * n, "label": "root", "size_mb": 3072, "filesystem": "ext3"}, {"id": 2 * n + 1, "label": "swap", "size_mb": 128, "filesystem": "swap"}],
            "configs": [{"id": n, "label": "default", "kernel": "2.6.16-linode15", "devices": {"ubda": 2 * n, "ubdb": 2 * n + 1}, "root_device": "ubda"}],
            "ips": [{"address": format!("10.{a}.{b}.{c}"), "prefix": 8, "kind": "private"}],
        })
    };
    let mut whole = sample();
    whole["accounts"] = (0..count / 100)
        .map(|account| {
            json!({
                "name": format!("Account {account}"),
                "users": [{"email": format!("user{account}@example.com"), "name": "A user"}],
                "linodes": (1..=100).map(|n| linode(account * 100 + n)).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::to_string_pretty(&whole).unwrap()
}

both_databases! {
    fn a_profile_added_in_the_portal_is_in_no_imports_way(app: TestApp) {
        import(&app, SAMPLE).unwrap();
        let member = Actor {
            user: written(&app, |c| Ok(store::account::user_by_email(c, "member@example.com")?.unwrap().id)),
            account: Some(app.linode(WEB).account_id),
            ..app.member()
        };
        // It would have taken the number after the highest, which is what the manager gives next.
        let edit = ProfileEdit {
            label: Label::parse("rescue").unwrap(),
            kernel: "2.6.16-linode15".to_owned(),
            root_device: "/dev/ubda".to_owned(),
            read_only_root: true,
            run_level: RunLevel::Default,
            ram_limit_mb: 0,
            vcpus: 1,
            comments: String::new(),
            helpers: vec![],
        };
        let disks = [('a', DiskId(41011))].into_iter().collect();
        let own = app.add_profile(&member, WEB, &edit, &disks).unwrap();
        let mut fleet = sample();
        let configs = fleet.pointer_mut("/accounts/0/linodes/1/configs").unwrap().as_array_mut().unwrap();
        let mut next = configs[0].clone();
        next["id"] = json!(41412);
        next["label"] = json!("of the manager");
        configs.push(next);
        import(&app, &fleet.to_string()).unwrap();
        let of = |linode| app.in_db(|c| store::linode::profile::profiles_of(c, linode));
        assert!(of(LinodeId(4102)).iter().any(|it| it.id == ConfigId(41412) && it.label == "of the manager"));
        assert!(of(WEB).iter().any(|it| it.id == own && it.label == "rescue"));
        let taken = with("/accounts/0/linodes/0/configs/0/id", json!(own.0));
        assert!(refused(&app, &taken).contains("are the portal's own"));
    }

    fn the_sample_comes_in_and_comes_in_again(app: TestApp) {
        let first = import(&app, SAMPLE).unwrap();
        assert!(first.0.iter().all(|count| count.there == 0 && count.added > 0), "{first}");
        assert_eq!(linodes(&app), 41);
        let web = app.linode(WEB);
        assert_eq!((web.epoch, web.fetched, web.status), (1, false, LinodeStatus::Provisioning));
        let profile = &app.in_db(|c| store::linode::profile::profiles_of(c, WEB))[0];
        assert_eq!(profile.root_device, "/dev/ubda");
        assert_eq!(profile.device_map().unwrap().len(), 2);
        assert_eq!(profile.helper_list().unwrap().len(), 3);
        let ips = app.in_db(|c| store::linode::address::ips_of(c, WEB));
        assert!(ips.len() == 3 && ips.iter().all(|ip| ip.host_id == web.host_id));

        let again = import(&app, SAMPLE).unwrap();
        assert_eq!(again.added(), 0, "{again}");
        assert_eq!(again.0.iter().map(|count| count.there).collect::<Vec<_>>(), first.0.iter().map(|count| count.added).collect::<Vec<_>>());
        let entries = app.in_db(|c| store::audit::page(c, AuditId(0), 10));
        assert_eq!(entries.len(), 2);
        assert!(entries[0].action == "import" && entries[0].after.contains("Linodes 41 added"), "{:?}", entries[0]);
    }

    fn a_production_host_is_a_xen_host(app: TestApp) {
        let said = refused(&app, &with("/hosts/4/platform", json!("uml")));
        assert!(said.contains("hosts[4].platform") && said.contains("a production host must be a Xen host"), "{said}");
        is_empty(&app);
    }

    fn what_is_there_stays_as_it_is(app: TestApp) {
        import(&app, SAMPLE).unwrap();
        let web = app.linode(WEB);
        let elsewhere = app.in_db(|c| store::host::by_name(c, "xen-beta-1")).unwrap().id;
        written(&app, |c| store::linode::hand_over(c, WEB, (web.row(), Row { host: elsewhere, epoch: 2, fetched: false })));
        let mut changed = sample();
        changed["accounts"][0]["linodes"][0]["label"] = json!("renamed");
        changed["plans"][0]["ram_mb"] = json!(1);
        changed["accounts"][0]["users"][0]["name"] = json!("Somebody Else");
        changed["accounts"][1]["linodes"].as_array_mut().unwrap().push(json!({
            "id": 9000, "label": "one-more", "plan": "Linode 96", "host": "uml-12", "mac": "fe:fd:00:00:90:00",
        }));
        let imported = import(&app, &changed.to_string()).unwrap();
        assert_eq!(imported.added(), 1, "{imported}");
        let after = app.linode(WEB);
        assert_eq!((after.host_id, after.epoch, after.label.as_str()), (elsewhere, 2, "web-01"));
        assert_eq!(app.in_db(store::catalogue::plans)[0].ram_mb, 96);
        assert_eq!(app.linode(LinodeId(9000)).epoch, 1);
        // Nothing is added to a Linode that is not where the file says.
        changed["accounts"][0]["linodes"][0]["disks"].as_array_mut().unwrap().push(json!({"id": 77, "label": "new", "size_mb": 1, "filesystem": "raw"}));
        let why = refused(&app, &changed.to_string());
        assert!(why.contains("accounts[0].linodes[0].disks[2]: Linode 4101 is on another host than uml-12"), "{why}");
    }

    fn a_new_part_of_a_linode_is_added(app: TestApp) {
        import(&app, SAMPLE).unwrap();
        let mut more = sample();
        let web = &mut more["accounts"][0]["linodes"][0];
        web["disks"].as_array_mut().unwrap().push(json!({"id": 77, "label": "new", "size_mb": 1, "filesystem": "raw"}));
        web["ips"].as_array_mut().unwrap().push(json!({"address": "203.0.113.200", "prefix": 24, "kind": "public"}));
        assert_eq!(import(&app, &more.to_string()).unwrap().added(), 2);
        assert_eq!(app.in_db(|c| store::linode::disk::disks_of(c, WEB)).len(), 3);
    }

    fn cut_off_anywhere_it_changes_nothing(app: TestApp) {
        for part in 0..50 {
            let cut = &SAMPLE[..SAMPLE.len() * part / 50];
            let why = refused(&app, cut);
            assert!(why.starts_with("line "), "{why}");
            let line: usize = why[5..].split(':').next().unwrap().parse().unwrap();
            assert!(line <= cut.lines().count() + 1 && line + 1 >= cut.lines().count(), "{part}/50: {why}");
        }
        is_empty(&app);
    }

    fn mistakes_are_told_with_line_and_field(app: TestApp) {
        let linode = "/accounts/0/linodes/0";
        for (pointer, value, path, words) in [
            ("/format", json!("xenbeta-fleet-9"), "format", "unknown variant"),
            ("/plans/1/ram_mb", json!(0), "plans[1].ram_mb", "0 is not from 1 to"),
            ("/plans/1/ram_mb", json!("128"), "plans[1].ram_mb", "invalid type: string"),
            ("/plans/1/label", json!("Linode 96"), "plans[1].label", "stands twice"),
            ("/kernels/0/maps_to", json!("none-such"), "kernels[0].maps_to", "there is no kernel"),
            ("/kernels/0/maps_to", json!("2.6.14-linode9"), "kernels[0].maps_to", "is for uml too"),
            ("/hosts/4/plan", json!("Linode 9"), "hosts[4].plan", "there is no plan"),
            ("/hosts/0/name", json!("uml 12"), "hosts[0].name", "letters, digits, hyphens"),
            ("/accounts/0/users/0/email", json!("nobody"), "accounts[0].users[0].email", "e-mail address"),
            ("/accounts/0/users/0/timezone", json!("Mars/Olympus"), "accounts[0].users[0].timezone", "not a time zone"),
            ("/accounts/1/users/0/email", json!("MEMBER@example.com"), "accounts[1].users[0].email", "stands twice"),
            ("/accounts/0/linodes/0/label", json!("x".repeat(300)), "accounts[0].linodes[0].label", "64 characters or fewer (this one has 300)"),
            ("/accounts/0/linodes/0/plan", json!("Linode 9"), "accounts[0].linodes[0].plan", "there is no plan"),
            ("/accounts/0/linodes/0/host", json!("uml-99"), "accounts[0].linodes[0].host", "there is no host"),
            ("/accounts/0/linodes/0/id", json!(4105), "accounts[1].linodes[0].id", "stands twice"),
            ("/accounts/0/linodes/0/mac", json!("01:00:00:00:00:00"), "accounts[0].linodes[0].mac", "MAC address"),
            ("/accounts/0/linodes/1/mac", sample().pointer("/accounts/0/linodes/0/mac").unwrap().clone(), "accounts[0].linodes[1].mac", "stands twice"),
            ("/accounts/0/linodes/0/disks/0/size_mb", json!(-5), "accounts[0].linodes[0].disks[0].size_mb", "-5 is not from 1 to"),
            ("/accounts/0/linodes/0/disks/0/id", json!(41021), "accounts[0].linodes[1].disks[0].id", "stands twice"),
            ("/accounts/0/linodes/0/configs/0/kernel", json!("2.6.16-xenU"), "accounts[0].linodes[0].configs[0].kernel", "is for xen, and the host uml-12 is uml"),
            ("/accounts/0/linodes/0/configs/0/devices/ubda", json!(41021), "accounts[0].linodes[0].configs[0].devices.ubda", "not a disk of Linode 4101"),
            ("/accounts/0/linodes/0/configs/0/root_device", json!("ubdc"), "accounts[0].linodes[0].configs[0].root_device", "not among the devices"),
            ("/accounts/0/linodes/0/configs/0/helpers", json!(["make_coffee"]), "accounts[0].linodes[0].configs[0].helpers[0]", "unknown variant"),
            ("/accounts/0/linodes/0/ips/0/address", json!("203.0.113.300"), "accounts[0].linodes[0].ips[0].address", "invalid IP address"),
            ("/accounts/0/linodes/0/ips/0/prefix", json!(64), "accounts[0].linodes[0].ips[0].prefix", "more than 32 bits"),
            ("/accounts/0/linodes/1/ips/0/address", json!("203.0.113.11"), "accounts[0].linodes[1].ips[0].address", "stands twice"),
            (linode, json!({"id": 1, "label": "x", "colour": 1}), "accounts[0].linodes[0].colour", "unknown field `colour`"),
            (linode, json!({"id": 1, "label": "x"}), "accounts[0].linodes[0]", "missing field"),
        ] {
            let text = with(pointer, value);
            let why = refused(&app, &text);
            let wanted = format!(": {path}: ");
            let line = why.lines().find(|line| line.contains(&wanted)).unwrap_or_else(|| panic!("{pointer}: {why}"));
            assert!(line.contains(words), "{pointer}: {line}");
            // The line named is the one the field stands in.
            let number: usize = line[5..].split(':').next().unwrap().parse().unwrap();
            let field = path.rsplit('.').next().unwrap();
            if !field.ends_with(']') {
                assert!(text.lines().nth(number - 1).unwrap().contains(&format!("\"{field}\"")), "{pointer}: {line}");
            }
        }
        is_empty(&app);
    }

    fn a_field_that_stands_twice_is_told_with_its_line(app: TestApp) {
        for (field, path) in [
            ("\"format\": \"xenbeta-fleet-1\",", "format"),
            ("\"mac\": \"fe:fd:cb:00:71:0b\",", "accounts[0].linodes[0].mac"),
        ] {
            let text = SAMPLE.replacen(field, &format!("{field}\n{field}"), 1);
            let why = refused(&app, &text);
            assert!(text != SAMPLE && why.contains("duplicate field"), "{path}: {why}");
        }
        is_empty(&app);
    }

    fn what_belongs_to_somebody_else_is_not_taken(app: TestApp) {
        import(&app, SAMPLE).unwrap();
        let foreign = json!({"format": "xenbeta-fleet-1", "accounts": [{"name": "Newcomer",
            "users": [{"email": "member@example.com", "name": "Thief"}],
            "linodes": [
                {"id": 4101, "label": "a", "plan": "Linode 96", "host": "uml-12", "mac": "fe:fd:00:00:00:01"},
                {"id": 9001, "label": "b", "plan": "Linode 96", "host": "uml-12", "mac": "fe:fd:cb:00:71:0b",
                 "disks": [{"id": 41011, "label": "r", "size_mb": 1, "filesystem": "raw"}],
                 "configs": [{"id": 41011, "label": "c", "kernel": "2.6.16-linode15", "devices": {"ubda": 41011}, "root_device": "ubda"}],
                 "ips": [{"address": "203.0.113.11", "prefix": 24, "kind": "public"}]},
            ]}]});
        let why = refused(&app, &serde_json::to_string_pretty(&foreign).unwrap());
        for words in [
            "users[0].email: member@example.com belongs to another account",
            "linodes[0].id: Linode 4101 belongs to another account",
            "linodes[1].mac: Linode 4101 in the database has the MAC address",
            "linodes[1].disks[0].id: disk 41011 belongs to Linode 4101",
            "linodes[1].configs[0].id: config profile 41011 belongs to Linode 4101",
            "linodes[1].ips[0].address: Linode 4101 in the database has the address",
        ] {
            assert!(why.contains(words), "{words}\n{why}");
        }
        assert_eq!(linodes(&app), 41);
    }

    fn agents_that_are_there_adopt_what_comes(app: TestApp) {
        let app = app.with_fleet();
        let text = json!({"format": "xenbeta-fleet-1", "accounts": [{"name": "Mia Ltd", "linodes": [
            {"id": 900, "label": "new", "plan": "Linode 512", "host": "xen1", "mac": "fe:fd:00:00:09:00"}]}]});
        import(&app, &text.to_string()).unwrap();
        let job = app.in_db(|c| store::job::open_of_linode(c, LinodeId(900), &[JobKind::Adopt])).expect("a job");
        assert_eq!((job.host_id, job.epoch), (XEN1, 1));
    }

    fn ids_given_later_come_after_the_providers(app: TestApp) {
        import(&app, SAMPLE).unwrap();
        let id: i64 = written(&app, |c| {
            use diesel::prelude::*;
            #[derive(QueryableByName)]
            struct Id { #[diesel(sql_type = diesel::sql_types::BigInt)] id: i64 }
            Ok(diesel::sql_query("INSERT INTO disks (linode_id, label, size_mb, filesystem, created_at) VALUES (4101, 'later', 1, 'raw', '2026-01-01T00:00:00.000000Z') RETURNING id").get_result::<Id>(c)?.id)
        });
        assert!(id > 41_401, "{id}");
    }

    fn two_imports_at_once_add_everything_once(app: TestApp) {
        let other = app.second();
        let results: Vec<Imported> = std::thread::scope(|scope| {
            let handles = [scope.spawn(|| import(&app, SAMPLE)), scope.spawn(|| import(&other, SAMPLE))];
            handles.into_iter().map(|handle| handle.join().unwrap().unwrap()).collect()
        });
        let added: Vec<usize> = results.iter().map(Imported::added).collect();
        assert!(added.contains(&0) && added.iter().any(|added| *added > 0), "{added:?}");
        assert_eq!(linodes(&app), 41);
    }

    /// Long enough to stall a portal that serves meanwhile is too long: its writes wait ten seconds at most.
    fn ten_thousand_linodes_come_in_at_once(app: TestApp) {
        let text = large(10_000);
        let begun = Instant::now();
        assert_eq!(import(&app, &text).unwrap().0.iter().find(|count| count.what == "Linodes").unwrap().added, 10_000);
        let first = begun.elapsed();
        let begun = Instant::now();
        assert_eq!(import(&app, &text).unwrap().added(), 0);
        println!("10,000 Linodes ({} MB): {first:?}; again: {:?}", text.len() >> 20, begun.elapsed());
        assert!(first.as_secs() < 60, "{first:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let app = TestApp::new(crate::support::On::Sqlite);
    let mut bytes = SAMPLE.as_bytes().to_vec();
    bytes[100] = 0xff;
    let Err(ImportError::File(problems)) = app.import(PORTAL, &bytes) else {
        panic!("a refusal")
    };
    assert_eq!(
        (problems.told[0].line, problems.told[0].message.as_str()),
        (4, "this is not UTF-8 text")
    );
    let with_mark = format!("\u{feff}{SAMPLE}");
    assert!(import(&app, &with_mark).unwrap().added() > 0);
}
