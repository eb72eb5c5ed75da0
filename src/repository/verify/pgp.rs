//! Provenance files: Chart.yaml and the digest of the archive, clear-signed with OpenPGP.

use std::collections::BTreeMap;

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Timestamp, VerifyingKey};
use serde::Deserialize;

use super::{Data, Error, Verified};
use crate::repository::credentials;
use crate::repository::digest::Digest;

/// What messages call it.
pub const WHAT: &str = "provenance file";
/// Bytes of a provenance file that are looked at.
pub const MAX_BYTES: u64 = 1 << 20;

/// The keys that are trusted to sign charts.
#[derive(Clone, Debug)]
pub struct Keyring(Vec<SignedPublicKey>);

/// What is read of the Chart.yaml in the file.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

/// The digests, by the names of files.
#[derive(Deserialize)]
struct Sums {
    #[serde(default)]
    files: BTreeMap<String, String>,
}

impl Keyring {
    /// Parses a Secret whose every value holds public keys, armored or not.
    ///
    /// # Errors
    /// A value is something else, or there is none.
    pub fn parse(data: &Data) -> Result<Self, credentials::Error> {
        let malformed = || credentials::Error::Malformed { key: "pgp" };
        let mut keys = Vec::new();
        for value in data.values().filter(|value| !value.trim_ascii().is_empty()) {
            let (found, _) = SignedPublicKey::from_reader_many(value.as_slice()).map_err(|_| malformed())?;
            for key in found {
                keys.push(key.map_err(|_| malformed())?);
            }
        }
        if keys.is_empty() {
            Err(credentials::Error::Missing { keys: "with an OpenPGP public key" })
        } else {
            Ok(Self(keys))
        }
    }

    /// Checks that `text` vouches for the archive with `digest` of the chart `label`, which is its name, a
    /// dash and its version, at the time `now` in seconds of the epoch.
    ///
    /// # Errors
    /// It does not.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/provenance/sign.go:Verify`, and besides: the Chart.yaml in the file must be this chart's, and
    /// the signature must not rest on MD5 or SHA-1.
    pub fn verify(&self, text: &[u8], label: &str, digest: Digest, now: u32) -> Result<Verified, Error> {
        let malformed = |why| Error::Malformed { what: WHAT, why };
        let text = std::str::from_utf8(text).map_err(|_| malformed("it is not UTF-8"))?;
        let (message, _) =
            CleartextSignedMessage::from_string(text).map_err(|_| malformed("it is not clear-signed"))?;
        let signed = message.signed_text();
        let signer = self.signer(message.signatures(), signed.as_bytes(), now)?;
        // Nothing of the text counts before its signature does.
        let signed = signed.replace("\r\n", "\n");
        let (metadata, sums) = signed.split_once("\n...\n").ok_or(malformed("it has no list of files"))?;
        let metadata: Metadata = pintle_goyaml::from_str(metadata.as_bytes())
            .map_err(|_| malformed("its Chart.yaml is not YAML"))?;
        let sums: Sums = pintle_goyaml::from_str(sums.as_bytes())
            .map_err(|_| malformed("its list of files is not YAML"))?;
        let other = |found: String| Error::OtherChart { what: WHAT, found };
        let signed_label = format!("{}-{}", metadata.name, metadata.version);
        if signed_label != label {
            return Err(other(format!("chart {}", printable(&signed_label))));
        }
        let sum = sums.files.get(&format!("{label}.tgz")).ok_or_else(|| {
            other(sums.files.keys().next().map_or("no file".to_owned(), |name| printable(name)))
        })?;
        match Some(sum).filter(|sum| sum.starts_with("sha256:")).and_then(|sum| Digest::parse(sum)) {
            Some(found) if found == digest => Ok(Verified { method: "pgp", signer, digest }),
            Some(found) => Err(other(format!("other bytes: {found}"))),
            None => Err(malformed("it has no sha256 digest of the archive")),
        }
    }

    /// Whose key `signer` is, the fingerprint of a key or of a subkey: the names in it, and its fingerprint.
    pub fn owner(&self, signer: &str) -> Option<(Vec<String>, String)> {
        let key = self.0.iter().find(|key| {
            format!("{:X}", key.primary_key.fingerprint()) == signer
                || key.public_subkeys.iter().any(|subkey| format!("{:X}", subkey.key.fingerprint()) == signer)
        })?;
        let users = key.details.users.iter();
        let names = users.map(|user| String::from_utf8_lossy(user.id.id()).into_owned()).collect();
        Some((names, format!("{:X}", key.primary_key.fingerprint())))
    }

    /// The fingerprint of the key that made one of `signatures` over `text`.
    fn signer(&self, signatures: &[Signature], text: &[u8], now: u32) -> Result<String, Error> {
        for signature in signatures {
            for key in &self.0 {
                let Some(signer) = maker(key, signature, text) else { continue };
                let refused = |why| Error::Key { key: signer.clone(), why };
                if !key.details.revocation_signatures.is_empty() {
                    return Err(refused("was revoked"));
                }
                if !matches!(
                    signature.hash_alg(),
                    Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
                ) {
                    return Err(refused("used a hash that is not safe"));
                }
                if is_over(signature.created(), signature.signature_expiration_time(), now) {
                    return Err(refused("limited the time of the signature, which is over"));
                }
                let renewed = own_signatures(key).max_by_key(|own| own.created().map(Timestamp::as_secs));
                let expires = renewed.and_then(Signature::key_expiration_time);
                if is_over(Some(key.primary_key.created_at()), expires, now) {
                    return Err(refused("has expired"));
                }
                return Ok(signer);
            }
        }
        Err(Error::NotTrusted { what: WHAT })
    }
}

