//! From a reference to an exact chart: the version from the index or the tags, the archive from memory, disk or
//! network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pintle_helm::chart::{Chart, load_archive};
use pintle_sprig::semver::{Constraint, Version};
use reqwest::Url;

use super::credentials::TlsSettings;
use super::digest::Digest;
use super::http::{Access, Response};
use super::index::Miss;
use super::oci::{self, Choice, Keychain, Located, Reference, Registry};
use super::verify::{Policy, Verified};
use super::{Error, Known, Repositories, Server, Shared, address, blocking, is_registry, key, lock};
use crate::api::{ChartReference, ChartRepository};

/// How long one download of a chart without a repository may take in all.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(60);
/// More addresses than this are not worth remembering.
const MAX_ADDRESSES: usize = 10_000;

/// The exact chart that a reference means.
#[derive(Clone, Debug)]
pub struct ResolvedChart {
    /// The chart; shared by all releases of it.
    pub chart: Arc<Chart>,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `sha256:` and the digest of its archive.
    pub digest: String,
    /// Where it came from, without what may be secret in an address.
    pub url: String,
    /// The signatures that were checked: all that the repository requires.
    pub verified: Vec<Verified>,
    /// Why the source could not be asked; the chart is then the last one that it gave.
    pub stale: Option<Error>,
}

/// What an address gave when it was last asked.
#[derive(Clone, Debug)]
pub(super) struct Address {
    digest: Digest,
    etag: Option<String>,
    asked: Instant,
}

/// An archive that was found, and its chart.
#[derive(Clone, Debug)]
pub(super) struct Obtained {
    digest: Digest,
    chart: Arc<Chart>,
    url: String,
    verified: Vec<Verified>,
    stale: Option<Error>,
}

/// An archive to be found.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// For messages: name and version, or the address.
    pub(super) label: String,
    /// The namespace and name of the repository; empty for a direct address. Answers are shared among those who ask
    /// the same repository only: an error must not tell one tenant about the source of another.
    owner: String,
    pub(super) urls: Vec<Url>,
    pub(super) from: Source,
    /// The signatures that it must have.
    pub(super) policy: Option<Arc<Policy>>,
    /// The digest that it must have, and who says so.
    promised: Option<(Digest, &'static str)>,
}

/// Who gives an archive.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Web servers.
    Web(Arc<Access>),
    /// A repository of a registry.
    Registry { registry: Arc<Registry>, name: String, located: Located },
}

impl Wanted {
    /// Under which name others may want the same.
    fn name(&self) -> String {
        let url = self.urls.first().map_or(self.label.as_str(), Url::as_str);
        let policy = self.policy.as_ref().map_or("", |policy| &policy.fingerprint);
        match self.promised {
            Some((digest, _)) => format!("{} {digest} {url} {policy}", self.owner),
            None => format!("{} {url} {policy}", self.owner),
        }
    }
}

impl Repositories {
    /// Finds the chart that `reference` means, in `repository` when it names one.
    ///
    /// Costs no network when the index or the reference names a digest that was seen before. Otherwise the address is
    /// asked again when its last answer is older than `max_age`; zero always asks.
    ///
    /// # Errors
    /// See [`Error`]; its `reason` and `retry` say what to make of it.
    pub async fn resolve(
        &self,
        reference: &ChartReference,
        repository: Option<&ChartRepository>,
        max_age: Duration,
    ) -> Result<ResolvedChart, Error> {
        let (mut wanted, stale) = match (reference.url.as_deref(), repository, reference.name.as_deref()) {
            (Some(url), _, _) if is_registry(url) => self.tagged(url, reference, max_age).await?,
            (Some(url), _, _) => (direct(url)?, None),
            (None, Some(repository), Some(name)) => match self.known(repository) {
                Some(Known { server: Server::Registry(registry), policy, .. }) => {
                    let choice = Choice::Version(reference.version.clone());
                    // A suspended source is not asked again; what it said before stays.
                    let max_age = if repository.spec.suspend { Duration::MAX } else { max_age };
                    let (wanted, stale) =
                        self.pushed(registry, key(repository), Some(name), choice, max_age).await?;
                    (Wanted { policy, ..wanted }, stale)
                }
                _ => (self.listed(repository, name, reference)?, None),
            },
            _ => return Err(Error::NoSource),
        };
        if let Some(text) = &reference.digest {
            let pin =
                Digest::parse(text).ok_or_else(|| Error::InvalidDigest { chart: wanted.label.clone() })?;
            let promise = "the spec";
            // What helm shows of a chart in a registry is the digest of its manifest, which pins the archive as well.
            let pins_manifest =
                matches!(&wanted.from, Source::Registry { located, .. } if located.manifest == pin);
            if let Some((found, _)) = wanted.promised
                && found != pin
                && !pins_manifest
            {
                return Err(Error::OtherDigest { chart: wanted.label, found, expected: pin, promise });
            }
            if !pins_manifest {
                wanted.promised = Some((pin, promise));
            }
        }
        let obtained = match self.remembered(&wanted, max_age) {
            Some(obtained) => obtained,
            None => {
                let shared = self.shared.clone();
                self.shared.flights.join(&wanted.name(), || shared.obtain(wanted)).await?
            }
        };
        let metadata = &obtained.chart.metadata;
        if reference.url.is_some()
            && let Some(constraint) = reference.version.as_deref()
            && !satisfies(&metadata.version, constraint)?
        {
            return Err(Error::OtherVersion {
                url: obtained.url,
                version: metadata.version.clone(),
                constraint: constraint.to_owned(),
            });
        }
        Ok(ResolvedChart {
            name: metadata.name.clone(),
            version: metadata.version.clone(),
            digest: obtained.digest.to_string(),
            chart: obtained.chart,
            url: obtained.url,
            verified: obtained.verified,
            stale: obtained.stale.or(stale),
        })
    }

