//! What `xenbeta-agent check` looks at on a Xen host.

use std::fs;
use std::path::Path;

use super::config::XenConfig;
use super::{keeper, xl};
use crate::agent::driver::files::setting;
use crate::agent::driver::net;

type Verdict = Result<String, String>;

pub(super) fn examine(config: &XenConfig) -> Vec<(&'static str, Verdict)> {
    let info = xl::info().map_err(|error| error.to_string());
    vec![
        ("toolstack", toolstack(info.as_ref())),
        ("memory", ballooning(info.as_ref())),
        (
            "control",
            control_weight(&xl::weights().map_err(|error| error.to_string())),
        ),
        ("consoles", consoles(config)),
        ("xenstore", xenstore()),
        ("bridge", net::examine::bridge(&config.bridge)),
        ("spoofing", net::examine::spoofing(config.anti_spoofing)),
        ("kernels", kernels(config)),
        ("xendomains", xendomains()),
    ]
}

fn toolstack(info: Result<&xl::Info, &String>) -> Verdict {
    let info = info.map_err(Clone::clone)?;
    if info.scheduler != "credit2" {
        return Err(format!(
            "the scheduler is {}: weights are set under credit2 only",
            info.scheduler
        ));
    }
    Ok(format!(
        "Xen {}, credit2, {} MiB free",
        info.version, info.free_memory_mb
    ))
}

/// The control domain's memory must not be what guests are given: it would shrink under the agent.
fn ballooning(info: Result<&xl::Info, &String>) -> Verdict {
    let info = info.map_err(Clone::clone)?;
    let fixed = info
        .commandline
        .split_ascii_whitespace()
        .any(|word| word.starts_with("dom0_mem="));
    let text = fs::read_to_string("/etc/xen/xl.conf").unwrap_or_default();
    if fixed || setting(&text, "autoballoon").as_deref() == Some("off") {
        Ok("the control domain's is its own".to_owned())
    } else {
        Err("guests would take the control domain's: dom0_mem= on Xen's command line, or autoballoon=\"off\" in xl.conf"
            .to_owned())
    }
}

/// Credit2's weight of a domain that nobody gave one.
const DEFAULT_WEIGHT: i64 = 256;

/// The control domain moves every guest's disk and network blocks, and runs the agent: with a guest's share of a full host, all
/// wait for it.
fn control_weight(weights: &Result<Vec<(u32, i64)>, String>) -> Verdict {
    let weights = weights.as_ref().map_err(Clone::clone)?;
    let own = weights.iter().find(|(domain, _)| *domain == 0);
    match own.map(|(_, weight)| *weight) {
        Some(weight) if weight > DEFAULT_WEIGHT => Ok(format!("has the weight {weight}")),
        Some(weight) => Err(format!(
            "the control domain has the weight {weight} and waits behind busy guests: xl sched-credit2 -d Domain-0 -w 1024, at each boot"
        )),
        None => Err("xl sched-credit2 does not list the control domain".to_owned()),
    }
}

fn consoles(config: &XenConfig) -> Verdict {
    keeper::consoles_are_logged().map_err(|error| error.to_string())??;
    let dir = &config.console_dir;
    if !dir.is_dir() {
        return Err(format!("{} is not a folder", dir.display()));
    }
    bounded(
        Path::new("/run/systemd/system").exists(),
        Path::new("/etc/systemd/system/timers.target.wants/xenbeta-consoles.timer").exists(),
    )?;
    Ok(format!("kept in {}", dir.display()))
}

/// A host without systemd sees to it in its own way.
fn bounded(systemd: bool, timer: bool) -> Result<(), String> {
    if systemd && !timer {
        return Err(
            "guests fill the disk with them while no agent runs: install packaging/xenbeta-consoles.service and enable \
             xenbeta-consoles.timer"
                .to_owned(),
        );
    }
    Ok(())
}

/// What keeps one guest from filling `oxenstored`, or from reading and changing what is another's. (The other `xenstored` has
/// no such switches.)
const GUARDS: [&str; 3] = ["quota-activate", "perms-activate", "perms-watch-activate"];

fn xenstore() -> Verdict {
    judge_xenstore(&fs::read_to_string("/etc/xen/oxenstored.conf").unwrap_or_default())
}

fn judge_xenstore(oxenstored: &str) -> Verdict {
    let off = |key: &&str| setting(oxenstored, key).is_some_and(|value| value != "true");
    match GUARDS.into_iter().find(|key| off(key)) {
        Some(key) => Err(format!(
            "guests are not kept apart, or not small: {key} = true in /etc/xen/oxenstored.conf"
        )),
        None => Ok("guests have quotas and their own nodes".to_owned()),
    }
}

