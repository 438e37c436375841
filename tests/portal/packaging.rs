//! What is installed as an example works as it stands: a key that was renamed shows here, and not at the operator's.

use std::path::{Path, PathBuf};

use xenbeta::config::{Config, Mail};

fn packaged(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(packaged(name)).unwrap()
}

/// The example with its commented-out lines (those that are TOML: `# key = …`, `# [table]`) in force.
fn uncommented(text: &str, until: Option<&str>) -> String {
    let part = until.map_or(text, |mark| text.split(mark).next().unwrap());
    part.lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.starts_with('[')
                    || rest
                        .split_once(" = ")
                        .is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                rest
            }
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_portals_example_is_read() {
    let config = Config::load(&packaged("portal.example.toml")).unwrap();
    assert_eq!(config.base_url(), "https://lpm.example.net");
    assert!(matches!(config.mail, Mail::Smtp { .. }));
    assert_eq!(config.mail_domain(), "lpm.example.net");
}

#[test]
fn a_public_name_without_tls_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portal.toml");
    let load = |url: &str| {
        std::fs::write(&file, format!("base_url = \"{url}\"\n")).unwrap();
        Config::load(&file).map_err(|error| error.to_string())
    };
    for url in [
        "http://lpm.example.net",
        "http://203.0.114.9:8080",
        "http://[2a00::1]",
    ] {
        let why = load(url).map(drop).unwrap_err();
        assert!(
            why.contains("is not encrypted") && why.contains("https://"),
            "{url}: {why}"
        );
    }
    for url in [
        "https://lpm.example.net",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://10.77.0.1:8080",
        "http://portal:8080",
        "http://portal.lan",
    ] {
        assert!(load(url).is_ok(), "{url}");
    }
}

#[test]
fn every_key_the_portals_example_only_mentions_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portal.toml");
    std::fs::write(&file, uncommented(&text("portal.example.toml"), None)).unwrap();
    let config = Config::load(&file).unwrap();
    assert!(config.tls.is_some());
    let Mail::Smtp {
        username,
        password_file,
        root_certificate,
        port,
        ..
    } = config.mail
    else {
        panic!("smtp");
    };
    assert!(username.is_some() && password_file.is_some() && root_certificate.is_some());
    assert_eq!(port, Some(25));
}

#[test]
fn the_portal_refuses_a_key_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portal.toml");
    std::fs::write(
        &file,
        format!("listn = \"127.0.0.1:1\"\n{}", text("portal.example.toml")),
    )
    .unwrap();
    let said = Config::load(&file).unwrap_err().to_string();
    assert!(said.contains("listn"), "{said}");
}

#[cfg(feature = "agent")]
#[test]
fn the_agents_example_is_read_with_either_driver() {
    use xenbeta::agent::config::{Config, DriverConfig};

    let simulated = Config::parse(&text("agent.example.toml")).unwrap();
    assert!(matches!(simulated.driver, DriverConfig::Simulated(_)));

    let text = text("agent.example.toml");
    let (common, drivers) = text.split_once("[driver]").unwrap();
    let (_, uml) = drivers.split_once("# [driver]").unwrap();
    let uml: Vec<&str> = uml
        .lines()
        .map(|line| line.trim_start_matches("# ").trim_start_matches('#'))
        .collect();
    let common = common.rsplit_once('\n').unwrap().0;
    let uml = Config::parse(&format!("{common}\n[driver]{}", uml.join("\n"))).unwrap();
    let DriverConfig::Uml(uml) = uml.driver else {
        panic!("uml");
    };
    assert!(format!("{uml:?}").contains("2.6.16-linode15"));
}

#[cfg(feature = "agent")]
#[test]
fn the_agents_example_for_xen_is_read_whole() {
    use xenbeta::agent::config::{Config, DriverConfig};

    let text = text("agent.xen.example.toml");
    let xen = |text: &str| match Config::parse(text).unwrap().driver {
        DriverConfig::Xen(xen) => xen,
        other => panic!("{other:?}"),
    };
    let plain = xen(&text);
    assert!(plain.anti_spoofing && plain.memory_mb.is_none());
    assert_eq!(plain.kernels[0].files().count(), 2);
    // What is commented out is right too.
    assert_eq!(
        xen(&text.replace("# memory_mb", "memory_mb")).memory_mb,
        Some(14336)
    );
}

/// The paths in the units and in the examples are the same ones.
#[test]
fn units_and_examples_agree() {
    let portal = text("xenbeta.service");
    assert!(portal.contains("serve --config /etc/xenbeta/portal.toml"));
    assert!(portal.contains("LoadCredential=secret:"));
    assert!(text("portal.example.toml").contains("/run/credentials/xenbeta.service/secret"));
    let agent = text("xenbeta-agent.service");
    assert!(agent.contains("run --config /etc/xenbeta/agent.toml"));
    assert!(
        agent.contains("KillMode=process"),
        "guests outlive their agent"
    );
    for example in ["agent.example.toml", "agent.xen.example.toml"] {
        assert!(text(example).contains("/var/lib/xenbeta-agent"));
    }
    assert!(agent.contains("StateDirectory=xenbeta-agent"));
    let xen = text("xenbeta-agent.service.d/xen.conf");
    assert!(xen.contains("CAP_SYS_ADMIN") && xen.contains("CAP_SYS_NICE"));
}

/// As `docs/SECURITY.md` says, by systemd's own count (in tenths).
#[test]
fn the_units_are_as_narrow_as_is_said() {
    for (unit, most) in [("xenbeta.service", 20), ("xenbeta-agent.service", 50)] {
        // Alone in a folder: drop-ins beside it would count.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(unit);
        std::fs::copy(packaged(unit), &path).unwrap();
        let judged = std::process::Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(format!("--threshold={most}"))
            .arg(&path)
            .output();
        let Ok(judged) = judged else {
            eprintln!("SKIPPED: no systemd-analyze here");
            return;
        };
        let said = String::from_utf8_lossy(&judged.stdout);
        assert!(judged.status.success(), "{unit}: {}", said.trim_end());
    }
}
