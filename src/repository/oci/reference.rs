//! Where a chart is in a registry: `oci://host/path[:tag][@digest]`, and what registries make of its parts.

use reqwest::Url;

use super::error::Error;
use crate::repository::digest::Digest;

/// Longest path that the distribution specification lets a client send, with its host.
const MAX_NAME: usize = 255;
/// Longest tag.
const MAX_TAG: usize = 128;

/// A place in a registry, as it stands in a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The server, without scheme.
    pub host: String,
    /// The path below it: the name of a repository, or the beginning of one.
    pub path: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses `oci://host/path[:tag][@sha256:…]`. User information is not taken.
    ///
    /// # Errors
    /// [`Error::Reference`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        // What is wrong is told without the text: it may hold a password.
        let wrong = |why| Error::Reference { why };
        let rest = text.strip_prefix("oci://").ok_or(wrong("it does not begin with oci://"))?;
        if rest.contains(['?', '#']) {
            return Err(wrong("it has a query or a fragment"));
        }
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let digest = Some(digest).filter(|text| text.starts_with("sha256:")).and_then(Digest::parse);
                (rest, Some(digest.ok_or(wrong("what follows its @ is not sha256: and 64 hex digits"))?))
            }
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (path, tag) = match path.rsplit_once(':') {
            None => (path, None),
            Some((path, tag)) => (path, Some(tag)),
        };
        let path = path.trim_end_matches('/');
        if !is_host(host) {
            return Err(wrong("its host is none"));
        }
        if !path.is_empty() && !is_name(path) {
            return Err(wrong(
                "its path is no name: lower case letters, digits and single . _ - between them",
            ));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("its tag is none"));
        }
        Ok(Self { host: host.to_owned(), path: path.to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// The address of the server's API. `plain` says not to use TLS.
    ///
    /// # Errors
    /// [`Error::Reference`].
    pub fn base(&self, plain: bool) -> Result<Url, Error> {
        let scheme = if plain { "http" } else { "https" };
        // Docker's own registry has one name for people and another one for programs.
        let host = if self.host == "docker.io" { "registry-1.docker.io" } else { &self.host };
        Url::parse(&format!("{scheme}://{host}/")).map_err(|_| Error::Reference { why: "its host is none" })
    }

    /// Whether the host is this machine, which needs no TLS.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.rsplit_once(':').map_or(self.host.as_str(), |(host, _)| host);
        host == "localhost"
            || host == "[::1]"
            || host.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback())
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b))
        && Url::parse(&format!("https://{host}/")).is_ok_and(|url| url.host().is_some())
}

/// Whether `path` is the name of a repository, as the distribution specification has it.
pub fn is_name(path: &str) -> bool {
    let component = |part: &str| {
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let mut bytes = part.bytes();
        bytes.next().is_some_and(alphanumeric)
            && part.bytes().next_back().is_some_and(alphanumeric)
            && part.bytes().all(|b| alphanumeric(b) || b"._-".contains(&b))
            && !["..", "._", "_.", "___", "-_", "_-", ".-", "-."].iter().any(|pair| part.contains(pair))
    };
    path.len() <= MAX_NAME && path.split('/').all(component)
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// The tag of a version.
///
/// # Compatibility
/// As Helm v4 `pkg/registry/client.go`: a tag cannot have the `+` of a version, which becomes `_`.
pub fn tag_of(version: &str) -> Option<String> {
    Some(version.replace('+', "_")).filter(|tag| is_tag(tag))
}

/// The version of a tag.
pub fn version_of(tag: &str) -> String {
    tag.replace('_', "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = Digest::parse(hex);
        for (text, host, path, tag, pinned) in [
            ("oci://ghcr.io", "ghcr.io", "", None, None),
            ("oci://ghcr.io/org/charts/", "ghcr.io", "org/charts", None, None),
            ("oci://localhost:5000/web:1.2.3_b.1", "localhost:5000", "web", Some("1.2.3_b.1"), None),
            (&format!("oci://h/a__b/web@sha256:{hex}"), "h", "a__b/web", None, digest),
            (&format!("oci://[::1]:5/web:1@sha256:{hex}"), "[::1]:5", "web", Some("1"), digest),
        ] {
            let reference = Reference::parse(text).unwrap();
            let expected = Reference {
                host: host.to_owned(),
                path: path.to_owned(),
                tag: tag.map(str::to_owned),
                digest: pinned,
            };
            assert_eq!(reference, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_without_being_shown() {
        for text in [
            "https://h/x",
            "oci://",
            "oci:///x",
            "oci://u:secret@h/x",
            "oci://h/X",
            "oci://h/a//b",
            "oci://h/../x",
            "oci://h/a/..",
            "oci://h/x:",
            "oci://h/x:a/b",
            "oci://h/x:a b",
            "oci://h/x@sha256:12",
            "oci://h/x?secret",
            "oci://h/a-/b",
            "oci://h/a b",
            "oci://h\\x/y",
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn versions_and_tags_are_translated_as_helm_does() {
        assert_eq!(tag_of("1.2.3+build.5").as_deref(), Some("1.2.3_build.5"));
        assert_eq!(version_of("1.2.3_build.5"), "1.2.3+build.5");
        assert_eq!(tag_of("../x"), None);
    }

    #[test]
    fn only_this_machine_is_a_loopback() {
        for (host, loopback) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("[::1]:5000", true),
            ("localhost.evil.example", false),
        ] {
            let reference = Reference::parse(&format!("oci://{host}/x")).unwrap();
            assert_eq!(reference.is_loopback(), loopback, "{host}");
        }
    }
}
