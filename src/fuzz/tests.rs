//! Every target is tried with its corpus, with what was ever found, and with a few hundred changes of each, the same in
//! every run.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::{Target, targets};

/// So many, or as many as this time allows: on a busy machine fewer are tried.
const CHANGES: usize = 300;
const EACH: Duration = Duration::from_millis(300);
/// Nothing takes longer for so little.
const LONGEST: Duration = Duration::from_secs(5);

fn corpus(name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = fs::read_dir(folder.join(name)).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// xorshift64*
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % most.max(1)
    }
}

/// One to four changes: a bit, a byte that means something, a piece cut out, doubled, or of another entry.
fn changed(chance: &mut Chance, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\xff\x80\n\r\t \"'\\/<>()[]{}=,;:%&+-.0129aZ";
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + 1 + chance.below(16)).min(bytes.len());
        match chance.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 => bytes.insert(at, TELLING[chance.below(TELLING.len())]),
            2 => drop(bytes.drain(at..end.max(at))),
            3 => {
                let piece = bytes[at..end.max(at)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let from = chance.below(other.len());
                let to = (from + 1 + chance.below(24)).min(other.len());
                bytes.splice(at..at, other[from..to].to_vec());
            }
        }
    }
    bytes
}

/// Of this thread: others may want the processor, too.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

/// Where what it does not hold for has been put, if it does not.
fn fails(target: Target, bytes: &[u8]) -> Option<PathBuf> {
    let began = worked();
    let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    if ran.is_ok() && worked().saturating_sub(began) < LONGEST {
        return None;
    }
    let kept = std::env::temp_dir().join(format!("xenbeta-fuzz-{}", target.name));
    fs::write(&kept, bytes).unwrap();
    Some(kept)
}

fn tried(target: Target, changes: usize, limit: Duration) -> Result<usize, PathBuf> {
    let corpus: Vec<Vec<u8>> = corpus(target.name).into_values().collect();
    for bytes in corpus.iter().map(Vec::as_slice).chain([b"".as_slice()]) {
        fails(target, bytes).map_or(Ok(()), Err)?;
    }
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let began = Instant::now();
    for number in 0..changes {
        if began.elapsed() > limit {
            return Ok(number);
        }
        let bytes = &corpus[chance.below(corpus.len())];
        let other = &corpus[chance.below(corpus.len())];
        let bytes = changed(&mut chance, bytes, other);
        fails(target, &bytes).map_or(Ok(()), Err)?;
    }
    Ok(changes)
}

/// `FUZZ_S=n` tries each target for so many seconds.
#[test]
fn every_parser_holds_what_it_promises() {
    let longer: Option<u64> = std::env::var("FUZZ_S").ok().map(|it| it.parse().unwrap());
    let (changes, limit) = longer.map_or((CHANGES, EACH), |s| (usize::MAX, Duration::from_secs(s)));
    let mut failed = Vec::new();
    for target in targets() {
        match tried(target, changes, limit) {
            Ok(count) => println!("{}: {count} changes", target.name),
            Err(kept) => failed.push(kept),
        }
    }
    assert!(
        failed.is_empty(),
        "what they do not hold for is in {failed:?}"
    );
}

#[cfg(all(feature = "portal", feature = "agent"))]
#[test]
fn every_target_has_its_corpus_and_every_corpus_its_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut there: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let names: Vec<&str> = targets().iter().map(|target| target.name).collect();
    assert_eq!(there, names);
    let mut bytes = 0;
    for name in names {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        bytes += corpus.values().map(Vec::len).sum::<usize>();
    }
    assert!(
        bytes < 1 << 20,
        "the corpora are {bytes} bytes: minimise them"
    );
}
