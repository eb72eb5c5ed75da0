//! A Kubernetes control plane of this machine: etcd, API server, controllers, scheduler, and kwok for nodes.
//!
//! Each one is apart from all others: free ports, tokens drawn for this run, a folder of its own, and a
//! certificate authority that only its own clients trust, so that nobody talks to the wrong one. Several run at
//! once. With `PINTLE_USE_EXISTING_CLUSTER=1` the cluster of `KUBECONFIG` takes its place.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::child::{self, Child, Program, Sweeper};
use crate::cluster::{Kind, Objects};

/// The place of the API server among the programs, in the order of their starts.
const API_SERVER: usize = 1;
/// Name of the administrator's user.
const ADMIN: &str = "pintle-admin";
/// Times that a start is tried, should a port be taken by somebody else meanwhile.
const TRIES: u32 = 3;
/// Until the API server must be ready: a busy machine is slow.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at a starting program, which offers nothing to wait on.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Until a program that was asked to end is killed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Says that there is a cluster already.
pub const USE_EXISTING: &str = "PINTLE_USE_EXISTING_CLUSTER";

/// What a control plane should be like.
pub struct Options {
    /// Users besides the administrator. They may do nothing until a role is bound to them.
    pub users: Vec<String>,
}

/// A running control plane.
pub struct ControlPlane {
    tools: Tools,
    kubeconfig: PathBuf,
    own: Option<Own>,
}

/// What goes with a control plane that was started here. Children end before the folder goes.
struct Own {
    /// In the order of their starts.
    children: Mutex<Vec<Child>>,
    assets: PathBuf,
    server: Server,
    audit: PathBuf,
    _sweeper: Sweeper,
    dir: TempDir,
}

impl ControlPlane {
    /// Starts a control plane and waits until it schedules, or takes the existing one.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        if std::env::var_os(USE_EXISTING).is_some_and(|value| value == "1") {
            return Self::existing();
        }
        let assets = build().await?;
        let mut tried = 1;
        loop {
            match Self::start_once(&assets, &options).await {
                Err(error) if tried < TRIES && format!("{error:#}").contains("address already in use") => {
                    tried += 1
                }
                result => return result.context("failed to start a control plane"),
            }
        }
    }

    fn existing() -> anyhow::Result<Self> {
        let kubeconfig = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty());
        let kubeconfig =
            kubeconfig.with_context(|| format!("{USE_EXISTING} is set and KUBECONFIG is not"))?;
        Ok(Self { tools: Tools::of_path(), kubeconfig: kubeconfig.into(), own: None })
    }

    async fn start_once(assets: &Path, options: &Options) -> anyhow::Result<Self> {
        let dir =
            tempfile::Builder::new().prefix("pintle-e2e-").tempdir().context("failed to make a folder")?;
        let sweeper = Sweeper::new(dir.path())?;
        let server = Server::new(dir.path(), &options.users)?;
        let mut starting = Starting { assets, dir: dir.path(), children: Vec::new() };
        starting.start(&server).await?;
        let children = Mutex::new(starting.children);
        let audit = dir.path().join("audit.log");
        let kubeconfig = server.kubeconfig(ADMIN)?;
        let own = Own { children, assets: assets.to_owned(), server, audit, _sweeper: sweeper, dir };
        Ok(Self { tools: Tools::of(assets), kubeconfig, own: Some(own) })
    }

    /// Whether it was there before.
    pub fn is_existing(&self) -> bool {
        self.own.is_none()
    }

    /// Kubeconfig of the administrator.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Kubeconfig of a user named in the options; of an existing cluster, the one that there is.
    pub fn kubeconfig(&self, user: &str) -> anyhow::Result<PathBuf> {
        match &self.own {
            Some(own) => own.server.kubeconfig(user),
            None => Ok(self.kubeconfig.clone()),
        }
    }

    /// Where kubectl and helm are.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The audit log; none of an existing cluster.
    pub fn audit_log(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.audit.as_path())
    }

    /// Fails when one of the programs has ended.
    pub async fn check(&self) -> anyhow::Result<()> {
        if let Some(own) = &self.own {
            for child in own.children.lock().await.iter_mut() {
                child.check()?;
            }
        }
        Ok(())
    }

    /// Process ids of the store and of the API server.
    pub async fn server_pids(&self) -> anyhow::Result<(u32, u32)> {
        let own =
            self.own.as_ref().context("the processes of an existing cluster are not ours to look at")?;
        let children = own.children.lock().await;
        Ok((children[0].pid(), children[API_SERVER].pid()))
    }

    /// Ends controllers, scheduler and kwok: what is applied from here on stays as it was applied.
    pub async fn stop_controllers(&self) -> anyhow::Result<()> {
        let own = self.own.as_ref().context("the controllers of an existing cluster are not ours to end")?;
        let mut children = own.children.lock().await;
        for mut child in children.drain(API_SERVER + 1..) {
            child.kill().await?;
        }
        Ok(())
    }

    /// Kills the API server and starts it again: the same port, the same certificate, what etcd has. Comes back when it
    /// is ready.
    pub async fn crash_api_server(&self) -> anyhow::Result<()> {
        let own = self.own.as_ref().context("the API server of an existing cluster is not ours to kill")?;
        let mut children = own.children.lock().await;
        let assets = &own.assets;
        let mut tried = 1;
        loop {
            children[API_SERVER].kill().await?;
            let mut starting = Starting { assets, dir: own.dir.path(), children: Vec::new() };
            starting.api_server(&own.server).await?;
            let ready = starting.ready(&self.kubeconfig).await;
            children.splice(API_SERVER..=API_SERVER, starting.children);
            match ready {
                // Anybody's connection may have got the port meanwhile.
                Err(error) if tried < TRIES && format!("{error:#}").contains("address already in use") => {
                    tried += 1;
                }
                ready => return ready.map(|_: kube::Client| ()).context("failed to restart the API server"),
            }
        }
    }

    /// Ends the programs, clients first: an API server lingers when its etcd goes before it.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let Some(own) = &self.own else { return Ok(()) };
        let mut children = std::mem::take(&mut *own.children.lock().await);
        while let Some(mut child) = children.pop() {
            // Nothing of theirs is kept, so only the server and the store get the time to end by themselves.
            let result = if children.len() > 1 { child.kill().await } else { child.stop(PATIENCE).await };
            result.map(|_: ExitStatus| ())?;
        }
        std::fs::remove_dir_all(own.dir.path()).context("failed to remove the folder of the control plane")
    }
}

