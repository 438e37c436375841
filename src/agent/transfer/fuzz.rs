//! What another agent may send, and what a crash may leave, for `crate::fuzz`.

use super::Identity;
use super::message::{Answer, Ask, FRAME_MAX};
use super::table::mark_in;

/// The first byte is a frame's kind, the rest its body. What is read is written again as a frame that says the same, and
/// is never longer than frames may be.
pub(crate) fn frames(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    if let Ok(ask) = Ask::decode(*kind, body) {
        let again = parts(&ask.encode()).and_then(|(kind, body)| Ask::decode(kind, &body).ok());
        assert_eq!(again, Some(ask));
    }
    if let Ok(answer) = Answer::decode(*kind, body) {
        let again =
            parts(&answer.encode()).and_then(|(kind, body)| Answer::decode(kind, &body).ok());
        assert_eq!(again, Some(answer));
    }
    if let Some(start) = body.first_chunk()
        && let Ok(head) = Answer::data_head(start)
    {
        assert!(head <= FRAME_MAX, "a head of {head} bytes");
    }
}

fn parts(frame: &[u8]) -> Option<(u8, Vec<u8>)> {
    assert!(frame.len() <= FRAME_MAX, "a frame of {} bytes", frame.len());
    let (kind, rest) = frame.split_first()?;
    Some((*kind, rest.get(4..)?.to_vec()))
}

/// The head of a table of digests, and the file with this host's own key. A mark that one byte differs in is none.
pub(crate) fn kept(bytes: &[u8]) {
    let _ = Identity::parse(bytes);
    if mark_in(bytes, 1 << 30).is_some() {
        for at in 0..bytes.len() {
            let mut spoilt = bytes.to_vec();
            spoilt[at] ^= 1;
            assert_eq!(mark_in(&spoilt, 1 << 30), None, "byte {at} may be anything");
        }
    }
}
