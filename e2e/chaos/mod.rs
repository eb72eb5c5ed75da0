//! Chaos: one request after the other goes wrong, in each action of a release's life, and the end is always good.
//!
//! ```text
//! e2e chaos [--fast] [--seed=N] [--only=ACTION/FAULT/N] [--write-docs]
//! ```
//!
//! A life without faults tells how many requests each action makes. Then each write of each action is the one at which
//! the operator is killed, before and after it reached the server, whose answer is lost, or which is late; each
//! request, reads included, is refused once with 500 and once with 429; each watch breaks in four ways; and the operator
//! dies at each failpoint. One life tries the same fault in all its actions, which also begins each action with what the
//! fault before left behind.

mod checker;
mod docs;
pub mod fault;
pub mod faultproxy;
mod judge;
mod scenario;
mod stream;
mod trap;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::context::Rig;
use crate::operator;
use crate::output;
use fault::{Counts, Fault, WATCHES};
use scenario::{Action, Case, Lived, Run};

/// Lives at one time: most of the time a life waits.
const CONCURRENCY: usize = 8;
/// The same for the fast form, which stories are told beside.
const FAST_CONCURRENCY: usize = 4;
/// Lives that the fast form draws from what it does not try in any case: of requests, of watches, of failpoints.
const DRAWN: [(&[Counts], usize); 3] =
    [(&[Counts::Writes, Counts::Requests], 3), (&[Counts::Watches], 1), (&[Counts::Points], 1)];
/// Lives of the fast form in which the operator is killed at a write: one life has three actions.
const KILLS: usize = 8;
/// Sets the seed of the fast form where no argument can be given.
const SEED: &str = "PINTLE_CHAOS_SEED";

/// What was asked for.
#[derive(Default)]
pub struct Options {
    fast: bool,
    seed: Option<u64>,
    only: Option<Only>,
    write_docs: bool,
}

impl Options {
    /// Reads the flags.
    pub fn parse(flags: &[String]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        for flag in flags {
            match flag.split_once('=').unwrap_or((flag, "")) {
                ("--fast", _) => options.fast = true,
                ("--write-docs", _) => options.write_docs = true,
                ("--seed", number) => options.seed = Some(number.parse().context("--seed is no number")?),
                ("--only", runs) => options.only = Some(Only::parse(runs)?),
                _ => bail!("chaos has no flag {flag}"),
            }
        }
        let is_all = !options.fast && options.only.is_none();
        ensure!(is_all || !options.write_docs, "the table is that of all runs: leave out --fast and --only");
        Ok(options)
    }

    /// The fast form, with the seed of the environment, if any.
    pub fn fast() -> Self {
        let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        Self { fast: true, seed, ..Self::default() }
    }
}

/// Some runs; what is not given is any.
struct Only {
    action: Option<Action>,
    fault: Option<Fault>,
    nth: Option<usize>,
}

impl Only {
    /// `upgrade/kill-after/7`; `*` stands for any.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let parts: Vec<Option<&str>> = text.split('/').map(|part| Some(part).filter(|p| *p != "*")).collect();
        let [action, fault, nth] = parts.as_slice() else { bail!("{text} is not ACTION/FAULT/N") };
        let action = action.map(|name| Action::ALL.into_iter().find(|one| one.name() == name));
        let fault = fault.map(|name| Fault::ALL.into_iter().find(|one| one.name() == name));
        let nth = nth.map(|number| number.parse().context("N is no number"));
        Ok(Self {
            action: action.map(|found| found.context("there is no such action")).transpose()?,
            fault: fault.map(|found| found.context("there is no such fault")).transpose()?,
            nth: nth.transpose()?,
        })
    }

    /// The runs of a life that are among them.
    fn of(&self, case: Case) -> Option<Case> {
        let rule = case.rule?;
        let is_meant =
            self.fault.is_none_or(|fault| fault == rule.fault) && self.nth.is_none_or(|nth| nth == rule.nth);
        is_meant.then_some(Case { only: self.action, ..case })
    }
}

/// All that came of it.
#[derive(Default)]
pub struct Report {
    /// Runs that ended well, by fault and action.
    passed: BTreeMap<(&'static str, Action), usize>,
    /// Runs that did not, as `--only` takes them, and why.
    failed: Vec<(String, String)>,
    /// The life without faults.
    calm: Vec<Run>,
    /// Questions that helm was asked while actions were under way.
    asked: usize,
    /// How long the lives with each fault took.
    took: BTreeMap<&'static str, Duration>,
}

impl Report {
    /// How many runs ended well.
    pub fn passed(&self) -> usize {
        self.passed.values().sum()
    }

    /// The runs that did not end well; none is success.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let failed: Vec<String> = self.failed.iter().map(|(run, why)| format!("{run}: {why}")).collect();
        ensure!(failed.is_empty(), "{} runs failed:\n{}", failed.len(), failed.join("\n"));
        Ok(())
    }

    fn note(&mut self, case: &Case, run: &Run, log: &str) {
        let Some(rule) = case.rule else { return };
        // An action that makes fewer requests than `nth` was not put to the test, but must have ended well.
        if let (None, Ok(())) = (&run.fired, &run.result) {
            return;
        }
        let name = format!("{}/{}/{}", run.action.name(), rule.fault.name(), rule.nth);
        match &run.result {
            Ok(()) => *self.passed.entry((rule.fault.name(), run.action)).or_default() += 1,
            Err(error) => {
                let at = run.fired.as_deref().unwrap_or("no request");
                output::line(format!("FAILED   {:6.1} s  {name} at {at}", run.took.as_secs_f64()));
                output::indented(&format!("{error:#}\nThe operator's last words:\n{log}"));
                self.failed.push((name, format!("{error:#}")));
            }
        }
    }
}

