//! Parity: random charts, rendered by us and by the real Helm (`make fuzz-diff`).
//!
//! Every case follows from a number, so a difference is told with the number that repeats it, and cut down to what is
//! needed for it. Not run by a plain `cargo test`: it wants the judge of `e2e/fuzz`, which is Helm in a process that
//! answers many questions.
//!
//! FUZZ_JUDGE names that program and FUZZ_HELM the helm program, which some cases are given to as well. FUZZ_SEED is
//! the number of the first case, FUZZ_CASES how many there are.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test: clippy.toml lets only functions marked #[test] do this"
)]

mod case;
mod functions;
mod judge;
mod random;
mod template;
mod tree;
mod values;

use std::env;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_helm::template::{Template, ValueSources};

use case::Case;
use judge::{Answer, Judge, ask_program};

/// One case in so many is given to the helm program, too.
const SAMPLE: u64 = 50;

/// How often Helm is asked again whether it says the same.
const TRIES: usize = 5;

/// How many of what.
#[derive(Default)]
struct Counts {
    equal: u64,
    same_error: u64,
    other_error: u64,
    sampled: u64,
    explained: u64,
    differences: u64,
}

fn main() -> ExitCode {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let clock =
        || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs() * 1_000_000);
    let cases = number("FUZZ_CASES").unwrap_or(1_000);
    let first = number("FUZZ_SEED").unwrap_or_else(clock);
    let Some(program) = env::var_os("FUZZ_JUDGE").map(PathBuf::from) else {
        eprintln!("FUZZ_JUDGE must name the program of e2e/fuzz; `make fuzz-diff` builds it");
        return ExitCode::FAILURE;
    };
    let helm = env::var_os("FUZZ_HELM").map(PathBuf::from);
    println!("FUZZ_SEED={first} FUZZ_CASES={cases}");
    let next = AtomicU64::new(0);
    let counts = Mutex::new(Counts::default());
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut judge = Judge::start(&program);
                let folder = tempfile::tempdir().expect("a temporary folder");
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= cases {
                        return;
                    }
                    let helm = helm.as_deref().filter(|_| at % SAMPLE == 0);
                    run(first.wrapping_add(at), &mut judge, helm, folder.path(), &counts);
                }
            });
        }
    });
    let counts = counts.into_inner().expect("no worker panicked");
    println!(
        "{cases} cases: {} equal, {} fail with helm's message, {} with another, {} differ, {} differ as explained; {} confirmed by \
         the helm program",
        counts.equal,
        counts.same_error,
        counts.other_error,
        counts.differences,
        counts.explained,
        counts.sampled
    );
    if counts.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(seed: u64, judge: &mut Judge, helm: Option<&Path>, folder: &Path, counts: &Mutex<Counts>) {
    let case = Case::new(seed);
    let args = arguments(&case, folder);
    let (ours, theirs) = answers(&case, judge, folder);
    if let Some(helm) = helm {
        let program = ask_program(helm, folder, &args);
        assert!(
            program == theirs || !is_steady(&case, &theirs, judge, folder),
            "the judge is not like the helm program: FUZZ_SEED={seed}\nhelm:  {}\njudge: {}",
            shown(&program),
            shown(&theirs)
        );
        counts.lock().expect("no worker panicked").sampled += 1;
    }
    let differs = is_difference(&ours, &theirs);
    {
        let mut counts = counts.lock().expect("no worker panicked");
        match (&ours, &theirs) {
            // What it is becomes clear when it is small.
            _ if differs => {}
            (Err(ours), Err(theirs)) if ours != theirs => {
                counts.other_error += 1;
                if env::var_os("FUZZ_ERRORS").is_some() {
                    println!("other error: FUZZ_SEED={seed}\n  helm   {theirs}\n  pintle {ours}");
                }
            }
            (Err(_), Err(_)) => counts.same_error += 1,
            _ => counts.equal += 1,
        }
    }
    if differs {
        if !is_steady(&case, &theirs, judge, folder) {
            counts.lock().expect("no worker panicked").explained += 1;
            println!("explained: FUZZ_SEED={seed}: helm says something else every time");
            return;
        }
        let small = case.minimise(|case| {
            let (ours, theirs) = answers(case, judge, folder);
            is_difference(&ours, &theirs) && is_steady(case, &theirs, judge, folder)
        });
        let (ours, theirs) = answers(&small, judge, folder);
        let mut counts = counts.lock().expect("no worker panicked");
        counts.differences += 1;
        let mut report = format!("\nDIFFERENCE: FUZZ_SEED={seed} FUZZ_CASES=1\n");
        for (path, text) in small.files() {
            report.push_str(&format!("-- {path} --\n{text}\n"));
        }
        for flag in small.flags() {
            report.push_str(&format!("flag: {flag}\n"));
        }
        println!("{report}helm:   {}\npintle: {}", shown(&theirs), shown(&ours));
    }
}

