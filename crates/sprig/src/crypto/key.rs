//! Private keys: generated, read from PEM, written back in the form that Go gives each kind.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use pintle_gotemplate::{FuncError, State, Value};

use super::der::{self, Reader};
use super::{dsa, pem};
use crate::args::Args;
use crate::environment::{self, Environment};
use crate::go::{Outcome, failure};

/// An elliptic curve that can sign.
pub(super) struct Curve {
    /// The object identifier of the curve.
    oid: &'static [u8],
    /// The object identifier of its signatures.
    signature: &'static [u8],
    algorithm: &'static EcdsaSigningAlgorithm,
}

static CURVES: [Curve; 3] = [
    Curve {
        oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        signature: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
        algorithm: &ECDSA_P256_SHA256_ASN1_SIGNING,
    },
    Curve {
        oid: &[0x2b, 0x81, 0x04, 0x00, 0x22],
        signature: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
        algorithm: &ECDSA_P384_SHA384_ASN1_SIGNING,
    },
    Curve {
        oid: &[0x2b, 0x81, 0x04, 0x00, 0x23],
        signature: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
        algorithm: &ECDSA_P521_SHA512_ASN1_SIGNING,
    },
];

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// A private key of one of the kinds that sprig knows.
pub(super) enum Key {
    Rsa {
        pair: RsaKeyPair,
        pkcs1: Vec<u8>,
    },
    Ec {
        pair: EcdsaKeyPair,
        curve: &'static Curve,
    },
    Ed25519 {
        pair: Ed25519KeyPair,
        seed: Vec<u8>,
    },
    /// DSA signs nothing here; it is only carried.
    Dsa {
        der: Vec<u8>,
    },
}

impl Key {
    /// A new RSA key.
    pub(super) fn rsa(environment: &Environment, bits: u32) -> Result<Self, String> {
        let pkcs1 = environment.rsa(bits)?;
        let pair = RsaKeyPair::from_der(&pkcs1).map_err(|error| error.to_string())?;
        Ok(Self::Rsa { pair, pkcs1 })
    }

    fn p256(environment: &Environment) -> Result<Self, FuncError> {
        let [curve, ..] = &CURVES;
        // A random scalar is too large once in 2^32 times; then the key is refused and another one drawn.
        for _ in 0..16 {
            let mut scalar = [0; 32];
            environment.fill(&mut scalar)?;
            if let Some(key) = Self::ec_from_scalar(&scalar, curve) {
                return Ok(key);
            }
        }
        Err(failure("failed to generate private key: no usable random number"))
    }

    fn ec_from_scalar(scalar: &[u8], curve: &'static Curve) -> Option<Self> {
        let oid = der::element(der::OBJECT_ID, &[curve.oid]);
        let key = der::sequence(&[
            &der::unsigned(&[1]),
            &der::element(der::OCTET_STRING, &[scalar]),
            &der::element(der::context(0), &[&oid]),
        ]);
        let pair = EcdsaKeyPair::from_private_key_der(curve.algorithm, &key).ok()?;
        Some(Self::Ec { pair, curve })
    }

    fn ed25519(seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(Self::Ed25519 { pair, seed: seed.to_vec() })
    }

