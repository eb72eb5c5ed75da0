//! The life of one release: installed, upgraded, upgraded in vain, rolled back and removed by an operator of its own,
//! behind a proxy that lets one request of each action go wrong.
//!
//! Every action has all that a crash can leave half done: a hook, a test, a definition with an object of it, an object
//! that the upgrade removes, one that has to be made anew, a Secret, and a Deployment that is waited for. The upgrade in
//! vain is put right by a rollback.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use serde_json::json;
use tokio::task::JoinHandle;

use super::checker;
use super::fault::{Counts, Fault, Rule, points};
use super::faultproxy::{FaultProxy, Seen};
use super::judge::Judge;
use super::trap::Trap;
use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{self, Kind, text};
use crate::context::{Context, Rig};
use crate::operator::{self, Operator, USER};
use crate::release;

/// Name of the release.
pub const NAME: &str = "life";
/// Name of the hook's Job.
pub const HOOK: &str = "life-hook";
/// Name of the test's Job.
pub const TEST: &str = "life-test";
/// An object that is none of the release's, and must outlive it.
pub const FOREIGN: &str = "foreign";
/// Stands in the release's values and its Secret, and must stand nowhere else.
pub const CANARY: &str = "canary-3f1c7a90d2";
/// How long a watch lasts where watches go wrong: a silent one is noticed some seconds later.
const WATCH_SECONDS: (&str, &str) = ("PINTLE_WATCH_SECONDS", "2");
/// Until an action must be over, with all that is waited for in it: a run that hangs is told by its name.
const ACTION_WITHIN: Duration = Duration::from_secs(150);

const OBJECTS: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: life-hook
  annotations: {helm.sh/hook: "pre-install,pre-upgrade,pre-rollback,pre-delete"}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "registry.example/hook:1"}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: life-test, annotations: {helm.sh/hook: test}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "registry.example/test:1"}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: life-config}
data: {version: "{{ .Chart.Version }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: life-fixed}
immutable: true
data: {version: "{{ .Chart.Version }}"}
---
apiVersion: v1
kind: Secret
metadata: {name: life-secret}
stringData: {password: "{{ .Values.password }}", version: "{{ .Chart.Version }}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: life-main}
spec:
  selector: {matchLabels: {app: life}}
  template:
    metadata: {labels: {app: life}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "registry.example/main:{{ .Chart.Version }}"}]
"#;

const PRUNED: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: life-pruned}
data: {only: in the first version}
";

/// Comes after everything else, and fails. What it leaves is an orphan, unless the rollback removes it.
const BROKEN: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: life-orphan}
---
apiVersion: v1
kind: Pod
metadata:
  name: life-broken
  annotations: {helm.sh/hook: post-upgrade, pintle.dev/simulate: fail}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "registry.example/broken:1"}]
"#;

/// What is done to a release, in the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The first revision.
    Install,
    /// A newer chart, without one of the objects.
    Upgrade,
    /// A chart that fails, and is put right by a rollback.
    Remedy,
    /// Back to the first revision.
    Rollback,
    /// The HelmRelease is deleted.
    Uninstall,
}

impl Action {
    /// A whole life.
    pub const ALL: [Self; 5] = [Self::Install, Self::Upgrade, Self::Remedy, Self::Rollback, Self::Uninstall];

    /// Its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Remedy => "remedy",
            Self::Rollback => "rollback",
            Self::Uninstall => "uninstall",
        }
    }
}

/// What goes wrong in a life.
#[derive(Clone, Debug)]
pub struct Case {
    /// The actions of the life, a beginning of [`Action::ALL`].
    pub actions: &'static [Action],
    /// The fault; none for a life that goes well.
    pub rule: Option<Rule>,
    /// The only action that it strikes; each one without.
    pub only: Option<Action>,
}

impl Case {
    /// A life in which nothing goes wrong.
    pub fn calm() -> Self {
        Self { actions: &Action::ALL, rule: None, only: None }
    }

    /// A life in which the n-th request of each action goes wrong.
    pub fn new(fault: Fault, nth: usize) -> Self {
        Self { rule: Some(Rule { fault, nth }), ..Self::calm() }
    }

    fn rule(&self, action: Action) -> Option<Rule> {
        self.rule.filter(|_| self.only.is_none_or(|only| only == action))
    }
}

/// One action of a life that came to its end.
pub struct Run {
    /// Which.
    pub action: Action,
    /// The request that went wrong; none when the action makes fewer.
    pub fired: Option<String>,
    /// The requests that were counted.
    pub seen: Vec<Seen>,
    /// How long it took.
    pub took: Duration,
    /// What is not as it should be.
    pub result: anyhow::Result<()>,
}

