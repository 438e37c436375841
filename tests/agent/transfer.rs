//! Copies between two agents over the loopback: equal bytes, deltas, broken lines, bad peers, broken disks.

use std::os::unix::fs::FileExt;

use super::mover::{Dice, Lab, MIB};

#[test]
fn a_sparse_disk_arrives_equal_and_sparse() {
    let lab = Lab::new(&[40 * MIB + 4096 + 512, 3 * MIB]);
    let disk = lab.source_disk(1);
    let mut dice = Dice(1);
    dice.write(&disk, 0, 700_000);
    dice.write(&disk, 9 * MIB + 5, 3_000_000);
    dice.write(&disk, 40 * MIB, 4096 + 512);
    let warm = lab.warm(4).unwrap();
    assert!(
        warm.sent_bytes >= 3_700_000 && warm.sent_bytes < 4_200_000,
        "{warm:?}"
    );
    dice.write(&disk, 20 * MIB, 5000);
    disk.write_all_at(&vec![0; 1_000_000], 9 * MIB).unwrap();
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    assert!(report.sent_bytes < 200_000, "{report:?}");
    let again = lab.finish().unwrap();
    assert_eq!(again, report);
    let usage = lab
        .to
        .check(super::mover::LINODE, super::mover::EPOCH + 1, &lab.disks)
        .unwrap();
    assert!(usage.allocated < 5 * MIB, "{usage:?}");
}
