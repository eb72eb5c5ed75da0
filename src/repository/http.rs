//! Fetching over HTTP: bounded in time, in bytes and in where it may lead.
//!
//! Redirects are followed here and not by reqwest, because each hop decides anew whether the credentials go with it.
//! An error never shows the user information or the query of an address: both carry secrets.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::{Client, StatusCode, Url};
use tokio::time::{Instant, timeout, timeout_at};

use super::address::{shown, strip_user_information, user_information};
use super::credentials::{Credentials, TlsSettings};
use super::lock;

/// What one fetch may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until the answer begins, of each hop.
    pub first_byte: Duration,
    /// Bytes that must arrive in each [`Limits::window`].
    pub window_bytes: u64,
    /// How long a server may be slow before it is given up.
    pub window: Duration,
    /// Number of redirects.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(15),
            window_bytes: 10 << 10,
            window: Duration::from_secs(10),
            redirects: 5,
        }
    }
}

/// How the server of one repository is talked to.
#[derive(Clone, Debug)]
pub struct Access {
    /// The address whose scheme, host and port the credentials belong to.
    pub(super) origin: Url,
    /// What is shown to that origin.
    pub(super) credentials: Option<Credentials>,
    /// Whether it is shown to others too.
    pub(super) pass_credentials: bool,
    /// How servers are verified.
    pub(super) tls: TlsSettings,
    /// How long one download may take in all.
    pub(super) timeout: Duration,
}

impl Access {
    /// Access to `url`, whose user information becomes credentials unless there are others.
    pub(super) fn new(
        mut url: Url,
        credentials: Option<Credentials>,
        pass_credentials: bool,
        tls: TlsSettings,
        timeout: Duration,
    ) -> Self {
        let credentials = credentials.or_else(|| user_information(&url));
        strip_user_information(&mut url);
        Self { origin: url, credentials, pass_credentials, tls, timeout }
    }

    /// The credentials that a request to `url` carries.
    fn credentials_for(&self, url: &Url) -> Option<&Credentials> {
        let bound = url.scheme() == self.origin.scheme()
            && url.host() == self.origin.host()
            && url.port_or_known_default() == self.origin.port_or_known_default();
        self.credentials.as_ref().filter(|_| bound || self.pass_credentials)
    }
}

/// What came back.
#[derive(Debug)]
pub(super) enum Response {
    /// The caller's ETag is still current.
    NotModified,
    /// The whole body.
    Body {
        /// Its bytes.
        bytes: Vec<u8>,
        /// The server's ETag.
        etag: Option<String>,
    },
}

/// The clients, one for each kind of TLS settings, so that connections are reused.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) limits: Limits,
    clients: Mutex<HashMap<[u8; 32], Client>>,
}

/// More settings than this are a stream of rotated certificates: the old clients go.
const MAX_CLIENTS: usize = 64;

