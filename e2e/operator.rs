//! The operator: the real binary, as a user of its own, so that the audit log tells its requests apart.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::child::{self, Child, Program};
use crate::cluster::{Cluster, Kind};
use crate::control_plane::ControlPlane;

/// The user that the operator is.
pub const USER: &str = "pintle-operator";
/// The user that a second operator is.
pub const SECOND_USER: &str = "pintle-second";
/// The variable that says whether an operator takes part in the election of a leader.
pub const LEADER_ELECT: &str = "PINTLE_LEADER_ELECT";
/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_pintle");
/// Until an operator that was asked to end must have done so.
const STOP_WITHIN: Duration = Duration::from_secs(25);
/// How often it is looked after.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// Until the server must know the new kinds.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(20);

/// How the operator is run.
#[derive(Clone, Default)]
pub struct Options {
    /// Further arguments of `pintle run`.
    pub args: Vec<String>,
    /// Further variables of its environment.
    pub env: Vec<(String, String)>,
    /// What it logs; more than by default where none is given.
    pub log_filter: Option<&'static str>,
}

/// An operator that runs outside the cluster.
pub struct Operator {
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
    options: Options,
    child: Mutex<Child>,
}

impl Operator {
    /// Starts an operator for the cluster of a control plane. It takes part in no election unless its options
    /// say so, because one that was killed would keep its successor waiting.
    pub async fn start(control_plane: &ControlPlane, options: Options) -> anyhow::Result<Self> {
        Self::start_as(control_plane, USER, options).await
    }

    /// Starts an operator that is a user of its own.
    pub async fn start_as(
        control_plane: &ControlPlane,
        user: &str,
        options: Options,
    ) -> anyhow::Result<Self> {
        Self::start_at(control_plane.kubeconfig(user)?, options).await
    }

    /// Starts an operator for the cluster of a kubeconfig.
    pub async fn start_at(kubeconfig: PathBuf, options: Options) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        let child = run(&kubeconfig, folder.path(), &options).await?;
        Ok(Self { kubeconfig, folder, options, child: Mutex::new(child) })
    }

    /// Id of its process.
    pub async fn pid(&self) -> u32 {
        self.child.lock().await.pid()
    }

    /// A variable of its environment that its options set.
    pub fn variable(&self, key: &str) -> Option<&str> {
        self.options.env.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Fails when it has ended.
    pub async fn check(&self) -> anyhow::Result<()> {
        self.child.lock().await.check()
    }

    /// Comes back only when it has ended by itself.
    pub async fn died(&self) -> anyhow::Error {
        loop {
            if let Err(error) = self.check().await {
                return error;
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// Kills it, as a crash would.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.child.lock().await.kill().await?;
        Ok(())
    }

    /// The most memory that it ever had, in KiB.
    pub async fn peak_memory(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.child.lock().await.pid());
        let status = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = peak.and_then(|text| text.trim().split(' ').next()?.parse().ok());
        number.with_context(|| format!("{path} has no VmHWM"))
    }

    /// Sends a signal, by its name without `SIG`.
    pub async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        self.child.lock().await.signal(signal).await
    }

    /// Waits until it has ended by itself; how it did.
    pub async fn ended(&self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.child.lock().await.ended(within).await
    }

    /// Starts it again after [`Operator::kill`] or [`Operator::stop`]; the log goes on.
    pub async fn restart(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        *child = run(&self.kubeconfig, self.folder.path(), &self.options).await?;
        Ok(())
    }

    /// Asks it to end; how it did.
    pub async fn stop(&self) -> anyhow::Result<ExitStatus> {
        self.child.lock().await.stop(STOP_WITHIN).await
    }

    /// The last lines of its log that name `word`; the last of all when none does.
    pub async fn log(&self, word: &str, lines: usize) -> String {
        let log = child::tail(self.child.lock().await.log(), usize::MAX);
        let named: Vec<&str> = log.lines().filter(|line| line.contains(word)).collect();
        let chosen = if named.is_empty() { log.lines().collect() } else { named };
        chosen[chosen.len().saturating_sub(lines)..].join("\n")
    }
}

async fn run(kubeconfig: &Path, folder: &Path, options: &Options) -> anyhow::Result<Child> {
    let cache = folder.join("cache");
    std::fs::create_dir_all(&cache).context("failed to make a folder")?;
    let mut program = Program::new("pintle", BINARY, folder.join("operator.log"))
        .args(["run", "--log-filter", options.log_filter.unwrap_or("info,pintle=debug")])
        .args(&options.args)
        .env("KUBECONFIG", kubeconfig)
        .env("PINTLE_CACHE_DIR", cache)
        .env(LEADER_ELECT, "false")
        .env("HOME", folder);
    for (key, value) in &options.env {
        program = program.env(key, value);
    }
    program.start().await
}

/// Installs the CRDs as `pintle crds` prints them and, on a control plane of our own, gives the operator's user
/// the rights that the operator's chart gives.
pub async fn install(cluster: &Cluster, control_plane: &ControlPlane) -> anyhow::Result<()> {
    let printed = Command::new(BINARY).arg("crds").output().await.context("failed to run pintle")?;
    ensure!(printed.status.success(), "pintle crds: {}", String::from_utf8_lossy(&printed.stderr));
    let args = ["apply", "--server-side", "-f", "-"];
    let applied = cluster.try_kubectl(&args, &String::from_utf8_lossy(&printed.stdout)).await?;
    ensure!(applied.success, "kubectl {}: {}", args.join(" "), applied.stderr);
    for name in ["helmreleases.pintle.dev", "chartrepositories.pintle.dev"] {
        let objects = &cluster.objects;
        objects.wait_condition(Kind::CRD, "", name, "Established", "True", ESTABLISHED_WITHIN).await?;
    }
    if control_plane.is_existing() {
        return Ok(());
    }
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER},
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": SECOND_USER},
        ],
    });
    cluster.objects.create(Kind::CLUSTER_ROLE_BINDING, binding).await
}
