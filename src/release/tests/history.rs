//! Unit: histories read from Secrets, and what of them goes.

use pintle_helm::chart::{ChartFile, Crd};
use pintle_helm::manifest::Manifest;

use super::*;
use Status::{Deployed, Failed, PendingUpgrade, Superseded, Uninstalled};

#[test]
fn a_history_is_in_order_and_leaves_out_what_is_not_helms() {
    let mut secrets: Vec<Value> = [10, 9, 2]
        .iter()
        .map(|n| revision(*n, if *n == 10 { Deployed } else { Superseded }).secret())
        .collect();
    secrets.push(json!({"metadata": {"name": "something-else"}}));
    let history = History::from_secrets(&secrets);
    let numbers: Vec<u32> = history.revisions().iter().map(|r| r.number).collect();
    assert_eq!(numbers, [2, 9, 10]);
    assert_eq!(history.next_number(), 11);
    assert_eq!(history.deployed().unwrap().number, 10);
    assert_eq!(history.latest().unwrap().facts.as_ref().unwrap().chart_digest, "chart");
    assert_eq!(history.latest().unwrap().record().unwrap().revision, 10);
}

#[test]
fn a_broken_record_is_an_error_and_its_labels_still_count() {
    let mut secret = revision(3, Deployed).secret();
    secret["data"] = json!({"release": "%%%", "pintle": "%%%"});
    let history = History::from_secrets(&[secret]);
    let latest = history.latest().unwrap();
    assert_eq!(latest.status, Deployed);
    assert!(latest.facts.is_none());
    assert!(latest.record().unwrap_err().message.starts_with("failed to read the record of revision 3: "));
}

/// Stored with the revision, taken over by a rollback, and never shown.
#[test]
fn what_templates_drew_is_that_of_the_newest_revision_that_told() {
    let drawn = |text: &str| pintle_helm::render::Use {
        function: "randAlphaNum".into(),
        file: "web/templates/secret.yaml".into(),
        template: "web/templates/secret.yaml".into(),
        line: 3,
        arguments: "5e".into(),
        occurrence: 0,
        value: Some(pintle_helm::render::Drawn::Text(text.into())),
    };
    let told = |n, text: &str| revision(n, Superseded).with(|f| f.drawn = vec![drawn(text)]);
    let silent = |n| revision(n, Superseded).by_helm();
    for (name, revisions, want) in [
        ("nothing at first", vec![], None),
        ("the newest", vec![told(1, "old"), told(2, "new")], Some("new")),
        ("helm did not tell", vec![told(1, "old"), silent(2)], Some("old")),
        ("the newest drew nothing", vec![told(1, "old"), revision(2, Failed)], None),
    ] {
        let found = history(&revisions).drawn();
        assert_eq!(found.first(), want.map(drawn).as_ref(), "{name}");
    }
    let history = history(&[told(1, "hunter2"), told(2, "other")]);
    let draft = Draft::rollback(&history, &key(), &owner(), 1).unwrap();
    assert_eq!(draft.facts().drawn, [drawn("hunter2")]);
    assert!(!format!("{:?}", draft.facts()).contains("hunter2"));
}

#[test]
fn two_deployed_revisions_are_repaired_towards_the_newer() {
    let history = history(&[revision(1, Superseded), revision(2, Deployed), revision(3, Deployed)]);
    assert_eq!(history.deployed().unwrap().number, 3);
    assert_eq!(history.outdated(), [2]);
}

#[test]
fn pruning_keeps_what_must_stay() {
    let good = |n| revision(n, Superseded);
    let failed = |n| revision(n, Failed);
    let rolled_back = |n, to| revision(n, Deployed).with(|f| f.rollback_of = Some(to));
    for (name, revisions, max, held, gone) in [
        ("nothing while there is room", vec![good(1), revision(2, Deployed)], 2, None, vec![]),
        ("nothing without a limit", vec![good(1), good(2), revision(3, Deployed)], 0, None, vec![]),
        ("the oldest first", vec![good(1), good(2), good(3), revision(4, Deployed)], 2, None, vec![1, 2]),
        (
            "never the deployed one",
            vec![revision(1, Deployed), failed(2), failed(3), failed(4)],
            2,
            None,
            vec![2, 3],
        ),
        ("never the last good one", vec![good(1), failed(2), failed(3)], 1, None, vec![2]),
        (
            "never the held one",
            vec![good(1), good(2), good(3), revision(4, Deployed)],
            2,
            Some(1),
            vec![2, 3],
        ),
        (
            "never the one rolled back to",
            vec![good(1), good(2), good(3), rolled_back(4, 1)],
            2,
            None,
            vec![2, 3],
        ),
    ] {
        assert_eq!(history(&revisions).prunable(max, held), gone, "{name}");
    }
}

