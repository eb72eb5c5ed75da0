//! Charts in OCI registries: from a version, a tag or a digest to the manifest, and from that to the bytes.
//!
//! ```text
//! locate   version ──tags──► tag ──manifest──► digests of the archive and its provenance     (remembered a while)
//! pull     digest ──blob──► bytes                                                             (cached like any archive)
//! push     bytes  ──blobs, manifest──► tag                                                    (the command line's)
//! ```
//!
//! A client of its own, because it must keep the limits of every other fetch: bytes, time, redirects, and which server
//! sees which credentials. It speaks the part of the distribution specification that charts take.

mod challenge;
mod error;
mod exchange;
mod keychain;
mod manifest;
mod push;
mod reference;
mod session;
mod tags;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pintle_sprig::semver::Version;
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::address::shown;
use super::credentials::TlsSettings;
use super::digest::Digest;
use super::http::Http;
use super::lock;
use session::{Session, Talks, unexpected};

pub(super) use error::Error;
pub(super) use keychain::Keychain;
pub(super) use manifest::{ARCHIVE, Blob, CONFIG, ChartBlobs, Manifest, PROVENANCE};
pub(super) use reference::{Reference, tag_of, version_of};

/// Bytes of a manifest; the distribution specification has registries take that much.
const MANIFEST_BYTES: u64 = 4 << 20;
/// More answers than this are not worth remembering.
const MAX_LOCATED: usize = 10_000;
const DIGEST_HEADER: &str = "docker-content-digest";

/// A registry, or a part of it.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    /// What people call it, without a tag.
    reference: Reference,
    /// The address of its API.
    base: Url,
    keychain: Keychain,
    tls: TlsSettings,
    /// How long one download may take in all.
    timeout: Duration,
}

/// Which manifest of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Choice {
    /// The newest version that satisfies the constraint; all do when there is none.
    Version(Option<String>),
    /// A tag as it is.
    Tag(String),
    /// A manifest by its digest.
    Digest(Digest),
}

/// A chart that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Located {
    /// Its tag; none when a digest was asked for.
    pub tag: Option<String>,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// What it is made of.
    pub blobs: ChartBlobs,
}

/// What is known of all registries: tokens, pauses, and what tags led to.
#[derive(Debug, Default)]
pub(super) struct Registries {
    talks: Talks,
    located: Mutex<HashMap<String, (Located, Instant)>>,
}

impl Registry {
    /// The registry at `reference`; `plain` says not to use TLS.
    ///
    /// # Errors
    /// [`Error::Reference`].
    pub(super) fn new(
        reference: Reference,
        plain: bool,
        keychain: Keychain,
        tls: TlsSettings,
        timeout: Duration,
    ) -> Result<Self, Error> {
        Ok(Self { base: reference.base(plain)?, reference, keychain, tls, timeout })
    }

    /// The name of a repository below its path, as the API has it.
    ///
    /// # Errors
    /// [`Error::Reference`].
    pub(super) fn name(&self, chart: Option<&str>) -> Result<String, Error> {
        let mut name = self.reference.path.clone();
        if let Some(chart) = chart {
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(chart);
        }
        if reference::is_name(&name) {
            Ok(name)
        } else {
            Err(Error::Reference { why: "the name of the chart cannot be a path in a registry" })
        }
    }

    /// The same as people write it: host and path.
    pub(super) fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.reference.host).trim_end_matches('/').to_owned()
    }

    fn session<'a>(&'a self, http: &'a Http, talks: &'a Talks, name: &'a str) -> Session<'a> {
        let path = if name.is_empty() { &self.reference.path } else { name };
        let credentials = self.keychain.find(&self.full_name(path));
        Session { http, talks, base: &self.base, tls: &self.tls, credentials, name, actions: "pull" }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(self.timeout, work).await.map_err(|_| session::timed_out(&self.base, self.timeout))?
    }
}

