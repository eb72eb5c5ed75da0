//! Charts that the real helm pushed to a real registry: by range, by tag and by digest; a newer tag, a missing one, a
//! wrong password that is mended, and signatures that one release lacks: helm's, and such as cosign makes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgp::composed::{ArmorOptions, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::ser::Serialize as _;
use pintle::repository::Digest;
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::registry::{PASSWORD, Registry, USER};
use crate::release::{self, Snapshot, WITHIN};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {version: {{ .Chart.Version | quote }}}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let charts = ChartDir::new()?;
    let registry = Registry::start(cx, false).await?;
    let digest = push(cx, &registry, &charts, "1.0.0").await?;
    by_range(cx, &registry, &charts).await?;
    by_address(cx, &registry, &digest).await?;
    with_password(cx, &charts).await?;
    signed(cx, &registry, &charts).await?;
    cosigned(cx, &registry, &charts).await
}

/// Packages a version of the chart, and pushes it.
async fn push(cx: &Context, registry: &Registry, charts: &ChartDir, version: &str) -> anyhow::Result<String> {
    let archive = package(cx, charts, version, &[]).await?;
    registry.push(cx, &archive).await
}

async fn package(cx: &Context, charts: &ChartDir, version: &str, rest: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = charts.add("web", version, &[("templates/all.yaml", OBJECTS)])?;
    let (folder, to) = (folder.to_string_lossy(), charts.path().to_string_lossy());
    cx.cluster().helm(&[&["package", &folder, "-d", &to], rest].concat()).await?;
    Ok(charts.path().join(format!("web-{version}.tgz")))
}

/// A ChartRepository without TLS; `rest` holds further fields of its spec, each line indented by two.
fn repository_yaml(namespace: &str, registry: &Registry, rest: &str) -> String {
    let (name, url) = (release::REPOSITORY, registry.url());
    format!(
        "apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  url: {url}
  insecure: true
{rest}"
    )
}

