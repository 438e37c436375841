//! What agents say their guests used, for `crate::fuzz`.

use std::collections::BTreeMap;

use super::ingest::{STEP_S, judged, known};
use crate::domain::fairness::shares::Rule;
use crate::domain::ids::LinodeId;
use crate::store::fairness::pack::{pack_round, unpack_round};
use crate::store::fairness::usage::Metered;
use crate::wire::Samples;

/// Judged and packed as they come in: no figure is beyond what can be, and what is kept is read as it was.
pub(crate) fn samples(bytes: &[u8]) {
    let Ok(samples) = serde_json::from_slice::<Samples>(bytes) else {
        return;
    };
    let metered = |id, own_weight| Metered {
        id: LinodeId(id),
        ram_mb: 128 * id,
        vcpus: 4,
        plan_weight: 64,
        own_weight,
    };
    let all = [metered(1, None), metered(2, Some(65_535)), metered(7, None)];
    let owned: BTreeMap<LinodeId, Metered> = all.map(|it| (it.id, it)).into();
    for round in &samples.rounds {
        let known = known(round, &owned);
        for rule in [
            Rule::Plan,
            Rule::Linear {
                base: 1,
                unit_mb: 1,
            },
        ] {
            let judged = judged(rule, &known);
            assert_eq!(judged.len(), known.len());
            for (_, usage) in &judged {
                assert!(usage.covered_ms <= 60_000 && usage.cpu_ms + usage.wait_ms <= 240_200);
                assert!(usage.due_ms <= 4 * 240_200 && usage.got_ms <= usage.cpu_ms);
            }
            let packed = pack_round(STEP_S, &judged);
            assert_eq!(unpack_round(STEP_S, &packed).ok(), Some(judged));
        }
    }
}
