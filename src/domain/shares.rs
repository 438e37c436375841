//! What a Linode is due of its host under contention.

/// Least memory of a plan that gets more than the last level, in MiB.
const FIRST_STEP_MB: i64 = 128;

/// Level within the best-effort class of disk I/O (`ionice -c 2 -n`), 0 (first) to 7 (last): a level better each time
/// the plan's memory doubles, from 7 below 128 MiB to 0 from 8 GiB on. CFQ gives neighbouring levels time slices of
/// 20 ms steps around 100 ms, so a level is a mild preference and nobody starves.
#[must_use]
pub fn io_priority(ram_mb: i64) -> u8 {
    let mut level = 7;
    let mut from = FIRST_STEP_MB;
    while level > 0 && ram_mb >= from {
        level -= 1;
        from *= 2;
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_for_each_doubling() {
        let levels = [
            0,
            64,
            127,
            128,
            255,
            256,
            512,
            1024,
            4096,
            8191,
            8192,
            1 << 40,
        ]
        .map(io_priority);
        assert_eq!(levels, [7, 7, 7, 6, 6, 5, 4, 3, 1, 1, 0, 0]);
    }
}
