//! HelmReleases, as stories write them and wait for them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::audit::{AuditMark, counted};
use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::operator::USER;

/// Until a release must have come to an end, good or bad.
pub const WITHIN: Duration = Duration::from_secs(90);
/// Until a requested reconcile must be echoed.
const ECHO_WITHIN: Duration = Duration::from_secs(20);
/// Name of the repository that [`repository`] makes.
pub const REPOSITORY: &str = "charts";
/// Kinds whose objects [`Snapshot`] compares.
const COMPARED: [Kind; 9] = [
    Kind::CONFIG_MAP,
    Kind::SECRET,
    Kind::SERVICE,
    Kind::SERVICE_ACCOUNT,
    Kind::DEPLOYMENT,
    Kind::STATEFUL_SET,
    Kind::DAEMON_SET,
    Kind::JOB,
    Kind::CLAIM,
];

/// Makes a ChartRepository for a chart server and waits until it is ready.
pub async fn repository(cx: &Context, namespace: &str, server: &ChartServer) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&repository_yaml(namespace, server)).await?;
    let kind = Kind::CHART_REPOSITORY;
    cx.objects().wait_condition(kind, namespace, REPOSITORY, "Ready", "True", WITHIN).await?;
    Ok(())
}

/// A namespace with a repository of one chart, as version 1.0.0: its name, its objects and its values.
pub async fn place(
    cx: &Context,
    chart: &str,
    objects: &str,
    values: &str,
) -> anyhow::Result<(String, ChartServer)> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    charts.add(chart, "1.0.0", &[("templates/all.yaml", objects), ("values.yaml", values)])?;
    let server = charts.serve().await?;
    repository(cx, &namespace, &server).await?;
    Ok((namespace, server))
}

