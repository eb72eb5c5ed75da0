//! Writes docs/faults.md: what was tried, and how many runs it took.

use std::path::Path;

use anyhow::Context as _;

use super::Report;
use super::faultproxy::{Fault, Seen};
use super::scenario::Action;

const HEAD: &str = "\
# Faults

Written by `make faults`: `e2e chaos --write-docs` writes this page when all runs have passed, and only then.

A release is installed, upgraded, rolled back and removed. It has a hook at each of these, a definition in `crds/` and
an object of it, a Deployment that is waited for, a Secret, and an object that the upgrade removes. Between the operator
and the API server stands a proxy that lets one request of each action go wrong:

| Fault | What happens | Tried at |
|---|---|---|
| kill-before | the operator is killed (SIGKILL) before the request reaches the server | each write |
| kill-after | the request is carried out and the operator killed before it has the answer | each write |
| answer-lost | the request is carried out and the connection cut before the answer | each write |
| delay | the request reaches the server 1.5 s late | each write |
| status-500 | the server refuses it with 500 | each request |
| status-429 | the server refuses it with 429 and asks to wait for a second | each request |
| outage | the server refuses it and the five after it with 503 | each request |

After each run this must hold:

- **I1** the release is ready in its present generation, or gone;
- **I2** each action made one revision, numbered without a gap, and only the newest is deployed;
- **I3** no revision is pending or being uninstalled;
- **I4** the objects of the release are those of its newest manifest; what was no object of it is untouched;
- **I5** the revision to roll back to is in storage;
- **I6** the real helm lists the release, and reads its status, history and manifest;
- **I7** the status says what storage says, and what is ready writes nothing but its status any more;
- **I8** a secret of the values stands in no status, event, log line or description;
- **I9** the hook has run once.

One run again: `cargo test --test e2e -- chaos --only=upgrade/kill-after/7`.

";

/// Writes the page.
pub fn write(report: &Report) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    std::fs::write(&path, page(report)).with_context(|| format!("failed to write {}", path.display()))
}

fn page(report: &Report) -> String {
    let mut page = String::from(HEAD);
    page.push_str(&format!("## Runs that passed: {}\n\n", report.passed()));
    page.push_str("| Fault | install | upgrade | rollback | uninstall |\n|---|---|---|---|---|\n");
    for fault in Fault::ALL {
        let count = |action| report.passed.get(&(fault.name(), action)).copied().unwrap_or_default();
        let counts: Vec<String> = Action::ALL.into_iter().map(|action| count(action).to_string()).collect();
        page.push_str(&format!("| {} | {} |\n", fault.name(), counts.join(" | ")));
    }
    page.push_str("\n## The writes of each action\n");
    for run in &report.calm {
        page.push_str(&format!(
            "\n### {}\n\n{} requests; the writes among them:\n\n",
            run.action.name(),
            run.seen.len()
        ));
        for (at, seen) in run.seen.iter().filter(|seen| seen.is_write()).enumerate() {
            page.push_str(&format!("{}. {}\n", at + 1, words(seen)));
        }
    }
    page
}

/// A request without what differs from run to run: `PATCH deployments/life-main`.
fn words(seen: &Seen) -> String {
    let segments: Vec<&str> = seen.path().split('/').collect();
    let object = match segments.iter().position(|segment| *segment == "namespaces") {
        Some(at) => segments.get(at + 2..).unwrap_or_default().join("/"),
        None => "customresourcedefinitions".to_owned(),
    };
    format!("{} {object}", seen.method)
}
