//! Unit: when a revision of helm's is what would be made.

use pintle_helm::manifest::Manifest;
use pintle_helm::values::Values;

use super::*;
use Status::Deployed;

const OBJECT: &str =
    "---\n# Source: web/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";

/// helm's first revision of chart web-1.0.0 with that manifest and those user values.
fn stored(manifest: &str, config: &str) -> History {
    let mut secret = revision(1, Deployed).by_helm().secret();
    let mut record = Record {
        name: "web".into(),
        revision: 1,
        manifest: manifest.into(),
        config: Values::from_yaml(config.as_bytes()).unwrap(),
        info: record::Info {
            status: Deployed,
            last_deployed: Some("1970-01-01T00:00:50Z".into()),
            ..record::Info::default()
        },
        ..Record::default()
    };
    record.chart.metadata.name = "web".into();
    record.chart.metadata.version = "1.0.0".into();
    secret["data"]["release"] = json!(STANDARD.encode(record::encode(&record).unwrap()));
    History::from_secrets(&[secret])
}

fn adopted(history: &History, version: &str, manifest: &str, config: &str) -> Option<Facts> {
    let mut chart = super::history::chart();
    chart.metadata.name = "web".into();
    chart.metadata.version = version.into();
    let manifest = Manifest::from_text(manifest).unwrap();
    let config = Values::from_yaml(config.as_bytes()).unwrap();
    let (key, owner, desired) = (key(), owner(), desired());
    let draft =
        Draft::forward(history, &key, &owner, Action::Install, &chart, config, &manifest, &desired).unwrap();
    draft.adopting(history.latest().unwrap()).unwrap()
}

#[test]
fn what_would_be_made_anyway_is_adopted() {
    let history = stored(OBJECT, "{a: 1}");
    let commented = OBJECT.replace("kind:", "# a comment\nkind:");
    let other = OBJECT.replace("name: a", "name: b");
    for (name, version, manifest, config, want) in [
        ("the same", "1.0.0", OBJECT, "{a: 1}", true),
        ("another layout", "1.0.0", commented.as_str(), "{a: 1}", true),
        ("another object", "1.0.0", other.as_str(), "{a: 1}", false),
        ("other values", "1.0.0", OBJECT, "{a: 2}", false),
        ("no values", "1.0.0", OBJECT, "{}", false),
        ("another version", "1.0.1", OBJECT, "{a: 1}", false),
    ] {
        assert_eq!(adopted(&history, version, manifest, config).is_some(), want, "{name}");
    }
}

#[test]
fn what_is_adopted_is_in_sync() {
    let history = stored(OBJECT, "{a: 1}");
    let facts = adopted(&history, "1.0.0", OBJECT, "{a: 1}").unwrap();
    assert_eq!((facts.action, facts.started_at), (Action::Install, Some(at(50))));
    let ours = revision(1, Deployed).with(|f| *f = facts);
    let state = assess(&Observation { history: super::history(&[ours]) }, &desired());
    assert_eq!(state, ReleaseState::InSync { revision: 1 });
}
