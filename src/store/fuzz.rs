//! What the databases, other portals and files of this one say, for `crate::fuzz`.

use super::backup::without_password;
use super::connect::{Target, patient};
use super::fairness::pack::{pack_round, unpack_day, unpack_round};
use super::types::{read, written};
use super::wake::Wake;
use crate::domain::time::Time;

/// Times as they are stored, wakes, and a database's URL. What a program is told of a URL has no password in it.
pub(crate) fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let stored = read(line).ok().map(|at| at.and_utc());
        for at in line.parse().ok().into_iter().chain(stored).map(Time::new) {
            assert_eq!(read(&written(at.utc())), Ok(at.utc().naive_utc()), "{line}");
        }
        if let Some(wake) = Wake::from_payload(line) {
            assert_eq!(Wake::from_payload(&wake.to_payload()), Some(wake));
        }
        let _ = Target::parse(line);
        let patient = patient(line, true);
        assert!(patient.contains("connect_timeout="));
        let (plain, password) = without_password(line);
        if line.contains("://") && password.is_some() {
            assert_eq!(without_password(&plain).1, None, "{line} is {plain}");
        }
    }
}

/// Usage as it is packed.
pub(crate) fn packed(bytes: &[u8]) {
    if let Ok(round) = unpack_round(10, bytes)
        && round.is_sorted_by_key(|(linode, _)| *linode)
    {
        // What was packed by somebody else may say more than is kept; once packed here, it stays.
        let once = pack_round(10, &round);
        let Ok(again) = unpack_round(10, &once) else {
            unreachable!("what was packed is read");
        };
        assert_eq!(pack_round(10, &again), once);
    }
    let _ = unpack_day(bytes);
}
