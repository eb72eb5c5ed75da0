//! A proxy between one operator and the API server that lets one request go wrong on purpose.
//!
//! It counts the requests that concern one namespace, so that a rule can name the n-th one and a run without a rule
//! tells how many there are. Watches and what the operator asks about the server itself are passed on and not
//! counted; what goes wrong with watches is told in [`stream`]. Lists of all namespaces are answered for the one namespace only: several operators, each behind a proxy
//! of its own, share one API server without seeing each other's releases.

use std::collections::BTreeSet;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderName, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::fault::{self, Counts, Fault, Rule, WATCHES};
use super::stream;

/// What [`Fault::Delay`] holds a request back for.
const DELAY: Duration = Duration::from_millis(1500);

/// Requests that [`Fault::Outage`] refuses.
const OUTAGE: usize = 6;

/// A request that concerned the namespace.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// What was asked for, with its query.
    pub uri: String,
    /// The server's status code; none when the server never answered it.
    pub code: Option<u16>,
}

impl Seen {
    fn new(method: &Method, uri: &str) -> Self {
        Self { method: method.clone(), uri: uri.to_owned(), code: None }
    }

    /// Its path, without the query.
    pub fn path(&self) -> &str {
        self.uri.split('?').next().unwrap_or_default()
    }

    /// Whether it could change something.
    pub fn is_write(&self) -> bool {
        let dry = self.uri.contains("dryRun=");
        !dry && self.method != Method::GET && self.method != Method::HEAD && !self.path().ends_with("reviews")
    }
}

/// A running proxy; dropping it cuts all connections.
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// What all connections of a proxy share.
pub struct Shared {
    upstream: Client,
    namespace: String,
    /// Further words in a path that make a request concern the namespace: names of cluster-wide objects.
    words: Vec<String>,
    /// Stands in what the server says when it fails a request about a Secret, as the real one's words can.
    canary: String,
    state: Mutex<State>,
    watches: Mutex<Watches>,
    /// Whether all stands still because the operator is to be killed.
    frozen: watch::Sender<bool>,
    /// Counted requests that are under way.
    under_way: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    rule: Option<Rule>,
    fired: Option<String>,
    /// Requests that are still refused by an outage.
    refused: usize,
    seen: Vec<Seen>,
    /// A watch that the server refuses to go on with, and from which version on.
    gone: Option<(usize, Option<String>)>,
}

/// Watches that were begun.
#[derive(Default)]
struct Watches {
    known: BTreeSet<usize>,
    unknown: BTreeSet<String>,
}

/// What an answer consists of, piece by piece.
pub type Answer = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The connection is to be cut.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
pub struct Cut;

impl FaultProxy {
    /// Starts a proxy that passes on to `upstream` what concerns `namespace`, and objects whose path holds one of
    /// `words`.
    pub async fn start(
        upstream: Client,
        namespace: &str,
        words: &[&str],
        canary: &str,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("failed to listen")?;
        let address = listener.local_addr().context("failed to ask for a port")?;
        let shared = Arc::new(Shared {
            upstream,
            namespace: namespace.to_owned(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            canary: canary.to_owned(),
            state: Mutex::default(),
            watches: Mutex::default(),
            frozen: watch::Sender::new(false),
            under_way: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, address, task })
    }

    /// Writes a kubeconfig that leads here.
    pub fn write_kubeconfig(&self, path: &Path) -> anyhow::Result<()> {
        let server = format!("http://{}", self.address);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "chaos",
            "contexts": [{"name": "chaos", "context": {"cluster": "chaos", "user": "chaos"}}],
            "clusters": [{"name": "chaos", "cluster": {"server": server}}],
            "users": [{"name": "chaos", "user": {}}],
        });
        std::fs::write(path, format!("{config:#}\n")).context("failed to write a kubeconfig")
    }

    /// Starts to count anew, with a rule or without one.
    pub fn arm(&self, rule: Option<Rule>) {
        *self.shared.state() = State { rule, ..State::default() };
    }

    /// What was counted since [`FaultProxy::arm`].
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// The request that went wrong.
    pub fn fired(&self) -> Option<String> {
        self.shared.state().fired.clone()
    }

    /// Waits until so many requests were counted.
    pub async fn reached(&self, count: usize) {
        let mut under_way = self.shared.under_way.subscribe();
        while self.shared.state().seen.len() < count {
            // The sender lives as long as `self` does.
            let _ = under_way.changed().await;
        }
    }

    /// Fails unless the operator has begun all watches that are listed, and no others.
    pub fn check_watches(&self) -> anyhow::Result<()> {
        let watches = self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(watches.unknown.is_empty(), "these watches are not listed: {:?}", watches.unknown);
        let missing = (1..=WATCHES.len()).filter(|number| !watches.known.contains(number));
        let missing: Vec<_> = missing.map(|number| WATCHES[number - 1]).collect();
        ensure!(missing.is_empty(), "these watches are listed, and the operator has none such: {missing:?}");
        Ok(())
    }

    /// Waits until the operator is to be killed. Until [`FaultProxy::thaw`] nothing passes any more.
    pub async fn kill_wanted(&self) {
        let mut frozen = self.shared.frozen.subscribe();
        // The sender lives as long as `self` does.
        let _ = frozen.wait_for(|frozen| *frozen).await;
    }

    /// Lets requests pass again, once the operator that made the old ones is dead.
    pub fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }

    /// That an action is not over, and how the requests stand.
    pub fn hung(&self, after: Duration) -> anyhow::Error {
        let frozen = *self.shared.frozen.borrow();
        let under_way = *self.shared.under_way.borrow();
        let seen = self.seen();
        let last: Vec<String> = seen
            .iter()
            .rev()
            .take(5)
            .map(|seen| format!("{} {} {:?}", seen.method, seen.uri, seen.code))
            .collect();
        anyhow!(
            "not over after {after:?}: {} requests, {under_way} under way, frozen: {frozen}; the newest: {last:?}",
            seen.len()
        )
    }

    /// Waits until no counted request is under way and no operator is to be killed.
    pub async fn idle(&self) {
        let mut frozen = self.shared.frozen.subscribe();
        let mut under_way = self.shared.under_way.subscribe();
        while *frozen.borrow() || *under_way.borrow() > 0 {
            let _ = frozen.wait_for(|frozen| !frozen).await;
            let _ = under_way.wait_for(|count| *count == 0).await;
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections; they end with this task, and with the operator that made them: what it had under way when it was
/// killed does not always notice that nobody listens any more.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut frozen = shared.frozen.subscribe();
    loop {
        tokio::select! {
            biased;
            Ok(()) = frozen.changed() => if !*frozen.borrow() {
                connections.abort_all();
            },
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(talk(stream, Arc::clone(&shared)));
            }
        }
    }
}

