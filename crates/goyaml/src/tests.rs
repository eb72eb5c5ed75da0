//! Unit: the whole way, against what Go answered; bombs; and a round trip of random trees.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::Deserialize;

use crate::{Error, Value, from_str, parse, parse_all, to_string, to_string_pretty};

/// Gives the JSON of a document, or Go's error.
fn json(text: &str) -> String {
    match parse(text.as_bytes()) {
        Ok(value) => serde_json::to_string(&value).unwrap(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn documents_read_as_in_go() {
    for (name, text, expected) in [
        ("nothing is null", "", "null"),
        ("so is a comment", "# a", "null"),
        ("only the first document counts", "---\na: 1\n---\nb: [", r#"{"a":1}"#),
        ("yaml 1.1 words are booleans, also as keys", "y: no\nON: off", r#"{"true":false}"#),
        (
            "octal, hex, binary, underscores",
            "[010, 0o10, 0x1F, -0b11, 1_000, +1, .5_5]",
            "[8,8,31,-3,1000,1,0.55]",
        ),
        ("dates and sexagesimals stay strings", "[2001-01-01, 12:30:45]", r#"["2001-01-01","12:30:45"]"#),
        ("unsigned above signed", "18446744073709551615", "18446744073709551615"),
        (
            "keys become strings",
            "1: a\n1.50: b\ntrue: c\n2001-01-01: d",
            r#"{"1":"a","1.5":"b","2001-01-01":"d","true":"c"}"#,
        ),
        ("float keys have 32 bits", "1.123456789: a\n1e300: b", r#"{".inf":"b","1.1234568":"a"}"#),
        ("the last duplicate wins", "a: 1\na: 2", r#"{"a":2}"#),
        ("values may be missing", "{a, b: , c}", r#"{"a":null,"b":null,"c":null}"#),
        ("pairs in a flow list", "[a: b, ? c : d, e]", r#"[{"a":"b"},{"c":"d"},"e"]"#),
        ("a list need not be indented", "a:\n- b\n- c:\n  - d", r#"{"a":["b",{"c":["d"]}]}"#),
        ("plain scalars fold", "a: b\n  c\n\n  d", r#"{"a":"b c\nd"}"#),
        ("quoted scalars fold", "'a\n\n b'' c'", r#""a\nb' c""#),
        (
            "escapes",
            r#""\x41\u00e9\U0001F600\t\/""#,
            "error converting YAML to JSON: yaml: found unknown escape character",
        ),
        ("escaped breaks vanish", "\"a \\\n  b\"", r#""a b""#),
        ("literal blocks", "a: |\n  b\n   c\n\nd: |2-\n   e\n", r#"{"a":"b\n c\n","d":" e"}"#),
        ("folded blocks", "a: >+\n  b\n  c\n\n   d\n\ne: f", r#"{"a":"b c\n\n d\n\n","e":"f"}"#),
        (
            "merged lists: the earlier map wins",
            "a: &a {x: 1, z: 2}\nb: {<<: [*a, {z: 3, w: 4}]}",
            r#"{"a":{"x":1,"z":2},"b":{"w":4,"x":1,"z":2}}"#,
        ),
        ("a merge overrides what stands before it", "{x: 0, <<: {x: 1}}", r#"{"x":1}"#),
        ("aliases", "a: &x [1]\nb: *x\nc: &x 2\nd: *x", r#"{"a":[1],"b":[1],"c":2,"d":2}"#),
        ("tags", "[!!str 1, !!float 1, !foo 1, ! 1, !!binary aGk=]", r#"["1",1.0,"1","1","hi"]"#),
        ("tag directives", "%TAG !e! tag:yaml.org,2002:\n---\n!e!str 1", r#""1""#),
        ("json", r#"{"a":[1.5,null,true,"\u00e9"],"b":{}}"#, r#"{"a":[1.5,null,true,"é"],"b":{}}"#),
        ("an empty flow map is no key to wait for", "{}: x", "{}"),
    ] {
        assert_eq!(json(text), expected, "{name}");
    }
}

#[test]
fn errors_are_go_s() {
    for (text, expected) in [
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("a: 1\nb: c: d", "yaml: line 2: mapping values are not allowed in this context"),
        ("a: 1\nb", "yaml: line 3: could not find expected ':'"),
        ("a:\n  - b\n c: d", "yaml: line 2: did not find expected key"),
        ("a: [1", "yaml: line 1: did not find expected ',' or ']'"),
        ("a: {b", "yaml: line 1: did not find expected ',' or '}'"),
        ("a:\n- [}", "yaml: line 1: did not find expected node content"),
        ("- a\nb: c", "yaml: line 1: did not find expected '-' indicator"),
        ("a: - b", "yaml: block sequence entries are not allowed in this context"),
        ("a: 'b", "yaml: found unexpected end of stream"),
        ("a:\n\tb: c", "yaml: line 2: found character that cannot start any token"),
        ("a: @b", "yaml: found character that cannot start any token"),
        ("a: *b", "yaml: unknown anchor 'b' referenced"),
        ("&a [*a]", "yaml: anchor 'a' value contains itself"),
        ("a: !x!y z", "yaml: found undefined tag handle"),
        ("!!int x", "yaml: cannot decode !!str `x` as a !!int"),
        ("!!binary x", "yaml: !!binary value contains invalid base64 data"),
        ("<<: 3", "yaml: map merge requires map or sequence of maps as the value"),
        (
            "? [1, {a: b}]\n: c",
            "yaml: invalid map key: []interface {}{1, map[interface {}]interface {}{\"a\":\"b\"}}",
        ),
        ("null: d", "unsupported map key of type: %!s(<nil>), key: <nil>, value: \"d\""),
        (
            "18446744073709551615: {1: x}",
            "unsupported map key of type: uint64, key: 0xffffffffffffffff, value: map[interface {}]interface {}{1:\"x\"}",
        ),
        ("{b: -.inf, a: .inf}", "json: unsupported value: +Inf"),
        ("a: .nan", "json: unsupported value: NaN"),
        ("a: \u{1}", "yaml: control characters are not allowed"),
        ("%YAML 1.2\n---\na", "yaml: found incompatible YAML document"),
        ("a: |0\n b", "yaml: found an indentation indicator equal to 0"),
    ] {
        assert_eq!(json(text), format!("error converting YAML to JSON: {expected}"), "{text:?}");
    }
}

#[test]
fn bytes_need_not_be_utf_8() {
    assert_eq!(parse(b"\xFF\xFEa\0:\0 \0b\0").unwrap(), parse(b"a: b").unwrap());
    assert_eq!(parse(b"\xEF\xBB\xBFa: b").unwrap(), parse(b"a: b").unwrap());
    let error = parse(b"a: \xFF").unwrap_err();
    assert_eq!(error.to_string(), "error converting YAML to JSON: yaml: invalid leading UTF-8 octet");
    let mut late = b"a: b: c".to_vec();
    late.resize(600, b' ');
    late.push(1);
    let error = parse(&late).unwrap_err();
    // The bad byte is not in the first 512, so the earlier problem is seen first.
    assert_eq!(
        error.to_string(),
        "error converting YAML to JSON: yaml: mapping values are not allowed in this context"
    );
}

#[test]
fn types_are_as_lenient_as_json_in_go() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Chart {
        version: String,
        name: String,
        keywords: Vec<String>,
        replicas: u32,
        home: Option<String>,
    }

    let chart: Chart =
        from_str(b"version: 1.10\nname: yes\nkeywords: null\nreplicas: 2.0\nunknown: [1]").unwrap();
    let expected = Chart { version: "1.1".into(), name: "true".into(), replicas: 2, ..Chart::default() };
    assert_eq!(chart, expected);
    let error = from_str::<Vec<Value>>(b"a: 1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go value of type a sequence"
    );
    assert_eq!(from_str::<BTreeMap<String, Value>>(b"").unwrap(), BTreeMap::new());
}

#[test]
fn streams_are_split_as_helm_splits_them() {
    assert_eq!(parse_all(b"a: 1\n--- # x\nb: 2\n---\n").unwrap().len(), 2);
    assert_eq!(parse_all(b"").unwrap(), []);
    let error = parse_all(b"a: 1\n---b: 2").unwrap_err();
    assert_eq!(error.to_string(), "invalid Yaml document separator: b: 2");
}

/// Gives what both writers make of a JSON text.
fn written(text: &str) -> (String, String) {
    let value: Value = serde_json::from_str(text).unwrap();
    (to_string(&value).unwrap_or_else(|error| format!("ERROR {error}")), to_string_pretty(&value).unwrap())
}

#[test]
fn values_are_written_as_in_go() {
    for (value, plain, pretty) in [
        ("null", "null\n", "null\n"),
        ("[]", "[]\n", "[]\n"),
        (r#"{"a":{},"b":[[1],[]]}"#, "a: {}\nb:\n- - 1\n- []\n", "a: {}\nb:\n  - - 1\n  - []\n"),
        (
            r#"{"a":{"b":[{"c":1,"d":[2]}]}}"#,
            "a:\n  b:\n  - c: 1\n    d:\n    - 2\n",
            "a:\n  b:\n    - c: 1\n      d:\n        - 2\n",
        ),
        (
            r#"["yes","n","null","~","","1","1e3","0x1f","010","12:30","2001-01-01",".5"]"#,
            "- \"yes\"\n- \"n\"\n- \"null\"\n- \"~\"\n- \"\"\n- \"1\"\n- \"1e3\"\n- \"0x1f\"\n- \"010\"\n- \"12:30\"\n- \"2001-01-01\"\n- \".5\"\n",
            "- \"yes\"\n- \"n\"\n- \"null\"\n- \"~\"\n- \"\"\n- \"1\"\n- \"1e3\"\n- \"0x1f\"\n- \"010\"\n- \"12:30\"\n- \"2001-01-01\"\n- \".5\"\n",
        ),
        (
            r##"["=","<<","a: b","#c","a #c","- d","-e","a'b: ","it's","@x"," a","a ","?","x:"]"##,
            "- =\n- <<\n- 'a: b'\n- '#c'\n- 'a #c'\n- '- d'\n- -e\n- 'a''b: '\n- it's\n- '@x'\n- ' a'\n- 'a '\n- '?'\n- 'x:'\n",
            "- =\n- <<\n- 'a: b'\n- '#c'\n- 'a #c'\n- '- d'\n- -e\n- 'a''b: '\n- it's\n- '@x'\n- ' a'\n- 'a '\n- '?'\n- 'x:'\n",
        ),
        (
            r#"["a\tb","\u0001","\u001b","😀","é","\ufeffab","a\r\nb"]"#,
            "- \"a\\tb\"\n- \"\\x01\"\n- \"\\e\"\n- \"\\U0001F600\"\n- é\n- \"\\uFEFF\\x61\\x62\"\n- \"a\\r\\nb\"\n",
            "- \"a\\tb\"\n- \"\\x01\"\n- \"\\e\"\n- \"\\U0001F600\"\n- é\n- \"\\uFEFF\\x61\\x62\"\n- \"a\\r\\nb\"\n",
        ),
        (
            r#"{"a":"b\nc","d":"e\n","f":"g\n\n","h":" i\nj","k":"l \nm","n":"\n"}"#,
            "a: |-\n  b\n  c\nd: |\n  e\nf: |+\n  g\n\nh: |2-\n   i\n  j\nk: \"l \\nm\"\n\"n\": |2+\n\n",
            "a: |-\n  b\n  c\nd: |\n  e\nf: |+\n  g\n\nh: |2-\n   i\n  j\nk: \"l \\nm\"\n\"n\": |2+\n\n",
        ),
        (r#"{"a\nb":1}"#, "? |-\n  a\n  b\n: 1\n", "? |-\n  a\n  b\n: 1\n"),
        (
            r#"[1.5,1000000.0,1234567.5,1e20,1e21,1e-7,-0.0,9223372036854775807.0,1e19]"#,
            "- 1.5\n- 1000000\n- 1.2345675e+06\n- 1e+20\n- 1e+21\n- 1e-07\n- 0\n- 9223372036854776000\n- 10000000000000000000\n",
            "- 1.5\n- 1e+06\n- 1.2345675e+06\n- 1e+20\n- 1e+21\n- 1e-07\n- -0\n- 9.223372036854776e+18\n- 1e+19\n",
        ),
        (
            r#"{"b10":1,"b9":2,"B":3,"a":4,"_":5,"A1":6,"a-b":7,"a.b":8,"a1":9,"01":1,"1":2}"#,
            "_: 5\n\"1\": 2\n\"01\": 1\nA1: 6\nB: 3\na: 4\na-b: 7\na.b: 8\na1: 9\nb9: 2\nb10: 1\n",
            "_: 5\n\"1\": 2\n\"01\": 1\nA1: 6\nB: 3\na: 4\na-b: 7\na.b: 8\na1: 9\nb9: 2\nb10: 1\n",
        ),
        (r#"["a\u007f"]"#, "ERROR yaml: control characters are not allowed", "- \"a\\x7F\"\n"),
        (r#"["a \u0085 b"]"#, "- a b\n", "- \"a \\N b\"\n"),
        (
            r#"{"a1b":1,"a10":2,"ab":3,"a":4}"#,
            "a: 4\na10: 2\na1b: 1\nab: 3\n",
            "a: 4\na1b: 1\na10: 2\nab: 3\n",
        ),
    ] {
        assert_eq!(written(value), (plain.to_owned(), pretty.to_owned()), "{value}");
    }
}

#[test]
fn long_lines_are_folded_only_by_version_2() {
    let words = "word ".repeat(20);
    let text = words.trim_end();
    let (head, tail) = text.split_at(79);
    let expected = format!("k: {head}\n  {}\n", tail.trim_start());
    let value = BTreeMap::from([("k", text)]);
    assert_eq!(to_string(&value).unwrap(), expected);
    assert_eq!(to_string_pretty(&value).unwrap(), format!("k: {text}\n"));
    let key = "k".repeat(129);
    assert_eq!(to_string(&BTreeMap::from([(&*key, 1)])).unwrap(), format!("? {key}\n: 1\n"));
    let error = to_string(&BTreeMap::from([("k".repeat(1030), 1)])).unwrap_err();
    assert_eq!(error, Error::Reread("yaml: did not find expected ',' or '}'".into()));
}

#[test]
fn bytes_that_are_no_text() {
    struct Bytes;

    impl serde::Serialize for Bytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(b"a\xFF\xFE")
        }
    }

    assert_eq!(to_string(&Bytes).unwrap(), "a\u{FFFD}\u{FFFD}\n");
    assert_eq!(to_string_pretty(&Bytes).unwrap(), "!!binary Yf/+\n");
}

#[test]
fn what_json_cannot_say_is_refused() {
    assert_eq!(
        to_string(&f64::NAN).unwrap_err().to_string(),
        "error marshaling into JSON: json: unsupported value: NaN"
    );
    assert_eq!(to_string_pretty(&f64::INFINITY).unwrap(), ".inf\n");
}

#[test]
fn bombs_end_soon() {
    let start = Instant::now();
    let depth = "error converting YAML to JSON: yaml: exceeded max depth of 10000";
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "[".repeat(10_001)] {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), depth);
        assert_eq!(from_str::<Value>(text.as_bytes()).unwrap_err().to_string(), depth);
    }

    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let previous = format!("*a{}", level - 1);
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", [&*previous; 9].join(",")));
    }
    assert_eq!(
        parse(laughs.as_bytes()).unwrap_err().to_string(),
        "error converting YAML to JSON: yaml: document contains excessive aliasing"
    );
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn the_deepest_document_fits_on_any_stack() {
    let text = format!("{}1{}", "[".repeat(9_999), "]".repeat(9_999));
    let value = parse(text.as_bytes()).unwrap();
    let again: Value = from_str(text.as_bytes()).unwrap();
    drop(again);
    assert_eq!(to_string(&value).unwrap(), format!("{}1\n", "- ".repeat(9_999)));
}

/// Strings of everything that has a meaning somewhere in YAML.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9 ]{0,6}",
        2 => "[-?:,\\[\\]{}#&*!|>'\"%@`~=<.\n\t\\\\]{1,3}",
        1 => "\\PC{0,3}",
        1 => prop::sample::select(vec!["yes", "null", "0x1", "1.5", "\r", "\u{2028}", "\u{1}", "\u{A0}", "---", "word "])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e15..1e15)
            .prop_filter("integral floats come back as integers", |f: &f64| f.fract() != 0.0)
            .prop_map(Value::Float),
        string().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(string(), inner, 0..5).prop_map(Value::Object),
        ]
    })
}

/// Whether go-yaml itself writes the tree in a way that reads back as the same tree.
fn is_faithful(value: &Value) -> bool {
    let text = |text: &str| {
        // Go: LS and PS in a block are followed by an indentation that is read as text.
        !text.contains(['\u{2028}', '\u{2029}', '\u{FEFF}']) && text.len() < 160
    };
    match value {
        Value::String(value) => text(value),
        Value::Array(items) => items.iter().all(is_faithful),
        // Go: the key is written as it is, and read as a merge.
        Value::Object(entries) => {
            entries.iter().all(|(key, value)| key != "<<" && text(key) && is_faithful(value))
        }
        _ => true,
    }
}

/// As helm v4.3.1 prints `toYaml (dict "<<" nil)`.
#[test]
fn a_merge_key_is_written_without_quotes() {
    let value = Value::Object([("<<".to_owned(), Value::Null)].into());
    assert_eq!(to_string(&value).unwrap(), "<<: null\n");
    assert!(parse(b"<<: null\n").is_err());
}

proptest! {
    #[test]
    fn trees_survive_a_round_trip(value in tree()) {
        prop_assume!(is_faithful(&value));
        let text = to_string(&value).unwrap();
        prop_assert_eq!(parse(text.as_bytes()).map_err(|error| format!("{error}\n{text}")), Ok(value));
    }

    #[test]
    fn no_text_panics(text in string()) {
        let _ = parse(text.as_bytes());
        let _ = parse_all(text.as_bytes());
        let _ = to_string(&text);
        let _ = to_string_pretty(&text);
    }
}
