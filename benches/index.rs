//! A big index and twelve releases that use it: what they cost in memory, processor time and requests.
//!
//! The server is a process of its own, so that the figures are the client's alone. Prints one line for each step;
//! docs/performance.md tells them.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pintle::api::{ChartReference, ChartRepository};
use pintle::repository::{Digest, Options, Refreshed, Repositories, RepositorySecrets};

const CHARTS: usize = 230;
const VERSIONS: usize = 150;
const RELEASES: usize = 12;
const ETAG: &str = "\"one\"";

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        Some("write") => Ok(std::io::stdout().write_all(index(&[]).as_bytes())?),
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure()),
    }
}

/// An index as `helm repo index` writes it, of some forty megabytes; the same on every machine. The newest versions
/// of the first charts have the digests of `archives`.
fn index(archives: &[Vec<u8>]) -> String {
    let mut text = String::from("apiVersion: v1\nentries:\n");
    for chart in 0..CHARTS {
        let _ = writeln!(text, "  chart-{chart}:");
        for version in (0..VERSIONS).rev() {
            let archive = archives.get(chart).filter(|_| version == VERSIONS - 1);
            let digest = archive
                .map_or_else(|| Digest::of(format!("{chart} {version}").as_bytes()), |a| Digest::of(a));
            let (minor, patch) = (version / 10, version % 10);
            let _ = write!(
                text,
                "  - annotations:\n      category: Infrastructure\n      images: |\n        - name: server\n          \
                 image: registry.example.com/library/chart-{chart}:{minor}.{patch}.0-debian-12-r{version}\n        \
                 - name: exporter\n          image: registry.example.com/library/exporter:1.{minor}.{patch}\n      \
                 licenses: Apache-2.0\n    apiVersion: v2\n    appVersion: {minor}.{patch}.0\n    \
                 created: \"2026-01-01T00:00:00.000000000Z\"\n    dependencies:\n    - name: common\n      \
                 repository: oci://registry.example.com/charts\n      tags:\n      - common\n      version: 2.x.x\n    \
                 description: Chart {chart} is a program that keeps what others send it, and gives it\n      \
                 back when it is asked; it is scalable, \"reliable\" and observable by design.\n    \
                 digest: {}\n    home: https://charts.example.com\n    icon: https://charts.example.com/icons/{chart}.png\n    \
                 keywords:\n    - database\n    - store\n    - cluster\n    kubeVersion: '>=1.25.0-0'\n    maintainers:\n    \
                 - email: charts@example.com\n      name: The Authors of Charts\n      url: https://example.com/charts\n    \
                 name: chart-{chart}\n    sources:\n    - https://git.example.com/charts/tree/main/charts/chart-{chart}\n    \
                 urls:\n    - charts/chart-{chart}-1.{minor}.{patch}.tgz\n    version: 1.{minor}.{patch}\n",
                digest.hex(),
            );
        }
    }
    text.push_str("generated: \"2026-01-01T00:00:00.000000000Z\"\n");
    text
}

fn archive(chart: usize) -> Result<Vec<u8>> {
    let version = VERSIONS - 1;
    let text = format!("apiVersion: v2\nname: chart-{chart}\nversion: 1.{}.{}\n", version / 10, version % 10);
    let mut tar =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, format!("chart-{chart}/Chart.yaml"), text.as_bytes())?;
    Ok(tar.into_inner()?.finish()?)
}

