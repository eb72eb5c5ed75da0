//! Sources that turn bad under releases that run: each way ends in its own reason, what runs is not touched, memory
//! stays within its cap, and what mends itself is taken. A verified chart is checked anew after a restart, from the
//! cache. The operator is the story's own, for its memory is measured and it is restarted.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use pgp::composed::{ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::types::Password;
use pintle::repository::Digest;
use serde_json::json;
use tar::EntryType;

use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::release::{self, Snapshot, WITHIN};
use crate::source::{Answer, Source, archive, chart, head, index, ok, status};

const ARCHIVE: &str = "/web-1.1.0.tgz";
const FILE: EntryType = EntryType::Regular;
const METADATA: &[u8] = b"apiVersion: v2\nname: web\nversion: 1.1.0\n";
/// By how much the operator's memory may grow, KiB: what the limits let one chart take, twice, and the releases.
const MEMORY: u64 = 400 << 10;
/// What the repository shows to its own server, and to no other.
const PASSWORD: &str = "hunter2";
const EVENTS_EVERY: Duration = Duration::from_millis(200);

/// An upgrade that the source spoils: what it sends for the new version's archive, and what is told of it.
struct Case {
    name: &'static str,
    /// The archive that the index promises, and the answer to a request for it.
    spoil: fn(&Source) -> anyhow::Result<(Digest, Answer)>,
    reason: &'static str,
    message: &'static [&'static str],
}

/// Promises the archive that is sent.
fn honest(bytes: &[u8]) -> (Digest, Answer) {
    (Digest::of(bytes), ok(bytes))
}

/// Promises a good archive, and answers otherwise.
fn instead(answer: Answer) -> anyhow::Result<(Digest, Answer)> {
    Ok((Digest::of(&chart("1.1.0")?), answer))
}

/// As much of a good archive as `take` leaves, under a head that promises all of it.
fn part(
    take: fn(usize) -> usize,
    end: fn(std::sync::Arc<[u8]>) -> Answer,
) -> anyhow::Result<(Digest, Answer)> {
    let good = chart("1.1.0")?;
    let mut bytes = head("200 OK", &format!("Content-Length: {}\r\n", good.len()));
    bytes.extend_from_slice(good.get(..take(good.len())).unwrap_or_default());
    Ok((Digest::of(&good), end(bytes.into())))
}

