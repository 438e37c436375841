//! What was typed on the page of weights, parsed; what is wrong with it is noted by field.

use crate::app::error::AppError;
use crate::app::fairness::weights::{check_rule, check_weight};
use crate::domain::fairness::shares::Rule;
use crate::domain::ids::LinodeId;
use crate::web::ui::Problems;

pub fn parse_rule(problems: &mut Problems, kind: &str, base: &str, unit_mb: &str) -> Option<Rule> {
    let mut whole = |field, text: &str| problems.whole::<i64>(field, text);
    let rule = match kind {
        "plan" => Rule::Plan,
        "linear" => {
            let (base, unit_mb) = (whole("base", base), whole("unit_mb", unit_mb));
            Rule::Linear {
                base: base?,
                unit_mb: unit_mb?,
            }
        }
        _ => {
            problems.add("kind", "Choose one of the rules");
            return None;
        }
    };
    take_app(problems, check_rule(rule))?;
    Some(rule)
}

fn take_app(problems: &mut Problems, checked: Result<(), AppError>) -> Option<()> {
    match checked {
        Ok(()) => Some(()),
        Err(AppError::Invalid { field, message }) => {
            problems.add(field, message);
            None
        }
        Err(_) => None,
    }
}

pub fn parse_linode(problems: &mut Problems, text: &str) -> Option<LinodeId> {
    let number = text.trim().parse().map(LinodeId);
    problems.take("linode", number.map_err(|_| "Enter the Linode's number"))
}

/// Empty: by the rule.
#[allow(
    clippy::option_option,
    reason = "no answer, and the answer that there is none"
)]
pub fn parse_weight(problems: &mut Problems, text: &str) -> Option<Option<i64>> {
    if text.trim().is_empty() {
        return Some(None);
    }
    let weight = text
        .trim()
        .parse()
        .map_err(|_| "Enter a whole number, or nothing for the rule's");
    let weight: i64 = problems.take("weight", weight)?;
    take_app(problems, check_weight(weight))?;
    Some(Some(weight))
}
