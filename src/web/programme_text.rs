//! The programme in words, for the announcement and for members.

use super::ui::markdown::{self, Rendered};
use super::ui::{Link, Tag, Tone, Zone};
use crate::app::programme::texts;
use crate::domain::programme::{Phase, TextSection};
use crate::domain::string_enum::StringEnum;
use crate::domain::values::OutsideLink;
use crate::store::programme::{Programme, Text};

#[derive(Debug)]
pub struct Section {
    pub id: &'static str,
    pub title: &'static str,
    pub body: Rendered,
}

impl Section {
    /// The section with the text that staff wrote, else its default.
    pub fn new(of: TextSection, written: &[Text]) -> Self {
        let body = written
            .iter()
            .find(|text| text.section == of)
            .map_or_else(|| texts::default(of), |text| text.body.as_str());
        Self {
            id: of.as_str(),
            title: texts::title(of),
            body: markdown::article(body, 2),
        }
    }
}

/// Where to talk to us: the forum, and the channel by its name and network.
pub fn outside(of: &Programme) -> Vec<Link> {
    let links = [
        (&of.forum_url, "the forum".to_owned()),
        (&of.irc_url, channel(&of.irc_url)),
    ];
    let there = |url: &str| !url.is_empty() && OutsideLink::parse(url).is_ok();
    let links = links.into_iter().filter(|(url, _)| there(url));
    links.map(|(url, label)| Link::new(url, label)).collect()
}

/// Networks that are known by another name than their address.
const NETWORKS: [(&str, &str); 2] = [("oftc.net", "OFTC"), ("libera.chat", "Libera.Chat")];

fn channel(url: &str) -> String {
    let rest = url.strip_prefix("ircs://").or(url.strip_prefix("irc://"));
    let parts = rest.and_then(|rest| rest.split_once('/'));
    let Some((server, name)) = parts else {
        return "the IRC channel".to_owned();
    };
    let host = server.split(':').next().unwrap_or(server);
    let known = NETWORKS.iter().find(|(end, _)| host.ends_with(end));
    let network = known.map_or(host, |(_, name)| *name);
    let name = name.split(['?', ',']).next().unwrap_or(name);
    let name = name.strip_prefix("%23").unwrap_or(name);
    format!(
        "the IRC channel #{} on {network}",
        name.trim_start_matches('#')
    )
}

/// Where the programme stands, as a tag and in a sentence.
pub fn state_words(phase: Phase, zone: Zone) -> (Tag, String) {
    match phase {
        Phase::Announced(at) => (
            Tag::new("Announced", Tone::Info),
            format!("Registration opens on {}.", zone.both(at).text),
        ),
        Phase::Open => (
            Tag::new("Open", Tone::Good),
            "Registration is open.".to_owned(),
        ),
        Phase::Closed => (
            Tag::new("Closed to new registrations", Tone::Warn),
            "No new registrations are taken at present. What is registered goes on.".to_owned(),
        ),
        Phase::Ended => (
            Tag::new("Ended", Tone::Plain),
            "The beta has ended. Linodes that moved to Xen stay there; every way back stays open as long as it was promised."
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_called_by_its_name_and_network() {
        for (url, words) in [
            (
                "ircs://irc.oftc.net:6697/linode-xenbeta",
                "the IRC channel #linode-xenbeta on OFTC",
            ),
            (
                "irc://irc.oftc.net/%23xenbeta?key",
                "the IRC channel #xenbeta on OFTC",
            ),
            (
                "irc://irc.example.net/#beta",
                "the IRC channel #beta on irc.example.net",
            ),
            ("https://irc.example.net/xenbeta", "the IRC channel"),
            ("irc://irc.example.net", "the IRC channel"),
        ] {
            assert_eq!(channel(url), words);
        }
    }
}
