//! What stories do to a cluster and see of it: the real kubectl and helm, and waits that watch.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use kube_runtime::wait::await_condition;
use kube_runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::control_plane::Tools;

/// Between two looks at a starting server, which offers nothing to wait on.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Until kubectl or helm must be done.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    namespaced: bool,
}

impl Kind {
    /// Namespaces.
    pub const NAMESPACE: Self = Self::cluster("", "v1", "Namespace");
    /// Nodes.
    pub const NODE: Self = Self::cluster("", "v1", "Node");
    /// CustomResourceDefinitions.
    pub const CRD: Self = Self::cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    /// ClusterRoleBindings.
    pub const CLUSTER_ROLE_BINDING: Self =
        Self::cluster("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding");
    /// HelmReleases.
    pub const HELM_RELEASE: Self = Self::in_namespace("pintle.dev", "v1alpha1", "HelmRelease");
    /// ChartRepositories.
    pub const CHART_REPOSITORY: Self = Self::in_namespace("pintle.dev", "v1alpha1", "ChartRepository");
    /// Deployments.
    pub const DEPLOYMENT: Self = Self::in_namespace("apps", "v1", "Deployment");
    /// ReplicaSets.
    pub const REPLICA_SET: Self = Self::in_namespace("apps", "v1", "ReplicaSet");
    /// StatefulSets.
    pub const STATEFUL_SET: Self = Self::in_namespace("apps", "v1", "StatefulSet");
    /// DaemonSets.
    pub const DAEMON_SET: Self = Self::in_namespace("apps", "v1", "DaemonSet");
    /// Jobs.
    pub const JOB: Self = Self::in_namespace("batch", "v1", "Job");
    /// Pods.
    pub const POD: Self = Self::in_namespace("", "v1", "Pod");
    /// Services.
    pub const SERVICE: Self = Self::in_namespace("", "v1", "Service");
    /// ServiceAccounts.
    pub const SERVICE_ACCOUNT: Self = Self::in_namespace("", "v1", "ServiceAccount");
    /// ConfigMaps.
    pub const CONFIG_MAP: Self = Self::in_namespace("", "v1", "ConfigMap");
    /// Secrets.
    pub const SECRET: Self = Self::in_namespace("", "v1", "Secret");
    /// ResourceQuotas.
    pub const RESOURCE_QUOTA: Self = Self::in_namespace("", "v1", "ResourceQuota");
    /// Leases.
    pub const LEASE: Self = Self::in_namespace("coordination.k8s.io", "v1", "Lease");
    /// PersistentVolumeClaims.
    pub const CLAIM: Self = Self::in_namespace("", "v1", "PersistentVolumeClaim");
    /// Events.
    pub const EVENT: Self = Self::in_namespace("", "v1", "Event");

    const fn cluster(group: &'static str, version: &'static str, kind: &'static str) -> Self {
        Self { group, version, kind, namespaced: false }
    }

    const fn in_namespace(group: &'static str, version: &'static str, kind: &'static str) -> Self {
        Self { group, version, kind, namespaced: true }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.kind
    }

    fn resource(self) -> ApiResource {
        ApiResource::from_gvk(&GroupVersionKind::gvk(self.group, self.version, self.kind))
    }

    /// Whether a condition of this kind always says which generation it speaks of.
    fn says_generation(self) -> bool {
        self.group == "pintle.dev"
    }
}

/// Connects as the user of a kubeconfig, naming itself `agent`.
pub async fn client(kubeconfig: &Path, agent: &str) -> anyhow::Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig).context("failed to read the kubeconfig")?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(config, &options)
        .await
        .context("failed to use the kubeconfig")?;
    let agent = http::HeaderValue::from_str(agent).context("not a user agent")?;
    config.headers.push((http::header::USER_AGENT, agent));
    // A request that fails is looked at, not hidden.
    config.default_retry = false;
    Client::try_from(config).context("failed to make a client")
}

/// Objects of a cluster, by their kind.
#[derive(Clone)]
pub struct Objects {
    client: Client,
}

