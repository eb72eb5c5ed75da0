//! Measures what releases that wait cost the others: how long healthy ones take to become ready alone, beside a crowd
//! that waits for pods which never come, and beside one that arrives at the same moment.
//!
//! Each setting has a control plane and an operator of its own. All on one machine: the crowd's objects load the API
//! server and the controllers, too, not only the operator.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::{StreamExt, TryStreamExt, pin_mut, stream};
use serde_json::{Value, json};

use crate::chart_server::ChartServer;
use crate::cluster::{Kind, condition, text};
use crate::context::{Context, Rig};
use crate::output;
use crate::release;
use crate::stories::waiting::{CHART, charts, is_waiting};

/// Until all releases of a batch must be where they are to come.
const WITHIN: Duration = Duration::from_secs(600);
/// Releases that are created at the same time.
const CREATED_AT_ONCE: usize = 8;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    waiting: usize,
    healthy: usize,
    rounds: usize,
    json: bool,
}

impl Options {
    /// Reads the flags.
    pub fn parse(flags: &[String]) -> anyhow::Result<Self> {
        let mut options = Self { waiting: 200, healthy: 50, rounds: 3, json: false };
        for flag in flags {
            let number = |text: &str| text.parse().with_context(|| format!("{flag}: no number"));
            match flag.split_once('=') {
                Some(("--waiting", value)) => options.waiting = number(value)?,
                Some(("--healthy", value)) => options.healthy = number(value)?,
                Some(("--rounds", value)) => options.rounds = number(value)?,
                None if flag == "--json" => options.json = true,
                _ => anyhow::bail!(
                    "unknown flag {flag}; there are --waiting=N, --healthy=N, --rounds=N and --json"
                ),
            }
        }
        Ok(options)
    }
}

/// What stands beside the healthy releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// A crowd whose objects are applied, and that waits.
    Waiting,
    /// A crowd that is created in the same moment, in a namespace of its own.
    Arriving,
}

impl Beside {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "alone",
            Self::Waiting => "beside those that wait",
            Self::Arriving => "beside as many that arrive",
        }
    }
}

/// Measures all settings, and prints them.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut results = Vec::new();
    for beside in [Beside::Nothing, Beside::Waiting, Beside::Arriving] {
        let mut times = measure(options, beside).await.context(beside.name())?;
        times.sort();
        output::line(format!("{:<28} {}", beside.name(), line(&times)));
        results.push(json!({
            "setting": beside.name(), "releases": times.len(), "median_ms": at(&times, 50).as_millis(),
            "p99_ms": at(&times, 99).as_millis(), "max_ms": at(&times, 100).as_millis(),
        }));
    }
    if options.json {
        let report = json!({"waiting": options.waiting, "healthy": options.healthy, "rounds": options.rounds, "results": results});
        output::line(format!("{report:#}"));
    }
    Ok(())
}

fn line(times: &[Duration]) -> String {
    let ms = |percent| at(times, percent).as_millis();
    format!("{} releases: median {} ms, p99 {} ms, longest {} ms", times.len(), ms(50), ms(99), ms(100))
}

/// The time within which so many percent of the sorted ones were.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

async fn measure(options: Options, beside: Beside) -> anyhow::Result<Vec<Duration>> {
    let rig = std::sync::Arc::new(Rig::start(true).await?);
    let cx = Context::new(std::sync::Arc::clone(&rig), "bench");
    let server = charts()?.serve().await?;
    let measured = settle(&cx, &server, options, beside).await;
    rig.stop().await?;
    measured
}

async fn settle(
    cx: &Context,
    server: &ChartServer,
    options: Options,
    beside: Beside,
) -> anyhow::Result<Vec<Duration>> {
    // One that nobody counts: the first release of a process reads what the server serves.
    healthy(cx, server, 1).await?;
    let mut times = Vec::new();
    match beside {
        Beside::Nothing | Beside::Waiting => {
            if beside == Beside::Waiting {
                let namespace = crowd(cx, server, options.waiting).await?;
                reached(cx, &namespace, options.waiting, is_waiting).await?;
            }
            for _ in 0..options.rounds {
                times.extend(healthy(cx, server, options.healthy).await?);
            }
        }
        Beside::Arriving => {
            let (_, measured) =
                futures::try_join!(crowd(cx, server, options.waiting), healthy(cx, server, options.healthy))?;
            times = measured;
        }
    }
    Ok(times)
}

/// Creates releases that wait for pods which never come.
async fn crowd(cx: &Context, server: &ChartServer, number: usize) -> anyhow::Result<String> {
    let namespace = cx.namespace().await?;
    release::repository(cx, &namespace, server).await?;
    create(cx, &namespace, number, json!({"fate": "pending"})).await?;
    Ok(namespace)
}

/// Creates healthy releases; how long each took from then until it was ready.
async fn healthy(cx: &Context, server: &ChartServer, number: usize) -> anyhow::Result<Vec<Duration>> {
    let namespace = cx.namespace().await?;
    release::repository(cx, &namespace, server).await?;
    let is_ready = |object: Option<&Value>| {
        object.and_then(|o| condition(o, "Ready")).is_some_and(|ready| ready["status"] == "True")
    };
    let ready = reached(cx, &namespace, number, is_ready);
    let (created, ready) = futures::try_join!(create(cx, &namespace, number, json!({})), ready)?;
    let took = |(name, at): (String, Instant)| Some(at.duration_since(*created.get(&name)?));
    Ok(ready.into_iter().filter_map(took).collect())
}

/// Creates so many releases; when each one was asked for.
async fn create(
    cx: &Context,
    namespace: &str,
    number: usize,
    values: Value,
) -> anyhow::Result<HashMap<String, Instant>> {
    let one = async |number: usize| {
        let name = format!("app-{number}");
        let object = json!({
            "apiVersion": "pintle.dev/v1alpha1", "kind": "HelmRelease",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "chart": {"repository": {"name": release::REPOSITORY}, "name": CHART}, "values": values, "timeout": "1h",
            },
        });
        let asked = Instant::now();
        cx.objects().create(Kind::HELM_RELEASE, object).await?;
        anyhow::Ok((name, asked))
    };
    stream::iter(0..number).map(one).buffer_unordered(CREATED_AT_ONCE).try_collect().await
}

/// Waits until so many releases of a namespace are as `wanted` says; when each of them came to be so.
async fn reached(
    cx: &Context,
    namespace: &str,
    number: usize,
    wanted: impl Fn(Option<&Value>) -> bool,
) -> anyhow::Result<HashMap<String, Instant>> {
    let changes = cx.objects().changes(Kind::HELM_RELEASE, namespace);
    pin_mut!(changes);
    let mut found = HashMap::new();
    let all = async {
        while found.len() < number {
            let object = changes.try_next().await?.context("the watch ended")?;
            if wanted(Some(&object)) {
                found.entry(text(&object, "/metadata/name")).or_insert_with(Instant::now);
            }
        }
        anyhow::Ok(())
    };
    let done = tokio::time::timeout(WITHIN, all).await;
    ensure!(
        done.is_ok(),
        "only {} of {number} releases of {namespace} came so far in {WITHIN:?}",
        found.len()
    );
    done??;
    Ok(found)
}
