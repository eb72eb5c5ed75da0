//! End to end: the operator's binary on a real API server, seen through the real kubectl and helm.
//!
//! One executable with a runner of its own, because it starts processes that all stories share and must end them
//! whatever happens. Stories run concurrently, each in namespaces of its own; none sleeps, all wait on watches with
//! a deadline.
//!
//! ```text
//! e2e [--list] [--keep] [FILTER...]     the stories whose name contains one of the filters; all without one
//! e2e demo [--keep]                     plays the demo
//! e2e chaos [--fast] [--seed=N] ...     lets every request go wrong, one after the other
//! e2e bench-cluster [--releases=N] ...  measures what hundreds of releases cost
//! e2e bench-waiting [--waiting=N] ...   measures what releases that wait cost the others
//! ```

mod audit;
mod bench_cluster;
mod bench_waiting;
mod chaos;
mod chart_server;
mod child;
mod cluster;
mod context;
mod control_plane;
mod demo;
mod operator;
mod output;
mod registry;
mod release;
mod source;
mod stories;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures::{FutureExt, StreamExt};

use context::{Context, Rig, Skipped};
use stories::Story;

/// Stories at one time.
const CONCURRENCY: usize = 4;
/// Until a story must be told.
const STORY_WITHIN: Duration = Duration::from_secs(480);

/// What was typed.
#[derive(Default)]
struct Arguments {
    list: bool,
    keep: bool,
    flags: Vec<String>,
    words: Vec<String>,
}

impl Arguments {
    /// Flags of the usual test harness, which cargo may pass on, are taken and mean nothing here.
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut parsed = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--list" => parsed.list = true,
                "--keep" => parsed.keep = true,
                flag if flag.starts_with('-') => parsed.flags.push(argument),
                _ => parsed.words.push(argument),
            }
        }
        parsed
    }

    fn is_demo(&self) -> bool {
        self.words.first().is_some_and(|word| word == "demo")
    }

    fn is_chaos(&self) -> bool {
        self.words.first().is_some_and(|word| word == "chaos")
    }

    fn is_bench_cluster(&self) -> bool {
        self.words.first().is_some_and(|word| word == "bench-cluster")
    }

    fn is_bench_waiting(&self) -> bool {
        self.words.first().is_some_and(|word| word == "bench-waiting")
    }

    fn stories(&self) -> Vec<&'static Story> {
        let chosen = |story: &&Story| {
            self.words.is_empty() || self.words.iter().any(|word| story.name.contains(word.as_str()))
        };
        stories::ALL.iter().filter(chosen).collect()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse(std::env::args().skip(1));
    if arguments.list {
        stories::ALL.iter().for_each(|story| output::line(format!("{}: test", story.name)));
        return ExitCode::SUCCESS;
    }
    // Two providers are linked in; kube must not have to guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            output::line(format!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for, unless a signal ends it first: children then go with this process.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = play(arguments) => result,
            // What was kept until a signal comes has ended well when it does.
            signal = interrupted() => if arguments.keep { Ok(true) } else { Err(anyhow!("ended by {signal}")) },
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn play(arguments: &Arguments) -> anyhow::Result<bool> {
    if arguments.is_demo() {
        return demo::run(arguments.keep).await.map(|()| true);
    }
    if arguments.is_chaos() {
        return chaos::run(&chaos::Options::parse(&arguments.flags)?).await;
    }
    if arguments.is_bench_cluster() {
        return bench_cluster::run(&bench_cluster::Options::parse(&arguments.flags)?).await.map(|()| true);
    }
    if arguments.is_bench_waiting() {
        return bench_waiting::run(bench_waiting::Options::parse(&arguments.flags)?).await.map(|()| true);
    }
    let stories = arguments.stories();
    let started = Instant::now();
    let rig = Arc::new(Rig::start(stories.iter().any(|story| story.needs_operator)).await?);
    output::line(format!("control plane and operator after {:.1} s", started.elapsed().as_secs_f64()));
    let tally = tokio::select! {
        tally = tell(&rig, &stories) => tally,
        error = rig.died() => return Err(error),
    };
    if arguments.keep {
        output::line(tally.to_string());
        return keep(&rig.control_plane).await;
    }
    let stopped = rig.stop().await;
    if let Err(error) = &stopped {
        output::line(format!("Error: {error:#}"));
    }
    output::line(tally.to_string());
    Ok(tally.failed == 0 && stopped.is_ok())
}

/// How many stories ended how.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

async fn tell(rig: &Arc<Rig>, stories: &[&'static Story]) -> Tally {
    let mut told = futures::stream::iter(stories)
        .map(|story| tell_one(Context::new(Arc::clone(rig), story.name), story))
        .buffer_unordered(CONCURRENCY);
    let mut tally = Tally::default();
    while let Some(one) = told.next().await {
        report(one, &mut tally).await;
    }
    tally
}

/// A story that has ended.
struct Told {
    story: &'static Story,
    context: Context,
    result: anyhow::Result<()>,
    took: Duration,
}

async fn tell_one(context: Context, story: &'static Story) -> Told {
    let started = Instant::now();
    let telling = AssertUnwindSafe((story.run)(&context)).catch_unwind();
    let result = match tokio::time::timeout(STORY_WITHIN, telling).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(anyhow!("panicked: {}", words(panic.as_ref()))),
        Err(_) => Err(anyhow!("not told after {STORY_WITHIN:?}")),
    };
    Told { story, context, result, took: started.elapsed() }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

async fn report(told: Told, tally: &mut Tally) {
    let took = format!("{:6.1} s", told.took.as_secs_f64());
    let name = told.story.name;
    match &told.result {
        Ok(()) => {
            tally.passed += 1;
            output::line(format!("ok       {took}  {name}"));
        }
        Err(error) if error.is::<Skipped>() => {
            tally.skipped += 1;
            output::line(format!("skipped  {took}  {name}: {error}"));
        }
        Err(error) => {
            tally.failed += 1;
            output::line(format!("FAILED   {took}  {name}: {error:#}"));
            told.context.print_failure().await;
        }
    }
    told.context.notes().iter().for_each(|note| output::line(format!("         {name}: {note}")));
    if let Err(error) = told.context.clean().await {
        output::line(format!("         {name}: failed to clean up: {error:#}"));
    }
}

/// Tells how to reach the cluster, and leaves it there until a signal comes.
async fn keep<T>(control_plane: &control_plane::ControlPlane) -> T {
    output::line(format!("export KUBECONFIG={}", control_plane.admin_kubeconfig().display()));
    output::line("The cluster stays until Ctrl-C.");
    std::future::pending().await
}

/// The signal that asks this process to end.
async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
