//! Judges objects by the expressions of `spec.healthCheckExprs`.
//!
//! An expression is parsed once for each look at a HelmRelease that has some, looked through for what is not allowed, and
//! rewritten to keep to a [budget]. Parser and interpreter recurse, and are not ours: both run on a thread of their own,
//! with a stack that the deepest allowed expression does not fill, and where a panic ends nothing else.
//!
//! # Compatibility
//! As Flux's `runtime/cel/status_evaluator.go`: the order of the expressions, that only the group of `apiVersion` counts,
//! that an entry with a kind wins over one without, and that an expression that cannot be evaluated, such as one that
//! asks for an absent field, leaves the object in progress.

mod budget;
mod expression;

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;

use self::expression::Expression;
use super::LiveObject;
use crate::api::HealthCheckExpr;
use crate::cluster::{Readiness, not_yet_seen};

/// The parser takes some kilobytes for each level of an expression; what is not used costs nothing.
const STACK: usize = 64 << 20;

/// What the spec says about which objects are ready.
#[derive(Debug, Default)]
pub struct HealthChecks {
    exprs: Vec<HealthCheckExpr>,
    checks: Vec<Check>,
}

impl PartialEq for HealthChecks {
    fn eq(&self, other: &Self) -> bool {
        self.is_of(&other.exprs)
    }
}

/// An entry of the list.
#[derive(Debug)]
struct Check {
    group: String,
    /// All kinds when there is none.
    kind: Option<String>,
    /// In the order in which they are asked; or what is wrong with one of them.
    rules: Result<Vec<(Expression, Means)>, String>,
}

/// What it means when an expression is true.
#[derive(Clone, Copy, Debug)]
enum Means {
    InProgress,
    Failed,
    Current,
}

impl HealthChecks {
    /// Parses what the spec says.
    pub async fn new(exprs: &[HealthCheckExpr]) -> Self {
        let exprs = exprs.to_vec();
        if exprs.is_empty() {
            return Self::default();
        }
        let parse = {
            let exprs = exprs.clone();
            move || exprs.iter().enumerate().map(|(index, expr)| Check::new(index, expr)).collect()
        };
        let checks = apart(parse).await.unwrap_or_else(|| {
            let broken =
                |expr| Check { rules: Err(format!("spec.healthCheckExprs: {DEFECT}")), ..Check::head(expr) };
            exprs.iter().map(broken).collect()
        });
        Self { exprs, checks }
    }

    /// Whether it is what these expressions come to. Two of the same ones are equal.
    pub fn is_of(&self, exprs: &[HealthCheckExpr]) -> bool {
        self.exprs == exprs
    }

    /// What is wrong with an expression, if anything is; it begins with the field.
    pub fn problem(&self) -> Option<&str> {
        self.checks.iter().find_map(|check| check.rules.as_ref().err()).map(String::as_str)
    }

    /// Whether the objects of a kind are judged by an expression.
    pub fn judges(&self, group: &str, kind: &str) -> bool {
        self.find(group, kind).is_some()
    }

    fn find(&self, group: &str, kind: &str) -> Option<&Check> {
        let of = |wanted: Option<&str>| {
            self.checks.iter().find(|check| check.group == group && check.kind.as_deref() == wanted)
        };
        of(Some(kind)).or_else(|| of(None))
    }

    /// Judges an object of a kind that [is judged](Self::judges); none of another one.
    pub(super) async fn judge(
        self: &Arc<Self>,
        group: &str,
        kind: &str,
        live: &LiveObject,
    ) -> Option<Readiness> {
        self.find(group, kind)?;
        let (checks, live) = (Arc::clone(self), live.clone());
        let (group, kind) = (group.to_owned(), kind.to_owned());
        let judged = apart(move || checks.find(&group, &kind).map(|check| check.judge(live.value()))).await;
        judged.unwrap_or_else(|| Some(Readiness::InProgress(format!("its healthCheckExprs: {DEFECT}"))))
    }
}

/// What is said of a panic.
const DEFECT: &str = "the evaluation broke down; this is a defect of Pintle, please report it";

impl Check {
    /// For which objects an entry is.
    fn head(expr: &HealthCheckExpr) -> Self {
        let group = expr.api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let kind = expr.kind.clone().filter(|kind| !kind.is_empty());
        Self { group, kind, rules: Ok(Vec::new()) }
    }

    fn new(index: usize, expr: &HealthCheckExpr) -> Self {
        Self { rules: rules(index, expr), ..Self::head(expr) }
    }

    fn judge(&self, object: &Value) -> Readiness {
        if let Some(unseen) = not_yet_seen(object) {
            return unseen;
        }
        let rules = match &self.rules {
            Ok(rules) => rules,
            Err(problem) => return Readiness::InProgress(problem.clone()),
        };
        let mut last = String::new();
        for (rule, means) in rules {
            match (rule.holds(object), means) {
                (Ok(true), Means::InProgress) => {
                    return Readiness::InProgress(format!("{} is true", rule.field()));
                }
                (Ok(true), Means::Failed) => {
                    return Readiness::Failed(format!("{} is true: {}", rule.field(), rule.text()));
                }
                (Ok(true), Means::Current) => return Readiness::Current,
                (Ok(false), _) => last = format!("{} is not true yet", rule.field()),
                (Err(why), _) => return Readiness::InProgress(format!("{}: {why}", rule.field())),
            }
        }
        Readiness::InProgress(last)
    }
}

fn rules(index: usize, expr: &HealthCheckExpr) -> Result<Vec<(Expression, Means)>, String> {
    let entry = format!("spec.healthCheckExprs[{index}]");
    let versions = expr.api_version.split('/').collect::<Vec<_>>();
    if versions.len() > 2 || versions.contains(&"") {
        return Err(format!("{entry}.apiVersion: `{}` is not GROUP/VERSION", expr.api_version));
    }
    let all = [
        ("inProgress", expr.in_progress.as_ref(), Means::InProgress),
        ("failed", expr.failed.as_ref(), Means::Failed),
        ("current", Some(&expr.current), Means::Current),
    ];
    let given = all.into_iter().filter_map(|(name, text, means)| Some((name, text?, means)));
    // Flux takes an empty one for none.
    let given = given.filter(|(_, text, means)| !text.is_empty() || matches!(means, Means::Current));
    given
        .map(|(name, text, means)| Ok((Expression::parse(format!("{entry}.{name}"), text)?, means)))
        .collect()
}

/// Runs `work` on a thread of its own; none when it panicked or no thread could be had.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("health-check".to_owned()).stack_size(STACK);
    // Nobody may be there any more to hear of it.
    thread.spawn(move || drop(done.send(work()))).ok()?;
    result.await.ok()
}

#[cfg(test)]
mod tests;
