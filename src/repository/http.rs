//! Fetching over HTTP: bounded in time, in bytes and in where it may lead.
//!
//! Redirects are followed here and not by reqwest, because each hop decides anew whether the credentials go with it.
//! An error never shows the user information or the query of an address: both carry secrets.

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Bytes;
use k8s_openapi::jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::address::{shown, strip_user_information, user_information};
use super::credentials::{Credentials, TlsSettings};
use super::lock;
use super::reach::{self, Private, PublicOnly};

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
    /// Number of fetches at a time from one host.
    pub per_host: usize,
    /// The longest `Retry-After` that is waited for.
    pub retry_after: Duration,
    /// Whether sources with private addresses may be asked.
    pub private: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(15),
            window_bytes: 10 << 10,
            window: Duration::from_secs(10),
            redirects: 5,
            per_host: 4,
            retry_after: Duration::from_secs(5),
            private: true,
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
pub(super) enum Response<B = Vec<u8>> {
    /// The caller's ETag is still current.
    NotModified,
    /// The whole body.
    Body {
        /// Its bytes, where the caller wants them.
        bytes: B,
        /// The server's ETag.
        etag: Option<String>,
    },
}

/// Where a body goes, some of it at a time.
pub(super) trait Sink: Sized + Send {
    /// Takes the next bytes.
    fn take(self, bytes: Vec<u8>) -> impl Future<Output = io::Result<Self>> + Send;
}

impl Sink for Vec<u8> {
    async fn take(mut self, bytes: Vec<u8>) -> io::Result<Self> {
        self.extend_from_slice(&bytes);
        Ok(self)
    }
}

/// The clients, one for each kind of TLS settings, so that connections are reused.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) limits: Limits,
    clients: Mutex<HashMap<[u8; 32], Client>>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Bytes of a body that are gathered before its sink gets them.
const GATHERED: usize = 256 << 10;
/// More hosts than this are not worth remembering.
const MAX_HOSTS: usize = 1000;

/// More settings than this are a stream of rotated certificates: the old clients go.
const MAX_CLIENTS: usize = 64;