/// The fingerprint of `key` or of the subkey of it that made `signature`.
fn maker(key: &SignedPublicKey, signature: &Signature, text: &[u8]) -> Option<String> {
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return None;
    }
    if signature.verify(&key.primary_key, text).is_ok() {
        return Some(format!("{:X}", key.primary_key.fingerprint()));
    }
    let subkey = key
        .public_subkeys
        .iter()
        .find(|subkey| may_sign(subkey, &key.primary_key) && signature.verify(&subkey.key, text).is_ok())?;
    Some(format!("{:X}", subkey.key.fingerprint()))
}

/// Whether a subkey belongs to its key, as both of them say, for signing, and was not revoked.
fn may_sign(subkey: &SignedPublicSubKey, primary: &(impl VerifyingKey + pgp::ser::Serialize)) -> bool {
    subkey.signatures.iter().all(|s| s.typ() == Some(SignatureType::SubkeyBinding))
        && subkey.signatures.iter().any(|s| s.key_flags().sign())
        && subkey.verify_bindings(primary).is_ok()
}

/// What a key says of itself.
fn own_signatures(key: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let id = key.primary_key.legacy_key_id();
    let users = key.details.users.iter().flat_map(|user| &user.signatures);
    users.chain(&key.details.direct_signatures).filter(move |s| s.issuer_key_id().contains(&&id))
}

fn is_over(begun: Option<Timestamp>, lasts: Option<pgp::types::Duration>, now: u32) -> bool {
    let lasts = lasts.map(pgp::types::Duration::as_secs).filter(|seconds| *seconds > 0);
    match (begun, lasts) {
        (Some(begun), Some(lasts)) => u64::from(begun.as_secs()) + u64::from(lasts) < u64::from(now),
        _ => false,
    }
}

/// What may be shown of a name that somebody else chose.
fn printable(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_graphic()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgp::composed::{ArmorOptions, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
    use pgp::types::Password;

    fn key(name: &str) -> SignedSecretKey {
        let mut builder = SecretKeyParamsBuilder::default();
        builder
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .can_certify(true)
            .primary_user_id(name.to_owned());
        builder.build().unwrap().generate(rand_of_pgp::thread_rng()).unwrap()
    }

    fn provenance(key: &SignedSecretKey, text: &str) -> String {
        let signed = CleartextSignedMessage::sign(
            rand_of_pgp::thread_rng(),
            text,
            &key.primary_key,
            &Password::empty(),
        )
        .unwrap();
        signed.to_armored_string(ArmorOptions::default()).unwrap()
    }

    fn text(name: &str, version: &str, file: &str, digest: Digest) -> String {
        format!("apiVersion: v2\nname: {name}\nversion: {version}\n\n...\nfiles:\n  {file}: {digest}\n")
    }

    fn keyring(keys: &[&SignedSecretKey]) -> Keyring {
        let armored =
            |key: &SignedSecretKey| key.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap();
        let data = keys.iter().enumerate().map(|(n, key)| (n.to_string(), armored(key)));
        Keyring::parse(&data.collect()).unwrap()
    }

    #[test]
    fn a_provenance_file_vouches_for_one_archive_of_one_chart() {
        let (ours, theirs) = (key("ours"), key("theirs"));
        let digest = Digest::of(b"archive");
        let now = Timestamp::now().as_secs();
        let good = provenance(&ours, &text("web", "1.0.0", "web-1.0.0.tgz", digest));
        let verified = keyring(&[&theirs, &ours]).verify(good.as_bytes(), "web-1.0.0", digest, now).unwrap();
        assert_eq!(verified.signer, format!("{:X}", ours.primary_key.fingerprint()));

        let trusted = keyring(&[&ours]);
        let check =
            |text: &str, digest| trusted.verify(text.as_bytes(), "web-1.0.0", digest, now).unwrap_err();
        let not_trusted = Error::NotTrusted { what: WHAT };
        assert_eq!(
            keyring(&[&theirs]).verify(good.as_bytes(), "web-1.0.0", digest, now),
            Err(not_trusted.clone())
        );
        assert_eq!(check(&good.replace("1.0.0", "1.0.1"), digest), not_trusted);
        assert!(matches!(check(&good, Digest::of(b"archivf")), Error::OtherChart { .. }));
        for (name, version, file) in [
            ("other", "1.0.0", "web-1.0.0.tgz"),
            ("web", "0.9.0", "web-1.0.0.tgz"),
            ("web", "1.0.0", "web-0.9.0.tgz"),
        ] {
            let error = check(&provenance(&ours, &text(name, version, file, digest)), digest);
            assert!(matches!(error, Error::OtherChart { .. }), "{error}");
        }
        for text in ["", "nothing", good.split("-----BEGIN PGP SIGNATURE").next().unwrap()] {
            assert!(matches!(check(text, digest), Error::Malformed { .. }), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_no_keyring() {
        for value in [
            "",
            "hunter2",
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n",
        ] {
            let data = BTreeMap::from([("k".to_owned(), value.as_bytes().to_vec())]);
            assert!(Keyring::parse(&data).is_err(), "{value}");
        }
    }
}
