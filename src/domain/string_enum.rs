//! Enums that are stored and sent as short text, made by one macro so that their words stand in one place.

/// A closed set of words: every variant has exactly one spelling, in the database, in JSON and in URLs.
pub trait StringEnum: Sized + Copy + 'static {
    const ALL: &'static [Self];
    fn as_str(self) -> &'static str;
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.as_str() == text)
    }
    /// Those of which a rule is true: how a query takes the rule from its one place.
    fn those(rule: impl Fn(Self) -> bool) -> Vec<Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|word| rule(*word))
            .collect()
    }
}

/// Defines an enum with its words: `string_enum! { pub enum Platform { Uml = "uml", Xen = "xen" } }`.
#[macro_export]
macro_rules! string_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        $vis enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $crate::domain::string_enum::StringEnum for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::domain::string_enum::StringEnum::as_str(*self))
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                use $crate::domain::string_enum::StringEnum;
                Self::parse(text).ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|word| word.as_str()).collect();
                    format!("{text:?} is none of {}", known.join(", "))
                })
            }
        }
    };
}
