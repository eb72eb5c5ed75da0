//! The credentials of registries, by the host and path that they are for.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::repository::credentials::{Credentials, Error};

/// The key of a Secret of type `kubernetes.io/dockerconfigjson`.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// Credentials, each with the beginning of the names that it is for.
#[derive(Clone, Default)]
pub struct Keychain(Vec<(String, Credentials)>);

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(prefix, _)| prefix)).finish()
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Keychain {
    /// Parses the data of `spec.secretRef`: `.dockerconfigjson`, or what every repository takes.
    ///
    /// # Errors
    /// A key is missing, or its value cannot be used.
    pub fn parse(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, Error> {
        let Some(config) = data.get(DOCKER_CONFIG) else {
            return Ok(Self(vec![(String::new(), Credentials::parse(data)?)]));
        };
        // What serde says quotes the text, so it is not told.
        let malformed = Error::Malformed { key: DOCKER_CONFIG };
        let config: DockerConfig = serde_json::from_slice(config).map_err(|_| malformed.clone())?;
        let entries =
            config.auths.into_iter().filter_map(|(place, auth)| Some((prefix(&place), auth.credentials()?)));
        let entries: Vec<_> = entries.collect();
        if entries.is_empty() { Err(malformed) } else { Ok(Self(entries)) }
    }

    /// These credentials, and those of `other` for what these have none for.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        let mut all = other.0;
        // Of two that fit equally the last one is found.
        all.append(&mut self.0);
        Self(all)
    }

    /// The credentials for `name`, a host with a path: those of the longest entry that it begins with.
    pub fn find(&self, name: &str) -> Option<&Credentials> {
        let fits = |prefix: &str| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
        };
        let fitting = self.0.iter().filter(|(prefix, _)| fits(prefix));
        fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(_, credentials)| credentials)
    }
}

impl Auth {
    fn credentials(&self) -> Option<Credentials> {
        let encoded = self.auth.as_deref().map(str::trim).filter(|auth| !auth.is_empty());
        if let Some(pair) = encoded.and_then(|auth| STANDARD.decode(auth).ok()) {
            let colon = pair.iter().position(|byte| *byte == b':')?;
            let (username, password) = pair.split_at(colon);
            return Some(Credentials::basic(username, password.get(1..)?));
        }
        let username = self.username.as_ref().filter(|name| !name.contains(':'))?;
        Some(Credentials::basic(username.as_bytes(), self.password.as_ref()?.as_bytes()))
    }
}

/// A key of `auths` as host and path; docker writes its own registry with scheme and version of the API.
fn prefix(place: &str) -> String {
    let place = place.strip_prefix("https://").or(place.strip_prefix("http://")).unwrap_or(place);
    let place = place.trim_end_matches('/');
    let place = place.strip_suffix("/v1").or(place.strip_suffix("/v2")).unwrap_or(place);
    match place {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        _ => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keychain(config: &str) -> Result<Keychain, Error> {
        Keychain::parse(&BTreeMap::from([(DOCKER_CONFIG.to_owned(), config.as_bytes().to_vec())]))
    }

    fn pair(user: &str) -> String {
        STANDARD.encode(format!("{user}:p:w"))
    }

    #[test]
    fn the_longest_entry_that_fits_is_used() {
        let config = serde_json::json!({"auths": {
            "ghcr.io": {"auth": pair("host")},
            "ghcr.io/org": {"auth": pair("org")},
            "https://index.docker.io/v1/": {"username": "docker", "password": "p:w"},
            "quay.io": {"auth": "", "identitytoken": "x"},
        }});
        let keychain = keychain(&config.to_string()).unwrap();
        for (name, user) in [
            ("ghcr.io/org/charts/web", Some("org")),
            ("ghcr.io/org", Some("org")),
            ("ghcr.io/organisation/web", Some("host")),
            ("ghcr.io.evil.example/org", None),
            ("docker.io/library/web", Some("docker")),
            ("quay.io/x", None),
        ] {
            let expected = user.map(|user| Credentials::basic(user.as_bytes(), b"p:w"));
            assert_eq!(keychain.find(name), expected.as_ref(), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_told_without_its_text() {
        for config in ["", "{\"auths\": {\"h\": \"hunter2\"}}", "{\"auths\": {}}"] {
            assert_eq!(keychain(config).unwrap_err(), Error::Malformed { key: DOCKER_CONFIG });
        }
        let plain =
            [("username", "u"), ("password", "p")].map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec()));
        let plain = Keychain::parse(&BTreeMap::from(plain)).unwrap();
        assert_eq!(plain.find("any.example/x"), Some(&Credentials::basic(b"u", b"p")));
        assert!(!format!("{plain:?}").contains("dTpw"));
    }
}