#[test]
fn the_base_is_everything_since_the_last_deployed_one() {
    for (name, revisions, of, want) in [
        ("a first install", vec![], 1, vec![]),
        ("after a good one", vec![revision(1, Superseded), revision(2, Deployed)], 3, vec![2]),
        (
            "after failures",
            vec![revision(1, Deployed), revision(2, Failed), revision(3, Failed)],
            4,
            vec![1, 2, 3],
        ),
        ("itself is not in it", vec![revision(1, Deployed), revision(2, PendingUpgrade)], 2, vec![1]),
        ("failed installs", vec![revision(1, Failed), revision(2, Failed)], 3, vec![1, 2]),
        (
            "what was uninstalled left nothing",
            vec![revision(1, Superseded), revision(2, Uninstalled)],
            3,
            vec![],
        ),
    ] {
        let history = history(&revisions);
        let got: Vec<u32> = history.base_of(of).iter().map(|r| r.number).collect();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn a_draft_becomes_a_secret_that_reads_back() {
    let crd = |path: &str, name: &str| Crd {
        path: path.into(),
        file: ChartFile { name: name.into(), data: b"kind: CustomResourceDefinition\n".as_slice().into() },
    };
    let mut manifest = Manifest::from_text("---\n# Source: web/templates/a.yaml\nkind: A\n").unwrap();
    manifest.crds =
        vec![crd("web/crds/a.yaml", "crds/a.yaml"), crd("web/charts/sub/crds/b.yaml", "crds/b.yaml")];
    let mut secret = revision(1, Deployed).secret();
    secret["metadata"]["labels"]["team"] = json!("a");
    let history = History::from_secrets(&[secret]);
    let changes = crate::api::Changes { created: 1, ..Default::default() };
    let plan = Plan { action: Action::Upgrade, changes, ..Plan::default() };
    let draft = Draft::forward(
        &history,
        &key(),
        &owner(),
        Action::Upgrade,
        &chart(),
        pintle_helm::values::Values::default(),
        &manifest,
        &desired(),
    )
    .unwrap()
    .with_plan(&history, &plan, &policy());
    assert_eq!(draft.number(), 2);
    let secrets = draft.secrets(&key()).unwrap();
    assert!(secrets.parts.is_empty());
    let secret = secrets.head;
    assert_eq!(secret["metadata"]["name"], "sh.helm.release.v1.web.v2");
    assert_eq!(secret["metadata"]["labels"]["status"], "pending-upgrade");
    assert_eq!(secret["metadata"]["labels"]["team"], "a", "the labels of a release are carried over");
    let read = Revision::from_secret(&secret).unwrap();
    let facts = read.facts.clone().unwrap();
    assert_eq!((facts.action, facts.changes.created, facts.holder.as_str()), (Action::Upgrade, 1, "pod-1"));
    assert!(facts.deadline > facts.started_at);
    let told = facts.plan.unwrap();
    assert_eq!((told.revision, told.base, told.changes.created), (2, Some(1), 1));
    let again = read.manifest().unwrap();
    assert_eq!(again.to_text(), manifest.to_text());
    let paths: Vec<&str> = again.crds.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths, ["web/crds/a.yaml", "web/charts/sub/crds/b.yaml"]);
}

#[test]
fn a_rollback_copies_the_manifest_to_the_byte() {
    let text = "---\n# Source: web/templates/a.yaml\nkind:   A   # odd\n\n";
    let old = revision(1, Superseded).manifest(text).with(|f| f.values_digest = "old".into());
    let history = history(&[old, revision(2, Deployed)]);
    let draft = Draft::rollback(&history, &key(), &owner(), 1).unwrap();
    assert_eq!((draft.number(), draft.record.manifest.as_str()), (3, text));
    assert_eq!(draft.record.info.description, "Rollback to 1");
    assert_eq!(draft.facts().rollback_of, Some(1));
    assert_eq!(draft.facts().values_digest, "old");
    let error = Draft::rollback(&history, &key(), &owner(), 9).unwrap_err();
    assert_eq!(error.reason, crate::api::Reason::RevisionNotFound);
}

#[test]
fn a_record_over_the_limit_loses_templates_first_and_never_its_manifest() {
    // Noise does not compress.
    let mut state = 1_u64;
    let mut noise = |len: usize| -> Vec<u8> {
        let mut step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..len).map(|_| step()).collect()
    };
    let file = |name: &str, data| record::RecordFile { name: name.into(), data };
    let mut record = Record { manifest: "m".into(), ..Record::default() };
    record.chart.templates = vec![file("templates/a", noise(8_000))];
    record.chart.files = vec![file("crds/a.yaml", b"x".to_vec()), file("big", noise(10))];
    let payload = super::super::draft::fit(&mut record, 10_000).unwrap();
    let read = record::decode(&payload).unwrap();
    assert!(read.chart.templates[0].data.is_empty() && read.chart.files.len() == 2);
    record.chart.files.push(file("bigger", noise(9_000)));
    super::super::draft::fit(&mut record, 10_000).unwrap();
    assert_eq!(record.chart.files.len(), 1, "the definitions stay");
    record.manifest = String::from_utf8(noise(16_000).iter().map(|b| b % 94 + 32).collect()).unwrap();
    let payload = super::super::draft::fit(&mut record, 10_000).unwrap();
    assert!(payload.len() > 10_000, "the manifest is never cut");
    assert_eq!(record::decode(&payload).unwrap().manifest, record.manifest);
}

