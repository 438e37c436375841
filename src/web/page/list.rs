//! A list: filters that stand in its address, tabs with counts, page by page from a key, and as CSV. What a list takes is
//! said once, by [`filters!`]; a new filter is a name there, its use where rows are asked for, and its field in the template.

use std::str::FromStr;

use chrono::{Datelike, NaiveDate};

use crate::domain::time::{Time, YEARS};
use crate::web::fault::{Fault, Result};
use crate::web::ui::list::query;
use crate::web::ui::{Choice, Field, Pager};

/// Rows on a page of most lists.
pub const ROWS: usize = 100;

pub const FROM_TABS: &str = "The list cannot be filtered so. Start from its tabs.";
pub const FROM_FILTERS: &str = "The list cannot be filtered so. Start from the list's own filters.";
pub const UNREADABLE: &str = "The address has a parameter that is doubled or that cannot be read. Start from the list's own filters.";

/// The filters of a list, as they stand in its address.
pub trait Filters {
    const PATH: &'static str;
    const ROWS: usize;
    /// What is said of an address that the list has no such filter for.
    const UNKNOWN: &'static str;

    /// In the order of the address; the last one is the key that the page begins after.
    fn pairs(&self) -> Vec<(&'static str, &str)>;

    fn unknown() -> Fault {
        Fault::BadRequest(Self::UNKNOWN.to_owned())
    }

    /// What a filter says, if it is set.
    fn read<T: FromStr>(text: &str) -> Result<Option<T>> {
        match text {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| Self::unknown()),
        }
    }

    /// A day, if one is set.
    fn day(text: &str) -> Result<Option<NaiveDate>> {
        match Self::read::<NaiveDate>(text.trim())? {
            Some(day) if !YEARS.contains(&day.year()) => Err(Self::unknown()),
            day => Ok(day),
        }
    }

    /// Before then is what is older than so many hours, if that is asked.
    fn older(hours: &str, now: Time) -> Result<Option<Time>> {
        let hours = Self::read::<i64>(hours)?;
        Ok(hours.map(|hours| now.plus_s(-3600 * hours.clamp(0, 100_000))))
    }

    /// One row more than a page has, to see whether there is another page.
    fn limit() -> i64 {
        i64::try_from(Self::ROWS + 1).unwrap_or(i64::MAX)
    }

    fn is_first_page(&self) -> bool {
        self.pairs().last().is_none_or(|(_, key)| key.is_empty())
    }

    /// `path` with these filters, from this key on.
    fn address(&self, path: &str, key: &str) -> String {
        let mut pairs = self.pairs();
        if let Some(last) = pairs.last_mut() {
            last.1 = key;
        }
        format!("{path}{}", query(&pairs))
    }

    fn url(&self, key: &str) -> String {
        self.address(Self::PATH, key)
    }

    fn csv_url(&self) -> String {
        self.address(&format!("{}.csv", Self::PATH), "")
    }

    /// A page of the rows that [`Filters::limit`] let through, and the links to others.
    fn page<T>(&self, rows: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Pager) {
        self.page_at(Self::PATH, rows, key)
    }

    /// The same, of a list below something that has a number in its path.
    fn page_at<T>(
        &self,
        path: &str,
        mut rows: Vec<T>,
        key: impl Fn(&T) -> String,
    ) -> (Vec<T>, Pager) {
        let more = rows.len() > Self::ROWS;
        rows.truncate(Self::ROWS);
        let last = rows.last().filter(|_| more);
        let pager = Pager {
            first: (!self.is_first_page()).then(|| self.address(path, "")),
            next: last.map(|last| self.address(path, &key(last))),
        };
        (rows, pager)
    }
}

/// `Params`, the filters of a list: its path, rows, and what is said of an address that it cannot read; then their names, the
/// key of the page last.
macro_rules! filters {
    ($path:expr, $rows:expr, $unknown:expr; $($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The list's filters, as they stand in its address.
        #[derive(Debug, Clone, Default, serde::Deserialize)]
        #[serde(default)]
        pub struct Params {
            $($(#[$doc])* pub(in crate::web) $name: String,)+
        }

        impl $crate::web::page::Filters for Params {
            const PATH: &'static str = $path;
            const ROWS: usize = $rows;
            const UNKNOWN: &'static str = $unknown;

            fn pairs(&self) -> Vec<(&'static str, &str)> {
                vec![$((stringify!($name), self.$name.trim()),)+]
            }
        }
    };
}
pub(in crate::web) use filters;

/// How old rows are at least, in hours: what [`Filters::older`] reads.
const AGES: [(&str, &str); 4] = [
    ("1", "Over an hour old"),
    ("24", "Over a day old"),
    ("168", "Over a week old"),
    ("720", "Over 30 days old"),
];

/// The field for an age.
pub fn age(asked: &str) -> Field {
    let ages = AGES.iter().map(|(hours, words)| Choice::new(hours, *words));
    Field::select("age", "Age", Choice::any("Any age", ages)).value(asked)
}

/// The start of what was typed, as much as a search takes.
pub fn clipped(text: &str, most: usize) -> String {
    text.trim().chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    filters! { "/staff/things", 2, FROM_TABS; state, q, before }

    #[test]
    fn a_page_is_cut_and_leads_on() {
        let asked = Params {
            q: " a b ".to_owned(),
            ..Params::default()
        };
        let key = |row: &i32| row.to_string();
        let (rows, pager) = asked.page(vec![9, 8, 7], key);
        assert_eq!((rows, pager.first), (vec![9, 8], None));
        let next = Some("/staff/things?q=a%20b&before=8".to_owned());
        assert_eq!(pager.next, next);
        let later = Params {
            before: "8".to_owned(),
            ..asked
        };
        let (rows, pager) = later.page(vec![7], key);
        assert_eq!((rows, pager.next), (vec![7], None));
        assert_eq!(pager.first.as_deref(), Some("/staff/things?q=a%20b"));
        assert_eq!(later.csv_url(), "/staff/things.csv?q=a%20b");
    }

    #[test]
    fn what_is_not_set_is_nothing_and_what_cannot_be_read_is_said() {
        assert_eq!(Params::read::<i64>("").ok(), Some(None));
        assert_eq!(Params::read("7").ok(), Some(Some(7)));
        assert!(matches!(
            Params::read::<i64>("x"),
            Err(Fault::BadRequest(_))
        ));
    }
}
