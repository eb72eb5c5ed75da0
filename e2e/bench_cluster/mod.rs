//! What hundreds of small releases cost: requests, processor time, memory and wall time of each phase of their lives,
//! beside a bare client that applies the same objects in the same run.
//!
//! ```text
//! e2e bench-cluster [--releases=200,1000] [--idle=SECONDS] [--json=PATH] [--no-pods]
//! ```
//!
//! First without controllers, so that nothing but the API server is in the way; then with all running and with waiting
//! for pods, which 200 releases are enough for. Requests are those of the audit log, leases apart; processor time and
//! memory those of the kernel. The operator is an ordinary user for the server, whose priority levels count for it, and
//! logs as it does by default.

mod bare;
mod report;
mod usage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube_runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use self::bare::Bare;
use self::report::Phase;
use crate::audit::{Audit, AuditMark};
use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{self, Cluster, Kind, Objects};
use crate::control_plane::{self, ControlPlane};
use crate::operator::{self, Operator, SECOND_USER, USER};
use crate::output;
use crate::release::{REPOSITORY, repository_yaml};

/// The chart of every release, and its version.
const CHART: (&str, &str) = ("small", "0.1.0");
/// Releases in one namespace.
const PER_NAMESPACE: usize = 100;
/// Requests of the one who asks for releases, in flight.
const CONCURRENCY: usize = 16;
/// Until a phase must be done.
const WITHIN: Duration = Duration::from_secs(240);
/// Between two looks at a log, a file.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Releases whose pods are waited for.
const WITH_PODS: usize = 200;
/// The value of the annotation that asks for a reconcile.
const ASKED: &str = "bench";
/// What the operator logs when it has looked at all releases that there were at its start.
const ALL_CHECKED: &str = "all releases are checked";

/// What was asked for.
pub struct Options {
    releases: Vec<usize>,
    idle: Duration,
    json: Option<PathBuf>,
    pods: bool,
}

impl Options {
    /// Reads the flags.
    pub fn parse(flags: &[String]) -> anyhow::Result<Self> {
        let mut options =
            Self { releases: vec![200, 1000], idle: Duration::from_secs(60), json: None, pods: true };
        for flag in flags {
            match flag.split_once('=').unwrap_or((flag, "")) {
                ("--releases", numbers) => {
                    let numbers = numbers.split(',').map(str::parse).collect::<Result<_, _>>();
                    options.releases = numbers.context("--releases takes numbers")?;
                }
                ("--idle", seconds) => {
                    options.idle = Duration::from_secs(seconds.parse().context("--idle takes seconds")?);
                }
                ("--json", path) => options.json = Some(path.into()),
                ("--no-pods", "") => options.pods = false,
                _ => bail!("bench-cluster has no flag {flag}"),
            }
        }
        Ok(options)
    }
}

/// Measures, prints and writes down what was asked for.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut phases = Vec::new();
    for releases in &options.releases {
        let bench = Bench::start(*releases).await?;
        bench.control_plane.stop_controllers().await?;
        bench.without_controllers(options.idle).await?;
        phases.extend(bench.end().await?);
    }
    if options.pods {
        let bench = Bench::start(WITH_PODS).await?;
        bench.with_pods().await?;
        phases.extend(bench.end().await?);
    }
    output::line(report::table(&phases));
    output::line("");
    output::line(report::requests(&phases));
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&phases).context("the report is no JSON")?;
        std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

/// A control plane of its own, and the names of the releases.
struct Bench {
    control_plane: ControlPlane,
    cluster: Cluster,
    audit: Audit,
    charts: ChartServer,
    /// Namespace and name of each release.
    releases: Vec<(String, String)>,
    phases: Mutex<Vec<Phase>>,
    api_server: u32,
}

impl Bench {
    async fn start(count: usize) -> anyhow::Result<Self> {
        let users = vec![USER.to_owned(), SECOND_USER.to_owned()];
        let control_plane = ControlPlane::start(control_plane::Options { users }).await?;
        let cluster = Cluster::new(control_plane.tools().clone(), control_plane.admin_kubeconfig()).await?;
        let log = control_plane.audit_log().context("an existing cluster cannot be measured")?;
        let audit = Audit::new(log, cluster.objects.clone());
        operator::install(&cluster, &control_plane).await?;
        let charts = ChartDir::new()?;
        charts.add_folder(&chart())?;
        let charts = charts.serve().await?;
        let releases: Vec<(String, String)> =
            (0..count).map(|at| (namespace(at), format!("small-{at:04}"))).collect();
        let (_, api_server) = control_plane.server_pids().await?;
        let phases = Mutex::default();
        let bench = Self { control_plane, cluster, audit, charts, releases, phases, api_server };
        for name in bench.namespaces() {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            let objects = &bench.cluster.objects;
            objects.create(Kind::NAMESPACE, object).await?;
            objects.wait(Kind::SERVICE_ACCOUNT, &name, "default", "there", WITHIN, |o| o.is_some()).await?;
        }
        Ok(bench)
    }