/// A life that is over.
pub struct Lived {
    /// Its actions.
    pub runs: Vec<Run>,
    /// The operator's last words.
    pub log: String,
    /// Questions that helm was asked meanwhile.
    pub asked: usize,
}

/// Lives one life, up to the first action that does not end as it should.
pub async fn live(rig: &Arc<Rig>, case: &Case) -> anyhow::Result<Lived> {
    let mut life = Life::begin(rig, case).await?;
    let mut runs = Vec::new();
    for action in case.actions {
        let run = life.run(*action, case.rule(*action)).await;
        let failed = run.result.is_err();
        runs.push(run);
        if failed {
            break;
        }
    }
    if case.rule.is_none() && runs.iter().all(|run| run.result.is_ok()) {
        life.proxy.check_watches()?;
    }
    let log = life.operator.log("", 60).await;
    life.end().await?;
    Ok(Lived { runs, log, asked: life.judge.asked() })
}

/// A release, and who works on it.
pub struct Life {
    /// The namespace, and how to look at it.
    pub cx: Context,
    /// Its name.
    pub namespace: String,
    /// The plural and group of the release's own kind.
    pub widgets: String,
    /// UID of the object that is none of the release's.
    pub foreign: String,
    /// The operator.
    pub operator: Arc<Operator>,
    proxy: Arc<FaultProxy>,
    trap: Arc<Trap>,
    judge: Arc<Judge>,
    keeper: JoinHandle<anyhow::Error>,
    _charts: ChartServer,
    _folder: tempfile::TempDir,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Life {
    async fn begin(rig: &Arc<Rig>, case: &Case) -> anyhow::Result<Self> {
        let cx = Context::new(Arc::clone(rig), "chaos");
        let namespace = cx.namespace().await?;
        let widgets = format!("widgets.{namespace}.example");
        let charts = charts(&namespace)?.serve().await?;
        let config = |name: &str, kind: &str, data: serde_json::Value| {
            let metadata = json!({"name": name, "namespace": namespace});
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "stringData": data})
        };
        let values = json!({"values.yaml": format!("password: {CANARY}\n")});
        cx.objects().create(Kind::SECRET, config("values", "Secret", values)).await?;
        cx.objects().create(Kind::SECRET, config(FOREIGN, "Secret", json!({"a": "b"}))).await?;
        let foreign = cx.objects().get(Kind::SECRET, &namespace, FOREIGN).await?;
        let upstream = cluster::client(&rig.control_plane.kubeconfig(USER)?, "pintle-chaos").await?;
        let proxy = Arc::new(FaultProxy::start(upstream, &namespace, &[&widgets], CANARY).await?);
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        let kubeconfig = folder.path().join("kubeconfig");
        proxy.write_kubeconfig(&kubeconfig)?;
        let trap = Arc::new(Trap::new(folder.path()));
        let judge = Arc::new(Judge::new(rig, &namespace));
        let mut env = vec![trap.variable()];
        if case.rule.is_some_and(|rule| rule.fault.counts() == Counts::Watches) {
            env.push((WATCH_SECONDS.0.to_owned(), WATCH_SECONDS.1.to_owned()));
        }
        let options = operator::Options { env, ..operator::Options::default() };
        let operator = Arc::new(Operator::start_at(kubeconfig, options).await?);
        let turn = case.rule.map_or(0, |rule| rule.nth + usize::from(rule.fault == Fault::KillAfter));
        let keeper = Keeper {
            proxy: Arc::clone(&proxy),
            operator: Arc::clone(&operator),
            trap: Arc::clone(&trap),
            judge: Arc::clone(&judge),
            turn,
        };
        let keeper = tokio::spawn(keeper.keep());
        release::repository(&cx, &namespace, &charts).await?;
        Ok(Self {
            cx,
            namespace,
            widgets,
            foreign: text(&foreign, "/metadata/uid"),
            operator,
            proxy,
            trap,
            judge,
            keeper,
            _charts: charts,
            _folder: folder,
        })
    }

    async fn run(&mut self, action: Action, rule: Option<Rule>) -> Run {
        let started = Instant::now();
        self.proxy.arm(rule);
        let point = rule.filter(|rule| rule.fault.counts() == Counts::Points);
        let point = point.and_then(|rule| points().into_iter().nth(rule.nth - 1));
        let set = point.map_or(Ok(()), |point| self.trap.set(point));
        self.judge.expect(matches!(action, Action::Install | Action::Uninstall));
        // Where the operator is killed helm is asked then, and need not be in between.
        let watches_over = rule.is_some_and(|rule| !rule.fault.kills());
        let (cx, proxy, namespace) = (&self.cx, &self.proxy, self.namespace.as_str());
        let acted = tokio::select! {
            acted = act(cx, proxy, namespace, action) => acted,
            ended = &mut self.keeper => Err(ended.unwrap_or_else(|error| anyhow!(error))),
            error = self.judge.attend(proxy), if watches_over => Err(error),
            () = tokio::time::sleep(ACTION_WITHIN) => Err(proxy.hung(ACTION_WITHIN)),
        };
        let acted = set.and(acted);
        let took = started.elapsed();
        let died = point.filter(|_| self.trap.take()).map(|(point, n)| format!("{} ({n})", point.name()));
        let (seen, fired) = (self.proxy.seen(), self.proxy.fired().or(died));
        self.proxy.arm(None);
        let result = match acted {
            Ok(calm) => checker::check(self, action, &seen, calm).await,
            Err(error) => Err(error),
        };
        Run { action, fired, seen, took, result }
    }

    async fn end(&self) -> anyhow::Result<()> {
        self.operator.kill().await?;
        // Definitions of lives that are over would be served to those that come.
        self.cx
            .cluster()
            .kubectl(&["delete", "crd", &self.widgets, "--ignore-not-found", "--wait=false"])
            .await?;
        Ok(())
    }
}