    /// The chart of a registry that stands in a spec itself: no repository has credentials for it.
    async fn tagged(
        &self,
        url: &str,
        reference: &ChartReference,
        max_age: Duration,
    ) -> Result<(Wanted, Option<Error>), Error> {
        let invalid =
            |source| Error::PullChart { chart: "spec.chart.url".to_owned(), source: Arc::new(source) };
        let mut place = Reference::parse(url).map_err(invalid)?;
        let choice = match (place.digest.take(), place.tag.take()) {
            (Some(digest), _) => Choice::Digest(digest),
            (None, Some(tag)) => Choice::Tag(tag),
            (None, None) => Choice::Version(reference.version.clone()),
        };
        // As docker: what is on this machine needs no TLS.
        let plain = place.is_loopback();
        let registry =
            Registry::new(place, plain, Keychain::default(), TlsSettings::default(), DIRECT_TIMEOUT);
        let registry = Arc::new(registry.map_err(invalid)?);
        self.pushed(registry, String::new(), None, choice, max_age).await
    }

    /// The chart of a registry; the error is why the registry could not be asked, the chart then its last answer.
    async fn pushed(
        &self,
        registry: Arc<Registry>,
        owner: String,
        chart: Option<&str>,
        choice: Choice,
        max_age: Duration,
    ) -> Result<(Wanted, Option<Error>), Error> {
        let shared = &self.shared;
        let failed = |place: &str, source| pull_error(&owner, chart, place, source);
        let name = registry.name(chart).map_err(|source| failed("spec.chart", source))?;
        let full = registry.full_name(&name);
        let key = format!("{owner} {full} {choice:?}");
        let note = format!("located {key}");
        let known = match shared.registries.remembered(&key, max_age) {
            // Who is not to ask at all takes what an earlier run was told.
            None if max_age == Duration::MAX => shared.kept(&note).await,
            known => known,
        };
        let (located, stale) = match known {
            Some(located) => (located, None),
            None => {
                let last = shared.registries.remembered(&key, Duration::MAX);
                let asked = shared.registries.locate(&shared.http, &registry, &name, &choice, &key).await;
                let found = match asked {
                    Err(error) if error.is_outage() => match shared.kept(&note).await {
                        Some(located) => Ok((located, Some(error))),
                        None => Err(error),
                    },
                    asked => asked,
                };
                let (located, error) = found.map_err(|source| failed(&full, source))?;
                if error.is_none() && last.as_ref() != Some(&located) {
                    shared.keep(&note, &located).await;
                }
                (located, error.map(|source| failed(&full, source)))
            }
        };
        let shown = match &located.tag {
            Some(tag) => format!("oci://{full}:{tag}"),
            None => format!("oci://{full}@{}", located.manifest),
        };
        let url = Url::parse(&shown)
            .map_err(|error| Error::InvalidUrl { url: shown.clone(), why: error.to_string() })?;
        let label = match (chart, &located.tag) {
            (Some(chart), Some(tag)) => format!("{chart}-{}", oci::version_of(tag)),
            _ => shown,
        };
        let promised = Some((located.blobs.archive.digest, "its manifest"));
        let from = Source::Registry { registry, name, located };
        Ok((Wanted { label, owner, urls: vec![url], from, policy: None, promised }, stale))
    }