    /// Reads a key from PEM.
    ///
    /// # Errors
    ///
    /// sprig's text; the reason behind it is shorter than Go's.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, String> {
        let (kind, data) = pem::decode(text).ok_or("no PEM data in input")?;
        if kind == "PRIVATE KEY" {
            let malformed = "decoding PEM as PKCS#8: x509: failed to parse private key";
            return Self::from_pkcs8(&data).ok_or_else(|| malformed.to_owned());
        }
        let Some(algorithm) = kind.strip_suffix(" PRIVATE KEY") else {
            return Err(format!("no private key data in PEM block of type {kind}"));
        };
        let (key, name) = match algorithm {
            "RSA" => (Self::from_pkcs1(&data), "RSA"),
            "EC" => (Self::from_sec1(&data, None), "EC"),
            "DSA" => (dsa::is_key(&data).then(|| Self::Dsa { der: data }), "DSA"),
            _ => return Err(format!("invalid private key type {kind}")),
        };
        key.ok_or_else(|| format!("parsing {name} private key from PEM: x509: failed to parse private key"))
    }

    fn from_pkcs1(data: &[u8]) -> Option<Self> {
        let pair = RsaKeyPair::from_der(data).ok()?;
        Some(Self::Rsa { pair, pkcs1: data.to_vec() })
    }

    fn from_sec1(data: &[u8], curve: Option<&[u8]>) -> Option<Self> {
        let mut key = Reader(Reader(data).expect(der::SEQUENCE)?);
        key.expect(der::INTEGER)?;
        let scalar = key.expect(der::OCTET_STRING)?;
        let named = key.optional(der::context(0)).and_then(|oid| Reader(oid).expect(der::OBJECT_ID));
        let curve = named.or(curve)?;
        Self::ec_from_scalar(scalar, CURVES.iter().find(|known| known.oid == curve)?)
    }

    fn from_pkcs8(data: &[u8]) -> Option<Self> {
        let mut info = Reader(Reader(data).expect(der::SEQUENCE)?);
        info.expect(der::INTEGER)?;
        let mut algorithm = Reader(info.expect(der::SEQUENCE)?);
        let key = info.expect(der::OCTET_STRING)?;
        match algorithm.expect(der::OBJECT_ID)? {
            RSA_ENCRYPTION => Self::from_pkcs1(key),
            EC_PUBLIC_KEY => Self::from_sec1(key, algorithm.optional(der::OBJECT_ID)),
            ED25519 => Self::ed25519(Reader(key).expect(der::OCTET_STRING)?),
            _ => None,
        }
    }

    /// Writes the key as PEM: PKCS#1 for RSA, SEC 1 for elliptic curves, PKCS#8 for Ed25519.
    pub(super) fn to_pem(&self) -> Result<String, String> {
        Ok(match self {
            Self::Rsa { pkcs1, .. } => pem::encode("RSA PRIVATE KEY", pkcs1),
            Self::Dsa { der } => pem::encode("DSA PRIVATE KEY", der),
            Self::Ec { pair, curve } => {
                let scalar: EcPrivateKeyBin<'_> =
                    pair.private_key().as_be_bytes().map_err(|e| e.to_string())?;
                let key = der::sequence(&[
                    &der::unsigned(&[1]),
                    &der::element(der::OCTET_STRING, &[scalar.as_ref()]),
                    &der::element(der::context(0), &[&der::element(der::OBJECT_ID, &[curve.oid])]),
                    &der::element(der::context(1), &[&der::bits(pair.public_key().as_ref())]),
                ]);
                pem::encode("EC PRIVATE KEY", &key)
            }
            Self::Ed25519 { seed, .. } => {
                let key = der::sequence(&[
                    &der::unsigned(&[]),
                    &der::sequence(&[&der::element(der::OBJECT_ID, &[ED25519])]),
                    &der::element(der::OCTET_STRING, &[&der::element(der::OCTET_STRING, &[seed])]),
                ]);
                pem::encode("PRIVATE KEY", &key)
            }
        })
    }

    /// The public key as in a certificate: its algorithm and its bits. DSA has none here.
    pub(super) fn public(&self) -> Option<(Vec<u8>, &[u8])> {
        let oid = |oid: &[u8]| der::element(der::OBJECT_ID, &[oid]);
        Some(match self {
            Self::Rsa { pair, .. } => {
                (der::sequence(&[&oid(RSA_ENCRYPTION), der::NULL]), pair.public_key().as_ref())
            }
            Self::Ec { pair, curve } => {
                (der::sequence(&[&oid(EC_PUBLIC_KEY), &oid(curve.oid)]), pair.public_key().as_ref())
            }
            Self::Ed25519 { pair, .. } => (der::sequence(&[&oid(ED25519)]), pair.public_key().as_ref()),
            Self::Dsa { .. } => return None,
        })
    }

    /// The algorithm of its signatures.
    pub(super) fn signature_algorithm(&self) -> Vec<u8> {
        let oid = |oid: &[u8]| der::element(der::OBJECT_ID, &[oid]);
        match self {
            Self::Rsa { .. } => der::sequence(&[&oid(SHA256_WITH_RSA), der::NULL]),
            Self::Ec { curve, .. } => der::sequence(&[&oid(curve.signature)]),
            Self::Ed25519 { .. } | Self::Dsa { .. } => der::sequence(&[&oid(ED25519)]),
        }
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let chance = SystemRandom::new();
        match self {
            Self::Rsa { pair, .. } => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &chance, message, &mut signature);
                signed.map(|()| signature).map_err(|error| error.to_string())
            }
            Self::Ec { pair, .. } => {
                let signed = pair.sign(&chance, message).map_err(|error| error.to_string())?;
                Ok(signed.as_ref().to_vec())
            }
            Self::Ed25519 { pair, .. } => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Dsa { .. } => {
                Err("x509: certificate private key does not implement crypto.Signer".to_owned())
            }
        }
    }
}

/// A new RSA key as PKCS#1, from the crypto library's own randomness.
pub(crate) fn system_rsa(bits: u32) -> Result<Vec<u8>, String> {
    let size = if bits > 2048 { KeySize::Rsa4096 } else { KeySize::Rsa2048 };
    let pair = RsaKeyPair::generate(size).map_err(|error| error.to_string())?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|error| error.to_string())?;
    let unwrap = || {
        let mut info = Reader(Reader(pkcs8.as_ref()).expect(der::SEQUENCE)?);
        info.expect(der::INTEGER)?;
        info.expect(der::SEQUENCE)?;
        info.expect(der::OCTET_STRING).map(<[u8]>::to_vec)
    };
    unwrap().ok_or_else(|| "malformed key".to_owned())
}

/// `genPrivateKey TYPE`: an unknown type is told in the result.
pub(crate) fn gen_private_key(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    // About in proportion to the time they take.
    state.spend(match args.bytes(0) {
        b"" | b"rsa" => 2_000_000,
        b"dsa" => 5_000_000,
        _ => 1_000,
    })?;
    environment::with(state, |environment| {
        let failed = |error: String| format!("failed to generate private key: {error}");
        let key = match args.bytes(0) {
            b"" | b"rsa" => Key::rsa(environment, 4096),
            b"dsa" => Ok(Key::Dsa { der: dsa::generate(environment)? }),
            b"ecdsa" => Ok(Key::p256(environment)?),
            b"ed25519" => {
                let mut seed = [0; 32];
                environment.fill(&mut seed)?;
                Key::ed25519(&seed).ok_or_else(|| "malformed key".to_owned())
            }
            other => return Ok([b"Unknown type ", other].concat().into()),
        };
        // sprig: a failure is the result.
        Ok(key.and_then(|key| key.to_pem()).unwrap_or_else(failed).into())
    })
}
