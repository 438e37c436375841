//! Does the host keep its hands off what is on guests' disks? Stock udev and LVM look into every block device: a customer's
//! physical volume is activated (its disk then stays busy, and a group called like the host's makes that name ambiguous), and
//! file systems get links by labels that the customer chose.

use std::fs;
use std::io;
use std::path::Path;

use super::config::{Config, DisksConfig, DriverConfig};
use super::driver::files::setting;
use crate::command::{CommandError, Tool};

type Verdict = Result<String, String>;

const RULES: &str = "57-xenbeta.rules";
const FOLDERS: [&str; 3] = [
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/lib/udev/rules.d",
];

/// As what guests' disks are seen by the host.
pub(super) enum Seen<'a> {
    Volumes(&'a str),
    /// Loop devices over files in this folder.
    Loops(&'a Path),
}

/// For `xenbeta-agent check`. Nothing where guests' disks are no block devices of the host's.
pub(super) fn examine(config: &Config) -> Vec<(&'static str, Verdict)> {
    let seen = match (&config.disks, &config.driver) {
        (_, DriverConfig::Simulated(_)) => return Vec::new(),
        (DisksConfig::Lvm(lvm), _) => Seen::Volumes(&lvm.vg),
        (DisksConfig::Files(files), DriverConfig::Xen(_)) => Seen::Loops(&files.dir),
        (DisksConfig::Files(_), DriverConfig::Uml(_)) => return Vec::new(),
    };
    let others = others(Path::new("/"), &seen);
    vec![
        ("udev", udev(&seen)),
        ("lvm", lvm(&seen)),
        ("others", others),
    ]
}

fn udev(seen: &Seen<'_>) -> Verdict {
    if !Path::new("/run/udev/control").exists() {
        return Ok("does not run here".to_owned());
    }
    let mut folders = FOLDERS.iter();
    let text = folders.find_map(|folder| fs::read_to_string(Path::new(folder).join(RULES)).ok());
    judge_rules(text.as_deref(), seen)
}

pub(super) fn judge_rules(text: Option<&str>, seen: &Seen<'_>) -> Verdict {
    let text = text.ok_or_else(|| {
        format!("looks into guests' disks: install packaging/{RULES} into /etc/udev/rules.d")
    })?;
    let wanted = match seen {
        Seen::Volumes(vg) => format!("ENV{{DM_VG_NAME}}==\"{vg}\""),
        Seen::Loops(dir) => format!("ATTR{{loop/backing_file}}==\"{}/*\"", dir.display()),
    };
    let mut rules = text.lines().filter(|line| !line.starts_with('#'));
    if rules.any(|line| line.contains(&wanted)) {
        Ok("leaves guests' disks alone".to_owned())
    } else {
        Err(format!(
            "looks into guests' disks: {RULES} has no rule with {wanted}"
        ))
    }
}

fn lvm(seen: &Seen<'_>) -> Verdict {
    let args = ["scan_lvs", "use_devicesfile", "filter", "global_filter"];
    let said = Tool::new("lvm")
        .args(["lvmconfig", "--type", "full"])
        .args(args.map(|key| format!("devices/{key}")))
        .env("LVM_SUPPRESS_FD_WARNINGS", "1")
        .run();
    match said {
        Ok(said) => judge_lvm(&said.text(), seen),
        Err(CommandError::Start { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok("is not installed here".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn judge_lvm(text: &str, seen: &Seen<'_>) -> Verdict {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
            .unwrap_or_default()
    };
    let listed = value("use_devicesfile") == "1";
    let refuses = |filter: &str| {
        let mut parts = filter.split('"').skip(1).step_by(2);
        parts.any(|part| part.starts_with('r') && (part.contains("loop") || part.contains(".*")))
    };
    let filtered = refuses(value("filter")) || refuses(value("global_filter"));
    match seen {
        Seen::Volumes(_) if value("scan_lvs") != "0" => Err(
            "looks for volume groups within guests' volumes: scan_lvs = 0 in the devices of lvm.conf".to_owned(),
        ),
        Seen::Loops(_) if !listed && !filtered => Err(
            "looks for volume groups on guests' disks: global_filter = [ \"r|^/dev/loop|\" ] (or use_devicesfile = 1) in the \
             devices of lvm.conf"
                .to_owned(),
        ),
        _ => Ok("takes nothing on guests' disks for its own".to_owned()),
    }
}

/// Those that look into every block device by themselves, whatever udev is told.
fn others(root: &Path, seen: &Seen<'_>) -> Verdict {
    let there = |path: &str| root.join(path).exists();
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let parts = read("sys/module/loop/parameters/max_part");
    let found = if there("usr/bin/os-prober")
        && setting(&read("etc/default/grub"), "GRUB_DISABLE_OS_PROBER").as_deref() != Some("true")
    {
        "os-prober mounts guests' disks at each update-grub: remove it, or GRUB_DISABLE_OS_PROBER=true in /etc/default/grub"
    } else if there("lib/udev/bcache-register") {
        "bcache-tools looks into guests' disks and gives the kernel what calls itself a bcache: remove it"
    } else if matches!(seen, Seen::Loops(_)) && !matches!(parts.trim(), "" | "0") {
        "the kernel reads partition tables on guests' disks: no loop.max_part on its command line"
    } else {
        return Ok("nobody else looks into guests' disks".to_owned());
    };
    Err(found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGED: &str = include_str!("../../packaging/57-xenbeta.rules");

    #[test]
    fn the_rules_that_leave_guests_disks_alone_are_demanded() {
        let volumes = Seen::Volumes("vg0");
        let loops = Seen::Loops(Path::new("/srv/linodes"));
        for seen in [&volumes, &loops] {
            assert!(judge_rules(Some(PACKAGED), seen).is_ok());
            assert!(judge_rules(None, seen).is_err());
            assert!(judge_rules(Some(&PACKAGED.replace("ACTION", "#ACTION")), seen).is_err());
        }
        let other = judge_rules(Some(PACKAGED), &Seen::Volumes("vg1"));
        assert!(other.unwrap_err().contains("vg1"));
    }

    #[test]
    fn lvm_is_to_look_for_nothing_on_guests_disks() {
        // As lvmconfig of 2.03.16 prints what Debian has.
        let stock =
            "scan_lvs=0\nuse_devicesfile=0\nfilter=[\"a|.*|\"]\nglobal_filter=[\"a|.*|\"]\n";
        let volumes = Seen::Volumes("vg0");
        let loops = Seen::Loops(Path::new("/srv/linodes"));
        assert!(judge_lvm(stock, &volumes).is_ok());
        assert!(judge_lvm(&stock.replace("scan_lvs=0", "scan_lvs=1"), &volumes).is_err());
        assert!(
            judge_lvm(stock, &loops)
                .unwrap_err()
                .contains("r|^/dev/loop|")
        );
        for (from, to) in [
            (
                "global_filter=[\"a|.*|\"]",
                "global_filter=[\"r|^/dev/loop|\"]",
            ),
            (
                "\nfilter=[\"a|.*|\"]",
                "\nfilter=[\"a|^/dev/nvme|\",\"r|.*|\"]",
            ),
            ("use_devicesfile=0", "use_devicesfile=1"),
        ] {
            let text = stock.replace(from, to);
            assert!(text != stock && judge_lvm(&text, &loops).is_ok(), "{text}");
        }
    }
    #[test]
    fn whoever_else_looks_into_guests_disks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let (volumes, loops) = (Seen::Volumes("vg0"), Seen::Loops(Path::new("/srv/linodes")));
        let said = |seen| others(dir.path(), seen);
        assert!(said(&volumes).is_ok() && said(&loops).is_ok());
        put("sys/module/loop/parameters/max_part", "0\n");
        assert!(said(&loops).is_ok());
        put("sys/module/loop/parameters/max_part", "15\n");
        assert!(said(&volumes).is_ok());
        assert!(said(&loops).unwrap_err().contains("max_part"));
        put("lib/udev/bcache-register", "");
        assert!(said(&volumes).unwrap_err().contains("bcache"));
        put("usr/bin/os-prober", "");
        assert!(said(&volumes).unwrap_err().contains("os-prober"));
        put(
            "etc/default/grub",
            "GRUB_DISABLE_OS_PROBER=true\nGRUB_DISABLE_OS_PROBER=false\n",
        );
        assert!(said(&volumes).unwrap_err().contains("os-prober"));
        put("etc/default/grub", "#\nGRUB_DISABLE_OS_PROBER=true\n");
        assert!(said(&volumes).unwrap_err().contains("bcache"));
    }
}
