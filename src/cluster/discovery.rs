//! The kinds that the server serves, and its version.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};

use super::{Class, Error, ObjectRef, OperatorClient};

/// The server must answer within this time.
const TIMEOUT: Duration = Duration::from_secs(15);
/// At most one refresh in this time is made because a kind is missing.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// A kind that the server serves, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// The plural in its path.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// A kind that every server has, known without asking.
    pub fn core(kind: &str, plural: &str, namespaced: bool) -> Self {
        Self {
            group: String::new(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced,
        }
    }

    /// Secrets, which hold the records of releases.
    pub fn secret() -> Self {
        Self::core("Secret", "secrets", true)
    }

    /// Jobs, as which most hooks run.
    pub fn job() -> Self {
        Self {
            group: "batch".to_owned(),
            version: "v1".to_owned(),
            kind: "Job".to_owned(),
            plural: "jobs".to_owned(),
            namespaced: true,
        }
    }

    /// The definitions of further kinds.
    pub fn definition() -> Self {
        Self {
            group: "apiextensions.k8s.io".to_owned(),
            version: "v1".to_owned(),
            kind: "CustomResourceDefinition".to_owned(),
            plural: "customresourcedefinitions".to_owned(),
            namespaced: false,
        }
    }

    /// `group/version`, or `version` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of the collection; all namespaces when `namespace` is empty.
    pub fn collection_path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if self.namespaced && !namespace.is_empty() {
            format!("{root}/namespaces/{}/{}", escape(namespace), self.plural)
        } else {
            format!("{root}/{}", self.plural)
        }
    }

    /// The path of an object.
    pub fn object_path(&self, object: &ObjectRef) -> String {
        format!("{}/{}", self.collection_path(&object.namespace), escape(&object.name))
    }
}

