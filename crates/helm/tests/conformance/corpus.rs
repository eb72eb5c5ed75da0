//! The corpus: real charts with several sets of values each.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use pintle_helm::Compat;
use serde::Deserialize;

use crate::Verdict;
use crate::run::{Tally, parallel, shared, template};

#[derive(Deserialize)]
struct Case {
    id: String,
    case: String,
    kind: String,
    archive: String,
    values_file: Option<String>,
    ok: bool,
    #[serde(default)]
    nondeterministic: bool,
    #[serde(default)]
    mask: Option<Vec<usize>>,
    #[serde(default)]
    expected: Option<String>,
}

#[test]
fn charts_of_the_corpus() {
    let Some(corpus) = shared().map(|shared| shared.join("corpus")).filter(|corpus| corpus.is_dir()) else {
        println!("SKIPPED: the chart corpus is not here; set PINTLE_SHARED to the folder that holds it");
        return;
    };
    let index = fs::read_to_string(corpus.join("index.jsonl")).expect("index.jsonl");
    let cases: Vec<Case> = index.lines().map(|line| serde_json::from_str(line).expect("a case")).collect();
    let results = parallel(&cases, |case| judge(case, &corpus));
    let mut tally = Tally::default();
    let mut charts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (case, (verdict, why)) in cases.iter().zip(&results) {
        tally.count(&case.kind, *verdict);
        let (passed, all) = charts.entry(&case.id).or_default();
        *passed += usize::from(*verdict != Verdict::Wrong);
        *all += 1;
        if *verdict == Verdict::Wrong {
            println!("wrong: {}/{}: {why}", case.id, case.case);
        }
    }
    tally.print("chart corpus");
    for (chart, (passed, all)) in &charts {
        println!("    {chart:<60} {passed}/{all}");
    }
    let right = charts.values().filter(|(passed, all)| passed == all).count();
    println!("  {right} of {} charts are wholly right", charts.len());
    assert_eq!(tally.total(Verdict::Wrong), 0, "wrong cases, see above");
}

fn judge(case: &Case, corpus: &Path) -> (Verdict, String) {
    let mut args = Vec::new();
    if let Some(values) = &case.values_file {
        args.extend(["-f".to_owned(), corpus.join(values).to_string_lossy().into_owned()]);
    }
    args.extend(["--include-crds", "--kube-version", "v1.31.0"].map(str::to_owned));
    match (case.ok, template(&corpus.join(&case.archive), "testns", Compat::V4, &args)) {
        (true, Ok(output)) => compare(case, corpus, &output),
        (true, Err(error)) => (Verdict::Wrong, format!("failed: {error}")),
        (false, Ok(_)) => (Verdict::Wrong, "did not fail".to_owned()),
        (false, Err(_)) => (Verdict::OtherError, String::new()),
    }
}

fn compare(case: &Case, corpus: &Path, output: &[u8]) -> (Verdict, String) {
    let path = corpus.join(case.expected.as_ref().expect("an expected output"));
    let mut want = Vec::new();
    GzDecoder::new(fs::File::open(path).expect("the expected output")).read_to_end(&mut want).expect("gzip");
    if output == want {
        return (Verdict::Equal, String::new());
    }
    if case.nondeterministic && case.mask.is_none() {
        return (Verdict::Skipped, String::new());
    }
    let want: Vec<_> = want.split(|byte| *byte == b'\n').collect();
    let got: Vec<_> = output.split(|byte| *byte == b'\n').collect();
    let mask = case.mask.as_deref().unwrap_or_default();
    for (number, (want, got)) in (1..).zip(want.iter().zip(&got)) {
        if want != got && !mask.contains(&number) {
            let (want, got) = (String::from_utf8_lossy(want), String::from_utf8_lossy(got));
            return (Verdict::Wrong, format!("line {number}: want {want:.160?} got {got:.160?}"));
        }
    }
    if want.len() != got.len() {
        return (Verdict::Wrong, format!("{} lines expected, {} printed", want.len(), got.len()));
    }
    (Verdict::Masked, String::new())
}
