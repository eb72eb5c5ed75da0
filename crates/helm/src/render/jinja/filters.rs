//! The filters and functions that Jinja charts have beyond minijinja's own.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, State, Value};
use pintle_gotemplate::{Limit, printf};
use pintle_sprig::json;

use super::super::convert;
use super::error::{exhausted, stop};
use super::{BYTES_PER_FUEL, Host, context, line_of};

pub(super) fn add_to(environment: &mut Environment<'_>, host: &Arc<Host>) {
    environment.add_filter("to_yaml", to_yaml);
    environment.add_filter("to_json", to_json);
    environment.add_filter("from_yaml", from_yaml);
    environment.add_filter("from_json", from_yaml);
    environment.add_filter("b64encode", b64encode);
    environment.add_filter("b64decode", b64decode);
    environment.add_filter("indent", indent);
    environment.add_filter("nindent", nindent);
    environment.add_filter("quote", quote);
    environment.add_filter("required", required);
    environment.add_function("fail", fail);
    let host = host.clone();
    environment
        .add_function("lookup", move |state: &State<'_, '_>, args: Rest<String>| lookup(&host, state, &args));
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// A text as it is, everything else as Jinja prints it; undefined is an error.
fn text(state: &mut State<'_, '_>, value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => state.format(value.clone()),
    }
}

fn to_yaml(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let text = convert::to_yaml(&context::to_go(state, value)?).map_err(invalid)?;
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

fn to_json(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let value = context::to_go(state, value)?;
    json::encode(&value, json::Style::COMPACT).map_err(|error| invalid(error.to_string()))
}

/// YAML, and so JSON too; unlike Helm's `fromYaml` it fails when the text is neither.
fn from_yaml(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let text = text(state, value)?;
    let parsed = pintle_goyaml::parse(text.as_bytes()).map_err(|error| invalid(error.to_string()))?;
    Ok(context::plain(&parsed))
}

fn b64encode(state: &mut State<'_, '_>, value: &Value) -> Result<String, Error> {
    match value.as_bytes() {
        Some(bytes) => Ok(STANDARD.encode(bytes)),
        None => Ok(STANDARD.encode(text(state, value)?)),
    }
}

/// Text where it is UTF-8, bytes elsewhere.
fn b64decode(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let bytes = STANDARD.decode(text(state, value)?).map_err(|error| invalid(error.to_string()))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(error) => Value::from_bytes(error.into_bytes()),
    })
}

/// Puts blanks before every line: sprig's `indent`, not Jinja's, which leaves the first line as it is.
fn indent(state: &mut State<'_, '_>, value: &Value, width: usize) -> Result<String, Error> {
    let text = text(state, value)?;
    let lines = text.split('\n').count();
    let added = width.checked_mul(lines).ok_or_else(|| exhausted(Limit::Output))?;
    // Before they are made: a width can be any number.
    state.consume_fuel(added as u64 / BYTES_PER_FUEL)?;
    let blanks = " ".repeat(width);
    let mut indented = String::with_capacity(text.len() + added);
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            indented.push('\n');
        }
        indented.push_str(&blanks);
        indented.push_str(line);
    }
    Ok(indented)
}

fn nindent(state: &mut State<'_, '_>, value: &Value, width: usize) -> Result<String, Error> {
    Ok(format!("\n{}", indent(state, value, width)?))
}

fn quote(state: &mut State<'_, '_>, value: &Value) -> Result<String, Error> {
    // sprig: nothing is not quoted.
    if value.is_none() {
        return Ok(String::new());
    }
    let text = text(state, value)?;
    Ok(String::from_utf8_lossy(&printf::quote(text.as_bytes())).into_owned())
}

fn required(value: Value, message: String) -> Result<Value, Error> {
    if value.is_undefined() || value.is_none() || value.as_str() == Some("") {
        return Err(stop(message));
    }
    Ok(value)
}

fn fail(message: String) -> Result<Value, Error> {
    Err(stop(message))
}

fn lookup(host: &Host, state: &State<'_, '_>, args: &[String]) -> Result<Value, Error> {
    let [api_version, kind, namespace, name] = args else {
        return Err(invalid("lookup takes an API version, a kind, a namespace and a name"));
    };
    if host.is_late() {
        return Err(exhausted(Limit::Time));
    }
    note(host, state, args);
    let found = host.lookup.lookup(api_version, kind, namespace, name).map_err(invalid)?;
    Ok(context::object(&found))
}

/// Notes a use of `lookup`.
fn note(host: &Host, state: &State<'_, '_>, args: &[String]) {
    let template = state.name();
    let line = state.env().get_template(template).map_or(0, |template| line_of("lookup", template.source()));
    host.note("lookup", template, line, args.join(" "));
}