    async fn end(self) -> anyhow::Result<Vec<Phase>> {
        self.control_plane.stop().await?;
        Ok(self.phases.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn namespaces(&self) -> Vec<String> {
        (0..self.releases.len()).step_by(PER_NAMESPACE).map(namespace).collect()
    }

    /// Everything but pods.
    async fn without_controllers(&self, idle: Duration) -> anyhow::Result<()> {
        let bare = Bare::new(&self.control_plane.kubeconfig(SECOND_USER)?, &chart()).await?;
        self.bare("apply the objects", bare.apply(&self.releases)).await?;
        self.bare("apply them again", bare.apply(&self.releases)).await?;
        self.bare("delete them", bare.delete(&self.releases)).await?;

        let operator = self.operator().await?;
        self.phase("install", &operator, self.install(true), applied(1)).await?;
        let value = json!({"spec": {"values": {"podAnnotations": {"revision": "2"}}}});
        self.phase("upgrade", &operator, self.patch(&value), applied(2)).await?;
        let asked = json!({"metadata": {"annotations": {"pintle.dev/requestedAt": ASKED}}});
        self.phase("no-op, requested", &operator, self.patch(&asked), echoed).await?;
        self.restart(&operator).await?;
        let name = format!("idle for {} s", idle.as_secs());
        let idling = async {
            sleep(idle).await;
            Ok(())
        };
        self.phase(&name, &operator, idling, |_| true).await?;
        self.phase("uninstall", &operator, self.remove(), gone).await?;
        self.stop(&operator).await
    }

    /// With controllers, scheduler and kwok: what waits for pods.
    async fn with_pods(&self) -> anyhow::Result<()> {
        let bare = Bare::new(&self.control_plane.kubeconfig(SECOND_USER)?, &chart()).await?;
        let namespaces = self.namespaces();
        let applied_and_available = async {
            bare.apply(&self.releases).await?;
            bare.available(&namespaces, WITHIN).await
        };
        self.bare("apply the objects, until all have pods", applied_and_available).await?;
        bare.delete(&self.releases).await?;
        bare.no_pods(&namespaces, WITHIN).await?;

        let operator = self.operator().await?;
        self.phase("install, waiting for pods", &operator, self.install(false), applied(1)).await?;
        let value = json!({"spec": {"values": {"podAnnotations": {"revision": "2"}}}});
        self.phase("upgrade, waiting for pods", &operator, self.patch(&value), applied(2)).await?;
        self.phase("uninstall, waiting for the end", &operator, self.remove(), gone).await?;
        self.stop(&operator).await
    }

    /// An operator, and the repositories that its releases need.
    async fn operator(&self) -> anyhow::Result<Operator> {
        let options = operator::Options { log_filter: Some("info"), ..operator::Options::default() };
        let operator = Operator::start(&self.control_plane, options).await?;
        for namespace in self.namespaces() {
            self.cluster.apply_yaml(&repository_yaml(&namespace, &self.charts)).await?;
            let objects = &self.cluster.objects;
            let kind = Kind::CHART_REPOSITORY;
            objects.wait_condition(kind, &namespace, REPOSITORY, "Ready", "True", WITHIN).await?;
        }
        Ok(operator)
    }

    async fn stop(&self, operator: &Operator) -> anyhow::Result<()> {
        let status = operator.stop().await?;
        ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }

    /// Measures a phase of the bare client.
    async fn bare(&self, name: &str, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        let start = self.begin(None).await?;
        work.await?;
        self.ended(name, None, start).await
    }

    /// Measures a phase of the operator: from `ask` until all releases are `done`.
    async fn phase(
        &self,
        name: &str,
        operator: &Operator,
        ask: impl Future<Output = anyhow::Result<()>>,
        done: impl Fn(&Event<DynamicObject>) -> bool,
    ) -> anyhow::Result<()> {
        let start = self.begin(Some(operator)).await?;
        let all = async { timeout(WITHIN, self.until_all(done)).await.context("not done in time")? };
        let work = async { tokio::try_join!(ask, all).map(drop) };
        tokio::select! {
            worked = work => worked.with_context(|| format!("{name} of {} releases", self.releases.len()))?,
            error = operator.died() => return Err(error),
        }
        self.ended(name, Some(operator), start).await
    }

    /// Stops and starts the operator, until it has looked at all releases.
    async fn restart(&self, operator: &Operator) -> anyhow::Result<()> {
        self.stop(operator).await?;
        let start = self.begin(None).await?;
        let known = operator.log(ALL_CHECKED, usize::MAX).await.matches(ALL_CHECKED).count();
        operator.restart().await?;
        let deadline = Instant::now() + WITHIN;
        while operator.log(ALL_CHECKED, usize::MAX).await.matches(ALL_CHECKED).count() == known {
            operator.check().await?;
            ensure!(Instant::now() < deadline, "the operator does not say `{ALL_CHECKED}`");
            sleep(LOOK_EVERY).await;
        }
        self.ended("restart, until all are checked", Some(operator), start).await
    }

    async fn begin(&self, operator: Option<&Operator>) -> anyhow::Result<Start> {
        let mark = self.audit.mark().await?;
        let cpu = match operator {
            Some(operator) => usage::cpu_millis(operator.pid().await)?,
            None => 0,
        };
        Ok(Start { mark, cpu, api_server: usage::cpu_millis(self.api_server)?, at: Instant::now() })
    }

    async fn ended(&self, name: &str, operator: Option<&Operator>, start: Start) -> anyhow::Result<()> {
        let wall = start.at.elapsed();
        let api_server = usage::cpu_millis(self.api_server)? - start.api_server;
        let mut phase = Phase::new(name, self.releases.len(), wall, api_server);
        let mut user = SECOND_USER;
        if let Some(operator) = operator {
            user = USER;
            let pid = operator.pid().await;
            phase.used(usage::cpu_millis(pid)? - start.cpu, usage::memory_kib(pid)?);
        }
        phase.count(&self.audit.all_since(start.mark, user).await?);
        output::line(phase.line());
        self.phases.lock().unwrap_or_else(PoisonError::into_inner).push(phase);
        Ok(())
    }

    /// Asks for all releases.
    async fn install(&self, without_wait: bool) -> anyhow::Result<()> {
        self.each(|objects, namespace, name| async move {
            let (chart, version) = CHART;
            let wait = json!({"disableWait": without_wait});
            let release = json!({
                "apiVersion": "pintle.dev/v1alpha1",
                "kind": "HelmRelease",
                "metadata": {"namespace": namespace, "name": name},
                "spec": {
                    "chart": {"repository": {"name": REPOSITORY}, "name": chart, "version": version},
                    "values": {"podAnnotations": {"revision": "1"}},
                    "install": wait, "upgrade": wait, "uninstall": wait,
                },
            });
            objects.create(Kind::HELM_RELEASE, release).await
        })
        .await
    }

    async fn patch(&self, patch: &Value) -> anyhow::Result<()> {
        self.each(|objects, namespace, name| async move {
            objects.patch(Kind::HELM_RELEASE, &namespace, &name, patch.clone()).await.map(drop)
        })
        .await
    }

    async fn remove(&self) -> anyhow::Result<()> {
        self.each(|objects, namespace, name| async move {
            objects.delete(Kind::HELM_RELEASE, &namespace, &name).await
        })
        .await
    }

    async fn each<'a, F>(&'a self, one: impl Fn(&'a Objects, String, String) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>> + 'a,
    {
        let objects = &self.cluster.objects;
        let all = self.releases.iter().map(|(namespace, name)| one(objects, namespace.clone(), name.clone()));
        stream::iter(all.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Waits until something that is `done` was seen of every release.
    async fn until_all(&self, done: impl Fn(&Event<DynamicObject>) -> bool) -> anyhow::Result<()> {
        let mut missing: BTreeSet<(String, String)> = self.releases.iter().cloned().collect();
        let mut events = self.cluster.objects.watch(Kind::HELM_RELEASE);
        while !missing.is_empty() {
            let event = events.next().await.context("the watch ended")?.context("the watch broke")?;
            if !done(&event) {
                continue;
            }
            if let Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) = event {
                missing.remove(&(object.namespace().unwrap_or_default(), object.name_any()));
            }
        }
        Ok(())
    }
}

/// Where a phase began.
struct Start {
    mark: AuditMark,
    cpu: u64,
    api_server: u64,
    at: Instant,
}

fn namespace(at: usize) -> String {
    format!("bench-{:02}", at / PER_NAMESPACE)
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/bench/charts").join(CHART.0)
}

/// Whether the release is ready at a revision, as its status says of its present generation.
fn applied(revision: i64) -> impl Fn(&Event<DynamicObject>) -> bool {
    move |event| {
        let (Event::InitApply(object) | Event::Apply(object)) = event else { return false };
        let status = &object.data["status"];
        let ready = cluster::condition(&object.data, "Ready");
        status["lastAppliedRevision"] == revision
            && status["observedGeneration"].as_i64() == object.metadata.generation
            && ready.is_some_and(|ready| ready["status"] == "True")
    }
}

/// Whether the requested reconcile was echoed.
fn echoed(event: &Event<DynamicObject>) -> bool {
    let (Event::InitApply(object) | Event::Apply(object)) = event else { return false };
    object.data["status"]["lastHandledReconcileAt"] == ASKED
}

fn gone(event: &Event<DynamicObject>) -> bool {
    matches!(event, Event::Delete(_))
}
