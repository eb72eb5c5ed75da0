//! What a story has: the shared rig, namespaces of its own, and a log that is shown when it fails.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::future::BoxFuture;

use crate::audit::Audit;
use crate::cluster::{Cluster, Kind, Objects};
use crate::control_plane::{self, ControlPlane};
use crate::operator::{self, Operator};
use crate::output;

/// Until a new namespace must have what every pod in it needs.
const NAMESPACE_WITHIN: Duration = Duration::from_secs(30);
/// Until a namespace on an existing cluster must be empty again.
const CLEAN_WITHIN: Duration = Duration::from_secs(90);
/// How often the processes are looked after.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// The processes that all stories share.
pub struct Rig {
    /// The control plane.
    pub control_plane: ControlPlane,
    /// The cluster, as its administrator.
    pub cluster: Cluster,
    /// The audit log; none of an existing cluster.
    pub audit: Option<Audit>,
    operator: Option<Operator>,
}

impl Rig {
    /// Starts a control plane and, when asked, the operator with all that it needs.
    pub async fn start(with_operator: bool) -> anyhow::Result<Self> {
        Self::start_with(with_operator.then_some(&[])).await
    }

    /// The same; the operator has these further variables in its environment.
    async fn start_with(operator: Option<&[(&str, &str)]>) -> anyhow::Result<Self> {
        let options = control_plane::Options {
            users: vec![operator::USER.to_owned(), operator::SECOND_USER.to_owned()],
        };
        let control_plane = ControlPlane::start(options).await?;
        let cluster = Cluster::new(control_plane.tools().clone(), control_plane.admin_kubeconfig()).await?;
        let audit = control_plane.audit_log().map(|path| Audit::new(path, cluster.objects.clone()));
        let mut rig = Self { control_plane, cluster, audit, operator: None };
        if let Some(further) = operator {
            operator::install(&rig.cluster, &rig.control_plane).await?;
            let env = [(operator::LEADER_ELECT, "true")].iter().chain(further);
            let env = env.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let options = operator::Options { env, ..operator::Options::default() };
            rig.operator = Some(Operator::start(&rig.control_plane, options).await?);
        }
        Ok(rig)
    }

    /// The operator.
    pub fn operator(&self) -> anyhow::Result<&Operator> {
        self.operator.as_ref().context("the story is not listed as one that needs the operator")
    }

