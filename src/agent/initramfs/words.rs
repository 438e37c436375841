//! The words on a kernel's command line that tell the provider's initramfs what to do, the same on every platform.

use crate::domain::linode::Helper;
use crate::domain::platform::Platform;
use crate::domain::string_enum::StringEnum;
use crate::wire::BootSpec;

/// The longest name of a root device, without `/dev/`.
const NAME_LIMIT: usize = 15;

/// The words for a guest that is started with the initramfs; without one, none of them belong on the line.
/// `None` if the profile's root device is not a plain name, which could carry words of its own.
pub fn words(boot: &BootSpec, platform: Platform) -> Option<Vec<String>> {
    let mut words = vec![
        format!("xb.platform={platform}"),
        format!("xb.root=/dev/{}", root_name(boot)?),
    ];
    // In the order of their definition, each once: the same profile gives the same line.
    let helpers: Vec<&str> = Helper::ALL
        .iter()
        .filter(|helper| boot.helpers.contains(helper))
        .map(|helper| helper.as_str())
        .collect();
    if !helpers.is_empty() {
        words.push(format!("xb.helpers={}", helpers.join(",")));
    }
    // A newer udev than the guest was made with would call a Xen network card enX0, which the guest's files don't know.
    if boot.helpers.contains(&Helper::UdevNet) {
        words.push("net.ifnames=0".to_owned());
    }
    Some(words)
}

/// The root device without `/dev/`, which managers' data has in both forms; `None` if it is not letters and digits.
pub fn root_name(boot: &BootSpec) -> Option<&str> {
    let device = &boot.root_device;
    let name = device.strip_prefix("/dev/").unwrap_or(device);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (!name.is_empty() && name.len() <= NAME_LIMIT && name.chars().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::linode::RunLevel;

    fn boot(root: &str, helpers: &[Helper]) -> BootSpec {
        BootSpec {
            label: "Debian".to_owned(),
            kernel: "2.6".to_owned(),
            devices: BTreeMap::new(),
            root_device: root.to_owned(),
            read_only_root: true,
            run_level: RunLevel::Default,
            ram_mb: 64,
            vcpus: 1,
            helpers: helpers.to_vec(),
        }
    }

    #[test]
    fn the_words_of_a_profile() {
        let all = words(&boot("/dev/xvda", Helper::ALL), Platform::Xen).unwrap();
        insta::assert_snapshot!(all.join(" "), @"xb.platform=xen xb.root=/dev/xvda xb.helpers=disable_tls,fstab,console,modules,udev_net,updatedb_off net.ifnames=0");
        let none = words(&boot("ubdb1", &[]), Platform::Uml).unwrap();
        insta::assert_snapshot!(none.join(" "), @"xb.platform=uml xb.root=/dev/ubdb1");
    }

    #[test]
    fn the_order_and_repetition_of_helpers_do_not_matter() {
        let twice = boot("xvda", &[Helper::Console, Helper::Fstab, Helper::Console]);
        let once = boot("xvda", &[Helper::Fstab, Helper::Console]);
        assert_eq!(words(&twice, Platform::Xen), words(&once, Platform::Xen));
    }

    #[test]
    fn a_root_device_adds_no_words() {
        for root in [
            "",
            "/dev/",
            "xvda init=/bin/sh",
            "../sda",
            "xvda\n",
            "LABEL=root",
            "xvdaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(words(&boot(root, &[]), Platform::Xen), None, "{root:?}");
        }
    }
}
