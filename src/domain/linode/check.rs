//! Checks: what a Linode's member wants to answer after a move, and what follows if it does not. Pure.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::domain::time::Time;
use crate::domain::values::Invalid;
use crate::string_enum;

/// So many at most for a Linode.
pub const MOST_CHECKS: usize = 5;
/// How long one question may take, in seconds; all of a Linode are asked side by side.
pub const ASK_S: u64 = 5;
/// A check that did not answer is asked again after so many seconds; after the first minute of it less often.
const AGAIN_S: i64 = 3;
const LATER_S: i64 = 10;
const OFTEN_S: i64 = 60;
/// Between two answers no more than this goes by, unless something kept its host or the portal.
const GAP_S: i64 = 20;
/// Of a path: what fits on a line of a page.
const PATH_MOST: usize = 200;

/// A port that is to take connections, or a path of HTTP there that is to answer with a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// One of the Linode's own.
    pub address: String,
    pub port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// With its leading slash, and what follows it up to the end of the query.
    pub path: String,
    pub status: u16,
}

impl Check {
    /// As its member names it. `path`, `status`: empty for a TCP port; a path alone wants 200.
    pub fn parse(address: &str, port: &str, path: &str, status: &str) -> Result<Self, Invalid> {
        let no = |why: &str| Err(Invalid(why.to_owned()));
        let Some(port) = port.trim().parse().ok().filter(|port| *port != 0) else {
            return no("Enter a port from 1 to 65535");
        };
        let (path, status) = (path.trim(), status.trim());
        let http = match (path, status) {
            ("", "") => None,
            ("", _) => return no("A status is HTTP's: enter the path, too, like /"),
            (path, status) => {
                let fits = path.starts_with('/') && path.bytes().all(is_of_a_path);
                if !fits || path.len() > PATH_MOST {
                    return no(
                        "A path begins with / and has at most 200 letters, digits and signs of a web address; no #",
                    );
                }
                let status = if status.is_empty() { "200" } else { status };
                let Some(status) = status.parse().ok().filter(|it| (200..600).contains(it)) else {
                    return no("Enter a status from 200 to 599");
                };
                let path = path.to_owned();
                Some(Http { path, status })
            }
        };
        let address = address.trim().to_owned();
        Ok(Self {
            address,
            port,
            http,
        })
    }

    /// Where it is asked; `None`: its address is none that a guest can have.
    pub fn at(&self) -> Option<SocketAddr> {
        let address: IpAddr = self.address.parse().ok()?;
        // An IPv4 address in IPv6's clothes is that address.
        let address = address.to_canonical();
        let is_near = match address {
            IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let is_guests = !is_near
            && !address.is_loopback()
            && !address.is_unspecified()
            && !address.is_multicast();
        is_guests.then_some(SocketAddr::new(address, self.port))
    }

    /// `TCP port 22 of 10.0.0.1`, `http://10.0.0.1:80/ answers 200`.
    pub fn words(&self) -> String {
        match &self.http {
            None => format!("TCP port {} of {}", self.port, self.address),
            Some(http) => {
                let address = match self.address.parse() {
                    Ok(IpAddr::V6(address)) => format!("[{address}]"),
                    _ => self.address.clone(),
                };
                let path = &http.path;
                format!(
                    "http://{address}:{}{path} answers {}",
                    self.port, http.status
                )
            }
        }
    }
}

/// What RFC 3986 lets stand in a path and its query, without a fragment.
fn is_of_a_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/?-._~!$&'()*+,;=:@%".contains(&byte)
}

/// What follows if one fails after a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckPlan {
    /// The way back begins by itself; else its member is told.
    pub goes_home: bool,
    /// So long each has to answer, in seconds, from when it is asked first.
    pub limit_s: i32,
}

impl CheckPlan {
    /// What can be chosen: a light one, and services that are slow to start.
    pub const LIMITS_S: [i32; 6] = [30, 60, 120, 300, 600, 1800];
}

impl Default for CheckPlan {
    fn default() -> Self {
        Self {
            goes_home: false,
            limit_s: 300,
        }
    }
}

string_enum! {
    /// How the checks of one move stand.
    pub enum CheckState {
        /// Each was asked at home; the Linode has not moved yet.
        Waiting = "waiting",
        /// It has moved, and they are being asked there.
        Asking = "asking",
        Passed = "passed", Failed = "failed",
        /// They were not asked after the move: it was off, say, or its host cannot ask.
        NotAsked = "not_asked",
    }
}

/// What became of one check so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckProgress {
    /// It answered at home: only then it is demanded abroad.
    pub at_home: bool,
    /// What it answered abroad, once it was asked there; `None`: the host could not ask.
    pub abroad: Option<bool>,
}

