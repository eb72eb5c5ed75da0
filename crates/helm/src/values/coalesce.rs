//! User values over a chart's defaults, down through the charts it depends on.
//!
//! Maps merge, everything else is replaced, a user's null deletes a default, `global` reaches every subchart.

use std::sync::Arc;

use pintle_goyaml::Value;

use super::table::{Node, Rules, Table, coalesce_tables, concat};
use super::{Error, Values, dependencies, merge_layers, schema};
use crate::Compat;
use crate::chart::Chart;

/// What may be left out, and after which Helm.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoalesceOptions {
    /// Does not check `values.schema.json`.
    pub skip_schema_validation: bool,
    /// Which Helm to be like.
    pub compat: Compat,
}

/// A chart and its values, as a release uses them.
#[derive(Clone, Debug)]
pub struct Coalesced {
    /// The chart with its dependencies decided: disabled ones gone, aliases applied, values imported.
    pub chart: Arc<Chart>,
    /// What the user set, all layers merged: the `config` of the release record.
    pub config: Values,
    /// What templates see as `.Values`.
    pub values: Values,
    /// What Helm would warn about.
    pub warnings: Vec<String>,
}

/// Puts layers of user values, later ones over earlier ones, over the chart's defaults.
///
/// # Errors
/// A subchart's section is no map, or the values break a schema.
///
/// # Compatibility
/// As Helm v4 `ProcessDependencies` and then `ToRenderValues`.
pub fn coalesce(
    chart: &Arc<Chart>,
    layers: impl IntoIterator<Item = Values>,
    options: CoalesceOptions,
) -> Result<Coalesced, Error> {
    let config = merge_layers(layers);
    let mut warnings = Vec::new();
    let rules = Rules { merge: false, compat: options.compat };
    let first_documents = match options.compat {
        Compat::V3 => with_first_documents(chart),
        Compat::V4 => None,
    };
    let chart = first_documents.as_ref().unwrap_or(chart);
    let decided = dependencies::decide(chart, &config, rules, &mut warnings);
    let chart = decided.map_err(|error| match options.compat {
        Compat::V3 => error,
        Compat::V4 => Error::Dependencies(Box::new(error)),
    })?;
    let values = with_defaults(&chart, &config, rules, &mut warnings)?.to_values()?;
    if !options.skip_schema_validation {
        schema::check(&chart, &values)?;
    }
    Ok(Coalesced { chart, config, values, warnings })
}

/// Chart and user values of an upgrade that keeps the values of the revision before it: that one's coalesced values
/// become the defaults of `chart`, and `values` go over what its user set. `defaults` and `config` are its own.
///
/// # Errors
/// A table is too deep.
///
/// # Compatibility
/// As Helm v4 `pkg/action/upgrade.go:reuseValues` with `--reuse-values`: new defaults of the chart are not seen.
pub fn reuse(
    chart: &Arc<Chart>,
    values: &Values,
    (defaults, config): (&Values, &Values),
    compat: Compat,
) -> Result<(Arc<Chart>, Values), Error> {
    let (rules, mut warnings) = (Rules { merge: false, compat }, Vec::new());
    // A record does not hold the charts that its chart depends on.
    let mut before =
        Chart { values: Arc::new(defaults.clone()), dependencies: Vec::new(), ..Chart::clone(chart) };
    let old = with_defaults(&before, config, rules, &mut warnings)?.to_values()?;
    let merged = Table::from_values(values);
    coalesce_tables(&merged, &Table::from_values(config), "", rules, &mut warnings, 0)?;
    before.dependencies.clone_from(&chart.dependencies);
    before.values = Arc::new(old);
    before.values_text = None;
    Ok((Arc::new(before), merged.to_values()?))
}

