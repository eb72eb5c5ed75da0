//! What a small release costs the API server: the requests of each action, counted one by one, within their budgets.
//!
//! Requests are counted by hundreds of releases in `bench-cluster`; here the same numbers are asserted for one.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::audit::{Audit, AuditMark, counted};
use crate::cluster::Kind;
use crate::context::Context;
use crate::operator::USER;
use crate::release;

const NAME: &str = "thrifty";
/// Writes and reads that an action may cost; a dry run counts as a read.
const INSTALL: (usize, usize) = (9, 4);
const UPGRADE: (usize, usize) = (8, 4);
const NO_OP: (usize, usize) = (1, 0);
const UNINSTALL: (usize, usize) = (8, 4);

/// A ServiceAccount, a ConfigMap, a Service and a Deployment, as `helm create` has them.
const OBJECTS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: thrifty}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: thrifty}
data: {greeting: "{{ .Values.greeting }}"}
---
apiVersion: v1
kind: Service
metadata: {name: thrifty}
spec:
  selector: {app: thrifty}
  ports: [{port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: thrifty}
spec:
  selector: {matchLabels: {app: thrifty}}
  template:
    metadata: {labels: {app: thrifty}}
    spec: {containers: [{name: main, image: "registry.example/thrifty:1"}]}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let (namespace, _server) = release::place(cx, NAME, OBJECTS, "greeting: hello\n").await?;
    // The kinds are known and watched from here on, as by every operator that has installed something.
    let no_wait = "  install: {disableWait: true}\n  upgrade: {disableWait: true}\n";
    let yaml = |name: &str| release::yaml(&namespace, name, NAME, "1.x", no_wait);
    cx.cluster().apply_yaml(&yaml("first")).await?;
    release::ready_at(cx, &namespace, "first", 1).await?;
    let kind = Kind::HELM_RELEASE;
    cx.objects().delete(kind, &namespace, "first").await?;
    cx.objects().wait_gone(kind, &namespace, "first", release::WITHIN).await?;

    let Some(audit) = cx.audit() else { return Ok(()) };
    let mark = audit.mark().await?;
    cx.cluster().apply_yaml(&yaml(NAME)).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;
    within(cx, audit, mark, &namespace, "an install", INSTALL).await?;

    // Of what the controllers write to the Deployment nothing is left to come.
    let (deployments, within_time) = (Kind::DEPLOYMENT, release::WITHIN);
    cx.objects().wait_condition(deployments, &namespace, NAME, "Available", "True", within_time).await?;
    let mark = audit.mark().await?;
    release::patch(cx, &namespace, NAME, json!({"values": {"greeting": "bye"}})).await?;
    release::ready_at(cx, &namespace, NAME, 2).await?;
    within(cx, audit, mark, &namespace, "an upgrade of one object", UPGRADE).await?;

    let mark = audit.mark().await?;
    release::request(cx, &namespace, NAME, "again").await?;
    within(cx, audit, mark, &namespace, "a requested reconcile", NO_OP).await?;

    let mark = audit.mark().await?;
    cx.objects().delete(kind, &namespace, NAME).await?;
    cx.objects().wait_gone(kind, &namespace, NAME, release::WITHIN).await?;
    within(cx, audit, mark, &namespace, "an uninstall", UNINSTALL).await?;
    let left = cx.objects().list(Kind::SECRET, &namespace, "owner=helm").await?;
    ensure!(left.iter().all(Value::is_null), "records are left");
    Ok(())
}

/// Fails when more was asked of the server since `mark` than the budget, writes and reads, allows.
async fn within(
    cx: &Context,
    audit: &Audit,
    mark: AuditMark,
    namespace: &str,
    what: &str,
    (writes, reads): (usize, usize),
) -> anyhow::Result<()> {
    let mut requests = audit.since(mark, USER, namespace).await?;
    requests.retain(|request| request.verb != "watch");
    let written = requests.iter().filter(|request| request.is_write()).count();
    let read = requests.len() - written;
    let list = format!("{what} costs {written} writes and {read} reads:\n{}", counted(&requests));
    cx.say(list.clone());
    ensure!(written <= writes && read <= reads, "{list}\nIt may cost {writes} writes and {reads} reads.");
    Ok(())
}
