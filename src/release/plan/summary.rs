//! A plan in words: for an event, a log, and the status.

use std::fmt;

use super::{Change, Plan, Planned, Step};
use crate::api::condition::truncate;
use crate::api::{Changes, ObjectChange};

/// Objects that are named.
const OBJECTS: usize = 5;
/// Fields of each that are named.
const PATHS: usize = 5;
/// Hooks that are named.
const HOOKS: usize = 10;
/// Longest text of one field.
const TEXT_LIMIT: usize = 240;

impl Plan {
    /// The numbers in one line, and the first objects that change: for an event or a condition.
    pub fn summary(&self) -> String {
        self.describe(ToString::to_string)
    }

    /// The same without a value: objects and paths only.
    pub fn outline(&self) -> String {
        self.describe(|planned| match &planned.change {
            Change::Update { paths } if !paths.is_empty() => {
                let paths: Vec<&str> = paths.iter().take(PATHS).map(|p| p.path.as_str()).collect();
                format!("{}: {}", planned.object, paths.join(", "))
            }
            Change::Recreate { .. } => format!("re-create {}", planned.object),
            _ => planned.to_string(),
        })
    }

    fn describe(&self, one: impl Fn(&Planned) -> String) -> String {
        let mut text = numbers(&self.changes);
        let changed: Vec<&Planned> = self.changed().collect();
        for planned in changed.iter().take(OBJECTS) {
            text.push_str("; ");
            text.push_str(&one(planned));
        }
        if changed.len() > OBJECTS {
            text.push_str(&format!("; and {} more", changed.len() - OBJECTS));
        }
        text
    }

    /// What happens to the first objects; without a value unless `values` may be shown.
    pub fn first_objects(&self, values: bool) -> Vec<ObjectChange> {
        self.changed().take(OBJECTS).map(|planned| object_change(planned, values)).collect()
    }

    /// The first hooks that run, each with its event.
    pub fn first_hooks(&self) -> Vec<String> {
        let hooks = self.steps.iter().filter_map(|step| match step {
            Step::Hook(event, hook) => Some(format!("{event} {} {}", hook.kind, hook.name)),
            _ => None,
        });
        hooks.take(HOOKS).map(|text| truncate(&text, TEXT_LIMIT)).collect()
    }

    /// Fields of other managers that the plan changes, in words.
    pub fn takeovers(&self) -> Vec<String> {
        let contested = self.objects().filter(|planned| planned.is_write());
        contested.flat_map(|p| p.contests.iter().map(|c| format!("{}: {c}", p.object))).collect()
    }

    fn changed(&self) -> impl Iterator<Item = &Planned> {
        let all = self.definitions().chain(self.objects()).chain(self.leftovers());
        all.filter(|p| p.change != Change::Unchanged)
    }
}

fn object_change(planned: &Planned, values: bool) -> ObjectChange {
    let (change, paths, why) = match &planned.change {
        Change::Create => ("create", &[][..], None),
        Change::Update { paths } => ("update", paths.as_slice(), None),
        // The server quotes what it refuses.
        Change::Recreate { paths, why } => {
            ("recreate", paths.as_slice(), Some(why).filter(|_| values && !planned.object.is_secret()))
        }
        Change::Delete => ("delete", &[][..], None),
        Change::Keep { why } => ("keep", &[][..], Some(why)),
        Change::Unchanged => ("unchanged", &[][..], None),
    };
    let shown = paths.iter().take(PATHS).map(|path| match values {
        true => path.to_string(),
        false => path.path.clone(),
    });
    ObjectChange {
        object: truncate(&planned.object.to_string(), TEXT_LIMIT),
        change: change.to_owned(),
        paths: shown.map(|text| truncate(&text, TEXT_LIMIT)).collect(),
        further_paths: i64::try_from(paths.len().saturating_sub(PATHS)).unwrap_or(i64::MAX),
        why: why.map(|why| truncate(why, TEXT_LIMIT)),
        taken_over: planned
            .contests
            .iter()
            .take(PATHS)
            .map(|contest| truncate(&contest.to_string(), TEXT_LIMIT))
            .collect(),
    }
}

/// `1 created, 2 updated, 0 deleted, 3 unchanged`.
pub(super) fn numbers(changes: &Changes) -> String {
    let Changes { created, updated, recreated, deleted, unchanged } = changes;
    let recreated = if *recreated > 0 { format!("{recreated} re-created, ") } else { String::new() };
    format!("{created} created, {updated} updated, {recreated}{deleted} deleted, {unchanged} unchanged")
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Change::Create => write!(f, "create {}", self.object),
            Change::Update { paths } if paths.is_empty() => {
                write!(f, "update {}: the live object differs", self.object)
            }
            Change::Update { paths } => {
                let shown: Vec<String> = paths.iter().take(PATHS).map(ToString::to_string).collect();
                write!(f, "{}: {}", self.object, shown.join(", "))?;
                if paths.len() > PATHS {
                    write!(f, " and {} fields more", paths.len() - PATHS)?;
                }
                Ok(())
            }
            Change::Recreate { why, .. } => write!(f, "re-create {}: {why}", self.object),
            Change::Delete => write!(f, "delete {}", self.object),
            Change::Keep { why } => write!(f, "keep {}: {why}", self.object),
            Change::Unchanged => write!(f, "unchanged {}", self.object),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            match step {
                Step::Namespace(name) => writeln!(f, "create Namespace {name} if it is missing")?,
                Step::Hook(event, hook) => writeln!(f, "run {event} hook {} {}", hook.kind, hook.name)?,
                Step::Wait => writeln!(f, "wait until the objects are ready")?,
                Step::Crds(objects) | Step::Apply { objects, .. } | Step::Prune(objects) => {
                    for planned in objects.iter().filter(|p| p.change != Change::Unchanged) {
                        writeln!(f, "{planned}")?;
                    }
                }
            }
        }
        f.write_str(&numbers(&self.changes))
    }
}