    /// The archive that the index of `repository` lists.
    fn listed(
        &self,
        repository: &ChartRepository,
        name: &str,
        reference: &ChartReference,
    ) -> Result<Wanted, Error> {
        let owner = key(repository);
        let known = self.known(repository);
        let Some(Known { server: Server::Web(access), current: Some(current), policy, .. }) = known else {
            return Err(Error::NotFetched { repository: owner });
        };
        let constraint = reference.version.as_deref();
        let version = current.index.choose(name, constraint).map_err(|miss| match miss {
            Miss::Chart { near } => {
                Error::ChartNotFound { repository: owner.clone(), chart: name.to_owned(), near }
            }
            Miss::Version { newest } => Error::VersionNotFound {
                repository: owner.clone(),
                chart: name.to_owned(),
                constraint: constraint.unwrap_or("*").to_owned(),
                newest,
            },
            Miss::Constraint(why) => {
                Error::InvalidConstraint { constraint: constraint.unwrap_or_default().to_owned(), why }
            }
        })?;
        let label = format!("{name}-{}", version.version);
        let joined: Vec<Result<Url, Error>> =
            version.urls.iter().map(|url| address::join(&access.origin, url)).collect();
        let (urls, refused): (Vec<_>, Vec<_>) = joined.into_iter().partition(Result::is_ok);
        if urls.is_empty() {
            let error = refused.into_iter().find_map(Result::err);
            return Err(error.unwrap_or(Error::NoAddress { chart: label }));
        }
        Ok(Wanted {
            label,
            owner,
            urls: urls.into_iter().flatten().collect(),
            from: Source::Web(access),
            policy,
            promised: version.digest.map(|digest| (digest, "the index")),
        })
    }

    /// What needs no asking: a chart in memory, by its digest or by the recent answer of its address.
    fn remembered(&self, wanted: &Wanted, max_age: Duration) -> Option<Obtained> {
        let digest = match wanted.promised {
            Some((digest, _)) => digest,
            None => {
                let addresses = lock(&self.shared.addresses);
                let address = addresses.get(&wanted.name())?;
                if address.asked.elapsed() >= max_age {
                    return None;
                }
                address.digest
            }
        };
        let verified = self.shared.vouched.known(wanted, digest)?;
        let chart = self.shared.charts.get(digest)?;
        Some(Obtained { digest, chart, url: source(&wanted.urls), verified, stale: None })
    }
}

impl Shared {
    /// Finds the archive on disk or on the network.
    async fn obtain(self: Arc<Self>, wanted: Wanted) -> Result<Obtained, Error> {
        let last = match wanted.promised {
            Some((digest, _)) => {
                if let Some(obtained) = self.cached(&wanted, digest).await? {
                    return Ok(obtained);
                }
                None
            }
            None => {
                let address = lock(&self.addresses).get(&wanted.name()).cloned();
                let known = match address {
                    Some(address) => Some((address.digest, address.etag)),
                    None => self.kept(&note(&wanted)).await,
                };
                match known {
                    Some((digest, etag)) => {
                        let obtained = self.cached(&wanted, digest).await?;
                        obtained.map(|obtained| (obtained, etag))
                    }
                    None => None,
                }
            }
        };
        let mut failure = None;
        for url in &wanted.urls {
            match self.download(&wanted, url, last.as_ref()).await {
                Ok(obtained) => return Ok(obtained),
                // The first address is the one that people look at.
                Err(error) => failure.get_or_insert(error),
            };
        }
        let failure = failure.unwrap_or_else(|| Error::NoAddress { chart: wanted.label.clone() });
        match (last, &failure) {
            (Some((obtained, _)), Error::FetchChart { .. }) => {
                Ok(Obtained { stale: Some(failure), ..obtained })
            }
            _ => Err(failure),
        }
    }

    /// The chart with that digest, from memory or disk.
    async fn cached(self: &Arc<Self>, wanted: &Wanted, digest: Digest) -> Result<Option<Obtained>, Error> {
        let shared = self.clone();
        let load = move || {
            if let Some(chart) = shared.charts.get(digest) {
                return Some(chart);
            }
            let bytes = shared.disk.load(digest)?;
            // It was a chart when it was stored; under other limits it may not be one any more.
            let chart = load_archive(&bytes, &shared.options.chart).ok()?;
            Some(shared.charts.insert(digest, Arc::new(chart), bytes.len() as u64))
        };
        let verified = self.vouch(wanted, digest).await?;
        // It is closed by nobody.
        let _turn = self.loading.acquire().await;
        let chart = blocking(&wanted.label, load).await?;
        let url = source(&wanted.urls);
        Ok(chart.map(|chart| Obtained { digest, chart, url, verified, stale: None }))
    }

