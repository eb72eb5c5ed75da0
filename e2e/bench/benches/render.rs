//! In process: what loading and rendering a chart takes, in CPU time, beside Helm's own library.
//!
//! `PINTLE_BENCH_SDK` names the program of `e2e/bench/sdk`; without it there are no ratios.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use anyhow::Context as _;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, Criterion};
use mimalloc::MiMalloc;
use pintle_bench::{BenchChart, charts, cpu_time};
use pintle_helm::chart::{Chart, Limits, load_archive};
use pintle_helm::render::{
    Capabilities, KubeVersion, Lookup, NoCluster, ReleaseFacts, RenderOptions, render,
};
use pintle_helm::values::{CoalesceOptions, Values, coalesce};
use serde::Deserialize;

/// As the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long Helm's library is measured at each step.
const SDK_SECONDS: &str = "3";

fn main() -> anyhow::Result<()> {
    let charts = charts();
    let results = tempfile::tempdir()?;
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime(WallTime))
        .without_plots()
        .output_directory(results.path())
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    let mut sizes = BTreeMap::new();
    for chart in &charts {
        let archive = fs::read(&chart.archive)?;
        let manifest =
            load_and_render(&archive).with_context(|| format!("failed to render {}", chart.name))?;
        sizes.insert(chart.name, manifest.len());
        bench(&mut criterion.benchmark_group(chart.name), &archive)?;
    }
    criterion.final_summary();
    print_table(&charts, &sizes, results.path())
}

fn bench(group: &mut BenchmarkGroup<'_, CpuTime>, archive: &[u8]) -> anyhow::Result<()> {
    group.bench_function("load", |bencher| {
        bencher.iter(|| load_archive(black_box(archive), &Limits::default()))
    });
    group.bench_function("load_render", |bencher| bencher.iter(|| load_and_render(black_box(archive))));
    let chart = Arc::new(load_archive(archive, &Limits::default())?);
    let mut turn = 0_u64;
    group.bench_function("render_again", |bencher| {
        bencher.iter(|| {
            turn += 1;
            let values = serde_json::json!({ "global": { "turn": turn } });
            manifest(&chart, Values::from_json(&values)?)
        });
    });
    Ok(())
}

/// From an archive's bytes to a manifest's text, with nothing kept from an earlier run.
fn load_and_render(archive: &[u8]) -> anyhow::Result<String> {
    manifest(&Arc::new(load_archive(archive, &Limits::default())?), Values::default())
}

fn manifest(chart: &Arc<Chart>, values: Values) -> anyhow::Result<String> {
    let coalesced = coalesce(chart, [values], CoalesceOptions::default())?;
    let facts = ReleaseFacts {
        name: "bench".to_owned(),
        namespace: "default".to_owned(),
        revision: 1,
        is_upgrade: false,
    };
    let capabilities =
        Capabilities { kube_version: KubeVersion::parse("v1.31.0")?, ..Capabilities::default() };
    let lookup: Arc<dyn Lookup> = Arc::new(NoCluster);
    let options = RenderOptions::default();
    let manifest = render(&coalesced.chart, &coalesced.values, &facts, &capabilities, &lookup, &options)?;
    let mut text = manifest.to_text();
    for hook in &manifest.hooks {
        text.push_str(&format!("---\n# Source: {}\n{}\n", hook.path, hook.text));
    }
    Ok(text)
}

/// What Helm's library took; times are in microseconds.
#[derive(Deserialize)]
struct SdkRow {
    sdk: String,
    version: String,
    manifest_bytes: usize,
    load_us: f64,
    load_render_us: f64,
}

fn sdk_rows(chart: &BenchChart) -> anyhow::Result<Vec<SdkRow>> {
    let Some(program) = env::var_os("PINTLE_BENCH_SDK") else { return Ok(Vec::new()) };
    let output = Command::new(&program)
        .arg(SDK_SECONDS)
        .arg(&chart.archive)
        .output()
        .with_context(|| format!("failed to run {}", program.display()))?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    rows.collect::<Result<_, _>>().context("failed to read what the judge measured")
}

/// The median of a benchmark, in microseconds.
fn median(results: &Path, chart: &str, step: &str) -> anyhow::Result<f64> {
    let path = results.join(chart).join(step).join("new/estimates.json");
    let text = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let estimates: serde_json::Value = serde_json::from_slice(&text)?;
    let nanoseconds = estimates.pointer("/median/point_estimate").and_then(serde_json::Value::as_f64);
    Ok(nanoseconds.context("no median among the estimates")? / 1000.0)
}

#[allow(clippy::print_stdout, reason = "a bench talks to its terminal")]
fn print_table(charts: &[BenchChart], sizes: &BTreeMap<&str, usize>, results: &Path) -> anyhow::Result<()> {
    println!("\nCPU microseconds in process; a ratio says how many times longer Helm's library takes");
    println!("| chart | manifest bytes | who | load | load + render | ratio | render again | ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    for chart in charts {
        let Ok(load) = median(results, chart.name, "load") else { continue };
        let all = median(results, chart.name, "load_render")?;
        let again = median(results, chart.name, "render_again")?;
        let size = sizes.get(chart.name).copied().unwrap_or_default();
        println!("| {} | {size} | pintle | {load:.0} | {all:.0} | | {again:.0} | |", chart.name);
        for row in sdk_rows(chart)? {
            let SdkRow { sdk, version, manifest_bytes, load_us, load_render_us } = row;
            println!(
                "| {} | {manifest_bytes} | {sdk} {version} | {load_us:.0} | {load_render_us:.0} | {:.1} | | {:.1} |",
                chart.name,
                load_render_us / all,
                load_render_us / again,
            );
        }
    }
    Ok(())
}

/// CPU time of the process as criterion's clock: rendering runs on a thread of its own.
struct CpuTime(WallTime);

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time()
    }

    fn end(&self, begun: Duration) -> Duration {
        cpu_time().saturating_sub(begun)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.0.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}
