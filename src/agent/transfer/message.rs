//! The words on the wire, version 1. A frame is a kind (1 byte), a length (4 bytes) and that many bytes; numbers are
//! little-endian. Every length is checked against a bound before anything is allocated for it.

use super::chunk::{CHUNKS_PER_RUN, CHUNKS_PER_SEGMENT, Digest, RUN, UNKNOWN};
use super::{Fault, TransferError};

pub const VERSION: u16 = 1;
/// The longest frame: a run of chunks, their digests and its head.
pub const FRAME_MAX: usize = RUN + CHUNKS_PER_RUN * 32 + 64;
/// Segments compared by one message.
pub const COMPARE_MAX: usize = 4096;
pub const DISKS_MAX: usize = 64;
const TEXT_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
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
pub enum Answer {
    Welcome {
        epoch: i64,
        disks: Vec<(i64, u64)>,
    },
    Begun {
        pass: u32,
        told: bool,
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

pub fn malformed(what: &str) -> TransferError {
    TransferError::new(Fault::Protocol, format!("malformed message: {what}"))
}

struct Put(Vec<u8>);

impl Put {
    fn new(kind: u8) -> Self {
        let mut out = Vec::with_capacity(64);
        out.push(kind);
        out.extend_from_slice(&[0; 4]);
        Self(out)
    }
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    fn u8(self, v: u8) -> Self {
        self.raw(&[v])
    }
    fn u16(self, v: u16) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn u32(self, v: u32) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn u64(self, v: u64) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn i64(self, v: i64) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn count(self, v: usize) -> Self {
        self.u32(u32::try_from(v).unwrap_or(u32::MAX))
    }
    fn text(self, v: &str) -> Self {
        let mut end = v.len().min(TEXT_MAX);
        while !v.is_char_boundary(end) {
            end -= 1;
        }
        let v = v.get(..end).unwrap_or_default();
        self.count(v.len()).raw(v.as_bytes())
    }
    fn digests(self, all: &[Digest]) -> Self {
        self.raw(all.as_flattened())
    }
    /// The frame, its length filled in; `more` bytes will follow outside of it.
    fn done(mut self, more: usize) -> Vec<u8> {
        let len = u32::try_from(self.0.len() - 5 + more).unwrap_or(u32::MAX);
        if let Some(field) = self.0.get_mut(1..5) {
            field.copy_from_slice(&len.to_le_bytes());
        }
        self.0
    }
}

pub struct Get<'a>(pub &'a [u8]);

impl<'a> Get<'a> {
    fn raw(&mut self, n: usize) -> Result<&'a [u8], TransferError> {
        let (head, rest) = self
            .0
            .split_at_checked(n)
            .ok_or_else(|| malformed("too short"))?;
        self.0 = rest;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], TransferError> {
        self.raw(N)?.try_into().map_err(|_| malformed("too short"))
    }
    fn u8(&mut self) -> Result<u8, TransferError> {
        Ok(u8::from_le_bytes(self.array()?))
    }
    fn u16(&mut self) -> Result<u16, TransferError> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    fn u32(&mut self) -> Result<u32, TransferError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    fn u64(&mut self) -> Result<u64, TransferError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    fn i64(&mut self) -> Result<i64, TransferError> {
        Ok(i64::from_le_bytes(self.array()?))
    }
    fn count(&mut self, max: usize) -> Result<usize, TransferError> {
        let n = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if n > max {
            Err(malformed("a count is too large"))
        } else {
            Ok(n)
        }
    }
    fn text(&mut self) -> Result<String, TransferError> {
        let n = self.count(TEXT_MAX)?;
        String::from_utf8(self.raw(n)?.to_vec()).map_err(|_| malformed("text is not UTF-8"))
    }
    fn digests(&mut self, n: usize) -> Result<Vec<Digest>, TransferError> {
        let (all, _) = self.raw(n.saturating_mul(32))?.as_chunks::<32>();
        Ok(all.to_vec())
    }
    fn end(&self) -> Result<(), TransferError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(malformed("too long"))
        }
    }
}

impl Ask {
    pub fn encode(&self) -> Vec<u8> {
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

    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, TransferError> {
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
                let n = get.count(COMPARE_MAX)?;
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

/// A table as runs of equal digests: most of a sparse disk is one digest, of a new copy "unknown".
fn put_table(put: Put, table: &[Digest]) -> Put {
    let mut put = put.count(table.len());
    let mut rest = table;
    while let Some(first) = rest.first() {
        let equal = rest.iter().take_while(|d| *d == first).count();
        // Single digests are gathered until the next real run.
        let differ = rest
            .windows(2)
            .take_while(|w| w.first() != w.last())
            .count()
            .max(1);
        let (kind, n) = if equal > 1 { (0, equal) } else { (1, differ) };
        let (head, tail) = rest.split_at(n.min(rest.len()));
        put = put.u8(kind).count(head.len());
        put = put.digests(if kind == 0 {
            head.get(..1).unwrap_or_default()
        } else {
            head
        });
        rest = tail;
    }
    put
}

fn get_table(get: &mut Get<'_>) -> Result<Vec<Digest>, TransferError> {
    let n = get.count(CHUNKS_PER_SEGMENT)?;
    let mut table = Vec::with_capacity(n);
    while table.len() < n {
        let kind = get.u8()?;
        let count = get.count(n - table.len())?;
        match (kind, count) {
            (_, 0) => return Err(malformed("an empty run")),
            (0, _) => {
                let digest = get.digests(1)?.first().copied().unwrap_or(UNKNOWN);
                table.extend(std::iter::repeat_n(digest, count));
            }
            (1, _) => table.extend(get.digests(count)?),
            _ => return Err(malformed("unknown run")),
        }
    }
    Ok(table)
}

impl Answer {
    /// For `Data`, the head only: the caller writes the bytes after it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Welcome { epoch, disks } => {
                let put = Put::new(64).i64(*epoch).count(disks.len());
                disks
                    .iter()
                    .fold(put, |put, (id, size)| put.i64(*id).u64(*size))
                    .done(0)
            }
            Self::Begun { pass, told } => Put::new(65).u32(*pass).u8(u8::from(*told)).done(0),
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
    pub fn data_head(start: &[u8; 16]) -> Result<usize, TransferError> {
        let mut get = Get(start);
        get.u32()?;
        Ok(16 + get.count(CHUNKS_PER_RUN)? * 32)
    }

    pub const DATA: u8 = 69;

    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, TransferError> {
        let mut get = Get(body);
        let answer = match kind {
            64 => {
                let epoch = get.i64()?;
                let n = get.count(DISKS_MAX)?;
                let disks = (0..n)
                    .map(|_| Ok((get.i64()?, get.u64()?)))
                    .collect::<Result<_, TransferError>>()?;
                Self::Welcome { epoch, disks }
            }
            65 => Self::Begun {
                pass: get.u32()?,
                told: get.u8()? != 0,
            },
            66 => {
                let n = get.count(COMPARE_MAX)?;
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
                    .collect::<Result<_, TransferError>>()?;
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn body(frame: &[u8]) -> (u8, &[u8]) {
        let len = u32::from_le_bytes(frame[1..5].try_into().unwrap()) as usize;
        assert_eq!(len, frame.len() - 5);
        (frame[0], &frame[5..])
    }

    #[test]
    #[allow(clippy::indexing_slicing, reason = "tests")]
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