/// Text that does not compress to less than three quarters.
fn noise(len: usize) -> String {
    let mut state = 1_u64;
    let mut step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + ((state >> 58) as u8))
    };
    (0..len).map(|_| step()).collect()
}

fn draft_of(manifest: &Manifest) -> Draft {
    let (history, config) = (History::default(), pintle_helm::values::Values::default());
    let chart = chart();
    Draft::forward(&history, &key(), &owner(), Action::Install, &chart, config, manifest, &desired()).unwrap()
}

#[test]
fn a_record_that_is_too_large_spills_into_secrets_that_helm_does_not_see() {
    let text = format!(
        "---\n# Source: web/templates/a.yaml\nkind: A\nmetadata:\n  name: a\ndata: {}\n",
        noise(1_500_000)
    );
    let manifest = Manifest::from_text(&text).unwrap();
    let secrets = draft_of(&manifest).secrets(&key()).unwrap();
    assert!(secrets.parts.len() > 1);
    assert_eq!(secrets.head["metadata"]["labels"]["owner"], "pintle");
    let read = Revision::from_secret(&secrets.head).unwrap();
    assert_eq!(read.facts.as_ref().unwrap().parts.as_ref().unwrap().count, secrets.parts.len());
    assert_eq!(read.head().unwrap().name, "web");
    assert!(read.record().unwrap_err().message.contains("its further Secrets were not read"));
    assert!(read.manifest().is_err(), "an unread record must not be taken for an empty one");
}

