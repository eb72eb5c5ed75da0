//! The charts that are measured.

use std::env;
use std::path::PathBuf;

/// A chart's archive.
#[derive(Clone, Debug)]
pub struct BenchChart {
    /// What tables call it.
    pub name: &'static str,
    /// Where it is.
    pub archive: PathBuf,
}

/// The charts whose archives are there; what is missing is said on standard error.
///
/// `PINTLE_BENCH_SMALL` names the archive of the small one, which `e2e/bench/run` packs; the others are in the corpus
/// below `PINTLE_SHARED`.
#[allow(clippy::print_stderr, reason = "a bench talks to its terminal")]
pub fn charts() -> Vec<BenchChart> {
    let shared = PathBuf::from(env::var_os("PINTLE_SHARED").unwrap_or_else(|| "../shared".into()));
    let corpus = shared.join("corpus/charts");
    let small = PathBuf::from(env::var_os("PINTLE_BENCH_SMALL").unwrap_or_default());
    let known = [
        ("small", small),
        ("medium", corpus.join("ingress-nginx-4.15.1.tgz")),
        ("large", corpus.join("kube-prometheus-stack-88.5.3.tgz")),
    ];
    let mut found = Vec::new();
    for (name, archive) in known {
        if archive.is_file() {
            found.push(BenchChart { name, archive });
        } else {
            eprintln!("{name}: skipped, there is no archive at {:?}", archive.display().to_string());
        }
    }
    found
}
