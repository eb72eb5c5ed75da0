//! Component: sources that mean no good, or are broken. Each ends in its own reason, within its limits, and shows
//! nothing secret.

use std::io::Write;

use super::*;

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|_, _| redirect("/index.yaml")).await;
    let error =
        repositories().refresh(&repository(&server.url()), RepositorySecrets::default()).await.unwrap_err();
    assert_eq!(server.count("get"), 6);
    assert!(matches!(error, Error::FetchIndex { source: HttpError::TooManyRedirects { limit: 5, .. }, .. }));
}

/// A server's answer, and what becomes of an index and of a chart.
struct Case {
    name: &'static str,
    answer: fn() -> Answer,
    limits: fn() -> HttpLimits,
    index: Reason,
    chart: Reason,
    retry: Retry,
    /// In the message of both.
    says: &'static str,
}

#[tokio::test]
async fn each_failure_has_its_reason() {
    use Reason::{AuthenticationFailed, ChartCorrupt, ChartNotFound, ChartUnavailable};
    let patient = || options().http;
    let case = |name, answer, index, chart, retry, says| Case {
        name,
        answer,
        limits: patient,
        index,
        chart,
        retry,
        says,
    };
    let slow = |name, answer, says| Case {
        name,
        answer,
        limits: impatient,
        index: ChartUnavailable,
        chart: ChartUnavailable,
        retry: Retry::Soon,
        says,
    };
    let cases = [
        case(
            "401",
            || status("401 No"),
            AuthenticationFailed,
            AuthenticationFailed,
            Retry::Later,
            "answered 401",
        ),
        case(
            "403",
            || status("403 No"),
            AuthenticationFailed,
            AuthenticationFailed,
            Retry::Later,
            "answered 403",
        ),
        case("404", || status("404 No"), ChartUnavailable, ChartNotFound, Retry::Later, "answered 404"),
        case("410", || status("410 No"), ChartUnavailable, ChartNotFound, Retry::Later, "answered 410"),
        case("429", || status("429 No"), ChartUnavailable, ChartUnavailable, Retry::Soon, "answered 429"),
        case("500", || status("500 No"), ChartUnavailable, ChartUnavailable, Retry::Soon, "answered 500"),
        case("502", || status("502 No"), ChartUnavailable, ChartUnavailable, Retry::Soon, "answered 502"),
        case(
            "304 that nobody asked for",
            || status("304 No"),
            ChartUnavailable,
            ChartUnavailable,
            Retry::Soon,
            "answered 304",
        ),
        case(
            "a redirect to another protocol",
            || redirect("ftp://x/"),
            ChartUnavailable,
            ChartUnavailable,
            Retry::Later,
            "another protocol",
        ),
        case(
            "a redirect that leads to itself",
            || redirect("/index.yaml"),
            ChartUnavailable,
            ChartUnavailable,
            Retry::Soon,
            "one redirect too many",
        ),
        case(
            "less than its length",
            || {
                Answer::Bytes(
                    [head("200 OK", "Content-Length: 900\r\n"), b"apiVersion: v1".to_vec()].concat(),
                )
            },
            ChartUnavailable,
            ChartCorrupt,
            Retry::Soon,
            "sent less than it announced",
        ),
        case(
            "more than its length",
            || Answer::Bytes([head("200 OK", "Content-Length: 4\r\n"), b"apiVersion: v1".to_vec()].concat()),
            ChartUnavailable,
            ChartCorrupt,
            Retry::Later,
            "failed to",
        ),
        case("nothing", || ok(b""), ChartUnavailable, ChartCorrupt, Retry::Later, "failed to"),
        case("something else", || ok(b"<html>"), ChartUnavailable, ChartCorrupt, Retry::Later, "failed to"),
        case(
            "a length over the limit",
            || Answer::Bytes(head("200 OK", "Content-Length: 99999999999\r\n")),
            ChartUnavailable,
            ChartCorrupt,
            Retry::Later,
            "larger than 65536 bytes",
        ),
        case(
            "a body without length or end",
            || Answer::Endless(head("200 OK", ""), vec![0; 4096]),
            ChartUnavailable,
            ChartCorrupt,
            Retry::Later,
            "larger than 65536 bytes",
        ),
        case(
            "chunks without end",
            || {
                let chunk = [&b"1000\r\n"[..], &[b'#'; 4096], b"\r\n"].concat();
                Answer::Endless(head("200 OK", "Transfer-Encoding: chunked\r\n"), chunk)
            },
            ChartUnavailable,
            ChartCorrupt,
            Retry::Later,
            "larger than 65536 bytes",
        ),
        slow("no answer", || Answer::Stall(Vec::new()), "did not answer within"),
        slow(
            "a head that drips",
            || Answer::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec()),
            "did not answer within",
        ),
        slow(
            "an answer that stops",
            || Answer::Stall(head("200 OK", "Content-Length: 900\r\n")),
            "sends too slowly",
        ),
        slow(
            "a body that drips",
            || Answer::Drip(head("200 OK", "Content-Length: 9000\r\n")),
            "sends too slowly",
        ),
    ];
    for Case { name, answer, limits, index: of_index, chart: of_chart, retry, says } in cases {
        let server = Server::start(move |_, _| answer()).await;
        let (repository, secrets) = private(&format!("{}/?sig=hunter2", server.url()));
        let mut options = Options { http: limits(), ..options() };
        options.chart.compressed_bytes = 64 << 10;
        let sources = Repositories::new(options);
        let index = sources.refresh(&repository, secrets).await.unwrap_err();
        let url = format!("http://u:hunter2@{}/web.tgz?sig=hunter2", server.address);
        let chart = sources.resolve(&direct(url), None, SECOND).await.unwrap_err();
        assert_eq!((index.reason(), index.retry()), (of_index, retry), "{name}: {index:?}");
        assert_eq!((chart.reason(), chart.retry()), (of_chart, retry), "{name}: {chart:?}");
        for error in [&index, &chart] {
            let message = crate::cluster::chain(error);
            assert!(message.contains(says), "{name}: {message}");
        }
        let shown = format!("{index} {index:?} {chart} {chart:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("dTpod"), "{shown}");
        assert_eq!(server.count("authorization: basic"), server.count("get"), "{name}");
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says() {
    for busy in ["429 Busy", "503 Busy"] {
        let calls = Arc::new(Mutex::new(0));
        let server = Server::start(move |_, _| {
            *lock(&calls) += 1;
            match *lock(&calls) {
                1 => Answer::Bytes(head(busy, "Content-Length: 0\r\nRetry-After: 0\r\n")),
                2 => ok(&index("web.tgz", "")),
                _ => Answer::Bytes(head(busy, "Content-Length: 0\r\nRetry-After: 1000\r\n")),
            }
        })
        .await;
        let (sources, repository) = (repositories(), repository(&server.url()));
        refreshed(&sources, &repository).await;
        assert_eq!(server.count("get"), 2);
        let error = sources.refresh(&repository, RepositorySecrets::default()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1000)), "too long to wait for");
        assert_eq!(server.count("get"), 3);
    }
}

