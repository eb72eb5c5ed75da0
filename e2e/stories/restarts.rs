//! The API server is killed and started again, several times, while fifty releases are upgraded: each one ends at its
//! new revision, by one upgrade, and nothing is lost, left pending or done twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::audit::{Request, counted};
use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::operator::USER;
use crate::release;

const NAME: &str = "restarts";
const CHART: &str = "small";
const RELEASES: usize = 50;
/// Where the waves of upgrades begin; in each one the server is killed.
const WAVES: [usize; 3] = [0, 16, 32];
/// Until a server that says that it is ready must serve what it has in storage, too.
const SERVED_WITHIN: Duration = Duration::from_secs(30);
/// Until a release must be upgraded.
const WITHIN: Duration = Duration::from_secs(90);

/// The hook makes an upgrade last, so that the server is killed in the middle of several.
const OBJECTS: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-hook"
  annotations: {helm.sh/hook: pre-upgrade}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "registry.example/hook:1"}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-config"}
data: {version: "{{ .Chart.Version }}"}
"#;

const PRUNED: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-pruned"}
data: {only: in the first version}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    cx.alone(NAME, |own| Box::pin(tell(own))).await
}

async fn tell(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    charts.add(CHART, "1.0.0", &[("templates/all.yaml", OBJECTS), ("templates/pruned.yaml", PRUNED)])?;
    charts.add(CHART, "2.0.0", &[("templates/all.yaml", OBJECTS)])?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let releases: Vec<String> =
        (0..RELEASES).map(|at| release::yaml(&namespace, &name(at), CHART, "1.0.0", "")).collect();
    cx.cluster().apply_yaml(&releases.join("---\n")).await?;
    all_ready_at(cx, &namespace, 1).await?;

    let audit = cx.audit().context("the story has a control plane of its own")?;
    let mark = audit.mark().await?;
    let restarts = AtomicUsize::new(0);
    tokio::select! {
        upgraded = upgrade(cx, &namespace) => upgraded?,
        error = keep(cx, &restarts) => return Err(error),
    }
    let restarts = restarts.into_inner();
    if restarts > 0 {
        cx.note(&format!("the operator lost its Lease {restarts} times and was started again"));
    }
    let requests = audit.writes_since(mark, USER, &namespace).await?;
    stored(cx, &namespace).await?;
    objects(cx, &namespace).await?;
    listed(cx, &namespace).await?;
    once(&requests)
}

fn name(at: usize) -> String {
    format!("{CHART}-{at:02}")
}

async fn all_ready_at(cx: &Context, namespace: &str, revision: i64) -> anyhow::Result<()> {
    for at in 0..RELEASES {
        release::ready_at(cx, namespace, &name(at), revision).await?;
    }
    Ok(())
}

/// Starts the operator again when it has ended, as Kubernetes does: without an API server it cannot keep its Lease.
async fn keep(cx: &Context, restarts: &AtomicUsize) -> anyhow::Error {
    let operator = match cx.rig().operator() {
        Ok(operator) => operator,
        Err(error) => return error,
    };
    loop {
        let ended = operator.died().await;
        cx.say(format!("{ended:#}"));
        if !operator.log("the leadership is lost", 1).await.contains("the leadership is lost") {
            return ended;
        }
        restarts.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = operator.restart().await {
            return error;
        }
    }
}

/// Asks for the upgrades in waves, kills the server in the middle of each, and waits for their end. The hook of an
/// upgrade takes a second, so a wave is never over when one of its records has just appeared.
async fn upgrade(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    for (wave, first) in WAVES.into_iter().enumerate() {
        let last = WAVES.get(wave + 1).copied().unwrap_or(RELEASES);
        let chart = json!({"chart": {"version": "2.0.0"}});
        try_join_all((first..last).map(|at| {
            let (name, chart) = (name(at), chart.clone());
            async move { release::patch(cx, namespace, &name, chart).await }
        }))
        .await?;
        let record = format!("sh.helm.release.v1.{}.v2", name(last - 1));
        cx.objects().wait(Kind::SECRET, namespace, &record, "there", WITHIN, |found| found.is_some()).await?;
        let releases = cx.objects().list(Kind::HELM_RELEASE, namespace, "").await?;
        cx.rig().control_plane.crash_api_server().await?;
        cx.objects().list_served(Kind::HELM_RELEASE, namespace, SERVED_WITHIN).await?;
        let is_upgraded = |release: &&Value| release["status"]["lastAppliedRevision"].as_i64() >= Some(2);
        let upgraded = releases.iter().filter(is_upgraded).count();
        cx.say(format!("the API server was killed with {upgraded} releases upgraded"));
        ensure!(upgraded < last, "all {last} releases were upgraded before the server was killed");
    }
    all_ready_at(cx, namespace, 2).await
}

/// I2, I3: two revisions each, the newer one deployed.
async fn stored(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let mut revisions: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for secret in cx.objects().list(Kind::SECRET, namespace, "owner=helm").await? {
        let label = |name: &str| text(&secret, &format!("/metadata/labels/{name}"));
        revisions.entry(label("name")).or_default().push((label("version"), label("status")));
    }
    ensure!(revisions.len() == RELEASES, "{} releases are in storage", revisions.len());
    for (name, mut stored) in revisions {
        stored.sort();
        let wanted = [("1", "superseded"), ("2", "deployed")];
        let wanted = wanted.map(|(number, status)| (number.to_owned(), status.to_owned()));
        ensure!(stored == wanted, "the revisions of {name} are {stored:?}");
    }
    Ok(())
}

/// I4: the objects are those of the second version.
async fn objects(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let labels = "app.kubernetes.io/managed-by=Helm";
    let found = cx.objects().list(Kind::CONFIG_MAP, namespace, labels).await?;
    let found: BTreeMap<String, String> =
        found.iter().map(|object| (text(object, "/metadata/name"), text(object, "/data/version"))).collect();
    let wanted = (0..RELEASES).map(|at| (format!("{}-config", name(at)), "2.0.0".to_owned())).collect();
    ensure!(found == wanted, "the objects are {found:?}");
    Ok(())
}

/// I6: the real helm agrees.
async fn listed(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let listed = cx.cluster().helm(&["list", "-n", namespace, "-o", "json"]).await?;
    let listed: Vec<Value> = serde_json::from_str(&listed).context("helm list prints no JSON")?;
    ensure!(listed.len() == RELEASES, "helm lists {} releases", listed.len());
    for release in listed {
        ensure!(release["revision"] == "2" && release["status"] == "deployed", "helm lists {release}");
    }
    Ok(())
}

/// I2, I9: what may happen once happened once. A killed server may have carried out what its log does not tell.
fn once(requests: &[Request]) -> anyhow::Result<()> {
    let made = |request: &&Request| {
        request.code == 201 && (request.resource == "jobs" || request.resource == "secrets")
    };
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for request in requests.iter().filter(made) {
        *seen.entry((&request.resource, &request.name)).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "made more than once: {twice:?}");
    let wrong: Vec<Request> = requests
        .iter()
        .filter(|request| request.verb == "delete" && !request.name.ends_with("-pruned"))
        .filter(|request| request.resource != "jobs")
        .cloned()
        .collect();
    ensure!(wrong.is_empty(), "deleted, and should not have been:\n{}", counted(&wrong));
    Ok(())
}
