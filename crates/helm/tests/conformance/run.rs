//! Runs `template` in process with the arguments of the command line, many at a time, and counts verdicts.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use pintle_helm::Compat;
use pintle_helm::template::{Template, ValueSources};

use crate::Verdict;

/// Where the shared collections are, when they are there.
pub fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("PINTLE_SHARED").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// What `helm template rel CHART -n NAMESPACE ARGS` prints, or the text after its `Error: `.
pub fn template(chart: &Path, namespace: &str, compat: Compat, args: &[String]) -> Result<Vec<u8>, String> {
    let template = Template { compat, ..with_args(chart, namespace, args)? };
    let mut out = Vec::new();
    match template.run(&mut out) {
        Ok(()) => Ok(out),
        Err(error) => {
            let text = error.to_string();
            let advice = "\n\nUse --debug flag to render out invalid YAML";
            Err(text.strip_suffix(advice).unwrap_or(&text).trim_end_matches('\n').to_owned())
        }
    }
}

/// The flags of the cases; the command line reads them with clap.
fn with_args(chart: &Path, namespace: &str, args: &[String]) -> Result<Template, String> {
    let mut template = Template {
        name: Some("rel".to_owned()),
        chart: chart.to_string_lossy().into_owned(),
        namespace: Some(namespace.to_owned()),
        ..Template::default()
    };
    let mut values = ValueSources::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (flag, inline) = match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value =
            || inline.clone().or_else(|| args.next().cloned()).ok_or(format!("{flag} needs a value"));
        let list = |text: String| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match flag {
            "-f" | "--values" => values.files.extend(list(value()?)),
            "--set" => values.set.push(value()?),
            "--set-string" => values.strings.push(value()?),
            "--set-json" => values.json.push(value()?),
            "--set-file" => values.from_files.push(value()?),
            "--set-literal" => values.literals.push(value()?),
            "-s" | "--show-only" => template.show_only.push(value()?),
            "--kube-version" => template.kube_version = Some(value()?),
            "-a" | "--api-versions" => template.api_versions.extend(list(value()?)),
            "--include-crds" => template.include_crds = true,
            "--skip-crds" => {}
            "--no-hooks" => template.no_hooks = true,
            "--skip-tests" => template.skip_tests = true,
            "--is-upgrade" => template.is_upgrade = true,
            "--skip-schema-validation" => template.skip_schema_validation = true,
            "--name-template" => template.name_template = Some(value()?),
            _ => return Err(format!("unknown flag: {flag}")),
        }
    }
    template.values = values;
    Ok(template)
}

/// Applies `run` to all items on as many threads as there are processors; results are in the order of the items.
pub fn parallel<T: Sync, R: Send>(items: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(at) else { return done };
                done.push((at, run(item)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker panicked")).collect()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Writes a chart's files below `root`.
pub fn write(root: &Path, path: &str, data: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a temporary folder");
    std::fs::write(path, data).expect("a temporary file");
}

/// Verdicts by family.
#[derive(Default)]
pub struct Tally(BTreeMap<String, BTreeMap<Verdict, usize>>);

impl Tally {
    pub fn count(&mut self, family: &str, verdict: Verdict) {
        *self.0.entry(family.to_owned()).or_default().entry(verdict).or_default() += 1;
    }

    pub fn total(&self, verdict: Verdict) -> usize {
        self.0.values().filter_map(|counts| counts.get(&verdict)).sum()
    }

    /// A line a family: passed of all, and what the rest is.
    pub fn print(&self, title: &str) {
        println!("{title}");
        for (family, counts) in &self.0 {
            let all: usize = counts.values().sum();
            let passed = all - counts.get(&Verdict::Wrong).copied().unwrap_or_default();
            let parts: Vec<_> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
            println!("  {family:<14} {passed}/{all}: {}", parts.join(", "));
        }
    }
}
