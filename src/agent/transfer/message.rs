//! The words on the wire, version 1. A frame is a kind (1 byte), a length (4 bytes) and that many bytes; numbers are
//! little-endian. Every length is checked against a bound before anything is allocated for it.

use super::chunk::{CHUNKS_PER_RUN, Digest, RUN};
pub(super) use super::codec::malformed;
use super::codec::{Get, Put, get_table, put_table};
use super::{Fault, Result};

pub(super) const VERSION: u16 = 1;
/// The longest frame: a run of chunks, their digests and its head.
pub(super) const FRAME_MAX: usize = RUN + CHUNKS_PER_RUN * 32 + 64;
/// Segments compared by one message.
pub(super) const COMPARE_MAX: u32 = 4096;
pub(super) const DISKS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ask {
    Hello {
        migration: i64,
        token: String,
    },
    /// Starts a pass; `sealed` is the epoch of a final one.
    Begin {
        sealed: Option<i64>,
    },
    /// Which of these segments (digests of their chunks' digests) may differ?
    Compare {
        pass: u32,
        disk: u16,
        first: u32,
        digests: Vec<Digest>,
    },
    /// What differs from these chunks?
    Fetch {
        pass: u32,
        disk: u16,
        segment: u32,
        table: Vec<Digest>,
    },
    /// The pass is done: what are the roots?
    Finish {
        pass: u32,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Welcome {
        epoch: i64,
        disks: Vec<(i64, u64)>,
    },
    Begun {
        pass: u32,
        told: bool,
        /// A live disk is read as it changes: there was no room for a clone. (Older sources do not say, and older
        /// destinations take it for `told`, which then only asks for digests that are not known.)
        moving: bool,
    },
    Compared {
        differ: Vec<bool>,
    },
    /// `count` chunks from the segment's `first` are as the asker has them.
    Same {
        first: u32,
        count: u32,
    },
    Zero {
        first: u32,
        count: u32,
    },
    /// The head of a run of chunks; `wire` bytes follow it.
    Data {
        first: u32,
        digests: Vec<Digest>,
        raw: u32,
        wire: u32,
    },
    SegmentEnd,
    Roots(Vec<(i64, Digest)>),
    Fail {
        fault: Fault,
        public: String,
        detail: String,
    },
}

impl Ask {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello { migration, token } => {
                Put::new(1).u16(VERSION).i64(*migration).text(token).done(0)
            }
            Self::Begin { sealed } => Put::new(2)
                .u8(u8::from(sealed.is_some()))
                .i64(sealed.unwrap_or(0))
                .done(0),
            Self::Compare {
                pass,
                disk,
                first,
                digests,
            } => {
                let put = Put::new(3).u32(*pass).u16(*disk).u32(*first);
                put.count(digests.len()).digests(digests).done(0)
            }
            Self::Fetch {
                pass,
                disk,
                segment,
                table,
            } => {
                let put = Put::new(4).u32(*pass).u16(*disk).u32(*segment);
                put_table(put, table).done(0)
            }
            Self::Finish { pass } => Put::new(5).u32(*pass).done(0),
        }
    }

    pub(super) fn decode(kind: u8, body: &[u8]) -> Result<Self> {
        let mut get = Get(body);
        let ask = match kind {
            1 => {
                let version = get.u16()?;
                if version != VERSION {
                    return Err(malformed(&format!(
                        "version {version}, this agent speaks {VERSION}"
                    )));
                }
                Self::Hello {
                    migration: get.i64()?,
                    token: get.text()?,
                }
            }
            2 => {
                let last = get.u8()? != 0;
                let epoch = get.i64()?;
                Self::Begin {
                    sealed: last.then_some(epoch),
                }
            }
            3 => {
                let (pass, disk, first) = (get.u32()?, get.u16()?, get.u32()?);
                let n = get.count(COMPARE_MAX as usize)?;
                Self::Compare {
                    pass,
                    disk,
                    first,
                    digests: get.digests(n)?,
                }
            }
            4 => {
                let (pass, disk, segment) = (get.u32()?, get.u16()?, get.u32()?);
                Self::Fetch {
                    pass,
                    disk,
                    segment,
                    table: get_table(&mut get)?,
                }
            }
            5 => Self::Finish { pass: get.u32()? },
            _ => return Err(malformed("unknown kind")),
        };
        get.end()?;
        Ok(ask)
    }
}

