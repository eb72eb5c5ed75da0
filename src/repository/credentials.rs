//! Credentials and TLS material of a repository, parsed from the Secrets that the controller read.
//!
//! Values never leave this module in a message: [`Credentials`] and [`TlsSettings`] print `***`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The Secrets that a `ChartRepository` names, as they were read; `None` for one that it does not name.
#[derive(Clone, Default)]
pub struct RepositorySecrets {
    /// The data of `spec.secretRef`.
    pub credentials: Option<BTreeMap<String, Vec<u8>>>,
    /// The data of `spec.certSecretRef`.
    pub tls: Option<BTreeMap<String, Vec<u8>>>,
    /// The data of `spec.verify.pgp.secretRef`.
    pub pgp: Option<BTreeMap<String, Vec<u8>>>,
    /// The data of `spec.verify.cosign.secretRef`.
    pub cosign: Option<BTreeMap<String, Vec<u8>>>,
}

impl fmt::Debug for RepositorySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn keys(data: Option<&BTreeMap<String, Vec<u8>>>) -> Option<Vec<&String>> {
            data.map(|data| data.keys().collect())
        }
        f.debug_struct("RepositorySecrets")
            .field("credentials", &keys(self.credentials.as_ref()))
            .field("tls", &keys(self.tls.as_ref()))
            .field("pgp", &keys(self.pgp.as_ref()))
            .field("cosign", &keys(self.cosign.as_ref()))
            .finish()
    }
}

/// What a request shows to the server: the value of its `Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    header: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl Credentials {
    /// Basic authentication.
    pub fn basic(username: &[u8], password: &[u8]) -> Self {
        let mut pair = username.to_vec();
        pair.push(b':');
        pair.extend_from_slice(password);
        Self { header: format!("Basic {}", STANDARD.encode(pair)) }
    }

    /// Parses the data of `spec.secretRef`: `username` and `password`, or `bearerToken`.
    ///
    /// # Errors
    /// A key is missing, or its value cannot be sent.
    pub fn parse(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, Error> {
        if let Some(token) = data.get("bearerToken") {
            let token = trimmed(token);
            // What a header may hold; anything else would end it or split it.
            if token.is_empty() || !token.iter().all(|b| (0x21..0x7f).contains(b)) {
                return Err(Error::Malformed { key: "bearerToken" });
            }
            return Ok(Self { header: format!("Bearer {}", String::from_utf8_lossy(token)) });
        }
        let username = data.get("username").ok_or(Error::Missing { keys: "`username` or `bearerToken`" })?;
        let password = data.get("password").ok_or(Error::Missing { keys: "`password`" })?;
        let username = trimmed(username);
        if username.contains(&b':') {
            return Err(Error::Malformed { key: "username" });
        }
        Ok(Self::basic(username, trimmed(password)))
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> &str {
        &self.header
    }
}

/// How the server is verified, and what we show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates that are trusted beside the system's, in PEM.
    pub(super) ca: Option<Vec<u8>>,
    /// A client certificate and its key, in PEM, one after the other.
    pub(super) client: Option<Vec<u8>>,
    /// Whether any certificate is accepted.
    pub(super) insecure: bool,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("ca", &self.ca.is_some())
            .field("client", &self.client.as_ref().map(|_| "***"))
            .field("insecure", &self.insecure)
            .finish()
    }
}

impl TlsSettings {
    /// No material; the system's certificates decide, or nothing does.
    pub fn insecure(insecure: bool) -> Self {
        Self { insecure, ..Self::default() }
    }

    /// Parses the data of `spec.certSecretRef`: `ca.crt`, and `tls.crt` with `tls.key`.
    ///
    /// # Errors
    /// None of the keys is there, or one of the pair is missing.
    pub fn parse(data: &BTreeMap<String, Vec<u8>>, insecure: bool) -> Result<Self, Error> {
        let key = |name: &str| data.get(name).filter(|value| !value.is_empty());
        let client = match (key("tls.crt"), key("tls.key")) {
            (Some(certificate), Some(private)) => {
                let mut pem = certificate.clone();
                pem.push(b'\n');
                pem.extend_from_slice(private);
                Some(pem)
            }
            (Some(_), None) => return Err(Error::Missing { keys: "`tls.key`" }),
            (None, Some(_)) => return Err(Error::Missing { keys: "`tls.crt`" }),
            (None, None) => None,
        };
        let ca = key("ca.crt").cloned();
        if ca.is_none() && client.is_none() {
            return Err(Error::Missing { keys: "`ca.crt` or `tls.crt`" });
        }
        Ok(Self { ca, client, insecure })
    }

    /// Tells settings apart without keeping them: the key under which a client is reused.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update([u8::from(self.insecure)]);
        for part in [&self.ca, &self.client] {
            let part = part.as_deref().unwrap_or_default();
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// A Secret made from a file ends with a newline more often than with one that is meant.
fn trimmed(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}

/// What is wrong with a Secret. Names keys, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The Secret itself was not given.
    #[error("it was not found")]
    Absent,
    /// A key is not there.
    #[error("it has no key {keys}")]
    Missing {
        /// The keys, any of which would do.
        keys: &'static str,
    },
    /// A value cannot be used.
    #[error("the value of its key `{key}` is malformed")]
    Malformed {
        /// The key.
        key: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn credentials_are_read_from_the_documented_keys() {
        for (pairs, expected) in [
            (&[("username", "u"), ("password", "p\n")][..], Ok("Basic dTpw")),
            (&[("bearerToken", "abc\r\n")], Ok("Bearer abc")),
            (&[("bearerToken", "a\r\nX-Evil: 1")], Err(Error::Malformed { key: "bearerToken" })),
            (&[("bearerToken", "")], Err(Error::Malformed { key: "bearerToken" })),
            (&[("username", "a:b"), ("password", "p")], Err(Error::Malformed { key: "username" })),
            (&[("username", "u")], Err(Error::Missing { keys: "`password`" })),
            (&[], Err(Error::Missing { keys: "`username` or `bearerToken`" })),
        ] {
            let got = Credentials::parse(&data(pairs)).map(|credentials| credentials.header);
            assert_eq!(got.as_deref(), expected.as_ref().copied(), "{pairs:?}");
        }
    }

    #[test]
    fn tls_material_is_read_from_the_documented_keys() {
        let both = TlsSettings::parse(&data(&[("tls.crt", "C"), ("tls.key", "K")]), false).unwrap();
        assert_eq!(both.client.as_deref(), Some(&b"C\nK"[..]));
        for (pairs, keys) in [
            (&[("tls.crt", "C")][..], "`tls.key`"),
            (&[("tls.key", "K")], "`tls.crt`"),
            (&[("other", "")], "`ca.crt` or `tls.crt`"),
        ] {
            assert_eq!(TlsSettings::parse(&data(pairs), false), Err(Error::Missing { keys }));
        }
        let ca = TlsSettings::parse(&data(&[("ca.crt", "C")]), false).unwrap();
        assert_ne!(ca.fingerprint(), both.fingerprint());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secrets = RepositorySecrets {
            credentials: Some(data(&[("password", "hunter2")])),
            ..RepositorySecrets::default()
        };
        let tls = TlsSettings::parse(&data(&[("tls.crt", "C"), ("tls.key", "hunter2")]), false).unwrap();
        let text = format!("{secrets:?} {:?} {tls:?}", Credentials::basic(b"u", b"hunter2"));
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
    }
}