/// A HelmRelease of an address.
fn direct_yaml(namespace: &str, name: &str, url: &str) -> String {
    format!(
        "apiVersion: pintle.dev/v1alpha1
kind: HelmRelease
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{chart: {{url: \"{url}\"}}}}
"
    )
}

async fn repository_ready(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let kind = Kind::CHART_REPOSITORY;
    cx.objects().wait_condition(kind, namespace, release::REPOSITORY, "Ready", "True", WITHIN).await?;
    Ok(())
}

/// Waits until the object of the release comes from that version.
async fn runs(cx: &Context, namespace: &str, name: &str, version: &str) -> anyhow::Result<()> {
    let wanted = |object: Option<&Value>| object.is_some_and(|object| object["data"]["version"] == version);
    cx.objects().wait(Kind::CONFIG_MAP, namespace, name, version, WITHIN, wanted).await?;
    Ok(())
}

async fn by_range(cx: &Context, registry: &Registry, charts: &ChartDir) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    cx.cluster().apply_yaml(&repository_yaml(&namespace, registry, "")).await?;
    repository_ready(cx, &namespace).await?;
    let often = "  interval: 1s\n";
    cx.cluster().apply_yaml(&release::yaml(&namespace, "web", "web", "1.x", often)).await?;
    release::ready_at(cx, &namespace, "web", 1).await?;
    runs(cx, &namespace, "web", "1.0.0").await?;

    // Build metadata has another form in a tag.
    push(cx, registry, charts, "1.1.0+build.5").await?;
    runs(cx, &namespace, "web", "1.1.0+build.5").await?;
    let listed = cx.cluster().helm(&["list", "-n", &namespace]).await?;
    contains(&listed, &["web-1.1.0+build.5"])?;

    let snapshot = Snapshot::take(cx, &namespace).await?;
    let chart = |name: &str, version: &str| json!({"chart": {"repository": {"name": release::REPOSITORY}, "name": name, "version": version}});
    for version in ["9.9.9", "^9"] {
        release::patch(cx, &namespace, "web", chart("web", version)).await?;
        let told = ["no version of chart `web`", version, "the newest: 1.1.0+build.5, 1.0.0"];
        release::failed(cx, &namespace, "web", "VersionNotFound", &told).await?;
    }
    release::patch(cx, &namespace, "web", chart("wab", "1.x")).await?;
    release::failed(cx, &namespace, "web", "ChartNotFound", &["has no chart `wab`"]).await?;
    snapshot.unchanged(cx, &namespace).await
}

async fn by_address(cx: &Context, registry: &Registry, digest: &str) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let chart = format!("{}/web", registry.url());
    let yaml = [
        direct_yaml(&namespace, "tag", &format!("{chart}:1.0.0")),
        direct_yaml(&namespace, "digest", &format!("{chart}@{digest}")),
        direct_yaml(&namespace, "missing", &format!("{chart}:7.0.0")),
    ];
    cx.cluster().apply_yaml(&yaml.join("---\n")).await?;
    for name in ["tag", "digest"] {
        release::ready_at(cx, &namespace, name, 1).await?;
        runs(cx, &namespace, name, "1.0.0").await?;
    }
    release::failed(cx, &namespace, "missing", "VersionNotFound", &["has no manifest `7.0.0`"]).await?;
    Ok(())
}

async fn with_password(cx: &Context, charts: &ChartDir) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let registry = Registry::start(cx, true).await?;
    push(cx, &registry, charts, "2.0.0").await?;
    login(cx, &namespace, &registry, "wrong").await?;
    let yaml = [
        repository_yaml(&namespace, &registry, "  secretRef: {name: login}\n"),
        release::yaml(&namespace, "web", "web", "2.x", ""),
    ];
    cx.cluster().apply_yaml(&yaml.join("---\n")).await?;
    release::failed(cx, &namespace, "web", "AuthenticationFailed", &["refused the credentials"]).await?;
    let kind = Kind::CHART_REPOSITORY;
    let refused =
        cx.objects().wait_condition(kind, &namespace, release::REPOSITORY, "Ready", "False", WITHIN).await?;
    let ready = condition(&refused, "Ready").context("it has no Ready")?;
    ensure!(ready["reason"] == "AuthenticationFailed", "the repository says {ready}");
    ensure!(!refused.to_string().contains("wrong"), "the password is told: {refused}");

    login(cx, &namespace, &registry, PASSWORD).await?;
    repository_ready(cx, &namespace).await?;
    release::ready_at(cx, &namespace, "web", 1).await?;
    Ok(())
}

/// The Secret of a registry's password, as `kubectl create secret docker-registry` makes it.
async fn login(cx: &Context, namespace: &str, registry: &Registry, password: &str) -> anyhow::Result<()> {
    let pair = STANDARD.encode(format!("{USER}:{password}"));
    let config = json!({"auths": {registry.host.clone(): {"auth": pair}}}).to_string();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "login", "namespace": namespace},
        "stringData": {".dockerconfigjson": config},
    });
    cx.cluster().apply_yaml(&secret.to_string()).await
}

/// Keys that nobody types a passphrase for.
fn key(name: &str) -> anyhow::Result<SignedSecretKey> {
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(KeyType::Ed25519Legacy).can_sign(true).can_certify(true);
    let key = builder.primary_user_id(format!("{name} <{name}@example.com>")).build();
    key.context("no parameters")?.generate(rand_of_pgp::thread_rng()).context("no key")
}