/// An archive of these files; what a header cannot say otherwise is set byte by byte.
fn tarball(files: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (name, kind, data) in files {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, *data).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn an_archive_that_is_no_chart_is_corrupt() {
    use tar::EntryType;
    const CHART: &[u8] = b"apiVersion: v2\nname: web\nversion: 1.0.0\n";
    let file = EntryType::Regular;
    let good = archive("web", "1.0.0");
    let many: Vec<String> = (0..=options().chart.files).map(|n| format!("web/{n}")).collect();
    let many: Vec<(&str, EntryType, &[u8])> =
        many.iter().map(|name| (name.as_str(), file, &b""[..])).collect();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xFF;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bomb.write_all(&vec![0; 8 << 20]).unwrap();
    let cases = [
        ("half of it", good[..middle].to_vec(), ""),
        ("a flipped byte", flipped, ""),
        ("no gzip", b"PK\x03\x04".to_vec(), "NotGzip"),
        ("an empty one", tarball(&[]), "EmptyArchive"),
        (
            "a path to the parent",
            tarball(&[("web/Chart.yaml", file, CHART), ("web/../../x", file, b"")]),
            "ParentDirectory",
        ),
        (
            "an absolute path",
            tarball(&[("web/Chart.yaml", file, CHART), ("web//etc/x", file, b"")]),
            "AbsolutePath",
        ),
        ("a link for a chart", tarball(&[("web/Chart.yaml", EntryType::Symlink, b"")]), ""),
        (
            "more than fits",
            tarball(&[("web/Chart.yaml", file, CHART), ("web/x", file, &vec![0; 4 << 20])]),
            "TooLarge",
        ),
        ("zeros without end", bomb.finish().unwrap(), ""),
        ("too many files", tarball(&many), "TooManyFiles"),
    ];
    for (name, bytes, says) in cases {
        let digest = Digest::of(&bytes);
        let server = serve(index("web.tgz", &digest.hex()), bytes).await;
        let mut options = options();
        options.chart.decompressed_bytes = 2 << 20;
        let (sources, repository) = (Repositories::new(options), repository(&server.url()));
        refreshed(&sources, &repository).await;
        for _ in 0..2 {
            let error = sources.resolve(&chart("web", ""), Some(&repository), SECOND).await.unwrap_err();
            assert_eq!(
                (error.reason(), error.retry()),
                (Reason::ChartCorrupt, Retry::Later),
                "{name}: {error:?}"
            );
            assert!(
                matches!(&error, Error::LoadChart { .. }) && format!("{error:?}").contains(says),
                "{name}: {error:?}"
            );
        }
        assert_eq!(server.count("get /web.tgz"), 2, "{name}: what is no chart is not kept");
    }
}

#[tokio::test]
async fn a_host_that_hangs_holds_up_only_itself() {
    let hanging = Server::start(|_, _| Answer::Stall(Vec::new())).await;
    let bytes = archive("web", "1.0.0");
    let good = Server::start(move |_, _| ok(&bytes)).await;
    let mut options = options();
    options.http.per_host = 2;
    let sources = Repositories::new(options);
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..5 {
        let (sources, url) = (sources.clone(), format!("{}/{n}.tgz", hanging.url()));
        waiting.spawn(async move { sources.resolve(&direct(url), None, SECOND).await.is_ok() });
    }
    let deadline = tokio::time::Instant::now() + MINUTE;
    while hanging.count("get") < 2 && tokio::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    sources.resolve(&direct(format!("{}/web.tgz", good.url())), None, SECOND).await.unwrap();
    assert_eq!(hanging.count("get"), 2);
}

#[tokio::test]
async fn nobody_at_home_is_unavailable() {
    let server = serve(index("web.tgz", ""), Vec::new()).await;
    let port = server.address.port();
    // The first one talks no TLS, at the others nobody listens.
    for url in
        [format!("https://127.0.0.1:{port}"), "http://127.0.0.1:1".to_owned(), "https://[::1]:1".to_owned()]
    {
        let sources = Repositories::new(Options { http: impatient(), ..options() });
        let error = sources.refresh(&repository(&url), RepositorySecrets::default()).await.unwrap_err();
        assert_eq!((error.reason(), error.retry()), (Reason::ChartUnavailable, Retry::Soon), "{error:?}");
        assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string().contains(&url)));
    }
}