const CASES: &[Case] = &[
    Case {
        name: "drip",
        spoil: |_| part(|_| 0, Answer::Drip),
        reason: "ChartUnavailable",
        message: &["sends too slowly"],
    },
    Case {
        name: "stall",
        spoil: |_| part(|all| all / 2, Answer::Stall),
        reason: "ChartUnavailable",
        message: &["sends too slowly"],
    },
    Case {
        name: "silence",
        spoil: |_| instead(Answer::Stall(Vec::new().into())),
        reason: "ChartUnavailable",
        message: &["did not answer within"],
    },
    Case {
        name: "short",
        spoil: |_| part(|all| all / 2, Answer::Bytes),
        reason: "ChartCorrupt",
        message: &["sent less than it announced"],
    },
    Case {
        name: "long",
        spoil: |_| instead(Answer::Endless(head("200 OK", "").into())),
        reason: "ChartCorrupt",
        message: &["is larger than"],
    },
    Case {
        name: "other-host",
        spoil: |other| {
            other.put("/else.tgz", status("401 Unauthorized", ""));
            instead(status("302 Found", &format!("Location: {}/else.tgz\r\n", other.url())))
        },
        reason: "AuthenticationFailed",
        message: &["answered 401"],
    },
    Case {
        name: "loop",
        spoil: |_| instead(status("302 Found", &format!("Location: {ARCHIVE}\r\n"))),
        reason: "ChartUnavailable",
        message: &["one redirect too many"],
    },
    Case {
        name: "cut",
        spoil: |_| {
            let good = chart("1.1.0")?;
            Ok(honest(good.get(..good.len() / 2).unwrap_or_default()))
        },
        reason: "ChartCorrupt",
        message: &["failed to load chart `web-1.1.0`"],
    },
    Case {
        name: "flipped",
        spoil: |_| {
            let mut bytes = chart("1.1.0")?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            Ok(honest(&bytes))
        },
        reason: "ChartCorrupt",
        message: &["failed to load chart `web-1.1.0`"],
    },
    Case {
        name: "digest",
        spoil: |_| instead(ok(&chart("1.1.1")?)),
        reason: "ChartCorrupt",
        message: &["has digest sha256:", "but the index says sha256:"],
    },
    Case {
        name: "website",
        spoil: |_| Ok(honest(b"<html>not here</html>")),
        reason: "ChartCorrupt",
        message: &["failed to load chart `web-1.1.0`"],
    },
    Case {
        name: "traversal",
        spoil: |_| Ok(honest(&archive(&[("web/Chart.yaml", FILE, METADATA), ("web/../../x", FILE, b"")])?)),
        reason: "ChartCorrupt",
        message: &["failed to load chart `web-1.1.0`"],
    },
    Case {
        name: "symlink",
        spoil: |_| Ok(honest(&archive(&[("web/Chart.yaml", EntryType::Symlink, b"")])?)),
        reason: "ChartCorrupt",
        message: &["failed to load chart `web-1.1.0`"],
    },
    Case {
        name: "bomb",
        spoil: |_| {
            let zeros = vec![0; 60 << 20];
            let file = |name| (name, FILE, zeros.as_slice());
            Ok(honest(&archive(&[("web/Chart.yaml", FILE, METADATA), file("web/a"), file("web/b")])?))
        },
        reason: "ChartCorrupt",
        message: &["104857600"],
    },
    Case {
        name: "many-files",
        spoil: |_| {
            let names: Vec<String> = (0..100_000).map(|number| format!("web/{number}")).collect();
            let mut files = vec![("web/Chart.yaml", FILE, METADATA)];
            files.extend(names.iter().map(|name| (name.as_str(), FILE, &b""[..])));
            Ok(honest(&archive(&files)?))
        },
        reason: "ChartCorrupt",
        message: &["10000 files"],
    },
    Case {
        name: "status-401",
        spoil: |_| instead(status("401 Unauthorized", "")),
        reason: "AuthenticationFailed",
        message: &["answered 401"],
    },
    Case {
        name: "status-403",
        spoil: |_| instead(status("403 Forbidden", "")),
        reason: "AuthenticationFailed",
        message: &["answered 403"],
    },
    Case {
        name: "status-404",
        spoil: |_| instead(status("404 Not Found", "")),
        reason: "ChartNotFound",
        message: &["answered 404"],
    },
    Case {
        name: "status-429",
        spoil: |_| instead(status("429 Too Many Requests", "Retry-After: 3600\r\n")),
        reason: "ChartUnavailable",
        message: &["answered 429"],
    },
    Case {
        name: "status-500",
        spoil: |_| instead(status("500 Oops", "")),
        reason: "ChartUnavailable",
        message: &["answered 500"],
    },
];

/// A spoilt index: its name, the answer, and the reason and a part of the message that the repository then has.
type Index = (&'static str, fn() -> Answer, &'static str, &'static str);

const INDEXES: &[Index] = &[
    ("index-401", || status("401 Unauthorized", ""), "AuthenticationFailed", "answered 401"),
    ("index-404", || status("404 Not Found", ""), "ChartUnavailable", "answered 404"),
    ("index-429", || status("429 Slow down", ""), "ChartUnavailable", "answered 429"),
    ("index-500", || status("500 Oops", ""), "ChartUnavailable", "answered 500"),
    ("index-website", || ok(b"<html>not here</html>"), "ChartUnavailable", "failed to read the index"),
    ("index-endless", || Answer::Endless(head("200 OK", "").into()), "ChartUnavailable", "is larger than"),
    ("index-drip", || Answer::Drip(head("200 OK", "").into()), "ChartUnavailable", "sends too slowly"),
];

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    cx.alone("hostile_sources", |own| Box::pin(tell(own))).await
}