impl Http {
    /// Fetches under `limits`.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, clients: Mutex::default() }
    }

    /// Fetches `url`, at most `max_bytes` of it.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn fetch(
        &self,
        url: &Url,
        access: &Access,
        etag: Option<&str>,
        max_bytes: u64,
    ) -> Result<Response, Error> {
        timeout(access.timeout, self.follow(url.clone(), access, etag, max_bytes))
            .await
            .map_err(|_| Error::TimedOut { url: shown(url), seconds: access.timeout.as_secs_f64() })?
    }

    async fn follow(
        &self,
        mut url: Url,
        access: &Access,
        etag: Option<&str>,
        max_bytes: u64,
    ) -> Result<Response, Error> {
        for _ in 0..=self.limits.redirects {
            let response = self.send(&url, access, etag).await?;
            let status = response.status();
            if status == StatusCode::NOT_MODIFIED && etag.is_some() {
                return Ok(Response::NotModified);
            }
            if status.is_success() {
                return self.read(&url, response, max_bytes).await;
            }
            let location = response.headers().get(LOCATION).filter(|_| status.is_redirection());
            let Some(location) = location else { return Err(Error::Status { url: shown(&url), status }) };
            url = redirect(&url, location)?;
        }
        Err(Error::TooManyRedirects { url: shown(&url), limit: self.limits.redirects })
    }

    async fn send(&self, url: &Url, access: &Access, etag: Option<&str>) -> Result<reqwest::Response, Error> {
        let mut url = url.clone();
        strip_user_information(&mut url);
        let place = shown(&url);
        let client = self.client(&url, &access.tls)?;
        let mut headers = HeaderMap::new();
        if let Some(credentials) = access.credentials_for(&url)
            && let Ok(mut value) = HeaderValue::from_str(credentials.header())
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(value) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(IF_NONE_MATCH, value);
        }
        match timeout(self.limits.first_byte, client.get(url).headers(headers).send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Error::Connect { url: place, source: Arc::new(error.without_url()) }),
            Err(_) => Err(Error::TimedOut { url: place, seconds: self.limits.first_byte.as_secs_f64() }),
        }
    }

    /// Reads the body. The length in the header is believed only when it is too large.
    pub(super) async fn read(
        &self,
        url: &Url,
        mut response: reqwest::Response,
        max_bytes: u64,
    ) -> Result<Response, Error> {
        let declared = response.content_length();
        let too_large = || Error::TooLarge { url: shown(url), limit: max_bytes };
        if declared.is_some_and(|length| length > max_bytes) {
            return Err(too_large());
        }
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        let mut window = Instant::now() + self.limits.window;
        let mut arrived = 0;
        loop {
            let chunk = match timeout_at(window, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break,
                Ok(Err(source)) => return Err(interrupted(url, source)),
                Err(_) if arrived >= self.limits.window_bytes => {
                    window = Instant::now() + self.limits.window;
                    arrived = 0;
                    continue;
                }
                Err(_) => return Err(Error::TooSlow { url: shown(url) }),
            };
            arrived += chunk.len() as u64;
            if bytes.len() as u64 + chunk.len() as u64 > max_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Response::Body { bytes, etag })
    }

    /// The client for `tls`. Plain HTTP needs no roots, and works in an image without any.
    pub(super) fn client(&self, url: &Url, tls: &TlsSettings) -> Result<Client, Error> {
        let plain = url.scheme() == "http";
        let key = if plain { [0; 32] } else { tls.fingerprint() };
        if let Some(client) = lock(&self.clients).get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(plain, tls).map_err(|source| match (&tls.ca, &tls.client) {
            (None, None) => Error::NoCertificates { source: Arc::new(source) },
            _ => Error::Tls { source: Arc::new(source) },
        })?;
        let mut clients = lock(&self.clients);
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        Ok(clients.entry(key).or_insert(client).clone())
    }

    fn build(&self, plain: bool, tls: &TlsSettings) -> Result<Client, reqwest::Error> {
        let mut builder = Client::builder()
            .user_agent(concat!("pintle/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.limits.connect)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(4);
        if plain {
            return builder.tls_certs_only([]).build();
        }
        if let Some(ca) = &tls.ca {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(ca)?);
        }
        if let Some(pem) = &tls.client {
            builder = builder.identity(reqwest::Identity::from_pem(pem)?);
        }
        builder.tls_danger_accept_invalid_certs(tls.insecure).build()
    }
}

/// Where a redirect from `url` leads.
pub(super) fn redirect(url: &Url, location: &HeaderValue) -> Result<Url, Error> {
    let refused = |why| Error::Redirect { url: shown(url), why };
    let location = location.to_str().map_err(|_| refused("its target is no address"))?;
    let mut target = url.join(location).map_err(|_| refused("its target is no address"))?;
    // A server chooses where we go, never as whom.
    strip_user_information(&mut target);
    match (url.scheme(), target.scheme()) {
        ("https", "http") => Err(refused("it leads from https to http")),
        (_, "http" | "https") => Ok(target),
        _ => Err(refused("it leads to another protocol")),
    }
}

