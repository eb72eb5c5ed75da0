//! The two clients: the operator's, for its own objects, and the tenant's, for everything of a release.
//!
//! They are different types, so that no step of the release engine can reach the cluster with the operator's
//! rights by mistake. A tenant's request carries the identity of the release's ServiceAccount; an empty
//! identity, which the server would treat as no impersonation at all, cannot be built.
//!
//! Of kube's defaults three are replaced: its retry layer (15 tries, up to 1000 s apart, for every verb) by a
//! short one of ours, its missing timeouts by one for each request, lists and watches included, and its unbounded
//! concurrency by a limit for the process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use kube::client::ClientBuilder;
use serde_json::Value;
use tokio::sync::Semaphore;
use tower::timeout::TimeoutLayer;

use super::call::{Call, READ_TIMEOUT, WRITE_TIMEOUT, parse, refusal, warnings};
use super::{Class, Error, Fence, Kind, ObjectRef};
use crate::api::DeletionPropagation;

/// Requests in flight for the whole process.
const CONCURRENCY: usize = 64;
/// Lines of a log that are asked for.
const LOG_LINES: u32 = 40;
/// Bytes of those lines. The server counts from their beginning, so that more is asked for than is shown.
const LOG_BYTES: u32 = 64 << 10;
/// An answer that has begun, a watch included, goes on within this time: the server says about once a minute how far
/// a watch has come, even when nothing happens.
const SILENCE_LIMIT: Duration = Duration::from_secs(210);
/// Largest answer that is read.
const ANSWER_LIMIT: usize = 64 << 20;
/// A longer pause that the server asks for is none that a worker waits through: the caller looks again after it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Tries of one request while the server is overloaded or unreachable.
const TRIES: u32 = 4;
/// Objects asked for at once by a list.
const PAGE: usize = 500;
/// The form of a list that leaves out the content of the objects.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// A connection to an API server, shared by all clients.
#[derive(Clone)]
pub struct Connection {
    client: kube::Client,
    permits: Arc<Semaphore>,
    fence: Fence,
}

impl Connection {
    /// Connects as `config` says.
    ///
    /// # Errors
    /// When the TLS or authentication material of the configuration cannot be used.
    pub fn new(mut config: kube::Config) -> Result<Self, kube::Error> {
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        config.read_timeout = Some(SILENCE_LIMIT);
        // Requests have shorter timeouts of their own; lists for watches, and watches that begin, have only this one.
        let client = ClientBuilder::try_from(config)?.with_layer(&TimeoutLayer::new(WRITE_TIMEOUT)).build();
        Ok(Self { client, permits: Arc::new(Semaphore::new(CONCURRENCY)), fence: Fence::default() })
    }

    /// The client for the operator's own objects.
    pub fn operator(&self) -> OperatorClient {
        OperatorClient { client: self.client.clone(), fence: self.fence.clone() }
    }

    /// The fence that every write of all clients passes.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// The client for the objects of a release.
    pub fn tenant(&self, identity: Identity) -> TenantClient {
        TenantClient { connection: self.clone(), identity }
    }
}

/// Whether the server says that it knows all that it needs. It is asked without the limits of other requests: the answer
/// is a word.
async fn is_ready(client: &kube::Client) -> bool {
    let Ok(request) = Request::get("/readyz").body(Vec::new()) else { return false };
    let answer = tokio::time::timeout(READ_TIMEOUT, client.request_text(request)).await;
    answer.is_ok_and(|answer| answer.is_ok())
}

/// Reaches the operator's own objects: its custom resources, events, what they refer to, and watches.
#[derive(Clone)]
pub struct OperatorClient {
    client: kube::Client,
    fence: Fence,
}

impl OperatorClient {
    /// The client of the `kube` crate. What changes something with it passes [`fence`](Self::fence) first.
    pub fn kube(&self) -> kube::Client {
        self.client.clone()
    }

    /// The fence that every write passes.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Whether the server is ready. Before it is it knows no roles yet and refuses everybody: what is forbidden then
    /// may be allowed a moment later.
    pub async fn is_server_ready(&self) -> bool {
        is_ready(&self.client).await
    }

    /// Waits for the answer to a request of the `kube` crate as long as for any other: a server that keeps silent
    /// must not hold up a release, and those that wait for the same answer, for ever.
    ///
    /// # Errors
    /// Those of the request, and that it took too long.
    pub async fn timed<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
        tokio::time::timeout(WRITE_TIMEOUT, request).await.unwrap_or_else(|_| {
            let text = format!("the API server did not answer within {} s", WRITE_TIMEOUT.as_secs());
            Err(kube::Error::Service(std::io::Error::new(std::io::ErrorKind::TimedOut, text).into()))
        })
    }
}