#[tokio::test]
async fn the_whole_download_has_a_deadline() {
    // One byte now and then would pass every other limit.
    let server = Server::start(|_, _| Answer::Endless(head("200 OK", ""), vec![0; 4096])).await;
    let mut repository = repository(&server.url());
    repository.spec.timeout = GoDuration(Duration::from_millis(100));
    let mut options = options();
    options.index_bytes = u64::MAX;
    let error =
        Repositories::new(options).refresh(&repository, RepositorySecrets::default()).await.unwrap_err();
    assert!(matches!(error, Error::FetchIndex { source: HttpError::TimedOut { .. }, .. }), "{error:?}");
}

#[tokio::test]
async fn private_addresses_can_be_denied() {
    let server = serve(index("web.tgz", ""), Vec::new()).await;
    let mut options = options();
    options.http.private = false;
    let sources = Repositories::new(options);
    for host in ["127.0.0.1", "localhost"] {
        let repository = repository(&format!("http://{host}:{}", server.address.port()));
        let error = sources.refresh(&repository, RepositorySecrets::default()).await.unwrap_err();
        assert_eq!((error.reason(), error.retry()), (Reason::ChartUnavailable, Retry::Later), "{error:?}");
        let message = crate::cluster::chain(&error);
        assert!(
            message.contains("--deny-private-sources") && message.contains("not a public address"),
            "{message}"
        );
    }
    assert_eq!(server.count("get"), 0);
}
