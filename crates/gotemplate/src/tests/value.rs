//! Unit: values.

use std::any::Any;
use std::rc::Rc;

use super::{check, funcs, map, options};
use crate::{
    Entries, IntKind, Map, MapType, Method, NamedMap, Object, Signature, TemplateSet, Type, Value, deep_equal,
};

/// A version-like object: fields, a method with arguments, its own text.
struct Version(i64);

impl Object for Version {
    fn type_name(&self) -> &str {
        "*x.Version"
    }
    fn kind(&self) -> &'static str {
        "ptr"
    }
    fn field(&self, name: &str) -> Option<Value> {
        (name == "Major").then(|| Value::int(self.0))
    }
    fn method(self: Rc<Self>, name: &str) -> Option<Method> {
        (name == "Plus").then(|| Method {
            signature: Signature { params: &[Type::Int], variadic: false },
            call: Box::new(move |args| match args[0].as_int() {
                Some(n) if n >= 0 => Ok(Value::int(self.0 + n)),
                _ => Err("negative".into()),
            }),
        })
    }
    fn print(&self) -> Vec<u8> {
        format!("v{}", self.0).into_bytes()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

static VALUES: NamedMap = NamedMap {
    name: "common.Values",
    method: |map, name| {
        let map = map.clone();
        (name == b"Size").then(|| Method {
            signature: Signature { params: &[], variadic: false },
            call: Box::new(move |_| Ok(Value::int(i64::try_from(map.len()).unwrap()))),
        })
    },
};

fn run(text: &str) -> String {
    let funcs = funcs();
    let named = Map::typed(MapType::Named(&VALUES), Entries::from([("a".into(), Value::int(1))]));
    let strings = Map::typed(MapType::String, Entries::from([("_0".into(), Value::string("x"))]));
    let data = map([
        ("v", Value::Object(Rc::new(Version(3)))),
        ("named", Value::Map(named)),
        ("strings", Value::Map(strings)),
    ]);
    let mut set = TemplateSet::new();
    set.parse("f", text, &funcs).unwrap();
    match set.execute("f", &data, &funcs, &(), &options()) {
        Ok(out) => String::from_utf8(out).unwrap(),
        Err(error) => error.to_string(),
    }
}

#[rustfmt::skip]
#[test]
fn objects() {
    for (text, expected) in [
        (r#"{{ .v }} {{ .v.Major }} {{ .v.Plus 2 }} {{ 4 | .v.Plus }} {{ printf "%s|%T" .v .v }}"#, "v3 3 5 7 v3|*x.Version"),
        ("{{ .v.Plus }}", r#"template: f:1:5: executing "f" at <.v.Plus>: wrong number of args for Plus: want 1 got 0"#),
        ("{{ .v.Plus -1 }}", r#"template: f:1:5: executing "f" at <.v.Plus>: error calling Plus: negative"#),
        ("{{ .v.Nope }}", r#"template: f:1:5: executing "f" at <.v.Nope>: can't evaluate field Nope in type interface {}"#),
        ("{{ .v.Major 1 }}", r#"template: f:1:5: executing "f" at <.v.Major>: Major has arguments but cannot be invoked as function"#),
        ("{{ eq .v .v }}{{ if .v }}t{{ end }}", "truet"),
        ("{{ range .v }}{{ end }}", r#"template: f:1:9: executing "f" at <.v>: range can't iterate over v3"#),
    ] {
        assert_eq!(run(text), expected, "{text}");
    }
}

#[rustfmt::skip]
#[test]
fn typed_maps() {
    for (text, expected) in [
        (r#"{{ .named.Size }}{{ .named.a }}{{ printf "%T" .named }}"#, "11common.Values"),
        (r#"{{ $m := set .named "b" 2 }}{{ .named.Size }}{{ printf "%T" $m }}"#, "2map[string]interface {}"),
        (r#"{{ .strings._0 }}{{ .strings.zz }}|{{ index .strings "zz" }}|"#, "x||"),
        (r#"{{ set .strings "a" 1 }}"#, r#"template: f:1:7: executing "f" at <.strings>: wrong type for value; expected map[string]interface {}; got map[string]string"#),
    ] {
        assert_eq!(run(text), expected, "{text}");
    }
}

#[test]
fn maps_are_shared_and_a_range_sees_the_beginning() {
    check(&[
        (r#"{{ $d := dict "a" 1 }}{{ $e := $d }}{{ $_ := set $e "a" 2 }}{{ $d.a }}"#, "2"),
        (r#"{{ range $k, $v := .m }}{{ $_ := set $.m (print $k "2") 1 }}{{ end }}{{ len .m }}"#, "4"),
    ]);
}

#[test]
fn deep_equality() {
    let make = || map([("l", Value::list(vec![Value::int(1), Value::Nil])), ("s", Value::string("x"))]);
    assert!(deep_equal(&make(), &make()));
    assert!(!deep_equal(&Value::int(1), &Value::int64(1)));
    assert!(!deep_equal(&Value::int(1), &Value::Float(1.0)));
    assert!(!deep_equal(&Value::strings(["a"]), &Value::list(vec![Value::string("a")])));
    assert!(!deep_equal(&Value::Float(f64::NAN), &Value::Float(f64::NAN)));
}

#[test]
fn names() {
    let byte = Value::Int(1, IntKind::Uint8);
    assert_eq!((byte.type_name().as_ref(), byte.kind()), ("uint8", "uint8"));
    assert_eq!((Value::Nil.type_name().as_ref(), Value::Nil.kind()), ("<nil>", "invalid"));
    assert_eq!((Value::bytes(b"").type_name().as_ref(), Value::bytes(b"").kind()), ("[]uint8", "slice"));
    assert!(size_of::<Value>() <= 24);
}