/// Under whose name a release's requests are made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity(Option<(String, String)>);

impl Identity {
    /// The operator's own rights: for a HelmRelease without `serviceAccountName`.
    pub fn operator() -> Self {
        Self(None)
    }

    /// A ServiceAccount; `None` when a part of its name cannot be one, above all when it is empty.
    pub fn service_account(namespace: &str, name: &str) -> Option<Self> {
        if !is_object_name(namespace) || !is_object_name(name) {
            return None;
        }
        Some(Self(Some((namespace.to_owned(), name.to_owned()))))
    }

    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let Some((namespace, name)) = &self.0 else { return Vec::new() };
        // The server adds the groups of a ServiceAccount itself, so that the operator needs no right on groups,
        // which would be a right on system:masters.
        vec![("Impersonate-User", format!("system:serviceaccount:{namespace}:{name}"))]
    }
}

/// Whether the server takes it as a name (a DNS subdomain of RFC 1123): nothing in it can end the header that it stands
/// in, or lead to another user.
pub fn is_object_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let outer = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 253
        && name.bytes().all(inner)
        && outer(name.bytes().next())
        && outer(name.bytes().next_back())
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((namespace, name)) => write!(f, "system:serviceaccount:{namespace}:{name}"),
            None => f.write_str("the operator"),
        }
    }
}

/// How an object is applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApplyOptions {
    /// Takes over fields that another manager owns.
    pub force: bool,
    /// Lets the server check everything and change nothing.
    pub dry_run: bool,
}

/// What a delete came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The object is gone.
    Gone,
    /// The object goes when its finalizers or its grace period let it.
    Accepted,
    /// There was no such object.
    Absent,
    /// The object of that name is not, or no longer, the one that was meant: it was left alone.
    OtherObject,
}

/// What an object must still be to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition<'a> {
    /// Anything.
    None,
    /// The object of this UID.
    Uid(&'a str),
    /// The object of this UID, and as it was read.
    Version {
        /// Its UID.
        uid: &'a str,
        /// Its `resourceVersion`.
        version: &'a str,
    },
}

impl<'a> From<Option<&'a str>> for Precondition<'a> {
    /// The object of this UID; anything when it is not known.
    fn from(uid: Option<&'a str>) -> Self {
        uid.filter(|uid| !uid.is_empty()).map_or(Self::None, Self::Uid)
    }
}

/// An answer and the warnings that came with it.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The object as the server has it now.
    pub object: Value,
    /// The server's warnings, such as those of Pod Security.
    pub warnings: Vec<String>,
}

/// Reaches the objects of a release and its storage, in the name of its [`Identity`].
#[derive(Clone)]
pub struct TenantClient {
    connection: Connection,
    identity: Identity,
}

