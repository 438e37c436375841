//! What becomes of a Linode's row at each of the moments at which it may change hands. Pure: `app::ownership::change` puts the
//! result in the place of the row it was made from, by compare-and-set; the model (`tests/model`) runs these.

use super::{Believed, Row, Word};
use crate::domain::ids::HostId;
use crate::domain::migration::Step;

/// The commit: `None` if the Linode is not its source's under the migration's epoch any more.
pub fn commit(row: Row, (source, epoch): (HostId, i64), destination: HostId) -> Option<Row> {
    ((row.host, row.epoch) == (source, epoch)).then_some(Row {
        host: destination,
        epoch: epoch + 1,
        fetched: false,
    })
}

/// The source gets a new epoch, whether it still owns the Linode or the destination does. `only_unfetched`: not once the
/// owner may know of what it has.
pub fn take_back(row: Row, source: HostId, only_unfetched: bool) -> Option<Row> {
    let told = row.fetched && row.host != source;
    (!(only_unfetched && told)).then_some(Row {
        host: source,
        epoch: row.epoch + 1,
        fetched: false,
    })
}

/// The owner is about to be told; `None` if it is no longer the owner under that epoch.
pub fn fetch(row: Row, (host, epoch): (HostId, i64)) -> Option<Row> {
    ((row.host, row.epoch) == (host, epoch)).then_some(Row {
        fetched: true,
        ..row
    })
}

/// A new epoch for the host that has sealed the Linode after a failed start.
pub fn own_again(row: Row, (host, epoch): (HostId, i64)) -> Option<Row> {
    ((row.host, row.epoch) == (host, epoch)).then_some(Row {
        host,
        epoch: epoch + 1,
        fetched: false,
    })
}

/// The epoch that the job of a step acts under; `epoch` is the migration's, `row` the Linode's.
pub fn step_epoch(step: Step, epoch: i64, row: Row) -> i64 {
    match step {
        Step::PreflightSource
        | Step::OpenTransfer
        | Step::Hold
        | Step::StopSeal
        | Step::FinalCopy => epoch,
        Step::PreflightDestination | Step::Reserve | Step::WarmCopy | Step::TopUp => epoch + 1,
        Step::Start | Step::SealDestination | Step::Restore => row.epoch,
    }
}

/// May the row's owner yet accept what the row says, from an order that is still on its way? Then nobody else is believed.
pub fn may_yet_accept(row: Row, words: &[Word]) -> bool {
    row.fetched
        && words
            .iter()
            .find(|word| word.host == row.host)
            .is_none_or(|word| word.granted < row.epoch && word.sealed < row.epoch)
}

/// The row after the hosts were believed, and whether the owner must be granted it anew. The epoch never goes down, and one
/// that the portal may have given away is never given twice.
pub fn settle(row: Row, believed: Believed) -> (Row, bool) {
    if believed.holds && believed.epoch >= row.epoch {
        let row = Row {
            host: believed.host,
            epoch: believed.epoch,
            fetched: true,
        };
        return (row, false);
    }
    let row = Row {
        host: believed.host,
        epoch: believed.epoch.max(row.epoch) + 1,
        fetched: false,
    };
    (row, true)
}
