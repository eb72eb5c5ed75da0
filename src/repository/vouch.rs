//! Fetches what vouches for a chart and has it checked. The answer is remembered by the digest of the chart and the
//! keys, so that a chart from the cache is as well vouched for as one that was just fetched.

use std::collections::HashMap;
use std::sync::Mutex;

use k8s_openapi::jiff::Timestamp;

use super::digest::Digest;
use super::http::{self, Response};
use super::oci::{self, Located, Registry};
use super::resolve::{Source, Wanted};
use super::verify::cosign::{self, Evidence};
use super::verify::{self, Verified, pgp};
use super::{Error, Shared, lock};

/// More answers than this are not worth remembering.
const MAX_VOUCHED: usize = 10_000;
/// Signatures that are looked at: of a chart with more of them, the first.
const MAX_SIGNATURES: usize = 32;

/// Who vouched for what.
#[derive(Debug, Default)]
pub(super) struct Vouched(Mutex<HashMap<String, Vec<Verified>>>);

impl Vouched {
    /// What is known of the bytes with `digest`; nothing has to be when no signature is required.
    pub(super) fn known(&self, wanted: &Wanted, digest: Digest) -> Option<Vec<Verified>> {
        match key(wanted, digest) {
            None => Some(Vec::new()),
            Some(key) => lock(&self.0).get(&key).cloned(),
        }
    }

    fn remember(&self, key: String, verified: &[Verified]) {
        let mut all = lock(&self.0);
        if all.len() >= MAX_VOUCHED {
            all.clear();
        }
        all.insert(key, verified.to_vec());
    }
}

/// What an answer holds for: these bytes as this chart, in a registry as part of this manifest, for these keys.
fn key(wanted: &Wanted, digest: Digest) -> Option<String> {
    let policy = wanted.policy.as_ref()?;
    let manifest = match &wanted.from {
        Source::Web(_) => String::new(),
        Source::Registry { located, .. } => located.manifest.to_string(),
    };
    Some(format!("{digest} {} {manifest} {}", wanted.label, policy.fingerprint))
}

impl Shared {
    /// Finds the signatures that the archive with `digest` must have.
    ///
    /// # Errors
    /// One is missing or not good, or cannot be fetched: required is required.
    pub(super) async fn vouch(&self, wanted: &Wanted, digest: Digest) -> Result<Vec<Verified>, Error> {
        if let Some(known) = self.vouched.known(wanted, digest) {
            return Ok(known);
        }
        let (Some(policy), Some(key)) = (&wanted.policy, key(wanted, digest)) else { return Ok(Vec::new()) };
        let refused = |source| Error::VerifyChart { chart: wanted.label.clone(), source };
        let mut verified = Vec::new();
        if let Some(keyring) = &policy.pgp {
            let text = self.provenance(wanted).await?;
            let text = text.ok_or_else(|| refused(verify::Error::Absent { what: pgp::WHAT }))?;
            let now = u32::try_from(Timestamp::now().as_second()).unwrap_or(u32::MAX);
            verified.push(keyring.verify(&text, &wanted.label, digest, now).map_err(refused)?);
        }
        if let Some(keys) = &policy.cosign {
            let found = match &wanted.from {
                Source::Web(_) => Err(verify::Error::Absent { what: cosign::WHAT }),
                Source::Registry { registry, name, located } => {
                    let beside = Beside { shared: self, registry, name, located };
                    beside.verify(keys).await.map_err(|source| pull_error(wanted, source))?
                }
            };
            verified.push(found.map_err(refused)?);
        }
        self.vouched.remember(key, &verified);
        Ok(verified)
    }