/// helm signs with a keyring; a release wants the signature of our key.
async fn signed(cx: &Context, registry: &Registry, charts: &ChartDir) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let (ours, theirs) = (key("ours")?, key("theirs")?);
    let keyring = charts.path().join("keyring.gpg");
    let mut bytes = ours.to_bytes().context("no bytes")?;
    bytes.extend(theirs.to_bytes().context("no bytes")?);
    std::fs::write(&keyring, bytes).context("failed to write the keyring")?;
    let keyring = keyring.to_string_lossy();
    let sign = |name: &'static str| ["--sign", "--key", name, "--keyring", &keyring].map(str::to_owned);
    for (version, name) in [("3.0.0", "ours"), ("3.1.0", "theirs"), ("3.2.0", "ours")] {
        let flags = sign(name);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let archive = package(cx, charts, version, &flags).await?;
        if version == "3.2.0" {
            change_a_byte(&archive)?;
        }
        registry.push(cx, &archive).await?;
    }
    let public = ours.to_public_key().to_armored_string(ArmorOptions::default()).context("no text")?;
    let keys = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": namespace},
        "stringData": {"ours.asc": public},
    });
    cx.cluster().apply_yaml(&keys.to_string()).await?;
    let verify = "  verify: {pgp: {secretRef: {name: keys}}}\n";
    cx.cluster().apply_yaml(&repository_yaml(&namespace, registry, verify)).await?;
    repository_ready(cx, &namespace).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, "web", "web", "3.0.0", "")).await?;
    let release = release::ready_at(cx, &namespace, "web", 1).await?;
    let verified = condition(&release, "SourceVerified").context("SourceVerified is missing")?;
    ensure!(verified["status"] == "True", "the signature should be good: {verified}");
    contains(&text(verified, "/message"), &["pgp signature of sha256:", "by key "])?;

    let snapshot = Snapshot::take(cx, &namespace).await?;
    for (version, told) in [
        ("3.1.0", "none of the trusted keys made its provenance file"),
        ("3.2.0", "none of the trusted keys made its provenance file, or it was changed since"),
        ("1.0.0", "has no provenance file"),
    ] {
        let chart = json!({"repository": {"name": release::REPOSITORY}, "name": "web", "version": version});
        release::patch(cx, &namespace, "web", json!({"chart": chart})).await?;
        let release = release::failed(cx, &namespace, "web", "VerificationFailed", &[told]).await?;
        let verified = condition(&release, "SourceVerified").context("SourceVerified is missing")?;
        ensure!(verified["status"] == "False", "the signature should be refused: {verified}");
    }
    snapshot.unchanged(cx, &namespace).await
}

/// What signs as cosign does: cosign itself takes longer to build than all of this, so its formats are made here.
struct Cosign(EcdsaKeyPair);

impl Cosign {
    fn sign(&self, text: &[u8]) -> anyhow::Result<String> {
        let signature = self.0.sign(&SystemRandom::new(), text).context("no signature")?;
        Ok(STANDARD.encode(signature.as_ref()))
    }