/// Looks after the operator.
struct Keeper {
    proxy: Arc<FaultProxy>,
    operator: Arc<Operator>,
    trap: Arc<Trap>,
    judge: Arc<Judge>,
    /// Which helm is asked next.
    turn: usize,
}

impl Keeper {
    /// Kills the operator whenever the proxy asks for it, lets helm look at what it left, and starts it again. Comes
    /// back only with an error.
    async fn keep(mut self) -> anyhow::Error {
        loop {
            if let Err(error) = self.keep_once().await {
                return error;
            }
        }
    }

    async fn keep_once(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            () = self.proxy.kill_wanted() => self.operator.kill().await?,
            error = self.operator.died() => if !self.trap.is_sprung() {
                return Err(error);
            },
        }
        self.judge.ask_all(self.turn).await?;
        self.turn += 1;
        self.proxy.thaw();
        self.operator.restart().await
    }
}

/// Asks for an action, and waits until nothing more is to be done; how many requests there were up to the point where
/// the release said that it was ready.
async fn act(cx: &Context, proxy: &FaultProxy, namespace: &str, action: Action) -> anyhow::Result<usize> {
    match action {
        Action::Install => {
            let rest = "  valuesFrom: [{kind: Secret, name: values}]
  test: {enable: true}
  upgrade: {force: true, remediation: {remediateLastFailure: true}}
  rollback: {force: true}
";
            cx.cluster().apply_yaml(&release::yaml(namespace, NAME, NAME, "1.0.0", rest)).await?;
        }
        Action::Upgrade => {
            release::patch(cx, namespace, NAME, json!({"chart": {"version": "2.0.0"}})).await?;
        }
        Action::Remedy => {
            release::patch(cx, namespace, NAME, json!({"chart": {"version": "3.0.0"}})).await?;
        }
        Action::Rollback => release::patch(cx, namespace, NAME, json!({"rollbackTo": 1})).await?,
        Action::Uninstall => {
            release::delete(cx, namespace, NAME).await?;
            proxy.idle().await;
            return Ok(proxy.seen().len());
        }
    }
    match action {
        Action::Remedy => release::stalled(cx, namespace, NAME, "RetriesExceeded", &["life-broken"]).await?,
        _ => release::ready(cx, namespace, NAME).await?,
    };
    let calm = proxy.seen().len();
    // The echo of one more look tells that the operator has nothing left to do.
    release::request(cx, namespace, NAME, action.name()).await?;
    proxy.idle().await;
    Ok(calm)
}

fn charts(namespace: &str) -> anyhow::Result<ChartDir> {
    let charts = ChartDir::new()?;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{namespace}.example")},
        "spec": {
            // A group of its own, so that lives do not meet in a definition, which no namespace keeps apart.
            "group": format!("{namespace}.example"),
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
    .to_string();
    let widget = format!(
        "apiVersion: {namespace}.example/v1\nkind: Widget\nmetadata: {{name: life-widget}}\nsize: \"{{{{ .Chart.Version }}}}\"\n"
    );
    let files = [
        ("crds/widget.json", definition.as_str()),
        ("templates/objects.yaml", OBJECTS),
        ("templates/widget.yaml", widget.as_str()),
    ];
    charts.add(NAME, "2.0.0", &files)?;
    let broken = files.into_iter().chain([("templates/broken.yaml", BROKEN)]);
    charts.add(NAME, "3.0.0", &broken.collect::<Vec<_>>())?;
    let more = files.into_iter().chain([("templates/pruned.yaml", PRUNED)]);
    charts.add(NAME, "1.0.0", &more.collect::<Vec<_>>())?;
    Ok(charts)
}