fn kernels(config: &XenConfig) -> Verdict {
    let missing: Vec<String> = config
        .kernels
        .iter()
        .flat_map(|kernel| {
            kernel
                .files()
                .filter(|path| !path.is_file())
                .map(move |path| format!("{}: {} is not there", kernel.id, path.display()))
        })
        .collect();
    if missing.is_empty() {
        let with = config.kernels.iter().filter(|k| k.initramfs.is_some());
        Ok(format!(
            "{}, {} with an initramfs for boot helpers",
            config.kernels.len(),
            with.count()
        ))
    } else {
        Err(missing.join("; "))
    }
}

/// A guest saved at the host's shutdown and restored at its boot would run without the portal's word, with the memory of
/// then on the disks of now.
fn xendomains() -> Verdict {
    let defaults = Path::new("/etc/default/xendomains");
    let enabled = ["S", "2", "3", "4", "5"].iter().any(|level| {
        let dir = fs::read_dir(format!("/etc/rc{level}.d"));
        dir.into_iter().flatten().flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with('S') && name.ends_with("xendomains")
        })
    });
    let text = fs::read_to_string(defaults).unwrap_or_default();
    judge_xendomains(enabled, &text)
}

fn judge_xendomains(enabled: bool, defaults: &str) -> Verdict {
    let saves = setting(defaults, "XENDOMAINS_SAVE").is_some_and(|dir| !dir.is_empty());
    let restores = setting(defaults, "XENDOMAINS_RESTORE").is_none_or(|value| value == "true");
    if enabled && saves && restores {
        Err(
            "guests are saved at shutdown and restored at boot without the portal's word: XENDOMAINS_RESTORE=false and \
             XENDOMAINS_SAVE= in /etc/default/xendomains, or disable the service"
                .to_owned(),
        )
    } else {
        Ok("restores no guest".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(scheduler: &str, commandline: &str) -> xl::Info {
        xl::Info {
            version: "4.17.5".to_owned(),
            scheduler: scheduler.to_owned(),
            commandline: commandline.to_owned(),
            free_memory_mb: 1256,
        }
    }

    #[test]
    fn what_is_wrong_with_a_host_is_said() {
        assert!(
            toolstack(Ok(&info("credit2", "")))
                .unwrap()
                .contains("4.17.5")
        );
        assert!(
            toolstack(Ok(&info("credit", "")))
                .unwrap_err()
                .contains("credit2")
        );
        assert!(toolstack(Err(&"xl: not there".to_owned())).is_err());
        assert!(ballooning(Ok(&info("credit2", "x dom0_mem=768M,max:768M y"))).is_ok());
        let weights = |own| Ok(vec![(0, own), (6, 256)]);
        assert!(
            control_weight(&weights(256))
                .unwrap_err()
                .contains("-w 1024")
        );
        assert!(control_weight(&weights(1024)).is_ok());
        assert!(control_weight(&Ok(vec![(6, 256)])).is_err());
    }

    #[test]
    fn saved_guests_are_not_to_come_back() {
        let stock = "XENDOMAINS_SAVE=/var/lib/xen/save\n# comment\nXENDOMAINS_RESTORE=true\n";
        assert!(judge_xendomains(true, stock).is_err());
        assert!(judge_xendomains(false, stock).is_ok());
        assert!(judge_xendomains(true, &stock.replace("true", "false")).is_ok());
        assert!(judge_xendomains(true, &stock.replace("/var/lib/xen/save", "\"\"")).is_ok());
    }

    #[test]
    fn what_guests_could_fill_is_to_have_bounds() {
        // As Debian ships it.
        let stock = "merge-activate = true\nperms-activate = true\nperms-watch-activate = true\nquota-activate = true\n\
                     quota-maxentity = 1000\nquota-maxsize = 2048\n# quota-activate = false\n";
        assert!(judge_xenstore(stock).is_ok() && judge_xenstore("").is_ok());
        for key in GUARDS {
            let without = stock.replace(&format!("\n{key} = true"), &format!("\n{key} = false"));
            assert!(judge_xenstore(&without).unwrap_err().contains(key));
        }
        assert!(bounded(false, false).is_ok() && bounded(true, true).is_ok());
        assert!(
            bounded(true, false)
                .unwrap_err()
                .contains("xenbeta-consoles.timer")
        );
    }
}
