//! What each fuzz target does with its bytes. None of it may panic, overflow the stack or hang.
//!
//! One place for two users: libFuzzer (`fuzz_targets/`), and the test `corpora` of pintle-helm, which feeds every file of
//! `corpus/` to the function of the folder's name on a stable compiler.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use pintle_gotemplate::{Entries, Funcs, Limits, MissingKey, Options, TemplateSet, Value};
use pintle_helm::chart::{self, Chart};
use pintle_helm::record;
use pintle_helm::values::{CoalesceOptions, Values, coalesce, strvals};
use pintle_sprig::semver::{Constraint, Version};
use pintle_sprig::{Environment, SLOW};

/// A name of a target, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 10] = [
    ("lex", lex),
    ("parse", parse),
    ("exec", exec),
    ("yaml", yaml),
    ("yaml_round", yaml_round),
    ("set", set),
    ("semver", semver),
    ("archive", archive),
    ("schema", schema),
    ("record", record),
];

/// A whole template: text, delimiters, trim markers and comments.
pub fn lex(data: &[u8]) {
    let _ = TemplateSet::new().parse("t", data, &Funcs::builtins());
}

/// The inside of actions, so that no byte is lost on delimiters.
pub fn parse(data: &[u8]) {
    let funcs = pintle_sprig::funcs();
    for (before, after) in
        [("{{", "}}"), ("{{if ", "}}a{{else}}b{{end}}"), ("{{range $k, $v := ", "}}{{$v}}{{end}}")]
    {
        let text = [before.as_bytes(), data, after.as_bytes()].concat();
        let _ = TemplateSet::new().parse("t", text, &funcs);
    }
}

/// A template with every function that is not slow on purpose, executed.
pub fn exec(data: &[u8]) {
    let mut funcs = pintle_sprig::funcs();
    for name in SLOW {
        funcs.remove(name);
    }
    let mut set = TemplateSet::new();
    if set.parse("t", data, &funcs).is_err() {
        return;
    }
    let nested = Value::map(Entries::from([
        (
            "list".into(),
            Value::list(vec![Value::int64(1), Value::string("two"), Value::Nil, Value::Float(2.5)]),
        ),
        ("text".into(), Value::string("Some text, \u{e9}\n")),
    ]));
    let dot = Value::map(Entries::from([
        ("Values".into(), nested),
        ("n".into(), Value::int64(7)),
        ("t".into(), Value::Bool(true)),
    ]));
    let limits = Limits { steps: 20_000, output: 1 << 20, depth: 100, ..Limits::default() };
    let options = Options { missing_key: MissingKey::Zero, limits };
    let _ = set.execute("t", &dot, &funcs, &Environment::new(), &options);
}

/// YAML in, as one document and as many.
pub fn yaml(data: &[u8]) {
    let _ = pintle_goyaml::parse(data);
    let _ = pintle_goyaml::parse_all(data);
    let _ = Values::from_yaml(data);
}

/// What was written once is read and written the same from then on.
pub fn yaml_round(data: &[u8]) {
    let Ok(value) = pintle_goyaml::parse(data) else { return };
    let _ = pintle_goyaml::to_string_pretty(&value);
    let Ok(written) = pintle_goyaml::to_string(&value) else { return };
    let again = pintle_goyaml::parse(written.as_bytes()).map(|value| pintle_goyaml::to_string(&value));
    assert!(matches!(&again, Ok(Ok(again)) if *again == written), "{written:?} became {again:?}");
}

/// An argument of the `--set` family, over values that have some of everything.
pub fn set(data: &[u8]) {
    let Ok(argument) = std::str::from_utf8(data) else { return };
    let start = || Values::from_yaml(b"a: {b: [1, {c: x}]}\nl: [x, y]\ns: text\nn: ~\n").unwrap_or_default();
    let _ = strvals::set(&mut start(), argument);
    let _ = strvals::set_string(&mut start(), argument);
    let _ = strvals::set_json(&mut start(), argument);
    let _ = strvals::set_literal(&mut start(), argument);
    let _ = strvals::set_file(&mut start(), argument, &|path| Ok(path.to_owned()));
}

/// A constraint, and versions in the lines after it.
pub fn semver(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let constraint = Constraint::parse(lines.next().unwrap_or_default());
    for line in lines {
        let _ = Version::parse_strict(line);
        if let (Ok(constraint), Ok(version)) = (&constraint, Version::parse(line)) {
            constraint.check(&version);
        }
    }
}

/// Bytes as a chart's archive, as they are and as the tar inside the gzip.
pub fn archive(data: &[u8]) {
    let limits =
        chart::Limits { compressed_bytes: 1 << 20, decompressed_bytes: 4 << 20, files: 500, nesting: 8 };
    let _ = chart::load_archive(data, &limits);
    if let Some(bytes) = gzip(data) {
        let _ = chart::load_archive(&bytes, &limits);
    }
}

/// A schema and, after a line `---`, the values that it judges.
pub fn schema(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (schema, values) = text.split_once("\n---\n").unwrap_or((&text, ""));
    let metadata = "apiVersion: v2\nname: lab\nversion: 0.1.0\n";
    let files = [("Chart.yaml", metadata), ("values.schema.json", schema), ("values.yaml", values)];
    if let Some(chart) = packed(&files) {
        let _ = coalesce(&Arc::new(chart), [], CoalesceOptions::default());
    }
}

/// The payload of a release's Secret: as it is, as what is inside the base64, and as what is inside the gzip.
pub fn record(data: &[u8]) {
    let mut payloads = vec![data.to_vec(), STANDARD.encode(data).into_bytes()];
    payloads.extend(gzip(data).map(|bytes| STANDARD.encode(bytes).into_bytes()));
    for payload in payloads {
        let Ok(record) = record::decode(&payload) else { continue };
        // What could be read can be written, and is then read as the same.
        let written =
            record::encode(&record).map(|bytes| record::decode(&bytes).map(|again| again == record));
        assert!(matches!(written, Ok(Ok(true))), "a record does not survive: {written:?}");
    }
}

fn gzip(data: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(data).ok()?;
    encoder.finish().ok()
}

fn packed(files: &[(&str, &str)]) -> Option<Chart> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, format!("lab/{path}"), text.as_bytes()).ok()?;
    }
    chart::load_archive(&gzip(&builder.into_inner().ok()?)?, &chart::Limits::default()).ok()
}
