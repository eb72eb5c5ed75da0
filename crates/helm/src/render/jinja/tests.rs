//! Unit: Jinja charts through values and templates.

use std::sync::Arc;
use std::time::Instant;

use pintle_gotemplate::Limit;

use crate::chart::from_texts;
use crate::manifest::Manifest;
use crate::render::{Capabilities, Lookup, NoCluster, ReleaseFacts, RenderError, RenderOptions, Use, render};
use crate::values::{CoalesceOptions, Values, coalesce};

const CHART: (&str, &str) = (
    "Chart.yaml",
    "apiVersion: v2\nname: lab\nversion: 0.1.0\nappVersion: \"1.2.3\"\nannotations: {pintle.dev/engine: jinja}\n",
);

fn render_with(
    files: &[(&str, &str)],
    values: &str,
    lookup: Arc<dyn Lookup>,
    options: &RenderOptions,
) -> Result<Manifest, RenderError> {
    let mut all = vec![CHART];
    all.retain(|(name, _)| files.iter().all(|(other, _)| other != name));
    all.extend(files);
    let chart = Arc::new(from_texts(&all).unwrap());
    let layer = Values::from_yaml(values.as_bytes()).unwrap();
    let coalesced = coalesce(&chart, [layer], CoalesceOptions::default()).unwrap();
    let facts =
        ReleaseFacts { name: "rel".to_owned(), namespace: "ns".to_owned(), revision: 3, is_upgrade: true };
    let capabilities = Capabilities::default();
    render(&coalesced.chart, &coalesced.values, &facts, &capabilities, &lookup, options)
}

fn rendered(files: &[(&str, &str)], values: &str) -> Result<Manifest, RenderError> {
    render_with(files, values, Arc::new(NoCluster), &RenderOptions::default())
}

/// What one template writes: as notes, which need not be YAML.
fn one(template: &str, values: &str) -> Result<String, RenderError> {
    let files = [("templates/NOTES.txt", template), ("conf/a.ini", "x=1\ny=2\n"), ("conf/b.txt", "b")];
    Ok(rendered(&files, values)?.notes.trim_end().to_owned())
}

#[test]
fn the_context_is_that_of_go_templates() {
    for (template, expected) in [
        ("a: {{ Values.a.b }} {{ Values.list[1] }}", "a: 1 z"),
        ("a: {{ Values['a']['b'] + 1 }}", "a: 2"),
        (
            "a: {{ Release.Name }}/{{ Release.Namespace }} {{ Release.Revision }} {{ Release.Service }}",
            "a: rel/ns 3 Helm",
        ),
        ("a: {{ Release.IsUpgrade }} {{ Release.IsInstall }}", "a: True False"),
        (
            "a: {{ Chart.Name }} {{ Chart.Version }} {{ Chart.AppVersion }} {{ Chart.IsRoot }}",
            "a: lab 0.1.0 1.2.3 True",
        ),
        ("a: {{ Template.Name }} in {{ Template.BasePath }}", "a: lab/templates/NOTES.txt in lab/templates"),
        ("a: {{ Capabilities.KubeVersion.Version }} {{ Capabilities.KubeVersion.Minor }}", "a: v1.37.0 37"),
        (
            "a: {{ Capabilities.APIVersions.Has('apps/v1') }} {{ 'x/v1' in Capabilities.APIVersions }}",
            "a: True False",
        ),
        (
            "a: {{ Files.Get('conf/b.txt') }}{{ Files.Get('no') }} {{ Files.Lines('conf/a.ini')|length }}",
            "a: b 2",
        ),
        (
            "a:\n{{ Files.Glob('conf/*').AsConfig()|indent(2) }}",
            "a:\n  a.ini: |\n    x=1\n    y=2\n  b.txt: b",
        ),
        (
            "a: {% for name in Files.Glob('conf/*.txt') %}{{ name }}={{ Files[name] }}{% endfor %}",
            "a: conf/b.txt=b",
        ),
        ("a: {{ Files.Glob('*/b.txt').AsSecrets() }}", "a: b.txt: Yg=="),
    ] {
        assert_eq!(one(template, "a: {b: 1}\nlist: [x, z]").unwrap(), expected, "{template}");
    }
}

