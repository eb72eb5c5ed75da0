//! Writes docs/faults.md: what was tried, and how many runs it took.

use std::path::Path;

use anyhow::Context as _;

use super::Report;
use super::fault::{self, Counts, Fault, WATCHES};
use super::faultproxy::Seen;
use super::scenario::Action;

const HEAD: &str = "\
# Faults

Written by `make faults`: `e2e chaos --write-docs` writes this page when all runs have passed, and only then.

A release is installed, upgraded, upgraded to a chart that fails and put right by a rollback (remedy), rolled back by its
spec, and removed. It has a hook at each of these, a test of each revision, a definition in `crds/` and an object of it, a
Deployment that is waited for, a Secret, an object that the upgrade removes, one that is made anew, and one that only the
chart has that fails. Between the operator and the API server stands a proxy that lets one thing of each action go wrong:

";

const REST: &str = "
A watch goes wrong at its first event of the action, which is lost by it. With these faults the operator's watches last
for 2 s instead of 200 (`PINTLE_WATCH_SECONDS`), so that a silent one is given up after 7 s. A failpoint is a place in the
operator's code, between two writes, at which a debug build aborts when it is told to (`PINTLE_FAILPOINT`).

After each run this must hold:

- **I1** the release is ready in its present generation, or gone, or after the remedy says which failure was put right;
- **I2** each action made one revision, the remedy two, numbered without a gap, and only the newest is deployed;
- **I3** no revision is pending or being uninstalled;
- **I4** the objects of the release are those of its newest manifest; what was no object of it is untouched;
- **I5** the revision to roll back to is in storage;
- **I6** the real helm 4 lists the release, and reads its status, history and manifest;
- **I7** the status says what storage says, and what is ready writes nothing but its status any more;
- **I8** a secret of the values stands in no status, event, log line or description (the operator serves no metrics);
- **I9** the hook has run once for each revision, and the test once for each that was not put right.

I6 must hold at any instant, too. Each time that the operator was killed, helm 4 or helm 3, in turn from run to run, does
`list`, `status`, `history`, `get manifest` and `get values` before the operator is started again, so that every state
between two writes is read. In all other runs one of the two asks one of these questions now and then while the action
is under way. Two refusals are allowed, and those only during install and uninstall: `release: not found`, and that
`helm status` asks for the definitions of `crds/`, which an install creates next after the record.

What is tried elsewhere: the API server itself is killed and started again while fifty releases are upgraded (story
`restarts`); an operator is stopped (SIGSTOP) for longer than its Lease while another one takes over (`leadership`, I11);
an operator is asked to end in the middle of an install (`interrupt`, I3). Not tried yet: I10, that a poisoned release
does not hold up others, and I12, that memory, connections and requests stay within bounds.

One run again: `cargo test --test e2e -- chaos --only=upgrade/kill-after/7`; `*` stands for any part. The fast form,
`--fast --seed=N`, prints its seed; `PINTLE_CHAOS_SEED` sets it for the story `chaos`.

";

/// Writes the page.
pub fn write(report: &Report) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    std::fs::write(&path, page(report)).with_context(|| format!("failed to write {}", path.display()))
}

fn page(report: &Report) -> String {
    let mut page = String::from(HEAD);
    page.push_str("| Fault | What happens | Tried at |\n|---|---|---|\n");
    for fault in Fault::ALL {
        let place = match fault.counts() {
            Counts::Writes => "each write",
            Counts::Requests => "each request",
            Counts::Watches => "each watch",
            Counts::Points => "each failpoint",
        };
        page.push_str(&format!("| {} | {} | {place} |\n", fault.name(), fault.words()));
    }
    page.push_str(REST);
    page.push_str(&format!("## Runs that passed: {}\n\n", report.passed()));
    page.push_str(&format!("Helm was asked {} times while they were under way.\n\n", report.asked));
    let names = Action::ALL.map(Action::name).join(" | ");
    page.push_str(&format!("| Fault | {names} |\n|---|{}\n", "---|".repeat(Action::ALL.len())));
    for fault in Fault::ALL {
        let count = |action| report.passed.get(&(fault.name(), action)).copied().unwrap_or_default();
        let counts: Vec<String> = Action::ALL.into_iter().map(|action| count(action).to_string()).collect();
        page.push_str(&format!("| {} | {} |\n", fault.name(), counts.join(" | ")));
    }
    page.push_str("\n## The watches\n\n");
    for (at, (plural, selector)) in WATCHES.into_iter().enumerate() {
        page.push_str(&format!("{}. {plural} {selector}\n", at + 1).replace(" \n", "\n"));
    }
    page.push_str("\n## The failpoints\n\n");
    for (at, (point, times)) in fault::points().into_iter().enumerate() {
        page.push_str(
            &format!("{}. {}, reached {times} times\n", at + 1, point.name()).replace("1 times", "once"),
        );
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
