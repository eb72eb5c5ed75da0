//! Whole processes: `pintle template` beside `helm template`, in CPU time and peak memory, and what a megabyte of
//! manifest costs.
//!
//! `PINTLE_BENCH_PINTLE` and `PINTLE_BENCH_HELM` name the programs; the argument is how often each chart is rendered.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::Context as _;
use pintle_bench::{charts, usage_of_children};

/// The word that makes this program run another one once and say what it took.
///
/// Linux gives the largest of all children that have ended, and a child begins with what its parent has, so every
/// run gets a small parent of its own.
const ONCE: &str = "once";

/// Sizes of the manifests that show whether cost is linear, in MB.
const SIZES: [usize; 4] = [1, 5, 10, 20];

#[allow(clippy::print_stdout, reason = "a bench talks to its terminal")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.split_first() {
        Some((word, command)) if word == ONCE => {
            println!("{}", once(command)?);
            Ok(())
        }
        first => compare(first.map_or(Ok(20), |(runs, _)| runs.parse()).context("how often is no number")?),
    }
}

/// What one run of a program took.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
    rss_kib: u64,
}

/// Runs the command and gives its cost as three numbers.
fn once(command: &[String]) -> anyhow::Result<String> {
    let (program, arguments) = command.split_first().context("no command")?;
    let begun = Instant::now();
    let status =
        Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let wall = begun.elapsed();
    anyhow::ensure!(status.success(), "{program} failed");
    let usage = usage_of_children()?;
    Ok(format!("{} {} {}", usage.cpu.as_micros(), wall.as_micros(), usage.peak_rss_kib))
}

fn measure(command: &[String]) -> anyhow::Result<Cost> {
    let output = Command::new(env::current_exe()?).arg(ONCE).args(command).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match *numbers {
        [cpu, wall, rss_kib] => {
            Ok(Cost { cpu: Duration::from_micros(cpu), wall: Duration::from_micros(wall), rss_kib })
        }
        _ => anyhow::bail!("not three numbers: {text}"),
    }
}

fn median<T: Copy + Ord>(costs: &[Cost], of: impl Fn(&Cost) -> T) -> Option<T> {
    let mut all: Vec<T> = costs.iter().map(of).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

fn template(program: &str, chart: &Path) -> Vec<String> {
    let chart = chart.display().to_string();
    [program, "template", "bench", &chart, "--include-crds", "--kube-version", "v1.31.0"]
        .map(str::to_owned)
        .into()
}

#[allow(clippy::print_stdout, reason = "a bench talks to its terminal")]
fn compare(runs: usize) -> anyhow::Result<()> {
    let program = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
    let (pintle, helm) = (program("PINTLE_BENCH_PINTLE")?, program("PINTLE_BENCH_HELM")?);
    println!(
        "\nWhole processes, medians of {runs} runs in turns; a ratio says how many times more CPU helm takes"
    );
    println!("| chart | who | CPU ms | wall ms | peak RSS MiB | ratio |");
    println!("|---|---|---|---|---|---|");
    for chart in charts() {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // In turns, so that whatever else the machine does meets both.
        for _ in 0..runs.max(1) {
            ours.push(measure(&template(&pintle, &chart.archive))?);
            theirs.push(measure(&template(&helm, &chart.archive))?);
        }
        let cpu = |costs: &[Cost]| median(costs, |cost| cost.cpu).unwrap_or_default().as_secs_f64();
        for (who, costs) in [("pintle", &ours), ("helm", &theirs)] {
            let wall = median(costs, |cost| cost.wall).unwrap_or_default().as_secs_f64();
            let rss = costs.iter().map(|cost| cost.rss_kib).max().unwrap_or_default();
            let ratio =
                if who == "helm" { format!("{:.1}", cpu(&theirs) / cpu(&ours)) } else { String::new() };
            println!(
                "| {} | {who} | {:.1} | {:.1} | {:.1} | {ratio} |",
                chart.name,
                cpu(costs) * 1e3,
                wall * 1e3,
                mebibytes(rss),
            );
        }
    }
    println!("\nWhat a megabyte costs `pintle template`, least of five runs");
    println!("| manifest MB | CPU ms | CPU ms per MB | peak RSS MiB |");
    println!("|---|---|---|---|");
    let folder = tempfile::tempdir()?;
    for size in SIZES {
        let command = template(&pintle, &large_chart(folder.path(), size)?);
        let megabytes = output_bytes(&command)? as f64 / 1e6;
        let costs: Vec<Cost> = (0..5).map(|_| measure(&command)).collect::<Result<_, _>>()?;
        let cpu = costs.iter().map(|cost| cost.cpu).min().unwrap_or_default().as_secs_f64() * 1e3;
        let rss = costs.iter().map(|cost| cost.rss_kib).max().unwrap_or_default();
        println!("| {megabytes:.2} | {cpu:.1} | {:.2} | {:.1} |", cpu / megabytes, mebibytes(rss));
    }
    Ok(())
}

/// How much a command writes to its standard output.
fn output_bytes(command: &[String]) -> anyhow::Result<usize> {
    let (program, arguments) = command.split_first().context("no command")?;
    let output = Command::new(program).args(arguments).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout.len())
}

fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Writes a chart that renders to about so many megabytes: many objects of a kilobyte each, all of whose lines are
/// computed.
fn large_chart(folder: &Path, megabytes: usize) -> anyhow::Result<PathBuf> {
    let chart = folder.join(format!("large-{megabytes}"));
    fs::create_dir_all(chart.join("templates"))?;
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: large\nversion: 0.1.0\n")?;
    let mut lines = String::new();
    for line in 0..20 {
        writeln!(lines, "  line-{line}: {{{{ printf \"%s-%06d\" $.Release.Name $i | repeat 4 | quote }}}}")?;
    }
    let template = format!(
        "{{{{- range $i := until {} }}}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: large-{{{{ printf \"%06d\" $i }}}}\n  labels:\n    app.kubernetes.io/instance: {{{{ $.Release.Name }}}}\ndata:\n{lines}{{{{- end }}}}\n",
        megabytes * OBJECTS_A_MEGABYTE,
    );
    fs::write(chart.join("templates/objects.yaml"), template)?;
    Ok(chart)
}

/// How many of the objects above make a megabyte.
const OBJECTS_A_MEGABYTE: usize = 720;
