//! Signatures of cosign, made with a key: over a small JSON document that names the manifest, or over an in-toto
//! statement about it.
//!
//! Keyless signatures, whose certificates have to be followed to a root of trust, are not checked here.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Data, Error, Verified};
use crate::repository::credentials;
use crate::repository::digest::Digest;

/// What messages call it.
pub const WHAT: &str = "cosign signature";
/// Bytes of what a signature is over.
pub const MAX_BYTES: u64 = 256 << 10;
/// The annotation of a layer that holds the signature of its bytes.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The media type of the document that names a manifest.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// How the media type of a bundle begins, which ends in its version.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// What a statement says when it is a signature, and not, say, a list of ingredients.
const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The public keys that are trusted.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    /// The digest of its encoding.
    fingerprint: String,
    algorithm: Algorithm,
    /// SubjectPublicKeyInfo.
    der: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    EcdsaP256,
    Rsa,
    Ed25519,
}

/// A signature as it was found beside a chart. All of it is JSON, and so text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Evidence {
    /// A document and its signature.
    Simple {
        /// The document.
        payload: String,
        /// In base64.
        signature: String,
    },
    /// A bundle: a statement in an envelope with its signature.
    Bundle(String),
}

#[derive(Deserialize)]
struct Simple {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(rename = "dsseEnvelope")]
    envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: std::collections::BTreeMap<String, String>,
}

impl Keys {
    /// Parses a Secret whose every value holds public keys in PEM.
    ///
    /// # Errors
    /// A value is something else, or a key of a kind that is not known, or there is none.
    pub fn parse(data: &Data) -> Result<Self, credentials::Error> {
        let malformed = || credentials::Error::Malformed { key: "cosign" };
        let mut keys = Vec::new();
        for value in data.values().filter(|value| !value.trim_ascii().is_empty()) {
            let text = std::str::from_utf8(value).map_err(|_| malformed())?;
            let found = blocks(text).ok_or_else(malformed)?;
            for der in found {
                let algorithm = Algorithm::of(&der).ok_or_else(malformed)?;
                keys.push(Key { fingerprint: Digest::of(&der).to_string(), algorithm, der });
            }
        }
        if keys.is_empty() {
            Err(credentials::Error::Missing { keys: "with a public key in PEM" })
        } else {
            Ok(Self(keys))
        }
    }

    /// Checks that `evidence` vouches for `manifest`.
    ///
    /// # Errors
    /// It does not.
    pub fn verify(&self, evidence: &Evidence, manifest: Digest) -> Result<Verified, Error> {
        let malformed = |why| Error::Malformed { what: WHAT, why };
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| malformed("it is not base64"));
        let (signer, named) = match evidence {
            Evidence::Simple { payload, signature } => {
                let signer = self.signer(payload.as_bytes(), &decoded(signature)?)?;
                let simple: Simple =
                    serde_json::from_str(payload).map_err(|_| malformed("it does not name an image"))?;
                if simple.critical.kind != "cosign container image signature" {
                    return Err(malformed("it is of another kind"));
                }
                (signer, vec![simple.critical.image.digest])
            }
            Evidence::Bundle(text) => {
                let bundle: Bundle =
                    serde_json::from_str(text).map_err(|_| malformed("it has no envelope"))?;
                let Envelope { payload, payload_type, signatures } = bundle.envelope;
                let payload = decoded(&payload)?;
                let signed = pre_authentication(&payload_type, &payload);
                let signature = signatures.first().ok_or(malformed("its envelope is not signed"))?;
                let signer = self.signer(&signed, &decoded(&signature.sig)?)?;
                let statement: Statement =
                    serde_json::from_slice(&payload).map_err(|_| malformed("it holds no statement"))?;
                if statement.predicate_type != SIGN_PREDICATE {
                    return Err(malformed("its statement is no signature"));
                }
                let digests = statement.subject.into_iter().filter_map(|mut s| s.digest.remove("sha256"));
                (signer, digests.map(|hex| format!("sha256:{hex}")).collect())
            }
        };
        if named.iter().any(|digest| *digest == manifest.to_string()) {
            Ok(Verified { method: "cosign", signer, digest: manifest })
        } else {
            Err(Error::OtherChart { what: WHAT, found: "another manifest".to_owned() })
        }
    }

    fn signer(&self, message: &[u8], signature: &[u8]) -> Result<String, Error> {
        let key = self.0.iter().find(|key| key.verifies(message, signature));
        key.map(|key| key.fingerprint.clone()).ok_or(Error::NotTrusted { what: WHAT })
    }
}

impl Key {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Algorithm::Rsa => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Ed25519 => &ED25519,
        };
        algorithm.verify_sig(&self.der, message, signature).is_ok()
    }
}

