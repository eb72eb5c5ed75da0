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
    for dependency in &mut chart.metadata.dependencies {
        by_tags(dependency, &coalesced, warnings);
        by_condition(dependency, &coalesced, path, warnings);
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
    let coalesced = coalesced.to_values()?;
    for child in &mut chart.dependencies {
        let path = format!("{path}{}.", child.name());
        enable(child, &coalesced, &path, rules, warnings)?;
    }
    Ok(())
}

fn by_tags(dependency: &mut Dependency, values: &Table, warnings: &mut Vec<String>) {
    let Some(tags) = values.table("tags") else { return };
    let (mut any_true, mut any_false) = (false, false);
    for tag in &dependency.tags {
        match tags.get(tag) {
            None => {}
            Some(Node::Leaf(value)) if matches!(*value, Value::Bool(true)) => any_true = true,
            Some(Node::Leaf(value)) if matches!(*value, Value::Bool(false)) => any_false = true,
            Some(_) => {
                warnings.push(format!("returned non-bool value for tag {tag} of {}", dependency.name));
            }
        }
    }
    dependency.enabled = any_true || !any_false;
}

fn by_condition(dependency: &mut Dependency, values: &Table, path: &str, warnings: &mut Vec<String>) {
    for condition in dependency.condition.trim().split(',').filter(|condition| !condition.is_empty()) {
        match values.path_value(&format!("{path}{condition}")) {
            None => {}
            Some(value) => match *value {
                Value::Bool(enabled) => {
                    dependency.enabled = enabled;
                    return;
                }
                _ => warnings.push(format!(
                    "returned non-bool value for condition {condition} of {}",
                    dependency.name
                )),
            },
        }
    }
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
    let values = with_defaults(chart, &Values::default(), rules, warnings)?;
    let imported = Table::default();
    for dependency in &mut chart.metadata.dependencies {
        let mut normalised = Vec::new();
        for import in &dependency.import_values {
            let (child, parent) = match import {
                ImportValue::Export(name) => (format!("exports.{name}"), ".".to_owned()),
                ImportValue::Path { child, parent } => (child.clone(), parent.clone()),
                ImportValue::Other(_) => continue,
            };
            match values.table(&format!("{}.{child}", dependency.name)) {
                None => warnings.push(format!("ImportValues missing table {child} of {}", dependency.name)),
                Some(table) => {
                    let table = nest(&parent, table);
                    coalesce_tables(&imported, &table, "", rules, warnings, 0)?;
                }
            }
            normalised.push(ImportValue::Path { child, parent });
        }
        dependency.import_values = normalised;
    }
    // The chart's own values win over what is imported. The copy cuts the ties to the children's tables.
    let own = Table::from_values(&values.to_values()?);
    coalesce_tables(&own, &imported, "", rules, warnings, 0)?;
    chart.values = own.to_values()?;
    Ok(())
}

/// The table at `path` of a new, otherwise empty one.
fn nest(path: &str, table: Table) -> Table {
    if path == "." {
        return table;
    }
    path.rsplit('.').fold(table, |table, key| {
        let outer = Table::default();
        outer.insert(key, Node::Table(table));
        outer
    })
}
