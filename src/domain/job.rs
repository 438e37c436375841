//! How long a job waits that is to be tried again.

/// No job pauses for longer.
pub const LONGEST_PAUSE_S: i64 = 900;

/// The pause after so many failures or losses: 1, 2, 4, 8, 16 seconds.
#[must_use]
pub fn pause_s(tries: i32) -> i64 {
    1_i64 << tries.clamp(1, 5).saturating_sub(1)
}