async fn talk(stream: TcpStream, shared: Arc<Shared>) {
    let answer = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { shared.answer(request).await }
    });
    // A connection that breaks is what this is about.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// Counts a request as under way for as long as it lives.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.under_way.send_modify(|count| *count += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|count| *count -= 1);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Answer>, Cut> {
        if *self.frozen.borrow() {
            return pending().await;
        }
        let uri = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        if uri.contains("watch=true") {
            return self.watch(&uri, request).await;
        }
        if !self.concerns(&uri) {
            return self.forward(request).await;
        }
        let _under_way = UnderWay::new(&self);
        let (place, fault) = self.count(request.method(), &uri);
        match fault {
            Some(Fault::KillBefore) => self.freeze().await,
            Some(Fault::Fail) => Ok(self.refusal(StatusCode::INTERNAL_SERVER_ERROR, &uri)),
            Some(Fault::Outage) => Ok(self.refusal(StatusCode::SERVICE_UNAVAILABLE, &uri)),
            Some(Fault::Throttle) => Ok(self.refusal(StatusCode::TOO_MANY_REQUESTS, &uri)),
            fault => {
                if fault == Some(Fault::Delay) {
                    tokio::time::sleep(DELAY).await;
                }
                let response = self.forward(request).await?;
                if let Some(seen) = self.state().seen.get_mut(place) {
                    seen.code = Some(response.status().as_u16());
                }
                match fault {
                    Some(Fault::KillAfter) => self.freeze().await,
                    Some(Fault::LoseAnswer) => Err(Cut),
                    _ => Ok(response),
                }
            }
        }
    }

    /// Whether a request is counted.
    fn concerns(&self, uri: &str) -> bool {
        let path = uri.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        let here = segments.windows(2).any(|pair| pair == ["namespaces", self.namespace.as_str()]);
        let named = segments.iter().any(|segment| self.words.iter().any(|word| word == segment));
        here || named
    }

    /// Lets a watch pass, with an eye on what comes of it.
    async fn watch(self: Arc<Self>, uri: &str, request: Request<Incoming>) -> Result<Response<Answer>, Cut> {
        let number = fault::watch_number(uri);
        {
            let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
            match number {
                Some(number) => drop(watches.known.insert(number)),
                None => drop(watches.unknown.insert(uri.to_owned())),
            }
        }
        let Some(number) = number else { return self.forward(request).await };
        if self.is_gone(number, uri) {
            return Ok(self.refusal(StatusCode::GONE, uri));
        }
        let response = self.forward(request).await?;
        Ok(if response.status().is_success() {
            response.map(|body| stream::watched(self, number, body))
        } else {
            response
        })
    }

    /// Whether the server has forgotten the version from which the watch is to go on.
    fn is_gone(&self, number: usize, uri: &str) -> bool {
        let version = uri.split(['?', '&']).find_map(|pair| pair.strip_prefix("resourceVersion="));
        let mut state = self.state();
        let Some((_, gone)) = state.gone.as_mut().filter(|(gone, _)| *gone == number) else { return false };
        let version = version.unwrap_or_default();
        gone.get_or_insert_with(|| version.to_owned()) == version
    }

    /// An event came on a watch; what is to go wrong with it.
    pub fn strike(&self, number: usize) -> Option<Fault> {
        let mut state = self.state();
        let rule = state.rule.filter(|rule| {
            state.fired.is_none() && rule.fault.counts() == Counts::Watches && rule.nth == number
        })?;
        let (plural, selector) = WATCHES[number - 1];
        state.fired = Some(format!("the watch of {plural} {selector}"));
        if rule.fault == Fault::WatchGone {
            state.gone = Some((number, None));
        }
        Some(rule.fault)
    }

    /// Notes a request; its place among all, and what is to go wrong with it.
    fn count(&self, method: &Method, uri: &str) -> (usize, Option<Fault>) {
        let mut state = self.state();
        state.seen.push(Seen::new(method, uri));
        let place = state.seen.len() - 1;
        if state.refused > 0 {
            state.refused -= 1;
            return (place, Some(Fault::Outage));
        }
        let Some(rule) = state.rule.filter(|_| state.fired.is_none()) else { return (place, None) };
        let counts = |seen: &&Seen| match rule.fault.counts() {
            Counts::Writes => seen.is_write(),
            Counts::Requests => true,
            Counts::Watches | Counts::Points => false,
        };
        let is_due = state.seen.last().is_some_and(|last| counts(&last))
            && state.seen.iter().filter(counts).count() == rule.nth;
        if !is_due {
            return (place, None);
        }
        state.fired = Some(format!("{method} {uri}"));
        if rule.fault == Fault::Outage {
            state.refused = OUTAGE - 1;
        }
        // From here on nothing of the dying operator passes, lest it gets further than the fault says.
        if rule.fault == Fault::KillBefore {
            self.frozen.send_replace(true);
        }
        (place, Some(rule.fault))
    }

    /// Lets all stand still until the operator is dead, and this connection with it.
    async fn freeze<T>(&self) -> T {
        self.frozen.send_replace(true);
        pending().await
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Answer>, Cut> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let uri = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let uri = if parts.method == Method::GET { self.scoped(&uri) } else { uri };
        parts.uri = uri.parse().map_err(|_| Cut)?;
        for header in [HOST, CONNECTION, TRANSFER_ENCODING] {
            parts.headers.remove(header);
        }
        let sent = self.upstream.send(Request::from_parts(parts, Body::from(body))).await;
        let (parts, body) = sent.map_err(|_| Cut)?.into_parts();
        let mut response = Response::new(body.map_err(Into::into).boxed_unsync());
        *response.status_mut() = parts.status;
        let passed = |name: &HeaderName| *name != CONNECTION && *name != TRANSFER_ENCODING;
        for (name, value) in parts.headers.iter().filter(|(name, _)| passed(name)) {
            response.headers_mut().append(name.clone(), value.clone());
        }
        Ok(response)
    }

    /// A list of all namespaces becomes one of ours; everything else stays as it is.
    fn scoped(&self, uri: &str) -> String {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let segments: Vec<&str> = path.split('/').collect();
        let (version, plural) = match segments.as_slice() {
            ["", "api", version, plural]
                if !matches!(*plural, "namespaces" | "nodes" | "persistentvolumes") =>
            {
                (format!("/api/{version}"), plural)
            }
            ["", "apis", group, version, plural]
                if matches!(*group, "apps" | "batch" | "pintle.dev")
                    || group.starts_with(&self.namespace) =>
            {
                (format!("/apis/{group}/{version}"), plural)
            }
            _ => return uri.to_owned(),
        };
        format!("{version}/namespaces/{}/{plural}?{query}", self.namespace)
    }

    /// What a server in trouble says.
    fn refusal(&self, code: StatusCode, uri: &str) -> Response<Answer> {
        let secret = if uri.contains("/secrets/") { self.canary.as_str() } else { "" };
        let (reason, message) = match code {
            StatusCode::TOO_MANY_REQUESTS => ("TooManyRequests", "too many requests, please try again later"),
            StatusCode::SERVICE_UNAVAILABLE => ("ServiceUnavailable", "apiserver is shutting down"),
            StatusCode::GONE => ("Expired", "too old resource version"),
            _ => ("InternalError", "etcdserver: leader changed"),
        };
        let message = format!("{message} {secret}");
        let details = json!({"retryAfterSeconds": i32::from(code == StatusCode::TOO_MANY_REQUESTS)});
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": details, "code": code.as_u16(),
        });
        let body = Full::new(Bytes::from(status.to_string()));
        let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = code;
        if code == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("1"));
        }
        response
    }
}
