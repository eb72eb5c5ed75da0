//! Unit: plans, from manifests and live objects.

use std::collections::{BTreeMap, BTreeSet};

use pintle_helm::manifest::{Hook, HookEvent, Manifest};

use super::*;
use crate::api::{Changes, Reason};
use crate::cluster::{Kind, ObjectRef};

fn served(object: &ObjectRef) -> Option<Kind> {
    let known = [
        ("", "v1", "ConfigMap", true),
        ("", "v1", "Secret", true),
        ("", "v1", "Namespace", false),
        ("apps", "v1", "Deployment", true),
        ("rbac.authorization.k8s.io", "v1", "ClusterRole", false),
        ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", false),
    ];
    let (group, version, kind, namespaced) = known
        .into_iter()
        .find(|(g, v, k, _)| (*g, *v, *k) == (&object.group, &object.version, &object.kind))?;
    Some(Kind {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
        namespaced,
    })
}

fn manifest(documents: &[&str]) -> Manifest {
    let blocks: String = documents
        .iter()
        .enumerate()
        .map(|(i, text)| format!("---\n# Source: web/templates/{i}.yaml\n{text}\n"))
        .collect();
    Manifest::from_text(&blocks).unwrap()
}

fn deployed(documents: &[&str]) -> Vec<Earlier> {
    vec![Earlier { manifest: manifest(documents), deployed: true }]
}

fn targets(now: &Manifest, earlier: &[Earlier]) -> Result<Targets, Error> {
    let api_versions = BTreeSet::from(["apps/v1/Deployment".to_owned(), "v1/ConfigMap".to_owned()]);
    Targets::among(&key(), now, earlier, &served, &api_versions)
}

/// What the server has: the objects as rendered, with the release's marks and what a server adds.
fn live(targets: &Targets, documents: &[&str], owner: &ReleaseKey) -> Live {
    let applied = self::targets(&manifest(documents), &[]).unwrap();
    let mut objects = BTreeMap::new();
    for target in applied.objects.iter().chain(&targets.crds) {
        let mut object = target.content.clone();
        super::super::ownership::mark(&mut object, owner);
        object["metadata"]["uid"] = json!(format!("uid-of-{}", target.object.name));
        if target.kind.namespaced {
            object["metadata"]["namespace"] = json!(target.object.namespace);
        }
        objects.insert(target.object.clone(), LiveObject::new(object));
    }
    Live { objects, ..Live::default() }
}

fn planned(now: &[&str], earlier: &[Earlier], running: &[&str]) -> Plan {
    let targets = targets(&manifest(now), earlier).unwrap();
    let live = live(&Targets::default(), running, &key());
    plan(Action::Upgrade, &key(), &policy(), targets, &live).unwrap()
}

const A1: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}";
const A2: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '2'}";
const B: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}";
const KEPT: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: k, annotations: {helm.sh/resource-policy: keep}}";
const ROLE: &str =
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r, namespace: odd}";
const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}";

/// An upgrade that changes `data.x` of a ConfigMap from 1 to 2.
pub(super) fn of_one_change() -> Plan {
    planned(&[A2], &deployed(&[A1]), &[A1])
}

#[test]
fn changes_are_told_apart() {
    let failed = |text| Earlier { manifest: manifest(&[text]), deployed: false };
    for (name, now, earlier, running, want) in [
        ("a new object", vec![A1], vec![], vec![], "create ConfigMap apps/a"),
        ("the same", vec![A1], deployed(&[A1]), vec![A1], "unchanged ConfigMap apps/a"),
        ("another value", vec![A2], deployed(&[A1]), vec![A1], "ConfigMap apps/a: data.x 1 -> 2"),
        ("a deleted one", vec![A1], deployed(&[A1]), vec![], "create ConfigMap apps/a"),
        ("an edited one", vec![A1], deployed(&[A1]), vec![A2], "ConfigMap apps/a: data.x 2 -> 1"),
        ("an adopted one", vec![A1], vec![], vec![A1], "update ConfigMap apps/a: the live object differs"),
        (
            "one that a failed attempt may have changed",
            vec![A1],
            [deployed(&[A1]), vec![failed(A2)]].concat(),
            vec![A1],
            "ConfigMap apps/a: data.x 2 -> 1",
        ),
        ("one that left", vec![], deployed(&[A1]), vec![A1], "delete ConfigMap apps/a"),
        (
            "one that left and is kept",
            vec![],
            deployed(&[KEPT]),
            vec![KEPT],
            "keep ConfigMap apps/k: its resource policy says so",
        ),
        ("one of a failed attempt", vec![B], vec![failed(A1)], vec![B, A1], "delete ConfigMap apps/a"),
    ] {
        let plan = planned(&now, &earlier, &running);
        let lines: Vec<String> = plan.objects().chain(plan.leftovers()).map(ToString::to_string).collect();
        assert!(lines.iter().any(|line| line == want), "{name}: {lines:?}");
    }
}

