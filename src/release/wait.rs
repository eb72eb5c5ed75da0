//! Looks whether objects have become ready, and says why not.
//!
//! Nothing here waits: the verdict of one moment is given back, and the controller asks again when a watched object
//! changes or the deadline comes.

use std::collections::{BTreeMap, BTreeSet};

use super::inquiry::{self, Inquiry};
use super::live::read;
use super::{Error, LiveObject, Plan, Planned, Release, bounded_until_refused};
use crate::api::Reason;
use crate::cluster::{ObjectRef, Readiness, Retry, readiness};

/// Objects that are explained.
const EXPLAINED: usize = 3;
/// Objects that are named.
const NAMED: usize = 10;

/// Kinds that are ready as soon as they exist: reading them again would tell nothing.
const READY_AT_ONCE: [&str; 17] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "CronJob",
    "IngressClass",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "Namespace",
    "NetworkPolicy",
    "PriorityClass",
    "Role",
    "RoleBinding",
    "Secret",
    "ServiceAccount",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingWebhookConfiguration",
];

/// How the objects of a plan stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All are ready.
    Ready,
    /// Some are not, each with what is missing.
    Waiting(Vec<(ObjectRef, String)>),
    /// Some will not get ready by themselves.
    Failed(Vec<(ObjectRef, String)>),
}

/// Judges the objects of a plan, and says which are ready: those in `ready` were before, those in `known` are judged as
/// they are given, the others as the watches tell, or are read. When the wait `is_over`, all are read: a release is not
/// failed on the word of a watch that may be behind.
///
/// # Errors
/// The server's refusal.
pub(super) async fn check(
    cx: &Release<'_>,
    plan: &Plan,
    known: &BTreeMap<ObjectRef, LiveObject>,
    ready: &BTreeSet<ObjectRef>,
    is_over: bool,
) -> Result<(Verdict, BTreeSet<ObjectRef>), Error> {
    let jobs = cx.policy.wait_for_jobs;
    let (nothing, none) = (BTreeMap::new(), BTreeSet::new());
    let (known, ready) = if is_over { (&nothing, &none) } else { (known, ready) };
    let due = |object: &ObjectRef| {
        let (group, kind) = (&object.group, &object.kind);
        (cx.health.judges(group, kind) || !is_ready_at_once(group, kind)) && !ready.contains(object)
    };
    let objects: Vec<&Planned> = plan.objects().filter(|p| due(&p.object)).collect();
    let looks = objects.iter().map(|planned| look(cx, planned, known, jobs, is_over)).collect();
    let found = bounded_until_refused(looks).await?;
    let judged: Vec<(ObjectRef, Readiness)> =
        objects.iter().map(|planned| planned.object.clone()).zip(found).collect();
    let current = judged.iter().filter(|(_, readiness)| *readiness == Readiness::Current);
    let ready = ready.iter().cloned().chain(current.map(|(object, _)| object.clone())).collect();
    Ok((verdict(judged), ready))
}

/// How an object stands: as it was given, as the watch tells, or as it is read.
async fn look(
    cx: &Release<'_>,
    planned: &Planned,
    known: &BTreeMap<ObjectRef, LiveObject>,
    jobs: bool,
    is_over: bool,
) -> Result<Readiness, Error> {
    let object = &planned.object;
    if let Some(live) = known.get(object) {
        return Ok(judge(cx, object, Some(live), jobs).await);
    }
    // What the watch tells was judged without the expressions of this release.
    let told =
        || cx.objects.readiness_of(object, jobs).filter(|_| !cx.health.judges(&object.group, &object.kind));
    if let Some(told) = believed(told(), is_over) {
        return Ok(told);
    }
    let live = read(cx, &planned.kind, object).await?;
    Ok(judge(cx, object, live.as_ref(), jobs).await)
}

/// What a watch tells, where it may be believed: what fails a release is read first.
fn believed(told: Option<Readiness>, is_over: bool) -> Option<Readiness> {
    told.filter(|told| !is_over && !matches!(told, Readiness::Failed(_)))
}

async fn judge(cx: &Release<'_>, object: &ObjectRef, live: Option<&LiveObject>, jobs: bool) -> Readiness {
    let Some(live) = live else {
        return Readiness::InProgress("is gone: somebody deleted it".to_owned());
    };
    let judged = cx.health.judge(&object.group, &object.kind, live).await;
    judged.unwrap_or_else(|| readiness(live.value(), jobs))
}

