//! Addresses: parsed, joined as Helm joins them, and shown without what may be secret in them.

use reqwest::Url;

use super::credentials::Credentials;
use super::digest::nibble;
use super::error::Error;

/// Parses the address of a web server.
///
/// # Errors
/// [`Error::InvalidUrl`].
pub(super) fn parse(text: &str) -> Result<Url, Error> {
    let invalid = |why: String| {
        // What cannot be parsed cannot be masked either.
        let url = Url::parse(text).map_or_else(|_| "…".to_owned(), |url| shown(&url));
        Error::InvalidUrl { url, why }
    };
    let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(invalid(format!("the protocol `{scheme}` is not supported"))),
    }
}

/// Joins `reference`, from an index, to the address of its repository.
///
/// # Errors
/// [`Error::InvalidUrl`].
///
/// # Compatibility
/// As Helm v4 `pkg/repo/v1/chartrepo.go:ResolveReferenceURL`: the repository is a folder with or without a slash at
/// its end, and its query, often a signature, goes along to its own host.
pub(super) fn join(repository: &Url, reference: &str) -> Result<Url, Error> {
    if let Ok(absolute) = Url::parse(reference) {
        return parse(absolute.as_str());
    }
    let mut folder = repository.clone();
    let path = format!("{}/", repository.path().trim_end_matches('/'));
    folder.set_path(&path);
    let mut url = folder
        .join(reference)
        .map_err(|error| Error::InvalidUrl { url: shown(&folder), why: error.to_string() })?;
    let same_host = url.host() == folder.host() && url.port() == folder.port();
    if same_host && folder.query().is_some() {
        url.set_query(folder.query());
    }
    Ok(url)
}

/// The credentials in an address.
pub(super) fn user_information(url: &Url) -> Option<Credentials> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let password = percent_decoded(url.password().unwrap_or_default());
    Some(Credentials::basic(&percent_decoded(url.username()), &password))
}

/// Text with its `%XX` read as bytes.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
        {
            bytes.push(high << 4 | low);
            rest = after;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    bytes
}

/// Takes the credentials out of an address.
pub(super) fn strip_user_information(url: &mut Url) {
    // Both fail only for addresses that cannot have any.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// An address without what may be secret in it.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    strip_user_information(&mut url);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Helm v4 `pkg/repo/v1/chartrepo_test.go:TestResolveReferenceURL`, and what it leaves out.
    #[test]
    fn references_are_joined_as_helm_joins_them() {
        for (base, reference, expected) in [
            ("http://localhost:8123/", "/nginx-0.2.0.tgz", "http://localhost:8123/nginx-0.2.0.tgz"),
            ("http://localhost:8123", "nginx-0.2.0.tgz", "http://localhost:8123/nginx-0.2.0.tgz"),
            (
                "http://localhost:8123/charts/",
                "nginx-0.2.0.tgz",
                "http://localhost:8123/charts/nginx-0.2.0.tgz",
            ),
            (
                "http://localhost:8123/charts",
                "nginx-0.2.0.tgz",
                "http://localhost:8123/charts/nginx-0.2.0.tgz",
            ),
            ("http://localhost:8123/charts/", "/nginx-0.2.0.tgz", "http://localhost:8123/nginx-0.2.0.tgz"),
            ("http://localhost:8123/charts/", "../x.tgz", "http://localhost:8123/x.tgz"),
            ("http://localhost:8123", "https://charts.example.com/x.tgz", "https://charts.example.com/x.tgz"),
            (
                "http://localhost:8123/charts%2fwith%2fescaped%2fslash",
                "nginx-0.2.0.tgz",
                "http://localhost:8123/charts%2fwith%2fescaped%2fslash/nginx-0.2.0.tgz",
            ),
            (
                "http://localhost:8123/charts?with=query",
                "x.tgz",
                "http://localhost:8123/charts/x.tgz?with=query",
            ),
            ("https://h/c?sig=1", "https://other/x.tgz", "https://other/x.tgz"),
            ("https://h/c?sig=1", "//other/x.tgz", "https://other/x.tgz"),
            ("https://h/c", "x-1.0.0+build.tgz?v=1", "https://h/c/x-1.0.0+build.tgz?v=1"),
        ] {
            let got = join(&parse(base).unwrap(), reference).unwrap();
            assert_eq!(got.as_str(), expected, "{base} and {reference}");
        }
    }

    #[test]
    fn other_protocols_are_refused_without_showing_secrets() {
        for text in ["oci://u:secret@h/x?secret", "file:///secret?secret", "http://[secret", "secret"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(!message.contains("u:") && !message.contains("?secret"), "{message}");
        }
        assert_eq!(
            join(&parse("https://h/c").unwrap(), "oci://u:p@h/x:1").unwrap_err().to_string(),
            "`oci://h/x:1` is not the address of a web server: the protocol `oci` is not supported"
        );
    }

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        assert_eq!(shown(&parse("https://u:p@h:1/x?sig=s#f").unwrap()), "https://h:1/x");
    }
}
