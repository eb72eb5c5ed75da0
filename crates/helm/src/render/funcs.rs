//! The functions that Helm adds to sprig's.

use pintle_gotemplate::{ElemType, ErrorKind, FuncError, Funcs, State, Type, Value, printf};
use pintle_goyaml::Value as Plain;
use pintle_sprig::{Environment, NilMap, NilSlice, impure, json};

use super::{Host, convert, duration, toml};

type Outcome = Result<Value, FuncError>;

/// Helm's guard against templates that include themselves.
const MAX_INCLUDES: usize = 1_000;

/// Go's functions, sprig's and Helm's.
///
/// # Compatibility
/// As Helm v4 `pkg/engine/funcs.go:funcMap` and `engine.go:initFunMap`.
pub(super) fn table() -> Funcs {
    let mut funcs = pintle_sprig::funcs();
    funcs.insert("include", &[Type::String, Type::Any], include);
    funcs.insert("tpl", &[Type::String, Type::Any], tpl);
    funcs.insert("required", &[Type::String, Type::Any], required);
    funcs.insert("fail", &[Type::String], |_, args| Err(FuncError::Abort(text(args, 0).into_owned())));
    funcs.insert("lookup", &[Type::String, Type::String, Type::String, Type::String], lookup);
    funcs.insert("getHostByName", &[Type::String], get_host_by_name);
    funcs.insert("toYaml", &[Type::Any], |state, args| {
        yaml(state, convert::to_yaml(arg(args)).unwrap_or_default())
    });
    funcs.insert("mustToYaml", &[Type::Any], |state, args| {
        let text = convert::to_yaml(arg(args)).map_err(FuncError::Message)?;
        yaml(state, text)
    });
    funcs.insert("toYamlPretty", &[Type::Any], |state, args| {
        yaml(state, convert::to_yaml_pretty(arg(args)).unwrap_or_default())
    });
    funcs.insert("fromYaml", &[Type::String], from_yaml);
    funcs.insert("fromYamlArray", &[Type::String], from_yaml_array);
    funcs.insert("toJson", &[Type::Any], |state, args| {
        let text = json::encode(arg(args), json::Style::COMPACT).unwrap_or_default();
        state.charge(text.len())?;
        Ok(Value::string(text))
    });
    funcs.insert("mustToJson", &[Type::Any], |state, args| {
        let text = json::encode(arg(args), json::Style::COMPACT)?;
        state.charge(text.len())?;
        Ok(Value::string(text))
    });
    funcs.insert("fromJson", &[Type::String], from_json);
    funcs.insert("fromJsonArray", &[Type::String], from_json_array);
    funcs.insert("toToml", &[Type::Any], |_, args| {
        not_nil(args)?;
        Ok(Value::string(toml::encode(arg(args)).unwrap_or_else(|error| error)))
    });
    funcs.insert("mustToToml", &[Type::Any], |_, args| {
        not_nil(args)?;
        toml::encode(arg(args)).map(Value::string).map_err(FuncError::Message)
    });
    funcs.insert("fromToml", &[Type::String], |_, args| {
        Ok(toml::decode(&text(args, 0)).unwrap_or_else(|(partial, error)| with_error(partial, &error)))
    });
    duration::add(&mut funcs);
    funcs
}

/// The functions of Helm 3: those that Helm 4 added are missing.
pub(super) fn table_v3() -> Funcs {
    let mut funcs = table();
    for name in [
        "mustToYaml",
        "mustToToml",
        "mustToDuration",
        "durationSeconds",
        "durationMilliseconds",
        "durationMicroseconds",
        "durationNanoseconds",
        "durationMinutes",
        "durationHours",
        "durationDays",
        "durationWeeks",
        "durationRoundTo",
        "durationTruncateTo",
    ] {
        funcs.remove(name);
    }
    funcs
}

fn arg(args: &[Value]) -> &Value {
    args.first().unwrap_or(&Value::Nil)
}

fn text(args: &[Value], at: usize) -> std::borrow::Cow<'_, str> {
    match args.get(at) {
        Some(Value::String(text)) => text.to_string_lossy(),
        _ => "".into(),
    }
}

fn bytes(args: &[Value]) -> &[u8] {
    match args.first() {
        Some(Value::String(text)) => text.as_bytes(),
        _ => &[],
    }
}

fn host<'run>(state: &State<'_, 'run>) -> Option<&'run Host> {
    state.host::<Environment>()?.host()
}

fn include(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let name = args.first().and_then(Value::as_str).cloned().unwrap_or_default();
    let dot = args.get(1).unwrap_or(&Value::Nil);
    let host = host(state);
    if let Some(host) = host {
        let mut included = host.included.borrow_mut();
        let count = included.entry(name.clone()).or_default();
        if *count > MAX_INCLUDES {
            let name = name.to_string_lossy();
            return Err(FuncError::Message(format!(
                "rendering template has a nested reference name: {name}: unable to execute template"
            )));
        }
        *count += 1;
    }
    let result = state.include_str(&name.to_string_lossy(), dot);
    if let Some(host) = host
        && let Some(count) = host.included.borrow_mut().get_mut(&name)
    {
        *count -= 1;
    }
    result.map(Value::String)
}