fn verdict(judged: Vec<(ObjectRef, Readiness)>) -> Verdict {
    let (mut waiting, mut failed) = (Vec::new(), Vec::new());
    for (object, readiness) in judged {
        match readiness {
            Readiness::Current => {}
            Readiness::InProgress(text) => waiting.push((object, text)),
            Readiness::Failed(text) => failed.push((object, text)),
        }
    }
    match (failed.is_empty(), waiting.is_empty()) {
        (false, _) => Verdict::Failed(failed),
        (true, false) => Verdict::Waiting(waiting),
        (true, true) => Verdict::Ready,
    }
}

/// Whether objects of a kind are ready as soon as they exist.
pub fn is_ready_at_once(group: &str, kind: &str) -> bool {
    let built_in = group.is_empty() || group == "batch" || group.ends_with(".k8s.io");
    built_in && READY_AT_ONCE.contains(&kind)
}

/// The error of a wait that cannot end well: which objects, what they lack, and of the first ones why.
pub(super) async fn failure(
    inquiry: &Inquiry<'_>,
    cx: &Release<'_>,
    plan: &Plan,
    objects: &[(ObjectRef, String)],
    timed_out: bool,
) -> Error {
    let what = if timed_out {
        format!("{} not ready after {} s", super::error::objects(objects.len()), cx.policy.timeout.as_secs())
    } else {
        format!("{} will not become ready", super::error::objects(objects.len()))
    };
    let explained =
        objects.iter().take(EXPLAINED).map(|(object, text)| explain(inquiry, cx, plan, object, text));
    let explained = super::bounded(explained.collect()).await;
    let mut message = what;
    for (at, (object, text)) in objects.iter().enumerate() {
        if at == NAMED {
            message.push_str(&format!("\nand {} more", objects.len() - at));
            break;
        }
        message.push_str(&format!("\n{object}: {text}"));
        if let Some(lines) = explained.get(at) {
            message.push_str(&inquiry::indented(lines));
        }
    }
    let mut error = Error::new(Reason::WaitTimeout, Retry::Soon, message);
    error.object = objects.first().map(|(object, _)| Box::new(object.clone()));
    error
}

/// What the cluster tells of an object that is not ready. Best effort: an explanation is no reason to fail.
async fn explain(
    inquiry: &Inquiry<'_>,
    cx: &Release<'_>,
    plan: &Plan,
    object: &ObjectRef,
    said: &str,
) -> Vec<String> {
    let Some(planned) = plan.objects().find(|p| p.object == *object) else { return Vec::new() };
    match read(cx, &planned.kind, &planned.object).await {
        Ok(Some(live)) => inquiry.about(live.value(), said, false).await,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(group: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            namespace: "ns".into(),
            name: name.into(),
        }
    }

    #[test]
    fn one_failure_outweighs_all_waiting() {
        let (a, b) = (object("apps", "Deployment", "a"), object("", "Pod", "b"));
        let waiting = (a.clone(), Readiness::InProgress("slow".into()));
        let failed = (b.clone(), Readiness::Failed("broken".into()));
        for (name, judged, want) in [
            ("nothing to wait for", vec![], Verdict::Ready),
            ("ready", vec![(a.clone(), Readiness::Current)], Verdict::Ready),
            ("waiting", vec![waiting.clone()], Verdict::Waiting(vec![(a, "slow".into())])),
            ("failed", vec![waiting, failed], Verdict::Failed(vec![(b, "broken".into())])),
        ] {
            assert_eq!(verdict(judged), want, "{name}");
        }
    }

    #[test]
    fn no_release_is_failed_on_the_word_of_a_watch() {
        let waiting = Readiness::InProgress("slow".into());
        for (name, told, is_over, is_believed) in [
            ("ready", Some(Readiness::Current), false, true),
            ("still waiting", Some(waiting.clone()), false, true),
            ("waiting at the deadline", Some(waiting), true, false),
            ("ready at the deadline", Some(Readiness::Current), true, false),
            ("failed", Some(Readiness::Failed("broken".into())), false, false),
            ("nothing told", None, false, false),
        ] {
            assert_eq!(believed(told.clone(), is_over), told.filter(|_| is_believed), "{name}");
        }
    }

    #[test]
    fn only_built_in_kinds_are_ready_at_once() {
        assert!(is_ready_at_once("", "Secret"));
        assert!(is_ready_at_once("rbac.authorization.k8s.io", "Role"));
        assert!(!is_ready_at_once("iam.example.com", "Role"));
        assert!(!is_ready_at_once("apps", "Deployment"));
    }
}
