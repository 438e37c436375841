//! What staff set on a host: nobody overwrites unseen what somebody else changed.

use xenbeta::domain::host::HostState;
use xenbeta::store;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{STAFF_EMAIL, XEN1};

both_databases! {
    fn two_who_set_a_hosts_limits_do_not_lose_one_anothers(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (mut sam, mut other) = (site.signed_in(STAFF_EMAIL), site.signed_in(STAFF_EMAIL));
        let (first, second) = (sam.get("/staff/hosts/3"), other.get("/staff/hosts/3"));
        let cap = [("cap_mb_s", "50")];
        assert_eq!(sam.submit(&first, "Save the limits", &cap).status, 303);
        assert_eq!(sam.submit(&first, "Save the limits", &cap).status, 303, "a double click");
        let reply = other.submit(&second, "Save the limits", &[("slots", "1")]);
        assert_eq!(reply.status, 409, "{}", reply.text());
        reply.says(&["Someone else changed these limits", "Look at the host again"]);
        let host = app.in_db(|conn| store::host::host(conn, XEN1)).unwrap();
        assert_eq!((host.slots, host.cap_mb_s), (4, Some(50)));
        let fresh = other.get("/staff/hosts/3");
        assert_eq!(other.submit(&fresh, "Save the limits", &[("slots", "1")]).status, 303);
        let host = app.in_db(|conn| store::host::host(conn, XEN1)).unwrap();
        assert_eq!((host.slots, host.cap_mb_s), (1, Some(50)));
    }

    fn a_state_set_from_an_old_page_is_refused(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut sam = site.signed_in(STAFF_EMAIL);
        let old = sam.get("/staff/hosts/3");
        assert_eq!(sam.submit(&old, "Set the state", &[("state", "disabled")]).status, 303);
        let reply = sam.submit(&old, "Set the state", &[("state", "draining")]);
        assert_eq!(reply.status, 409, "{}", reply.text());
        reply.says(&["it is disabled now"]);
        assert_eq!(sam.submit(&old, "Set the state", &[("state", "disabled")]).status, 303, "done is done");
        let host = app.in_db(|conn| store::host::host(conn, XEN1)).unwrap();
        assert_eq!(host.state, HostState::Disabled);
    }
}
