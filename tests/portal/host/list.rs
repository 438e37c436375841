//! Staff's list of hosts.

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::STAFF_EMAIL;

both_databases! {
    fn hosts_are_paged(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mut sql = String::new();
        for n in 1..=205 {
            sql.push_str(&format!("INSERT INTO hosts (id, name, platform, role, state, memory_mb, disk_mb, created_at) VALUES ({}, 'h{n:03}', 'xen', 'beta', 'enabled', 1, 1, '2026-01-01T00:00:00.000000Z');", 100 + n));
        }
        app.sql(&sql);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let all = staff.walk("/staff/hosts");
        assert_eq!(all.len(), 209);
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 209, "each once");
        staff.get("/staff/hosts?q=20").shows(&["h120", "h200"]).hides(&["h121"]);
        staff.get("/staff/hosts?q=H%25").shows(&["There are none."]);
        staff.get("/staff/hosts?silent=yes").shows(&["There are none."]);
    }
}