async fn tell(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let names: Vec<&str> =
        CASES.iter().map(|case| case.name).chain(INDEXES.iter().map(|case| case.0)).collect();
    let sources = installed(cx, &namespace, &names).await?;
    let before = cx.rig().operator()?.peak_memory().await?;
    let snapshot = Snapshot::take(cx, &namespace).await?;

    let other = Source::start().await?;
    for (case, source) in CASES.iter().zip(&sources) {
        let (digest, answer) = (case.spoil)(&other)?;
        source.put(ARCHIVE, answer);
        source.put("/index.yaml", ok(&newer(digest)?));
        look_again(cx, &namespace, case.name).await?;
    }
    let spoilt: Vec<_> = INDEXES.iter().zip(sources.iter().skip(CASES.len())).collect();
    for ((name, answer, _, _), source) in &spoilt {
        source.put("/index.yaml", answer());
        look_again(cx, &namespace, name).await?;
    }
    for case in CASES {
        let release = release::failed(cx, &namespace, case.name, case.reason, case.message).await?;
        ensure!(!release.to_string().contains(PASSWORD), "the password is told: {release}");
    }
    for ((name, _, reason, message), _) in spoilt {
        let kind = Kind::CHART_REPOSITORY;
        let repository =
            cx.objects().wait_condition(kind, &namespace, name, "Ready", "False", WITHIN).await?;
        let ready = condition(&repository, "Ready").context("it has no Ready")?;
        ensure!(ready["reason"] == *reason, "{name} says {ready}");
        contains(&text(ready, "/message"), &[message])?;
        release::ready_at(cx, &namespace, name, 1).await?;
    }
    told(cx, &namespace).await?;
    snapshot.unchanged(cx, &namespace).await?;
    ensure!(other.count("get /else.tgz") > 0, "the redirect was not followed");
    ensure!(other.count("authorization") == 0, "the password went to another host");
    let peak = cx.rig().operator()?.peak_memory().await?;
    cx.say(format!("peak memory: {before} KiB before, {peak} KiB after"));
    ensure!(peak - before < MEMORY, "the operator's memory grew from {before} to {peak} KiB");

    let (last, good) = (sources.get(CASES.len() - 1).context("no source")?, chart("1.1.0")?);
    last.put(ARCHIVE, ok(&good));
    // It would be asked again by itself, after a pause that has grown meanwhile.
    release::request(cx, &namespace, "status-500", &cx.unique("again")).await?;
    release::ready_at(cx, &namespace, "status-500", 2).await?;
    duplicates(cx, &namespace).await?;
    verified_across_restarts(cx).await
}

/// An index whose newest version is 1.1.0.
fn newer(digest: Digest) -> anyhow::Result<Vec<u8>> {
    let old = Digest::of(&chart("1.0.0")?);
    Ok(index(&[("1.1.0", "web-1.1.0.tgz", digest), ("1.0.0", "web-1.0.0.tgz", old)]))
}

/// A good source with version 1.0.0 for each name, and a repository and a release that runs it.
async fn installed(cx: &Context, namespace: &str, names: &[&str]) -> anyhow::Result<Vec<Source>> {
    let good = chart("1.0.0")?;
    let mut sources = Vec::new();
    let mut yaml = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: login, namespace: {namespace}}}\n\
         stringData: {{username: u, password: {PASSWORD}}}\n"
    );
    for name in names {
        let source = Source::start().await?;
        source.put("/index.yaml", ok(&index(&[("1.0.0", "web-1.0.0.tgz", Digest::of(&good))])));
        source.put("/web-1.0.0.tgz", ok(&good));
        yaml.push_str(&objects(namespace, name, &source.url(), "secretRef: {name: login}"));
        sources.push(source);
    }
    cx.cluster().apply_yaml(&yaml).await?;
    for name in names {
        release::ready_at(cx, namespace, name, 1).await?;
    }
    Ok(sources)
}

/// A repository and a release of it, of one name.
fn objects(namespace: &str, name: &str, url: &str, further: &str) -> String {
    format!(
        "---
apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{url: \"{url}\", {further}}}
---
apiVersion: pintle.dev/v1alpha1
kind: HelmRelease
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{chart: {{repository: {{name: {name}}}, name: web, version: 1.x}}}}
"
    )
}

