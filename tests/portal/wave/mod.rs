//! Waves: made, let go, gated, paused, stopped; what they give out and what they leave alone.

use std::time::Duration;

use xenbeta::app::wave::whom::Whom;
use xenbeta::app::wave::{Deed, Wanted};
use xenbeta::domain::ids::{LinodeId, RegistrationId, WaveId};
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::wave::numbers::Numbers;
use xenbeta::domain::wave::{Sequence, Stage, WaveKind, WaveState};
use xenbeta::store;
use xenbeta::store::wave::Wave;
use xenbeta::store::wave::list::{Counts, ItemRow};

use crate::support::TestApp;
use crate::support::fleet::{DB, OLD, THEIRS, WEB};

mod gates;
mod many;
mod pages;
mod paused;
mod places;

/// All at once, and no canary.
fn at_once() -> Numbers {
    Numbers {
        canary: 0,
        ..Numbers::usual()
    }
}

fn wanted(kind: WaveKind, numbers: Numbers) -> Wanted {
    Wanted {
        name: "The first".to_owned(),
        kind,
        whom: Whom::default(),
        reason: String::new(),
        sequence: Sequence::Asked,
        numbers,
        window: None,
        once: format!("once-of-{kind}"),
    }
}

impl TestApp {
    /// All of the fleet registered and approved, with room for them on the beta's hosts.
    fn all_ready(&self) -> Vec<RegistrationId> {
        self.register(&self.member(), &[WEB, DB, OLD]).unwrap();
        self.register(&self.other_member(), &[THEIRS]).unwrap();
        let of = |linode| self.in_db(|conn| store::registration::newest_of(conn, linode));
        let all = [WEB, DB, OLD, THEIRS].map(|it| of(it).unwrap().id);
        assert_eq!(self.approve(&self.staff(), &all).unwrap().done.len(), 4);
        self.sql("UPDATE hosts SET memory_mb = 8192, disk_free_mb = NULL WHERE id IN (3, 4)");
        all.to_vec()
    }

    fn wave(&self, id: WaveId) -> Wave {
        self.in_db(|conn| store::wave::wave(conn, id)).unwrap()
    }

    fn wave_counts(&self, id: WaveId) -> Counts {
        self.in_db(|conn| store::wave::list::detail(conn, id))
            .unwrap()
            .counts
    }

    fn in_stage(&self, id: WaveId, stage: Stage) -> i64 {
        self.wave_counts(id).of(|it| it == stage)
    }

    fn items_of(&self, id: WaveId) -> Vec<ItemRow> {
        self.in_db(|conn| store::wave::list::items(conn, (id, None), None, 5000))
    }

    fn deed(&self, id: WaveId, deed: Deed) {
        self.do_with_wave(&self.staff(), id, deed).unwrap();
    }

    /// Made and started.
    fn started(&self, wanted: &Wanted) -> WaveId {
        let id = self.make_wave(&self.staff(), wanted).unwrap();
        self.deed(id, Deed::Start);
        id
    }

    /// Until nothing more is to be given out now.
    fn waves_work(&self) {
        for _ in 0..1000 {
            if !self.work_waves(Duration::from_secs(60)).unwrap() {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    /// Its moves, whose state they are in, in the order of the wave.
    fn states(&self, id: WaveId) -> Vec<(LinodeId, Option<MigrationState>)> {
        let items = self.items_of(id);
        items
            .iter()
            .map(|it| (it.linode, it.migration_state))
            .collect()
    }

    fn is_wave(&self, id: WaveId, state: WaveState) {
        let wave = self.wave(id);
        assert_eq!(wave.state, state, "{}", wave.why);
    }
}
