//! Applies one object, by server-side apply.
//!
//! Before each write the live object's owner is known: as it was when the plan was made, or read again when that is
//! too long ago. An object that is expected to be absent is applied without force; an existing one carries its UID,
//! so that an object that was replaced meanwhile is noticed instead of changed. One that has to be made anew is deleted
//! first; what is on its way out is waited for without a worker.

use serde_json::{Value, json};

use super::live::read;
use super::migrate::migrated_fields;
use super::{Action, Change, Error, LiveObject, Planned, Release, ownership, recreate};
use crate::api::Conflicts;
use crate::cluster::{Applied, ApplyOptions, Class};

/// How often the fields of an object that keeps changing are taken over anew.
const TRIES: u32 = 5;

/// What became of an object.
pub(super) enum Written {
    /// It is as the manifest has it.
    Applied(Applied),
    /// It is being deleted, and is made when it is gone; the text says what holds it.
    Leaving(String),
}

/// Applies an object of the manifest. `fresh` says that the plan's view of it is young.
///
/// # Errors
/// The server's refusal, or that the object belongs to somebody else.
pub(super) async fn apply(
    cx: &Release<'_>,
    action: Action,
    planned: &Planned,
    fresh: bool,
) -> Result<Written, Error> {
    let mut live = planned.live.clone();
    if !fresh {
        live = look_again(cx, action, planned).await?;
    }
    let mut anew = matches!(planned.change, Change::Recreate { .. });
    let mut first = true;
    loop {
        if let Some(found) = live.take() {
            live = match anew {
                true => recreate::delete(cx, action, planned, &found).await?,
                false => take_over_fields(cx, action, planned, found).await?,
            };
            anew = false;
        }
        if let Some(live) = live.as_ref().filter(|live| live.is_terminating()) {
            return Ok(Written::Leaving(leaving(live)));
        }
        let (body, options) = request(planned, live.as_ref(), cx.policy.conflicts);
        match cx.tenant.apply(&planned.kind, &planned.object, &body, cx.field_manager, options).await {
            Ok(applied) => return Ok(Written::Applied(applied)),
            // It came, went or was replaced since it was read.
            Err(error) if first && is_surprise(error.class, live.is_some()) => {
                live = look_again(cx, action, planned).await?;
                first = false;
            }
            // Not known before: without a preflight, or when the action goes on after a crash.
            Err(error) if error.class == Class::Immutable && cx.policy.force && live.is_some() && first => {
                anew = true;
                first = false;
            }
            Err(error) if error.class == Class::Immutable => {
                return Err(recreate::immutable(&error, planned, action, cx.policy.force));
            }
            Err(error) => return Err(Error::from_template(error, &planned.source)),
        }
    }
}

/// Makes fields that the tools before Pintle wrote known as applied, so that they go when the manifest drops them: with
/// this very apply, so that it must not be made before. The object as it is then; none when it is gone.
async fn take_over_fields(
    cx: &Release<'_>,
    action: Action,
    planned: &Planned,
    mut live: LiveObject,
) -> Result<Option<LiveObject>, Error> {
    let Some(earlier) = planned.earlier.as_ref() else { return Ok(Some(live)) };
    let mut tries = TRIES;
    while let Some(fields) = migrated_fields(live.value(), earlier, cx.field_manager) {
        let version = live.value().pointer("/metadata/resourceVersion");
        let patch = json!({"metadata": {"resourceVersion": version, "managedFields": fields}});
        match cx.tenant.merge(&planned.kind, &planned.object, &patch, cx.field_manager).await {
            Ok(applied) => return Ok(Some(LiveObject::new(applied.object))),
            // Controllers write status at any time.
            Err(error) if matches!(error.class, Class::Stale | Class::NotFound) && tries > 0 => tries -= 1,
            Err(error) => return Err(Error::from_template(error, &planned.source)),
        }
        match look_again(cx, action, planned).await? {
            Some(now) => live = now,
            None => return Ok(None),
        }
    }
    Ok(Some(live))
}

/// The body and the options of the apply.
pub(super) fn request(
    planned: &Planned,
    live: Option<&LiveObject>,
    conflicts: Conflicts,
) -> (Value, ApplyOptions) {
    let mut body = planned.content.clone();
    let Some(live) = live else { return (body, ApplyOptions::default()) };
    if let (Some(uid), Some(metadata)) = (live.uid(), body.get_mut("metadata").and_then(Value::as_object_mut))
    {
        metadata.insert("uid".to_owned(), json!(uid));
    }
    (body, ApplyOptions { force: conflicts == Conflicts::Force, dry_run: false })
}

/// Whether a refusal means that the object is not what it was when it was read.
fn is_surprise(class: Class, expected: bool) -> bool {
    match class {
        Class::Stale | Class::AlreadyExists => true,
        Class::NotFound => expected,
        Class::FieldConflict => !expected,
        _ => false,
    }
}

async fn look_again(
    cx: &Release<'_>,
    action: Action,
    planned: &Planned,
) -> Result<Option<LiveObject>, Error> {
    let live = read(cx, &planned.kind, &planned.object).await?;
    if let Some(live) = &live {
        ownership::check(live, &planned.object, cx.key, action, planned.recorded)?;
    }
    Ok(live)
}

/// What is missing of an object that is being deleted: a change would go with it.
fn leaving(live: &LiveObject) -> String {
    let finalizers = live.finalizers();
    let held = if finalizers.is_empty() {
        String::new()
    } else {
        format!(", held by the finalizers {}", finalizers.join(", "))
    };
    format!("is still being deleted{held}; it is made anew when it is gone")
}

#[cfg(test)]
mod tests {
    //! Unit: what an apply asks for.

    use super::*;
    use crate::cluster::{Kind, ObjectRef};

    #[test]
    fn force_counts_for_what_is_there_only() {
        let object = ObjectRef {
            group: String::new(),
            version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "ns".into(),
            name: "x".into(),
        };
        let planned = Planned {
            object,
            kind: Kind::core("ConfigMap", "configmaps", true),
            source: String::new(),
            content: json!({"metadata": {"name": "x"}}),
            change: Change::Create,
            live: None,
            earlier: None,
            contests: Vec::new(),
            recorded: false,
        };
        let live = LiveObject::new(json!({"metadata": {"name": "x", "uid": "u"}}));
        for (name, live, conflicts, force, uid) in [
            ("expected absent: somebody may have made it", None, Conflicts::Force, false, None),
            ("there", Some(&live), Conflicts::Force, true, Some("u")),
            ("there, and fields of others stay theirs", Some(&live), Conflicts::Fail, false, Some("u")),
        ] {
            let (body, options) = request(&planned, live, conflicts);
            assert_eq!((options.force, options.dry_run), (force, false), "{name}");
            assert_eq!(body["metadata"]["uid"].as_str(), uid, "{name}");
        }
    }

    #[test]
    fn a_refusal_tells_that_an_object_came_went_or_was_replaced() {
        for (class, expected, want) in [
            (Class::Stale, true, true),
            (Class::AlreadyExists, false, true),
            (Class::NotFound, true, true),
            (Class::NotFound, false, false),
            (Class::FieldConflict, false, true),
            (Class::FieldConflict, true, false),
            (Class::Immutable, true, false),
        ] {
            assert_eq!(is_surprise(class, expected), want, "{class:?}, expected {expected}");
        }
    }
}