    /// The provenance file: beside the archive of a web server, or a layer of the manifest.
    async fn provenance(&self, wanted: &Wanted) -> Result<Option<Vec<u8>>, Error> {
        match &wanted.from {
            Source::Registry { registry, name, located } => {
                let Some(blob) = located.blobs.provenance else { return Ok(None) };
                let pulled = self.registries.pull(&self.http, registry, name, blob, pgp::MAX_BYTES).await;
                pulled.map(Some).map_err(|source| pull_error(wanted, source))
            }
            Source::Web(access) => {
                let mut failure = None;
                for url in &wanted.urls {
                    let mut url = url.clone();
                    url.set_path(&format!("{}.prov", url.path()));
                    match self.http.fetch(&url, access, None, pgp::MAX_BYTES).await {
                        Ok(Response::Body { bytes, .. }) => return Ok(Some(bytes)),
                        Ok(Response::NotModified) => {}
                        Err(http::Error::Status { status, .. }) if matches!(status.as_u16(), 404 | 410) => {}
                        Err(source) => {
                            let chart = wanted.label.clone();
                            failure.get_or_insert(Error::FetchChart { chart, source });
                        }
                    }
                }
                failure.map_or(Ok(None), Err)
            }
        }
    }
}

fn pull_error(wanted: &Wanted, source: oci::Error) -> Error {
    Error::PullChart { chart: wanted.label.clone(), source: std::sync::Arc::new(source) }
}

/// What a registry has beside a manifest.
struct Beside<'a> {
    shared: &'a Shared,
    registry: &'a Registry,
    name: &'a str,
    located: &'a Located,
}

impl Beside<'_> {
    /// The first good signature of the manifest, wherever cosign puts it: under a tag made of the digest, or among
    /// what refers to the manifest.
    async fn verify(&self, keys: &cosign::Keys) -> Result<Result<Verified, verify::Error>, oci::Error> {
        let hex = self.located.manifest.hex();
        let mut outcome = Err(verify::Error::Absent { what: cosign::WHAT });
        let mut left = MAX_SIGNATURES;
        if let Some(bytes) = self.get(&format!("manifests/sha256-{hex}.sig")).await? {
            self.look(&bytes, keys, &mut outcome, &mut left).await?;
        }
        for path in [format!("referrers/sha256:{hex}"), format!("manifests/sha256-{hex}")] {
            if outcome.is_ok() {
                break;
            }
            let Some(bytes) = self.get(&path).await? else { continue };
            for descriptor in oci::Manifest::parse(&path, &bytes)?.manifests.unwrap_or_default() {
                let kind = descriptor.artifact_type.as_deref().unwrap_or_default();
                let Some(blob) =
                    descriptor.blob().filter(|_| kind.contains("cosign") || kind.contains("sigstore"))
                else {
                    continue;
                };
                if outcome.is_ok() || left == 0 {
                    break;
                }
                let Some(bytes) = self.get(&format!("manifests/{}", blob.digest)).await? else { continue };
                if Digest::of(&bytes) == blob.digest {
                    self.look(&bytes, keys, &mut outcome, &mut left).await?;
                }
            }
        }
        Ok(outcome)
    }

    /// Looks at the signatures of one manifest, until one is good. The reason of the last bad one stays.
    async fn look(
        &self,
        bytes: &[u8],
        keys: &cosign::Keys,
        outcome: &mut Result<Verified, verify::Error>,
        left: &mut usize,
    ) -> Result<(), oci::Error> {
        for layer in oci::Manifest::parse("the signature", bytes)?.layers {
            let simple = layer.media_type == cosign::SIMPLE_SIGNING;
            if outcome.is_ok() || *left == 0 || !(simple || layer.media_type.starts_with(cosign::BUNDLE)) {
                continue;
            }
            *left -= 1;
            let Some(blob) = layer.blob() else { continue };
            let payload = self
                .shared
                .registries
                .pull(&self.shared.http, self.registry, self.name, blob, cosign::MAX_BYTES)
                .await?;
            let evidence = match (simple, layer.annotations.get(cosign::SIGNATURE)) {
                (false, _) => Evidence::Bundle(payload),
                (true, Some(signature)) => Evidence::Simple { payload, signature: signature.clone() },
                (true, None) => continue,
            };
            *outcome = keys.verify(&evidence, self.located.manifest);
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, oci::Error> {
        self.shared.registries.manifest(&self.shared.http, self.registry, self.name, path).await
    }
}