/// Has a repository ask its source now.
async fn look_again(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<()> {
    let value = cx.unique("now");
    let patch = json!({"metadata": {"annotations": {"pintle.dev/requestedAt": value}}});
    cx.objects().patch(Kind::CHART_REPOSITORY, namespace, name, patch).await?;
    Ok(())
}

/// Waits for a warning with its reason about each name.
async fn told(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let cases = CASES.iter().map(|case| (case.name, case.reason));
    let mut missing: Vec<_> = cases.chain(INDEXES.iter().map(|case| (case.0, case.2))).collect();
    let all = async {
        while !missing.is_empty() {
            let events = cx.objects().list(Kind::EVENT, namespace, "").await?;
            missing.retain(|(name, reason)| {
                !events.iter().any(|event| {
                    event["type"] == "Warning"
                        && event["reason"] == *reason
                        && event["involvedObject"]["name"] == *name
                })
            });
            // An event follows its condition by a moment.
            tokio::time::sleep(EVENTS_EVERY).await;
        }
        Ok::<(), anyhow::Error>(())
    };
    match tokio::time::timeout(WITHIN, all).await {
        Ok(told) => told,
        Err(_) => anyhow::bail!("no events tell of {missing:?}"),
    }
}

/// One version twice, with different archives: the first one counts, and the repository says that there are two.
async fn duplicates(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let source = Source::start().await?;
    let (good, other) = (chart("1.0.0")?, chart("1.0.1")?);
    let entries = [("1.0.0", "a.tgz", Digest::of(&good)), ("1.0.0", "b.tgz", Digest::of(&other))];
    source.put("/index.yaml", ok(&index(&entries)));
    source.put("/a.tgz", ok(&good));
    source.put("/b.tgz", ok(&other));
    cx.cluster().apply_yaml(&objects(namespace, "twice", &source.url(), "")).await?;
    release::ready_at(cx, namespace, "twice", 1).await?;
    let repository = cx.objects().get(Kind::CHART_REPOSITORY, namespace, "twice").await?;
    let ready = condition(&repository, "Ready").context("it has no Ready")?;
    contains(&text(ready, "/message"), &["1 versions are listed more than once"])?;
    ensure!(source.count("get /b.tgz") == 0, "the second one was fetched");
    Ok(())
}

fn key() -> anyhow::Result<SignedSecretKey> {
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(KeyType::Ed25519Legacy).can_sign(true).can_certify(true);
    let key = builder.primary_user_id("Ann <ann@example.com>".to_owned()).build().context("no parameters")?;
    key.generate(rand_of_pgp::thread_rng()).context("no key")
}

/// A provenance file, of the form that `helm package --sign` gives it.
fn provenance(key: &SignedSecretKey, version: &str, digest: Digest) -> anyhow::Result<Vec<u8>> {
    let text = format!(
        "apiVersion: v2\nname: web\nversion: {version}\n\n...\nfiles:\n  web-{version}.tgz: {digest}\n"
    );
    let signed =
        CleartextSignedMessage::sign(rand_of_pgp::thread_rng(), &text, &key.primary_key, &Password::empty());
    let signed = signed.context("no signature")?.to_armored_string(ArmorOptions::default());
    Ok(signed.context("no text")?.into_bytes())
}

/// What was verified is checked anew after a restart, from the cache: with the source away, too.
async fn verified_across_restarts(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let (source, key, good) = (Source::start().await?, key()?, chart("1.5.0")?);
    let digest = Digest::of(&good);
    source.put("/index.yaml", ok(&index(&[("1.5.0", "web-1.5.0.tgz", digest)])));
    source.put("/web-1.5.0.tgz", ok(&good));
    source.put("/web-1.5.0.tgz.prov", ok(&provenance(&key, "1.5.0", digest)?));
    let public = key.to_public_key().to_armored_string(ArmorOptions::default()).context("no text")?;
    let keys = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": namespace},
        "stringData": {"ann.asc": public},
    });
    cx.cluster().apply_yaml(&keys.to_string()).await?;
    let verify = "verify: {pgp: {secretRef: {name: keys}}}";
    cx.cluster().apply_yaml(&objects(&namespace, "signed", &source.url(), verify)).await?;
    let release = release::ready_at(cx, &namespace, "signed", 1).await?;
    let verified = condition(&release, "SourceVerified").context("SourceVerified is missing")?.clone();
    contains(&text(&verified, "/message"), &[&format!("pgp signature of {digest} by key ")])?;

    let operator = cx.rig().operator()?;
    for away in [false, true] {
        if away {
            source.vanish();
        }
        operator.stop().await?;
        operator.restart().await?;
        release::request(cx, &namespace, "signed", &cx.unique("restarted")).await?;
        let release = release::ready_at(cx, &namespace, "signed", 1).await?;
        let now = condition(&release, "SourceVerified").context("SourceVerified is missing")?;
        ensure!(*now == verified, "away: {away}: it was {verified}, and is {now}");
    }
    ensure!(source.count("get /web-1.5.0.tgz http") == 1, "the archive was fetched again");
    ensure!(source.count("get /web-1.5.0.tgz.prov http") == 1, "the provenance file was fetched again");
    Ok(())
}