#[test]
fn values_are_printed_as_jinja_prints_them() {
    let values = "i: 3\nf: 2.5\nw: 4.0\nbig: 12345678901\nt: true\nn: null\ns: text\nl: [1, a]\nm: {k: v}";
    for (template, expected) in [
        ("a: {{ Values.i }} {{ Values.f }} {{ Values.big }}", "a: 3 2.5 12345678901"),
        ("a: {{ Values.t }} {{ not Values.t }}", "a: True False"),
        ("a: {{ ('z: null'|from_yaml).z }} {{ Values.s }}", "a: None text"),
        (
            "a: {{ Values.l|to_json }} {{ Values.m|to_json }} {{ Values.t|to_json }}",
            "a: [1,\"a\"] {\"k\":\"v\"} true",
        ),
        ("a: {{ Values.w }} {{ Values.w|to_yaml }} {{ Values.i|to_yaml }}", "a: 4 4 3"),
    ] {
        assert_eq!(one(template, values).unwrap(), expected, "{template}");
    }
}

#[test]
fn filters() {
    for (template, expected) in [
        (
            "a:\n{{ {'b': 1, 'a': [true, none], 'c': 'yes'}|to_yaml|indent(2) }}",
            "a:\n  a:\n  - true\n  - null\n  b: 1\n  c: \"yes\"",
        ),
        ("a:{{ {'b': {}}|to_yaml|nindent(2) }}", "a:\n  b: {}"),
        ("a: {{ '<&>'|to_json }} {{ 1.5|to_json }}", "a: \"\\u003c\\u0026\\u003e\" 1.5"),
        ("a: {{ ('x: 010\nz: [a]'|from_yaml).z[0] }} {{ ('{\"k\": 7}'|from_json).k + 1 }}", "a: a 8"),
        ("a: {{ 'hi'|b64encode }} {{ 'aGk='|b64decode }} {{ 12|b64encode }}", "a: aGk= hi MTI="),
        ("a: {{ Files.GetBytes('conf/b.txt')|b64encode }} {{ '/w=='|b64decode|b64encode }}", "a: Yg== /w=="),
        (
            "a: {{ 'say \"x\"'|quote }} {{ 3|quote }} {{ true|quote }} {{ none|quote }}.",
            "a: \"say \\\"x\\\"\" \"3\" \"True\" .",
        ),
        (
            "a: {{ 'v'|required('gone') }} {{ 0|required('gone') }} {{ false|required('gone') }}",
            "a: v 0 False",
        ),
        ("a: {{ Values.nope|default('d') }} {{ Values.nope is defined }}", "a: d False"),
        ("{% if true %}\na: 1\n{% endif %}\n{# gone #}\nb: 2", "a: 1\nb: 2"),
        ("a: {% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "a: 012"),
        (
            "a: {% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
            "a: 3",
        ),
        ("a: {{ '<b>' }}", "a: <b>"),
        ("a: {{ lookup('v1', 'Secret', 'ns', 'n')|to_json }}", "a: {}"),
    ] {
        assert_eq!(one(template, "").unwrap(), expected, "{template}");
    }
}

#[test]
fn files_include_and_import_each_other() {
    let files = [
        (
            "templates/_labels.j2",
            "{% macro labels(part) %}\napp: {{ Chart.Name }}-{{ part }}\n{% endmacro %}",
        ),
        ("templates/parts/_tail.yaml", "tail: {{ Release.Name }} {{ x }}\n"),
        ("templates/_base.j2", "kind: {% block kind %}None{% endblock %}\n"),
        (
            "templates/a.yaml",
            "{% from '_labels.j2' import labels %}\n{% import '_labels.j2' as l %}\n{% set x = 5 %}\nkind: A\n{{ labels('web') }}sub:\n{{ l.labels('db')|trim|indent(2) }}\n{% include 'parts/_tail.yaml' %}",
        ),
        ("templates/b.yaml", "{% extends '_base.j2' %}{% block kind %}B{% endblock %}"),
        ("templates/NOTES.txt", "use {{ Release.Name }}\n"),
    ];
    let manifest = rendered(&files, "").unwrap();
    assert_eq!(
        manifest.to_text(),
        "---\n# Source: lab/templates/a.yaml\nkind: A\napp: lab-web\nsub:\n  app: lab-db\ntail: rel 5\n\n---\n# Source: lab/templates/b.yaml\nkind: B\n"
    );
    assert_eq!(manifest.notes, "use rel\n");
}

#[test]
fn every_chart_has_its_own_engine_and_values() {
    let go_child = [
        ("templates/a.yaml", "kind: A\nx: {{ Values.kid.x }}\n"),
        ("templates/_t.j2", "lab"),
        ("charts/kid/Chart.yaml", "apiVersion: v2\nname: kid\nversion: 0.1.0\n"),
        ("charts/kid/values.yaml", "x: 1\n"),
        ("charts/kid/templates/k.yaml", "kind: K\nx: {{ .Values.x }}\ng: {{ .Values.global.g }}\n"),
    ];
    let text = rendered(&go_child, "kid: {x: 2}\nglobal: {g: 7}").unwrap().to_text();
    assert!(text.contains("kind: A\nx: 2\n") && text.contains("kind: K\nx: 2\ng: 7\n"), "{text}");

    let jinja_child = [
        ("Chart.yaml", "apiVersion: v2\nname: lab\nversion: 0.1.0\n"),
        ("templates/a.yaml", "kind: A\nx: {{ .Values.kid.x }}\n"),
        ("charts/kid/Chart.yaml", CHART.1),
        ("charts/kid/values.yaml", "x: 1\n"),
        ("charts/lab/templates/_t.j2", "from {{ Chart.Name }}"),
        (
            "charts/lab/templates/k.yaml",
            "kind: K\nx: {{ Values.x }} {{ Values.global.g }} {% include '_t.j2' %}\n\nroot: {{ Chart.IsRoot }}\n",
        ),
    ];
    let jinja_child = jinja_child.map(|(name, text)| (name.replace("charts/kid", "charts/lab"), text));
    let files: Vec<(&str, &str)> = jinja_child.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let text = rendered(&files, "lab: {x: 3}\nkid: {x: 0}\nglobal: {g: 7}").unwrap().to_text();
    assert!(text.contains("kind: A\nx: 0\n"), "{text}");
    assert!(text.contains("kind: K\nx: 3 7 from lab\nroot: False\n"), "{text}");

    let unknown = [(
        "Chart.yaml",
        "apiVersion: v2\nname: lab\nversion: 0.1.0\nannotations: {pintle.dev/engine: erb}\n",
    )];
    let error = rendered(&unknown, "").unwrap_err().to_string();
    assert!(error.contains("wants the engine `erb`"), "{error}");
}

#[test]
fn failures_name_template_and_line() {
    for (template, expected) in [
        ("\n{{ Values.nope }}", "lab/templates/NOTES.txt:2: undefined value: "),
        ("{{ Values.a.b.c }}", "lab/templates/NOTES.txt:1: undefined value: "),
        ("{{ Values.nope|to_yaml }}", "lab/templates/NOTES.txt:1: undefined value"),
        ("{{ Values.nope|quote }}", "lab/templates/NOTES.txt:1: undefined value"),
        ("{{ Values.nope|b64encode }}", "lab/templates/NOTES.txt:1: undefined value"),
        ("{% if Values.nope %}{% endif %}", "lab/templates/NOTES.txt:1: undefined value"),
        ("a\n{% if %}", "lab/templates/NOTES.txt:2: syntax error: "),
        ("{{ x|nosuch }}", "lab/templates/NOTES.txt:1: unknown filter: "),
        (
            "{% include '_no' %}",
            "lab/templates/NOTES.txt:1: template not found: tried to include non-existing template '_no'",
        ),
        ("\n\n{{ Values.nope|required('a: b') }}", "lab/templates/NOTES.txt:3: a: b"),
        ("{{ ''|required('empty') }}", "lab/templates/NOTES.txt:1: empty"),
        ("{{ fail('no way') }}", "lab/templates/NOTES.txt:1: no way"),
        ("{{ '#'|b64decode }}", "lab/templates/NOTES.txt:1: invalid operation: Invalid"),
        (
            "{{ '{'|from_yaml }}",
            "lab/templates/NOTES.txt:1: invalid operation: error converting YAML to JSON",
        ),
        ("{{ lookup('v1') }}", "lab/templates/NOTES.txt:1: invalid operation: lookup takes"),
        ("{{ range|to_json }}", "lab/templates/NOTES.txt:1: invalid operation: a "),
    ] {
        let error = one(template, "a: {b: {}}").unwrap_err();
        assert!(error.to_string().starts_with(expected), "{template}: {error}");
    }
    assert!(
        matches!(one("{{ fail('x') }}", ""), Err(RenderError::Aborted { message, .. }) if message == "x")
    );
    let files = [("templates/_in.j2", "\n{{ Values.nope }}"), ("templates/a.yaml", "{% include '_in.j2' %}")];
    let error = rendered(&files, "").unwrap_err().to_string();
    assert!(
        error.starts_with("lab/templates/a.yaml:1: ")
            && error.contains("lab/templates/_in.j2:2: undefined value"),
        "{error}"
    );
    let files = [("templates/_broken.j2", "{% endfor %}")];
    assert!(matches!(rendered(&files, ""), Err(RenderError::Parse { .. })));
}

/// Each is bounded by a budget, and says by which.
#[test]
fn hostile_templates_end() {
    let small = RenderOptions { output_bytes: 1 << 20, ..RenderOptions::default() };
    for (name, template, limit) in [
        (
            "a long loop",
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
            Limit::Steps,
        ),
        (
            "doubling",
            "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
            Limit::Steps,
        ),
        (
            "doubling by capture",
            "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set t %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = t %}{% endfor %}",
            Limit::Steps,
        ),
        ("replacing", "{{ ('a' * 100000)|replace('a', 'b' * 100000)|length }}", Limit::Steps),
        ("repeating", "{{ ('a' * 99999999)|length }}", Limit::Steps),
        ("a wide indent", "{{ 'x'|indent(9999999999) }}", Limit::Steps),
        ("the widest indent", "{{ 'x\ny'|indent(18446744073709551615) }}", Limit::Output),
        (
            "shared parts",
            "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|to_json|length }}",
            Limit::Steps,
        ),
        ("much output", "{% for i in range(20000) %}{{ 'x' * 60 }}{% endfor %}", Limit::Output),
        ("endless include", "{% include 'case.yaml' %}", Limit::Depth),
        ("endless macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", Limit::Depth),
    ] {
        let files = [("templates/case.yaml", template)];
        match render_with(&files, "", Arc::new(NoCluster), &small) {
            Err(RenderError::LimitExceeded { text, limit: found, .. }) => {
                assert_eq!(found, limit, "{name}: {text}");
                assert!(
                    text.starts_with("lab/templates/case.yaml:") && text.ends_with(&limit.to_string()),
                    "{text}"
                );
            }
            other => panic!("{name}: {:?}", other.map(|manifest| manifest.to_text().len())),
        }
    }
    let late = RenderOptions { deadline: Some(Instant::now()), ..RenderOptions::default() };
    let error = render_with(&[("templates/a.yaml", "a: 1")], "", Arc::new(NoCluster), &late).unwrap_err();
    assert!(matches!(error, RenderError::LimitExceeded { limit: Limit::Time, .. }), "{error}");
}

fn nested(levels: u32, deep: &str, used: &str) -> String {
    let body = format!("{{% for i in range({levels}) %}}{{% set ns.x = {deep} %}}{{% endfor %}}");
    format!("{{% set ns = namespace(x=[]) %}}{body}{used}")
}

/// Values as deep as the fuel allows are made, printed, compared and dropped without an overflow of the stack.
#[test]
fn deep_values_end() {
    for (open, close) in [("[", "]"), ("{'k': ", "}"), ("(", ",)")] {
        // As deep as the parser lets an expression be, to save fuel.
        let deep = format!("{}ns.x{}", open.repeat(60), close.repeat(60));
        for used in [
            "",
            "{% set ns.x = 0 %}",
            "{{ ns.x }}",
            "{{ ns.x|string|length }}",
            "{{ ns.x|to_yaml }}",
            "{{ ns.x == [ns.x] }}",
            "{{ [ns.x, [ns.x]]|sort|length }}",
            "{{ {ns.x: 1}[ns.x] }}",
            "{{ [ns.x, ns.x]|unique|list|length }}",
        ] {
            // Whatever it says, it says something.
            let _ = one(&nested(8_000, &deep, used), "");
        }
        let said = one(&nested(100_000, &deep, ""), "");
        assert!(matches!(said, Err(RenderError::LimitExceeded { .. })), "{said:?}");
    }
}

struct OneSecret;

impl Lookup for OneSecret {
    fn lookup(&self, api: &str, kind: &str, ns: &str, name: &str) -> Result<serde_json::Value, String> {
        match name {
            "forbidden" => Err("secrets \"forbidden\" is forbidden".to_owned()),
            _ => {
                Ok(serde_json::json!({"kind": kind, "apiVersion": api, "at": format!("{ns}/{name}"), "n": 3}))
            }
        }
    }
}

#[test]
fn lookup_asks_the_cluster_and_is_noted() {
    let ask = |template: &str| {
        let files = [("templates/a.yaml", template)];
        render_with(&files, "", Arc::new(OneSecret), &RenderOptions::default())
    };
    let manifest =
        ask("kind: {{ lookup('v1', 'Secret', 'ns', 'x').at }} {{ lookup('v1', 'Secret', 'ns', 'x').n + 1 }}")
            .unwrap();
    assert!(manifest.to_text().contains("kind: ns/x 4"));
    let uses: Vec<(&str, &str, u32)> = manifest
        .impure
        .iter()
        .map(|Use { function, file, occurrence, .. }| (function.as_str(), file.as_str(), *occurrence))
        .collect();
    assert_eq!(uses, [("lookup", "lab/templates/a.yaml", 0), ("lookup", "lab/templates/a.yaml", 1)]);
    let error = ask("{{ lookup('v1', 'Secret', 'ns', 'forbidden') }}").unwrap_err().to_string();
    assert_eq!(error, "lab/templates/a.yaml:1: invalid operation: secrets \"forbidden\" is forbidden");
}

#[test]
fn what_depends_on_the_cluster_is_noted_with_its_place() {
    let files = [
        (
            "templates/a.yaml",
            "a: 1\nb: {{ Capabilities.KubeVersion.Major ~ Capabilities.KubeVersion.Minor }}\n",
        ),
        ("templates/b.yaml", "a: {{ Release.Name }}\n"),
        (
            "templates/c.yaml",
            "{% from '_m.tpl' import m %}a: {{ m() }}\nb: {{ lookup('v1', 'Secret', '', '').n }}\n",
        ),
        ("templates/_m.tpl", "{% macro m() %}{{ 'v1' in Capabilities.APIVersions }}{% endmacro %}"),
    ];
    let manifest = render_with(&files, "", Arc::new(OneSecret), &RenderOptions::default()).unwrap();
    let uses = manifest.impure.iter().map(|one| (one.function.as_str(), one.file.as_str(), one.line));
    let mut uses: Vec<_> = uses.collect();
    uses.sort_unstable();
    assert_eq!(
        uses,
        [
            ("Capabilities", "lab/templates/a.yaml", 2),
            // The macro's file is not the one that is being rendered.
            ("Capabilities", "lab/templates/c.yaml", 0),
            ("lookup", "lab/templates/c.yaml", 2),
        ]
    );
}

/// The example of the repository, as `docs/jinja.md` shows it; the file beside it is what users read.
#[test]
fn the_example_renders_as_it_is_written() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let template = crate::template::Template {
        name: Some("web".to_owned()),
        chart: examples.join("jinja").to_string_lossy().into_owned(),
        ..crate::template::Template::default()
    };
    let mut out = Vec::new();
    template.run(&mut out).unwrap();
    let golden = examples.join("jinja.golden.yaml");
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        std::fs::write(&golden, &out).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
