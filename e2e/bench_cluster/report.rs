//! What was measured, as JSON and as a table.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::audit::Request;

/// One phase.
#[derive(Serialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Who works: the operator, or the bare client.
    pub who: &'static str,
    /// Releases that it is about.
    pub releases: usize,
    /// From the first request for it until all is done.
    pub wall_seconds: f64,
    /// Processor time of the one that works, in all; none for the bare client, which shares its process with the bench.
    pub cpu_millis: Option<u64>,
    /// Processor time of the API server, in all.
    pub api_server_cpu_millis: u64,
    /// Resident memory when it was done, and the highest since its process began.
    pub rss_kib: Option<u64>,
    /// The highest.
    pub peak_rss_kib: Option<u64>,
    /// Requests by verb and resource, in all; leases apart.
    pub requests: BTreeMap<String, usize>,
    /// Those that could change something.
    pub writes: usize,
    /// Gets, lists and dry runs.
    pub reads: usize,
    /// Watches that began.
    pub watches: usize,
}

impl Phase {
    /// A phase of the bare client.
    pub fn new(name: &str, releases: usize, wall: Duration, api_server_cpu_millis: u64) -> Self {
        Self {
            name: name.to_owned(),
            who: "bare client",
            releases,
            wall_seconds: wall.as_secs_f64(),
            cpu_millis: None,
            api_server_cpu_millis,
            rss_kib: None,
            peak_rss_kib: None,
            requests: BTreeMap::new(),
            writes: 0,
            reads: 0,
            watches: 0,
        }
    }

    /// It was the operator's, which used so much processor time and memory (now, and at its highest).
    pub fn used(&mut self, cpu_millis: u64, (rss_kib, peak_rss_kib): (u64, u64)) {
        self.who = "operator";
        self.cpu_millis = Some(cpu_millis);
        self.rss_kib = Some(rss_kib);
        self.peak_rss_kib = Some(peak_rss_kib);
    }

    /// In one line.
    pub fn line(&self) -> String {
        format!("| {} |", self.row().join(" | "))
    }

    /// Takes down the requests.
    pub fn count(&mut self, requests: &[Request]) {
        for request in requests {
            let dry = if request.uri.contains("dryRun=") { " (dry run)" } else { "" };
            *self.requests.entry(format!("{} {}{dry}", request.verb, request.resource)).or_default() += 1;
        }
        self.writes = requests.iter().filter(|request| request.is_write()).count();
        self.reads = requests.iter().filter(|request| request.is_read()).count();
        self.watches = requests.len() - self.writes - self.reads;
    }

    fn per_release(&self, number: f64) -> String {
        format!("{:.2}", number / self.releases as f64)
    }

    fn row(&self) -> [String; 10] {
        let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
        [
            self.name.clone(),
            self.who.to_owned(),
            self.releases.to_string(),
            format!("{:.2}", self.wall_seconds),
            format!("{:.1}", self.releases as f64 / self.wall_seconds),
            self.per_release(self.writes as f64),
            self.per_release(self.reads as f64),
            shown(self.cpu_millis.map(|cpu| self.per_release(cpu as f64))),
            self.per_release(self.api_server_cpu_millis as f64),
            shown(self.peak_rss_kib.map(mib)),
        ]
    }
}

const HEAD: [&str; 10] = [
    "phase",
    "who",
    "releases",
    "wall s",
    "releases/s",
    "writes each",
    "reads each",
    "CPU ms each",
    "API server CPU ms each",
    "peak RSS MiB",
];

/// A Markdown table of phases.
pub fn table(phases: &[Phase]) -> String {
    let rule = HEAD.map(|_| "---".to_owned());
    let rows = phases.iter().map(Phase::row);
    let lines = [HEAD.map(str::to_owned), rule].into_iter().chain(rows);
    lines.map(|cells| format!("| {} |", cells.join(" | "))).collect::<Vec<_>>().join("\n")
}

/// Where the requests of the operator go, a line for each phase.
pub fn requests(phases: &[Phase]) -> String {
    let line = |phase: &Phase| {
        let each = |count: usize| count as f64 / phase.releases as f64;
        let counts = phase.requests.iter().map(|(what, count)| format!("{:.2} {what}", each(*count)));
        format!("{}, {} releases: {}", phase.name, phase.releases, counts.collect::<Vec<_>>().join(", "))
    };
    phases.iter().filter(|phase| phase.who == "operator").map(line).collect::<Vec<_>>().join("\n")
}
