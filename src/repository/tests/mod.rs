//! Component: sources as servers in this process; those that misbehave are in [`hostile`].

mod hostile;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kube::api::ObjectMeta;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::serve::ChartServer;
use super::*;
use crate::api::{
    ChartReference, ChartRepositorySpec, ChartRepositoryStatus, GoDuration, LocalSecretReference, Reason,
};
use crate::cluster::Retry;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What a server does with one request.
pub(super) enum Answer {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends these bytes and then nothing, with the connection open.
    Stall(Vec<u8>),
    /// Sends these bytes and then others again and again without end.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends these bytes and then one now and then.
    Drip(Vec<u8>),
}

/// A server that answers as a test tells it, and remembers what it was asked.
pub(super) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (requests.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut talks = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                talks.spawn(talk(stream, log.clone(), answer.clone()));
            }
        });
        Self { address, requests, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests had `text` in their head.
    pub(super) fn count(&self, text: &str) -> usize {
        lock(&self.requests).iter().filter(|request| request.contains(text)).count()
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    log: Arc<Mutex<Vec<String>>>,
    answer: Arc<impl Fn(&str, &str) -> Answer>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    lock(&log).push(head.clone());
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let answer = answer(&path, &head);
    let (Answer::Bytes(bytes) | Answer::Stall(bytes) | Answer::Endless(bytes, _) | Answer::Drip(bytes)) =
        &answer;
    let _ = stream.write_all(bytes).await;
    match answer {
        Answer::Bytes(_) => {}
        Answer::Stall(_) => std::future::pending().await,
        Answer::Endless(_, unit) => while stream.write_all(&unit).await.is_ok() {},
        Answer::Drip(_) => {
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b"x").await.is_ok() {
                beat.tick().await;
            }
        }
    }
}