impl Registries {
    /// Asks whether the registry is there and takes the credentials.
    ///
    /// # Errors
    /// It is not, or does not. Without credentials a registry may keep its front door shut and still give charts to
    /// everybody, so its refusal is no failure then.
    pub(super) async fn ping(&self, http: &Http, registry: &Registry) -> Result<(), Error> {
        let session = registry.session(http, &self.talks, "");
        let asked =
            registry.within(session.ask(Method::GET, "v2/", "application/json", MANIFEST_BYTES)).await;
        match asked {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) if answer.status.is_server_error() => Err(unexpected(&registry.base, &answer)),
            Ok(answer) => Err(Error::NotARegistry { url: shown(&registry.base), status: answer.status }),
            Err(Error::Refused { .. }) if session.credentials.is_none() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What `key` led to, when it was asked less than `max_age` ago.
    pub(super) fn remembered(&self, key: &str, max_age: Duration) -> Option<Located> {
        let located = lock(&self.located);
        located.get(key).filter(|(_, asked)| asked.elapsed() < max_age).map(|(located, _)| located.clone())
    }

    /// Forgets what began with `prefix`.
    pub(super) fn forget(&self, prefix: &str) {
        lock(&self.located).retain(|key, _| !key.starts_with(prefix));
    }

    /// Finds the chart `choice` of repository `name`, and remembers it as `key`. When the registry cannot be asked
    /// the last answer comes back with the reason.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn locate(
        &self,
        http: &Http,
        registry: &Registry,
        name: &str,
        choice: &Choice,
        key: &str,
    ) -> Result<(Located, Option<Error>), Error> {
        let last = lock(&self.located).get(key).map(|(located, _)| located.clone());
        let session = registry.session(http, &self.talks, name);
        let full = registry.full_name(name);
        match registry.within(find(&session, &full, choice, last.as_ref())).await {
            Ok(located) => {
                let mut all = lock(&self.located);
                if all.len() >= MAX_LOCATED {
                    all.clear();
                }
                all.insert(key.to_owned(), (located.clone(), Instant::now()));
                Ok((located, None))
            }
            Err(error) if error.is_outage() => match last {
                Some(last) => Ok((last, Some(error))),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Fetches a blob of repository `name`, at most `max_bytes` of it. Its bytes are those of its digest.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn pull(
        &self,
        http: &Http,
        registry: &Registry,
        name: &str,
        blob: Blob,
        max_bytes: u64,
    ) -> Result<Vec<u8>, Error> {
        if blob.size > max_bytes {
            return Err(Error::TooLarge { what: "the blob", size: blob.size, limit: max_bytes });
        }
        let session = registry.session(http, &self.talks, name);
        let path = format!("v2/{name}/blobs/{}", blob.digest);
        let answer = registry.within(session.ask(Method::GET, &path, "*/*", max_bytes)).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Error::NoBlob { digest: blob.digest }),
            status if !status.is_success() => return Err(unexpected(&registry.base, &answer)),
            _ => {}
        }
        let found = Digest::of(&answer.bytes);
        if found != blob.digest {
            return Err(Error::OtherDigest { what: "the blob", found, expected: blob.digest });
        }
        Ok(answer.bytes)
    }

    /// Fetches a manifest or an index of repository `name` by tag or digest; `None` when there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn manifest(
        &self,
        http: &Http,
        registry: &Registry,
        name: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let session = registry.session(http, &self.talks, name);
        let path = format!("v2/{name}/{path}");
        let answer =
            registry.within(session.ask(Method::GET, &path, manifest::ACCEPT, MANIFEST_BYTES)).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if !status.is_success() => Err(unexpected(&registry.base, &answer)),
            _ => Ok(Some(answer.bytes)),
        }
    }
}

