//! The password itself: the same whichever system it is typed on, made anew where its hash is an old one, and none that is
//! guessed first.

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use xenbeta::app::account::password::{Verdict, check_stored};
use xenbeta::app::account::sign_in::Origin;
use xenbeta::app::error::AppError;
use xenbeta::app::secrets::{self, purpose};
use xenbeta::domain::ids::UserId;
use xenbeta::domain::values::Email;
use xenbeta::store;
use xenbeta::store::account::reset::NewReset;
use xenbeta::store::db::Db;

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD};

const MIA: UserId = UserId(1);
const COMPOSED: &str = "Gr\u{fc}ne-\u{c4}pfel-2026";
const DECOMPOSED: &str = "Gru\u{308}ne-A\u{308}pfel-2026";
const FROM: Origin<'static> = Origin {
    address: "198.51.100.7",
    user_agent: "test",
    device: "",
};

/// A hash of other costs than the portal's, of the password as it is given.
fn made_elsewhere(password: &str, (memory_kib, passes): (u32, u32)) -> String {
    let params = Params::new(memory_kib, passes, 1, None).unwrap();
    let salt = SaltString::encode_b64(&[7; 16]).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .unwrap()
        .to_string()
}

fn set(app: &TestApp, hash: &str) {
    app.db
        .write(|conn| store::account::set_password(conn, MIA, hash))
        .unwrap();
}

fn stored(app: &TestApp) -> String {
    app.in_db(|conn| store::account::user(conn, MIA))
        .unwrap()
        .password_hash
        .unwrap()
}

fn signs_in(app: &TestApp, password: &str) -> bool {
    app.sign_in(MEMBER_EMAIL, password, FROM).unwrap().is_some()
}

/// A link by which Mia sets a password.
fn link(app: &TestApp, token: &str) {
    let put = |conn: &mut Db| {
        let new = NewReset {
            hash: &secrets::hash(purpose::RESET, token),
            user_id: MIA,
            created_at: app.now(),
            expires_at: app.now().plus_s(600),
            asker: "",
        };
        store::account::reset::insert_reset(conn, &new)
    };
    app.db.write(put).unwrap();
}

both_databases! {
    fn it_is_the_same_on_every_system(app: TestApp) {
        let app = app.with_fleet();
        for (n, (set, typed)) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)].into_iter().enumerate() {
            let token = format!("link {n}");
            link(&app, &token);
            app.reset_password(&token, set, FROM).unwrap();
            assert!(signs_in(&app, set) && signs_in(&app, typed));
        }
    }

    fn one_of_before_is_tried_as_typed_and_made_anew(app: TestApp) {
        let app = app.with_fleet();
        let old = made_elsewhere(DECOMPOSED, (19 * 1024, 2));
        set(&app, &old);
        assert!(!signs_in(&app, COMPOSED), "nobody can know that yet");
        assert!(signs_in(&app, DECOMPOSED));
        assert_ne!(stored(&app), old);
        assert!(signs_in(&app, COMPOSED));
    }

    fn an_imported_hash_becomes_the_portals_own_at_sign_in(app: TestApp) {
        let app = app.with_fleet();
        let old = made_elsewhere(PASSWORD, (64, 3));
        set(&app, &old);
        assert!(!signs_in(&app, "a guess that is wrong"));
        assert_eq!(stored(&app), old);
        assert!(signs_in(&app, PASSWORD));
        let own = stored(&app);
        assert!(own.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{own}");
        assert!(signs_in(&app, PASSWORD));
        assert_eq!(stored(&app), own, "once");
    }

    fn ones_own_address_and_common_ones_are_refused_at_every_door(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get("/members/accounts");
        for (new, why) in [
            ("mia@example.com", "made of your address"),
            ("MIA-example-2026", "made of your address"),
            ("XenPublicBeta2026", "this site"),
            ("lpm.example.net", "this site"),
            ("password2026", "lists that are tried first"),
            ("Password-2026!", "lists that are tried first"),
        ] {
            let refused = member.submit(&page, "Change password", &[("password", PASSWORD), ("new_password", new)]);
            assert_eq!(refused.status, 422, "{new}");
            refused.says_beside("new_password", why);
            link(&app, new);
            let refused = app.reset_password(new, new, FROM);
            assert!(matches!(refused, Err(AppError::Invalid { .. })), "{new}");
        }
    }

    fn what_scans_mail_and_looks_at_a_link_does_not_use_it_up(app: TestApp) {
        let app = app.with_fleet();
        let site = Site::serve(&app.app);
        link(&app, "looked-at");
        let path = "/password/reset/looked-at";
        for _ in 0..3 {
            assert_eq!(site.visitor().head(path).status, 200);
            assert_eq!(site.visitor().get(path).status, 200);
        }
        let mut mia = site.visitor();
        let page = mia.get(path);
        let set = mia.submit(&page, "Set the password", &[("password", COMPOSED)]);
        assert_eq!(set.status, 303, "{}", set.body);
        assert!(signs_in(&app, COMPOSED));
        site.visitor().get(path).shows(&["was used already"]);
    }

    fn letters_that_become_others_make_nobody_another_person(app: TestApp) {
        let app = app.with_fleet();
        app.sql("UPDATE users SET email = 'okay@example.com' WHERE id = 1");
        for foreign in ["o\u{212a}ay@example.com", "O\u{212A}AY@example.com"] {
            app.forgot_password(foreign, FROM).unwrap();
            assert_eq!(crate::races::judge::mails(&app, "password_reset"), 0, "{foreign}");
            assert_ne!(Email::parse(foreign).unwrap().as_str(), "okay@example.com");
        }
        app.forgot_password("OKAY@Example.COM", FROM).unwrap();
        assert_eq!(crate::races::judge::mails(&app, "password_reset"), 1);
        assert_eq!(Email::parse("\u{130}lker@example.com").unwrap().as_str(), "\u{130}lker@example.com");
    }
}

#[test]
fn an_import_takes_no_hash_that_is_dearer_than_the_portals() {
    for (costs, fine) in [
        ((19 * 1024, 2), true),
        ((12 * 1024, 3), true),
        ((7 * 1024, 5), true),
        ((64 * 1024, 1), false),
        ((19 * 1024, 3), false),
        ((8, 10_000), false),
    ] {
        let [memory, passes] = [costs.0, costs.1];
        let hash = format!(
            "$argon2id$v=19$m={memory},t={passes},p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaVNPHcHQfDzNmzQs"
        );
        assert_eq!(check_stored(&hash).is_ok(), fine, "{hash}");
    }
}

/// What waits is bounded, and who comes too late is told so at once.
#[test]
fn a_flood_of_hashes_is_told_to_come_again() {
    let app = TestApp::new(crate::support::On::Sqlite);
    let said: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..200)
            .map(|_| scope.spawn(|| app.hasher.look(PASSWORD, None)))
            .collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let count =
        |is: fn(&Result<Verdict, AppError>) -> bool| said.iter().filter(|it| is(it)).count();
    let busy = count(|it| matches!(it, Err(AppError::Busy { retry_after_s: 1.. })));
    let done = count(|it| matches!(it, Ok(Verdict::Wrong)));
    assert_eq!(busy + done, 200, "{said:?}");
    assert!(done >= 128, "{done}");
}
