//! Who vouches for a chart: its provenance file, or a signature beside it in the registry.
//!
//! What is checked here is the digest of bytes, not the bytes: so it is known whether a chart may be used before its
//! archive is parsed, and the answer holds for as long as the digest and the keys are the same. Fetching the evidence
//! is the concern of [`resolve`](super::resolve).

pub mod cosign;
pub mod pgp;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use super::credentials;
use super::digest::Digest;

type Data = BTreeMap<String, Vec<u8>>;

/// The signatures that the charts of a repository must have.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    /// The keys of provenance files, when charts must have one.
    pub pgp: Option<pgp::Keyring>,
    /// The keys of cosign signatures, when charts must have one.
    pub cosign: Option<cosign::Keys>,
    /// Tells policies apart: other keys are asked anew.
    pub fingerprint: String,
}

impl Policy {
    /// Requires a provenance file, signed by a key of this Secret.
    ///
    /// # Errors
    /// It holds no keys, or something else.
    pub(super) fn require_pgp(&mut self, data: &Data) -> Result<(), credentials::Error> {
        self.pgp = Some(pgp::Keyring::parse(data)?);
        self.fingerprint.push_str(&format!("pgp {} ", fingerprint(data)));
        Ok(())
    }

    /// Requires a cosign signature, made with a key of this Secret.
    ///
    /// # Errors
    /// It holds no keys, or something else.
    pub(super) fn require_cosign(&mut self, data: &Data) -> Result<(), credentials::Error> {
        self.cosign = Some(cosign::Keys::parse(data)?);
        self.fingerprint.push_str(&format!("cosign {} ", fingerprint(data)));
        Ok(())
    }
}

fn fingerprint(data: &Data) -> Digest {
    let digests: Vec<String> = data.values().map(|value| Digest::of(value).hex()).collect();
    Digest::of(digests.concat().as_bytes())
}

/// A signature that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What kind of signature: `pgp` or `cosign`.
    pub method: &'static str,
    /// Whose: the fingerprint of the key.
    pub signer: String,
    /// What it vouches for: the archive, or the manifest in a registry.
    pub digest: Digest,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signature of {} by key {}", self.method, self.digest, self.signer)
    }
}

/// Why nobody vouches for a chart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nothing to check.
    #[error("it has no {what}, and its repository requires one")]
    Absent {
        /// What is required.
        what: &'static str,
    },
    /// Not a signature, or not of the form that it must have.
    #[error("its {what} cannot be read: {why}")]
    Malformed {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Signed by somebody else, or changed since.
    #[error("none of the trusted keys made its {what}, or it was changed since")]
    NotTrusted {
        /// Which.
        what: &'static str,
    },
    /// A trusted key that is not good any more.
    #[error("key {key}, which signed it, {why}")]
    Key {
        /// The fingerprint.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A good signature of something else.
    #[error("its {what} is for {found}")]
    OtherChart {
        /// Which.
        what: &'static str,
        /// What it vouches for.
        found: String,
    },
}