async fn find(
    session: &Session<'_>,
    full: &str,
    choice: &Choice,
    last: Option<&Located>,
) -> Result<Located, Error> {
    let tag = match choice {
        Choice::Digest(digest) => {
            // The bytes of a digest never change.
            return match last {
                Some(last) => Ok(last.clone()),
                None => fetch(session, full, &digest.to_string(), Some(*digest)).await,
            };
        }
        Choice::Tag(tag) => tag.clone(),
        Choice::Version(constraint) => match constraint.as_deref().and_then(exact_tag) {
            Some(tag) => match by_tag(session, full, &tag, last).await {
                Err(Error::NoManifest { .. }) => {
                    // The list is worth its request for what the message then says.
                    tags::choose(full, &list(session, full).await?, constraint.as_deref())?
                }
                found => return found,
            },
            None => tags::choose(full, &list(session, full).await?, constraint.as_deref())?,
        },
    };
    by_tag(session, full, &tag, last).await
}

/// The tag of a constraint that is a version: Helm does not list tags for it either.
fn exact_tag(constraint: &str) -> Option<String> {
    Version::parse_strict(constraint).ok().and_then(|_| reference::tag_of(constraint))
}

async fn by_tag(
    session: &Session<'_>,
    full: &str,
    tag: &str,
    last: Option<&Located>,
) -> Result<Located, Error> {
    // Asking for the digest alone costs no pull where pulls are counted.
    if let Some(last) = last.filter(|last| last.tag.as_deref() == Some(tag)) {
        let path = format!("v2/{}/manifests/{tag}", session.name);
        let answer = session.ask(Method::HEAD, &path, manifest::ACCEPT, 0).await?;
        if answer.status.is_success() && named_digest(&answer) == Some(last.manifest) {
            return Ok(last.clone());
        }
    }
    let located = fetch(session, full, tag, None).await?;
    Ok(Located { tag: Some(tag.to_owned()), ..located })
}

fn named_digest(answer: &exchange::Answer) -> Option<Digest> {
    let text = answer.headers.get(DIGEST_HEADER)?.to_str().ok()?;
    text.starts_with("sha256:").then(|| Digest::parse(text)).flatten()
}

/// Fetches the manifest of a chart by tag or digest.
async fn fetch(
    session: &Session<'_>,
    full: &str,
    reference: &str,
    pinned: Option<Digest>,
) -> Result<Located, Error> {
    let path = format!("v2/{}/manifests/{reference}", session.name);
    let answer = session.ask(Method::GET, &path, manifest::ACCEPT, MANIFEST_BYTES).await?;
    match answer.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Err(match session::code(&answer.bytes).as_deref() {
                Some("NAME_UNKNOWN") => Error::NoRepository { name: full.to_owned() },
                _ => Error::NoManifest { name: full.to_owned(), reference: reference.to_owned() },
            });
        }
        status if !status.is_success() => return Err(unexpected(session.base, &answer)),
        _ => {}
    }
    let found = Digest::of(&answer.bytes);
    if let Some(expected) = pinned.or(named_digest(&answer))
        && expected != found
    {
        return Err(Error::OtherDigest { what: "the manifest", found, expected });
    }
    let blobs = Manifest::parse(reference, &answer.bytes)?.chart(reference)?;
    Ok(Located { tag: None, manifest: found, blobs })
}

/// All tags of the repository.
async fn list(session: &Session<'_>, full: &str) -> Result<Vec<String>, Error> {
    let wrong = |why| Error::Tags { name: full.to_owned(), why };
    let mut tags = Vec::new();
    let mut path = format!("v2/{}/tags/list?n={}", session.name, tags::PAGE);
    for _ in 0..tags::MAX_PAGES {
        let answer = session.ask(Method::GET, &path, "application/json", tags::PAGE_BYTES).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(Error::NoRepository { name: full.to_owned() });
            }
            status if !status.is_success() => return Err(unexpected(session.base, &answer)),
            _ => {}
        }
        tags.extend(tags::parse(&answer.bytes).ok_or(wrong("cannot be read"))?);
        let here = session.base.join(&path).map_err(|_| wrong("has no address"))?;
        match tags::next_page(&here, &answer.headers).map_err(wrong)? {
            Some(next) if next != here => path = next.into(),
            _ => return Ok(tags),
        }
    }
    Err(wrong("does not end"))
}