impl Answer {
    /// For `Data`, the head only: the caller writes the bytes after it.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Welcome { epoch, disks } => {
                let put = Put::new(64).i64(*epoch).count(disks.len());
                disks
                    .iter()
                    .fold(put, |put, (id, size)| put.i64(*id).u64(*size))
                    .done(0)
            }
            Self::Begun { pass, told, moving } => {
                let flags = u8::from(*told) | u8::from(*moving) << 1;
                Put::new(65).u32(*pass).u8(flags).done(0)
            }
            Self::Compared { differ } => {
                let put = Put::new(66).count(differ.len());
                differ
                    .iter()
                    .fold(put, |put, d| put.u8(u8::from(*d)))
                    .done(0)
            }
            Self::Same { first, count } => Put::new(67).u32(*first).u32(*count).done(0),
            Self::Zero { first, count } => Put::new(68).u32(*first).u32(*count).done(0),
            Self::Data {
                first,
                digests,
                raw,
                wire,
            } => {
                let put = Put::new(69)
                    .u32(*first)
                    .count(digests.len())
                    .u32(*raw)
                    .u32(*wire);
                put.digests(digests)
                    .done(usize::try_from(*wire).unwrap_or(0))
            }
            Self::SegmentEnd => Put::new(70).done(0),
            Self::Roots(roots) => {
                let put = Put::new(71).count(roots.len());
                roots
                    .iter()
                    .fold(put, |put, (id, root)| put.i64(*id).raw(root))
                    .done(0)
            }
            Self::Fail {
                fault,
                public,
                detail,
            } => Put::new(127)
                .u8(fault_code(*fault))
                .text(public)
                .text(detail)
                .done(0),
        }
    }

    /// The length of a `Data` frame's head, known once its first 16 bytes are.
    pub(super) fn data_head(start: &[u8; 16]) -> Result<usize> {
        let mut get = Get(start);
        get.u32()?;
        Ok(16 + get.count(CHUNKS_PER_RUN)? * 32)
    }

    pub(super) const DATA: u8 = 69;

    pub(super) fn decode(kind: u8, body: &[u8]) -> Result<Self> {
        let mut get = Get(body);
        let answer = match kind {
            64 => {
                let epoch = get.i64()?;
                let n = get.count(DISKS_MAX)?;
                let disks = (0..n)
                    .map(|_| Ok((get.i64()?, get.u64()?)))
                    .collect::<Result<_>>()?;
                Self::Welcome { epoch, disks }
            }
            65 => {
                let (pass, flags) = (get.u32()?, get.u8()?);
                Self::Begun {
                    pass,
                    told: flags & 1 != 0,
                    moving: flags & 2 != 0,
                }
            }
            66 => {
                let n = get.count(COMPARE_MAX as usize)?;
                Self::Compared {
                    differ: get.raw(n)?.iter().map(|d| *d != 0).collect(),
                }
            }
            67 => Self::Same {
                first: get.u32()?,
                count: get.u32()?,
            },
            68 => Self::Zero {
                first: get.u32()?,
                count: get.u32()?,
            },
            Self::DATA => {
                let first = get.u32()?;
                let n = get.count(CHUNKS_PER_RUN)?;
                let (raw, wire) = (get.u32()?, get.u32()?);
                Self::Data {
                    first,
                    digests: get.digests(n)?,
                    raw,
                    wire,
                }
            }
            70 => Self::SegmentEnd,
            71 => {
                let n = get.count(DISKS_MAX)?;
                let roots = (0..n)
                    .map(|_| Ok((get.i64()?, get.array()?)))
                    .collect::<Result<_>>()?;
                Self::Roots(roots)
            }
            127 => Self::Fail {
                fault: fault_of(get.u8()?),
                public: get.text()?,
                detail: get.text()?,
            },
            _ => return Err(malformed("unknown kind")),
        };
        get.end()?;
        Ok(answer)
    }
}