impl CheckProgress {
    /// It is demanded, and has not answered yet.
    pub fn is_open(self) -> bool {
        self.at_home && self.abroad != Some(true)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// It may answer yet.
    Again,
    Failed,
    /// Its host can ask none of those that are left.
    NotAsked,
}

/// When it is asked again, in seconds; `left_s`: what is left of its limit.
pub fn again_s(limit_s: i32, left_s: i64) -> i64 {
    if i64::from(limit_s) - left_s < OFTEN_S {
        AGAIN_S
    } else {
        LATER_S
    }
}

/// The end of the limit, if something kept the question: a host or portal that was away, a reboot, a clock that jumped. That time
/// does not count. `last`: when the answer before was heard.
pub fn kept(until: Time, last: Option<Time>, now: Time) -> Option<Time> {
    let gap_s = now.seconds_since(last?);
    let is_usual = (0..=GAP_S).contains(&gap_s);
    (!is_usual).then(|| until.plus_s(gap_s - AGAIN_S))
}

/// `until`: by then each that is demanded must have answered once.
pub fn verdict(checks: impl IntoIterator<Item = CheckProgress>, until: Time, now: Time) -> Verdict {
    let mut open = checks.into_iter().filter(|it| it.is_open()).peekable();
    if open.peek().is_none() {
        return Verdict::Passed;
    }
    if now < until {
        return Verdict::Again;
    }
    if open.any(|it| it.abroad.is_some()) {
        Verdict::Failed
    } else {
        Verdict::NotAsked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn at(seconds: i64) -> Time {
        Time::new(DateTime::UNIX_EPOCH).plus_s(seconds)
    }

    #[test]
    fn a_check_is_a_port_or_a_path_of_http() {
        let tcp = Check::parse(" 10.0.0.1 ", "22", "", " ").unwrap();
        assert_eq!(tcp.words(), "TCP port 22 of 10.0.0.1");
        let web = Check::parse("2001:db8::1", "80", "/health?x=1", "").unwrap();
        assert_eq!(
            web.words(),
            "http://[2001:db8::1]:80/health?x=1 answers 200"
        );
        assert_eq!(web.at(), "[2001:db8::1]:80".parse().ok());
        for (port, path, status) in [
            ("0", "", ""),
            ("65536", "", ""),
            ("", "", ""),
            ("80", "", "200"),
            ("80", "health", ""),
            ("80", "/a b", ""),
            ("80", "/a\r\nHost: x", ""),
            ("80", "/#x", ""),
            ("80", "/", "99"),
            ("80", "/", "600"),
            ("80", &format!("/{}", "a".repeat(200)), ""),
        ] {
            assert!(
                Check::parse("10.0.0.1", port, path, status).is_err(),
                "{port} {path} {status}"
            );
        }
    }

    #[test]
    fn only_what_a_guest_can_have_is_asked() {
        for address in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::ffff:0.0.0.0",
            "224.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "255.255.255.255",
            "web",
            "",
        ] {
            let check = Check::parse(address, "80", "", "").unwrap();
            assert_eq!(check.at(), None, "{address}");
        }
    }

    #[test]
    fn time_in_which_nobody_could_answer_does_not_count() {
        let kept = |last: Option<i64>, now| kept(at(300), last.map(at), at(now));
        assert_eq!(kept(None, 1000), None);
        assert_eq!(kept(Some(100), 103), None);
        assert_eq!(kept(Some(100), 120), None);
        assert_eq!(kept(Some(100), 500), Some(at(697)));
        // A clock that was set back.
        assert_eq!(kept(Some(100), 40), Some(at(237)));
        assert_eq!(
            (again_s(300, 300), again_s(300, 241), again_s(300, 240)),
            (3, 3, 10)
        );
    }

    #[test]
    fn each_that_answered_at_home_must_answer_once_by_its_time() {
        let one = |at_home, abroad| CheckProgress { at_home, abroad };
        let of = |checks: &[CheckProgress], now| verdict(checks.iter().copied(), at(300), at(now));
        assert_eq!(of(&[], 0), Verdict::Passed);
        assert_eq!(of(&[one(true, Some(true))], 0), Verdict::Passed);
        // What fails at home is not demanded abroad.
        assert_eq!(
            of(&[one(false, Some(false)), one(true, Some(true))], 999),
            Verdict::Passed
        );
        assert_eq!(
            of(&[one(true, Some(true)), one(true, Some(false))], 299),
            Verdict::Again
        );
        assert_eq!(
            of(&[one(true, Some(true)), one(true, Some(false))], 300),
            Verdict::Failed
        );
        assert_eq!(of(&[one(true, None)], 299), Verdict::Again);
        // What nobody could ask has not failed.
        assert_eq!(of(&[one(true, None)], 300), Verdict::NotAsked);
        assert_eq!(
            of(&[one(true, None), one(true, Some(false))], 300),
            Verdict::Failed
        );
    }
}
