//! In process: what loading and rendering a chart takes, in CPU time, beside Helm's own library.
//!
//! Criterion measures Pintle alone. The table comes from rounds in which both are measured one after the other, because
//! the machine gives and takes from one moment to the next: a ratio is the median of those of the rounds.
//! `PINTLE_BENCH_SDK` names the program of `e2e/bench/sdk`; without it there is no table.

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

/// How often the two are measured in turns.
const ROUNDS: usize = 9;

/// How long each step is measured in a round.
const SPAN: Duration = Duration::from_millis(400);

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
    // `--profile-time` and filters are for who looks at one benchmark.
    let is_whole = env::args().skip(1).all(|argument| argument == "--bench");
    let sdk = env::var_os("PINTLE_BENCH_SDK").filter(|_| is_whole);
    let mut table = Vec::new();
    for chart in &charts {
        let archive = fs::read(&chart.archive)?;
        load_and_render(&archive).with_context(|| format!("failed to render {}", chart.name))?;
        bench(&mut criterion.benchmark_group(chart.name), &archive)?;
        // Before a larger chart has scattered what is free in the heap: the judge has a new one for each chart, too.
        if let Some(sdk) = &sdk {
            table.extend(compare(chart, &archive, Path::new(sdk))?);
        }
    }
    criterion.final_summary();
    if !table.is_empty() {
        print_table(&table);
    }
    Ok(())
}

fn bench(group: &mut BenchmarkGroup<'_, CpuTime>, archive: &[u8]) -> anyhow::Result<()> {
    group.bench_function("load", |bencher| {
        bencher.iter(|| load_archive(black_box(archive), &Limits::default()))
    });
    group.bench_function("load_render", |bencher| bencher.iter(|| load_and_render(black_box(archive))));
    let chart = Arc::new(load_archive(archive, &Limits::default())?);
    let mut turn = 0_u64;
    group.bench_function("render_again", |bencher| bencher.iter(|| render_again(&chart, &mut turn)));
    Ok(())
}

/// With a chart that was rendered before, and other values each time.
fn render_again(chart: &Arc<Chart>, turn: &mut u64) -> anyhow::Result<String> {
    *turn += 1;
    manifest(chart, Values::from_json(&serde_json::json!({ "global": { "turn": *turn } }))?)
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

fn sdk_rows(sdk: &Path, chart: &BenchChart) -> anyhow::Result<Vec<SdkRow>> {
    let output = Command::new(sdk)
        .arg(SPAN.as_secs_f64().to_string())
        .arg(&chart.archive)
        .output()
        .with_context(|| format!("failed to run {}", sdk.display()))?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    rows.collect::<Result<_, _>>().context("failed to read what the judge measured")
}

/// Repeats a step for [`SPAN`] after one run to warm up, as the judge does; microseconds of CPU time a run.
fn cpu_per_run<T>(mut step: impl FnMut() -> T) -> f64 {
    step();
    let (begun, mut runs) = (cpu_time(), 0.0);
    loop {
        black_box(step());
        runs += 1.0;
        let taken = cpu_time().saturating_sub(begun);
        if taken >= SPAN {
            return taken.as_secs_f64() * 1e6 / runs;
        }
    }
}

/// What a round measured: of Pintle load, load + render and render again; of Helm's libraries their rows.
struct Round {
    own: [f64; 3],
    rows: Vec<SdkRow>,
}

fn median(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::print_stdout, reason = "a bench talks to its terminal")]
fn print_table(rows: &[String]) {
    println!("\nCPU microseconds in process, medians of {ROUNDS} rounds; a ratio says how many times longer");
    println!(
        "Helm's library takes for load + render, and is the median of the rounds, with the least and the most"
    );
    println!("| chart | manifest bytes | who | load | load + render | ratio | render again | ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    for row in rows {
        println!("{row}");
    }
}

/// Measures both with one chart, in turns: the rows of the table.
fn compare(chart: &BenchChart, archive: &[u8], sdk: &Path) -> anyhow::Result<Vec<String>> {
    let again = Arc::new(load_archive(archive, &Limits::default())?);
    let (size, mut turn) = (load_and_render(archive)?.len(), 0);
    let mut round = || -> anyhow::Result<Round> {
        let load = cpu_per_run(|| load_archive(black_box(archive), &Limits::default()));
        let all = cpu_per_run(|| load_and_render(black_box(archive)));
        let rows = sdk_rows(sdk, chart)?;
        let again = cpu_per_run(|| render_again(&again, &mut turn));
        Ok(Round { own: [load, all, again], rows })
    };
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round()).collect::<Result<_, _>>()?;
    let own = |step: usize| median(rounds.iter().map(|round| round.own[step]));
    let mut table = vec![format!(
        "| {} | {size} | pintle | {:.0} | {:.0} | | {:.0} | |",
        chart.name,
        own(0),
        own(1),
        own(2)
    )];
    for which in 0..rounds[0].rows.len() {
        let of = |figure: fn(&SdkRow) -> f64| median(rounds.iter().map(|round| figure(&round.rows[which])));
        let ratio = |step: usize| {
            let ratios =
                || rounds.iter().map(move |round| round.rows[which].load_render_us / round.own[step]);
            let (least, most) = (ratios().fold(f64::MAX, f64::min), ratios().fold(0.0, f64::max));
            format!("{:.1} ({least:.1} to {most:.1})", median(ratios()))
        };
        let SdkRow { sdk, version, manifest_bytes, .. } = &rounds[0].rows[which];
        table.push(format!(
            "| {} | {manifest_bytes} | {sdk} {version} | {:.0} | {:.0} | {} | | {} |",
            chart.name,
            of(|row| row.load_us),
            of(|row| row.load_render_us),
            ratio(1),
            ratio(2),
        ));
    }
    Ok(table)
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
