//! A chart repository over a folder, for the demo, for tests and for `pintle serve`.
//!
//! Serves index.yaml, the archives that it lists and the provenance files beside them, by their names only: a request is
//! looked up in a table and never becomes a path. A sub-folder with a `Chart.yaml` is packaged on the fly.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::address::percent_decoded;
use super::catalog::{Archive, Catalog};
use super::digest::Digest;

/// Connections at one time.
const MAX_CONNECTIONS: usize = 1024;
/// Until a client has sent its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct ChartServer {
    address: SocketAddr,
    charts: usize,
    task: JoinHandle<()>,
}

impl ChartServer {
    /// Serves the charts in `dir` at `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The folder cannot be read, or the address not be listened at.
    pub async fn start(dir: impl Into<PathBuf>, address: SocketAddr) -> Result<Self, Error> {
        Self::start_with_url(dir, address, None).await
    }

    /// As [`ChartServer::start`], with an index that puts `url` before the names of the archives.
    ///
    /// # Errors
    /// As [`ChartServer::start`].
    pub async fn start_with_url(
        dir: impl Into<PathBuf>,
        address: SocketAddr,
        url: Option<String>,
    ) -> Result<Self, Error> {
        let dir = dir.into();
        let catalog = Arc::new(Catalog::new(dir.clone(), url));
        let charts = look(&catalog).await.map_err(|source| Error::Read { dir, source })?.count();
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        Ok(Self { address, charts, task: tokio::spawn(accept(listener, catalog)) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Its address, as a `ChartRepository` names it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Number of archives at the start.
    pub fn charts(&self) -> usize {
        self.charts
    }

    /// Stops it; open connections are cut.
    pub async fn shutdown(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for ChartServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be read.
    #[error("failed to read the charts in `{}`", dir.display())]
    Read {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address cannot be listened at.
    #[error("failed to listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Takes connections; they end with this task.
async fn accept(listener: TcpListener, catalog: Arc<Catalog>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(talk(stream, catalog.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn talk(stream: TcpStream, catalog: Arc<Catalog>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let catalog = catalog.clone();
        async move { Ok::<_, Infallible>(answer(&request, &catalog).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn answer(request: &Request<Incoming>, catalog: &Arc<Catalog>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let listing = match look(catalog).await {
        Ok(listing) => listing,
        Err(error) => return failure(&error),
    };
    let path = percent_decoded(request.uri().path());
    let name = std::str::from_utf8(&path).ok().and_then(|path| path.strip_prefix('/'));
    let archive = match name {
        Some("index.yaml") => {
            return found(request, &listing.index, listing.digest, "application/yaml");
        }
        Some(name) => match name.strip_suffix(".prov") {
            Some(name) => return provenance(request, listing.archive(name)).await,
            None => listing.archive(name),
        },
        None => None,
    };
    match archive {
        None => text(StatusCode::NOT_FOUND, "not found; index.yaml lists what there is\n"),
        Some((Archive::Packaged(bytes), digest)) => found(request, bytes, digest, "application/gzip"),
        Some((Archive::File(path), digest)) => match read(path).await {
            Ok(bytes) => found(request, &bytes, digest, "application/gzip"),
            Err(error) => failure(&error),
        },
    }
}

/// The provenance file beside an archive; what is packaged on the fly has none.
async fn provenance(
    request: &Request<Incoming>,
    archive: Option<(&Archive, Digest)>,
) -> Response<Full<Bytes>> {
    let none = || text(StatusCode::NOT_FOUND, "not found; the archive has no provenance file\n");
    let Some((Archive::File(path), _)) = archive else { return none() };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".prov");
    match read(Path::new(&beside)).await {
        Ok(bytes) => found(request, &bytes, Digest::of(&bytes), "text/plain; charset=utf-8"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => none(),
        Err(error) => failure(&error),
    }
}

async fn look(catalog: &Arc<Catalog>) -> io::Result<Arc<super::catalog::Listing>> {
    let catalog = catalog.clone();
    tokio::task::spawn_blocking(move || catalog.listing()).await.map_err(io::Error::other)?
}

async fn read(path: &Path) -> io::Result<Bytes> {
    tokio::fs::read(path).await.map(Bytes::from)
}

/// The bytes, unless the client has them already. hyper leaves them out of the answer to HEAD.
fn found(
    request: &Request<Incoming>,
    bytes: &Bytes,
    digest: Digest,
    kind: &'static str,
) -> Response<Full<Bytes>> {
    let etag = format!("\"{}\"", digest.hex());
    let known = request.headers().get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let current = known
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == etag || known == "*");
    let mut response = Response::new(if current { Full::default() } else { Full::new(bytes.clone()) });
    if current {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

fn failure(error: &io::Error) -> Response<Full<Bytes>> {
    tracing::warn!(%error, "failed to read the charts");
    text(StatusCode::INTERNAL_SERVER_ERROR, "failed to read the charts\n")
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