impl Algorithm {
    /// The algorithm that a SubjectPublicKeyInfo names, by the encoding of its identifier near the beginning.
    fn of(der: &[u8]) -> Option<Self> {
        const KNOWN: [(&[u8], Algorithm); 3] = [
            (&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], Algorithm::EcdsaP256),
            (&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01], Algorithm::Rsa),
            (&[0x06, 0x03, 0x2b, 0x65, 0x70], Algorithm::Ed25519),
        ];
        let head = der.get(..der.len().min(32))?;
        let names = |oid: &[u8]| head.windows(oid.len()).any(|window| window == oid);
        KNOWN.iter().find(|(oid, _)| names(oid)).map(|(_, algorithm)| *algorithm)
    }
}

/// The public keys of a PEM file.
fn blocks(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN PUBLIC KEY-----") {
        let (body, after) = after.split_once("-----END PUBLIC KEY-----")?;
        let body: String = body.split_ascii_whitespace().collect();
        blocks.push(STANDARD.decode(body).ok()?);
        rest = after;
    }
    (!blocks.is_empty()).then_some(blocks)
}

/// What the signature of an envelope is over.
fn pre_authentication(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    };

    use super::*;

    type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

    fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
        key.as_der().unwrap().as_ref().to_vec()
    }

    /// A pair of each kind: the public half, and how the other one signs.
    fn pairs() -> Vec<(Vec<u8>, Sign)> {
        let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let publics = [der(ecdsa.public_key()), der(rsa.public_key()), der(ed25519.public_key())];
        let signs: [Sign; 3] = [
            Box::new(move |text| ecdsa.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()),
            Box::new(move |text| {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
                signature
            }),
            Box::new(move |text| ed25519.sign(text).as_ref().to_vec()),
        ];
        publics.into_iter().zip(signs).collect()
    }

    fn pem(der: &[u8]) -> Vec<u8> {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
            .into_bytes()
    }

    fn keys(ders: &[&[u8]]) -> Keys {
        let data: Data = ders.iter().enumerate().map(|(n, der)| (format!("{n}.pub"), pem(der))).collect();
        Keys::parse(&data).unwrap()
    }

    fn simple(sign: &Sign, digest: Digest) -> Evidence {
        let payload = serde_json::json!({"critical": {
            "identity": {"docker-reference": "h/charts/web"},
            "image": {"docker-manifest-digest": digest.to_string()},
            "type": "cosign container image signature",
        }, "optional": null});
        let payload = payload.to_string();
        Evidence::Simple { signature: STANDARD.encode(sign(payload.as_bytes())), payload }
    }

    fn bundle(sign: &Sign, predicate: &str, digest: Digest) -> Evidence {
        let payload = serde_json::json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": digest.hex()}}],
            "predicateType": predicate,
        });
        let payload = payload.to_string().into_bytes();
        let kind = "application/vnd.in-toto+json";
        let signature = STANDARD.encode(sign(&pre_authentication(kind, &payload)));
        let envelope = serde_json::json!({
            "payload": STANDARD.encode(&payload), "payloadType": kind, "signatures": [{"sig": signature}],
        });
        Evidence::Bundle(serde_json::json!({"dsseEnvelope": envelope}).to_string())
    }

    #[test]
    fn each_kind_of_key_vouches_for_what_it_signed() {
        let digest = Digest::of(b"manifest");
        let pairs = pairs();
        for (n, (public, sign)) in pairs.iter().enumerate() {
            let other = &pairs[(n + 1) % pairs.len()].0;
            let trusted = keys(&[other, public]);
            for evidence in [simple(sign, digest), bundle(sign, SIGN_PREDICATE, digest)] {
                let verified = trusted.verify(&evidence, digest).unwrap();
                assert_eq!(verified.signer, Digest::of(public).to_string());
                let wrong = Digest::of(b"other");
                assert!(matches!(trusted.verify(&evidence, wrong), Err(Error::OtherChart { .. })));
                assert_eq!(keys(&[other]).verify(&evidence, digest), Err(Error::NotTrusted { what: WHAT }));
            }
        }
    }

    #[test]
    fn what_was_changed_or_says_something_else_vouches_for_nothing() {
        let digest = Digest::of(b"manifest");
        let (public, sign) = pairs().remove(0);
        let trusted = keys(&[&public]);
        let Evidence::Simple { payload, signature } = simple(&sign, digest) else { panic!() };
        let changed = payload.replacen("identity", "identitY", 1);
        let changed = Evidence::Simple { payload: changed, signature };
        assert_eq!(trusted.verify(&changed, digest), Err(Error::NotTrusted { what: WHAT }));
        for evidence in [
            Evidence::Simple { payload, signature: "%".to_owned() },
            Evidence::Simple { payload: "{}".to_owned(), signature: STANDARD.encode(sign(b"{}")) },
            bundle(&sign, "https://spdx.dev/Document", digest),
            Evidence::Bundle("{}".to_owned()),
        ] {
            assert!(
                matches!(trusted.verify(&evidence, digest), Err(Error::Malformed { .. })),
                "{evidence:?}"
            );
        }
    }

    #[test]
    fn only_public_keys_of_known_kinds_are_keys() {
        for value in [
            "",
            "hunter2",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----",
        ] {
            let data = BTreeMap::from([("cosign.pub".to_owned(), value.as_bytes().to_vec())]);
            assert!(Keys::parse(&data).is_err(), "{value}");
        }
    }
}