    /// Comes back only when a process has ended that should not.
    pub async fn died(&self) -> anyhow::Error {
        loop {
            if let Err(error) = self.check().await {
                return error;
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    async fn check(&self) -> anyhow::Result<()> {
        self.control_plane.check().await?;
        match &self.operator {
            Some(operator) => operator.check().await,
            None => Ok(()),
        }
    }

    /// Ends all processes in order. An operator that does not end well is an error.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let ended = match &self.operator {
            Some(operator) => Some(operator.stop().await?),
            None => None,
        };
        self.control_plane.stop().await?;
        if let Some(status) = ended.filter(|status| !status.success()) {
            anyhow::bail!("the operator was asked to end and did so with {status}");
        }
        Ok(())
    }
}

/// A story that cannot be told here, and why.
#[derive(Debug)]
pub struct Skipped(pub String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

/// One story's view.
pub struct Context {
    rig: Arc<Rig>,
    story: String,
    log: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
    namespaces: Mutex<Vec<String>>,
}

impl Context {
    /// Tells a story on a control plane and an operator of its own, which it may kill; skipped on a cluster that exists.
    pub async fn alone(
        &self,
        name: &'static str,
        tell: for<'a> fn(&'a Context) -> BoxFuture<'a, anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        self.alone_with(name, &[], tell).await
    }

    /// The same; the operator has these further variables in its environment.
    pub async fn alone_with(
        &self,
        name: &'static str,
        env: &[(&str, &str)],
        tell: for<'a> fn(&'a Context) -> BoxFuture<'a, anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        if self.rig().control_plane.is_existing() {
            return Err(Skipped("the operator of an existing cluster is not ours to stop".to_owned()).into());
        }
        let rig = Arc::new(Rig::start_with(Some(env)).await?);
        let own = Self::new(Arc::clone(&rig), name);
        let told = tell(&own).await;
        if told.is_err() {
            own.print_failure().await;
        }
        rig.stop().await?;
        told
    }

    /// The view of a story.
    pub fn new(rig: Arc<Rig>, story: &str) -> Self {
        Self {
            rig,
            story: story.replace('_', "-"),
            log: Mutex::default(),
            notes: Mutex::default(),
            namespaces: Mutex::default(),
        }
    }

    /// The shared processes.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.rig.cluster
    }

    /// Its objects.
    pub fn objects(&self) -> &Objects {
        &self.rig.cluster.objects
    }

    /// The audit log. Without one what hangs on it is left out, aloud.
    pub fn audit(&self) -> Option<&Audit> {
        if self.rig.audit.is_none() {
            self.note("requests are not counted: an existing cluster's audit log is not at hand");
        }
        self.rig.audit.as_ref()
    }

    /// Logs what the story does; shown when it fails.
    pub fn say(&self, text: impl Into<String>) {
        push(&self.log, text.into());
    }

    /// Says something that is shown even when the story passes.
    pub fn note(&self, text: &str) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.iter().any(|note| note == text) {
            notes.push(text.to_owned());
        }
    }

    /// What [`Context::note`] was given.
    pub fn notes(&self) -> Vec<String> {
        copy(&self.notes)
    }

    /// A name that nobody else in the cluster has.
    pub fn unique(&self, name: &str) -> String {
        format!("{name}-{:08x}", rand::random::<u32>())
    }

    /// Makes a namespace and waits until pods can be made in it.
    pub async fn namespace(&self) -> anyhow::Result<String> {
        let name = self.unique(&self.story);
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.objects().create(Kind::NAMESPACE, object).await?;
        push(&self.namespaces, name.clone());
        let wanted = |object: Option<&serde_json::Value>| object.is_some();
        let kind = Kind::SERVICE_ACCOUNT;
        self.objects().wait(kind, &name, "default", "there", NAMESPACE_WITHIN, wanted).await?;
        self.say(format!("namespace {name}"));
        Ok(name)
    }

    /// Prints the story's log, the events of its namespaces, and what the operator logged of them.
    pub async fn print_failure(&self) {
        for line in copy(&self.log) {
            output::indented(&format!("- {line}"));
        }
        for namespace in copy(&self.namespaces) {
            output::line(format!("  events of {namespace}:"));
            match self.objects().events(&namespace).await {
                Ok(events) => output::indented(&events.join("\n")),
                Err(error) => output::indented(&format!("{error:#}")),
            }
            if let Ok(operator) = self.rig.operator() {
                output::line(format!("  the operator on {namespace}:"));
                output::indented(&operator.log(&namespace, 40).await);
            }
        }
    }

    /// Leaves an existing cluster as it was; one of our own goes as a whole.
    pub async fn clean(&self) -> anyhow::Result<()> {
        if !self.rig.control_plane.is_existing() {
            return Ok(());
        }
        for namespace in copy(&self.namespaces) {
            for name in self.objects().names(Kind::HELM_RELEASE, &namespace).await.unwrap_or_default() {
                self.cluster().kubectl(&["delete", "hr", &name, "-n", &namespace, "--wait=false"]).await?;
                self.objects().wait_gone(Kind::HELM_RELEASE, &namespace, &name, CLEAN_WITHIN).await?;
            }
            self.cluster().kubectl(&["delete", "namespace", &namespace, "--wait=false"]).await?;
        }
        Ok(())
    }
}

fn push(list: &Mutex<Vec<String>>, text: String) {
    list.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}

fn copy(list: &Mutex<Vec<String>>) -> Vec<String> {
    list.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
