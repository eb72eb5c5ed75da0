//! Dictionaries: building, reading, changing in place, merging as `dario.cat/mergo`, copying.

use pintle_gotemplate::{Entries, FuncError, List, Map, MapType, Value};

use crate::args::{Args, as_map};
use crate::go::{self, Outcome, failure, text_of};
use crate::limit;
use crate::nil::NilMap;

/// `dict KEY VALUE …`: keys are made text; a last key without value gets "".
pub(crate) fn dict(args: &[Value]) -> Outcome {
    let mut entries = Entries::new();
    for pair in args.chunks(2) {
        let value = pair.get(1).cloned().unwrap_or_else(|| "".into());
        entries.insert(text_of(pair.value(0))?.into(), value);
    }
    Ok(Value::map(entries))
}

/// `get DICT KEY`: "" if it is missing.
pub(crate) fn get(args: &[Value]) -> Outcome {
    Ok(args.map(0).and_then(|map| map.get(args.bytes(1))).unwrap_or_else(|| "".into()))
}

/// `set DICT KEY VALUE`: changes the map that everybody holds.
pub(crate) fn set(args: &[Value]) -> Outcome {
    let map = args.map(0).ok_or_else(|| failure("assignment to entry in nil map"))?;
    map.insert(args.bytes(1), args.value(2).clone());
    Ok(Value::Map(map))
}

/// `unset DICT KEY`: changes the map that everybody holds.
pub(crate) fn unset(args: &[Value]) -> Outcome {
    Ok(match args.map(0) {
        Some(map) => {
            map.remove(args.bytes(1));
            Value::Map(map)
        }
        None => NilMap::value(),
    })
}

/// `hasKey DICT KEY`.
pub(crate) fn has_key(args: &[Value]) -> Outcome {
    Ok(args.map(0).is_some_and(|map| map.contains(args.bytes(1))).into())
}

/// `pluck KEY DICT…`.
pub(crate) fn pluck(args: &[Value]) -> Outcome {
    let key = args.bytes(0);
    Ok(Value::list(args.rest(1).iter().filter_map(|dict| as_map(dict)?.get(key)).collect()))
}

/// `keys DICT…`: sorted, where Go's order is random.
pub(crate) fn keys(args: &[Value]) -> Outcome {
    Ok(Value::strings(args.iter().filter_map(as_map).flat_map(|map| map.keys())))
}

/// `values DICT`: in the order of the keys, where Go's order is random.
pub(crate) fn values(args: &[Value]) -> Outcome {
    let values = args.map(0).map(|map| map.snapshot().into_iter().map(|(_, value)| value).collect());
    Ok(Value::list(values.unwrap_or_default()))
}

/// `pick DICT KEY…`.
pub(crate) fn pick(args: &[Value]) -> Outcome {
    let picked = |map: Map| {
        args.rest(1)
            .iter()
            .filter_map(move |key| Some((key.as_str()?.clone(), map.get(key.as_str()?.as_bytes())?)))
    };
    Ok(Value::map(args.map(0).into_iter().flat_map(picked).collect()))
}

/// `omit DICT KEY…`.
pub(crate) fn omit(args: &[Value]) -> Outcome {
    let mut entries: Entries =
        args.map(0).map(|map| map.snapshot()).unwrap_or_default().into_iter().collect();
    for key in args.rest(1).iter().filter_map(Value::as_str) {
        entries.remove(key.as_bytes());
    }
    Ok(Value::map(entries))
}

/// `merge DICT SOURCE…`: fills what is empty in `DICT`, in place.
pub(crate) fn merge(args: &[Value]) -> Outcome {
    without_error(merged(args, false))
}

/// `mustMerge DICT SOURCE…`.
pub(crate) fn must_merge(args: &[Value]) -> Outcome {
    merged(args, false)
}

/// `mergeOverwrite DICT SOURCE…`: the last one wins, in place.
pub(crate) fn merge_overwrite(args: &[Value]) -> Outcome {
    without_error(merged(args, true))
}

/// `mustMergeOverwrite DICT SOURCE…`.
pub(crate) fn must_merge_overwrite(args: &[Value]) -> Outcome {
    merged(args, true)
}

/// sprig: an error of mergo gives "", with part of the work done.
fn without_error(result: Outcome) -> Outcome {
    match result {
        Err(FuncError::Message(_)) => Ok("".into()),
        other => other,
    }
}

