//! Sizes, rates and spans of time in words people read.

use std::fmt::Display;

pub use crate::domain::time::span;

/// `1 mail`, `2 mails`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let words = if count == N::from(1) { one } else { many };
    format!("{count} {words}")
}

/// `4.0 GiB`, `512 MiB`, `17 KiB`, `12 bytes`.
#[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub fn bytes(count: u64) -> String {
    const STEP: f64 = 1024.0;
    let mut value = count as f64;
    if value < STEP {
        return format!("{count} bytes");
    }
    for unit in ["KiB", "MiB", "GiB"] {
        value /= STEP;
        if value < STEP {
            return if value < 10.0 {
                format!("{value:.1} {unit}")
            } else {
                format!("{value:.0} {unit}")
            };
        }
    }
    format!("{:.1} TiB", value / STEP)
}

/// From the database's mebibytes; nothing is negative there but a fault, which reads as 0.
pub fn mebibytes(count: i64) -> String {
    bytes(u64::try_from(count).unwrap_or(0).saturating_mul(1 << 20))
}

/// `118 MiB/s`
pub fn rate(bytes_per_s: u64) -> String {
    format!("{}/s", bytes(bytes_per_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_sizes_and_spans() {
        assert_eq!(bytes(12), "12 bytes");
        assert_eq!(bytes(17 * 1024), "17 KiB");
        assert_eq!(bytes(4 << 30), "4.0 GiB");
        assert_eq!(bytes(5 << 40), "5.0 TiB");
        assert_eq!(mebibytes(512), "512 MiB");
        assert_eq!(mebibytes(-1), "0 bytes");
        assert_eq!(rate(118 << 20), "118 MiB/s");
        assert_eq!(rate(0), "0 bytes/s");
        assert_eq!(span(0), "less than a second");
        assert_eq!(span(1), "1 second");
        assert_eq!(span(119), "119 seconds");
        assert_eq!(span(7500), "2 hours 5 minutes");
        assert_eq!(span(7200), "2 hours");
        assert_eq!(span(200_000), "2 days");
    }
}