#[test]
fn past_all_secrets_the_sizes_are_told() {
    let text = format!("---\n# Source: web/templates/a.yaml\nkind: A\ndata: {}\n", noise(9_000_000));
    let error = draft_of(&Manifest::from_text(&text).unwrap()).secrets(&key()).unwrap_err();
    assert_eq!(
        (error.reason, error.retry),
        (crate::api::Reason::ReleaseTooLarge, crate::cluster::Retry::OnChange)
    );
    for part in ["8 Secrets", "its manifest has 90000", "its hooks 0", "split the chart"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[test]
fn the_status_is_a_view_of_the_history() {
    let mut revisions: Vec<Built> = (1..=11).map(|n| revision(n, Superseded)).collect();
    revisions.push(revision(12, Deployed).by_helm());
    let status = history_status(&history(&revisions));
    assert_eq!(status.len(), 10);
    assert_eq!((status[0].revision, status[0].action.as_str()), (12, "upgrade"));
    assert_eq!((status[1].revision, status[1].chart.as_str()), (11, "web"));
    assert_eq!(status[1].values_digest.as_deref(), Some("values"));
}

#[test]
fn the_values_digest_needs_its_key() {
    let values = pintle_helm::values::Values::from_yaml(b"a: 1").unwrap();
    let empty = History::default();
    let first = Desired::forward(&empty, &owner(), "c", &values, "s");
    let second = Desired::forward(&empty, &owner(), "c", &values, "s");
    assert_ne!(first.values_digest, second.values_digest, "each release has a key of its own");
    let known = history(&[revision(1, Deployed).with(|f| f.hmac_key.clone_from(&first.hmac_key))]);
    assert_eq!(Desired::forward(&known, &owner(), "c", &values, "s").values_digest, first.values_digest);
    assert_eq!(first.values_digest.len(), 64);
}

pub(super) fn chart() -> pintle_helm::chart::Chart {
    use flate2::{Compression, write::GzEncoder};
    let text = b"apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: '7'\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    archive.append_data(&mut header, "web/Chart.yaml", text.as_slice()).unwrap();
    let bytes = archive.into_inner().unwrap().finish().unwrap();
    pintle_helm::chart::load_archive(&bytes, &pintle_helm::chart::Limits::default()).unwrap()
}

/// The digest of the plan for an upgrade with these facts, when rendering again would give the same or not.
fn plan_digest(
    change: impl FnOnce(&mut Facts),
    base: Option<u32>,
    policy: &Policy,
    is_fixed: bool,
) -> String {
    let mut facts = revision(2, PendingUpgrade).facts.unwrap();
    facts.action = Action::Upgrade;
    facts.manifest_digest = "manifest".into();
    change(&mut facts);
    super::super::approval::digest(&facts, &facts.values_digest, base, policy, is_fixed)
}

#[test]
fn a_plans_digest_is_of_its_inputs_manifest_and_base() {
    let plain = || plan_digest(|_| {}, Some(1), &policy(), true);
    assert_eq!(plain(), plain());
    let later = plan_digest(|f| f.started_at = Some(at(9)), Some(1), &policy(), true);
    assert_eq!(plain(), later, "when it is made means nothing");
    let forced = Policy { force: true, ..policy() };
    for (name, other) in [
        ("another chart", plan_digest(|f| f.chart_digest = "x".into(), Some(1), &policy(), true)),
        ("other values", plan_digest(|f| f.values_digest = "x".into(), Some(1), &policy(), true)),
        ("another manifest", plan_digest(|f| f.manifest_digest = "x".into(), Some(1), &policy(), true)),
        ("another base", plan_digest(|_| {}, Some(2), &policy(), true)),
        ("a rollback", plan_digest(|f| f.rollback_of = Some(1), Some(1), &policy(), true)),
        ("re-creations", plan_digest(|_| {}, Some(1), &forced, true)),
    ] {
        assert_ne!(plain(), other, "{name}");
    }
    let drawn = |digest: &str| plan_digest(|f| f.manifest_digest = digest.into(), Some(1), &policy(), false);
    assert_eq!(drawn("a"), drawn("b"), "what is drawn anew each time is no other plan");
}

#[test]
fn an_approval_is_for_one_plan() {
    let done = revision(1, Deployed).with(|f| {
        f.plan = Some(crate::api::PlanStatus { digest: "sha256:1".into(), ..Default::default() });
    });
    let history = history(&[done]);
    for (name, approved, want) in [
        ("none", None, Standing::Awaiting),
        ("an empty one", Some(" "), Standing::Awaiting),
        ("this one", Some("sha256:2"), Standing::Approved),
        ("one that was carried out", Some("sha256:1"), Standing::Awaiting),
        ("another one", Some("sha256:3"), Standing::Outdated),
        ("a part of it", Some("sha256:"), Standing::Outdated),
    ] {
        assert_eq!(standing(&history, "sha256:2", approved), want, "{name}");
    }
}

#[test]
fn values_are_shown_only_when_no_secret_is_among_them() {
    let shown = |old: &Built, secret: bool| {
        let history = History::from_secrets(&[old.secret()]);
        let manifest = Manifest::from_text("---\n# Source: web/templates/a.yaml\nkind: A\n").unwrap();
        let (key, owner, values) = (key(), owner(), pintle_helm::values::Values::default());
        let draft =
            Draft::forward(&history, &key, &owner, Action::Upgrade, &chart(), values, &manifest, &desired());
        let draft = draft.unwrap().with_secret_values(secret);
        let facts = draft.with_plan(&history, &super::plan::of_one_change(), &policy()).facts().clone();
        let told = facts.plan.unwrap().objects[0].paths.join(" ") + &facts.summary;
        told.contains("-> 2")
    };
    for (name, old, secret, want) in [
        ("none", revision(1, Deployed), false, true),
        ("now", revision(1, Deployed), true, false),
        ("before", revision(1, Deployed).with(|f| f.secret_values = true), false, false),
        ("nobody knows what helm was given", revision(1, Deployed).by_helm(), false, false),
    ] {
        assert_eq!(shown(&old, secret), want, "{name}");
    }
}
