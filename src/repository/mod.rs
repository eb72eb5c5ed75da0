//! Where charts come from: [`Repositories`] knows the indexes, fetches archives and shares parsed charts.
//!
//! ```text
//! refresh   ChartRepository ──http──► file ──read as a stream──► Arc<Index>  (the controller's, at the interval)
//! resolve   ChartReference ──Index──► version, digest ──memory, disk, http──► Arc<Chart>     (each release's)
//! ```
//!
//! A registry has no index: its tags and manifests say the same, when a release asks for them.
//!
//! An archive is known by the digest of its bytes, so one that was seen before costs no network, and a hundred
//! releases of one chart share one parsed [`Chart`]. A source that fails never takes away what it gave before.
//! reqwest is used here and nowhere else; parsing and digesting run on the blocking pool; no lock is held over an
//! await. Reading Secrets and publishing conditions is the controller's concern.

mod address;
pub mod authoring;
mod cache;
mod catalog;
mod credentials;
mod digest;
mod error;
mod http;
mod index;
mod notes;
mod oci;
pub mod package;
mod reach;
mod resolve;
pub mod serve;
mod spool;
mod verify;
mod vouch;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use pintle_helm::chart::Chart;
use tokio::sync::Semaphore;

use crate::api::{Artifact, ChartRepository};
use cache::{DiskCache, Flights, MemoryCache};
use http::{Access, Http, Response};
use oci::{Keychain, Reference, Registries, Registry};
use resolve::{Address, Obtained};
use spool::Spooled;
use verify::Policy;
use vouch::Vouched;

pub use credentials::{Credentials, RepositorySecrets, TlsSettings};
pub use digest::Digest;
pub use error::Error;
pub use http::{Error as HttpError, Limits as HttpLimits};
pub use index::{ChartVersion, Index, Miss};
pub use resolve::ResolvedChart;
pub use verify::Verified;

/// Archives that are loaded at one time: so many of the largest charts are in memory before it is known that they are
/// charts.
const LOADED_AT_ONCE: usize = 2;

/// What the sources may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the cache on disk; none keeps archives in memory only.
    pub cache_dir: Option<PathBuf>,
    /// Bytes on disk.
    pub cache_bytes: u64,
    /// Bytes of the archives whose charts are kept in memory.
    pub memory_bytes: u64,
    /// Bytes of one index.
    pub index_bytes: u64,
    /// What one chart may take.
    pub chart: pintle_helm::chart::Limits,
    /// What one fetch may take.
    pub http: HttpLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_dir: None,
            cache_bytes: 1 << 30,
            memory_bytes: 256 << 20,
            index_bytes: 50 << 20,
            chart: pintle_helm::chart::Limits::default(),
            http: HttpLimits::default(),
        }
    }
}

/// All sources of charts. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Repositories {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    http: Http,
    disk: DiskCache,
    charts: MemoryCache<Chart>,
    registries: Registries,
    flights: Flights<Result<Obtained, Error>>,
    /// The turns of those who load archives: each may take what [`pintle_helm::chart::Limits`] allow.
    loading: Semaphore,
    /// By namespace and name.
    known: Mutex<HashMap<String, Known>>,
    /// What addresses led to whose archive no index vouches for.
    addresses: Mutex<HashMap<String, Address>>,
    /// Who vouched for what.
    vouched: Vouched,
}

/// What is known of one `ChartRepository`.
#[derive(Clone, Debug)]
struct Known {
    /// The object and the address that this was learnt from; a new one starts afresh.
    uid: Option<String>,
    url: String,
    server: Server,
    /// The signatures that its charts must have.
    policy: Option<Arc<Policy>>,
    /// Whether the registry answered when it was last asked.
    answered: bool,
    /// The last good index.
    current: Option<Current>,
}

/// How a source is talked to.
#[derive(Clone, Debug)]
enum Server {
    Web(Arc<Access>),
    Registry(Arc<Registry>),
}

#[derive(Clone, Debug)]
struct Current {
    index: Arc<Index>,
    artifact: Artifact,
    /// Whether a refresh has told about it. One that came back from disk, while its server is down, has not been.
    announced: bool,
}

/// What [`Repositories::refresh`] found.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// An index.
    Index(RefreshedIndex),
    /// A registry that is there and takes the credentials. What it has is asked for by each release.
    Registry {
        /// Whether releases may resolve otherwise than before: it did not answer when it was last asked.
        changed: bool,
    },
}

