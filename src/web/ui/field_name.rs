//! Fields by names that people read, where the form that has them is not at hand.

/// What a field is called where its form is not there; nothing for what forms carry unseen.
pub fn field_name(name: &str) -> Option<String> {
    let known = match name {
        "again" | "all" | "closing" | "count" | "csrf" | "do" | "fact" | "file" | "form" | "id"
        | "ids" | "linode" | "migration" | "next" | "once" | "pairs" | "part" | "seen" | "show"
        | "typed" | "unconfigured" | "version" | "was" | "zone" => return None,
        name if name.starts_with("was_") => return None,
        "title" => "What it is about",
        "happened" => "What happened",
        "expected" => "What you expected",
        "reproduce" => "How to make it happen again",
        "component" => "Part",
        "body" => "Your reply",
        "question" => "Your question",
        "label" => "Label",
        "email" => "E-mail address",
        "timezone" => "Time zone",
        "when" => "When",
        "at" => "Time",
        "slot" => "Free time",
        "stop_limit_s" => "Seconds to shut down",
        "rdns" => "Host name",
        "vcpus" => "CPUs",
        "ram_limit_mb" => "Memory limit in MB",
        "quiet_cap_mb_s" => "Copying in quiet hours, MB/s",
        "down_limit" => "How long it may be off",
        "never_both" => "Name they share",
        "cap_mb_s" => "Cap on copying, MB/s",
        "memory_mb" => "Memory for guests, MiB",
        "disk_mb" => "Disk for guests, MiB",
        "slots" => "Migrations at once",
        "base" => "Base",
        "unit_mb" => "MiB of RAM for one more",
        "seats" => "Places",
        "offer_days" => "Days an offer stands",
        "way_back_days" => "Days of the way back",
        "max_overall" => "Migrations at once, in all",
        "max_per_link" => "Migrations at once, between two hosts",
        "max_warm_passes" => "Passes while it runs",
        "watch_s" => "Seconds a started Linode is watched",
        "irc_url" => "Link to the IRC channel",
        "forum_url" => "Link to the forum",
        name => {
            let mut words = name.replace(['_', '-'], " ");
            if let Some(first) = words.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            return Some(words);
        }
    };
    Some(known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_readable_names_and_marks_have_none() {
        let named = |name| field_name(name).unwrap_or_default();
        assert_eq!(named("happened"), "What happened");
        assert_eq!(named("root_device"), "Root device");
        assert_eq!(named(""), "");
        for mark in ["csrf", "once", "seen", "was_slots", "linode"] {
            assert_eq!(field_name(mark), None, "{mark}");
        }
    }
}
