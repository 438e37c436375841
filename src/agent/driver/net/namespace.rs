//! Tests with real frames and rules: in a network namespace of their own, by this very program.

use std::time::Duration;

use super::nft::Nft;
use super::tool;
use crate::command::Tool;

const INSIDE: &str = "XENBETA_TEST_NAMESPACE";
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `body` there, where `test` is the name of the test that calls this. Says so and does nothing where that cannot be.
pub(crate) fn inside(test: &str, body: impl FnOnce()) {
    #[allow(clippy::disallowed_methods, reason = "tests")]
    if std::env::var_os(INSIDE).is_some() {
        tool("mount", &["-t", "sysfs", "none", "/sys"]).unwrap();
        // Nothing but what a test sends is under way.
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        // Nor does the host's own packet filter look at what passes, where its module is loaded.
        for of in ["iptables", "ip6tables", "arptables"] {
            let _ = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{of}"), "0");
        }
        // A host need not know protocols and services by their names (Debian's `netbase`).
        for names in ["/etc/protocols", "/etc/services"] {
            if std::path::Path::new(names).exists() {
                tool("mount", &["--bind", "/dev/null", names]).unwrap();
            }
        }
        return body();
    }
    let unshare = || Tool::new("unshare").args(["--net", "--mount"]);
    if let Err(error) = unshare().args(["nft", "list", "tables"]).run() {
        eprintln!("SKIPPED: {test} needs root, network namespaces and nft: {error}");
        return;
    }
    if let Err(error) = Nft::default().available() {
        eprintln!("SKIPPED: {test} needs nft: {error}");
        return;
    }
    let me = std::env::current_exe().unwrap();
    unshare()
        .arg(me)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .limit(LIMIT)
        .run()
        .unwrap();
}
