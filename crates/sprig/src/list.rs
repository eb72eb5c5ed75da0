//! Lists: taking apart, joining, filtering. Every function copies; the list that came in stays as it was.

use std::rc::Rc;

use pintle_gotemplate::{ElemType, FuncError, List, State, Value, deep_equal};

use crate::args::Args;
use crate::go::{self, NIL_DEREFERENCE, Outcome, failure};
use crate::limit;
use crate::nil::NilSlice;
use crate::numeric::{to_int64, truncate};

/// The elements of a slice of any type, or the error of the function that wanted one.
fn items(value: &Value, refusal: &str) -> Result<Rc<Vec<Value>>, FuncError> {
    go::elements(value).map_err(|kind| match kind {
        Some(kind) => failure(format!("{refusal} {kind}")),
        None => failure(NIL_DEREFERENCE),
    })
}

/// `list VALUE…`, `tuple VALUE…`.
pub(crate) fn list(args: &[Value]) -> Outcome {
    // Go: no arguments make an empty variadic slice, not a nil one.
    Ok(Value::list(args.to_vec()))
}

/// `append LIST VALUE`, `push LIST VALUE`.
pub(crate) fn append(args: &[Value]) -> Outcome {
    let items = items(args.value(0), "Cannot push on type")?;
    limit::items(items.len() + 1)?;
    Ok(Value::list(items.iter().chain([args.value(1)]).cloned().collect()))
}

/// `prepend LIST VALUE`.
pub(crate) fn prepend(args: &[Value]) -> Outcome {
    let items = items(args.value(0), "Cannot prepend on type")?;
    limit::items(items.len() + 1)?;
    Ok(Value::list([args.value(1)].into_iter().chain(items.iter()).cloned().collect()))
}

/// `chunk SIZE LIST`: a list of lists.
pub(crate) fn chunk(args: &[Value]) -> Outcome {
    let (size, items) = (args.int(0), items(args.value(1), "Cannot chunk type")?);
    let out_of_range = || failure("runtime error: makeslice: len out of range");
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    #[allow(clippy::cast_precision_loss, reason = "sprig computes it with floats")]
    let count = truncate(((length - 1) as f64 / size as f64).floor() + 1.0);
    if !(0..1 << 40).contains(&count) {
        return Err(out_of_range());
    }
    let lists = |lists| Ok(Value::List(List::new(ElemType::AnyList, lists)));
    if size <= 0 {
        // sprig: a negative size is not refused; its arithmetic leaves one chunk of one element, or none.
        return match (count, items.as_slice()) {
            (0, _) => lists(Vec::new()),
            (1, [only]) if size < -1 => lists(vec![Value::list(vec![only.clone()])]),
            _ => Err(out_of_range()),
        };
    }
    let size = usize::try_from(size).unwrap_or(0).max(1);
    lists(items.chunks(size).map(|chunk| Value::list(chunk.to_vec())).collect())
}

/// `first LIST`.
pub(crate) fn first(args: &[Value]) -> Outcome {
    Ok(items(args.value(0), "Cannot find first on type")?.first().cloned().unwrap_or(Value::Nil))
}

/// `last LIST`.
pub(crate) fn last(args: &[Value]) -> Outcome {
    Ok(items(args.value(0), "Cannot find last on type")?.last().cloned().unwrap_or(Value::Nil))
}

/// `rest LIST`: all but the first; a nil slice of an empty one.
pub(crate) fn rest(args: &[Value]) -> Outcome {
    let items = items(args.value(0), "Cannot find rest on type")?;
    Ok(items
        .split_first()
        .map_or_else(|| NilSlice::value(ElemType::Any), |(_, rest)| Value::list(rest.to_vec())))
}

/// `initial LIST`: all but the last; a nil slice of an empty one.
pub(crate) fn initial(args: &[Value]) -> Outcome {
    let items = items(args.value(0), "Cannot find initial on type")?;
    Ok(items
        .split_last()
        .map_or_else(|| NilSlice::value(ElemType::Any), |(_, rest)| Value::list(rest.to_vec())))
}

/// `reverse LIST`.
pub(crate) fn reverse(args: &[Value]) -> Outcome {
    let items = items(args.value(0), "Cannot find reverse on type")?;
    Ok(Value::list(items.iter().rev().cloned().collect()))
}

/// `compact LIST`: without the empty values.
pub(crate) fn compact(args: &[Value]) -> Outcome {
    let items = items(args.value(0), "Cannot compact on type")?;
    Ok(Value::list(items.iter().filter(|item| !go::is_empty(item)).cloned().collect()))
}

/// `uniq LIST`: the first of equal elements.
pub(crate) fn uniq(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let items = items(args.value(0), "Cannot find uniq on type")?;
    let mut seen: Vec<Value> = Vec::new();
    for item in items.iter() {
        if !contains(state, &seen, item)? {
            seen.push(item.clone());
        }
    }
    Ok(Value::list(seen))
}

/// `without LIST VALUE…`.
pub(crate) fn without(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let (items, omit) = (items(args.value(0), "Cannot find without on type")?, args.rest(1));
    let mut kept = Vec::new();
    for item in items.iter() {
        if !contains(state, omit, item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

/// `has VALUE LIST`: never in nil.
pub(crate) fn has(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    if matches!(args.value(1), Value::Nil) {
        return Ok(false.into());
    }
    let items = items(args.value(1), "Cannot find has on type")?;
    Ok(contains(state, &items, args.value(0))?.into())
}

/// Whether one of the elements is deeply equal; that is work, and within a loop a lot of it.
fn contains(state: &mut State<'_, '_>, items: &[Value], value: &Value) -> Result<bool, FuncError> {
    state.spend(u64::try_from(items.len() / 4).unwrap_or(u64::MAX))?;
    Ok(items.iter().any(|item| deep_equal(value, item)))
}

/// `slice LIST [FROM [TO]]`: keeps the type of the list; nil of an empty one.
pub(crate) fn slice(args: &[Value]) -> Outcome {
    let value = args.value(0);
    let items = items(value, "list should be type of slice or array but")?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let from = args.get(1).map_or(0, to_int64);
    let to = args.get(2).map_or_else(|| i64::try_from(items.len()).unwrap_or(i64::MAX), to_int64);
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    let part = range.and_then(|(from, to)| items.get(from..to));
    let part = part.ok_or_else(|| failure("reflect.Value.Slice: slice index out of bounds"))?;
    let elem = match value {
        Value::List(list) => list.elem,
        Value::Object(object) if object.type_name().ends_with("string") => ElemType::String,
        _ => ElemType::Any,
    };
    Ok(Value::List(List::new(elem, part.to_vec())))
}

/// `concat LIST…`: a nil slice if there is nothing in them.
pub(crate) fn concat(args: &[Value]) -> Outcome {
    let mut all = Vec::new();
    for list in args {
        let items = go::elements(list).map_err(|kind| match kind {
            Some(kind) => failure(format!("Cannot concat type {kind} as list")),
            None => failure(NIL_DEREFERENCE),
        })?;
        limit::items(all.len() + items.len())?;
        all.extend(items.iter().cloned());
    }
    Ok(if all.is_empty() { NilSlice::value(ElemType::Any) } else { Value::list(all) })
}