pub(super) fn head(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

pub(super) fn ok(body: &[u8]) -> Answer {
    tagged(body, "none")
}

fn tagged(body: &[u8], etag: &str) -> Answer {
    let mut bytes = head("200 OK", &format!("Content-Length: {}\r\nETag: {etag}\r\n", body.len()));
    bytes.extend_from_slice(body);
    Answer::Bytes(bytes)
}

pub(super) fn status(status: &str) -> Answer {
    Answer::Bytes(head(status, "Content-Length: 0\r\n"))
}

pub(super) fn redirect(to: &str) -> Answer {
    Answer::Bytes(head("302 Found", &format!("Content-Length: 0\r\nLocation: {to}\r\n")))
}

/// Limits of somebody in a hurry, for servers that never come to an end.
pub(super) fn impatient() -> HttpLimits {
    HttpLimits {
        first_byte: Duration::from_millis(300),
        window_bytes: 1000,
        window: Duration::from_millis(300),
        ..options().http
    }
}

/// Limits that no server in this process meets by being slow, however busy the machine is.
pub(super) fn options() -> Options {
    let http = HttpLimits { connect: MINUTE, first_byte: MINUTE, window: MINUTE, ..HttpLimits::default() };
    Options { index_bytes: 64 << 10, http, ..Options::default() }
}

fn repositories() -> Repositories {
    Repositories::new(options())
}

pub(super) fn repository(url: &str) -> ChartRepository {
    let mut spec: ChartRepositorySpec = serde_json::from_value(serde_json::json!({"url": url})).unwrap();
    spec.timeout = GoDuration(MINUTE);
    let metadata = ObjectMeta {
        name: Some("stable".to_owned()),
        namespace: Some("apps".to_owned()),
        uid: Some("1".to_owned()),
        ..ObjectMeta::default()
    };
    ChartRepository { metadata, spec, status: None }
}

/// A repository with a password, and the Secret for it.
pub(super) fn private(url: &str) -> (ChartRepository, RepositorySecrets) {
    let mut repository = repository(url);
    repository.spec.secret_ref = Some(LocalSecretReference { name: "login".to_owned() });
    let data = [("username", "u"), ("password", "hunter2")];
    let data = data.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    (
        repository,
        RepositorySecrets { credentials: Some(BTreeMap::from(data)), ..RepositorySecrets::default() },
    )
}

pub(super) fn chart(name: &str, version: &str) -> ChartReference {
    ChartReference {
        name: Some(name.to_owned()),
        version: Some(version.to_owned()),
        ..ChartReference::default()
    }
}

pub(super) fn direct(url: String) -> ChartReference {
    ChartReference { url: Some(url), ..ChartReference::default() }
}

fn write_chart(dir: &Path, name: &str, version: &str) {
    std::fs::create_dir_all(dir.join("templates")).unwrap();
    let text = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    std::fs::write(dir.join("Chart.yaml"), text).unwrap();
    std::fs::write(dir.join("templates/a.yaml"), "kind: A\n").unwrap();
}

pub(super) fn archive(name: &str, version: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    write_chart(dir.path(), name, version);
    package::package_dir(dir.path(), &options().chart).unwrap().bytes
}

/// An index with version 1.0.0 of chart `web`.
pub(super) fn index(url: &str, digest: &str) -> Vec<u8> {
    format!(
        "apiVersion: v1\nentries: {{web: [{{name: web, version: 1.0.0, urls: ['{url}'], digest: '{digest}'}}]}}"
    )
    .into_bytes()
}

/// A server of `index` and, under every other path, `archive`.
async fn serve(index: Vec<u8>, archive: Vec<u8>) -> Server {
    Server::start(move |path, _| if path == "/index.yaml" { ok(&index) } else { ok(&archive) }).await
}

async fn refreshed(sources: &Repositories, repository: &ChartRepository) -> RefreshedIndex {
    match sources.refresh(repository, RepositorySecrets::default()).await.unwrap() {
        Refreshed::Index(index) => index,
        Refreshed::Registry { .. } => panic!("a web server is no registry"),
    }
}

#[tokio::test]
async fn an_index_that_did_not_change_is_not_fetched_again() {
    let server = Server::start(|_, head| match head.contains("if-none-match: \"v1\"") {
        true => status("304 Not Modified"),
        false => tagged(&index("web.tgz", ""), "\"v1\""),
    })
    .await;
    let (sources, repository) = (repositories(), repository(&server.url()));
    let first = refreshed(&sources, &repository).await;
    assert!(first.changed);
    assert_eq!((first.charts, first.artifact.etag.as_deref()), (1, Some("\"v1\"")));
    let second = refreshed(&sources, &repository).await;
    assert!(!second.changed);
    assert_eq!(second.artifact, first.artifact);
    assert_eq!(server.count("get /index.yaml"), 2);
}

#[tokio::test]
async fn the_digest_decides_whether_an_index_changed() {
    let calls = Arc::new(Mutex::new(0));
    let server = Server::start(move |_, _| {
        *lock(&calls) += 1;
        match *lock(&calls) {
            n @ 1..=2 => tagged(&index("web.tgz", ""), &format!("\"{n}\"")),
            3 => tagged(&index("other.tgz", ""), "\"2\""),
            _ => status("500 Oops"),
        }
    })
    .await;
    let (sources, repository) = (repositories(), repository(&server.url()));
    let mut changed = Vec::new();
    for _ in 0..3 {
        changed.push(refreshed(&sources, &repository).await.changed);
    }
    assert_eq!(changed, [true, false, true]);
    let error = sources.refresh(&repository, RepositorySecrets::default()).await.unwrap_err();
    assert_eq!((error.reason(), error.retry()), (Reason::ChartUnavailable, Retry::Soon));
    assert!(sources.index(&repository).is_some(), "the last good index stays");
    sources.forget("apps", "stable");
    assert!(sources.index(&repository).is_none());
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    for pass in [false, true] {
        let bytes = archive("web", "1.0.0");
        let other = serve(index("web.tgz", ""), bytes).await;
        let (elsewhere, archive_url) = (format!("{}/index.yaml", other.url()), other.url() + "/web.tgz");
        let server = Server::start(move |path, _| match path {
            "/moved/index.yaml" => redirect("/here/index.yaml"),
            "/here/index.yaml" => redirect(&elsewhere),
            _ => ok(&index(&archive_url, "")),
        })
        .await;
        for (path, chart_wanted) in [("/moved", false), ("", true)] {
            let sources = repositories();
            let (mut repository, secrets) = private(&format!("{}{path}", server.url()));
            repository.spec.pass_credentials = pass;
            sources.refresh(&repository, secrets).await.unwrap();
            if chart_wanted {
                sources.resolve(&chart("web", "1.0.0"), Some(&repository), SECOND).await.unwrap();
            }
        }
        assert_eq!(server.count("authorization: basic dtpodw50zxiy"), 3);
        assert_eq!(other.count("get /"), 2);
        assert_eq!(other.count("authorization"), if pass { 2 } else { 0 });
    }
}

#[tokio::test]
async fn an_archive_must_have_the_promised_digest() {
    let (good, other) = (archive("web", "1.0.0"), archive("web", "1.0.1"));
    let digest = Digest::of(&good);
    for (listed, pinned, sent, expected) in [
        (digest.hex(), None, &good, None),
        (digest.hex(), None, &other, Some(Reason::ChartCorrupt)),
        (String::new(), Some(digest.to_string()), &good, None),
        (String::new(), Some(digest.to_string()), &other, Some(Reason::ChartCorrupt)),
        (Digest::of(&other).hex(), Some(digest.to_string()), &other, Some(Reason::ChartCorrupt)),
        (String::new(), None, &b"<html>".to_vec(), Some(Reason::ChartCorrupt)),
        (String::new(), Some("sha256:1".to_owned()), &good, Some(Reason::InvalidSpec)),
    ] {
        let server = serve(index("web.tgz", &listed), sent.clone()).await;
        let (sources, repository) = (repositories(), repository(&server.url()));
        refreshed(&sources, &repository).await;
        let reference = ChartReference { digest: pinned.clone(), ..chart("web", "1.0.0") };
        let got = sources.resolve(&reference, Some(&repository), SECOND).await;
        assert_eq!(got.as_ref().err().map(Error::reason), expected, "{listed} {pinned:?} {got:?}");
        if let Ok(got) = got {
            assert_eq!((got.name.as_str(), got.version.as_str()), ("web", "1.0.0"));
            assert_eq!(got.digest, digest.to_string());
            assert_eq!(got.url, format!("{}/web.tgz", server.url()));
        }
    }
}

#[tokio::test]
async fn many_releases_share_one_download_and_one_chart() {
    let bytes = archive("web", "1.0.0");
    for digest in [Digest::of(&bytes).hex(), String::new()] {
        let server = serve(index("web.tgz", &digest), bytes.clone()).await;
        let (sources, repository) = (repositories(), repository(&server.url()));
        refreshed(&sources, &repository).await;
        let reference = chart("web", "*");
        let all = (0..50).map(|_| {
            let (sources, reference, repository) = (sources.clone(), reference.clone(), repository.clone());
            tokio::spawn(async move { sources.resolve(&reference, Some(&repository), SECOND).await.unwrap() })
        });
        let all = futures::future::try_join_all(all).await.unwrap();
        assert!(all.iter().all(|resolved| Arc::ptr_eq(&resolved.chart, &all[0].chart)));
        sources.resolve(&reference, Some(&repository), SECOND).await.unwrap();
        assert_eq!(server.count("get /web.tgz"), 1);
    }
}

#[tokio::test]
async fn what_was_seen_survives_a_restart_and_a_dead_server() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { cache_dir: Some(dir.path().to_owned()), ..options() };
    let bytes = archive("web", "1.0.0");
    let server = serve(index("web.tgz", &Digest::of(&bytes).hex()), bytes).await;
    let mut repository = repository(&server.url());
    let sources = Repositories::new(options.clone());
    let artifact = refreshed(&sources, &repository).await.artifact;
    let reference = chart("web", "1.0.0");
    sources.resolve(&reference, Some(&repository), SECOND).await.unwrap();

    server.stop();
    let sources = Repositories::new(options);
    let error = sources.resolve(&reference, Some(&repository), SECOND).await.unwrap_err();
    assert!(matches!(error, Error::NotFetched { .. }));
    let status = ChartRepositoryStatus {
        artifact: Some(artifact),
        url: Some(repository.spec.url.clone()),
        ..ChartRepositoryStatus::default()
    };
    repository.status = Some(status);
    sources.refresh(&repository, RepositorySecrets::default()).await.unwrap_err();
    assert!(sources.restore(&repository, RepositorySecrets::default()).await.unwrap());
    sources.resolve(&reference, Some(&repository), SECOND).await.unwrap();
    repository.spec.url.push_str("/other");
    let error = sources.resolve(&reference, Some(&repository), SECOND).await.unwrap_err();
    assert!(matches!(error, Error::NotFetched { .. }), "another address is another repository");
}