#[test]
fn steps_come_in_helms_order() {
    let mut manifest = manifest(&[WEB, ROLE, A1, B]);
    manifest.documents.reverse();
    let hook = |name: &str, event, weight| Hook {
        name: name.into(),
        kind: "Job".into(),
        path: "web/templates/h.yaml".into(),
        text: String::new(),
        events: vec![event],
        weight,
        delete_policies: vec![],
        output_log_policies: vec![],
    };
    manifest.hooks = vec![
        hook("z", HookEvent::PreUpgrade, 1),
        hook("a", HookEvent::PreUpgrade, 2),
        hook("p", HookEvent::PostUpgrade, 0),
        hook("i", HookEvent::PreInstall, 0),
    ];
    let targets =
        targets(&manifest, &deployed(&[KEPT, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}"]))
            .unwrap();
    let old = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}";
    let live = live(&Targets::default(), &[old], &key());
    let plan = plan(Action::Upgrade, &key(), &policy(), targets, &live).unwrap();
    let ids: Vec<String> = plan.steps.iter().map(Step::id).collect();
    assert_eq!(
        ids,
        [
            "hook/pre-upgrade/Job/z",
            "hook/pre-upgrade/Job/a",
            "apply/0",
            "apply/1",
            "apply/2",
            "prune",
            "wait",
            "hook/post-upgrade/Job/p"
        ]
    );
    assert_eq!(plan.changes, Changes { created: 4, deleted: 1, ..Changes::default() });
    assert_eq!(
        plan.to_string(),
        "run pre-upgrade hook Job z\nrun pre-upgrade hook Job a\ncreate ConfigMap apps/b\ncreate ConfigMap apps/a\n\
         create ClusterRole r\ncreate Deployment apps/web\ndelete ConfigMap apps/old\n\
         wait until the objects are ready\nrun post-upgrade hook Job p\n4 created, 0 updated, 1 deleted, 0 unchanged"
    );
    let role = plan.objects().find(|p| p.object.kind == "ClusterRole").unwrap();
    assert!(role.content["metadata"].get("namespace").is_none());
    let map = plan.objects().next().unwrap();
    assert_eq!(map.content["metadata"]["namespace"], "apps");
    assert_eq!(map.content["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    assert_eq!(map.content["metadata"]["annotations"]["meta.helm.sh/release-name"], "web");
}

#[test]
fn bad_manifests_are_refused_before_anything_is_changed() {
    for (name, documents, reason, message) in [
        (
            "the same object twice",
            vec![A1, A2],
            Reason::InvalidManifest,
            "ConfigMap apps/a is in the manifest twice, from web/templates/0.yaml and from web/templates/1.yaml; give \
             one of them another name",
        ),
        (
            "no name",
            vec!["apiVersion: v1\nkind: ConfigMap"],
            Reason::InvalidManifest,
            "a ConfigMap from web/templates/0.yaml has no metadata.name; every object needs one",
        ),
        (
            "a generated name",
            vec!["apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: x-}"],
            Reason::InvalidManifest,
            "a ConfigMap from web/templates/0.yaml has no metadata.name; metadata.generateName would make another \
             object at each upgrade; give it a name",
        ),
        (
            "no version",
            vec!["kind: ConfigMap\nmetadata: {name: a}"],
            Reason::InvalidManifest,
            "an object from web/templates/0.yaml has no apiVersion; every object needs one",
        ),
        (
            "an unknown kind",
            vec!["apiVersion: x.io/v1\nkind: X\nmetadata: {name: a}"],
            Reason::KindNotFound,
            "failed to find the kind of X a: the server has no kind X in x.io/v1; is its CRD installed, or was this \
             API version removed? (from web/templates/0.yaml)",
        ),
    ] {
        let error = targets(&manifest(&documents), &[]).unwrap_err();
        assert_eq!((error.reason, error.message.as_str()), (reason, message), "{name}");
    }
}

#[test]
fn a_kind_that_the_chart_defines_needs_no_server() {
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: xs.x.io}\n\
               spec: {group: x.io, scope: Namespaced, names: {kind: X, plural: xs}, versions: [{name: v1}]}";
    let resource = "apiVersion: x.io/v1\nkind: X\nmetadata: {name: a}";
    let targets = targets(&manifest(&[resource, crd]), &[]).unwrap();
    let refs: Vec<String> = targets.refs().iter().map(|(_, object)| object.to_string()).collect();
    assert_eq!(refs, ["CustomResourceDefinition xs.x.io", "X apps/a"]);
}

#[test]
fn a_hook_may_be_of_a_kind_that_an_earlier_hook_defines() {
    let hook = |kind: &str, text: &str| Hook {
        name: "h".into(),
        kind: kind.into(),
        path: "web/templates/h.yaml".into(),
        text: text.into(),
        events: vec![HookEvent::PreInstall],
        weight: 0,
        delete_policies: vec![],
        output_log_policies: vec![],
    };
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: xs.x.io}\n\
               spec: {group: x.io, scope: Namespaced, names: {kind: X, plural: xs}, versions: [{name: v1}]}";
    let resource = hook("X", "apiVersion: x.io/v1\nkind: X\nmetadata: {name: h}");
    let mut wanted = manifest(&[]);
    wanted.hooks = vec![resource.clone(), hook("CustomResourceDefinition", crd)];
    assert!(targets(&wanted, &[]).is_ok());
    wanted.hooks = vec![resource];
    assert_eq!(targets(&wanted, &[]).unwrap_err().reason, Reason::KindNotFound);
}

#[test]
fn an_object_of_a_removed_version_is_found_under_another() {
    let old = "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: web}";
    let gone = "apiVersion: gone.io/v1\nkind: Gone\nmetadata: {name: g}";
    // The old chart brought a definition with the version that was removed.
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: deployments.apps}\n\
               spec: {group: apps, scope: Namespaced, names: {kind: Deployment, plural: d}, versions: [{name: v1beta1}]}";
    let mut earlier = deployed(&[old, gone]);
    earlier[0].manifest.crds = vec![pintle_helm::chart::Crd {
        path: "web/crds/x.yaml".into(),
        file: pintle_helm::chart::ChartFile { name: "crds/x.yaml".into(), data: crd.as_bytes().into() },
    }];
    let targets = targets(&manifest(&[]), &earlier).unwrap();
    let refs: Vec<String> =
        targets.refs().iter().map(|(kind, object)| format!("{} {object}", kind.version)).collect();
    assert_eq!(refs, ["v1 Deployment apps/web"]);
    // An object without a kind holds nothing up; the plan names it.
    let plan = plan(Action::Upgrade, &key(), &policy(), targets, &Live::default()).unwrap();
    let kept: Vec<String> = plan.leftovers().map(ToString::to_string).collect();
    assert_eq!(kept, ["keep Gone g: gone.io/v1 is not served any more in any version"]);
    assert!(plan.summary().ends_with(&kept[0]) && plan.changes.deleted == 0);
}