/// Helm 3 reads the first document of a values.yaml only: the chart with such defaults, when it matters.
fn with_first_documents(chart: &Arc<Chart>) -> Option<Arc<Chart>> {
    fn has_more(chart: &Chart) -> bool {
        let text = chart.values_text.as_deref().unwrap_or_default();
        text.windows(4).any(|window| window == b"\n---") || chart.dependencies.iter().any(has_more)
    }
    fn cut(chart: &mut Chart) {
        let text = chart.values_text.as_deref().unwrap_or_default();
        // It was read as a whole before, so it can be read in part.
        if let Ok(values) = Values::from_yaml_as(text, Compat::V3) {
            chart.values = Arc::new(values);
        }
        chart.dependencies.iter_mut().for_each(cut);
    }
    has_more(chart).then(|| {
        let mut chart = Chart::clone(chart);
        cut(&mut chart);
        Arc::new(chart)
    })
}

/// `values` over the defaults of `chart` and of the charts below it.
pub(super) fn with_defaults<'v>(
    chart: &'v Chart,
    values: &'v Values,
    rules: Rules,
    warnings: &mut Vec<String>,
) -> Result<Table<'v>, Error> {
    let table = Table::from_values(values);
    let mut walk = Walk { rules, warnings };
    walk.chart(chart, &table, "")?;
    Ok(table)
}

struct Walk<'w> {
    rules: Rules,
    warnings: &'w mut Vec<String>,
}

impl Walk<'_> {
    fn chart<'v>(&mut self, chart: &'v Chart, target: &Table<'v>, prefix: &str) -> Result<(), Error> {
        self.defaults(chart, target, prefix)?;
        for dependency in &chart.dependencies {
            let name = dependency.name();
            let section = match target.get(name) {
                None => {
                    let section = Table::default();
                    target.insert(name, Node::Table(section.clone()));
                    section
                }
                Some(Node::Table(section)) => section,
                Some(Node::Leaf(value)) => {
                    return Err(Error::SubchartSection { chart: name.to_owned(), value: go_bool(value) });
                }
            };
            let prefix = concat(prefix, chart.name());
            self.globals(&section, target, &prefix)?;
            self.chart(dependency, &section, &prefix)?;
        }
        Ok(())
    }

    /// Helm v4 `coalesceValues`.
    fn defaults<'v>(&mut self, chart: &'v Chart, target: &Table<'v>, prefix: &str) -> Result<(), Error> {
        let prefix = concat(prefix, chart.name());
        for (key, default) in Table::from_values(&chart.values).entries() {
            match target.get(key) {
                Some(own) if own.is_null() && !self.rules.merge => target.remove(key),
                Some(Node::Table(own)) => match &default {
                    Node::Table(default) => {
                        // A subchart's section keeps its nulls: they meet the subchart's own defaults later.
                        let merge =
                            self.rules.merge || chart.dependencies.iter().any(|child| child.name() == key);
                        if !merge && self.rules.compat == Compat::V4 {
                            default.remove_nulls();
                        }
                        coalesce_tables(
                            &own,
                            default,
                            &concat(&prefix, key),
                            Rules { merge, ..self.rules },
                            self.warnings,
                            0,
                        )?;
                    }
                    leaf if leaf.is_null() => {}
                    Node::Leaf(_) => {
                        self.warnings.push(format!("skipped value for {prefix}.{key}: Not a table."));
                    }
                },
                Some(Node::Leaf(_)) => {}
                None => {
                    // Helm 3 keeps the nulls of a chart's defaults.
                    if !self.rules.merge && self.rules.compat == Compat::V4 {
                        if default.is_null() {
                            continue;
                        }
                        if let Node::Table(table) = &default {
                            table.remove_nulls();
                        }
                    }
                    target.insert(key, default);
                }
            }
        }
        Ok(())
    }

    /// Helm v4 `coalesceGlobals`: the parent's `global` into the section's.
    fn globals<'v>(&mut self, section: &Table<'v>, parent: &Table<'v>, prefix: &str) -> Result<(), Error> {
        const GLOBAL: &str = "global";
        let own = match section.get(GLOBAL) {
            None => Table::default(),
            Some(Node::Table(own)) => own,
            Some(Node::Leaf(_)) => {
                self.warnings.push("skipping globals because destination global is not a table.".to_owned());
                return Ok(());
            }
        };
        let theirs = match parent.get(GLOBAL) {
            None => Table::default(),
            Some(Node::Table(theirs)) => theirs,
            Some(Node::Leaf(_)) => {
                self.warnings.push("skipping globals because source global is not a table.".to_owned());
                return Ok(());
            }
        };
        for (key, node) in theirs.entries() {
            match (&node, own.get(key)) {
                (Node::Table(theirs), None) => own.insert(key, Node::Table(theirs.shallow_copy())),
                (Node::Table(theirs), Some(Node::Table(mine))) => {
                    let merged = theirs.shallow_copy();
                    coalesce_tables(
                        &merged,
                        &mine,
                        &concat(prefix, key),
                        self.rules.merging(),
                        self.warnings,
                        0,
                    )?;
                    own.insert(key, Node::Table(merged));
                }
                (Node::Table(_), Some(Node::Leaf(_))) => {
                    self.warnings
                        .push(format!("Conflict: cannot merge map onto non-map for {key:?}. Skipping."));
                }
                (Node::Leaf(_), Some(Node::Table(_))) => {
                    self.warnings.push(format!("key {key} is table. Skipping"));
                }
                (Node::Leaf(_), _) => own.insert(key, node),
            }
        }
        section.insert(GLOBAL, Node::Table(own));
        Ok(())
    }
}