/// Programs that stories run.
#[derive(Clone)]
pub struct Tools {
    /// kubectl.
    pub kubectl: PathBuf,
    /// helm.
    pub helm: PathBuf,
    /// helm 3, whose releases are taken over.
    pub helm3: PathBuf,
    /// A registry.
    pub registry: PathBuf,
}

impl Tools {
    fn of(assets: &Path) -> Self {
        Self {
            kubectl: assets.join("kubectl"),
            helm: assets.join("helm"),
            helm3: assets.join("helm3"),
            registry: assets.join("registry"),
        }
    }

    fn of_path() -> Self {
        Self {
            kubectl: "kubectl".into(),
            helm: "helm".into(),
            helm3: "helm3".into(),
            registry: "registry".into(),
        }
    }
}

/// Builds the programs, which takes minutes once; the folder that holds them. Progress shows on standard error.
async fn build() -> anyhow::Result<PathBuf> {
    let script = here().join("build");
    let output = Command::new(&script).stderr(Stdio::inherit()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("failed to run {}", script.display()))?;
    ensure!(output.status.success(), "{} failed ({})", script.display(), output.status);
    let path = String::from_utf8(output.stdout).context("the path of the programs is no text")?;
    Ok(path.trim_end().into())
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/controlplane")
}

/// Addresses, files and tokens of an API server.
struct Server {
    dir: PathBuf,
    port: u16,
    etcd: u16,
    etcd_peer: u16,
    /// Where kwok answers in place of the kubelets.
    kubelet: u16,
    tokens: Vec<(String, String)>,
}

impl Server {
    fn new(dir: &Path, users: &[String]) -> anyhow::Result<Self> {
        let [port, etcd, etcd_peer, kubelet] = free_ports()?;
        let users = std::iter::once(ADMIN).chain(users.iter().map(String::as_str));
        let tokens = users.map(|user| (user.to_owned(), token())).collect();
        let server = Self { dir: dir.to_owned(), port, etcd, etcd_peer, kubelet, tokens };
        server.write("tokens.csv", &server.token_file())?;
        server.write("service-account.key", &private_key())?;
        server.write("audit.yaml", AUDIT_POLICY)?;
        server.write("container.log", &container_log(&[]))?;
        server.write("leaky.log", &container_log(&[&format!("connecting with the password {LEAKED}")]))?;
        server.write("logs.yaml", &server.logs())?;
        for (user, token) in &server.tokens {
            server.write(&format!("{user}.kubeconfig"), &server.kubeconfig_of(user, token))?;
        }
        Ok(server)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        std::fs::write(self.dir.join(name), text).with_context(|| format!("failed to write {name}"))
    }

