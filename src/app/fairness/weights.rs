//! Staff's hand on the shares: the rule by which a plan's RAM becomes a weight, and single Linodes' own weights. Hosts get what
//! differs with the answer to their next samples or poll.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::fairness::shares::{LEAST_WEIGHT, MOST_WEIGHT, Rule, RuleKind};
use crate::domain::ids::LinodeId;
use crate::domain::time::Time;
use crate::store;
use crate::store::fairness::weights::RuleRow;

/// MiB of RAM for one more of weight.
const MOST_UNIT_MB: i64 = 65_536;
const MOST_REASON: usize = 500;

/// Says what cannot be of a rule, by field.
pub fn check_rule(rule: Rule) -> Result<()> {
    let Rule::Linear { base, unit_mb } = rule else {
        return Ok(());
    };
    let within = |field: &'static str, value: i64, least: i64, most: i64| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(AppError::invalid(
            field,
            format!("Enter a number from {least} to {most}"),
        ))
    };
    within("base", base, 0, MOST_WEIGHT)?;
    within("unit_mb", unit_mb, 1, MOST_UNIT_MB)
}

pub fn check_weight(weight: i64) -> Result<()> {
    if (LEAST_WEIGHT..=MOST_WEIGHT).contains(&weight) {
        return Ok(());
    }
    Err(AppError::invalid(
        "weight",
        format!("Enter a number from {LEAST_WEIGHT} to {MOST_WEIGHT}"),
    ))
}

/// What staff set for one Linode.
#[derive(Debug, Clone, Copy)]
pub struct ByHand<'a> {
    /// `None`: the rule's again.
    pub weight: Option<i64>,
    pub reason: &'a str,
    /// What the form showed of it.
    pub was: Option<i64>,
}

impl App {
    /// Changes the rule. `seen`: when what the form showed had been changed last. Saving the same twice changes nothing.
    pub fn set_weight_rule(&self, actor: &Actor, rule: Rule, seen: Option<Time>) -> Result<()> {
        actor.require(Right::Weights)?;
        check_rule(rule)?;
        self.transact(actor.who(), |tx| {
            store::fairness::weights::lock(tx.conn)?;
            let stored = store::fairness::weights::stored(tx.conn)?;
            let before = stored.map_or(Rule::Plan, |row| row.rule());
            if before == rule {
                return Ok(());
            }
            if stored.map(|row| row.changed_at) != seen {
                return Err(AppError::conflict(
                    "Someone else changed the rule while you looked at it. Look at it again.",
                ));
            }
            let (kind, base, unit_mb) = match rule {
                Rule::Plan => (RuleKind::Plan, 0, 1),
                Rule::Linear { base, unit_mb } => (RuleKind::Linear, base, unit_mb),
            };
            let row = RuleRow {
                kind,
                base,
                unit_mb,
                changed_at: tx.now,
            };
            store::fairness::weights::set(tx.conn, &row)?;
            let (old, new) = (words(before), words(rule));
            tx.audit(Action::WeightRule, Object::Weights, (&old, &new))
        })
    }

    /// Sets one Linode's weight by hand. Saving the same twice changes nothing.
    pub fn set_linode_weight(
        &self,
        actor: &Actor,
        linode: LinodeId,
        ByHand {
            weight,
            reason,
            was,
        }: ByHand<'_>,
    ) -> Result<()> {
        actor.require(Right::Weights)?;
        let reason = reason.trim();
        if let Some(weight) = weight {
            check_weight(weight)?;
            if reason.is_empty() || reason.chars().count() > MOST_REASON {
                return Err(AppError::invalid(
                    "reason",
                    format!("Say why, in {MOST_REASON} characters or fewer"),
                ));
            }
        }
        self.transact(actor.who(), |tx| {
            store::linode::lock(tx.conn, linode)?;
            store::linode::linode(tx.conn, linode)?.ok_or(AppError::NotFound)?;
            let before = store::fairness::weights::own(tx.conn, linode)?;
            if before == weight {
                return Ok(());
            }
            if before != was {
                return Err(AppError::conflict(
                    "Someone else changed this weight while you looked at it. Look at it again.",
                ));
            }
            store::fairness::weights::set_own(tx.conn, linode, weight, reason, tx.now)?;
            let shown =
                |weight: Option<i64>| weight.map_or("by the rule".to_owned(), |it| it.to_string());
            let (old, mut new) = (shown(before), shown(weight));
            if weight.is_some() {
                new = format!("{new}: {reason}");
            }
            tx.audit(Action::LinodeWeight, Object::Weight(linode), (&old, &new))
        })
    }
}

/// The rule in a sentence, for pages and the trail.
pub fn words(rule: Rule) -> String {
    match rule {
        Rule::Plan => "each plan's own weight".to_owned(),
        Rule::Linear { base, unit_mb } => {
            format!("{base} and one more for every {unit_mb} MiB of RAM")
        }
    }
}
