//! One chart with hooks at all events, of several kinds, weights and delete policies, lives the same life three times:
//! by the real helm 4, by the real helm 3, and by Pintle. What is made and deleted, in which order, what is left after
//! each step, and which phase helm shows of each hook are the same.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::audit::AuditMark;
use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::operator::USER;
use crate::release;

const NAME: &str = "rites";

/// A name that begins with `a` comes before one that begins with `b` where the weights are equal, whatever their kinds.
const HOOKS: &str = r#"
{{- range $event := list "pre-install" "post-install" "pre-upgrade" "post-upgrade" "pre-rollback" "post-rollback" "pre-delete" "post-delete" }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $event }}-last
  annotations:
    helm.sh/hook: {{ $event }}
    helm.sh/hook-weight: "5"
    helm.sh/hook-delete-policy: before-hook-creation,hook-failed
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {pintle.dev/simulate: "{{ if eq $event $.Values.fail }}fail{{ end }}"}}
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "registry.example/last:1"}]
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $event }}-b
  annotations: {helm.sh/hook: {{ $event }}}
data: {text: "{{ $.Values.text }}"}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ $event }}-a
  annotations:
    helm.sh/hook: {{ $event }}
    helm.sh/hook-delete-policy: hook-succeeded, before-hook-creation
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "registry.example/a:1"}]
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $event }}-first
  annotations:
    helm.sh/hook: {{ $event }}
    helm.sh/hook-weight: "-5"
    helm.sh/hook-delete-policy: hook-succeeded,hook-failed
{{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: many-events
  annotations: {helm.sh/hook: "post-install,post-upgrade,post-rollback", helm.sh/hook-weight: "9"}
"#;

const MAIN: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: main}
data: {text: "{{ .Values.text }}"}
"#;

/// Kinds that the chart has, as the audit log names them.
const RESOURCES: [&str; 4] = ["configmaps", "jobs", "pods", "serviceaccounts"];

/// Who leads a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    Helm4,
    Helm3,
    Pintle,
}

/// One life, in a namespace of its own.
struct Life<'a> {
    cx: &'a Context,
    hand: Hand,
    namespace: String,
    chart: &'a str,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    /// `make configmaps/main`, `delete pods/pre-install-a`, in this order.
    writes: Vec<String>,
    /// The objects that are there afterwards.
    left: Vec<String>,
    /// The phase of each hook, as helm shows it.
    phases: BTreeMap<String, String>,
}

impl Trace {
    fn hooks_only(&self) -> Self {
        let writes =
            self.writes.iter().filter(|write| !write.ends_with("configmaps/main")).cloned().collect();
        Self { writes, left: self.left.clone(), phases: self.phases.clone() }
    }
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let charts = ChartDir::new()?;
    let files = [
        ("templates/hooks.yaml", HOOKS),
        ("templates/main.yaml", MAIN),
        ("values.yaml", "text: one\nfail: \"\"\n"),
    ];
    let chart = charts.add(NAME, "1.0.0", &files)?.to_string_lossy().into_owned();
    let server = charts.serve().await?;
    let chart = chart.as_str();
    let life = async |hand| anyhow::Ok(Life { cx, hand, namespace: cx.namespace().await?, chart });
    let (four, three, ours) = (life(Hand::Helm4).await?, life(Hand::Helm3).await?, life(Hand::Pintle).await?);
    release::repository(cx, &ours.namespace, &server).await?;
    for step in ["install", "upgrade", "upgrade that fails", "rollback", "uninstall"] {
        let (four, three, ours) = futures::try_join!(four.step(step), three.step(step), ours.step(step))?;
        same("Pintle", &ours, &four).with_context(|| step.to_owned())?;
        // helm 3 sends no patch that would change nothing.
        same("helm 3", &three.hooks_only(), &four.hooks_only()).with_context(|| step.to_owned())?;
        ensure!(step != "install" || four.writes.len() >= 10, "helm wrote only {:?}", four.writes);
        cx.say(format!("{step}: {}", four.writes.join(", ")));
    }
    Ok(())
}

fn same(who: &str, found: &Trace, helm: &Trace) -> anyhow::Result<()> {
    ensure!(
        found.writes == helm.writes,
        "{who} wrote\n{}\nand helm\n{}",
        found.writes.join("\n"),
        helm.writes.join("\n")
    );
    ensure!(found.left == helm.left, "{who} left {:?}, helm {:?}", found.left, helm.left);
    ensure!(found.phases == helm.phases, "{who}'s hooks are {:?}, helm's {:?}", found.phases, helm.phases);
    Ok(())
}