    fn token_file(&self) -> String {
        let group = |user: &str| if user == ADMIN { ",\"system:masters\"" } else { "" };
        self.tokens.iter().map(|(user, token)| format!("{token},{user},{user}{}\n", group(user))).collect()
    }

    /// What kwok gives as the logs of containers.
    fn logs(&self) -> String {
        let log = |containers: &[&str], name: &str| json!({"containers": containers, "logsFile": self.dir.join(name), "previousLogsFile": self.dir.join(name)});
        let config = json!({
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterLogs",
            "metadata": {"name": "all"},
            "spec": {"logs": [log(&["leaky"], "leaky.log"), log(&[], "container.log")]},
        });
        format!("{config:#}\n")
    }

    fn kubeconfig(&self, user: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(format!("{user}.kubeconfig"));
        ensure!(path.exists(), "the control plane has no user {user}");
        Ok(path)
    }

    /// The certificate comes from the API server itself and is trusted for this server alone.
    fn kubeconfig_of(&self, user: &str, token: &str) -> String {
        let url = format!("https://127.0.0.1:{}", self.port);
        let authority = self.dir.join("certificates/apiserver.crt");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
            "clusters": [{"name": "e2e", "cluster": {"server": url, "certificate-authority": authority}}],
            "users": [{"name": user, "user": {"token": token}}],
        });
        format!("{config:#}\n")
    }
}

/// Ports that are free now, all different because all are held until the last one is known.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
        *port = listener.local_addr().context("failed to ask for a port")?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A fresh ECDSA key over P-256, to sign the tokens of service accounts with.