impl Http {
    /// Fetches under `limits`.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, clients: Mutex::default(), hosts: Mutex::default() }
    }

    /// Fetches `url` into memory, at most `max_bytes` of it.
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
        self.fetch_into(url, access, etag, max_bytes, Vec::new()).await
    }

    /// Fetches `url` into `sink`, at most `max_bytes` of it.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn fetch_into<S: Sink>(
        &self,
        url: &Url,
        access: &Access,
        etag: Option<&str>,
        max_bytes: u64,
        sink: S,
    ) -> Result<Response<S>, Error> {
        let fetch = async {
            // Waiting for one's turn counts, too: a host that hangs must not make its own queue hang longer.
            let _turn = self.host(url).acquire_owned().await;
            self.follow(url.clone(), access, etag, max_bytes, sink).await
        };
        timeout(access.timeout, fetch)
            .await
            .map_err(|_| Error::TimedOut { url: shown(url), seconds: access.timeout.as_secs_f64() })?
    }

    /// The turns of a host's requests.
    pub(super) fn host(&self, url: &Url) -> Arc<Semaphore> {
        let mut hosts = lock(&self.hosts);
        if hosts.len() >= MAX_HOSTS {
            hosts.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns = hosts.entry(url.authority().to_owned());
        turns.or_insert_with(|| Arc::new(Semaphore::new(self.limits.per_host))).clone()
    }

    async fn follow<S: Sink>(
        &self,
        mut url: Url,
        access: &Access,
        etag: Option<&str>,
        max_bytes: u64,
        sink: S,
    ) -> Result<Response<S>, Error> {
        let (mut redirects, mut waits) = (0, 0);
        while redirects <= self.limits.redirects {
            let response = self.send(&url, access, etag).await?;
            let status = response.status();
            if status == StatusCode::NOT_MODIFIED && etag.is_some() {
                return Ok(Response::NotModified);
            }
            if status.is_success() {
                return self.read(&url, response, max_bytes, sink).await;
            }
            let location = response.headers().get(LOCATION).filter(|_| status.is_redirection());
            if let Some(location) = location {
                url = redirect(&url, location)?;
                redirects += 1;
                continue;
            }
            let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let retry_after = retry_after(response.headers(), Timestamp::now()).filter(|_| is_busy);
            match retry_after.filter(|pause| waits < MAX_WAITS && *pause <= self.limits.retry_after) {
                // A server that is busy for seconds is worth waiting for; the deadline of the whole still counts.
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(Error::Status { url: shown(&url), status, retry_after }),
            }
            waits += 1;
        }
        Err(Error::TooManyRedirects { url: shown(&url), limit: self.limits.redirects })
    }

    async fn send(&self, url: &Url, access: &Access, etag: Option<&str>) -> Result<reqwest::Response, Error> {
        let mut url = url.clone();
        strip_user_information(&mut url);
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
        self.request(Method::GET, &url, &access.tls, headers, None).await
    }

    /// Sends one request, and waits until its answer begins. How long a body may take on its way is the caller's to say.
    pub(super) async fn request(
        &self,
        method: Method,
        url: &Url,
        tls: &TlsSettings,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<reqwest::Response, Error> {
        if !self.limits.private {
            reach::check_host(url)
                .map_err(|source| Error::Private { url: shown(url), source: Arc::new(source) })?;
        }
        let request = self.client(url, tls)?.request(method, url.clone()).headers(headers);
        let sent = match body {
            Some(body) => Ok(request.body(body).send().await),
            None => timeout(self.limits.first_byte, request.send()).await,
        };
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(shown(url), error.without_url())),
            Err(_) => Err(Error::TimedOut { url: shown(url), seconds: self.limits.first_byte.as_secs_f64() }),
        }
    }

    /// Reads the body. The length in the header is believed only when it is too large.
    pub(super) async fn read<S: Sink>(
        &self,
        url: &Url,
        mut response: reqwest::Response,
        max_bytes: u64,
        mut sink: S,
    ) -> Result<Response<S>, Error> {
        let declared = response.content_length();
        let too_large = || Error::TooLarge { url: shown(url), limit: max_bytes };
        if declared.is_some_and(|length| length > max_bytes) {
            return Err(too_large());
        }
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let kept = |source: io::Error| Error::Keep { url: shown(url), source: Arc::new(source) };
        let (mut length, mut gathered) = (0, Vec::new());
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
            length += chunk.len() as u64;
            if length > max_bytes {
                return Err(too_large());
            }
            gathered.extend_from_slice(&chunk);
            if gathered.len() >= GATHERED {
                sink = sink.take(std::mem::take(&mut gathered)).await.map_err(kept)?;
            }
        }
        let bytes = sink.take(gathered).await.map_err(kept)?;
        Ok(Response::Body { bytes, etag })
    }

    /// The client for `tls`. Plain HTTP needs no roots, and works in an image without any.
    fn client(&self, url: &Url, tls: &TlsSettings) -> Result<Client, Error> {
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
        if !self.limits.private {
            builder = builder.dns_resolver(Arc::new(PublicOnly));
        }
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

/// How often one fetch waits because a server asks for it.
const MAX_WAITS: usize = 2;

/// Longest time that a server can keep us away.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How long a server asks to be left alone, in seconds or by a date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST_PAUSE))
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

/// A name that stands for a private address is told apart from one that cannot be reached.
fn unreachable(url: String, error: reqwest::Error) -> Error {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<Private>() {
            return Error::Private { url, source: Arc::new(error) };
        }
        cause = inner.source();
    }
    Error::Connect { url, source: Arc::new(error) }
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
    /// The operator may not ask it.
    #[error("{url} is not asked, because the operator runs with --deny-private-sources")]
    Private {
        /// Where.
        url: String,
        /// Which address it is.
        source: Arc<dyn std::error::Error + Send + Sync>,
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
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// What came could not be kept.
    #[error("failed to keep what {url} sent")]
    Keep {
        /// Where.
        url: String,
        /// What the system says.
        source: Arc<io::Error>,
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
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for (text, expected) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("Fri, 02 Jan 2026 03:05:05 GMT", Some(60)),
            ("Fri, 02 Jan 2025 03:05:05 GMT", None),
            ("Thu, 02 Jan 2025 03:05:05 GMT", Some(0)),
            ("99999999999", Some(3600)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
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
