//! Asks the server what it would say to a plan, before anything is changed.
//!
//! Objects that change are applied as a dry run, those that go are deleted as one. What the server says of a field that
//! cannot be changed turns an update into a re-creation, when the spec asks for that.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::apply::request;
use super::migrate::migrated_fields;
use super::plan::Step;
use super::recreate::{self, row};
use super::{Action, Change, Error, LiveObject, Plan, Planned, Release, bounded};
use crate::api::{Conflicts, Preflight, Reason};
use crate::cluster::{self, ApplyOptions, Class, ObjectRef, Retry};

/// Most objects that an error lists.
const ROWS: usize = 10;
/// Longest name of an object of most kinds.
const NAME_LIMIT: usize = 63;

/// A refusal of one object, in a row of its own.
struct Refusal {
    error: Error,
    text: String,
}

/// Asks what the server would say to a plan, when the spec says so: each object that changes with one request, one that
/// is made anew with three.
///
/// What the plan itself makes possible, such as objects of a kind that it defines, cannot be asked and is left out.
///
/// # Errors
/// One error for all refusals, a row for each object. Nothing has been changed.
pub async fn preflight(cx: &Release<'_>, plan: &mut Plan) -> Result<(), Error> {
    refuse_contests(cx, plan)?;
    let is_due = match cx.policy.preflight {
        Preflight::Never => false,
        // An install over what a failed one left behind is as good as an upgrade.
        Preflight::Upgrade => plan.action != Action::Install || plan.changes.updated > 0,
        Preflight::Always => true,
    };
    if !is_due {
        return Ok(());
    }
    let made = Made::by(plan);
    let action = plan.action;
    let asked: Vec<&Planned> = plan.objects().filter(|p| p.is_write() && !made.holds(&p.object)).collect();
    let answers = bounded(asked.iter().map(|planned| ask(cx, planned)).collect()).await;
    let mut refusals = Vec::new();
    let mut anew: Vec<(ObjectRef, String)> = Vec::new();
    for (planned, answer) in asked.into_iter().zip(answers) {
        let Err(error) = answer else { continue };
        if !is_answer(cx, planned, &error, &made) {
            continue;
        }
        let live = planned.live.as_ref().map(LiveObject::value);
        let may = |live: &Value| recreate::propagation(&planned.object, live, &planned.content).is_ok();
        if error.class == Class::Immutable && cx.policy.force && live.is_some_and(may) {
            anew.push((planned.object.clone(), format!("{} cannot be changed", recreate::field(&error))));
        } else {
            refusals.push(refusal(cx, action, planned, error));
        }
    }
    make_anew(plan, &anew);
    let again: Vec<&Planned> =
        plan.objects().filter(|p| matches!(p.change, Change::Recreate { .. })).collect();
    let leaving = plan.leftovers().filter(|p| p.change == Change::Delete);
    let going: Vec<&Planned> = again.iter().copied().chain(leaving).collect();
    let answers = bounded(going.iter().map(|planned| ask_to_delete(cx, planned)).collect()).await;
    for (planned, answer) in going.into_iter().zip(answers) {
        refusals.extend(answer.err().map(|error| refusal(cx, action, planned, error)));
    }
    let answers = bounded(again.iter().map(|planned| ask_anew(cx, planned)).collect()).await;
    for (planned, answer) in again.into_iter().zip(answers) {
        refusals.extend(answer.err().map(|error| refusal(cx, action, planned, error)));
    }
    summarise(refusals)
}

/// What is not there yet, and comes with the plan.
struct Made {
    /// Namespaces of the manifest.
    namespaces: BTreeSet<String>,
    /// The target namespace, when the plan creates it if it is missing.
    target: Option<String>,
    /// Whether kinds come with the plan.
    kinds: bool,
}

impl Made {
    fn by(plan: &Plan) -> Self {
        let namespaces =
            plan.objects().filter(|p| p.object.kind == "Namespace" && p.change == Change::Create);
        let target = plan.steps.iter().find_map(|step| match step {
            Step::Namespace(name) => Some(name.clone()),
            _ => None,
        });
        Self {
            namespaces: namespaces.map(|p| p.object.name.clone()).collect(),
            target,
            kinds: plan.defines_kinds(),
        }
    }

    fn holds(&self, object: &ObjectRef) -> bool {
        self.namespaces.contains(&object.namespace)
    }
}