impl Refreshed {
    /// Whether releases may resolve otherwise than before.
    pub fn changed(&self) -> bool {
        match self {
            Self::Index(index) => index.changed,
            Self::Registry { changed } => *changed,
        }
    }
}

/// An index that was fetched.
#[derive(Clone, Debug)]
pub struct RefreshedIndex {
    /// The index as it was fetched; `fetchedAt` is when its bytes came, not when the server last confirmed them.
    pub artifact: Artifact,
    /// Number of charts.
    pub charts: usize,
    /// Entries that were skipped because they break a rule.
    pub skipped: usize,
    /// Versions that are listed more than once.
    pub duplicates: usize,
    /// Whether releases may resolve otherwise than before: their table is another one, or the first one.
    pub changed: bool,
}

impl Repositories {
    /// Sources under `options`. Opens the cache on disk.
    pub fn new(options: Options) -> Self {
        let shared = Shared {
            http: Http::new(options.http.clone()),
            disk: DiskCache::open(options.cache_dir.as_deref(), options.cache_bytes),
            charts: MemoryCache::new(options.memory_bytes),
            registries: Registries::default(),
            flights: Flights::default(),
            loading: Semaphore::new(LOADED_AT_ONCE),
            known: Mutex::default(),
            addresses: Mutex::default(),
            vouched: Vouched::default(),
            options,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Fetches the index of `repository`, and remembers how its server is talked to.
    ///
    /// After a start the last index comes back from the cache on disk, by the digest in the object's status, and the
    /// server is only asked whether it changed.
    ///
    /// # Errors
    /// A Secret cannot be used, or the server has no index to give. The last good index stays.
    pub async fn refresh(
        &self,
        repository: &ChartRepository,
        secrets: RepositorySecrets,
    ) -> Result<Refreshed, Error> {
        let key = key(repository);
        if is_registry(&repository.spec.url) {
            return self.refresh_registry(&key, repository, &secrets).await;
        }
        let (access, current) = self.open(&key, repository, &secrets).await?;
        let etag = current.as_ref().and_then(|current| current.artifact.etag.clone());
        let url = address::join(&access.origin, "index.yaml")?;
        let response = self
            .shared
            .http
            .fetch_into(
                &url,
                &access,
                etag.as_deref(),
                self.shared.options.index_bytes,
                self.shared.disk.spool(),
            )
            .await
            .map_err(|source| Error::FetchIndex { repository: key.clone(), source })?;
        let mut next = match (response, current) {
            (Response::NotModified, Some(current)) => current,
            (Response::NotModified, None) => return Err(Error::NotFetched { repository: key }),
            (Response::Body { bytes, etag }, current) => {
                self.read_index(&key, bytes.end(), etag, current).await?
            }
        };
        let changed = !std::mem::replace(&mut next.announced, true);
        self.publish(&key, repository, &next);
        Ok(Refreshed::Index(RefreshedIndex {
            charts: next.index.count(),
            skipped: next.index.skipped(),
            duplicates: next.index.duplicates(),
            artifact: next.artifact,
            changed,
        }))
    }

    /// Asks a registry whether it is there, and remembers how it is talked to.
    async fn refresh_registry(
        &self,
        key: &str,
        repository: &ChartRepository,
        secrets: &RepositorySecrets,
    ) -> Result<Refreshed, Error> {
        let answered = self.known(repository).is_some_and(|known| known.answered);
        let registry = self.open_registry(key, repository, secrets)?;
        let asked = self.shared.registries.ping(&self.shared.http, &registry).await;
        asked
            .map_err(|source| Error::AskRegistry { repository: key.to_owned(), source: Arc::new(source) })?;
        if let Some(known) = lock(&self.shared.known).get_mut(key).filter(|known| known.is(repository)) {
            known.answered = true;
        }
        Ok(Refreshed::Registry { changed: !answered })
    }

    /// Remembers how the registry is talked to.
    fn open_registry(
        &self,
        key: &str,
        repository: &ChartRepository,
        secrets: &RepositorySecrets,
    ) -> Result<Arc<Registry>, Error> {
        let registry = Arc::new(registry(repository, key, secrets)?);
        self.remember(
            key,
            repository,
            &Server::Registry(registry.clone()),
            policy(repository, key, secrets)?,
        );
        Ok(registry)
    }

    /// Does what [`Repositories::refresh`] does without asking the server, for a suspended repository: the credentials
    /// are remembered, and the last index comes back from the cache on disk. Says whether there is one.
    ///
    /// # Errors
    /// A Secret cannot be used.
    pub async fn restore(
        &self,
        repository: &ChartRepository,
        secrets: RepositorySecrets,
    ) -> Result<bool, Error> {
        let key = key(repository);
        if is_registry(&repository.spec.url) {
            return self.open_registry(&key, repository, &secrets).map(|_| true);
        }
        let (_, current) = self.open(&key, repository, &secrets).await?;
        Ok(current.is_some())
    }

    /// Whether charts of `repository` can be resolved: its index, or how its registry is talked to, is known.
    pub fn is_open(&self, repository: &ChartRepository) -> bool {
        self.known(repository)
            .is_some_and(|known| known.current.is_some() || matches!(known.server, Server::Registry(_)))
    }

    /// Forgets the repository of that namespace and name, with its credentials. Archives stay cached.
    pub fn forget(&self, namespace: &str, name: &str) {
        let key = format!("{namespace}/{name}");
        lock(&self.shared.known).remove(&key);
        let prefix = format!("{key} ");
        lock(&self.shared.addresses).retain(|address, _| !address.starts_with(&prefix));
        self.shared.registries.forget(&prefix);
    }

    /// The last good index of `repository`, for listing what it has.
    pub fn index(&self, repository: &ChartRepository) -> Option<Arc<Index>> {
        self.known(repository)?.current.map(|current| current.index)
    }

    /// Number of failures of the cache on disk, for a metric.
    pub fn cache_errors(&self) -> u64 {
        self.shared.disk.errors()
    }

    /// What is known of exactly this object at this address.
    fn known(&self, repository: &ChartRepository) -> Option<Known> {
        let known = lock(&self.shared.known).get(&key(repository)).cloned()?;
        known.is(repository).then_some(known)
    }

    /// Keeps the access, and the last good index when it is this object's; gives that back.
    fn remember(
        &self,
        key: &str,
        repository: &ChartRepository,
        server: &Server,
        policy: Option<Arc<Policy>>,
    ) -> Option<Current> {
        let mut all = lock(&self.shared.known);
        let current = all.remove(key).filter(|known| known.is(repository)).and_then(|known| known.current);
        let next = Known {
            uid: repository.uid(),
            url: repository.spec.url.clone(),
            server: server.clone(),
            policy,
            answered: false,
            current: current.clone(),
        };
        all.insert(key.to_owned(), next);
        current
    }

    /// Makes `next` the table that releases see, unless the object was forgotten or changed meanwhile.
    fn publish(&self, key: &str, repository: &ChartRepository, next: &Current) {
        let mut all = lock(&self.shared.known);
        if let Some(known) = all.get_mut(key).filter(|known| known.is(repository)) {
            known.current = Some(next.clone());
        }
    }

    /// Remembers how the server is talked to; gives that back with the last good index, from memory or disk.
    async fn open(
        &self,
        key: &str,
        repository: &ChartRepository,
        secrets: &RepositorySecrets,
    ) -> Result<(Arc<Access>, Option<Current>), Error> {
        let access = Arc::new(access(repository, key, secrets)?);
        let policy = policy(repository, key, secrets)?;
        if let Some(current) = self.remember(key, repository, &Server::Web(access.clone()), policy) {
            return Ok((access, Some(current)));
        }
        let current = self.load_index(repository).await;
        if let Some(current) = &current {
            self.publish(key, repository, current);
        }
        Ok((access, current))
    }

    /// Loads the index that the object's status names from the cache on disk.
    async fn load_index(&self, repository: &ChartRepository) -> Option<Current> {
        let status = repository.status.as_ref()?;
        let artifact =
            status.artifact.clone().filter(|_| status.url.as_ref() == Some(&repository.spec.url))?;
        let digest = Digest::parse(&artifact.digest)?;
        let shared = self.shared.clone();
        let load = move || shared.disk.load_index(digest);
        let index = tokio::task::spawn_blocking(load).await.ok()??;
        Some(Current { index: Arc::new(index), artifact, announced: false })
    }

    /// Reads what was fetched; the digest decides whether it is another index, not the headers.
    async fn read_index(
        &self,
        key: &str,
        spooled: Spooled,
        etag: Option<String>,
        current: Option<Current>,
    ) -> Result<Current, Error> {
        let shared = self.shared.clone();
        let repository = key.to_owned();
        let read = move || {
            let digest = spooled.digest.to_string();
            if let Some(mut current) = current
                && current.artifact.digest == digest
            {
                current.artifact.etag = etag;
                return Ok(current);
            }
            let index = spooled.index().map_err(|source| Error::ParseIndex { repository, source })?;
            let artifact = Artifact {
                digest,
                size: i64::try_from(spooled.length).unwrap_or(i64::MAX),
                fetched_at: Time(Timestamp::now()),
                etag,
            };
            shared.disk.adopt(spooled);
            Ok(Current { index: Arc::new(index), artifact, announced: false })
        };
        blocking(key, read).await?
    }
}

impl Known {
    fn is(&self, repository: &ChartRepository) -> bool {
        self.uid == repository.uid() && self.url == repository.spec.url
    }
}

/// Namespace and name.
fn key(repository: &ChartRepository) -> String {
    format!("{}/{}", repository.namespace().unwrap_or_default(), repository.name_any())
}

/// How the server of `repository` is talked to.
fn access(repository: &ChartRepository, key: &str, secrets: &RepositorySecrets) -> Result<Access, Error> {
    let spec = &repository.spec;
    let credentials = match &spec.secret_ref {
        None => None,
        Some(secret) => {
            let data = secrets.credentials.as_ref().ok_or(credentials::Error::Absent);
            Some(
                data.and_then(Credentials::parse)
                    .map_err(|source| secret_error(key, &secret.name, source))?,
            )
        }
    };
    let tls = tls(repository, key, secrets)?;
    let url = address::parse(&spec.url)?;
    Ok(Access::new(url, credentials, spec.pass_credentials, tls, spec.timeout.0))
}

/// How servers of `repository` are verified.
fn tls(repository: &ChartRepository, key: &str, secrets: &RepositorySecrets) -> Result<TlsSettings, Error> {
    let spec = &repository.spec;
    match &spec.cert_secret_ref {
        None => Ok(TlsSettings::insecure(spec.insecure)),
        Some(secret) => {
            let data = secrets.tls.as_ref().ok_or(credentials::Error::Absent);
            data.and_then(|data| TlsSettings::parse(data, spec.insecure))
                .map_err(|source| secret_error(key, &secret.name, source))
        }
    }
}

/// How the registry of `repository` is talked to; `insecure` is without TLS.
fn registry(repository: &ChartRepository, key: &str, secrets: &RepositorySecrets) -> Result<Registry, Error> {
    let spec = &repository.spec;
    let invalid = |source| Error::AskRegistry { repository: key.to_owned(), source: Arc::new(source) };
    let keychain = match &spec.secret_ref {
        None => Keychain::default(),
        Some(secret) => {
            let data = secrets.credentials.as_ref().ok_or(credentials::Error::Absent);
            data.and_then(Keychain::parse).map_err(|source| secret_error(key, &secret.name, source))?
        }
    };
    let tls = tls(repository, key, secrets)?;
    let reference = Reference::parse(&spec.url).map_err(invalid)?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Err(invalid(oci::Error::Reference { why: "a repository has neither tag nor digest" }));
    }
    Registry::new(reference, spec.insecure, keychain, tls, spec.timeout.0).map_err(invalid)
}

/// The signatures that the charts of `repository` must have.
fn policy(
    repository: &ChartRepository,
    key: &str,
    secrets: &RepositorySecrets,
) -> Result<Option<Arc<Policy>>, Error> {
    let Some(verify) = &repository.spec.verify else { return Ok(None) };
    if verify.cosign.is_some() && !is_registry(&repository.spec.url) {
        return Err(Error::CosignWithoutRegistry { repository: key.to_owned() });
    }
    let mut policy = Policy::default();
    if let Some(keys) = &verify.pgp {
        let data = secrets.pgp.as_ref().ok_or(credentials::Error::Absent);
        data.and_then(|data| policy.require_pgp(data))
            .map_err(|source| secret_error(key, &keys.secret_ref.name, source))?;
    }
    if let Some(keys) = &verify.cosign {
        let data = secrets.cosign.as_ref().ok_or(credentials::Error::Absent);
        data.and_then(|data| policy.require_cosign(data))
            .map_err(|source| secret_error(key, &keys.secret_ref.name, source))?;
    }
    if policy.fingerprint.is_empty() {
        return Err(Error::NothingToVerify { repository: key.to_owned() });
    }
    Ok(Some(Arc::new(policy)))
}

fn secret_error(key: &str, secret: &str, source: credentials::Error) -> Error {
    Error::Secret { repository: key.to_owned(), secret: secret.to_owned(), source }
}

/// Whether an address leads to a registry.
fn is_registry(url: &str) -> bool {
    url.starts_with("oci://")
}

/// Runs `work` on the blocking pool.
async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Interrupted { what: what.to_owned() })
}

/// Locks; what a panic left behind is still a map.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
