//! With a program that plays `nft`: one table, which is a file.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::agent::driver::DriverError;

const LINODE: LinodeId = LinodeId(7);

struct Fixture {
    dir: tempfile::TempDir,
    guard: Guard,
    kept: Kept,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        // `fails` holds how often it fails from now on.
        let text = r#"#!/bin/sh
cd "${0%/*}" || exit 1
echo "$*" >> calls
left=$(cat fails 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then echo $((left - 1)) > fails; echo "Error: busy" >&2; exit 1; fi
case "$*" in
-f*) cp "$2" loaded ;;
--version) echo nft v1 ;;
*"delete table"*) rm -f loaded ;;
-j*)
    printf '{"nftables": [{"metainfo": {}}'
    if [ -e loaded ]; then
        printf ', {"chain": {"table": "xb7", "name": "from_guest", "hook": "prerouting"}}'
        sed -n 's/^\t\t\(iifname\|ether\|drop\)/&/p' loaded | while read -r rule; do
            comment=$(echo "$rule" | sed -n 's/.*comment \(".*"\)$/, "comment": \1/p')
            printf ', {"rule": {"table": "xb7", "chain": "from_guest"%s, "expr": []}}' "$comment"
        done
    fi
    echo ']}' ;;
esac
"#;
        fs::write(path("nft"), text).unwrap();
        fs::set_permissions(path("nft"), fs::Permissions::from_mode(0o755)).unwrap();
        let guard = Guard {
            nft: Nft::called(path("nft")),
            mended: Mutex::default(),
        };
        let kept = Kept {
            linode: LINODE,
            port: "xb7".to_owned(),
            file: path("filter.nft"),
        };
        Self { dir, guard, kept }
    }

    fn fail(&self, times: u32) {
        fs::write(self.dir.path().join("fails"), times.to_string()).unwrap();
    }

    fn calls(&self) -> usize {
        let path = self.dir.path().join("calls");
        let calls = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        calls.lines().count()
    }

    fn loaded(&self) -> PathBuf {
        self.dir.path().join("loaded")
    }

    fn look(&self, runs: bool) -> Vec<String> {
        self.guard.look(std::slice::from_ref(&self.kept), &|_| runs)
    }
}

fn spec() -> GuestSpec {
    GuestSpec {
        label: "web01".to_owned(),
        ram_mb: 64,
        mac: "fe:fd:40:16:47:b4".to_owned(),
        addresses: vec![],
        disks: vec![],
        cpu_weight: 64,
        io_priority: 4,
    }
}

#[test]
fn no_guest_starts_without_rules_where_nft_is() {
    let fixture = Fixture::new();
    fixture.guard.ready().unwrap();
    fixture.calls();
    fixture.fail(2);
    fixture.guard.install(&fixture.kept, &spec()).unwrap();
    assert_eq!(fixture.calls(), 3, "tried again");
    assert!(fixture.loaded().exists());
    fixture.fail(100);
    let error = fixture.guard.install(&fixture.kept, &spec()).unwrap_err();
    assert!(
        matches!(&error, DriverError::Host(text) if text.contains("busy")),
        "{error}"
    );
    assert_eq!(fixture.calls(), 3, "and not for ever");
    assert!(fixture.guard.ready().is_err());
    // It stays behind, and nobody waits for that.
    fixture.guard.remove(&fixture.kept).unwrap();
    assert!(fixture.kept.file.exists());
    fixture.fail(0);
    fixture.guard.remove(&fixture.kept).unwrap();
    assert!(!fixture.kept.file.exists() && !fixture.loaded().exists());
}

#[test]
fn a_host_without_nft_runs_guests_and_says_so() {
    let fixture = Fixture::new();
    let guard = Guard {
        nft: Nft::called("/no-such-program"),
        mended: Mutex::default(),
    };
    guard.ready().unwrap();
    guard.install(&fixture.kept, &spec()).unwrap();
    let said = guard.look(&[], &|_| true);
    assert!(said.concat().contains("no nft"), "{said:?}");
    // It is installed now: the next look loads what the start could not.
    assert!(fixture.look(true).concat().contains("loaded again"));
    assert!(fixture.loaded().exists());
    guard.remove(&fixture.kept).unwrap();
    assert!(!fixture.kept.file.exists());
}

#[test]
fn rules_that_were_flushed_are_loaded_again_and_it_is_said() {
    let fixture = Fixture::new();
    assert!(fixture.look(true).concat().contains("without rules"));
    fixture.guard.install(&fixture.kept, &spec()).unwrap();
    fixture.calls();
    assert_eq!(fixture.look(true), Vec::<String>::new());
    assert_eq!(fixture.calls(), 1, "one process a look");

    // All of them, then all but the chain, then one.
    let whole = fs::read_to_string(fixture.loaded()).unwrap();
    for rest in [
        None,
        Some(String::new()),
        Some(whole.replacen("\t\tether", "", 1)),
    ] {
        match rest {
            None => fs::remove_file(fixture.loaded()).unwrap(),
            Some(rest) => fs::write(fixture.loaded(), rest).unwrap(),
        }
        let said = fixture.look(true);
        assert!(
            said.concat().contains("rules of Linode 7 were gone"),
            "{said:?}"
        );
        assert_eq!(fs::read_to_string(fixture.loaded()).unwrap(), whole);
    }
    assert_eq!(fixture.look(true).len(), 1, "still said, once");

    // A guest that ended meanwhile gets none.
    fs::remove_file(fixture.loaded()).unwrap();
    fixture.look(false);
    assert!(!fixture.loaded().exists());
    // What cannot be looked at or loaded is said.
    fixture.fail(1);
    assert!(fixture.look(true).concat().contains("cannot be looked at"));
}
