//! Unit tests, a file a subject; rows taken from Go's own tests keep their upstream order and names.

mod errors;
mod exec;
mod hostile;
mod lex;
mod parse;
mod printf;
mod value;

use crate::{Entries, Error, FuncError, Funcs, MissingKey, Options, Str, TemplateSet, Type, Value};

/// Go's builtins with a few functions that tests need.
fn funcs() -> Funcs {
    let mut funcs = Funcs::builtins();
    funcs.insert_variadic("list", &[Type::Any], |_, args| Ok(Value::list(args.to_vec())));
    funcs.insert_variadic("dict", &[Type::Any], |_, args| {
        let pair = |pair: &[Value]| match pair {
            [key, value] => Some((Str::from(crate::printf::to_text(key)), value.clone())),
            _ => None,
        };
        Ok(Value::map(args.chunks(2).filter_map(pair).collect()))
    });
    funcs.insert("set", &[Type::Map, Type::String, Type::Any], |_, args| {
        if let [Value::Map(map), Value::String(key), value] = args {
            map.insert(key.clone(), value.clone());
        }
        Ok(args[0].clone())
    });
    funcs.insert("upper", &[Type::String], |_, args| {
        Ok(Value::string(args[0].as_str().unwrap().to_string_lossy().to_uppercase()))
    });
    funcs.insert("int", &[Type::Int], |_, args| Ok(args[0].clone()));
    funcs.insert("add1", &[Type::Int], |_, args| Ok(Value::int(args[0].as_int().unwrap() + 1)));
    funcs.insert("fail", &[Type::String], |_, args| {
        Err(FuncError::Abort(args[0].as_str().unwrap().to_string_lossy().into_owned()))
    });
    funcs.insert("include", &[Type::String, Type::Any], |state, args| {
        let name = args[0].as_str().unwrap().to_string_lossy();
        Ok(Value::String(state.include_str(&name, &args[1])?))
    });
    funcs.insert("tpl", &[Type::String, Type::Any], |state, args| {
        let text = args[0].as_str().unwrap();
        Ok(Value::string(state.execute_text("gotpl", text.as_bytes(), &args[1])?))
    });
    funcs.insert("host", &[], |state, _| Ok(Value::string(*state.host::<&str>().unwrap_or(&"none"))));
    funcs.insert("charge", &[Type::Int], |state, args| {
        state.charge(usize::try_from(args[0].as_int().unwrap_or(0)).unwrap_or(0))?;
        Ok(Value::string(""))
    });
    funcs
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::map(entries.into_iter().map(|(key, value)| (Str::from(key), value)).collect::<Entries>())
}

fn data() -> Value {
    map([
        ("a", map([("b", map([("c", Value::string("deep"))]))])),
        ("l", Value::list(vec![Value::int(1), Value::string("x"), Value::Float(2.5), Value::Nil])),
        ("m", map([("k", Value::string("v")), ("j", Value::Nil)])),
        ("s", Value::string("str")),
        ("n", Value::int(7)),
        ("f", Value::Float(1.5)),
        ("t", Value::Bool(true)),
        ("e", map([])),
    ])
}

/// As Helm sets the engine up.
fn options() -> Options {
    Options { missing_key: MissingKey::Zero, ..Options::default() }
}

fn run_with(text: &str, options: &Options) -> Result<String, Error> {
    let funcs = funcs();
    let mut set = TemplateSet::new();
    set.parse("f", text, &funcs)?;
    let out = set.execute("f", &data(), &funcs, &"host", options)?;
    Ok(String::from_utf8(out).unwrap())
}

fn run(text: &str) -> Result<String, Error> {
    run_with(text, &options())
}

/// Checks rows of template and result; an error's text is its `Display`.
fn check(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        let got = run(text).unwrap_or_else(|error| error.to_string());
        assert_eq!(got, *expected, "{text}");
    }
}
