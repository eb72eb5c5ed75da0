//! Fetches what vouches for a chart and has it checked. The answer is remembered by the digest of the chart and the
//! keys, so that a chart from the cache is as well vouched for as one that was just fetched.
//!
//! What was good is kept on disk, too, and checked again after a restart: the archive comes from the cache then, and its
//! source may be away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::http::{self, Response};
use super::oci::{self, Located, Registry};
use super::resolve::{Source, Wanted};
use super::verify::cosign::{self, Evidence};
use super::verify::{self, Policy, Verified, pgp};
use super::{Error, Shared, lock};

/// More answers than this are not worth remembering.
const MAX_VOUCHED: usize = 10_000;
/// Signatures that are looked at: of a chart with more of them, the first.
const MAX_SIGNATURES: usize = 32;
/// The media type of a config that says nothing.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What vouches for a chart.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Proof {
    /// The provenance file.
    pgp: Option<String>,
    cosign: Option<Evidence>,
}

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
    pub(super) async fn vouch(
        self: &Arc<Self>,
        wanted: &Wanted,
        digest: Digest,
    ) -> Result<Vec<Verified>, Error> {
        if let Some(known) = self.vouched.known(wanted, digest) {
            return Ok(known);
        }
        let (Some(policy), Some(key)) = (&wanted.policy, key(wanted, digest)) else { return Ok(Vec::new()) };
        let note = format!("vouched {key}");
        let kept: Option<Proof> = self.kept(&note).await;
        if let Some(Ok(verified)) = kept.map(|proof| check(policy, wanted, digest, &proof)) {
            self.vouched.remember(key, &verified);
            return Ok(verified);
        }
        let proof = self.proof(policy, wanted).await?;
        let verified = check(policy, wanted, digest, &proof)
            .map_err(|source| Error::VerifyChart { chart: wanted.label.clone(), source })?;
        self.vouched.remember(key, &verified);
        self.keep(&note, &proof).await;
        Ok(verified)
    }

    /// Fetches what the policy asks for.
    async fn proof(&self, policy: &Policy, wanted: &Wanted) -> Result<Proof, Error> {
        let refused = |source| Error::VerifyChart { chart: wanted.label.clone(), source };
        let mut proof = Proof::default();
        if policy.pgp.is_some() {
            let malformed = |_| refused(verify::Error::Malformed { what: pgp::WHAT, why: "it is not UTF-8" });
            let file = self.provenance(wanted).await?;
            proof.pgp = file.map(String::from_utf8).transpose().map_err(malformed)?;
        }
        if let (Some(keys), Source::Registry { registry, name, located }) = (&policy.cosign, &wanted.from) {
            let beside = Beside { shared: self, registry, name, located };
            let found = beside.find(keys).await.map_err(|source| pull_error(wanted, source))?;
            proof.cosign = Some(found.map_err(refused)?);
        }
        Ok(proof)
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

/// Whether everybody vouches for the archive with `digest` who has to.
fn check(
    policy: &Policy,
    wanted: &Wanted,
    digest: Digest,
    proof: &Proof,
) -> Result<Vec<Verified>, verify::Error> {
    let mut verified = Vec::new();
    if let Some(keyring) = &policy.pgp {
        let text = proof.pgp.as_ref().ok_or(verify::Error::Absent { what: pgp::WHAT })?;
        let now = u32::try_from(Timestamp::now().as_second()).unwrap_or(u32::MAX);
        verified.push(keyring.verify(text.as_bytes(), &wanted.label, digest, now)?);
    }
    if let Some(keys) = &policy.cosign {
        let absent = verify::Error::Absent { what: cosign::WHAT };
        match (&wanted.from, &proof.cosign) {
            (Source::Registry { located, .. }, Some(evidence)) => {
                verified.push(keys.verify(evidence, located.manifest)?);
            }
            _ => return Err(absent),
        }
    }
    Ok(verified)
}

fn pull_error(wanted: &Wanted, source: oci::Error) -> Error {
    Error::PullChart { chart: wanted.label.clone(), source: Arc::new(source) }
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
    async fn find(&self, keys: &cosign::Keys) -> Result<Result<Evidence, verify::Error>, oci::Error> {
        let hex = self.located.manifest.hex();
        let mut outcome = Err(verify::Error::Absent { what: cosign::WHAT });
        let (mut left, mut looked) = (MAX_SIGNATURES, 0);
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
                // cosign itself says `empty` where a registry has no list of referrers and it writes one: see
                // go-containerregistry's `pkg/v1/remote/write.go:commitManifest`.
                let may_sign =
                    kind.is_empty() || kind == EMPTY || kind.contains("cosign") || kind.contains("sigstore");
                let Some(blob) = descriptor.blob().filter(|_| may_sign) else { continue };
                if outcome.is_ok() || left == 0 || looked == MAX_SIGNATURES {
                    break;
                }
                looked += 1;
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
        outcome: &mut Result<Evidence, verify::Error>,
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
            let Ok(payload) = String::from_utf8(payload) else { continue };
            let evidence = match (simple, layer.annotations.get(cosign::SIGNATURE)) {
                (false, _) => Evidence::Bundle(payload),
                (true, Some(signature)) => Evidence::Simple { payload, signature: signature.clone() },
                (true, None) => continue,
            };
            *outcome = keys.verify(&evidence, self.located.manifest).map(|_| evidence);
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, oci::Error> {
        self.shared.registries.manifest(&self.shared.http, self.registry, self.name, path).await
    }
}