impl Objects {
    /// Objects that `client` reaches.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let resource = kind.resource();
        if kind.namespaced {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }

    /// Creates an object.
    pub async fn create(&self, kind: Kind, object: Value) -> anyhow::Result<()> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let object = serde_json::from_value(object).context("not an object")?;
        let api = self.api(kind, &namespace);
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("failed to create a {}", kind.kind))?;
        Ok(())
    }

    /// The object, if there is one.
    pub async fn find(&self, kind: Kind, namespace: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let object = self.api(kind, namespace).get_opt(name).await;
        let object = object.with_context(|| format!("failed to get {} {namespace}/{name}", kind.kind))?;
        object.map(to_value).transpose()
    }

    /// The object.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> anyhow::Result<Value> {
        let object = self.find(kind, namespace, name).await?;
        object.with_context(|| format!("there is no {} {namespace}/{name}", kind.kind))
    }

    /// All objects of the kind; in all namespaces when none is named.
    pub async fn list(&self, kind: Kind, namespace: &str, labels: &str) -> anyhow::Result<Vec<Value>> {
        let api = if namespace.is_empty() {
            Api::all_with(self.client.clone(), &kind.resource())
        } else {
            self.api(kind, namespace)
        };
        let list = api.list(&ListParams::default().labels(labels)).await;
        let list =
            list.with_context(|| format!("failed to list the {} objects of {namespace}", kind.kind))?;
        list.items.into_iter().map(to_value).collect()
    }

    /// As [`Objects::list`], from a server that has just started: its caches are filled after it said that it is ready.
    pub async fn list_served(
        &self,
        kind: Kind,
        namespace: &str,
        within: Duration,
    ) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + within;
        loop {
            match self.list(kind, namespace, "").await {
                Err(_) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                listed => return listed,
            }
        }
    }

    /// Names of all objects of the kind, sorted.
    pub async fn names(&self, kind: Kind, namespace: &str) -> anyhow::Result<Vec<String>> {
        let objects = self.list(kind, namespace, "").await?;
        let mut names: Vec<String> = objects.iter().map(|object| text(object, "/metadata/name")).collect();
        names.sort();
        Ok(names)
    }

    /// Merges `patch` into the object.
    pub async fn patch(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> anyhow::Result<Value> {
        let params = PatchParams::default();
        let patched = self.api(kind, namespace).patch(name, &params, &Patch::Merge(patch)).await;
        to_value(patched.with_context(|| format!("failed to patch {} {namespace}/{name}", kind.kind))?)
    }

    /// Deletes the object.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> anyhow::Result<()> {
        let deleted = self.api(kind, namespace).delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("failed to delete {} {namespace}/{name}", kind.kind))?;
        Ok(())
    }

    /// What there is of the kind in all namespaces, and what becomes of it.
    pub fn watch(&self, kind: Kind) -> BoxStream<'static, watcher::Result<watcher::Event<DynamicObject>>> {
        let api = Api::all_with(self.client.clone(), &kind.resource());
        watcher(api, watcher::Config::default()).boxed()
    }

    /// The objects of the kind, those that are there and each one that changes, for ever.
    pub fn changes(&self, kind: Kind, namespace: &str) -> impl Stream<Item = anyhow::Result<Value>> + use<> {
        let changes = watcher(self.api(kind, namespace), watcher::Config::default()).applied_objects();
        changes.map(|object| to_value(object.context("the watch failed")?))
    }

    /// Waits until what there is of the object, if anything, is as `wanted` says; `what` names that.
    pub async fn wait(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        what: &str,
        within: Duration,
        wanted: impl Fn(Option<&Value>) -> bool,
    ) -> anyhow::Result<Option<Value>> {
        let matches = |object: Option<&DynamicObject>| {
            let object = object.and_then(|object| serde_json::to_value(object).ok());
            wanted(object.as_ref())
        };
        match timeout(within, await_condition(self.api(kind, namespace), name, matches)).await {
            Ok(found) => found
                .with_context(|| format!("failed to watch {} {namespace}/{name}", kind.kind))?
                .map(to_value)
                .transpose(),
            Err(_) => {
                let seen = self.describe(kind, namespace, name).await;
                bail!("{} {namespace}/{name} is not {what} after {within:?}\n{seen}", kind.kind);
            }
        }
    }

    /// Waits until a condition of the object has a status, for its present generation.
    pub async fn wait_condition(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        condition: &str,
        status: &str,
        within: Duration,
    ) -> anyhow::Result<Value> {
        let what = format!("{condition}={status}");
        let found = self
            .wait(kind, namespace, name, &what, within, |object| {
                object.is_some_and(|object| {
                    current_condition(kind, object, condition).is_some_and(|found| found["status"] == status)
                })
            })
            .await?;
        found.context("the object is gone")
    }

    /// Waits until there is no such object.
    pub async fn wait_gone(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        within: Duration,
    ) -> anyhow::Result<()> {
        self.wait(kind, namespace, name, "gone", within, |object| object.is_none()).await?;
        Ok(())
    }

    /// Events of a namespace, oldest first, a line each.
    pub async fn events(&self, namespace: &str) -> anyhow::Result<Vec<String>> {
        let mut events = self.list(Kind::EVENT, namespace, "").await?;
        events.sort_by_key(|event| text(event, "/metadata/creationTimestamp"));
        Ok(events.iter().map(event_line).collect())
    }

    /// Conditions and events of an object, for people.
    async fn describe(&self, kind: Kind, namespace: &str, name: &str) -> String {
        let object = match self.find(kind, namespace, name).await {
            Ok(Some(object)) => object,
            Ok(None) => return "it does not exist".to_owned(),
            Err(error) => return format!("{error:#}"),
        };
        let mut lines = vec![format!(
            "generation {}, observed {}, deleted {}",
            object["metadata"]["generation"],
            object["status"]["observedGeneration"],
            object["metadata"]["deletionTimestamp"],
        )];
        for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
            lines.push(format!(
                "{}={} {} (generation {}): {}",
                text(condition, "/type"),
                text(condition, "/status"),
                text(condition, "/reason"),
                condition["observedGeneration"],
                text(condition, "/message"),
            ));
        }
        let suffix = format!("{}/{name}", kind.kind);
        let events = self.events(namespace).await.unwrap_or_default();
        lines.extend(events.into_iter().filter(|line| line.contains(&suffix)));
        lines.join("\n")
    }
}