impl Life<'_> {
    async fn step(&self, step: &str) -> anyhow::Result<Trace> {
        let audit = self.cx.audit().context("without an audit log there is nothing to compare")?;
        let mark = audit.mark().await?;
        match self.hand {
            Hand::Pintle => self.by_pintle(step).await?,
            Hand::Helm4 | Hand::Helm3 => self.by_helm(step).await?,
        }
        Ok(Trace {
            writes: self.writes(mark).await?,
            left: self.left().await?,
            phases: match step {
                "uninstall" => BTreeMap::new(),
                // helm copies what became of other hooks from the revision that it goes back to; Pintle does not.
                "rollback" => self.phases(|name| name.contains("rollback") || name == "many-events").await?,
                _ => self.phases(|_| true).await?,
            },
        })
    }

    async fn by_helm(&self, step: &str) -> anyhow::Result<()> {
        let (args, succeeds): (&[&str], _) = match step {
            "install" => (&["install", NAME, self.chart], true),
            "upgrade" => (&["upgrade", NAME, self.chart, "--set", "text=two"], true),
            "upgrade that fails" => {
                (&["upgrade", NAME, self.chart, "--set", "text=three,fail=pre-upgrade"], false)
            }
            "rollback" => (&["rollback", NAME, "2"], true),
            _ => (&["uninstall", NAME], true),
        };
        let args = [args, &["-n", &self.namespace]].concat();
        let cluster = self.cx.cluster();
        let printed = if self.hand == Hand::Helm3 {
            cluster.try_helm3(&args).await?
        } else {
            cluster.try_helm(&args).await?
        };
        ensure!(printed.success == succeeds, "{:?} {args:?}: {}", self.hand, printed.stderr);
        Ok(())
    }

    async fn by_pintle(&self, step: &str) -> anyhow::Result<()> {
        let Self { cx, namespace, .. } = self;
        match step {
            "install" => {
                cx.cluster().apply_yaml(&release::yaml(namespace, NAME, NAME, "1.0.0", "")).await?;
                release::ready_at(cx, namespace, NAME, 1).await?;
            }
            "upgrade" => {
                release::patch(cx, namespace, NAME, json!({"values": {"text": "two"}})).await?;
                release::ready_at(cx, namespace, NAME, 2).await?;
            }
            "upgrade that fails" => {
                let values = json!({"values": {"text": "three", "fail": "pre-upgrade"}});
                release::patch(cx, namespace, NAME, values).await?;
                let message = ["pre-upgrade hook Job", "pre-upgrade-last"];
                release::failed(cx, namespace, NAME, "HookFailed", &message).await?;
                // helm does not try again by itself.
                release::patch(cx, namespace, NAME, json!({"suspend": true})).await?;
            }
            "rollback" => {
                release::patch(cx, namespace, NAME, json!({"suspend": false, "rollbackTo": 2})).await?;
                release::ready(cx, namespace, NAME).await?;
            }
            _ => release::delete(cx, namespace, NAME).await?,
        }
        Ok(())
    }

    /// What was made and deleted of the chart's objects since, in order.
    async fn writes(&self, mark: AuditMark) -> anyhow::Result<Vec<String>> {
        let audit = self.cx.audit().context("there is no audit log")?;
        let by_us = |user: &str, agent: &str| match self.hand {
            Hand::Pintle => user == USER,
            // The controllers are the same user as helm is.
            Hand::Helm4 | Hand::Helm3 => agent.starts_with("Helm/"),
        };
        let requests = audit.anybodys_since(mark, &self.namespace).await?;
        let ours = requests.iter().filter(|r| {
            r.is_write() && r.code < 300 && RESOURCES.contains(&&*r.resource) && by_us(&r.user, &r.agent)
        });
        let writes = ours.map(|request| {
            let verb = if request.verb == "delete" { "delete" } else { "make" };
            format!("{verb} {}/{}", request.resource, request.name)
        });
        Ok(writes.collect())
    }

    /// The chart's objects that are there, and are not about to go.
    async fn left(&self) -> anyhow::Result<Vec<String>> {
        let mut left = Vec::new();
        for kind in [Kind::CONFIG_MAP, Kind::JOB, Kind::POD, Kind::SERVICE_ACCOUNT] {
            for object in self.cx.objects().list(kind, &self.namespace, "").await? {
                let metadata = &object["metadata"];
                let name = text(metadata, "/name");
                let given = ["kube-root-ca.crt", "default"].contains(&name.as_str());
                if !given && metadata["ownerReferences"].is_null() && metadata["deletionTimestamp"].is_null()
                {
                    left.push(format!("{} {name}", kind.name()));
                }
            }
        }
        left.sort();
        Ok(left)
    }

    /// The phase of each hook, and whether helm knows when it began and ended.
    async fn phases(&self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<BTreeMap<String, String>> {
        let printed = self.cx.cluster().helm(&["status", NAME, "-n", &self.namespace, "-o", "json"]).await?;
        let record: Value = serde_json::from_str(&printed).context("helm's status is no JSON")?;
        let hooks = record["hooks"].as_array().context("the record has no hooks")?;
        let known = |run: &Value, key: &str| {
            run[key].as_str().is_some_and(|at| !at.is_empty() && !at.starts_with("0001"))
        };
        let phases = hooks.iter().map(|hook| {
            let run = &hook["last_run"];
            let (began, ended) = (known(run, "started_at"), known(run, "completed_at"));
            (text(hook, "/name"), format!("{} began={began} ended={ended}", text(run, "/phase")))
        });
        Ok(phases.filter(|(name, _)| wanted(name)).collect())
    }
}
