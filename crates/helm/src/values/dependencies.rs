//! Which of a chart's dependencies a release uses: tags, conditions, aliases, and values that children export.

use std::sync::Arc;

use pintle_goyaml::Value;
use pintle_sprig::semver;

use super::coalesce::with_defaults;
use super::table::{Node, Rules, Table, coalesce_tables};
use super::{Error, Values};
use crate::chart::{Chart, Dependency, ImportValue};

/// The chart as these values leave it; the same chart where it depends on nothing.
///
/// # Compatibility
/// As Helm v4 `pkg/chart/v2/util/dependencies.go:ProcessDependencies`.
pub(super) fn decide(
    chart: &Arc<Chart>,
    config: &Values,
    rules: Rules,
    warnings: &mut Vec<String>,
) -> Result<Arc<Chart>, Error> {
    if !depends(chart) {
        return Ok(chart.clone());
    }
    let mut decided = Chart::clone(chart);
    enable(&mut decided, config, "", rules, warnings)?;
    import(&mut decided, rules, warnings)?;
    Ok(Arc::new(decided))
}

fn depends(chart: &Chart) -> bool {
    !chart.metadata.dependencies.is_empty() || chart.dependencies.iter().any(depends)
}

/// Removes disabled charts and applies aliases, top down.
fn enable(
    chart: &mut Chart,
    values: &Values,
    path: &str,
    rules: Rules,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let wanted = |charts: &Chart, dependency: &Dependency| {
        charts.name() == dependency.name && compatible(&dependency.version, &charts.metadata.version)
    };
    // Charts that Chart.yaml does not name come first, then the named ones in its order.
    let mut charts: Vec<Chart> = chart
        .dependencies
        .iter()
        .filter(|child| !chart.metadata.dependencies.iter().any(|dependency| wanted(child, dependency)))
        .cloned()
        .collect();
    for dependency in &mut chart.metadata.dependencies {
        if let Some(child) = chart.dependencies.iter().find(|child| wanted(child, dependency)) {
            let mut child = child.clone();
            if !dependency.alias.is_empty() {
                child.metadata.name.clone_from(&dependency.alias);
            }
            charts.push(child);
        }
        if !dependency.alias.is_empty() {
            dependency.name.clone_from(&dependency.alias);
        }
        dependency.enabled = true;
    }
    chart.dependencies = charts;
    let coalesced = with_defaults(chart, values, rules, warnings)?;
    let enabled: Vec<bool> = chart
        .metadata
        .dependencies
        .iter()
        .map(|dependency| {
            let by_tags = by_tags(dependency, &coalesced, warnings).unwrap_or(dependency.enabled);
            by_condition(dependency, &coalesced, path, warnings).unwrap_or(by_tags)
        })
        .collect();
    // Only what depends on something itself needs them: they are a deep copy.
    let nested = chart.dependencies.iter().any(|child| !child.metadata.dependencies.is_empty());
    let coalesced = if nested { coalesced.to_values()? } else { Values::default() };
    for (dependency, enabled) in chart.metadata.dependencies.iter_mut().zip(enabled) {
        dependency.enabled = enabled;
    }
    let disabled: Vec<String> = chart
        .metadata
        .dependencies
        .iter()
        .filter(|dependency| !dependency.enabled)
        .map(|dependency| dependency.name.clone())
        .collect();
    chart.dependencies.retain(|child| !disabled.iter().any(|name| name == child.name()));
    chart.metadata.dependencies.retain(|dependency| !disabled.contains(&dependency.name));
    for child in &mut chart.dependencies {
        let path = format!("{path}{}.", child.name());
        enable(child, &coalesced, &path, rules, warnings)?;
    }
    Ok(())
}

/// What the tags say, if anybody uses tags.
fn by_tags(dependency: &Dependency, values: &Table<'_>, warnings: &mut Vec<String>) -> Option<bool> {
    let tags = values.table("tags")?;
    let (mut any_true, mut any_false) = (false, false);
    for tag in &dependency.tags {
        match tags.get(tag) {
            None => {}
            Some(Node::Leaf(Value::Bool(true))) => any_true = true,
            Some(Node::Leaf(Value::Bool(false))) => any_false = true,
            Some(_) => {
                warnings.push(format!("returned non-bool value for tag {tag} of {}", dependency.name));
            }
        }
    }
    Some(any_true || !any_false)
}

/// What the first condition that is set says.
fn by_condition(
    dependency: &Dependency,
    values: &Table<'_>,
    path: &str,
    warnings: &mut Vec<String>,
) -> Option<bool> {
    for condition in dependency.condition.trim().split(',').filter(|condition| !condition.is_empty()) {
        match values.path_value(&format!("{path}{condition}")) {
            None => {}
            Some(Value::Bool(enabled)) => return Some(*enabled),
            Some(_) => warnings
                .push(format!("returned non-bool value for condition {condition} of {}", dependency.name)),
        }
    }
    None
}

/// Whether a version satisfies a constraint; what cannot be parsed satisfies nothing.
pub(crate) fn compatible(constraint: &str, version: &str) -> bool {
    match (semver::Constraint::parse(constraint), semver::Version::parse(version)) {
        (Ok(constraint), Ok(version)) => constraint.check(&version),
        _ => false,
    }
}

/// Imports values from children, bottom up.
fn import(chart: &mut Chart, rules: Rules, warnings: &mut Vec<String>) -> Result<(), Error> {
    for child in &mut chart.dependencies {
        import(child, rules, warnings)?;
    }
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let rules = rules.merging();
    let (none, normalised) = (Values::default(), normalised_imports(chart));
    let values = with_defaults(chart, &none, rules, warnings)?;
    let imported = Table::default();
    for (dependency, imports) in chart.metadata.dependencies.iter().zip(&normalised) {
        for (child, parent) in imports {
            match values.table(&format!("{}.{child}", dependency.name)) {
                None => warnings.push(format!("ImportValues missing table {child} of {}", dependency.name)),
                Some(table) => {
                    let table = nest(parent, table);
                    coalesce_tables(&imported, &table, "", rules, warnings, 0)?;
                }
            }
        }
    }
    // The chart's own values win over what is imported. The copy cuts the ties to the children's tables.
    let mut copy = values.to_values()?;
    if !imported.is_empty() {
        let own = Table::from_values(&copy);
        coalesce_tables(&own, &imported, "", rules, warnings, 0)?;
        copy = own.to_values()?;
    }
    chart.values = Arc::new(copy);
    for (dependency, imports) in chart.metadata.dependencies.iter_mut().zip(normalised) {
        let imports = imports.iter().map(|(child, parent)| ImportValue::of_paths(child, parent));
        dependency.import_values = imports.collect();
    }
    Ok(())
}

/// The imports of each dependency: the paths in the child and in the parent, without those that Helm skips.
fn normalised_imports(chart: &Chart) -> Vec<Vec<(String, String)>> {
    let imports =
        |dependency: &Dependency| dependency.import_values.iter().filter_map(ImportValue::paths).collect();
    chart.metadata.dependencies.iter().map(imports).collect()
}

/// The table at `path` of a new, otherwise empty one.
fn nest<'v>(path: &'v str, table: Table<'v>) -> Table<'v> {
    if path == "." {
        return table;
    }
    path.rsplit('.').fold(table, |table, key| {
        let outer = Table::default();
        outer.insert(key, Node::Table(table));
        outer
    })
}