/// Whether outputs differ, or only one fails. Messages may be worded otherwise.
fn is_difference(ours: &Answer, theirs: &Answer) -> bool {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => ours != theirs,
        (Err(_), Err(_)) => false,
        _ => true,
    }
}

/// Whether Helm repeats its answer, which addresses in memory and fractions of a second are not in.
fn is_steady(case: &Case, theirs: &Answer, judge: &mut Judge, folder: &Path) -> bool {
    (0..TRIES).all(|_| answers(case, judge, folder).1 == *theirs)
}

fn arguments(case: &Case, folder: &Path) -> Vec<String> {
    let chart = folder.join("lab").to_string_lossy().into_owned();
    ["rel".to_owned(), chart, "-n=ns".to_owned()].into_iter().chain(case.flags()).collect()
}

/// What we and Helm make of a case.
fn answers(case: &Case, judge: &mut Judge, folder: &Path) -> (Answer, Answer) {
    let root = folder.join("lab");
    case.lay_out(&root).expect("a temporary folder");
    let theirs = judge.ask(&arguments(case, folder));
    (render(case, &root), theirs)
}

fn render(case: &Case, root: &Path) -> Answer {
    let mut template = Template {
        name: Some("rel".to_owned()),
        chart: root.to_string_lossy().into_owned(),
        namespace: Some("ns".to_owned()),
        ..Template::default()
    };
    let mut values = ValueSources::default();
    for flag in case.flags() {
        let (flag, text) = flag.split_once('=').unwrap_or((&flag, ""));
        match flag {
            "--set" => values.set.push(text.to_owned()),
            "--set-string" => values.strings.push(text.to_owned()),
            "--set-json" => values.json.push(text.to_owned()),
            "--set-literal" => values.literals.push(text.to_owned()),
            "--is-upgrade" => template.is_upgrade = true,
            other => panic!("the grammar has no flag {other}"),
        }
    }
    template.values = values;
    let mut out = Vec::new();
    match template.run(&mut out) {
        Ok(()) => Ok(out),
        Err(error) => {
            let text = error.to_string();
            let advice = "\n\nUse --debug flag to render out invalid YAML";
            Err(text.strip_suffix(advice).unwrap_or(&text).to_owned())
        }
    }
}

/// An answer for a human, with what stands in `out: "…"` decoded.
fn shown(answer: &Answer) -> String {
    match answer {
        Err(error) => format!("Error: {error}"),
        Ok(output) => {
            let text = String::from_utf8_lossy(output);
            let lines = text.lines().map(|line| {
                let encoded = line.strip_prefix("out: \"").and_then(|rest| rest.strip_suffix('"'));
                match encoded.and_then(|text| STANDARD.decode(text).ok()) {
                    Some(bytes) => format!("out (decoded): {:?}", String::from_utf8_lossy(&bytes)),
                    None => line.to_owned(),
                }
            });
            lines.collect::<Vec<_>>().join("\n        ")
        }
    }
}

/// A text as a literal of Go.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() || c == '\u{feff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