/// Runs what the options ask for on a control plane of its own, and tells of it.
pub async fn run(options: &Options) -> anyhow::Result<bool> {
    let started = Instant::now();
    let rig = start().await?;
    let report = tokio::select! {
        report = play(&rig, options) => report,
        error = rig.died() => Err(error),
    };
    rig.stop().await?;
    let report = report?;
    let took = started.elapsed();
    if options.write_docs && report.failed.is_empty() {
        docs::write(&report)?;
    }
    for (fault, took) in &report.took {
        let runs: usize = Action::ALL.iter().filter_map(|action| report.passed.get(&(*fault, *action))).sum();
        output::line(format!("{fault}: {runs} runs, {:.0} s", took.as_secs_f64()));
    }
    for (name, why) in &report.failed {
        output::line(format!("failed: {name}: {}", why.lines().next().unwrap_or_default()));
    }
    output::line(format!(
        "{} runs passed, {} failed, helm was asked {} times meanwhile, in {:.0} s",
        report.passed(),
        report.failed.len(),
        report.asked,
        took.as_secs_f64()
    ));
    Ok(report.failed.is_empty())
}

/// A control plane with the CRDs, and no operator.
pub async fn start() -> anyhow::Result<Arc<Rig>> {
    let rig = Rig::start(false).await?;
    operator::install(&rig.cluster, &rig.control_plane).await?;
    Ok(Arc::new(rig))
}

/// Lives all lives that the options ask for.
pub async fn play(rig: &Arc<Rig>, options: &Options) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let Lived { runs: calm, log, .. } = scenario::live(rig, &Case::calm()).await?;
    for run in &calm {
        let writes = run.seen.iter().filter(|seen| seen.is_write()).count();
        output::line(format!(
            "{}: {} requests, {writes} of them writes, in {:.1} s",
            run.action.name(),
            run.seen.len(),
            run.took.as_secs_f64()
        ));
        if let Err(error) = &run.result {
            bail!("{} goes wrong without a fault: {error:#}\n{log}", run.action.name());
        }
    }
    report.calm = calm;
    let cases = if let Some(only) = &options.only {
        all(&report.calm).into_iter().filter_map(|case| only.of(case)).collect()
    } else if options.fast {
        let seed = options.seed.unwrap_or_else(rand::random);
        output::line(format!("chaos: --fast --seed={seed}"));
        fast(&report.calm, seed)
    } else {
        all(&report.calm)
    };
    let at_once = if options.fast { FAST_CONCURRENCY } else { CONCURRENCY };
    live_all(rig, cases, at_once, &mut report).await?;
    Ok(report)
}

async fn live_all(
    rig: &Arc<Rig>,
    cases: Vec<Case>,
    at_once: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut lives = futures::stream::iter(cases)
        .map(|case| async move { (scenario::live(rig, &case).await, case) })
        .buffer_unordered(at_once);
    while let Some((lived, case)) = lives.next().await {
        let lived = lived?;
        report.asked += lived.asked;
        if let Some(rule) = case.rule {
            *report.took.entry(rule.fault.name()).or_default() +=
                lived.runs.iter().map(|run| run.took).sum::<Duration>();
        }
        lived.runs.iter().for_each(|run| report.note(&case, run, &lived.log));
    }
    Ok(())
}

/// The most requests, or writes, that one of the actions makes.
fn most(calm: &[Run], actions: &[Action], writes: bool) -> usize {
    let runs = calm.iter().filter(|run| actions.contains(&run.action));
    runs.map(|run| run.seen.iter().filter(|seen| !writes || seen.is_write()).count())
        .max()
        .unwrap_or_default()
}

/// Every fault at every request that it concerns.
fn all(calm: &[Run]) -> Vec<Case> {
    let of = |fault: Fault| {
        let most = match fault.counts() {
            Counts::Writes => most(calm, &Action::ALL, true),
            Counts::Requests => most(calm, &Action::ALL, false),
            Counts::Watches => WATCHES.len(),
            Counts::Points => fault::points().len(),
        };
        (1..=most).map(move |nth| Case::new(fault, nth))
    };
    let mut cases: Vec<Case> = Fault::ALL.into_iter().flat_map(of).collect();
    // Those that last longest come first, so that no core waits for them in the end.
    cases.sort_by_key(|case| case.rule.is_none_or(|rule| rule.fault.counts() != Counts::Watches));
    cases
}

/// The operator is killed at writes of install, upgrade and remedy that are drawn, before or after them as the seed has
/// it, and a few other lives are drawn.
fn fast(calm: &[Run], seed: u64) -> Vec<Case> {
    const ACTIONS: &[Action] = &[Action::Install, Action::Upgrade, Action::Remedy];
    let mut random = StdRng::seed_from_u64(seed);
    let mut writes: Vec<usize> = (1..=most(calm, ACTIONS, true)).collect();
    writes.shuffle(&mut random);
    let kills: Vec<Case> = writes
        .into_iter()
        .take(KILLS)
        .map(|nth| {
            let fault = if random.random_bool(0.5) { Fault::KillBefore } else { Fault::KillAfter };
            Case { actions: ACTIONS, ..Case::new(fault, nth) }
        })
        .collect();
    let mut drawn = all(calm);
    drawn.shuffle(&mut random);
    let mut cases: Vec<Case> = Vec::new();
    for (kinds, count) in DRAWN {
        let is_meant = |case: &&Case| case.rule.is_some_and(|rule| kinds.contains(&rule.fault.counts()));
        cases.extend(drawn.iter().filter(is_meant).take(count).cloned());
    }
    cases.extend(kills);
    cases
}
