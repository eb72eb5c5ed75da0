//! The cases of `engine-cases.jsonl`: one template each, in a chart called `lab`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_helm::Compat;
use serde::Deserialize;

use crate::Verdict;
use crate::run::{Tally, parallel, shared, template, write};

/// How many cases may differ, and how many failures may be worded otherwise than helm's.
const MOST_WRONG_V4: usize = 0;
const MOST_OTHER_ERRORS_V4: usize = 0;
const MOST_WRONG_V3: usize = 0;
const MOST_OTHER_ERRORS_V3: usize = 0;

const CHART: &str =
    "apiVersion: v2\nname: lab\nversion: 0.1.0\nappVersion: \"1.2.3\"\ndescription: test lab\n";

/// Renders `_case.tpl` into a text that survives the manifest's trimming.
const WRAPPER: &str = "out: \"{{ include \"lab/templates/_case.tpl\" . | b64enc }}\"\n";

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    #[serde(default)]
    values: Option<serde_json::Value>,
    #[serde(default)]
    values_yaml: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    chart_yaml: Option<String>,
    #[serde(default)]
    direct: bool,
    #[serde(default)]
    nondeterministic: bool,
    helm3: Expected,
    #[serde(default)]
    helm4: Option<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    ok: bool,
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    output_b64: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

impl Expected {
    fn bytes(&self) -> Vec<u8> {
        match (&self.output, &self.output_b64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).expect("base64"),
            (None, None) => Vec::new(),
        }
    }
}

#[test]
fn cases_of_the_template_language() {
    run_all(Compat::V4, MOST_WRONG_V4, MOST_OTHER_ERRORS_V4);
}

#[test]
fn cases_of_the_template_language_as_helm_3() {
    run_all(Compat::V3, MOST_WRONG_V3, MOST_OTHER_ERRORS_V3);
}

fn run_all(compat: Compat, most_wrong: usize, most_other_errors: usize) {
    let Some(shared) = shared() else {
        println!("SKIPPED: the engine cases are not here; set PINTLE_SHARED to their folder");
        return;
    };
    let text = fs::read_to_string(shared.join("engine-cases.jsonl")).expect("engine-cases.jsonl");
    let cases: Vec<Case> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a case"))
        .filter(|case: &Case| !case.nondeterministic)
        .collect();
    let side = shared.join("engine-cases-side");
    let results = parallel(&cases, |case| judge(case, &side, compat));
    let mut tally = Tally::default();
    for (case, (verdict, why)) in cases.iter().zip(&results) {
        tally.count(case.name.split(['.', '-']).next().unwrap_or_default(), *verdict);
        if matches!(verdict, Verdict::Wrong | Verdict::OtherError) {
            println!("{verdict}: {}: {why}", case.name);
        }
    }
    tally.print(&format!("engine cases as helm {compat}"));
    println!("  {} wrong, {} other errors", tally.total(Verdict::Wrong), tally.total(Verdict::OtherError));
    assert!(tally.total(Verdict::Wrong) <= most_wrong, "more wrong cases than before, see above");
    assert!(tally.total(Verdict::OtherError) <= most_other_errors, "more messages differ than before");
}

fn judge(case: &Case, side: &Path, compat: Compat) -> (Verdict, String) {
    let want = match (compat, &case.helm4) {
        (Compat::V4, Some(helm4)) => helm4,
        _ => &case.helm3,
    };
    match (want.ok, run(case, side, compat)) {
        (true, Ok(output)) if output == want.bytes() => (Verdict::Equal, String::new()),
        (true, Ok(output)) => {
            let shown = |bytes: &[u8]| format!("{:.300?}", String::from_utf8_lossy(bytes));
            (Verdict::Wrong, format!("\n  want {}\n  got  {}", shown(&want.bytes()), shown(&output)))
        }
        (false, Err(error)) if Some(&error) == want.error.as_ref() => (Verdict::SameError, String::new()),
        (false, Err(error)) => (
            Verdict::OtherError,
            format!("\n  want {:?}\n  got  {error:?}", want.error.as_deref().unwrap_or_default()),
        ),
        (true, Err(error)) => (Verdict::Wrong, format!("failed: {error}")),
        (false, Ok(_)) => (Verdict::Wrong, "did not fail".to_owned()),
    }
}

/// Runs the wrapped template and, when that fails or the case asks for it, the template alone.
fn run(case: &Case, side: &Path, compat: Compat) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if !case.direct {
        let root = lay_out(case, &folder.path().join("a/lab"), true);
        let encoded =
            template(&root, "ns", compat, &arguments(case, &root, side)).ok().and_then(|out| encoded(&out));
        if let Some(out) = encoded {
            return Ok(without(&out, b"<no value>"));
        }
    }
    let root = lay_out(case, &folder.path().join("b/lab"), false);
    template(&root, "ns", compat, &arguments(case, &root, side)).map_err(|error| {
        error.replace(&*root.to_string_lossy(), "{CHART}").replace(&*side.to_string_lossy(), "{DIR}")
    })
}

fn arguments(case: &Case, root: &Path, side: &Path) -> Vec<String> {
    let fill = |arg: &String| {
        arg.replace("{CHART}", &root.to_string_lossy()).replace("{DIR}", &side.to_string_lossy())
    };
    case.args.iter().map(fill).collect()
}

fn lay_out(case: &Case, root: &Path, wrapped: bool) -> PathBuf {
    write(root, "Chart.yaml", case.chart_yaml.as_deref().unwrap_or(CHART).as_bytes());
    let values = match (&case.values_yaml, &case.values) {
        (Some(text), _) => text.clone(),
        (None, Some(values)) => values_text(values),
        (None, None) => "{}".to_owned(),
    };
    write(root, "values.yaml", values.as_bytes());
    for (path, data) in &case.files {
        write(root, path, data.as_bytes());
    }
    if wrapped {
        write(root, "templates/_case.tpl", case.template.as_bytes());
        write(root, "templates/zz.yaml", WRAPPER.as_bytes());
    } else {
        write(root, "templates/case.yaml", case.template.as_bytes());
    }
    root.to_owned()
}

/// JSON is YAML, but for characters that YAML wants escaped.
fn values_text(values: &serde_json::Value) -> String {
    let mut text = String::new();
    for c in values.to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{feff}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

/// What stands in the line `out: "…"`.
fn encoded(output: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(output).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("out: \"")?.strip_suffix('"'))?;
    STANDARD.decode(line).ok()
}

fn without(text: &[u8], word: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(word) {
            Some(after) => rest = after,
            None => {
                kept.push(*first);
                rest = tail;
            }
        }
    }
    kept
}
