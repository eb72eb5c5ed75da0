//! Component: registries that misbehave, as servers in this process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::tests::{
    Answer, Server, archive, chart, direct, head, impatient, ok, options, private, redirect, repository,
    status,
};
use super::*;
use crate::api::{ChartReference, Reason};
use crate::cluster::{Retry, chain};
use crate::repository::{Error as SourceError, Options, Repositories, RepositorySecrets, ResolvedChart};

const NOW: Duration = Duration::ZERO;
const LATER: Duration = Duration::from_secs(600);

fn manifest_of(archive: &[u8]) -> serde_json::Value {
    json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": Digest::of(b"{}").to_string(), "size": 2},
        "layers": [{
            "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "digest": Digest::of(archive).to_string(),
            "size": archive.len(),
        }],
    })
}

/// A registry with version 1.0.0 of chart `web`; `fault` may answer a request, by its path and head, in its place.
async fn registry(fault: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static) -> Server {
    let archive = archive("web", "1.0.0");
    let manifest = manifest_of(&archive).to_string();
    let by_digest = format!("/v2/charts/web/manifests/{}", Digest::of(manifest.as_bytes()));
    let blob = format!("/v2/charts/web/blobs/{}", Digest::of(&archive));
    Server::start(move |path, head| {
        if let Some(answer) = fault(path, head) {
            return answer;
        }
        match path {
            "/v2/" => ok(b"{}"),
            "/v2/charts/web/tags/list?n=1000" => {
                ok(br#"{"name": "charts/web", "tags": ["1.0.0", "latest"]}"#)
            }
            "/v2/charts/web/manifests/1.0.0" => {
                ok(if head.starts_with("head ") { b"" } else { manifest.as_bytes() })
            }
            path if path == by_digest => ok(manifest.as_bytes()),
            path if path == blob => ok(&archive),
            _ => refusal("404 Not Found", "NAME_UNKNOWN"),
        }
    })
    .await
}

fn refusal(status: &str, code: &str) -> Answer {
    let body = json!({"errors": [{"code": code, "message": "hunter2"}]}).to_string();
    let mut bytes = head(status, &format!("Content-Length: {}\r\n", body.len()));
    bytes.extend_from_slice(body.as_bytes());
    Answer::Bytes(bytes)
}

fn challenge(realm: &str) -> Answer {
    let header = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\nContent-Length: 0\r\n");
    Answer::Bytes(head("401 Unauthorized", &header))
}

fn oci(server: &Server) -> String {
    server.url().replace("http://", "oci://") + "/charts"
}

/// Sources that know the registry, with or without a password.
async fn opened(server: &Server, password: bool) -> (Repositories, crate::api::ChartRepository) {
    let (mut repository, secrets) = match password {
        true => private(&oci(server)),
        false => (repository(&oci(server)), RepositorySecrets::default()),
    };
    repository.spec.insecure = true;
    let sources = Repositories::new(options());
    sources.restore(&repository, secrets).await.unwrap();
    (sources, repository)
}

async fn resolve(server: &Server, password: bool, version: &str) -> Result<ResolvedChart, SourceError> {
    let (sources, repository) = opened(server, password).await;
    sources.resolve(&chart("web", version), Some(&repository), NOW).await
}

#[tokio::test]
async fn a_chart_is_found_by_range_version_tag_and_digest() {
    let server = registry(|_, _| None).await;
    let bytes = archive("web", "1.0.0");
    let manifest = Digest::of(manifest_of(&bytes).to_string().as_bytes());
    let (sources, repository) = opened(&server, false).await;
    for version in [Some("^1"), Some("1.0.0"), None] {
        let reference = ChartReference { version: version.map(str::to_owned), ..chart("web", "") };
        let resolved = sources.resolve(&reference, Some(&repository), LATER).await.unwrap();
        assert_eq!((resolved.version.as_str(), resolved.digest), ("1.0.0", Digest::of(&bytes).to_string()));
    }
    for place in [":1.0.0".to_owned(), format!("@{manifest}"), format!(":1.0.0@{manifest}"), String::new()] {
        let reference = direct(format!("{}/web{place}", oci(&server)));
        let resolved = sources.resolve(&reference, None, LATER).await.unwrap();
        assert_eq!(resolved.version, "1.0.0", "{place}");
    }
    assert_eq!(server.count("/blobs/"), 1, "one archive is fetched once, however it was found");
    let asked = server.count("/v2/");
    sources.resolve(&chart("web", "^1"), Some(&repository), LATER).await.unwrap();
    assert_eq!(server.count("/v2/"), asked, "a recent answer is not asked for again");
    assert_eq!(server.count("/tags/list"), 3, "a version and a tag need no list");
}

#[tokio::test]
async fn both_digests_of_a_chart_pin_it() {
    let server = registry(|_, _| None).await;
    let bytes = archive("web", "1.0.0");
    let manifest = Digest::of(manifest_of(&bytes).to_string().as_bytes());
    let (sources, repository) = opened(&server, false).await;
    for (digest, fits) in [(Digest::of(&bytes), true), (manifest, true), (Digest::of(b"other"), false)] {
        let reference = ChartReference { digest: Some(digest.to_string()), ..chart("web", "^1") };
        let resolved = sources.resolve(&reference, Some(&repository), NOW).await;
        assert_eq!(resolved.is_ok(), fits, "{digest}");
    }
}

/// Every way for a registry to be wrong has a message of its own, and takes nothing away.
#[tokio::test]
async fn faults_of_a_registry_are_told_apart() {
    type Fault = fn(&str, &str) -> Option<Answer>;
    fn manifest(path: &str, answer: impl FnOnce() -> Answer) -> Option<Answer> {
        path.contains("/manifests/").then(answer)
    }
    fn blob(path: &str, answer: impl FnOnce() -> Answer) -> Option<Answer> {
        path.contains("/blobs/").then(answer)
    }
    fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Answer {
        let mut manifest = manifest_of(&archive("web", "1.0.0"));
        change(&mut manifest);
        ok(manifest.to_string().as_bytes())
    }
    let faults: [(Fault, Reason, Retry, &str); 18] = [
        (
            |_, _| {
                Some(Answer::Bytes(head("429 Too Many Requests", "Content-Length: 0\r\nRetry-After: 30\r\n")))
            },
            Reason::ChartUnavailable,
            Retry::Soon,
            "limits requests; it is asked again in 30 s",
        ),
        (|_, _| Some(status("503 Busy")), Reason::ChartUnavailable, Retry::Soon, "answered 503"),
        (
            |_, _| Some(status("401 No")),
            Reason::AuthenticationFailed,
            Retry::Later,
            "refused a request without credentials",
        ),
        (
            |_, _| Some(refusal("403 No", "DENIED")),
            Reason::AuthenticationFailed,
            Retry::Later,
            "refused a request without credentials (DENIED)",
        ),
        (
            |_, _| Some(challenge("http://auth.example/token")),
            Reason::AuthenticationFailed,
            Retry::Later,
            "it does not use https",
        ),
        (
            |path, _| manifest(path, || changed(|m| m["manifests"] = json!([]))),
            Reason::ChartCorrupt,
            Retry::Later,
            "is an image index",
        ),
        (
            |path, _| {
                manifest(path, || {
                    changed(|m| m["config"]["mediaType"] = json!("application/vnd.oci.image.config.v1+json"))
                })
            },
            Reason::ChartCorrupt,
            Retry::Later,
            "is not a Helm chart: its config has media type `application/vnd.oci.image.config.v1+json`",
        ),
        (
            |path, _| manifest(path, || changed(|m| m["layers"][0]["mediaType"] = json!("text/plain"))),
            Reason::ChartCorrupt,
            Retry::Later,
            "0 layers with a chart archive",
        ),
        (
            |path, _| manifest(path, || changed(|m| m["layers"][0]["digest"] = json!("sha512:00"))),
            Reason::ChartCorrupt,
            Retry::Later,
            "no sha256 digest",
        ),
        (
            |path, _| manifest(path, || changed(|m| m["layers"][0]["size"] = json!(1_u64 << 60))),
            Reason::ChartCorrupt,
            Retry::Later,
            "more than the limit",
        ),
        (|path, _| manifest(path, || ok(b"[[")), Reason::ChartCorrupt, Retry::Later, "cannot be read"),
        (
            |path, _| {
                manifest(path, || {
                    let wrong = Digest::of(b"other");
                    let headers = format!("Docker-Content-Digest: {wrong}\r\nContent-Length: 2\r\n");
                    Answer::Bytes([head("200 OK", &headers), b"{}".to_vec()].concat())
                })
            },
            Reason::ChartCorrupt,
            Retry::Later,
            "the manifest has digest",
        ),
        (
            |path, _| blob(path, || status("404 Not Found")),
            Reason::ChartCorrupt,
            Retry::Later,
            "but not its blob sha256:",
        ),
        (|path, _| blob(path, || ok(b"other")), Reason::ChartCorrupt, Retry::Later, "the blob has digest"),
        (
            |path, _| blob(path, || Answer::Bytes(head("200 OK", "Content-Length: 9\r\n"))),
            Reason::ChartCorrupt,
            Retry::Soon,
            "sent less than it announced",
        ),
        (
            |path, _| blob(path, || redirect("/loop")),
            Reason::ChartUnavailable,
            Retry::Soon,
            "one redirect too many",
        ),
        (
            |path, _| {
                path.contains("/tags/").then(|| {
                    let next = "Link: </v2/charts/web/tags/list?n=1000>; rel=\"next\"\r\n"
                        .replace("charts", "chartz");
                    Answer::Bytes(
                        [head("200 OK", &format!("{next}Content-Length: 11\r\n")), b"{\"tags\":[]}".to_vec()]
                            .concat(),
                    )
                })
            },
            Reason::VersionNotFound,
            Retry::Later,
            "no version of chart `web` that satisfies `^1`",
        ),
        (
            |path, _| path.contains("/tags/").then(|| ok(b"nope")),
            Reason::ChartUnavailable,
            Retry::Later,
            "list of tags",
        ),
    ];
    for (number, (fault, reason, retry, text)) in faults.into_iter().enumerate() {
        let server = registry(move |path, head| match path {
            "/loop" => Some(redirect("/loop")),
            path => fault(path, head),
        })
        .await;
        let error = resolve(&server, false, "^1").await.unwrap_err();
        let message = chain(&error);
        assert!(message.contains(text), "{number}: {message}");
        assert_eq!((error.reason(), error.retry()), (reason, retry), "{number}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn a_registry_that_stalls_is_given_up() {
    let server =
        registry(|path, _| path.contains("/blobs/").then(|| Answer::Stall(head("200 OK", "")))).await;
    let (_, repository) = opened(&server, false).await;
    let sources = Repositories::new(Options { http: impatient(), ..options() });
    sources.restore(&repository, RepositorySecrets::default()).await.unwrap();
    let error = sources.resolve(&chart("web", "^1"), Some(&repository), NOW).await.unwrap_err();
    assert_eq!((error.reason(), error.retry()), (Reason::ChartUnavailable, Retry::Soon));
    assert!(chain(&error).contains("sends too slowly"), "{}", chain(&error));
}

#[tokio::test]
async fn a_version_or_a_chart_that_is_not_there_says_what_is() {
    let server = registry(|path, _| {
        path.contains("/manifests/2.0.0").then(|| refusal("404 Not Found", "MANIFEST_UNKNOWN"))
    })
    .await;
    for version in ["2.0.0", "^2"] {
        let error = resolve(&server, false, version).await.unwrap_err();
        assert_eq!(error.reason(), Reason::VersionNotFound);
        let text = format!("has no version of chart `web` that satisfies `{version}`; the newest: 1.0.0");
        assert!(error.to_string().contains(&text), "{error}");
    }
    let (sources, repository) = opened(&server, false).await;
    let error = sources.resolve(&chart("other", "^1"), Some(&repository), NOW).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ChartNotFound, "{error}");
    let error = sources.resolve(&direct(format!("{}/web:2.0.0", oci(&server))), None, NOW).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VersionNotFound, "{error}");
}

#[tokio::test]
async fn tags_come_page_by_page() {
    let server = registry(|path, _| match path {
        "/v2/charts/web/tags/list?n=1000" => {
            let link = "Link: </v2/charts/web/tags/list?last=0.9.0>; rel=\"next\"\r\n";
            let body = br#"{"tags": ["0.9.0"]}"#;
            Some(Answer::Bytes(
                [head("200 OK", &format!("{link}Content-Length: {}\r\n", body.len())), body.to_vec()]
                    .concat(),
            ))
        }
        "/v2/charts/web/tags/list?last=0.9.0" => Some(ok(br#"{"tags": ["1.0.0"]}"#)),
        _ => None,
    })
    .await;
    assert_eq!(resolve(&server, false, ">0.1").await.unwrap().version, "1.0.0");
}

/// A token server in the registry itself, whose tokens are good for `uses` requests.
async fn with_tokens(uses: usize, accept: bool) -> (Server, Arc<Mutex<String>>) {
    let realm = Arc::new(Mutex::new(String::new()));
    let (to_tell, left, issued) = (realm.clone(), AtomicUsize::new(0), AtomicUsize::new(0));
    let server = registry(move |path, head| {
        if path.starts_with("/token") {
            assert!(
                head.contains(&format!(
                    "authorization: basic {}",
                    STANDARD.encode("u:hunter2").to_lowercase()
                ))
            );
            assert!(
                path.contains("service=s") && path.contains("scope=repository%3acharts%2fweb%3apull"),
                "{path}"
            );
            left.store(uses, Ordering::SeqCst);
            let number = issued.fetch_add(1, Ordering::SeqCst);
            return Some(ok(json!({"token": format!("t{number}"), "expires_in": 300})
                .to_string()
                .as_bytes()));
        }
        let current =
            issued.load(Ordering::SeqCst).checked_sub(1).map(|n| format!("authorization: bearer t{n}\r\n"));
        let shown = current.is_some_and(|current| head.contains(&current));
        if accept && shown && left.load(Ordering::SeqCst) > 0 {
            left.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(challenge(&lock(&to_tell)))
    })
    .await;
    *lock(&realm) = format!("{}/token", server.url());
    (server, realm)
}

#[tokio::test]
async fn a_token_is_kept_and_renewed_once_when_it_runs_out() {
    let (server, _) = with_tokens(100, true).await;
    resolve(&server, true, "^1").await.unwrap();
    assert_eq!(server.count("get /token"), 1, "one token serves tags, manifest and blob");

    let (server, _) = with_tokens(2, true).await;
    resolve(&server, true, "^1").await.unwrap();
    assert_eq!(server.count("get /token"), 2, "it ran out before the blob");

    let (server, _) = with_tokens(0, false).await;
    let error = resolve(&server, true, "1.0.0").await.unwrap_err();
    assert_eq!(error.reason(), Reason::AuthenticationFailed);
    assert!(chain(&error).contains("refused the credentials"), "{}", chain(&error));
    assert_eq!(server.count("get /token"), 1);
    assert!(!chain(&error).contains("hunter2"));
}

#[tokio::test]
async fn passwords_are_sent_when_they_are_asked_for_and_never_to_a_blob_store() {
    let store = Server::start(|_, head| match head.contains("authorization") {
        true => status("400 Bad Request"),
        false => ok(&archive("web", "1.0.0")),
    })
    .await;
    let blob = format!("{}/blob?signature=x", store.url());
    let server = registry(move |path, head| {
        if !head.contains("authorization: basic") {
            return Some(Answer::Bytes(head_of_basic()));
        }
        path.contains("/blobs/").then(|| redirect(&blob))
    })
    .await;
    resolve(&server, true, "^1").await.unwrap();
    assert_eq!(store.count("get /blob"), 1);
    let tries = server.count("get /v2/");
    assert_eq!(tries - server.count("authorization: basic"), 1, "the challenge is remembered");
    let error = resolve(&server, false, "^1").await.unwrap_err();
    assert_eq!(error.reason(), Reason::AuthenticationFailed);
}

fn head_of_basic() -> Vec<u8> {
    head("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\nContent-Length: 0\r\n")
}

#[tokio::test]
async fn a_registry_that_limits_requests_is_left_alone() {
    let server = registry(|_, _| {
        Some(Answer::Bytes(head("429 Too Many Requests", "Content-Length: 0\r\nRetry-After: 60\r\n")))
    })
    .await;
    let (sources, repository) = opened(&server, false).await;
    for _ in 0..3 {
        let error = sources.resolve(&chart("web", "^1"), Some(&repository), NOW).await.unwrap_err();
        assert!(chain(&error).contains("limits requests"), "{}", chain(&error));
    }
    assert_eq!(server.count("/v2/"), 1);
}

#[tokio::test]
async fn the_last_answer_counts_while_the_registry_is_away() {
    let server = registry(|_, _| None).await;
    let (sources, repository) = opened(&server, false).await;
    let before = sources.resolve(&chart("web", "^1"), Some(&repository), NOW).await.unwrap();
    server.stop();
    let after = sources.resolve(&chart("web", "^1"), Some(&repository), NOW).await.unwrap();
    assert_eq!(before.digest, after.digest);
    assert_eq!(after.stale.unwrap().reason(), Reason::ChartUnavailable);
    let mut suspended = repository;
    suspended.spec.suspend = true;
    let after = sources.resolve(&chart("web", "^1"), Some(&suspended), NOW).await.unwrap();
    assert!(after.stale.is_none(), "a suspended source is not asked");
}

#[tokio::test]
async fn the_last_answer_survives_a_restart() {
    let (server, dir) = (registry(|_, _| None).await, tempfile::tempdir().unwrap());
    let mut repository = repository(&oci(&server));
    repository.spec.insecure = true;
    let restarted = async |repository: &crate::api::ChartRepository| {
        let sources = Repositories::new(Options { cache_dir: Some(dir.path().to_owned()), ..options() });
        sources.restore(repository, RepositorySecrets::default()).await.unwrap();
        sources.resolve(&chart("web", "^1"), Some(repository), NOW).await
    };
    let before = restarted(&repository).await.unwrap();
    server.stop();
    let after = restarted(&repository).await.unwrap();
    assert_eq!(before.digest, after.digest);
    assert_eq!(after.stale.unwrap().reason(), Reason::ChartUnavailable);
    repository.spec.suspend = true;
    assert!(restarted(&repository).await.unwrap().stale.is_none(), "a suspended source is not asked");
}

#[tokio::test]
async fn a_repository_is_ready_when_its_registry_answers_and_takes_the_credentials() {
    async fn refresh(server: &Server, password: bool) -> Result<bool, SourceError> {
        let (mut repository, secrets) = match password {
            true => private(&oci(server)),
            false => (repository(&oci(server)), RepositorySecrets::default()),
        };
        repository.spec.insecure = true;
        Ok(Repositories::new(options()).refresh(&repository, secrets).await?.changed())
    }
    let open = registry(|_, _| None).await;
    assert!(refresh(&open, false).await.unwrap());
    let locked = registry(|_, _| Some(Answer::Bytes(head_of_basic()))).await;
    assert_eq!(refresh(&locked, true).await.unwrap_err().reason(), Reason::AuthenticationFailed);
    refresh(&locked, false).await.unwrap();
    let website = registry(|_, _| Some(status("404 Not Found"))).await;
    let error = refresh(&website, false).await.unwrap_err();
    assert!(chain(&error).contains("is not a registry: it answered 404"), "{}", chain(&error));
}
