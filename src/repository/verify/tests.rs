//! Component: charts that need a signature, and servers in this process that have it, or have not.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgp::composed::{ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder};
use pgp::types::Password;
use serde_json::json;

use super::super::tests::{Server, archive, chart, index, ok, options, repository, status};
use super::cosign;
use crate::api::{ChartRepository, LocalSecretReference, Reason, Verify, VerifyKeys};
use crate::cluster::chain;
use crate::repository::digest::Digest;
use crate::repository::{Error, Options, Repositories, RepositorySecrets, ResolvedChart};

const LATER: Duration = Duration::from_secs(600);

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn secrets(&self) -> RepositorySecrets {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        let data = BTreeMap::from([("cosign.pub".to_owned(), pem.into_bytes())]);
        RepositorySecrets { cosign: Some(data), ..RepositorySecrets::default() }
    }

    /// The manifest of a signature of `manifest` as cosign pushes it, and the document that it is over.
    fn sign(&self, manifest: Digest) -> (Vec<u8>, Vec<u8>) {
        let payload = json!({"critical": {
            "identity": {"docker-reference": ""},
            "image": {"docker-manifest-digest": manifest.to_string()},
            "type": "cosign container image signature",
        }});
        let payload = payload.to_string().into_bytes();
        let signature = self.0.sign(&SystemRandom::new(), &payload).unwrap();
        let manifest = json!({"schemaVersion": 2, "layers": [{
            "mediaType": cosign::SIMPLE_SIGNING,
            "digest": Digest::of(&payload).to_string(),
            "size": payload.len(),
            "annotations": {cosign::SIGNATURE: STANDARD.encode(signature.as_ref())},
        }]});
        (manifest.to_string().into_bytes(), payload)
    }
}

/// Where the registry keeps a signature.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Tag,
    Referrers,
    /// A tag in which cosign keeps a list where the registry has none, and does not say what is on it.
    OwnList,
    Nowhere,
}

async fn registry(signer: &Signer, place: Place) -> Server {
    let archive = archive("web", "1.0.0");
    let manifest = json!({
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"},
        "layers": [{
            "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "digest": Digest::of(&archive).to_string(),
            "size": archive.len(),
        }],
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = Digest::of(&manifest);
    let (signature, payload) = signer.sign(digest);
    let referrers = json!({"manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": match place {
            Place::OwnList => "application/vnd.oci.empty.v1+json",
            _ => "application/vnd.dev.cosign.artifact.sig.v1+json",
        },
        "digest": Digest::of(&signature).to_string(),
        "size": signature.len(),
    }]});
    let base = "/v2/charts/web";
    let mut answers = BTreeMap::from([
        (format!("{base}/manifests/1.0.0"), manifest),
        (format!("{base}/blobs/{}", Digest::of(&archive)), archive),
        (format!("{base}/blobs/{}", Digest::of(&payload)), payload),
    ]);
    if matches!(place, Place::Referrers | Place::OwnList) {
        let list = match place {
            Place::OwnList => format!("{base}/manifests/sha256-{}", digest.hex()),
            _ => format!("{base}/referrers/{digest}"),
        };
        answers.insert(list, referrers.to_string().into_bytes());
        answers.insert(format!("{base}/manifests/{}", Digest::of(&signature)), signature.clone());
    }
    if place == Place::Tag {
        answers.insert(format!("{base}/manifests/sha256-{}.sig", digest.hex()), signature);
    }
    Server::start(move |path, _| answers.get(path).map_or(status("404 Not Found"), |bytes| ok(bytes))).await
}

fn signed(url: &str, verify: Verify) -> ChartRepository {
    let mut repository = repository(url);
    repository.spec.insecure = true;
    repository.spec.verify = Some(verify);
    repository
}

fn keys() -> Option<VerifyKeys> {
    Some(VerifyKeys { secret_ref: LocalSecretReference { name: "keys".to_owned() } })
}

fn with_cosign(server: &Server) -> ChartRepository {
    let url = server.url().replace("http://", "oci://") + "/charts";
    signed(&url, Verify { cosign: keys(), ..Verify::default() })
}

async fn resolve(sources: &Repositories, repository: &ChartRepository) -> Result<ResolvedChart, Error> {
    sources.resolve(&chart("web", "1.0.0"), Some(repository), LATER).await
}

#[tokio::test]
async fn a_cosign_signature_is_found_under_its_tag_and_among_the_referrers() {
    let signer = Signer::new();
    for (place, good) in
        [(Place::Tag, true), (Place::Referrers, true), (Place::OwnList, true), (Place::Nowhere, false)]
    {
        let server = registry(&signer, place).await;
        let (sources, repository) = (Repositories::new(options()), with_cosign(&server));
        sources.restore(&repository, signer.secrets()).await.unwrap();
        match resolve(&sources, &repository).await {
            Ok(resolved) => {
                assert!(good);
                assert_eq!(resolved.verified.len(), 1);
                let asked = server.count("/v2/");
                resolve(&sources, &repository).await.unwrap();
                assert_eq!(server.count("/v2/"), asked, "the answer is remembered");
            }
            Err(error) => {
                assert!(!good, "{}", chain(&error));
                assert_eq!(error.reason(), Reason::VerificationFailed);
                assert!(chain(&error).contains("it has no cosign signature"), "{}", chain(&error));
                assert_eq!(server.count("/blobs/"), 0, "what nobody vouches for is not even fetched");
            }
        }
    }
}

