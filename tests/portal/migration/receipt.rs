//! The signed receipt of a move: who gets it, that it never changes, and the keys it is signed with.

use std::sync::{Barrier, Mutex};

use xenbeta::app::App;
use xenbeta::app::context::{PORTAL, Who};
use xenbeta::domain::ids::{HostId, MigrationId};
use xenbeta::domain::migration::MigrationKind;
use xenbeta::domain::receipt::keys::KeyList;
use xenbeta::domain::receipt::sealed::{self, Signer};
use xenbeta::domain::receipt::{Receipt, image};
use xenbeta::mail::{Message, SendError, Transport};
use xenbeta::work::mailer;

use crate::both_databases;
use crate::browser::Site;
use crate::pages::gzip;
use crate::races::judge::count;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, UML1, WEB, XEN1};
use crate::support::hand::root_of;

const BOTH: [HostId; 2] = [UML1, XEN1];
const OTHER_EMAIL: &str = "otto@example.com";
const STAFF: Who<'static> = Who {
    name: "sam",
    address: "",
    user: None,
};

fn moved(app: &TestApp) -> MigrationId {
    let row = app.clicked(WEB);
    app.work_all(&BOTH);
    row.id
}

/// What a receipt says, signed by one of these keys.
fn checked(file: &str, keys: &KeyList) -> Receipt {
    let opened = sealed::open(file.as_bytes()).unwrap();
    assert!(matches!(opened.signer(keys), Signer::Known(_)), "{file}");
    assert_eq!(opened.receipt.contradictions(), Vec::<String>::new());
    opened.receipt
}

/// Keeps what is sent.
#[derive(Default)]
struct Kept(Mutex<Vec<Message>>);

impl Transport for Kept {
    fn send(&self, message: &Message) -> Result<(), SendError> {
        self.0.lock().unwrap().push(message.clone());
        Ok(())
    }
}

/// The mails to the member of this subject, sent now.
fn mails(app: &App, subject: &str) -> Vec<Message> {
    let kept = Kept::default();
    while mailer::round(app, &kept, "lpm.example.net").unwrap() > 0 {}
    let mut mails = kept.0.into_inner().unwrap();
    mails.retain(|mail| mail.subject == subject);
    mails
}

