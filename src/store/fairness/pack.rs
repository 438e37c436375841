//! Usage in few bytes: a mask of what is there, then numbers of variable length (seven bits a byte, lowest first). What is
//! as usual (the whole interval watched, no contention, the weight of the one before) takes no byte.

use crate::domain::fairness::usage::{NO_LEVEL, Usage};
use crate::domain::ids::{HostId, LinodeId};
use crate::store::error::{Result, StoreError};

/// The first byte of everything packed: another layout gets another.
const LAYOUT: u8 = 1;

const COVERED: u64 = 1;
const JUDGED: u64 = 1 << 1;
const CONTENDED: u64 = 1 << 2;
const SHARE: u64 = 1 << 3;
const HOST: u64 = 1 << 4;
/// The eight counters that are left out when they are 0, from this bit on.
const COUNTERS_FROM: u32 = 5;

/// One interval of a Linode's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayPart {
    /// 0 to 143.
    pub index: u8,
    pub host: HostId,
    pub usage: Usage,
}

/// What the one before said, and so needs no saying again.
#[derive(Clone, Copy)]
struct Before {
    weight: i64,
    io_priority: u8,
    host: i64,
}

const NOTHING: Before = Before {
    weight: 0,
    io_priority: NO_LEVEL,
    host: 0,
};

/// All Linodes of a host in one interval of `step` seconds, in the order of their ids.
pub fn pack_round(step: i64, of: &[(LinodeId, Usage)]) -> Vec<u8> {
    let mut out = vec![LAYOUT];
    let (mut before, mut last) = (NOTHING, 0);
    for (linode, usage) in of {
        number(&mut out, (linode.0 - last).unsigned_abs());
        last = linode.0;
        put(&mut out, usage, &mut before, None, ms(step), 0);
    }
    out
}

pub fn unpack_round(step: i64, data: &[u8]) -> Result<Vec<(LinodeId, Usage)>> {
    let mut from = Reader::open(data)?;
    let (mut before, mut last) = (NOTHING, 0_i64);
    let mut found = Vec::new();
    while !from.at_end() {
        last = last.saturating_add(i64::try_from(from.number()?).map_err(|_| spoilt())?);
        let usage = from.usage(&mut before, ms(step), 0)?;
        found.push((LinodeId(last), usage));
    }
    Ok(found)
}

/// What a host's round says; nothing, and a line in the log, if it cannot be read: one spoilt row keeps nobody from the
/// others.
pub fn readable(step: i64, host: HostId, slot: i64, data: &[u8]) -> Vec<(LinodeId, Usage)> {
    unpack_round(step, data).unwrap_or_else(|error| {
        tracing::error!(%host, slot, step, %error, "usage of a host cannot be read and is left out");
        Vec::new()
    })
}

/// The same of a Linode's day.
pub fn readable_day(linode: LinodeId, day: i64, data: &[u8]) -> Vec<DayPart> {
    unpack_day(data).unwrap_or_else(|error| {
        tracing::error!(%linode, day, %error, "a day's usage of a Linode cannot be read and is left out");
        Vec::new()
    })
}

/// The step of what a Linode's day is made of, in seconds.
pub const DAY_STEP: i64 = 600;
/// Bytes are kept in KiB for long.
const DAY_SHIFT: u32 = 10;

/// A Linode's day, in order of index and host.
pub fn pack_day(of: &[DayPart]) -> Vec<u8> {
    let mut out = vec![LAYOUT];
    let (mut before, mut next) = (NOTHING, 0_u8);
    for part in of {
        // 0: the one after the last; else so many further, and 255 the same once more.
        out.push(part.index.wrapping_sub(next));
        next = part.index.wrapping_add(1);
        put(
            &mut out,
            &part.usage,
            &mut before,
            Some(part.host.0),
            ms(DAY_STEP),
            DAY_SHIFT,
        );
    }
    out
}

pub fn unpack_day(data: &[u8]) -> Result<Vec<DayPart>> {
    let mut from = Reader::open(data)?;
    let (mut before, mut next) = (NOTHING, 0_u8);
    let mut found = Vec::new();
    while !from.at_end() {
        let index = next.wrapping_add(from.byte()?);
        next = index.wrapping_add(1);
        let usage = from.usage(&mut before, ms(DAY_STEP), DAY_SHIFT)?;
        found.push(DayPart {
            index,
            host: HostId(before.host),
            usage,
        });
    }
    Ok(found)
}

fn ms(step: i64) -> u64 {
    step.unsigned_abs() * 1000
}

fn put(
    out: &mut Vec<u8>,
    usage: &Usage,
    before: &mut Before,
    host: Option<i64>,
    whole_ms: u64,
    shift: u32,
) {
    let host = host.unwrap_or(before.host);
    let counters = counters(usage, shift);
    let mut mask = 0;
    let mut flag = |set: bool, bit: u64| mask |= if set { bit } else { 0 };
    flag(usage.covered_ms != whole_ms, COVERED);
    flag(usage.judged_ms != usage.covered_ms, JUDGED);
    flag(usage.contended_ms > 0, CONTENDED);
    flag(
        (usage.weight, usage.io_priority) != (before.weight, before.io_priority),
        SHARE,
    );
    flag(host != before.host, HOST);
    for (at, counter) in counters.iter().enumerate() {
        flag(
            *counter > 0,
            1 << (COUNTERS_FROM + u32::try_from(at).unwrap_or(0)),
        );
    }
    number(out, mask);
    if mask & COVERED != 0 {
        number(out, usage.covered_ms);
    }
    if mask & JUDGED != 0 {
        number(out, usage.judged_ms);
    }
    if mask & CONTENDED != 0 {
        number(out, usage.contended_ms);
        number(out, usage.got_ms);
        number(out, usage.due_ms);
    }
    if mask & SHARE != 0 {
        number(out, usage.weight.unsigned_abs());
        out.push(usage.io_priority);
    }
    if mask & HOST != 0 {
        number(out, host.unsigned_abs());
    }
    for counter in counters.into_iter().filter(|counter| *counter > 0) {
        number(out, counter);
    }
    *before = Before {
        weight: usage.weight,
        io_priority: usage.io_priority,
        host,
    };
}

