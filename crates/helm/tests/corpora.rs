//! Unit: every file of `fuzz/corpus` through the fuzz target of its folder. What a fuzzer once found is found again here.
//!
//! With FUZZ_SECONDS, every target then gets mutations of its corpus for so long (`make fuzz`): less clever than
//! libFuzzer, which sees what is covered, but on a stable compiler. What panics or takes long is kept in the corpus.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: clippy.toml lets only functions marked #[test] do this"
)]

use std::any::Any;
use std::env;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "fuzz_diff/random.rs"]
mod random;
#[path = "../../../fuzz/src/targets.rs"]
mod targets;

use random::Random;
use targets::{TARGETS, Target};

/// What counts as a hang.
const LONG: Duration = Duration::from_secs(5);

#[test]
fn corpora() {
    let seconds = env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let only = env::var("FUZZ_TARGET").ok();
    let mut findings = 0;
    for target in TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.0);
        let corpus = corpus(&folder);
        assert!(!corpus.is_empty(), "{} has no corpus", target.0);
        for (path, data) in &corpus {
            println!("{}", path.display());
            (target.1)(data);
        }
        if let Some(seconds) = seconds {
            findings += mutate(target, &folder, &corpus, Duration::from_secs(seconds));
        }
    }
    assert_eq!(findings, 0, "findings, see above; they are in the corpus now");
}

fn corpus(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder).expect("a corpus for every target");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a file of the corpus"))).collect()
}

/// Feeds mutations to a target; the number of findings.
fn mutate((name, run): &Target, folder: &Path, corpus: &[(PathBuf, Vec<u8>)], time: Duration) -> usize {
    let start = Instant::now();
    let mut random = Random::new(env::var("FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1));
    let (mut runs, mut findings) = (0_u64, 0);
    while start.elapsed() < time && findings < 5 {
        let data = mutation(&mut random, corpus);
        let begun = Instant::now();
        let result = panic::catch_unwind(|| run(&data));
        runs += 1;
        let why = match result {
            Err(panic) => text(panic.as_ref()),
            Ok(()) if begun.elapsed() > LONG => format!("took {:?}", begun.elapsed()),
            Ok(()) => continue,
        };
        findings += 1;
        let path = folder.join(format!("found-{runs}"));
        fs::write(&path, &data).expect("a file of the corpus");
        println!("{}: {why}", path.display());
    }
    println!("{name}: {runs} runs in {:?}, {findings} findings", start.elapsed());
    findings
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

fn mutation(random: &mut Random, corpus: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut data = random.pick(corpus).1.clone();
    for _ in 0..=random.below(6) {
        let at = random.below(data.len() + 1);
        let length = if random.chance(80) { 8 } else { 200 };
        let to = (at + random.below(length)).min(data.len());
        match random.below(8) {
            0 => drop(data.drain(at..to)),
            1 => {
                let piece = data[at..to].to_vec();
                let times = if random.chance(5) { 2_000 } else { 1 + random.below(3) };
                data.splice(at..at, piece.repeat(times));
            }
            2 => data.insert(at, u8::try_from(random.below(256)).unwrap_or_default()),
            3 => data.insert(at, *random.pick(b"{}()[]|.,:-+*/\\\"'`$ \n\t0159&!<>=~^#%@")),
            4 if at < data.len() => data[at] ^= 1 << random.below(8),
            5 | 6 => {
                let other = &random.pick(corpus).1;
                let from = random.below(other.len() + 1);
                let end = (from + random.below(60)).min(other.len());
                data.splice(at..to, other[from..end].to_vec());
            }
            _ => {
                let number = *random.pick(&[
                    "9223372036854775808",
                    "-1",
                    "1e999",
                    "0x",
                    "65536",
                    "2147483647",
                    "\u{feff}",
                    "\u{0}",
                ]);
                data.splice(at..at, number.bytes());
            }
        }
    }
    data
}