fn fault_code(fault: Fault) -> u8 {
    match fault {
        Fault::Cancelled => 1,
        Fault::Unreachable => 2,
        Fault::Refused => 3,
        Fault::NotSealed => 4,
        Fault::NoSpace => 5,
        Fault::Disk => 6,
        Fault::Corrupt => 7,
        Fault::Protocol => 8,
    }
}

fn fault_of(code: u8) -> Fault {
    match code {
        1 => Fault::Cancelled,
        2 => Fault::Unreachable,
        3 => Fault::Refused,
        4 => Fault::NotSealed,
        5 => Fault::NoSpace,
        6 => Fault::Disk,
        7 => Fault::Corrupt,
        _ => Fault::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(frame: &[u8]) -> (u8, &[u8]) {
        let len = u32::from_le_bytes(frame[1..5].try_into().unwrap()) as usize;
        assert_eq!(len, frame.len() - 5);
        (frame[0], &frame[5..])
    }

    #[test]
    fn every_message_comes_back_and_no_cut_one_does() {
        let d = |n: u8| [n; 32];
        let asks = [
            Ask::Hello {
                migration: 7,
                token: "tökén".into(),
            },
            Ask::Begin { sealed: Some(3) },
            Ask::Begin { sealed: None },
            Ask::Compare {
                pass: 1,
                disk: 2,
                first: 3,
                digests: vec![d(1), d(2)],
            },
            Ask::Fetch {
                pass: 1,
                disk: 0,
                segment: 9,
                table: vec![d(0), d(0), d(1), d(2), d(3), d(3), d(4)],
            },
            Ask::Fetch {
                pass: 1,
                disk: 0,
                segment: 9,
                table: vec![],
            },
            Ask::Finish { pass: 8 },
        ];
        for ask in asks {
            let frame = ask.encode();
            let (kind, bytes) = body(&frame);
            assert_eq!(Ask::decode(kind, bytes).unwrap(), ask);
            for cut in 0..bytes.len() {
                assert!(Ask::decode(kind, &bytes[..cut]).is_err());
            }
        }
        let answers = [
            Answer::Welcome {
                epoch: 2,
                disks: vec![(1, 5), (2, 6)],
            },
            Answer::Begun {
                pass: 3,
                told: true,
                moving: false,
            },
            Answer::Begun {
                pass: 4,
                told: false,
                moving: true,
            },
            Answer::Compared {
                differ: vec![true, false],
            },
            Answer::Same { first: 0, count: 4 },
            Answer::Zero { first: 4, count: 1 },
            Answer::SegmentEnd,
            Answer::Roots(vec![(1, d(9))]),
            Answer::Fail {
                fault: Fault::NotSealed,
                public: "a".into(),
                detail: "b".into(),
            },
        ];
        for answer in answers {
            let frame = answer.encode();
            let (kind, bytes) = body(&frame);
            assert_eq!(Answer::decode(kind, bytes).unwrap(), answer);
            for cut in 0..bytes.len() {
                assert!(Answer::decode(kind, &bytes[..cut]).is_err());
            }
        }
    }

    #[test]
    fn counts_are_bounded() {
        let frame = Put::new(3).u32(1).u16(0).u32(0).u32(u32::MAX).done(0);
        let (kind, bytes) = body(&frame);
        assert!(Ask::decode(kind, bytes).is_err());
        let long = "x".repeat(5000);
        let frame = Ask::Hello {
            migration: 1,
            token: long,
        }
        .encode();
        assert!(frame.len() < 2000);
    }
}