    fn public(&self) -> anyhow::Result<String> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().context("no key")?;
        let text = STANDARD.encode(der.as_ref());
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"))
    }

    /// As `cosign sign --key` of version 2, by cosign's `specs/SIGNATURE_SPEC.md`: under a tag of its own.
    async fn sign_simple(&self, registry: &Registry, digest: &str) -> anyhow::Result<()> {
        let payload = json!({"critical": {
            "identity": {"docker-reference": format!("{}/charts/web", registry.host)},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }, "optional": null});
        let payload = payload.to_string().into_bytes();
        let config = b"{}".to_vec();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [{
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": Digest::of(&payload).to_string(),
                "size": payload.len(),
                "annotations": {"dev.cosignproject.cosign/signature": self.sign(&payload)?},
            }],
        });
        registry.put_blob("web", config).await?;
        registry.put_blob("web", payload).await?;
        let tag = format!("{}.sig", digest.replace(':', "-"));
        registry.put_manifest("web", Some(&tag), &manifest).await?;
        Ok(())
    }

    /// As version 3 by default, by cosign's `specs/BUNDLE_SPEC.md`: a bundle that refers to the manifest. This registry
    /// keeps no list of referrers, so that cosign keeps one in a tag, in which it calls all of them empty.
    async fn sign_bundle(&self, registry: &Registry, digest: &str) -> anyhow::Result<()> {
        let hex = digest.trim_start_matches("sha256:");
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": hex}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        });
        let (statement, kind) = (statement.to_string(), "application/vnd.in-toto+json");
        let signed = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": "x"}},
            "dsseEnvelope": {
                "payload": STANDARD.encode(&statement),
                "payloadType": kind,
                "signatures": [{"sig": self.sign(signed.as_bytes())?}],
            },
        });
        let (bundle, config) = (bundle.to_string().into_bytes(), b"{}".to_vec());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": BUNDLE,
            "config": descriptor(EMPTY, &config),
            "layers": [descriptor(BUNDLE, &bundle)],
            "subject": {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1},
        });
        registry.put_blob("web", config).await?;
        registry.put_blob("web", bundle).await?;
        let signature = registry.put_manifest("web", None, &manifest).await?;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": OCI_MANIFEST,
                "artifactType": EMPTY,
                "digest": signature.to_string(),
                "size": manifest.to_string().len(),
            }],
        });
        registry.put_manifest("web", Some(&digest.replace(':', "-")), &index).await?;
        Ok(())
    }
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
}

/// Signatures of both forms of cosign are found where it puts them; of another key, and none, are refused.
async fn cosigned(cx: &Context, registry: &Registry, charts: &ChartDir) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let key = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Cosign).context("no key");
    let (ours, theirs) = (key()?, key()?);
    ours.sign_simple(registry, &push(cx, registry, charts, "4.0.0").await?).await?;
    ours.sign_bundle(registry, &push(cx, registry, charts, "4.1.0").await?).await?;
    theirs.sign_bundle(registry, &push(cx, registry, charts, "4.2.0").await?).await?;
    push(cx, registry, charts, "4.3.0").await?;
    let keys = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": namespace},
        "stringData": {"cosign.pub": ours.public()?},
    });
    cx.cluster().apply_yaml(&keys.to_string()).await?;
    let verify = "  verify: {cosign: {secretRef: {name: keys}}}\n";
    cx.cluster().apply_yaml(&repository_yaml(&namespace, registry, verify)).await?;
    repository_ready(cx, &namespace).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, "web", "web", "4.0.0", "")).await?;
    let chart = |version: &str| json!({"chart": {"repository": {"name": release::REPOSITORY}, "name": "web", "version": version}});
    for (version, revision) in [("4.0.0", 1), ("4.1.0", 2)] {
        release::patch(cx, &namespace, "web", chart(version)).await?;
        let release = release::ready_at(cx, &namespace, "web", revision).await?;
        let verified = condition(&release, "SourceVerified").context("SourceVerified is missing")?;
        contains(&text(verified, "/message"), &["cosign signature of sha256:", "by key sha256:"])?;
    }
    for (version, told) in
        [("4.2.0", "none of the trusted keys made its"), ("4.3.0", "has no cosign signature")]
    {
        release::patch(cx, &namespace, "web", chart(version)).await?;
        release::failed(cx, &namespace, "web", "VerificationFailed", &[told]).await?;
    }
    runs(cx, &namespace, "web", "4.1.0").await
}

/// Changes the digest in a provenance file, and nothing else.
fn change_a_byte(archive: &Path) -> anyhow::Result<()> {
    let path = PathBuf::from(format!("{}.prov", archive.display()));
    let text = std::fs::read_to_string(&path).context("helm made no provenance file")?;
    let (before, after) = text.split_once("sha256:").context("the file has no digest")?;
    let flipped = if after.starts_with('0') { "1" } else { "0" };
    let rest = after.get(1..).context("the digest is empty")?;
    std::fs::write(&path, format!("{before}sha256:{flipped}{rest}")).context("failed to write the file")
}