/// What Go's `%t` makes of a value that is no boolean.
fn go_bool(value: &Value) -> String {
    match value {
        Value::Null => "%!t(<nil>)".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => format!("%!t(int64={value})"),
        Value::Uint(value) => format!("%!t(uint64={value})"),
        Value::Float(value) => format!("%!t(float64={})", crate::decode::go_float(*value)),
        Value::String(value) => format!("%!t(string={value})"),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(go_bool).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("%!t(string={key}):{}", go_bool(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    //! Unit: values that are kept at an upgrade.

    use super::*;

    fn values(text: &str) -> Values {
        Values::from_yaml(text.as_bytes()).unwrap()
    }

    fn chart(defaults: &str) -> Arc<Chart> {
        Arc::new(Chart {
            metadata: crate::chart::Metadata { name: "c".to_owned(), ..Default::default() },
            lock: None,
            templates: Vec::new(),
            files: Vec::new(),
            values: Arc::new(values(defaults)),
            values_text: None,
            schema: None,
            dependencies: Vec::new(),
            parsed: Default::default(),
        })
    }

    #[test]
    fn what_was_set_before_stays_and_new_defaults_are_not_seen() {
        let (old, config) =
            (values("a: 1\nb: {x: 1, z: 2}\ngone: 1"), values("b: {z: 3}\nset: 1\ngone: null"));
        let new = chart("a: 10\nfresh: 1\nb: {w: 9}");
        for (given, kept, seen) in [
            (
                "{}",
                r#"{"b":{"z":3},"gone":null,"set":1}"#,
                r#"{"a":1,"b":{"x":1,"z":3},"gone":null,"set":1}"#,
            ),
            (
                "{b: {x: 7}, set: null}",
                r#"{"b":{"x":7,"z":3},"gone":null}"#,
                r#"{"a":1,"b":{"x":7,"z":3},"gone":null,"set":1}"#,
            ),
        ] {
            let (chart, user) = reuse(&new, &values(given), (&old, &config), Compat::V4).unwrap();
            assert_eq!(user.to_json().to_string(), kept, "{given}");
            let coalesced = coalesce(&chart, [user], CoalesceOptions::default()).unwrap();
            assert_eq!(coalesced.values.to_json().to_string(), seen, "{given}");
        }
    }
}