#[test]
fn objects_of_others_are_not_touched() {
    let other = ReleaseKey { name: "other".into(), ..key() };
    let check = |now: &[&str], earlier: &[Earlier]| {
        let targets = targets(&manifest(now), earlier).unwrap();
        plan(Action::Upgrade, &key(), &policy(), targets, &live(&Targets::default(), &[A1], &other))
    };
    let error = check(&[A1], &[]).unwrap_err();
    assert_eq!(error.reason, Reason::OwnershipConflict);
    assert!(error.message.contains("it belongs to release apps/other: "), "{}", error.message);
    let plan = check(&[], &deployed(&[A1])).unwrap();
    assert_eq!(
        plan.leftovers().next().unwrap().to_string(),
        "keep ConfigMap apps/a: it belongs to release apps/other now"
    );
    assert_eq!(plan.changes.deleted, 0);
}

#[test]
fn lost_marks_are_put_back_only_on_what_was_deployed() {
    let bare = |targets: &Targets| {
        let target = &targets.objects[0];
        let object = LiveObject::new(target.content.clone());
        Live { objects: BTreeMap::from([(target.object.clone(), object)]), ..Live::default() }
    };
    for (name, deployed, may) in [("it was deployed", true, true), ("its revision failed", false, false)] {
        let earlier = [Earlier { manifest: manifest(&[A1]), deployed }];
        let targets = targets(&manifest(&[A1]), &earlier).unwrap();
        let live = bare(&targets);
        let result = plan(Action::Upgrade, &key(), &policy(), targets, &live);
        assert_eq!(result.is_ok(), may, "{name}");
    }
}

