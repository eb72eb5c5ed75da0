//! The operator loses the right to watch a kind, and gets it back: what waits for such objects goes on by reads, and
//! afterwards by the watch again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::waiting;
use crate::audit::{Audit, AuditMark, Request};
use crate::cluster::Kind;
use crate::context::Context;
use crate::operator::USER;
use crate::release;

const NAME: &str = "refused";
/// A watch that is made anew so often is soon refused.
const WATCH_SECONDS: (&str, &str) = ("PINTLE_WATCH_SECONDS", "5");
/// Until a watch must have been refused, or be back: the pauses between two tries grow to half a minute.
const WITHIN: Duration = Duration::from_secs(90);
/// How often the audit log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The release may take ten minutes: only reads, or the watch, can tell in time that it is ready.
const REST: &str = "  serviceAccountName: deployer\n  timeout: 10m\n";

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    cx.alone_with(NAME, &[WATCH_SECONDS], tell).await
}

fn tell(cx: &Context) -> BoxFuture<'_, anyhow::Result<()>> {
    Box::pin(async move {
        let namespace = cx.namespace().await?;
        let server = waiting::charts()?.serve().await?;
        let audit = cx.audit().context("a control plane of one's own has an audit log")?;
        narrow(cx, &namespace).await?;
        release::repository(cx, &namespace, &server).await?;
        install(cx, &namespace, "early", "").await?;
        release::ready_at(cx, &namespace, "early", 1).await?;

        let mark = audit.mark().await?;
        cx.cluster().kubectl(&["delete", "clusterrolebinding", "narrow-apps"]).await?;
        asked(cx, audit, mark, "list", 403).await?;
        waits_and_gets_ready(cx, &namespace, "late").await?;
        release::patch(cx, &namespace, "early", json!({"values": {"tag": 2}})).await?;
        release::ready_at(cx, &namespace, "early", 2).await?;

        let mark = audit.mark().await?;
        bind(cx, "narrow-apps").await?;
        asked(cx, audit, mark, "watch", 200).await?;
        waits_and_gets_ready(cx, &namespace, "after").await?;
        let mark = audit.mark().await?;
        release::delete(cx, &namespace, "late").await?;
        let left = cx.objects().find(Kind::DEPLOYMENT, &namespace, "late").await?;
        ensure!(left.is_none(), "the Deployment is left");
        let asks = requests(audit, mark, "watch").await?;
        ensure!(asks.iter().all(|request| request.code != 403), "the watch is refused again: {asks:?}");
        Ok(())
    })
}

/// A release whose pods are kept back, and let go when it says that it waits for them.
async fn waits_and_gets_ready(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<()> {
    install(cx, namespace, name, "pending").await?;
    let waits = |release: Option<&Value>| {
        let text = release.map(|release| release["status"]["conditions"].to_string());
        text.is_some_and(|text| text.contains("waiting for Deployment"))
    };
    cx.objects().wait(Kind::HELM_RELEASE, namespace, name, "waiting", WITHIN, waits).await?;
    let label = format!("app={name}");
    cx.cluster().kubectl(&["annotate", "pod", "-n", namespace, "-l", &label, "pintle.dev/simulate-"]).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    Ok(())
}

async fn install(cx: &Context, namespace: &str, name: &str, fate: &str) -> anyhow::Result<()> {
    let rest = format!("{REST}  values: {{fate: \"{fate}\"}}\n");
    let yaml = release::yaml(namespace, name, waiting::CHART, "1.0.0", &rest).replace("  timeout: 60s\n", "");
    cx.cluster().apply_yaml(&yaml).await
}

/// The operator keeps two roles in place of all rights: one of them is only for what is in `apps`. The release is made
/// by a ServiceAccount that may do what it likes.
async fn narrow(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let rest = ["", "pintle.dev", "batch", "coordination.k8s.io", "apiextensions.k8s.io", "events.k8s.io"];
    let all = |groups: &[&str]| json!({"apiGroups": groups, "resources": ["*"], "verbs": ["*"]});
    let paths = json!({"nonResourceURLs": ["*"], "verbs": ["get"]});
    for (name, rules) in [("narrow", json!([all(&rest), paths])), ("narrow-apps", json!([all(&["apps"])]))] {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name}, "rules": rules,
        });
        cx.cluster().apply_yaml(&role.to_string()).await?;
        bind(cx, name).await?;
    }
    cx.cluster().kubectl(&["create", "serviceaccount", "deployer", "-n", namespace]).await?;
    let account = format!("--serviceaccount={namespace}:deployer");
    let args =
        ["create", "rolebinding", "deployer", "-n", namespace, "--clusterrole=cluster-admin", &account];
    cx.cluster().kubectl(&args).await?;
    cx.cluster().kubectl(&["delete", "clusterrolebinding", USER]).await?;
    Ok(())
}

/// Binds the role `name` to the operator's user, by a binding of that name.
async fn bind(cx: &Context, name: &str) -> anyhow::Result<()> {
    let (role, user) = (format!("--clusterrole={name}"), format!("--user={USER}"));
    cx.cluster().kubectl(&["create", "clusterrolebinding", name, &role, &user]).await?;
    Ok(())
}

/// Waits until the operator has asked for the Deployments, and the server has answered with that code.
async fn asked(cx: &Context, audit: &Audit, mark: AuditMark, verb: &str, code: i64) -> anyhow::Result<()> {
    let answered = async {
        loop {
            if requests(audit, mark, verb).await?.iter().any(|request| request.code == code) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let what = format!("no {verb} of Deployments was answered with {code}");
    tokio::time::timeout(WITHIN, answered).await.context(what)??;
    cx.say(format!("a {verb} of Deployments was answered with {code}"));
    Ok(())
}

/// What the operator itself asked about Deployments.
async fn requests(audit: &Audit, mark: AuditMark, verb: &str) -> anyhow::Result<Vec<Request>> {
    let mut requests = audit.all_since(mark, USER).await?;
    requests.retain(|request| request.resource == "deployments" && request.verb == verb);
    Ok(requests)
}
