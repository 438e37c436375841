//! How full a host is now and afterwards, as a bar in the cell that has the figures.

use askama::Template;
use askama::filters::HtmlSafe;

use super::units;

/// Parts of the bar's width that the largest host of the table fills.
const WIDTH: i64 = 1000;

#[derive(Debug, Clone, Template)]
#[template(path = "ui/room.html")]
pub struct Bar {
    all: i64,
    stays: i64,
    changes: i64,
    /// `c`: it comes; `b`: it goes.
    class: &'static str,
}
impl HtmlSafe for Bar {}

impl Bar {
    /// What is promised of `all`, before and after; `largest`: what the whole width stands for.
    pub fn new((before, after): (i64, i64), all: i64, largest: i64) -> Self {
        let scaled = |of: i64| of.clamp(0, largest.max(0)).saturating_mul(WIDTH) / largest.max(1);
        let stays = scaled(before.min(after));
        Self {
            all: scaled(all),
            stays,
            changes: scaled(before.max(after)) - stays,
            class: if after < before { "b" } else { "c" },
        }
    }
}

/// What stands below the name of the column of bars, from MiB.
pub fn axis(largest_mb: i64) -> [String; 3] {
    [
        "0".to_owned(),
        units::mebibytes(largest_mb / 2),
        units::mebibytes(largest_mb),
    ]
}

/// `1.0 GiB → 512 MiB`; once, where nothing changes.
pub fn change(before_mb: i64, after_mb: i64) -> String {
    let (before, after) = (units::mebibytes(before_mb), units::mebibytes(after_mb));
    if before == after {
        before
    } else {
        format!("{before} → {after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_what_stays_what_changes_and_all() {
        let parts = |bar: &Bar| (bar.all, bar.stays, bar.changes, bar.class);
        let comes = Bar::new((512, 1024), 2048, 4096);
        assert_eq!(parts(&comes), (500, 125, 125, "c"));
        let goes = Bar::new((1024, 512), 2048, 2048);
        assert_eq!(parts(&goes), (1000, 250, 250, "b"));
        let over = Bar::new((9000, 9000), 2048, 2048);
        assert_eq!(parts(&over), (1000, 1000, 0, "c"));
        assert_eq!(parts(&Bar::new((0, 0), 0, 0)), (0, 0, 0, "c"));
        assert!(
            comes
                .to_string()
                .contains(r#"<rect class="c" x="125" width="125""#)
        );
        assert_eq!(change(1024, 512), "1.0 GiB → 512 MiB");
        assert_eq!(axis(4096), ["0", "2.0 GiB", "4.0 GiB"]);
    }
}
