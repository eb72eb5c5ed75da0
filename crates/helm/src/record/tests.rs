//! Unit: records written here and by the real helm.

use super::*;

/// The JSON that helm v3.22 stores for a small release: empty times as `""`, nil slices as null.
const HELM_3: &str = r#"{"name":"r","info":{"first_deployed":"2026-01-02T03:04:05.678Z","last_deployed":"2026-01-02T03:04:05.678Z","deleted":"","description":"Install complete","status":"deployed","notes":"hi"},"chart":{"metadata":{"name":"lab","version":"0.1.0","apiVersion":"v2"},"lock":null,"templates":[{"name":"templates/a.yaml","data":"a2luZDogQQo="}],"values":{"a":1},"schema":null,"files":[{"name":"empty","data":null}]},"config":{"b":2.5},"manifest":"---\n# Source: lab/templates/a.yaml\nkind: A\n","hooks":[{"name":"h","kind":"Job","path":"lab/templates/h.yaml","manifest":"kind: Job","events":["pre-install"],"last_run":{"started_at":"","completed_at":"","phase":""},"delete_policies":["before-hook-creation"]}],"version":1,"namespace":"ns","labels":{"x":"y"}}"#;

#[test]
fn records_of_helm_3_are_read() {
    let payload = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(HELM_3)
    };
    let record = decode(payload.as_bytes()).unwrap();
    assert_eq!(record.revision, 1);
    assert_eq!(record.info.status, Status::Deployed);
    assert_eq!(record.info.deleted, None);
    assert_eq!(record.chart.templates[0].data, b"kind: A\n");
    assert_eq!(record.chart.files[0].data, b"");
    assert_eq!(record.apply_method, None);
    let hook = Hook::from(&record.hooks[0]);
    assert_eq!((hook.events.as_slice(), hook.weight), ([HookEvent::PreInstall].as_slice(), 0));
    assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
}

#[test]
fn what_is_written_has_helms_shape() {
    let record = Record {
        name: "r".to_owned(),
        revision: 2,
        namespace: "ns".to_owned(),
        apply_method: Some("ssa".to_owned()),
        info: Info { status: Status::PendingUpgrade, ..Info::default() },
        config: Values::from_yaml(b"a: 1").unwrap(),
        ..Record::default()
    };
    assert_eq!(
        serde_json::to_value(&record).unwrap(),
        serde_json::json!({
            "name": "r", "info": {"status": "pending-upgrade"},
            "chart": {"metadata": {}, "lock": null, "templates": [], "values": {}, "schema": null, "files": []},
            "config": {"a": 1}, "manifest": "", "version": 2, "namespace": "ns", "apply_method": "ssa"
        })
    );
    let user = BTreeMap::from([("team".to_owned(), "a".to_owned()), ("owner".to_owned(), "me".to_owned())]);
    let labels = record.labels(&user, 17, true);
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        labels,
        ["createdAt=17", "name=r", "owner=helm", "status=pending-upgrade", "team=a", "version=2"]
    );
}

#[test]
fn garbage_is_an_error() {
    use base64::Engine as _;
    let encode64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes();
    assert!(matches!(decode(b"\xff"), Err(Error::Base64 { .. })));
    assert!(matches!(decode(&encode64(b"\x1f\x8b\x08 no")), Err(Error::Gzip { .. })));
    assert!(matches!(decode(&encode64(b"[]")), Err(Error::NotObject)));
    assert!(matches!(decode(b""), Err(Error::NotObject)));
    assert!(matches!(decode(&encode64(br#"{"version":"x"}"#)), Err(Error::Json { .. })));
    let whole = encode(&Record::default()).unwrap();
    for end in 0..whole.len() {
        assert!(decode(&whole[..end]).is_err());
    }
}

#[test]
fn a_bomb_is_stopped() {
    let record = Record { manifest: " ".repeat(100_000), ..Record::default() };
    let payload = encode(&record).unwrap();
    assert!(payload.len() < 1_000);
    assert!(matches!(payload::decode_within(&payload, 50_000), Err(Error::TooLarge { limit: 50_000 })));
    assert_eq!(payload::decode_within(&payload, 200_000).unwrap(), record);
}

#[test]
fn secret_names_are_read_and_written() {
    assert_eq!(parse_secret_name(&secret_name("a.v2.b", 12)), Some(("a.v2.b", 12)));
    for other in ["sh.helm.release.v1.x", "sh.helm.release.v1.x.vy", "x"] {
        assert_eq!(parse_secret_name(other), None, "{other}");
    }
}