/// The ChartRepository as YAML.
pub fn repository_yaml(namespace: &str, server: &ChartServer) -> String {
    format!(
        "apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: {REPOSITORY}, namespace: {namespace}}}
spec: {{url: \"{}\"}}
",
        server.url()
    )
}

/// A HelmRelease as YAML; `rest` holds further fields of its spec, each line indented by two.
pub fn yaml(namespace: &str, name: &str, chart: &str, version: &str, rest: &str) -> String {
    format!(
        "apiVersion: pintle.dev/v1alpha1
kind: HelmRelease
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  chart: {{repository: {{name: {REPOSITORY}}}, name: {chart}, version: \"{version}\"}}
  timeout: 60s
{rest}"
    )
}

/// Waits until the release is ready in its present generation.
pub async fn ready(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<Value> {
    let release =
        cx.objects().wait_condition(Kind::HELM_RELEASE, namespace, name, "Ready", "True", WITHIN).await?;
    cx.say(format!("{name} is ready at revision {}", release["status"]["lastAppliedRevision"]));
    Ok(release)
}

/// Waits until the release is ready at that revision.
pub async fn ready_at(cx: &Context, namespace: &str, name: &str, revision: i64) -> anyhow::Result<Value> {
    let release = ready(cx, namespace, name).await?;
    let latest = &release["status"]["history"][0];
    ensure!(
        release["status"]["lastAppliedRevision"] == revision && latest["revision"] == revision,
        "{name} should be at revision {revision}, its history is {}",
        release["status"]["history"]
    );
    ensure!(latest["status"] == "deployed", "revision {revision} is {}", latest["status"]);
    Ok(release)
}

/// Waits until the release is not ready in its present generation for that reason, and checks the message.
pub async fn failed(
    cx: &Context,
    namespace: &str,
    name: &str,
    reason: &str,
    message: &[&str],
) -> anyhow::Result<Value> {
    let what = format!("Ready=False/{reason}");
    let wanted = |object: Option<&Value>| {
        object.is_some_and(|object| {
            let generation = &object["metadata"]["generation"];
            condition(object, "Ready").is_some_and(|ready| {
                ready["status"] == "False"
                    && ready["reason"] == reason
                    && ready["observedGeneration"] == *generation
            })
        })
    };
    let release = cx.objects().wait(Kind::HELM_RELEASE, namespace, name, &what, WITHIN, wanted).await?;
    let release = release.context("the release is gone")?;
    let said = condition(&release, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
    cx.say(format!("{name}: {reason}: {said}"));
    contains(&said, message)?;
    Ok(release)
}

/// As [`failed`], for a reason that may go away by itself: it is tried again.
pub async fn retried(
    cx: &Context,
    namespace: &str,
    name: &str,
    reason: &str,
    message: &[&str],
) -> anyhow::Result<Value> {
    let release = failed(cx, namespace, name, reason, message).await?;
    let again = condition(&release, "Reconciling");
    ensure!(
        again.is_some_and(|again| again["status"] == "True" && again["reason"] == "ProgressingWithRetry")
            && condition(&release, "Stalled").is_none(),
        "{name} should be tried again, its conditions are {}",
        release["status"]["conditions"]
    );
    Ok(release)
}

/// As [`failed`], for a reason that only a change of the inputs can take away.
pub async fn stalled(
    cx: &Context,
    namespace: &str,
    name: &str,
    reason: &str,
    message: &[&str],
) -> anyhow::Result<Value> {
    let release = failed(cx, namespace, name, reason, message).await?;
    let stalled = condition(&release, "Stalled");
    ensure!(
        stalled.is_some_and(|stalled| stalled["status"] == "True" && stalled["reason"] == reason)
            && condition(&release, "Reconciling").is_none(),
        "{name} should be stalled with {reason}, its conditions are {}",
        release["status"]["conditions"]
    );
    Ok(release)
}

/// Checks that an event of the release tells of something.
pub async fn told(
    cx: &Context,
    namespace: &str,
    name: &str,
    reason: &str,
    parts: &[&str],
) -> anyhow::Result<()> {
    let events = cx.objects().events(namespace).await?;
    let (of, because) = (format!(" HelmRelease/{name}: "), format!(" {reason} "));
    let tells = |line: &&String| {
        line.contains(&of) && line.contains(&because) && parts.iter().all(|part| line.contains(part))
    };
    ensure!(
        events.iter().any(|line| tells(&line)),
        "no event {reason} of {name} with {parts:?} among:\n{}",
        events.join("\n")
    );
    Ok(())
}

/// Merges a patch into the spec.
pub async fn patch(cx: &Context, namespace: &str, name: &str, spec: Value) -> anyhow::Result<()> {
    cx.say(format!("patch {name}: {spec}"));
    cx.objects().patch(Kind::HELM_RELEASE, namespace, name, json!({ "spec": spec })).await?;
    Ok(())
}

/// Asks for a reconcile, as a user would, and waits for its echo.
pub async fn request(cx: &Context, namespace: &str, name: &str, value: &str) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"annotations": {"pintle.dev/requestedAt": value}}});
    cx.objects().patch(Kind::HELM_RELEASE, namespace, name, patch).await?;
    let echoed = |object: Option<&Value>| {
        object.is_some_and(|object| object["status"]["lastHandledReconcileAt"] == value)
    };
    let what = format!("echoing {value}");
    cx.objects().wait(Kind::HELM_RELEASE, namespace, name, &what, ECHO_WITHIN, echoed).await?;
    Ok(())
}

/// Deletes the release and waits until it is gone.
pub async fn delete(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<()> {
    cx.cluster().kubectl(&["delete", "hr", name, "-n", namespace, "--wait=false"]).await?;
    cx.objects().wait_gone(Kind::HELM_RELEASE, namespace, name, WITHIN).await?;
    cx.say(format!("{name} is gone"));
    Ok(())
}

/// The release's records in storage, sorted.
pub async fn records(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let labels = format!("owner=helm,name={name}");
    let secrets = cx.objects().list(Kind::SECRET, namespace, &labels).await?;
    let mut names: Vec<String> = secrets.iter().map(|secret| text(secret, "/metadata/name")).collect();
    names.sort();
    Ok(names)
}

/// The objects of a namespace, to tell whether something changed.
pub struct Snapshot {
    objects: BTreeMap<String, String>,
    mark: Option<AuditMark>,
}

impl Snapshot {
    /// What there is now.
    pub async fn take(cx: &Context, namespace: &str) -> anyhow::Result<Self> {
        let mark = match cx.audit() {
            Some(audit) => Some(audit.mark().await?),
            None => None,
        };
        Ok(Self { objects: objects(cx, namespace).await?, mark })
    }

    /// Fails when objects came, went or changed since, or when the operator wrote anything but its own objects.
    pub async fn unchanged(&self, cx: &Context, namespace: &str) -> anyhow::Result<()> {
        self.unchanged_but(cx, namespace, &[]).await
    }

    /// As [`Snapshot::unchanged`], but for objects whose `Kind/name` begins with one of `except`.
    pub async fn unchanged_but(&self, cx: &Context, namespace: &str, except: &[&str]) -> anyhow::Result<()> {
        let excepted = |id: &str| except.iter().any(|prefix| id.starts_with(prefix));
        let now = objects(cx, namespace).await?;
        for (id, state) in &now {
            let before = self.objects.get(id);
            ensure!(excepted(id) || before == Some(state), "{id} changed from {before:?} to {state}");
        }
        for id in self.objects.keys() {
            ensure!(excepted(id) || now.contains_key(id), "{id} is gone");
        }
        let (Some(audit), Some(mark)) = (cx.audit(), self.mark) else { return Ok(()) };
        let mut writes = audit.writes_since(mark, USER, namespace).await?;
        let mut allowed = vec!["helmreleases", "helmreleases/status", "chartrepositories/status", "events"];
        for (kind, plural) in [("Secret/", "secrets"), ("ConfigMap/", "configmaps")] {
            if except.iter().any(|prefix| prefix.starts_with(kind)) {
                allowed.push(plural);
            }
        }
        writes.retain(|write| !allowed.contains(&write.resource.as_str()));
        ensure!(writes.is_empty(), "the operator wrote:\n{}", counted(&writes));
        Ok(())
    }
}

async fn objects(cx: &Context, namespace: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for kind in COMPARED {
        for object in cx.objects().list(kind, namespace, "").await? {
            let metadata = &object["metadata"];
            // Controllers keep writing the status of what has a generation; the rest has nothing but its content.
            let version = metadata["generation"].as_i64().map(|generation| generation.to_string());
            let version = version.unwrap_or_else(|| text(metadata, "/resourceVersion"));
            let id = format!("{}/{}", kind.name(), text(metadata, "/name"));
            found.insert(id, format!("{} at {version}", text(metadata, "/uid")));
        }
    }
    Ok(found)
}