#[tokio::test]
async fn a_direct_address_is_asked_again_in_its_time() {
    let (one, two) = (archive("web", "1.0.0"), archive("web", "1.0.1"));
    let calls = Arc::new(Mutex::new(0));
    let server = Server::start(move |_, head| {
        *lock(&calls) += 1;
        match *lock(&calls) {
            1 => tagged(&one, "\"1\""),
            2 if head.contains("if-none-match: \"1\"") => status("304 Not Modified"),
            3 => tagged(&two, "\"2\""),
            _ => status("503 Busy"),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let begun = || Repositories::new(Options { cache_dir: Some(dir.path().to_owned()), ..options() });
    let sources = begun();
    let reference = direct(format!("{}/web-1.0.0.tgz", server.url()));
    let mut seen = Vec::new();
    for max_age in [60, 60, 0, 60, 0, 0] {
        let got = sources.resolve(&reference, None, Duration::from_secs(max_age)).await.unwrap();
        seen.push((got.version, got.stale.is_some()));
    }
    let expected = [("1.0.0", false); 4].into_iter().chain([("1.0.1", false), ("1.0.1", true)]);
    assert_eq!(seen, expected.map(|(version, stale)| (version.to_owned(), stale)).collect::<Vec<_>>());
    assert_eq!(server.count("get"), 4);
    let restarted = begun().resolve(&reference, None, Duration::ZERO).await.unwrap();
    assert_eq!((&*restarted.version, restarted.stale.is_some()), ("1.0.1", true));

    for (version, reason) in [("1.0.1", None), ("^1", None), ("2", Some(Reason::VersionNotFound))] {
        let reference = ChartReference { version: Some(version.to_owned()), ..reference.clone() };
        let got = sources.resolve(&reference, None, SECOND).await;
        assert_eq!(got.err().map(|error| error.reason()), reason, "{version}");
    }
}

#[tokio::test]
async fn addresses_are_tried_in_order() {
    let bytes = archive("web", "1.0.0");
    let text = "apiVersion: v1\nentries: {web: [{name: web, version: 1.0.0, urls: ['oci://x/y', a.tgz, b.tgz]}], \
                none: [{name: none, version: 1.0.0}], oci: [{name: oci, version: 1.0.0, urls: ['oci://x/y:1']}]}";
    let server = Server::start(move |path, _| match path {
        "/index.yaml" => ok(text.as_bytes()),
        "/b.tgz" => ok(&bytes),
        _ => status("404 No"),
    })
    .await;
    let (sources, repository) = (repositories(), repository(&server.url()));
    refreshed(&sources, &repository).await;
    let got = sources.resolve(&chart("web", ""), Some(&repository), SECOND).await.unwrap();
    assert!(got.url.ends_with("/b.tgz"));
    for (reference, message) in [
        (chart("none", ""), "the index lists chart `none-1.0.0` without an address"),
        (
            chart("oci", ""),
            "`oci://x/y:1` is not the address of a web server: the protocol `oci` is not supported",
        ),
        (chart("weeb", ""), "repository `apps/stable` has no chart `weeb`; names like it: web"),
        (
            chart("web", ">=2"),
            "repository `apps/stable` has no version of chart `web` that satisfies `>=2`; the newest: 1.0.0",
        ),
        (ChartReference::default(), "the spec names neither a chart of a repository nor the url of a chart"),
    ] {
        let error = sources.resolve(&reference, Some(&repository), SECOND).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn secrets_are_checked_before_anything_is_sent() {
    let server = serve(index("web.tgz", ""), Vec::new()).await;
    let sources = repositories();
    let (mut repository, _) = private(&server.url());
    let error = sources.refresh(&repository, RepositorySecrets::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "repository `apps/stable` cannot use secret `login`");
    assert_eq!((error.reason(), error.retry()), (Reason::SecretNotFound, Retry::OnChange));
    repository.spec.secret_ref = None;
    repository.spec.cert_secret_ref = Some(LocalSecretReference { name: "tls".to_owned() });
    repository.spec.url = "https://127.0.0.1:1".to_owned();
    let data = BTreeMap::from([(
        "ca.crt".to_owned(),
        b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----".to_vec(),
    )]);
    let secrets = RepositorySecrets { tls: Some(data), ..RepositorySecrets::default() };
    let error = sources.refresh(&repository, secrets).await.unwrap_err();
    assert_eq!((error.reason(), error.retry()), (Reason::SecretNotFound, Retry::OnChange), "{error:?}");
    assert_eq!(server.count("get"), 0);
}

#[tokio::test]
async fn a_folder_is_served_as_a_repository() {
    let dir = tempfile::tempdir().unwrap();
    write_chart(&dir.path().join("web"), "web", "1.1.0");
    std::fs::write(dir.path().join("web-1.0.0.tgz"), archive("web", "1.0.0")).unwrap();
    std::fs::write(dir.path().join("broken.tgz"), b"no").unwrap();
    std::fs::write(dir.path().join("secret.txt"), b"no").unwrap();
    let server = ChartServer::start(dir.path(), ([127, 0, 0, 1], 0).into()).await.unwrap();
    assert_eq!(server.charts(), 2);

    let (sources, repository) = (repositories(), repository(&server.url()));
    let first = refreshed(&sources, &repository).await;
    assert_eq!((first.charts, first.skipped, first.changed), (1, 0, true));
    assert!(!refreshed(&sources, &repository).await.changed);
    for (constraint, version) in [("", "1.1.0"), ("<1.1", "1.0.0")] {
        let got = sources.resolve(&chart("web", constraint), Some(&repository), SECOND).await.unwrap();
        assert_eq!(got.version, version);
    }
    write_chart(&dir.path().join("web"), "web", "1.2.0");
    assert!(refreshed(&sources, &repository).await.changed);
    let got = sources.resolve(&chart("web", ""), Some(&repository), SECOND).await.unwrap();
    assert_eq!(got.version, "1.2.0");

    let address = server.local_addr();
    for (request, expected) in [
        ("GET /secret.txt", "404"),
        ("GET /broken.tgz", "404"),
        ("GET /../web-1.0.0.tgz", "404"),
        ("GET /%2e%2e/etc/passwd", "404"),
        ("GET //etc/passwd", "404"),
        ("GET /web/Chart.yaml", "404"),
        ("GET /web-1%2E0.0.tgz", "200"),
        ("HEAD /web-1.2.0.tgz", "200"),
        ("POST /index.yaml", "405"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let text = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{request}: {answer}");
        if request.starts_with("HEAD") {
            assert!(answer.ends_with("\r\n\r\n") && answer.contains("etag: \""), "{answer}");
        }
    }
    server.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_index_goes_through_the_disk_and_comes_back_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { cache_dir: Some(dir.path().to_owned()), index_bytes: 4 << 20, ..options() };
    let mut text = String::from("apiVersion: v1\nentries:\n  web:\n");
    for n in 0..10_000 {
        text.push_str(&format!("  - name: web\n    version: 1.0.{n}\n    urls:\n    - web-{n}.tgz\n"));
    }
    let server = Server::start(move |_, _| ok(text.as_bytes())).await;
    let mut repository = repository(&server.url());
    let sources = Repositories::new(options.clone());
    let first = refreshed(&sources, &repository).await;
    assert_eq!((first.charts, first.changed), (1, true));
    let before = sources.index(&repository).unwrap();
    assert!(!refreshed(&sources, &repository).await.changed);
    assert!(Arc::ptr_eq(&before, &sources.index(&repository).unwrap()), "the same bytes are not read again");
    let files = || std::fs::read_dir(dir.path().join("sha256")).unwrap().count();
    assert_eq!(files(), 1, "what was fetched in vain is gone");

    server.stop();
    repository.status = Some(ChartRepositoryStatus {
        artifact: Some(first.artifact),
        url: Some(repository.spec.url.clone()),
        ..ChartRepositoryStatus::default()
    });
    let sources = Repositories::new(options.clone());
    assert!(sources.restore(&repository, RepositorySecrets::default()).await.unwrap());
    let index = sources.index(&repository).unwrap();
    assert_eq!(&*index.choose("web", None).unwrap().version, "1.0.9999");

    let file = std::fs::read_dir(dir.path().join("sha256")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let sources = Repositories::new(options);
    assert!(!sources.restore(&repository, RepositorySecrets::default()).await.unwrap());
    assert_eq!((files(), sources.cache_errors()), (0, 1), "a damaged one is removed");
}
