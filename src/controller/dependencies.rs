//! `dependsOn`, as a graph.

use std::collections::HashSet;
use std::sync::Arc;

use super::store::Key;
use crate::api::HelmRelease;

/// The way from `start` along `dependsOn` back to it, when there is one.
pub fn cycle(start: &Key, get: impl Fn(&Key) -> Option<Arc<HelmRelease>>) -> Option<Vec<Key>> {
    // Depth first with the way so far; each release is entered once.
    let mut seen = HashSet::new();
    let mut way = vec![(start.clone(), 0)];
    while let Some((key, next)) = way.last_mut() {
        let dependency = get(key).and_then(|release| release.spec.depends_on.get(*next).cloned());
        *next += 1;
        let Some(dependency) = dependency else {
            way.pop();
            continue;
        };
        let found = Key::new(&key.namespace, &dependency.name);
        if found == *start {
            let mut cycle: Vec<Key> = way.into_iter().map(|(key, _)| key).collect();
            cycle.push(found);
            return Some(cycle);
        }
        if seen.insert(found.clone()) {
            way.push((found, 0));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    type Edges = &'static [(&'static str, &'static [&'static str])];

    fn release(name: &str, edges: Edges) -> Option<Arc<HelmRelease>> {
        let (_, to) = edges.iter().find(|(from, _)| *from == name)?;
        let depends: Vec<_> = to.iter().map(|name| serde_json::json!({"name": name})).collect();
        let object = serde_json::json!({
            "apiVersion": "pintle.dev/v1alpha1", "kind": "HelmRelease", "metadata": {"name": name},
            "spec": {"chart": {}, "dependsOn": depends},
        });
        serde_json::from_value(object).ok().map(Arc::new)
    }

    #[test]
    fn cycles_are_found_and_shown() {
        const TABLE: &[(Edges, Option<&str>)] = &[
            (&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])], None),
            (&[("a", &["a"])], Some("a a")),
            (&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["a"])], Some("a c a")),
            (&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])], None),
            (&[("a", &["missing"])], None),
        ];
        for (edges, expected) in TABLE {
            let found = cycle(&Key::new("ns", "a"), |key| release(&key.name, edges));
            let found = found.map(|keys| keys.iter().map(|k| k.name.clone()).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), *expected, "{edges:?}");
        }
    }
}