///
/// Any number below the group's order is one, and RFC 5915 lets the public key be left out.
fn private_key() -> String {
    let mut number: [u8; 32] = rand::random();
    number[0] &= 0x7f;
    let mut der = vec![0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend(number);
    der.extend([0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n", lines.join("\n"))
}

/// What a container named `leaky` prints before it ends.
pub const LEAKED: &str = "canary-5e1c-in-a-log";
/// The last line that every container prints.
pub const LAST_WORDS: &str = "the database does not answer";

/// The log of a container, as a runtime keeps it.
fn container_log(further: &[&str]) -> String {
    let lines = (1..=60).map(|number| format!("line {number}"));
    let lines = lines.chain(further.iter().map(|line| (*line).to_owned()));
    let lines = lines.chain([LAST_WORDS.to_owned()]);
    lines.map(|line| format!("2026-01-01T00:00:00.000000000Z stdout F {line}\n")).collect()
}

/// Who did what to which object, once a request is done. Watches last; of them the beginning counts.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
";

/// The programs, while they start.
struct Starting<'a> {
    assets: &'a Path,
    dir: &'a Path,
    children: Vec<Child>,
}

impl Starting<'_> {
    async fn start(&mut self, server: &Server) -> anyhow::Result<()> {
        self.etcd(server).await?;
        self.api_server(server).await?;
        let kubeconfig = server.kubeconfig(ADMIN)?;
        let client = self.ready(&kubeconfig).await?;
        self.controllers(server, &kubeconfig).await?;
        let objects = Objects::new(client);
        for node in nodes() {
            objects.create(Kind::NODE, node).await?;
        }
        for name in ["node-1", "control-plane-1"] {
            objects.wait_condition(Kind::NODE, "", name, "Ready", "True", READY_WITHIN).await?;
        }
        self.children.iter_mut().try_for_each(Child::check)
    }

    fn program(&self, name: &str) -> Program {
        let log = self.dir.join(format!("{name}.log"));
        Program::new(name, self.assets.join(name), log).env("HOME", self.dir)
    }

    async fn run(&mut self, program: Program) -> anyhow::Result<()> {
        self.children.push(program.start().await?);
        Ok(())
    }

    async fn etcd(&mut self, server: &Server) -> anyhow::Result<()> {
        let client = format!("http://127.0.0.1:{}", server.etcd);
        let peer = format!("http://127.0.0.1:{}", server.etcd_peer);
        let program = self
            .program("etcd")
            .arg(option("data-dir", self.dir.join("etcd")))
            .arg("--unsafe-no-fsync")
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"));
        self.run(program).await
    }

    async fn api_server(&mut self, server: &Server) -> anyhow::Result<()> {
        let program = self
            .program("kube-apiserver")
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", server.etcd))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", server.port))
            // Only announced inside the cluster, where nobody asks; without it a machine that is off the net
            // has no address to offer.
            .args(["--advertise-address=10.99.0.1", "--endpoint-reconciler-type=none"])
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg(option("cert-dir", self.dir.join("certificates")))
            .arg(option("token-auth-file", self.dir.join("tokens.csv")))
            .arg("--authorization-mode=RBAC")
            .arg("--allow-privileged")
            .arg("--kubelet-preferred-address-types=InternalIP")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(option("service-account-key-file", self.dir.join("service-account.key")))
            .arg(option("service-account-signing-key-file", self.dir.join("service-account.key")))
            .arg(option("audit-policy-file", self.dir.join("audit.yaml")))
            .arg(option("audit-log-path", self.dir.join("audit.log")))
            // A log that moves away under its reader would lose requests.
            .arg("--audit-log-maxsize=8192")
            .arg("--shutdown-delay-duration=0s");
        self.run(program).await
    }

    async fn controllers(&mut self, server: &Server, kubeconfig: &Path) -> anyhow::Result<()> {
        let kubeconfig = option("kubeconfig", kubeconfig);
        let common =
            ["--leader-elect=false", "--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000"];
        let controllers = self
            .program("kube-controller-manager")
            .arg(&kubeconfig)
            .args(common)
            .arg(option("service-account-private-key-file", self.dir.join("service-account.key")))
            .arg(option("root-ca-file", self.dir.join("certificates/apiserver.crt")));
        self.run(controllers).await?;
        let scheduler = self.program("kube-scheduler").arg(&kubeconfig).args(common);
        self.run(scheduler).await?;
        let kwok = self
            .program("kwok")
            .arg(&kubeconfig)
            .arg(option("config", here().join("stages.yaml")))
            .arg(option("config", self.dir.join("logs.yaml")))
            // The API server asks the nodes for the logs of their pods: all of them are kwok, at this address.
            .arg("--node-ip=127.0.0.1")
            .arg(format!("--node-port={}", server.kubelet))
            .arg(format!("--server-address=127.0.0.1:{}", server.kubelet))
            .arg(option("tls-cert-file", self.dir.join("certificates/apiserver.crt")))
            .arg(option("tls-private-key-file", self.dir.join("certificates/apiserver.key")))
            .arg("--manage-all-nodes")
            // Without leases nodes are given up as lost after 40 seconds.
            .arg("--node-lease-duration-seconds=40");
        self.run(kwok).await
    }

    /// Waits until the API server is ready. Its certificate exists from then on at the latest.
    async fn ready(&mut self, kubeconfig: &Path) -> anyhow::Result<kube::Client> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.children.iter_mut().try_for_each(Child::check)?;
            match ask(kubeconfig).await {
                Ok(client) => return Ok(client),
                Err(error) if Instant::now() > deadline => {
                    let log =
                        self.children.last().map(|child| child::tail(child.log(), 30)).unwrap_or_default();
                    bail!("the API server is not ready after {READY_WITHIN:?}: {error:#}\n{log}");
                }
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }
}

fn option(name: &str, value: impl AsRef<Path>) -> String {
    format!("--{name}={}", value.as_ref().display())
}

/// One question whether the API server is ready.
async fn ask(kubeconfig: &Path) -> anyhow::Result<kube::Client> {
    let client = crate::cluster::client(kubeconfig, "pintle-e2e").await?;
    let request = http::Request::get("/readyz").body(Vec::new()).context("failed to build a request")?;
    client.request_text(request).await.context("the API server is not ready")?;
    Ok(client)
}

/// A worker, and a node that only pods with the toleration go to.
fn nodes() -> [serde_json::Value; 2] {
    let node = |name: &str, labels: serde_json::Value, taints: serde_json::Value| {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": taints},
        })
    };
    let role = "node-role.kubernetes.io/control-plane";
    [
        node("node-1", json!({"kubernetes.io/hostname": "node-1"}), json!([])),
        node(
            "control-plane-1",
            json!({"kubernetes.io/hostname": "control-plane-1", role: ""}),
            json!([{"key": role, "effect": "NoSchedule"}]),
        ),
    ]
}