both_databases! {
    fn a_finished_move_has_a_receipt_that_its_member_and_staff_get_and_nobody_else(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let of = |who: &str| format!("/{who}/migrations/{}", row.id);
        // Not before it is finished.
        for path in [of("members") + "/receipt", of("members") + "/receipt.json"] {
            assert_eq!(member.get(&path).status, 404);
        }
        member.get(&of("members")).hides(&["Receipt, signed"]);
        app.work_all(&BOTH);
        let page = member.get(&of("members"));
        let printed = member.get(&page.link("Receipt, signed"));
        let file = member.get(&printed.link("Save the signed receipt"));
        assert_eq!(file.headers["content-type"], "application/json");
        assert_eq!(file.headers["content-disposition"], format!("attachment; filename=\"receipt-{}.json\"", row.id));
        let keys = site.visitor().get("/receipt-keys.json");
        assert_eq!((keys.status, keys.headers["cache-control"].as_str()), (200, "public, max-age=300"));
        let keys = KeyList::read(keys.body.as_bytes()).unwrap();
        let receipt = checked(&file.body, &keys);
        printed.shows(&["Mia Ltd, number 1", "xen1 (Xen)", &root_of(xenbeta::domain::ids::DiskId(1011)), "/dev/xvda", "192.0.2.11/24", &keys.keys[0].id]);
        let size = gzip(&printed.body);
        assert!(size <= 6 * 1024, "{size} bytes of gzip");

        // What it says is what the rows say.
        let now = app.migration(row.id);
        assert_eq!((receipt.migration, receipt.kind), (row.id, MigrationKind::Beta));
        assert_eq!((receipt.linode.label.as_str(), receipt.from.host.as_str(), receipt.to.host.as_str()), ("web", "uml1", "xen1"));
        assert_eq!(Some(receipt.times.finished), now.finished_at);
        assert_eq!((receipt.times.asked, receipt.times.stopped), (now.queued_at, now.stopped_at));
        assert_eq!(receipt.downtime.measured_s, now.down_s());
        assert_eq!((receipt.digests.algorithm.as_str(), receipt.digests.chunk_bytes), (image::ALGORITHM, 16 * 1024));
        assert_eq!(receipt.disks.len(), 2);
        assert_eq!(receipt.disks[0].size_bytes, 64 << 20);
        assert_eq!(receipt.profiles.before[0].profile.kernel, "uml-2.6");
        assert_eq!(receipt.profiles.after[0].profile.kernel, "xen-2.6");
        assert_eq!(receipt.addresses.len(), 2);

        // Staff have the same file; others none.
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get(&of("staff"));
        let printed = staff.get(&page.link("Receipt, signed"));
        assert_eq!(staff.get(&printed.link("Save the signed receipt")).body, file.body);
        let mut other = site.signed_in(OTHER_EMAIL);
        for end in ["/receipt", "/receipt.json"] {
            assert_eq!(other.get(&(of("members") + end)).status, 404);
            assert_eq!(other.get(&(of("staff") + end)).status, 404);
            assert_eq!(member.get(&(of("staff") + end)).status, 404);
            assert_eq!(staff.get(&(of("members") + end)).status, 404, "staff have no account");
            let asked = site.visitor().get(&(of("members") + end));
            assert_eq!((asked.status, asked.location), (303, format!("/login?next={}{end}", of("members"))));
        }
    }

    fn a_receipt_stays_the_same_whatever_changes_after_it(app: TestApp) {
        let app = app.with_fleet();
        let id = moved(&app);
        let file = app.receipt(None, id).unwrap();
        app.sql("UPDATE linodes SET label = 'other' WHERE id = 101");
        app.sql("UPDATE accounts SET name = 'Other Ltd' WHERE id = 1");
        app.sql("UPDATE disks SET label = 'other' WHERE id = 1011");
        app.sql("UPDATE hosts SET name = 'xen9' WHERE id = 3");
        let before = app.receipt_keys().unwrap();
        let new = app.rotate_receipt_key(STAFF).unwrap();
        app.confirm_migration(&app.member(), id).unwrap();
        app.work_all(&BOTH);
        app.pass_s(500 * 86_400);
        app.sql("DELETE FROM digests");
        assert_eq!(app.receipt(None, id).unwrap(), file);
        assert_eq!(count(&app, "receipts"), 1);
        // The key before is listed still, as retired; the list of before still does.
        let keys = app.receipt_keys().unwrap();
        assert_eq!(keys.keys.len(), 2);
        assert_eq!(keys.find(&new).unwrap().retired, None);
        assert!(keys.keys.iter().any(|key| key.id != new && key.retired.is_some()));
        checked(&file, &keys);
        assert_eq!(checked(&file, &before).linode.label, "web");
    }

    fn the_way_back_has_a_receipt_of_its_own(app: TestApp) {
        let app = app.with_fleet();
        let id = moved(&app);
        let there = app.receipt(None, id).unwrap();
        let [mail] = mails(&app, "web: migration finished").try_into().ok().unwrap();
        let attached = mail.receipt.unwrap();
        assert_eq!((attached.name, &attached.text), (format!("receipt-{id}.json"), &there));
        assert!(mail.text.contains(&format!("attached (receipt-{id}.json)")), "{}", mail.text);
        let back = app.way_back(&app.member(), id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&BOTH);
        let back = app.newest_migration(back.linode_id);
        let file = app.receipt(None, back.id).unwrap();
        let receipt = checked(&file, &app.receipt_keys().unwrap());
        assert_eq!((receipt.kind, receipt.from.host.as_str(), receipt.to.host.as_str()), (MigrationKind::Return, "xen1", "uml1"));
        assert_eq!(receipt.profiles.after[0].profile.kernel, "uml-2.6");
        assert_eq!(app.receipt(None, id).unwrap(), there);
        let [mail] = mails(&app, "web: back on uml1").try_into().ok().unwrap();
        assert_eq!(mail.receipt.unwrap().text, file);
    }

    fn a_move_of_before_there_were_receipts_gets_one_when_it_is_asked_for(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let id = moved(&app);
        app.sql("DELETE FROM receipts");
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = format!("/members/migrations/{id}");
        app.pass_s(3600);
        let path = member.get(&page).link("Receipt, signed") + ".json";
        let file = member.get(&path);
        let receipt = checked(&file.body, &app.receipt_keys().unwrap());
        assert!(receipt.issued.seconds_since(receipt.times.finished) >= 3600);
        app.pass_s(3600);
        assert_eq!(member.get(&path).body, file.body);
        // Its digests are gone: there is nothing to be signed.
        app.sql("DELETE FROM receipts");
        app.sql("DELETE FROM digests");
        assert_eq!(member.get(&path).status, 404);
        member.get(&page).hides(&["Receipt, signed"]);
    }

    fn portals_that_make_a_key_at_once_have_one(app: TestApp) {
        let app = app.with_fleet();
        for round in 1..=10 {
            app.sql("DELETE FROM receipts");
            app.sql("DELETE FROM receipt_keys");
            let portals = [app.second(), app.second(), app.second(), app.second()];
            let start = Barrier::new(portals.len());
            std::thread::scope(|scope| {
                for portal in &portals {
                    scope.spawn(|| {
                        start.wait();
                        portal.ready_receipt_key().unwrap();
                    });
                }
            });
            assert_eq!(count(&app, "receipt_keys"), 1, "round {round}");
        }
    }

    fn keys_that_are_changed_at_once_leave_one_that_signs(app: TestApp) {
        let app = app.with_fleet();
        let portals = [app.second(), app.second(), app.second()];
        let start = Barrier::new(portals.len());
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = portals.iter().map(|portal| scope.spawn(|| {
                start.wait();
                portal.rotate_receipt_key(STAFF).is_ok()
            })).collect();
            threads.into_iter().map(|it| usize::from(it.join().unwrap())).sum::<usize>()
        });
        assert!(done >= 1);
        assert_eq!(count(&app, "receipt_keys WHERE retired_at IS NULL"), 1);
        assert_eq!(count(&app, "receipt_keys"), i64::try_from(done).unwrap());
        assert_eq!(count(&app, "audit_events WHERE action = 'receipt_key'"), i64::try_from(done).unwrap());
    }

    fn what_a_key_signs_with_is_shown_nowhere(app: TestApp) {
        use diesel::prelude::*;
        let app = app.with_fleet().with_passwords();
        let id = moved(&app);
        app.rotate_receipt_key(STAFF).unwrap();
        let secrets: Vec<String> = app.in_db(|conn| {
            let all = xenbeta::store::schema::receipt_keys::table;
            Ok(all.select(xenbeta::store::schema::receipt_keys::secret).load(conn)?)
        });
        assert_eq!(secrets.len(), 2);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let paths = ["/receipt-keys.json", "/staff/audit", "/staff/audit.csv", &format!("/staff/migrations/{id}/receipt"), &format!("/staff/migrations/{id}/receipt.json")];
        for path in paths {
            let body = staff.get(path).body;
            assert!(secrets.iter().all(|secret| secret.len() == 64 && !body.contains(secret)), "{path}");
        }
        staff.get("/staff/audit").shows(&["receipt_key"]);
        let key = app.in_db(xenbeta::store::receipt::current_key).unwrap();
        assert!(!format!("{key:?}").contains(&key.secret));
    }

    fn a_move_finishes_though_its_key_is_damaged(app: TestApp) {
        let app = app.with_fleet();
        app.ready_receipt_key().unwrap();
        app.sql("UPDATE receipt_keys SET secret = 'nothing'");
        let id = moved(&app);
        assert!(app.migration(id).finished_at.is_some());
        assert!(app.receipt(None, id).is_err());
        // A new one mends it.
        app.rotate_receipt_key(PORTAL).unwrap();
        checked(&app.receipt(None, id).unwrap(), &app.receipt_keys().unwrap());
    }
}