#[test]
fn definitions_are_created_and_replaced_only_on_request() {
    let crd =
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: xs.x.io}\n";
    let mut manifest = manifest(&[]);
    manifest.crds = vec![pintle_helm::chart::Crd {
        path: "web/crds/x.yaml".into(),
        file: pintle_helm::chart::ChartFile { name: "crds/x.yaml".into(), data: crd.as_bytes().into() },
    }];
    let targets = targets(&manifest, &[]).unwrap();
    let there = {
        let target = &targets.crds[0];
        let object = json!({"kind": "CustomResourceDefinition", "metadata": {"name": "xs.x.io", "uid": "u"}});
        Live {
            objects: BTreeMap::from([(target.object.clone(), LiveObject::new(object))]),
            ..Live::default()
        }
    };
    let unestablished = {
        let target = &targets.crds[0];
        let mut object = there.find(&target.object).unwrap().value().clone();
        object["apiVersion"] = json!("apiextensions.k8s.io/v1");
        Live {
            objects: BTreeMap::from([(target.object.clone(), LiveObject::new(object))]),
            ..Live::default()
        }
    };
    let served = {
        let target = &targets.crds[0];
        let conditions =
            json!([{"type": "Established", "status": "True"}, {"type": "NamesAccepted", "status": "True"}]);
        let mut object = there.find(&target.object).unwrap().value().clone();
        object["apiVersion"] = json!("apiextensions.k8s.io/v1");
        object["status"] = json!({"conditions": conditions});
        Live {
            objects: BTreeMap::from([(target.object.clone(), LiveObject::new(object))]),
            ..Live::default()
        }
    };
    for (name, crds, live, want) in [
        ("missing", CrdPolicy::Create, Live::default(), true),
        ("there", CrdPolicy::Create, served, false),
        ("there, and to be waited for", CrdPolicy::Create, unestablished, true),
        ("there, and older", CrdPolicy::CreateReplace, there, true),
        ("not wanted", CrdPolicy::Skip, Live::default(), false),
    ] {
        let policy = Policy { crds, ..policy() };
        let plan = plan(Action::Install, &key(), &policy, targets.clone(), &live).unwrap();
        assert_eq!(plan.steps.iter().any(|s| matches!(s, Step::Crds(_))), want, "{name}");
    }
}

#[test]
fn an_object_of_an_earlier_chart_is_found_by_the_definition_of_that_chart() {
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: xs.x.io}\n\
               spec: {group: x.io, scope: Namespaced, names: {kind: X, plural: xs}, versions: [{name: v1}]}";
    let mut earlier = deployed(&["apiVersion: x.io/v1\nkind: X\nmetadata: {name: x}"]);
    let unknown = targets(&Manifest::default(), &earlier).unwrap();
    assert!(
        unknown.unserved.len() == 1 && unknown.leftovers().is_empty(),
        "the server has to be asked again"
    );

    earlier[0].manifest.crds = vec![pintle_helm::chart::Crd {
        path: "web/crds/x.yaml".into(),
        file: pintle_helm::chart::ChartFile { name: "crds/x.yaml".into(), data: crd.as_bytes().into() },
    }];
    let known = targets(&Manifest::default(), &earlier).unwrap();
    assert!(known.unserved.is_empty());
    assert_eq!(known.leftovers().iter().map(|t| t.object.name.as_str()).collect::<Vec<_>>(), ["x"]);
}

#[test]
fn a_plan_is_told_within_bounds() {
    let object = |name: &str, value: &str| {
        let data: Vec<String> = (0..8).map(|i| format!("k{i}: '{value}'")).collect();
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{{}}}", data.join(", "))
    };
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let (old, new): (Vec<String>, Vec<String>) =
        names.iter().map(|name| (object(name, &"x".repeat(500)), object(name, "y"))).unzip();
    let (old, new): (Vec<&str>, Vec<&str>) =
        (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
    let plan = planned(&new, &deployed(&old), &old);
    let told = plan.first_objects(true);
    assert_eq!((told.len(), told[0].paths.len(), told[0].further_paths), (5, 5, 3));
    assert!(told.iter().flat_map(|o| &o.paths).all(|path| path.len() <= 240), "{told:?}");
    assert!(plan.summary().ends_with("; and 2 more"));
    assert_eq!(plan.first_objects(false)[0].paths[0], "data.k0");
}

#[test]
fn a_secret_is_masked_wherever_the_chart_copies_it() {
    let secret = |value: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{p: {value}}}")
    };
    let copy = |value: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{url: 'me:{value}@db'}}")
    };
    let (old, new) = ([secret("hunter-one"), copy("hunter-one")], [secret("hunter-two"), copy("hunter-two")]);
    let (old, new) = ([old[0].as_str(), old[1].as_str()], [new[0].as_str(), new[1].as_str()]);
    let plan = planned(&new, &deployed(&old), &old);
    let told = format!("{}{:?}", plan.summary(), plan.first_objects(true));
    assert!(told.contains("data.url me:***@db -> me:***@db"), "{told}");
    assert!(!told.contains("hunter"), "{told}");
}
