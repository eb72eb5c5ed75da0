//! The project's own cases: `cases/TOPIC/BEHAVIOUR.txt`, beside it what helm prints (`.out`) or says (`.err`).
//!
//! A case is a few words, then files, each after a line `-- PATH --`. The file `args` holds flags, one a line. A
//! file `Chart.yaml` may be left out. The cases of the topic `helm3` are rendered in Helm 3's way. `tests/golden` reads
//! the same form.

use std::fs;
use std::path::{Path, PathBuf};

use pintle_helm::Compat;

use crate::Verdict;
use crate::run::{Tally, parallel, template, write};

const CHART: &str = "apiVersion: v2\nname: lab\nversion: 0.1.0\nappVersion: \"1.2.3\"\n";

#[test]
fn own_cases() {
    let cases = cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"));
    assert!(cases.len() >= 40, "only {} cases found", cases.len());
    let mut tally = Tally::default();
    for (case, (verdict, why)) in cases.iter().zip(parallel(&cases, |case| judge(case))) {
        let topic =
            case.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        tally.count(&topic, verdict);
        if verdict == Verdict::Wrong {
            println!("wrong: {}: {why}", case.display());
        }
    }
    tally.print("own cases");
    assert_eq!(tally.total(Verdict::Wrong), 0, "wrong cases, see above");
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for topic in fs::read_dir(folder).expect("the cases") {
        for case in fs::read_dir(topic.expect("a topic").path()).expect("a topic") {
            let path = case.expect("a case").path();
            if path.extension().is_some_and(|extension| extension == "txt") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn judge(case: &Path) -> (Verdict, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("lab");
    write(&root, "Chart.yaml", CHART.as_bytes());
    let mut args = Vec::new();
    for (path, data) in files(&fs::read_to_string(case).expect("a case")) {
        if path == "args" {
            args = data.lines().map(|arg| arg.replace("{CHART}", &root.to_string_lossy())).collect();
        } else {
            write(&root, path, data.as_bytes());
        }
    }
    let (out, err) = (case.with_extension("out"), case.with_extension("err"));
    let text = |path: &Path| fs::read_to_string(path).expect("what helm printed");
    let helm3 = case.parent().is_some_and(|topic| topic.ends_with("helm3"));
    match template(&root, "ns", if helm3 { Compat::V3 } else { Compat::V4 }, &args) {
        Ok(output) if !out.exists() => {
            (Verdict::Wrong, format!("did not fail: {:?}", String::from_utf8_lossy(&output)))
        }
        Ok(output) if output == text(&out).as_bytes() => (Verdict::Equal, String::new()),
        Ok(output) => {
            (Verdict::Wrong, format!("want {:?}\n got {:?}", text(&out), String::from_utf8_lossy(&output)))
        }
        Err(error) if !err.exists() => (Verdict::Wrong, format!("failed: {error}")),
        Err(error) => {
            let error = error.replace(&*root.to_string_lossy(), "{CHART}");
            let want = text(&err);
            if error == want.trim_end_matches('\n') {
                (Verdict::SameError, String::new())
            } else {
                (Verdict::Wrong, format!("want {want:?}\n got {error:?}"))
            }
        }
    }
}

/// The files of a case, in order.
fn files(text: &str) -> Vec<(&str, &str)> {
    let name = |line: &str| -> Option<usize> {
        let line = line.trim_end_matches('\n');
        (line.starts_with("-- ") && line.ends_with(" --") && line.len() > 6).then_some(line.len())
    };
    let mut files: Vec<(&str, usize, usize)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if let Some(length) = name(line) {
            files.push((&line[3..length - 3], end, end));
        } else if let Some(last) = files.last_mut() {
            last.2 = end;
        }
        at = end;
    }
    files.into_iter().map(|(path, start, end)| (path, &text[start..end])).collect()
}