/// A body that ended too early is told apart from a connection that broke.
fn interrupted(url: &Url, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let early = inner
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof)
            || inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
        if early {
            return Error::Truncated { url: shown(url), source: Arc::new(error) };
        }
        cause = inner.source();
    }
    Error::ReadBody { url: shown(url), source: Arc::new(error) }
}

/// Why a fetch failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The system has no certificates to verify servers with.
    #[error("failed to load the system's certificates")]
    NoCertificates {
        /// What reqwest says.
        source: Arc<reqwest::Error>,
    },
    /// The certificates of the repository cannot be used.
    #[error("failed to use the certificates of the repository")]
    Tls {
        /// What reqwest says.
        source: Arc<reqwest::Error>,
    },
    /// No answer: name, connection, handshake or the request itself failed.
    #[error("failed to reach {url}")]
    Connect {
        /// Where.
        url: String,
        /// What reqwest says.
        source: Arc<reqwest::Error>,
    },
    /// It took too long.
    #[error("{url} did not answer within {seconds} s")]
    TimedOut {
        /// Where.
        url: String,
        /// The limit.
        seconds: f64,
    },
    /// Bytes came too slowly, or stopped.
    #[error("{url} sends too slowly")]
    TooSlow {
        /// Where.
        url: String,
    },
    /// The body is over the limit.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// Where.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The body ended before its length.
    #[error("{url} sent less than it announced")]
    Truncated {
        /// Where.
        url: String,
        /// What reqwest says.
        source: Arc<reqwest::Error>,
    },
    /// The connection broke.
    #[error("failed to read {url}")]
    ReadBody {
        /// Where.
        url: String,
        /// What reqwest says.
        source: Arc<reqwest::Error>,
    },
    /// An answer that is neither the thing nor a redirect.
    #[error("{url} answered {status}")]
    Status {
        /// Where.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// A redirect that is not followed.
    #[error("{url} answered with a redirect that is not followed: {why}")]
    Redirect {
        /// Where.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// One redirect after the other.
    #[error("{url} is one redirect too many; {limit} are followed")]
    TooManyRedirects {
        /// The last one.
        url: String,
        /// The limit.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn access(origin: &str, pass_credentials: bool) -> Access {
        let tls = TlsSettings::default();
        Access::new(url(origin), None, pass_credentials, tls, Duration::from_secs(1))
    }

    #[test]
    fn credentials_are_bound_to_scheme_host_and_port() {
        for (target, pass, sent) in [
            ("https://charts.example.com/x.tgz", false, true),
            ("https://CHARTS.example.com:443/other/x.tgz", false, true),
            ("https://charts.example.com:8443/x.tgz", false, false),
            ("http://charts.example.com/x.tgz", false, false),
            ("https://charts.example.com.evil.example/x.tgz", false, false),
            ("https://cdn.example.com/x.tgz", false, false),
            ("https://cdn.example.com/x.tgz", true, true),
        ] {
            let access = access("https://u:p%40@charts.example.com/stable", pass);
            let expected = Credentials::basic(b"u", b"p@");
            assert_eq!(access.credentials_for(&url(target)), Some(&expected).filter(|_| sent), "{target}");
            assert_eq!(access.origin.as_str(), "https://charts.example.com/stable");
        }
    }

    #[test]
    fn redirects_never_leave_https() {
        for (from, to, expected) in [
            ("https://a/x", "/y", Some("https://a/y")),
            ("https://a/x", "https://u:p@b/y?q=1", Some("https://b/y?q=1")),
            ("http://a/x", "https://a/x", Some("https://a/x")),
            ("https://a/x", "http://a/x", None),
            ("https://a/x", "file:///etc/passwd", None),
            ("http://a/x", "http://[", None),
        ] {
            let got = redirect(&url(from), &HeaderValue::from_str(to).unwrap());
            assert_eq!(got.ok().as_ref().map(Url::as_str), expected, "{from} to {to}");
        }
    }
}