fn merged(args: &[Value], overwrite: bool) -> Outcome {
    let mut target = args.map(0);
    for source in args.rest(1).iter().filter_map(as_map) {
        // mergo: a nil target is made with the first source that is not nil.
        let target = target.get_or_insert_with(|| Map::new(Entries::new()));
        merge_into(target, &source, overwrite, 0)?;
    }
    Ok(target.map_or_else(NilMap::value, Value::Map))
}

/// mergo's `deepMerge` of two maps of interface values.
fn merge_into(target: &Map, source: &Map, overwrite: bool, depth: usize) -> Result<(), FuncError> {
    limit::depth(depth.saturating_mul(10))?;
    for (key, new) in source.snapshot() {
        let old = target.get(key.as_bytes());
        // mergo: nil in the source is copied only over something, when overwriting.
        if matches!(new, Value::Nil) {
            if overwrite {
                target.insert(key, Value::Nil);
            }
            continue;
        }
        // mergo: maps are merged even if the target's is empty and is replaced right after.
        if let (Some(Value::Map(old)), Value::Map(new)) = (&old, &new) {
            merge_into(old, new, overwrite, depth + 1)?;
        }
        // mergo: a pointer takes only a pointer, or a value of its own type.
        if let (Some(Value::Object(old)), false) = (&old, overwrite)
            && old.kind() == "ptr"
            && matches!(new.kind(), "map" | "struct")
            && old.type_name().strip_prefix('*') != Some(&*new.type_name())
        {
            return Err(failure("src and dst must be of same type"));
        }
        match &old {
            Some(old) if !is_unset(old) => {
                let both_maps = matches!(old, Value::Map(_)) && is_map(&new);
                if overwrite && !both_maps {
                    target.insert(key, new);
                }
            }
            // mergo: the source's own value, so nested maps and lists are shared from here on.
            _ => target.insert(key, new),
        }
    }
    Ok(())
}

fn is_map(value: &Value) -> bool {
    match value {
        Value::Map(_) => true,
        Value::Object(object) => object.as_any().is::<NilMap>(),
        _ => false,
    }
}

/// mergo's `isEmptyValue`: complex numbers and structs never are.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Complex(..) => false,
        other => go::is_empty(other),
    }
}

/// `dig KEY… DEFAULT DICT`.
pub(crate) fn dig(args: &[Value]) -> Outcome {
    let [keys @ .., default, dict] = args else { return Err(failure("dig needs at least three arguments")) };
    if keys.is_empty() {
        return Err(failure("dig needs at least three arguments"));
    }
    let mut step = dict.clone();
    // Go: the type of the dictionary is asserted before those of the keys.
    plain_map(&step)?;
    for key in keys {
        if key.as_str().is_none() {
            return Err(failed_assertion(key, "string"));
        }
    }
    for key in keys.iter().filter_map(Value::as_str) {
        match plain_map(&step)?.get(key.as_bytes()) {
            Some(next) => step = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(step)
}

/// Go's `value.(map[string]interface{})`, which named map types do not pass.
fn plain_map(value: &Value) -> Result<Map, FuncError> {
    match value {
        Value::Map(map) if map.ty == MapType::Any => Ok(map.clone()),
        Value::Object(object) if object.as_any().is::<NilMap>() => Ok(Map::new(Entries::new())),
        other => Err(failed_assertion(other, "map[string]interface {}")),
    }
}

fn failed_assertion(value: &Value, wanted: &str) -> FuncError {
    let name = value.type_name();
    let name = if matches!(value, Value::Nil) { "nil" } else { &name };
    failure(format!("interface conversion: interface {{}} is {name}, not {wanted}"))
}

/// `deepCopy VALUE`.
pub(crate) fn deep_copy(args: &[Value]) -> Outcome {
    match args.value(0) {
        Value::Nil => Err(failure("reflect: call of reflect.Value.Type on zero Value")),
        value => copied(value, 0),
    }
}

fn copied(value: &Value, depth: usize) -> Outcome {
    limit::depth(depth.saturating_mul(10))?;
    Ok(match value {
        Value::List(list) => {
            let items = list.items.iter().map(|item| copied(item, depth + 1)).collect::<Result<_, _>>()?;
            Value::List(List::new(list.elem, items))
        }
        Value::Map(map) => {
            let mut entries = Entries::new();
            for (key, value) in map.snapshot() {
                entries.insert(key, copied(&value, depth + 1)?);
            }
            Value::Map(Map::typed(map.ty, entries))
        }
        // Objects cannot be changed by a template, so they may stay shared.
        Value::Object(object) => Value::Object(object.deep_copied().unwrap_or_else(|| object.clone())),
        other => other.clone(),
    })
}