/// Whether what the server said is about the object as it will be applied.
fn is_answer(cx: &Release<'_>, planned: &Planned, error: &cluster::Error, made: &Made) -> bool {
    match error.class {
        Class::Stale | Class::NoDryRun => false,
        Class::KindNotFound => !made.kinds,
        Class::NamespaceMissing => made.target.as_deref() != Some(planned.object.namespace.as_str()),
        // With what the tools before Pintle wrote: that is taken over before the apply.
        Class::FieldConflict => {
            !planned.live.as_ref().zip(planned.earlier.as_ref()).is_some_and(|(live, earlier)| {
                migrated_fields(live.value(), earlier, cx.field_manager).is_some()
            })
        }
        _ => true,
    }
}

async fn ask(cx: &Release<'_>, planned: &Planned) -> Result<(), cluster::Error> {
    let (body, options) = request(planned, planned.live.as_ref(), cx.policy.conflicts);
    let options = ApplyOptions { dry_run: true, ..options };
    cx.tenant.apply(&planned.kind, &planned.object, &body, cx.field_manager, options).await.map(|_| ())
}

async fn ask_to_delete(cx: &Release<'_>, planned: &Planned) -> Result<(), cluster::Error> {
    let uid = planned.live.as_ref().and_then(LiveObject::uid);
    match cx.tenant.may_delete(&planned.kind, &planned.object, uid).await {
        Err(error) if matches!(error.class, Class::KindNotFound | Class::NoDryRun) => Ok(()),
        answer => answer,
    }
}

/// Asks whether admission takes the object that is made anew. The old one has its name still, so it is asked for another
/// one; what else is said of that means nothing.
async fn ask_anew(cx: &Release<'_>, planned: &Planned) -> Result<(), cluster::Error> {
    let mut object = planned.object.clone();
    object.name = format!("{}-anew", object.name.get(..NAME_LIMIT - 5).unwrap_or(&object.name));
    let mut body = planned.content.clone();
    body["metadata"]["name"] = json!(object.name);
    let options = ApplyOptions { dry_run: true, force: false };
    let answer = cx.tenant.apply(&planned.kind, &object, &body, cx.field_manager, options).await;
    match answer {
        Err(mut error) if error.class == Class::AdmissionDenied => {
            error.object = Some(Box::new(planned.object.clone()));
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Turns updates into re-creations.
fn make_anew(plan: &mut Plan, anew: &[(ObjectRef, String)]) {
    for planned in plan.objects_mut() {
        let Some((_, why)) = anew.iter().find(|(object, _)| *object == planned.object) else { continue };
        if let Change::Update { paths } = &mut planned.change {
            planned.change = Change::Recreate { paths: std::mem::take(paths), why: why.clone() };
            // Nothing is taken from anybody: the object goes as a whole.
            planned.contests.clear();
        }
    }
    plan.count();
}

/// Under `conflicts: Fail` the fields of other managers are left to them.
fn refuse_contests(cx: &Release<'_>, plan: &Plan) -> Result<(), Error> {
    if cx.policy.conflicts == Conflicts::Force {
        return Ok(());
    }
    let contested = plan.objects().filter(|planned| planned.is_write() && !planned.contests.is_empty());
    let refusals = contested.map(|planned| {
        let fields: Vec<String> =
            planned.contests.iter().map(|c| format!("{} belongs to {}", c.path, c.manager)).collect();
        let text = format!("{}: {}", row(planned), fields.join(", "));
        let message = format!(
            "{text}; nothing was changed; take the field out of the chart's values, or set spec.conflicts: Force to \
             take it over"
        );
        let error = Error::new(Reason::ApplyConflict, Retry::OnChange, message).about(&planned.object);
        Refusal { error, text }
    });
    summarise(refusals.collect())
}

fn refusal(cx: &Release<'_>, action: Action, planned: &Planned, error: cluster::Error) -> Refusal {
    let text = format!("{}: {}", row(planned), error.text);
    let error = match error.class {
        Class::Immutable => recreate::immutable(&error, planned, action, cx.policy.force),
        _ => Error::from_template(error, &planned.source).about(&planned.object),
    };
    let text = if error.reason == Reason::ImmutableField { error.message.clone() } else { text };
    Refusal { error, text }
}

/// One error for several; it is the first that only a change of the inputs can mend.
fn summarise(mut refusals: Vec<Refusal>) -> Result<(), Error> {
    let lead = refusals.iter().position(|r| r.error.retry == Retry::OnChange).unwrap_or_default();
    if refusals.len() <= 1 {
        return refusals.pop().map_or(Ok(()), |refusal| Err(refusal.error));
    }
    let mut message = format!("the server would refuse {} objects; nothing was changed:", refusals.len());
    for refusal in refusals.iter().take(ROWS) {
        message.push_str(&format!("\n{}", refusal.text));
    }
    if refusals.len() > ROWS {
        message.push_str(&format!("\nand {} more", refusals.len() - ROWS));
    }
    Err(Error { message, ..refusals.swap_remove(lead).error })
}
