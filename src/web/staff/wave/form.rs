//! The form of a new wave, as it is typed.

use serde::Deserialize;

use super::shared::{choices, kind_words, sequence_words};
use crate::app::wave::Wanted;
use crate::app::wave::whom::Whom;
use crate::domain::ids::{HostId, PlanId};
use crate::domain::wave::numbers::{GATES, Number, Numbers, PACE};
use crate::domain::wave::{Sequence, WaveKind, Window};
use crate::web::page::clipped;
use crate::web::staff::programme::move_times::hours;
use crate::web::ui::{Choice, Field, Input, Problems};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaveForm {
    pub(super) once: String,
    name: String,
    kind: String,
    plan: String,
    q: String,
    only: String,
    host: String,
    reason: String,
    sequence: String,
    window: String,
    canary: String,
    watch_min: String,
    at_once: String,
    per_host: String,
    out_most: String,
    least: String,
    failed_percent: String,
    slow_percent: String,
    bugs_most: String,
    unfair_most: String,
}

/// What a link to the form fills in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    kind: String,
    plan: String,
    q: String,
    host: String,
}

/// Its fields, in the groups in which they stand.
#[derive(Debug)]
pub struct Fields {
    pub whom: Vec<Field>,
    pub pace: Vec<Field>,
    pub gates: Vec<Field>,
}

impl WaveForm {
    pub(super) fn new(asked: Asked) -> Self {
        let kind = match asked.kind.as_str() {
            "" => WaveKind::Beta.to_string(),
            word => word.to_owned(),
        };
        let [canary, watch_min, at_once, per_host, out_most] = PACE.map(|it| it.usual.to_string());
        let [least, failed_percent, slow_percent, bugs_most, unfair_most] =
            GATES.map(|it| it.usual.to_string());
        Self {
            kind,
            plan: asked.plan,
            q: asked.q,
            host: asked.host,
            sequence: Sequence::Asked.to_string(),
            canary,
            watch_min,
            at_once,
            per_host,
            out_most,
            least,
            failed_percent,
            slow_percent,
            bugs_most,
            unfair_most,
            ..Self::default()
        }
    }

    fn pace(&self) -> [&str; 5] {
        [
            &self.canary,
            &self.watch_min,
            &self.at_once,
            &self.per_host,
            &self.out_most,
        ]
    }

    fn gates(&self) -> [&str; 5] {
        [
            &self.least,
            &self.failed_percent,
            &self.slow_percent,
            &self.bugs_most,
            &self.unfair_most,
        ]
    }

    pub(super) fn parse(&self) -> Result<Wanted, Problems> {
        let mut problems = Problems::default();
        let kind = problems.take(
            "kind",
            self.kind
                .parse::<WaveKind>()
                .map_err(|_| "Choose what it gives out"),
        );
        let sequence = problems.take(
            "sequence",
            self.sequence
                .parse::<Sequence>()
                .map_err(|_| "Choose an order"),
        );
        let window = problems.take("window", hours(&self.window));
        let pace = whole(&PACE, self.pace(), &mut problems);
        let gates = whole(&GATES, self.gates(), &mut problems);
        let id = |text: &str| text.trim().parse::<i64>().ok();
        match (kind, sequence, window) {
            (Some(kind), Some(sequence), Some(window)) if problems.is_empty() => Ok(Wanted {
                name: self.name.clone(),
                kind,
                whom: Whom {
                    plan: id(&self.plan).map(PlanId),
                    text: clipped(&self.q, 100),
                    only: self.only.clone(),
                    host: id(&self.host).map(HostId),
                },
                reason: self.reason.clone(),
                sequence,
                numbers: Numbers::new(pace, gates),
                window: window.map(|it| Window {
                    begins: it.begins,
                    ends: it.ends,
                }),
                once: self.once.clone(),
            }),
            _ => Err(problems),
        }
    }

    /// `plans` and `hosts`: to choose from. `zone`: that of the quiet hours.
    pub(super) fn fields(
        &self,
        (plans, hosts): (Vec<Choice>, Vec<Choice>),
        zone: &str,
        problems: &Problems,
    ) -> Fields {
        let whom = [
            Field::text("name", "Name").value(&self.name),
            Field::new("kind", "What it gives out", Input::Radios(choices(kind_words)))
                .value(&self.kind),
            Field::select("plan", "Plan", Choice::any("All plans", plans)).value(&self.plan),
            Field::text("q", "Linode or account").value(&self.q).hint(
                "A part of a name, as in the list of registrations; nothing for all that can go.",
            ),
            Field::new("only", "Nobody but these", Input::Area(3))
                .value(&self.only)
                .hint("Labels of Linodes, between blanks or lines; nothing for all that the filter finds."),
            Field::select("host", "Host to empty", Choice::any("None", hosts))
                .value(&self.host)
                .hint("Of a wave of moves off a host."),
            Field::new("reason", "Why it is emptied", Input::Area(2))
                .value(&self.reason)
                .hint("For its members, of a wave of moves off a host."),
        ];
        let order = [
            Field::select("sequence", "Order", choices(sequence_words)).value(&self.sequence),
            Field::text("window", "Only at these times of day")
                .short()
                .value(&self.window)
                .hint(format!(
                    "Like 09:00-17:00, or 22:00-06:00 over midnight, in {zone}; nothing for any time. What members take up begins at any time."
                )),
        ];
        let numbers = |of: [Number; 5], values: [&str; 5]| -> Vec<Field> {
            let field = |(of, value): (Number, &str)| {
                Field::number(of.name, of.label).value(value).hint(of.hint)
            };
            of.into_iter().zip(values).map(field).collect()
        };
        let pace = order.into_iter().chain(numbers(PACE, self.pace()));
        Fields {
            whom: problems.on(whom),
            pace: problems.on(pace),
            gates: problems.on(numbers(GATES, self.gates())),
        }
    }
}

fn whole(of: &[Number; 5], texts: [&str; 5], problems: &mut Problems) -> [i32; 5] {
    let mut values = [0; 5];
    for ((value, number), text) in values.iter_mut().zip(of).zip(texts) {
        let parsed = text
            .trim()
            .parse::<i32>()
            .map_err(|_| format!("Enter a whole number for “{}”", number.label));
        if let Some(parsed) = problems.take(number.name, parsed) {
            *value = parsed;
        }
    }
    values
}