/// Serves the index, the charts, and under `/count` the number of requests so far.
fn serve() -> Result<()> {
    let archives = (0..RELEASES).map(archive).collect::<Result<Vec<_>>>()?;
    let index = index(&archives);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut out = std::io::stdout();
    writeln!(out, "{} {}", listener.local_addr()?, index.len())?;
    let shared = Arc::new((archives, index, AtomicUsize::new(0)));
    for stream in listener.incoming() {
        let (stream, shared) = (stream?, shared.clone());
        std::thread::spawn(move || answer(stream, &shared));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, shared: &(Vec<Vec<u8>>, String, AtomicUsize)) -> Result<()> {
    let (archives, index, count) = shared;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut path, mut known) = (String::new(), false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        }
        known |= line.to_lowercase().starts_with("if-none-match:") && line.contains(ETAG);
        if line.trim().is_empty() {
            break;
        }
    }
    let chart =
        path.strip_prefix("/charts/chart-").and_then(|rest| rest.split('-').next()?.parse::<usize>().ok());
    let number;
    let body = match (path.as_str(), chart.and_then(|chart| archives.get(chart))) {
        ("/count", _) => {
            number = count.load(Ordering::SeqCst).to_string();
            number.as_bytes()
        }
        ("/index.yaml", _) if known => &[],
        ("/index.yaml", _) => index.as_bytes(),
        (_, Some(archive)) => archive,
        _ => &[],
    };
    count.fetch_add(usize::from(path != "/count"), Ordering::SeqCst);
    let status = if known { "304 Not Modified" } else { "200 OK" };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nETag: {ETAG}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    Ok(stream.write_all(body)?)
}

/// Ends the server with the measurement.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure() -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut first = String::new();
    BufReader::new(child.stdout.take().context("the server has no output")?).read_line(&mut first)?;
    let _server = Server(child);
    let (address, bytes) = first.trim().split_once(' ').context("the server says nothing")?;

    let dir = tempfile::tempdir()?;
    let sources = Repositories::new(Options { cache_dir: Some(dir.path().to_owned()), ..Options::default() });
    let mut repository: ChartRepository = serde_json::from_value(serde_json::json!({
        "apiVersion": "pintle.dev/v1alpha1",
        "kind": "ChartRepository",
        "metadata": {"name": "big", "namespace": "default", "uid": "1"},
        "spec": {"url": format!("http://{address}")},
    }))?;
    let start = Usage::now(address)?;
    println!(
        "index: {bytes} bytes, {} entries of {CHARTS} charts; base {} KiB",
        CHARTS * VERSIONS,
        start.peak
    );

    let mut last = start;
    let mut tell = |what: &str| -> Result<()> {
        let now = Usage::now(address)?;
        println!(
            "{what}: {:.2} CPU s, {:.2} s, peak {} KiB above base, {} requests",
            now.cpu - last.cpu,
            (now.at - last.at).as_secs_f64(),
            now.peak.saturating_sub(start.peak),
            now.requests - last.requests
        );
        last = now;
        Ok(())
    };
    let Refreshed::Index(refreshed) = sources.refresh(&repository, RepositorySecrets::default()).await?
    else {
        anyhow::bail!("this is no index");
    };
    anyhow::ensure!(refreshed.charts == CHARTS && refreshed.skipped == 0, "{refreshed:?}");
    tell("first fetch")?;
    for chart in 0..RELEASES {
        let reference = ChartReference {
            name: Some(format!("chart-{chart}")),
            version: Some("^1".to_owned()),
            ..ChartReference::default()
        };
        sources.resolve(&reference, Some(&repository), Duration::ZERO).await?;
    }
    tell("12 releases")?;
    anyhow::ensure!(!sources.refresh(&repository, RepositorySecrets::default()).await?.changed());
    tell("poll again")?;
    repository.status = Some(serde_json::from_value(serde_json::json!({
        "artifact": refreshed.artifact,
        "url": repository.spec.url,
    }))?);
    let restarted =
        Repositories::new(Options { cache_dir: Some(dir.path().to_owned()), ..Options::default() });
    anyhow::ensure!(restarted.restore(&repository, RepositorySecrets::default()).await?, "not on disk");
    tell("from disk")?;
    Ok(())
}

/// What this process has used so far.
#[derive(Clone, Copy)]
struct Usage {
    at: Instant,
    /// KiB.
    peak: u64,
    /// Seconds.
    cpu: f64,
    requests: usize,
}

impl Usage {
    fn now(address: &str) -> Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        // Behind the name, which may hold anything: user and system time in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 =
            fields.get(11..13).unwrap_or_default().iter().filter_map(|text| text.parse::<f64>().ok()).sum();
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /count HTTP/1.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let requests = answer.rsplit("\r\n").next().unwrap_or_default().parse()?;
        Ok(Self { at: Instant::now(), peak: peak.context("no VmHWM")?, cpu: ticks / 100.0, requests })
    }
}