    /// Fetches the archive from one of its addresses. `last` is what that gave before, with its ETag.
    async fn download(
        self: &Arc<Self>,
        wanted: &Wanted,
        url: &Url,
        last: Option<&(Obtained, Option<String>)>,
    ) -> Result<Obtained, Error> {
        let limit = self.options.chart.compressed_bytes;
        let access = match &wanted.from {
            Source::Web(access) => access,
            Source::Registry { registry, name, located } => {
                let archive = located.blobs.archive;
                let pulled = self.registries.pull(&self.http, registry, name, archive, limit).await;
                let bytes = pulled.map_err(|source| Error::PullChart {
                    chart: wanted.label.clone(),
                    source: Arc::new(source),
                })?;
                return self.admit(wanted, bytes, url).await;
            }
        };
        let etag = last.and_then(|(_, etag)| etag.as_deref());
        let response = self
            .http
            .fetch(url, access, etag, limit)
            .await
            .map_err(|source| Error::FetchChart { chart: wanted.label.clone(), source })?;
        let (obtained, etag) = match (response, last) {
            (Response::NotModified, Some((obtained, etag))) => (obtained.clone(), etag.clone()),
            (Response::NotModified, None) => {
                return Err(Error::Interrupted { what: wanted.label.clone() });
            }
            (Response::Body { bytes, etag }, _) => (self.admit(wanted, bytes, url).await?, etag),
        };
        if wanted.promised.is_none() {
            if last.is_none_or(|(known, tag)| known.digest != obtained.digest || *tag != etag) {
                self.keep(&note(wanted), &(obtained.digest, &etag)).await;
            }
            let mut addresses = lock(&self.addresses);
            if addresses.len() >= MAX_ADDRESSES {
                addresses.clear();
            }
            let address = Address { digest: obtained.digest, etag, asked: Instant::now() };
            addresses.insert(wanted.name(), address);
        }
        Ok(obtained)
    }

    /// Checks and loads what came from `url`; only what is a chart is kept.
    async fn admit(self: &Arc<Self>, wanted: &Wanted, bytes: Vec<u8>, url: &Url) -> Result<Obtained, Error> {
        let (digest, bytes) = blocking(&wanted.label, move || (Digest::of(&bytes), bytes)).await?;
        if let Some((expected, promise)) = wanted.promised
            && expected != digest
        {
            return Err(Error::OtherDigest { chart: wanted.label.clone(), found: digest, expected, promise });
        }
        // Before anything looks into the archive.
        let verified = self.vouch(wanted, digest).await?;
        let shared = self.clone();
        let label = wanted.label.clone();
        let load = move || {
            let chart = match shared.charts.get(digest) {
                Some(chart) => chart,
                None => load_archive(&bytes, &shared.options.chart)
                    .map(Arc::new)
                    .map_err(|source| Error::LoadChart { chart: label, source: Arc::new(source) })?,
            };
            shared.disk.store(digest, &bytes);
            Ok(shared.charts.insert(digest, chart, bytes.len() as u64))
        };
        let _turn = self.loading.acquire().await;
        let chart = blocking(&wanted.label, load).await??;
        Ok(Obtained { digest, chart, url: address::shown(url), verified, stale: None })
    }
}

/// Under which name it is kept what an address gave.
fn note(wanted: &Wanted) -> String {
    format!("address {}", wanted.name())
}

/// The archive at an address in a spec.
fn direct(text: &str) -> Result<Wanted, Error> {
    let url = address::parse(text)?;
    Ok(Wanted {
        label: address::shown(&url),
        owner: String::new(),
        from: Source::Web(Arc::new(Access::new(
            url.clone(),
            None,
            false,
            TlsSettings::default(),
            DIRECT_TIMEOUT,
        ))),
        urls: vec![url],
        policy: None,
        promised: None,
    })
}

/// What a registry's failure to give `chart` is to a release: a chart or a version that is not there has a message
/// that is the same for every kind of source.
fn pull_error(owner: &str, chart: Option<&str>, place: &str, source: oci::Error) -> Error {
    match (chart, source) {
        (Some(chart), oci::Error::NoRepository { .. }) => {
            Error::ChartNotFound { repository: owner.to_owned(), chart: chart.to_owned(), near: Vec::new() }
        }
        (Some(chart), oci::Error::NoVersion { constraint, newest, .. }) => Error::VersionNotFound {
            repository: owner.to_owned(),
            chart: chart.to_owned(),
            constraint,
            newest,
        },
        (_, oci::Error::Constraint { constraint, why }) => Error::InvalidConstraint { constraint, why },
        (_, source) => Error::PullChart { chart: place.to_owned(), source: Arc::new(source) },
    }
}

fn source(urls: &[Url]) -> String {
    urls.first().map(address::shown).unwrap_or_default()
}

/// Whether `version` is the one that `constraint` says, or within it.
fn satisfies(version: &str, constraint: &str) -> Result<bool, Error> {
    let range = Constraint::parse(constraint).map_err(|error| Error::InvalidConstraint {
        constraint: constraint.to_owned(),
        why: error.to_string(),
    })?;
    Ok(version == constraint || Version::parse(version).is_ok_and(|version| range.check(&version)))
}