fn counters(usage: &Usage, shift: u32) -> [u64; 8] {
    let small = |bytes: u64| {
        let half = (1_u64 << shift) >> 1;
        bytes.saturating_add(half) >> shift
    };
    [
        usage.cpu_ms,
        usage.wait_ms,
        usage.reads,
        usage.writes,
        small(usage.read_bytes),
        small(usage.write_bytes),
        small(usage.net_in_bytes),
        small(usage.net_out_bytes),
    ]
}

#[allow(clippy::cast_possible_truncation, reason = "seven bits")]
fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn spoilt() -> StoreError {
    StoreError::Data("packed usage that cannot be read".to_owned())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn open(data: &'a [u8]) -> Result<Self> {
        match data.split_first() {
            Some((&LAYOUT, rest)) => Ok(Self(rest)),
            _ => Err(spoilt()),
        }
    }

    fn at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or_else(spoilt)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64> {
        let mut value = 0;
        for at in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(spoilt())
    }

    fn signed(&mut self) -> Result<i64> {
        i64::try_from(self.number()?).map_err(|_| spoilt())
    }

    fn usage(&mut self, before: &mut Before, whole_ms: u64, shift: u32) -> Result<Usage> {
        let mask = self.number()?;
        let mut usage = Usage {
            covered_ms: if mask & COVERED == 0 {
                whole_ms
            } else {
                self.number()?
            },
            ..Usage::default()
        };
        usage.judged_ms = if mask & JUDGED == 0 {
            usage.covered_ms
        } else {
            self.number()?
        };
        if mask & CONTENDED != 0 {
            usage.contended_ms = self.number()?;
            usage.got_ms = self.number()?;
            usage.due_ms = self.number()?;
        }
        if mask & SHARE != 0 {
            before.weight = self.signed()?;
            before.io_priority = self.byte()?;
        }
        if mask & HOST != 0 {
            before.host = self.signed()?;
        }
        usage.weight = before.weight;
        usage.io_priority = before.io_priority;
        let counters = [
            (&mut usage.cpu_ms, 0),
            (&mut usage.wait_ms, 0),
            (&mut usage.reads, 0),
            (&mut usage.writes, 0),
            (&mut usage.read_bytes, shift),
            (&mut usage.write_bytes, shift),
            (&mut usage.net_in_bytes, shift),
            (&mut usage.net_out_bytes, shift),
        ];
        for (at, (counter, shift)) in counters.into_iter().enumerate() {
            if mask & (1 << (COUNTERS_FROM + u32::try_from(at).unwrap_or(0))) != 0 {
                *counter = self.number()?.saturating_mul(1 << shift);
            }
        }
        Ok(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage() -> impl Strategy<Value = Usage> {
        (
            prop::array::uniform7(0_u64..700_000),
            prop::array::uniform6(prop_oneof![Just(0), 0_u64..1 << 45]),
            0_i64..65_536,
            0_u8..9,
        )
            .prop_map(|(times, counts, weight, io_priority)| Usage {
                covered_ms: times[0],
                judged_ms: times[1],
                // Got and due belong to contention.
                contended_ms: times[2],
                got_ms: if times[2] > 0 { times[3] } else { 0 },
                due_ms: if times[2] > 0 { times[4] } else { 0 },
                cpu_ms: times[5],
                wait_ms: times[6],
                reads: counts[0],
                writes: counts[1],
                read_bytes: counts[2] << 10,
                write_bytes: counts[3] << 10,
                net_in_bytes: counts[4] << 10,
                net_out_bytes: counts[5] << 10,
                weight,
                io_priority,
            })
    }

    proptest! {
        #[test]
        fn a_round_comes_back(mut all in prop::collection::btree_map(1_i64..1 << 40, usage(), 0..60)) {
            let of: Vec<_> = std::mem::take(&mut all).into_iter().map(|(id, usage)| (LinodeId(id), usage)).collect();
            prop_assert_eq!(unpack_round(60, &pack_round(60, &of)).unwrap(), of);
        }

        #[test]
        fn a_day_comes_back(all in prop::collection::btree_map((0_u8..144, 1_i64..5), usage(), 0..144)) {
            let of: Vec<_> = all.into_iter().map(|((index, host), usage)| DayPart { index, host: HostId(host), usage }).collect();
            prop_assert_eq!(unpack_day(&pack_day(&of)).unwrap(), of);
        }

        #[test]
        fn rubbish_is_an_error_or_a_value_and_never_a_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack_round(10, &data);
            let _ = unpack_day(&data);
        }
    }

    #[test]
    fn an_idle_linode_takes_few_bytes() {
        let idle = Usage {
            covered_ms: 600_000,
            judged_ms: 600_000,
            weight: 512,
            io_priority: 4,
            ..Usage::default()
        };
        let day: Vec<_> = (0..144)
            .map(|index| DayPart {
                index,
                host: HostId(3),
                usage: idle,
            })
            .collect();
        assert_eq!(pack_day(&day).len(), 1 + 4 + 2 * 144);
    }
}