/// A name in a path: names of RBAC objects may hold `:`, and nothing may leave its segment.
fn escape(segment: &str) -> String {
    let mut escaped = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// What the server serves, at one moment.
#[derive(Debug, Default)]
pub struct Served {
    kinds: HashMap<(String, String, String), Kind>,
    /// `group/version` and `group/version/Kind`, as `.Capabilities.APIVersions` lists them.
    pub api_versions: BTreeSet<String>,
    /// The server's version: `v1.37.2`, its major and minor.
    pub version: (String, String, String),
}

impl Served {
    /// Whether the kind is served in this version.
    pub fn lists(&self, kind: &Kind) -> bool {
        self.kinds.contains_key(&(kind.group.clone(), kind.version.clone(), kind.kind.clone()))
    }

    /// The kind, when it is served.
    pub fn kind(&self, object: &ObjectRef) -> Option<&Kind> {
        self.kinds.get(&(object.group.clone(), object.version.clone(), object.kind.clone()))
    }
}

impl Served {
    /// The kind of an object under any version that is served.
    pub fn in_any_version(&self, object: &ObjectRef) -> Option<&Kind> {
        let is_meant = |kind: &&Kind| kind.group == object.group && kind.kind == object.kind;
        self.kind(object).or_else(|| self.kinds.values().find(is_meant))
    }
}

/// Knows the kinds of one server; refreshed when a kind is asked for that it does not know.
pub struct Discovery {
    client: OperatorClient,
    served: watch::Sender<Arc<Served>>,
    refreshed: Mutex<Option<Instant>>,
}

impl Discovery {
    /// Knows nothing yet.
    pub fn new(client: OperatorClient) -> Self {
        Self { client, served: watch::Sender::default(), refreshed: Mutex::new(None) }
    }

    /// What is known, asking the server when nothing is.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn served(&self) -> Result<Arc<Served>, Error> {
        let known = self.known();
        if known.kinds.is_empty() { self.refresh(REFRESH_PAUSE).await } else { Ok(known) }
    }

    /// The kind of an object; the server is asked once more before it is said to be missing.
    ///
    /// # Errors
    /// [`Class::KindNotFound`], or that the server cannot be asked.
    pub async fn kind(&self, object: &ObjectRef) -> Result<Kind, Error> {
        if let Some(kind) = self.served().await?.kind(object) {
            return Ok(kind.clone());
        }
        let served = self.refresh(REFRESH_PAUSE).await?;
        served.kind(object).cloned().ok_or_else(|| Error::kind_not_found("find the kind of", object.clone()))
    }

    /// Waits until a refresh shows that the kind is served. Asks for nothing itself.
    pub async fn until_listed(&self, kind: &Kind) {
        let mut served = self.served.subscribe();
        // An error would say that the sender is gone, which `self` holds.
        if served.wait_for(|served| served.lists(kind)).await.is_err() {
            std::future::pending().await
        }
    }

    fn known(&self) -> Arc<Served> {
        Arc::clone(&self.served.borrow())
    }

    /// Asks the server, unless that was done less than `pause` ago; callers at the same time share one answer.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn refresh(&self, pause: Duration) -> Result<Arc<Served>, Error> {
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|at| at.elapsed() < pause) {
            return Ok(self.known());
        }
        let verb = "discover the API of the server";
        let answer = tokio::time::timeout(TIMEOUT, self.ask()).await;
        let answer = answer.map_err(|_| Error::timed_out(verb, None, TIMEOUT))?;
        let served = match answer {
            Ok(served) => Arc::new(served),
            Err(error) => {
                let mut error = Error::new(verb, None, &error);
                if error.class == Class::Forbidden && !self.client.is_server_ready().await {
                    error.class = Class::Transient;
                }
                return Err(error);
            }
        };
        self.served.send_replace(Arc::clone(&served));
        *refreshed = Some(Instant::now());
        Ok(served)
    }

    async fn ask(&self) -> Result<Served, kube::Error> {
        let client = self.client.kube();
        let (core, groups, version) = OperatorClient::timed(async {
            tokio::try_join!(
                client.list_core_api_versions_aggregated(),
                client.list_api_groups_aggregated(),
                client.apiserver_version(),
            )
        })
        .await?;
        let mut served =
            Served { version: (version.git_version, version.major, version.minor), ..Served::default() };
        for group in core.items.iter().chain(&groups.items) {
            let name = group.metadata.as_ref().and_then(|m| m.name.clone()).unwrap_or_default();
            for version in &group.versions {
                let number = version.version.clone().unwrap_or_default();
                let api_version = if name.is_empty() { number.clone() } else { format!("{name}/{number}") };
                served.api_versions.insert(api_version.clone());
                for resource in &version.resources {
                    let Some(kind) = resource.response_kind.as_ref().and_then(|k| k.kind.clone()) else {
                        continue;
                    };
                    served.api_versions.insert(format!("{api_version}/{kind}"));
                    let entry = Kind {
                        group: name.clone(),
                        version: number.clone(),
                        kind: kind.clone(),
                        plural: resource.resource.clone().unwrap_or_default(),
                        namespaced: resource.scope.as_deref() == Some("Namespaced"),
                    };
                    served.kinds.insert((name.clone(), number.clone(), kind), entry);
                }
            }
        }
        Ok(served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_their_segments() {
        let kind = Kind {
            group: "rbac.authorization.k8s.io".into(),
            version: "v1".into(),
            kind: "ClusterRole".into(),
            plural: "clusterroles".into(),
            namespaced: false,
        };
        let object = |name: &str, namespace: &str| ObjectRef {
            group: kind.group.clone(),
            version: "v1".into(),
            kind: "ClusterRole".into(),
            namespace: namespace.into(),
            name: name.into(),
        };
        assert_eq!(
            kind.object_path(&object("system:a", "")),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a"
        );
        assert!(kind.object_path(&object("../../x", "")).ends_with("/clusterroles/..%2F..%2Fx"));
        assert_eq!(Kind::secret().collection_path("ns"), "/api/v1/namespaces/ns/secrets");
        assert_eq!(Kind::secret().collection_path(""), "/api/v1/secrets");
    }
}