fn to_value(object: DynamicObject) -> anyhow::Result<Value> {
    serde_json::to_value(object).context("the object cannot be written as JSON")
}

/// The text at a JSON pointer; empty when there is none.
pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The condition of that type.
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

/// The condition of that type, if it speaks of the object's present generation.
fn current_condition<'a>(kind: Kind, object: &'a Value, type_: &str) -> Option<&'a Value> {
    let condition = condition(object, type_)?;
    let observed =
        condition["observedGeneration"].as_i64().or(object["status"]["observedGeneration"].as_i64());
    match observed {
        Some(observed) => (object["metadata"]["generation"].as_i64() == Some(observed)).then_some(condition),
        None => (!kind.says_generation()).then_some(condition),
    }
}

fn event_line(event: &Value) -> String {
    let time = event["lastTimestamp"].as_str().or(event["eventTime"].as_str()).unwrap_or("-");
    format!(
        "{time} {} {} {}/{}: {}",
        text(event, "/type"),
        text(event, "/reason"),
        text(event, "/involvedObject/kind"),
        text(event, "/involvedObject/name"),
        text(event, "/message"),
    )
}

/// What a program printed.
pub struct Printed {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A cluster, as its administrator sees it.
pub struct Cluster {
    /// The objects.
    pub objects: Objects,
    tools: Tools,
    kubeconfig: PathBuf,
    /// kubectl's and helm's home: neither reads nor leaves anything in the one of the caller.
    home: TempDir,
}

impl Cluster {
    /// The cluster of a kubeconfig.
    pub async fn new(tools: Tools, kubeconfig: &Path) -> anyhow::Result<Self> {
        let client = client(kubeconfig, "pintle-e2e").await?;
        let home = tempfile::tempdir().context("failed to make a folder")?;
        let objects = Objects::new(client);
        Ok(Self { objects, tools, kubeconfig: kubeconfig.to_owned(), home })
    }

