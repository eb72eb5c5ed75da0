//! What is broken stays by itself: an object that does not fit its type, of either kind, says so once and stops no
//! other; a reconcile that panics is told of in its status and tried again, while process and other releases go on.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::audit::counted;
use crate::chart_server::ChartDir;
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::operator::USER;
use crate::release;

const CHART: &str = "plain";

const MAP: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: \"{{ .Release.Name }}\"}
";

/// The kinds of the operator's own, with their plurals.
const OWN: [(Kind, &str); 2] = [
    (Kind::HELM_RELEASE, "helmreleases.pintle.dev"),
    (Kind::CHART_REPOSITORY, "chartrepositories.pintle.dev"),
];

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let failpoint = folder.path().join("failpoint");
    let variable = pintle::telemetry::failpoint::VARIABLE;
    cx.alone_with("isolation", &[(variable, &failpoint.display().to_string())], tell).await
}

fn tell(cx: &Context) -> BoxFuture<'_, anyhow::Result<()>> {
    Box::pin(async move {
        let namespace = cx.namespace().await?;
        let charts = ChartDir::new()?;
        charts.add(CHART, "1.0.0", &[("templates/map.yaml", MAP)])?;
        let server = charts.serve().await?;
        release::repository(cx, &namespace, &server).await?;
        cx.cluster().apply_yaml(&release::yaml(&namespace, "before", CHART, "1.0.0", "")).await?;
        release::ready_at(cx, &namespace, "before", 1).await?;
        unfit(cx, &namespace).await?;
        panics(cx, &namespace).await
    })
}

/// Objects that an older or newer CRD let in.
async fn unfit(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    for (_, crd) in OWN {
        // Without a schema the server takes anything.
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let versions =
            json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": open}]);
        cx.cluster().kubectl(&["patch", "crd", crd, "--type=json", "-p", &versions.to_string()]).await?;
    }
    for (kind, _) in OWN {
        let bad = json!({
            "apiVersion": "pintle.dev/v1alpha1", "kind": kind.name(),
            "metadata": {"name": "unfit", "namespace": namespace}, "spec": {"interval": 7, "url": ["no"], "chart": "no"},
        });
        // The server has the new schema some moments after it took it.
        let applied = async || {
            let args = ["apply", "--validate=false", "-f", "-"];
            let printed = cx.cluster().try_kubectl(&args, &bad.to_string()).await?;
            anyhow::Ok(printed.success.then_some(()).context(printed.stderr))
        };
        let deadline = tokio::time::Instant::now() + release::WITHIN;
        while let Err(error) = applied().await? {
            ensure!(tokio::time::Instant::now() < deadline, "the server does not take it: {error:#}");
        }
        let said = |object: Option<&Value>| {
            object.is_some_and(|object| {
                ["Ready", "Stalled"]
                    .iter()
                    .all(|type_| condition(object, type_).is_some_and(|c| c["reason"] == "InvalidSpec"))
            })
        };
        let object = cx.objects().wait(kind, namespace, "unfit", "told of", release::WITHIN, said).await?;
        let object = object.context("the object is gone")?;
        let message = condition(&object, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
        contains(&message, &["does not fit its schema", "invalid type"])?;
    }
    let Some(audit) = cx.audit() else { return Ok(()) };
    let mark = audit.mark().await?;
    cx.cluster().apply_yaml(&release::yaml(namespace, "after", CHART, "1.0.0", "")).await?;
    release::ready_at(cx, namespace, "after", 1).await?;
    // Meanwhile the broken ones, whose status was written and came back by the watch, were left alone.
    let mut writes = audit.writes_since(mark, USER, namespace).await?;
    writes.retain(|write| write.name == "unfit");
    ensure!(writes.is_empty(), "the broken objects were written again:\n{}", counted(&writes));
    Ok(())
}

/// A defect of ours in the middle of an upgrade.
async fn panics(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let operator = cx.rig().operator()?;
    let failpoint =
        PathBuf::from(operator.variable(pintle::telemetry::failpoint::VARIABLE).context("no failpoint")?);
    std::fs::write(&failpoint, "rank-applied 1 panic").context("failed to set the failpoint")?;
    let broken = release::yaml(namespace, "broken", CHART, "1.0.0", "");
    cx.cluster().apply_yaml(&broken).await?;
    let told = ["the reconcile panicked at src/telemetry/failpoint.rs", "please report this defect"];
    let object = release::failed(cx, namespace, "broken", "InternalError", &told).await?;
    ensure!(object["status"]["failures"] == 1, "the failures are {}", object["status"]["failures"]);
    let events = cx.objects().events(namespace).await?.join("\n");
    contains(&events, &["Warning InternalError HelmRelease/broken", "the reconcile panicked"])?;
    // It is tried again by itself, and goes on where the panic left it; the process is the same all the while.
    release::ready_at(cx, namespace, "broken", 1).await?;
    cx.cluster().apply_yaml(&release::yaml(namespace, "other", CHART, "1.0.0", "")).await?;
    release::ready_at(cx, namespace, "other", 1).await?;
    operator.check().await
}