#[tokio::test]
async fn what_was_good_is_checked_again_after_a_restart_from_the_disk() {
    let (signer, dir) = (Signer::new(), tempfile::tempdir().unwrap());
    let server = registry(&signer, Place::Tag).await;
    let repository = with_cosign(&server);
    let restarted = async |secrets| {
        let cache_dir = Some(dir.path().to_owned());
        let sources = Repositories::new(Options { cache_dir, ..options() });
        sources.restore(&repository, secrets).await.unwrap();
        resolve(&sources, &repository).await
    };
    for _ in 0..2 {
        assert_eq!(restarted(signer.secrets()).await.unwrap().verified.len(), 1);
        assert_eq!((server.count(".sig"), server.count("/blobs/")), (1, 2), "signature, document, archive");
    }
    for note in std::fs::read_dir(dir.path().join("notes")).unwrap() {
        std::fs::write(note.unwrap().path(), "{\"cosign\": {\"bundle\": \"{}\"}}").unwrap();
    }
    restarted(signer.secrets()).await.unwrap();
    assert_eq!(server.count(".sig"), 2, "what was changed is fetched anew");
    let error = restarted(Signer::new().secrets()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VerificationFailed, "the keys are others");
}

#[tokio::test]
async fn a_chart_in_memory_is_vouched_for_anew_when_the_keys_change() {
    let (signer, other) = (Signer::new(), Signer::new());
    let server = registry(&signer, Place::Tag).await;
    let (sources, mut repository) = (Repositories::new(options()), with_cosign(&server));
    let verify = repository.spec.verify.take();
    sources.restore(&repository, RepositorySecrets::default()).await.unwrap();
    assert_eq!(resolve(&sources, &repository).await.unwrap().verified, []);
    repository.spec.verify = verify;
    for (keys, good) in [(&other, false), (&signer, true), (&other, false)] {
        sources.restore(&repository, keys.secrets()).await.unwrap();
        let resolved = resolve(&sources, &repository).await;
        assert_eq!(resolved.is_ok(), good);
        if let Err(error) = resolved {
            assert_eq!(error.reason(), Reason::VerificationFailed);
            assert!(chain(&error).contains("none of the trusted keys"), "{}", chain(&error));
        }
    }
}

/// A key, and what helm would write beside an archive that it signs.
fn provenance(archive: &[u8]) -> (RepositorySecrets, String) {
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(KeyType::Ed25519Legacy).can_sign(true).can_certify(true);
    let key = builder.primary_user_id("ours".to_owned()).build().unwrap();
    let key = key.generate(rand_of_pgp::thread_rng()).unwrap();
    let digest = Digest::of(archive);
    let text = format!("name: web\nversion: 1.0.0\n\n...\nfiles:\n  web-1.0.0.tgz: {digest}\n");
    let random = rand_of_pgp::thread_rng();
    let message = CleartextSignedMessage::sign(random, &text, &key.primary_key, &Password::empty()).unwrap();
    let public = key.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap();
    let data = BTreeMap::from([("ours.asc".to_owned(), public)]);
    let secrets = RepositorySecrets { pgp: Some(data), ..RepositorySecrets::default() };
    (secrets, message.to_armored_string(ArmorOptions::default()).unwrap())
}

#[tokio::test]
async fn a_repository_has_its_provenance_files_beside_its_archives() {
    let bytes = archive("web", "1.0.0");
    let (secrets, good) = provenance(&bytes);
    let (_, stranger) = provenance(&bytes);
    for (text, told) in [
        (Some(good.clone()), None),
        (None, Some("it has no provenance file")),
        (Some(good.replace("1.0.0.tgz", "1.0.1.tgz")), Some("or it was changed since")),
        (Some(stranger), Some("none of the trusted keys")),
        (Some("nothing".to_owned()), Some("it is not clear-signed")),
    ] {
        let (index, bytes) = (index("web-1.0.0.tgz", &Digest::of(&bytes).hex()), bytes.clone());
        let server = Server::start(move |path, _| match (path, &text) {
            ("/index.yaml", _) => ok(&index),
            ("/web-1.0.0.tgz", _) => ok(&bytes),
            ("/web-1.0.0.tgz.prov", Some(text)) => ok(text.as_bytes()),
            _ => status("404 Not Found"),
        })
        .await;
        let sources = Repositories::new(options());
        let repository = signed(&server.url(), Verify { pgp: keys(), ..Verify::default() });
        sources.refresh(&repository, secrets.clone()).await.unwrap();
        match (resolve(&sources, &repository).await, told) {
            (Ok(resolved), None) => assert_eq!(resolved.verified.len(), 1),
            (Err(error), Some(told)) => {
                assert_eq!(error.reason(), Reason::VerificationFailed);
                assert!(chain(&error).contains(told), "{}", chain(&error));
            }
            (resolved, _) => panic!("{told:?}: {resolved:?}"),
        }
    }
}

#[tokio::test]
async fn a_web_server_has_no_cosign_signatures() {
    let repository = signed("http://h/charts", Verify { cosign: keys(), ..Verify::default() });
    let error = Repositories::new(options()).refresh(&repository, Signer::new().secrets()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidSpec, "{error}");
}