    /// Runs kubectl; what it printed, or its complaint as an error.
    pub async fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        succeeded("kubectl", args, self.try_kubectl(args, "").await?)
    }

    /// Runs kubectl with a text on its standard input.
    pub async fn try_kubectl(&self, args: &[&str], input: &str) -> anyhow::Result<Printed> {
        self.run(&self.tools.kubectl, args, input).await
    }

    /// Runs helm; what it printed, or its complaint as an error.
    pub async fn helm(&self, args: &[&str]) -> anyhow::Result<String> {
        succeeded("helm", args, self.try_helm(args).await?)
    }

    /// Runs helm 3; what it printed, or its complaint as an error.
    pub async fn helm3(&self, args: &[&str]) -> anyhow::Result<String> {
        succeeded("helm3", args, self.try_helm3(args).await?)
    }

    /// Runs helm.
    pub async fn try_helm(&self, args: &[&str]) -> anyhow::Result<Printed> {
        self.run(&self.tools.helm, args, "").await
    }

    /// Runs helm 3.
    pub async fn try_helm3(&self, args: &[&str]) -> anyhow::Result<Printed> {
        self.run(&self.tools.helm3, args, "").await
    }

    /// Applies objects, as `kubectl apply -f -`.
    pub async fn apply_yaml(&self, yaml: &str) -> anyhow::Result<()> {
        let args = ["apply", "-f", "-"];
        succeeded("kubectl", &args, self.try_kubectl(&args, yaml).await?)?;
        Ok(())
    }

    /// Runs a line as a shell in `folder` does, with our kubectl and helm before all others.
    pub async fn shell(&self, line: &str, folder: &Path) -> anyhow::Result<Printed> {
        let mut command = self.command(Path::new("/bin/sh"))?;
        command.args(["-c", line]).current_dir(folder);
        print(command, "").await.with_context(|| line.to_owned())
    }

    async fn run(&self, program: &Path, args: &[&str], input: &str) -> anyhow::Result<Printed> {
        let mut command = self.command(program)?;
        command.args(args);
        print(command, input).await.with_context(|| format!("{} {args:?}", program.display()))
    }

    fn command(&self, program: &Path) -> anyhow::Result<Command> {
        let own = self.tools.kubectl.parent().filter(|folder| folder.is_absolute()).map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path)));
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home.path()).env("KUBECONFIG", &self.kubeconfig);
        command.env("PATH", path.context("PATH cannot be extended")?);
        Ok(command)
    }
}

async fn print(mut command: Command, input: &str) -> anyhow::Result<Printed> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().context("failed to start it")?;
    let mut stdin = process.stdin.take().context("it has no standard input")?;
    let work = async {
        // One that does not read its input to the end is judged by its exit code.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        process.wait_with_output().await
    };
    let output = timeout(COMMAND_WITHIN, work).await;
    let output = output.with_context(|| format!("not done after {COMMAND_WITHIN:?}"))?;
    let output = output.context("failed to wait for it")?;
    Ok(Printed {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn succeeded(program: &str, args: &[&str], printed: Printed) -> anyhow::Result<String> {
    ensure!(printed.success, "{program} {}: {}", args.join(" "), printed.stderr.trim());
    Ok(printed.stdout)
}

/// Fails unless `text` contains each of `parts`.
pub fn contains(text: &str, parts: &[&str]) -> anyhow::Result<()> {
    match parts.iter().find(|part| !text.contains(*part)) {
        None => Ok(()),
        Some(part) => Err(anyhow!("`{part}` is missing in: {text}")),
    }
}
