//! Defaults and conditions: what counts as empty, and what stands in for it.

use pintle_gotemplate::Value;

use crate::args::Args;
use crate::go::{Outcome, is_empty};

/// `default DEFAULT [VALUE …]`: only the first value counts.
pub(crate) fn default(args: &[Value]) -> Outcome {
    let given = args.get(1).filter(|value| !is_empty(value));
    Ok(given.unwrap_or(args.value(0)).clone())
}

/// `empty VALUE`.
pub(crate) fn empty(args: &[Value]) -> Outcome {
    Ok(is_empty(args.value(0)).into())
}

/// `coalesce VALUE…`: the first that is not empty, else nil.
pub(crate) fn coalesce(args: &[Value]) -> Outcome {
    Ok(args.iter().find(|value| !is_empty(value)).cloned().unwrap_or(Value::Nil))
}

/// `all VALUE…`: none is empty.
pub(crate) fn all(args: &[Value]) -> Outcome {
    Ok(args.iter().all(|value| !is_empty(value)).into())
}

/// `any VALUE…`: one is not empty.
pub(crate) fn any(args: &[Value]) -> Outcome {
    Ok(args.iter().any(|value| !is_empty(value)).into())
}

/// `ternary THEN ELSE CONDITION`.
pub(crate) fn ternary(args: &[Value]) -> Outcome {
    Ok(args.value(usize::from(!args.boolean(2))).clone())
}
