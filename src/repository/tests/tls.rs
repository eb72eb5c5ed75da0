//! Component: repositories behind TLS, with certificates that are made for the test.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

use super::*;

/// The project's own genCA family makes the certificates.
const CERTIFICATES: &str = r#"{{- $ca := genCA "authority" 30 -}}
kind: Certificates
ca: {{ toJson $ca }}
server: {{ genSignedCert "server" (list "127.0.0.1") (list) 30 $ca | toJson }}
other: {{ genSignedCert "other" (list "127.0.0.9") (list "other.example") 30 $ca | toJson }}
client: {{ genSignedCert "client" (list) (list) 30 $ca | toJson }}
"#;

fn certificates() -> Value {
    let dir = tempfile::tempdir().unwrap();
    write_chart(dir.path(), "web", "1.0.0");
    std::fs::write(dir.path().join("templates/a.yaml"), CERTIFICATES).unwrap();
    let chart = dir.path().to_str().unwrap().to_owned();
    let mut out = Vec::new();
    let template = pintle_helm::template::Template { chart, ..Default::default() };
    template.run(&mut out).unwrap();
    pintle_goyaml::from_str(&out).unwrap()
}

fn pem<'a>(certificates: &'a Value, name: &str, part: &str) -> &'a [u8] {
    certificates[name][part].as_str().unwrap().as_bytes()
}

/// A server that shows the certificate `name`, and wants one of the client's when `mutual`.
async fn start(certificates: &Value, name: &str, mutual: bool) -> Server {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem(certificates, "ca", "Cert")).unwrap()).unwrap();
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = if mutual {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_slice(pem(certificates, name, "Cert")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pem(certificates, name, "Key")).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = requests.clone();
    let task = tokio::spawn(async move {
        let mut talks = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, log) = (acceptor.clone(), log.clone());
            talks.spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    talk(stream, log, Arc::new(|_: &str, _: &str| ok(&index("web.tgz", "")))).await;
                }
            });
        }
    });
    Server { address, requests, task }
}

#[tokio::test]
async fn certificates_are_checked_on_both_sides() {
    let made = certificates();
    let material = |names: &[(&str, &str, &str)]| -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|(key, name, part)| ((*key).to_owned(), pem(&made, name, part).to_vec())).collect()
    };
    let ca = &[("ca.crt", "ca", "Cert")][..];
    let both = &[("ca.crt", "ca", "Cert"), ("tls.crt", "client", "Cert"), ("tls.key", "client", "Key")][..];
    for (name, shown, mutual, tls, insecure, works) in [
        ("an unknown authority", "server", false, None, false, false),
        ("the repository's own authority", "server", false, Some(ca), false, true),
        ("a certificate of another host", "other", false, Some(ca), false, false),
        ("anything, when that is asked for", "other", false, None, true, true),
        ("no certificate of ours", "server", true, Some(ca), false, false),
        ("a certificate of ours", "server", true, Some(both), false, true),
    ] {
        let server = start(&made, shown, mutual).await;
        let mut repository = repository(&format!("https://{}", server.address));
        repository.spec.insecure = insecure;
        repository.spec.secret_ref = Some(LocalSecretReference { name: "login".to_owned() });
        repository.spec.cert_secret_ref = tls.map(|_| LocalSecretReference { name: "tls".to_owned() });
        let token = BTreeMap::from([("bearerToken".to_owned(), b"hunter2\n".to_vec())]);
        let secrets = RepositorySecrets {
            credentials: Some(token),
            tls: tls.map(material),
            ..RepositorySecrets::default()
        };
        let got = repositories().refresh(&repository, secrets).await;
        match &got {
            Ok(refreshed) => {
                assert!(matches!(refreshed, Refreshed::Index(index) if index.charts == 1), "{name}")
            }
            Err(error) => {
                assert_eq!(
                    (error.reason(), error.retry()),
                    (Reason::ChartUnavailable, Retry::Soon),
                    "{name}"
                );
                let shown = format!("{error:?}");
                assert!(!shown.contains("hunter2") && !shown.contains("PRIVATE"), "{shown}");
            }
        }
        assert_eq!(got.is_ok(), works, "{name}: {got:?}");
        assert_eq!(server.count("authorization: bearer hunter2"), usize::from(works), "{name}");
    }
}