impl TenantClient {
    /// Under whose name the requests are made.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The object, or `None` when there is none.
    ///
    /// # Errors
    /// Any answer but the object or its absence.
    pub async fn get(&self, kind: &Kind, object: &ObjectRef) -> Result<Option<Value>, Error> {
        let call = Call::new("get", Method::GET, kind.object_path(object)).about(object);
        match self.exchange(call).await {
            Ok(answer) => Ok(Some(answer.object)),
            Err(error) if matches!(error.class, Class::NotFound | Class::NamespaceMissing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of `kind` in a namespace (all namespaces when empty) that the label selector admits.
    ///
    /// # Errors
    /// Any answer but a list.
    pub async fn list(&self, kind: &Kind, namespace: &str, labels: &str) -> Result<Vec<Value>, Error> {
        self.list_as("", kind, namespace, labels).await
    }

    /// As [`list`](Self::list), without the content of the objects.
    ///
    /// # Errors
    /// Any answer but a list.
    pub async fn list_metadata(
        &self,
        kind: &Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, Error> {
        self.list_as(METADATA_ONLY, kind, namespace, labels).await
    }

    async fn list_as(
        &self,
        accept: &'static str,
        kind: &Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, Error> {
        match self.list_from_start(accept, kind, namespace, labels).await {
            // The pages of a list are of one moment, which the server has forgotten meanwhile.
            Err(error) if error.class == Class::Stale => {
                self.list_from_start(accept, kind, namespace, labels).await
            }
            listed => listed,
        }
    }

    async fn list_from_start(
        &self,
        accept: &'static str,
        kind: &Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let mut query = vec![("limit", PAGE.to_string())];
            if !labels.is_empty() {
                query.push(("labelSelector", labels.to_owned()));
            }
            if !next.is_empty() {
                query.push(("continue", next.clone()));
            }
            let call =
                Call::new("list", Method::GET, kind.collection_path(namespace)).query(query).accept(accept);
            let mut page = self.exchange(call).await?.object;
            if let Some(Value::Array(page)) = page.get_mut("items").map(Value::take) {
                items.extend(page);
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => next = token.to_owned(),
                _ => return Ok(items),
            }
        }
    }

    /// Applies an object by server-side apply, as field manager `manager`.
    ///
    /// # Errors
    /// The server's refusal, classified.
    pub async fn apply(
        &self,
        kind: &Kind,
        object: &ObjectRef,
        content: &Value,
        manager: &str,
        options: ApplyOptions,
    ) -> Result<Applied, Error> {
        let mut query = vec![("fieldManager", manager.to_owned()), ("fieldValidation", "Strict".to_owned())];
        if options.force {
            query.push(("force", "true".to_owned()));
        }
        if options.dry_run {
            query.push(("dryRun", "All".to_owned()));
        }
        let call = Call::new("apply", Method::PATCH, kind.object_path(object))
            .about(object)
            .query(query)
            .body("application/apply-patch+yaml", content);
        self.exchange(call).await
    }

    /// Creates an object.
    ///
    /// # Errors
    /// [`Class::AlreadyExists`] when it exists, or any other refusal.
    pub async fn create(
        &self,
        kind: &Kind,
        object: &ObjectRef,
        content: &Value,
        manager: &str,
    ) -> Result<Applied, Error> {
        let call = Call::new("create", Method::POST, kind.collection_path(&object.namespace))
            .about(object)
            .query(vec![("fieldManager", manager.to_owned())])
            .body("application/json", content);
        self.exchange(call).await
    }

    /// Replaces an object; with `metadata.resourceVersion` in `content` only if it is still that version.
    ///
    /// # Errors
    /// [`Class::Stale`] when it changed, or any other refusal.
    pub async fn replace(
        &self,
        kind: &Kind,
        object: &ObjectRef,
        content: &Value,
        manager: &str,
    ) -> Result<Applied, Error> {
        let call = Call::new("replace", Method::PUT, kind.object_path(object))
            .about(object)
            .query(vec![("fieldManager", manager.to_owned())])
            .body("application/json", content);
        self.exchange(call).await
    }

    /// Changes an object by a JSON merge patch (RFC 7386).
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn merge(
        &self,
        kind: &Kind,
        object: &ObjectRef,
        patch: &Value,
        manager: &str,
    ) -> Result<Applied, Error> {
        let call = Call::new("patch", Method::PATCH, kind.object_path(object))
            .about(object)
            .query(vec![("fieldManager", manager.to_owned())])
            .body("application/merge-patch+json", patch);
        self.exchange(call).await
    }

    /// Deletes an object, when it is still the one that `only` says.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn delete<'a>(
        &self,
        kind: &Kind,
        object: &ObjectRef,
        only: impl Into<Precondition<'a>>,
        propagation: DeletionPropagation,
    ) -> Result<Deletion, Error> {
        self.deletion(kind, object, only.into(), propagation, false).await
    }

    /// Asks whether an object, when it is still the one that `only` says, may be deleted. Nothing is changed.
    ///
    /// # Errors
    /// The server's refusal; that there is no such object, or another one, is none.
    pub async fn may_delete<'a>(
        &self,
        kind: &Kind,
        object: &ObjectRef,
        only: impl Into<Precondition<'a>>,
    ) -> Result<(), Error> {
        self.deletion(kind, object, only.into(), DeletionPropagation::Background, true).await.map(drop)
    }

    async fn deletion(
        &self,
        kind: &Kind,
        object: &ObjectRef,
        only: Precondition<'_>,
        propagation: DeletionPropagation,
        dry_run: bool,
    ) -> Result<Deletion, Error> {
        let policy = match propagation {
            DeletionPropagation::Background => "Background",
            DeletionPropagation::Foreground => "Foreground",
            DeletionPropagation::Orphan => "Orphan",
        };
        let mut options =
            serde_json::json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
        // The server reads the query of a delete only when it has no body; there it is for whoever reads the audit log.
        let mut query = Vec::new();
        if dry_run {
            options["dryRun"] = serde_json::json!(["All"]);
            query.push(("dryRun", "All".to_owned()));
        }
        match only {
            Precondition::None => {}
            Precondition::Uid(uid) => options["preconditions"] = serde_json::json!({"uid": uid}),
            Precondition::Version { uid, version } => {
                options["preconditions"] = serde_json::json!({"uid": uid, "resourceVersion": version});
            }
        }
        let call = Call::new("delete", Method::DELETE, kind.object_path(object))
            .about(object)
            .query(query)
            .body("application/json", &options);
        match self.exchange(call).await {
            // What is on its way out says so; what is gone is a Status, or the object as it was.
            Ok(answer) if answer.object.pointer("/metadata/deletionTimestamp").is_some() => {
                Ok(Deletion::Accepted)
            }
            Ok(_) => Ok(Deletion::Gone),
            Err(error) if matches!(error.class, Class::NotFound | Class::NamespaceMissing) => {
                Ok(Deletion::Absent)
            }
            Err(error) if error.class == Class::Stale => Ok(Deletion::OtherObject),
            Err(error) => Err(error),
        }
    }

    /// The events that regard the object of this UID, one page of them. Asked once: they explain, and decide nothing.
    ///
    /// # Errors
    /// Any answer but a list.
    pub async fn events(&self, namespace: &str, uid: &str) -> Result<Vec<Value>, Error> {
        let kind = Kind {
            group: "events.k8s.io".to_owned(),
            version: "v1".to_owned(),
            kind: "Event".to_owned(),
            plural: "events".to_owned(),
            namespaced: true,
        };
        let query = vec![("fieldSelector", format!("regarding.uid={uid}")), ("limit", PAGE.to_string())];
        let call = Call::new("list", Method::GET, kind.collection_path(namespace)).query(query);
        let mut page = self.exchange_once(&call.briefly()).await?.object;
        match page.get_mut("items").map(Value::take) {
            Some(Value::Array(events)) => Ok(events),
            _ => Ok(Vec::new()),
        }
    }

    /// The last lines of a container's log, or of its run before. Asked once, as [`events`](Self::events).
    ///
    /// # Errors
    /// Any answer but a text.
    pub async fn log(&self, pod: &ObjectRef, container: &str, previous: bool) -> Result<String, Error> {
        let path = format!("{}/log", Kind::core("Pod", "pods", true).object_path(pod));
        let mut query = vec![
            ("container", container.to_owned()),
            ("tailLines", LOG_LINES.to_string()),
            ("limitBytes", LOG_BYTES.to_string()),
        ];
        if previous {
            query.push(("previous", "true".to_owned()));
        }
        let call = Call::new("read the log of", Method::GET, path).about(pod).query(query);
        match self.exchange_once(&call.text().briefly()).await?.object {
            Value::String(log) => Ok(log),
            _ => Ok(String::new()),
        }
    }

    /// Sends one request, again while the server is overloaded or unreachable.
    async fn exchange(&self, call: Call) -> Result<Applied, Error> {
        let mut pause = Duration::from_millis(100);
        for _ in 1..TRIES {
            match self.exchange_surely(&call).await {
                Err(error)
                    if error.class == Class::Transient
                        && call.may_repeat(&error)
                        && error.retry_after.is_none_or(|asked| asked <= LONGEST_WAIT) =>
                {
                    tokio::time::sleep(error.retry_after.unwrap_or(pause)).await;
                    pause *= 3;
                }
                other => return other,
            }
        }
        self.exchange_surely(&call).await
    }

    /// Sends one request. That it is forbidden is believed when the server is ready and says so once more: while it
    /// starts it knows no roles.
    async fn exchange_surely(&self, call: &Call) -> Result<Applied, Error> {
        match self.exchange_once(call).await {
            Err(error) if error.class == Class::Forbidden => {
                if is_ready(&self.connection.client).await {
                    self.exchange_once(call).await
                } else {
                    Err(Error { class: Class::Transient, ..error })
                }
            }
            other => other,
        }
    }

    async fn exchange_once(&self, call: &Call) -> Result<Applied, Error> {
        let request = call.request(&self.identity)?;
        let limit = call.limit();
        let fail = |error: &kube::Error| Error::new(call.verb, call.object.clone(), error);
        let work = async {
            // A closed semaphore cannot happen: nobody closes it; the request then goes without a permit.
            let _permit = self.connection.permits.acquire().await.ok();
            // Only now, so that the wait for a permit cannot outlast the lease.
            let _pass = if call.method == Method::GET {
                None
            } else {
                let pass = self.connection.fence.pass();
                Some(pass.map_err(|refused| Error::refused(call.verb, call.object.clone(), refused))?)
            };
            let response = self.connection.client.send(request).await.map_err(|e| fail(&e))?;
            let (parts, body) = response.into_parts();
            let bytes = Limited::new(body, ANSWER_LIMIT)
                .collect()
                .await
                .map_err(|e| fail(&kube::Error::Service(e)))?
                .to_bytes();
            if parts.status.is_success() {
                let object = if call.is_text {
                    Value::String(String::from_utf8_lossy(&bytes).into_owned())
                } else {
                    parse(&bytes).map_err(|e| fail(&kube::Error::SerdeError(e)))?
                };
                Ok(Applied { object, warnings: warnings(&parts.headers) })
            } else {
                Err(fail(&kube::Error::Api(Box::new(refusal(parts.status, &parts.headers, &bytes)))))
            }
        };
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Error::timed_out(call.verb, call.object.clone(), limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_without_a_name_cannot_be_built() {
        assert!(Identity::service_account("", "deployer").is_none());
        for name in
            ["", " ", "a:b", "a\r\nImpersonate-Group: system:masters", "-a", "a.", "A", &"a".repeat(254)]
        {
            assert!(Identity::service_account("apps", name).is_none(), "{name:?}");
        }
        assert!(Identity::service_account("apps", "ci.deployer-1").is_some());
        let headers = Identity::service_account("apps", "deployer").unwrap().headers();
        assert_eq!(headers[0].1, "system:serviceaccount:apps:deployer");
        assert!(Identity::operator().headers().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_never_answered_ends() {
        let answer = OperatorClient::timed(std::future::pending::<Result<(), kube::Error>>()).await;
        assert!(matches!(answer, Err(kube::Error::Service(_))));
    }

    #[tokio::test]
    async fn a_list_and_a_watch_that_are_never_answered_end() {
        // Accepts connections, which the kernel does for it, and keeps silent.
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let connection = Connection::new(kube::Config::new(url.parse().unwrap())).unwrap();
        tokio::time::pause();
        let api = kube::Api::<k8s_openapi::api::core::v1::Secret>::all(connection.operator().kube());
        let within = WRITE_TIMEOUT * 2;
        let listed = tokio::time::timeout(within, api.list(&kube::api::ListParams::default())).await;
        assert!(listed.expect("the list ends").is_err());
        let watched = tokio::time::timeout(within, api.watch(&kube::api::WatchParams::default(), "1")).await;
        assert!(watched.expect("the watch ends").is_err());
    }

    /// A server that is asked for these paths, one after the other, and answers with these codes.
    async fn server(answers: Vec<(&'static str, u16)>) -> Connection {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for (path, code) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                assert!(String::from_utf8_lossy(&request[..length]).contains(path), "not {path}");
                let body = format!("{{\"code\":{code},\"reason\":\"Forbidden\",\"message\":\"cannot\"}}");
                let head =
                    format!("HTTP/1.1 {code} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
                stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
            }
        });
        Connection::new(kube::Config::new(url.parse().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn that_a_request_is_forbidden_is_believed_of_a_server_that_is_ready() {
        let object = ObjectRef {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: "apps".to_owned(),
            name: "config".to_owned(),
        };
        let kind = Kind::core("ConfigMap", "configmaps", true);
        let asked = "/api/v1/namespaces/apps/configmaps";
        for (name, answers, expected) in [
            ("a server that starts", vec![(asked, 403), ("/readyz", 500)], Some(Class::Transient)),
            (
                "a server that knows no roles yet",
                vec![(asked, 403), ("/readyz", 403)],
                Some(Class::Transient),
            ),
            ("one that became ready", vec![(asked, 403), ("/readyz", 200), (asked, 201)], None),
            ("one that means it", vec![(asked, 403), ("/readyz", 200), (asked, 403)], Some(Class::Forbidden)),
        ] {
            let tenant = server(answers).await.tenant(Identity::operator());
            let answer = tenant.create(&kind, &object, &serde_json::json!({}), "helm").await;
            assert_eq!(answer.err().map(|error| error.class), expected, "{name}");
        }
    }
}