fn tpl(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let source = bytes(args);
    let dot = args.get(1).unwrap_or(&Value::Nil);
    match state.execute_text("gotpl", source, dot) {
        Ok(written) => Ok(Value::string(remove(written, b"<no value>"))),
        Err(error) => {
            let quoted = printf::quote(source);
            let quoted = String::from_utf8_lossy(&quoted);
            let parsing = matches!(&error, FuncError::Nested(inner) if inner.kind() == ErrorKind::Parse);
            Err(error.context(if parsing {
                format!("cannot parse template {quoted}")
            } else {
                format!("error during tpl function execution for {quoted}")
            }))
        }
    }
}

/// Go's `strings.ReplaceAll(text, word, "")`.
fn remove(text: Vec<u8>, word: &[u8]) -> Vec<u8> {
    let mut found = memchr::memmem::find_iter(&text, word).peekable();
    if found.peek().is_none() {
        return text;
    }
    let mut kept = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in found.chain([text.len()]) {
        kept.extend_from_slice(text.get(from..at).unwrap_or_default());
        from = at + word.len();
    }
    kept
}

fn required(_: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    match args.get(1) {
        None | Some(Value::Nil) => Err(FuncError::Abort(text(args, 0).into_owned())),
        Some(Value::String(value)) if value.is_empty() => Err(FuncError::Abort(text(args, 0).into_owned())),
        Some(value) => Ok(value.clone()),
    }
}

fn lookup(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let Some(host) = host(state) else { return Ok(Value::map(Default::default())) };
    impure::note(state, "lookup", args);
    let found = host
        .lookup
        .lookup(&text(args, 0), &text(args, 1), &text(args, 2), &text(args, 3))
        .map_err(FuncError::Message)?;
    match &found {
        serde_json::Value::Object(_) => Ok(convert::object(&found)),
        _ => Ok(Value::map(Default::default())),
    }
}

/// # Compatibility
/// Helm: names are resolved only with a flag that a chart cannot set, because a chart could send values away. Of several
/// addresses sprig takes one by chance; this takes the first one.
fn get_host_by_name(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    impure::note(state, "getHostByName", args);
    match host(state).and_then(|host| host.lookup.addresses(&text(args, 0))) {
        None => Ok(Value::string("")),
        Some(addresses) => match addresses.first() {
            Some(address) => Ok(Value::string(address)),
            // Go: the words of the panic that sprig runs into.
            None => Err("invalid argument to Intn".into()),
        },
    }
}

fn yaml(state: &mut State<'_, '_>, text: String) -> Outcome {
    state.charge(text.len())?;
    Ok(Value::string(text.strip_suffix('\n').unwrap_or(&text)))
}

/// A map with Go's error text under `Error`.
fn with_error(map: Value, error: &str) -> Value {
    if let Value::Map(map) = &map {
        map.insert("Error", Value::string(error));
    }
    map
}

fn from_yaml(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.charge(bytes(args).len())?;
    let empty = || Value::map(Default::default());
    Ok(match pintle_goyaml::parse(bytes(args)) {
        // sigs.k8s.io/yaml: unlike with JSON, the map that `null` is read into stays.
        Ok(Plain::Null) => empty(),
        Ok(Plain::Object(ref object)) => convert::decoded_map(object),
        Ok(other) => with_error(empty(), &mismatch(&other, "map[string]interface {}")),
        Err(error) => with_error(empty(), &error.to_string()),
    })
}

fn from_yaml_array(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.charge(bytes(args).len())?;
    Ok(match pintle_goyaml::parse(bytes(args)) {
        Ok(Plain::Null) => Value::list(Vec::new()),
        Ok(ref list @ Plain::Array(_)) => convert::decoded(list),
        Ok(other) => Value::list(vec![Value::string(mismatch(&other, "[]interface {}"))]),
        Err(error) => Value::list(vec![Value::string(error.to_string())]),
    })
}

fn mismatch(found: &Plain, wanted: &str) -> String {
    let found = found.kind_name();
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type {wanted}"
    )
}

fn from_json(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.charge(bytes(args).len())?;
    let (value, error) = json::decode(bytes(args), json::Target::Map);
    Ok(match (value, error) {
        (map @ Value::Map(_), None) => map,
        // Go: `null` sets the map that it is read into to nil.
        (_, None) => NilMap::value(),
        (map @ Value::Map(_), Some(error)) => with_error(map, &error),
        (_, Some(error)) => with_error(Value::map(Default::default()), &error),
    })
}

fn from_json_array(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.charge(bytes(args).len())?;
    let (value, error) = json::decode(bytes(args), json::Target::List);
    Ok(match error {
        Some(error) => Value::list(vec![Value::string(error)]),
        None if matches!(value, Value::List(_)) => value,
        None => NilSlice::value(ElemType::Any),
    })
}

fn not_nil(args: &[Value]) -> Result<(), FuncError> {
    if arg(args).is_nil() {
        return Err("reflect: call of reflect.Value.Type on zero Value".into());
    }
    Ok(())
}
