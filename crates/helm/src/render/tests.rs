//! Unit: whole charts through values and templates; expected texts are what helm v4.3.1 prints.

use std::sync::Arc;

use super::*;
use crate::chart::from_texts;
use crate::values::{CoalesceOptions, coalesce};

const CHART: (&str, &str) =
    ("Chart.yaml", "apiVersion: v2\nname: lab\nversion: 0.1.0\nappVersion: \"1.2.3\"\n");

fn facts() -> ReleaseFacts {
    ReleaseFacts { name: "rel".to_owned(), namespace: "ns".to_owned(), revision: 1, is_upgrade: false }
}

fn render_with(files: &[(&str, &str)], values: &str, lookup: Arc<dyn Lookup>) -> Result<Manifest, String> {
    let mut all = vec![CHART];
    all.extend(files);
    let chart = Arc::new(from_texts(&all).map_err(|error| error.to_string())?);
    let layer = Values::from_yaml(values.as_bytes()).map_err(|error| error.to_string())?;
    let coalesced =
        coalesce(&chart, [layer], CoalesceOptions::default()).map_err(|error| error.to_string())?;
    render(
        &coalesced.chart,
        &coalesced.values,
        &facts(),
        &Capabilities::default(),
        &lookup,
        &RenderOptions::default(),
    )
    .map_err(|error| error.to_string())
}

fn rendered(files: &[(&str, &str)], values: &str) -> Result<String, String> {
    render_with(files, values, Arc::new(NoCluster)).map(|manifest| manifest.to_text())
}

/// One template in a ConfigMap's place; its text without the head of the document.
fn one(template: &str) -> Result<String, String> {
    let text = rendered(&[("templates/case.yaml", template)], "")?;
    Ok(text.strip_prefix("---\n# Source: lab/templates/case.yaml\n").unwrap_or(&text).trim_end().to_owned())
}

#[test]
fn helms_functions() {
    for (template, expected) in [
        (r#"a: {{ include "t" . }}{{ define "t" }}<{{ .Values.zz }}>{{ end }}"#, "a: <>"),
        (r#"a: {{ tpl "{{ .Release.Name }}<no value>" . }}"#, "a: rel"),
        (r#"a: {{ toYaml (dict "b" 1 "a" (list)) | nindent 2 }}"#, "a: \n  a: []\n  b: 1"),
        (r#"a: {{ (fromYaml "x: 010").x }}"#, "a: 8"),
        (
            r#"a: {{ fromYaml "- a" | toJson }}"#,
            r#"a: {"Error":"error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}"}"#,
        ),
        (r#"a: {{ lookup "v1" "Secret" "ns" "n" | toJson }}"#, "a: {}"),
        (
            r#"a: {{ .Capabilities.KubeVersion }} {{ .Capabilities.APIVersions.Has "apps/v1" }}"#,
            "a: v1.37.0 true",
        ),
        (
            r#"a: {{ typeOf . }} {{ typeOf .Values }} {{ .Chart.AppVersion }} {{ .Chart.IsRoot }}"#,
            "a: common.Values common.Values 1.2.3 true",
        ),
        (r#"a: {{ durationTruncateTo "2h13m" "30m" }} {{ durationDays "36h" }}"#, "a: 2h0m0s 1.5"),
        (r#"a: {{ toToml (dict "a" 1 "d" (dict "e" true)) | quote }}"#, r#"a: "a = 1\n\n[d]\n  e = true\n""#),
        (r#"a: {{ fromToml "a = 1\n[b]\nc = \"x\"" | toJson }}"#, r#"a: {"a":1,"b":{"c":"x"}}"#),
        (r#"a: {{ getHostByName "localhost" }}."#, "a: ."),
        // Go's own functions stay Go's: `and` does not evaluate what it does not need.
        (r#"a: {{ and .Values.zz (fail "evaluated") | default "none" }}"#, "a: none"),
    ] {
        assert_eq!(one(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn failures_are_worded_as_in_helm() {
    for (template, expected) in [
        ("{{ nosuch }}", "parse error at (lab/templates/case.yaml:1): function \"nosuch\" not defined"),
        (r#"{{ fail "boom: x" }}"#, "execution error at (lab/templates/case.yaml:1:3): boom: x"),
        (r#"{{ .Values.zz | required "a: b" }}"#, "execution error at (lab/templates/case.yaml:1:16): a: b"),
        (
            "{{ .Values.zz.yy }}",
            "lab/templates/case.yaml:1:10\n  executing \"lab/templates/case.yaml\" at <.Values.zz.yy>:\n    nil pointer evaluating interface {}.yy",
        ),
        (
            r#"{{ define "t" }}{{ .x.y }}{{ end }}{{ include "t" (dict) }}"#,
            "lab/templates/case.yaml:1:38\n  executing \"lab/templates/case.yaml\" at <include \"t\" (dict)>:\n    error calling include:\nlab/templates/case.yaml:1:21\n  executing \"t\" at <.x.y>:\n    nil pointer evaluating interface {}.y",
        ),
        (
            r#"{{ .Values.PathValue "a.zz" }}"#,
            "template: lab/templates/case.yaml:1:10: executing \"lab/templates/case.yaml\" at <.Values.PathValue>: error calling PathValue: \"zz\" is not a value",
        ),
    ] {
        assert_eq!(one(template).unwrap_err(), expected, "{template}");
    }
}

#[test]
fn includes_end_at_a_thousand() {
    let template = |n| {
        format!(
            r#"a: {{{{ define "t" }}}}{{{{ if gt (int .n) 0 }}}}{{{{ include "t" (dict "n" (sub .n 1)) }}}}{{{{ else }}}}end{{{{ end }}}}{{{{ end }}}}{{{{ include "t" (dict "n" {n}) }}}}"#
        )
    };
    assert_eq!(one(&template(1000)).as_deref(), Ok("a: end"));
    assert!(
        one(&template(1001)).unwrap_err().contains("nested reference name: t: unable to execute template")
    );
    let endless = r#"{{ define "t" }}{{ tpl "{{ include \"t\" . }}" . }}{{ end }}{{ include "t" . }}"#;
    assert!(one(endless).is_err());
}

#[test]
fn templates_see_what_others_changed() {
    let files = [
        ("templates/b.yaml", "{{ $_ := set .Values \"seen\" \"b\" }}kind: B\n"),
        ("templates/a.yaml", "kind: A\nseen: {{ .Values.seen }}\n"),
        ("templates/_h.tpl", r#"{{ define "n" }}root{{ end }}"#),
        ("charts/kid/Chart.yaml", "apiVersion: v2\nname: kid\nversion: 0.1.0\n"),
        ("charts/kid/values.yaml", "x: 1\n"),
        ("charts/kid/templates/k.yaml", "kind: K\nx: {{ .Values.x }}\nn: {{ include \"n\" . }}\n"),
        ("charts/kid/templates/_h.tpl", r#"{{ define "n" }}kid{{ end }}"#),
        ("templates/NOTES.txt", "hello {{ .Release.Name }}, {{ .Subcharts.kid.Values.x }}"),
    ];
    let manifest = render_with(&files, "kid: {x: 2}", Arc::new(NoCluster)).unwrap();
    assert_eq!(
        manifest.to_text(),
        "---\n# Source: lab/templates/a.yaml\nkind: A\nseen: b\n\n---\n# Source: lab/templates/b.yaml\nkind: B\n\n---\n# Source: lab/charts/kid/templates/k.yaml\nkind: K\nx: 2\nn: root\n\n"
    );
    assert_eq!(manifest.notes, "hello rel, 2");
}

#[test]
fn dependencies_are_switched_named_and_imported() {
    let mut files = vec![
        ("templates/a.yaml", "kind: A\nv: {{ toJson .Values }}\n"),
        ("values.yaml", "tags: {t: false}\n"),
    ];
    let chart = "apiVersion: v2\nname: lab\nversion: 0.1.0\ndependencies:\n- {name: kid, version: 0.1.0, alias: one, condition: one.enabled, import-values: [{child: a, parent: got}]}\n- {name: kid, version: '>0.1', alias: two, tags: [t]}\n";
    files.push(("charts/kid/Chart.yaml", "apiVersion: v2\nname: kid\nversion: 0.1.0\n"));
    files.push(("charts/kid/values.yaml", "a: {b: 1}\n"));
    files.push(("charts/kid/templates/k.yaml", "kind: K\nn: {{ .Chart.Name }}\n"));
    let mut all = vec![("Chart.yaml", chart)];
    all.extend(&files);
    let chart = Arc::new(from_texts(&all).unwrap());
    for (layer, expected) in [
        (
            "{}",
            "---\n# Source: lab/templates/a.yaml\nkind: A\nv: {\"got\":{\"b\":1},\"one\":{\"a\":{\"b\":1},\"global\":{}},\"tags\":{\"t\":false}}\n\n---\n# Source: lab/charts/one/templates/k.yaml\nkind: K\nn: one\n\n",
        ),
        (
            "one: {enabled: false}",
            "---\n# Source: lab/templates/a.yaml\nkind: A\nv: {\"one\":{\"enabled\":false},\"tags\":{\"t\":false}}\n\n",
        ),
    ] {
        let layer = Values::from_yaml(layer.as_bytes()).unwrap();
        let coalesced = coalesce(&chart, [layer], CoalesceOptions::default()).unwrap();
        let lookup: Arc<dyn Lookup> = Arc::new(NoCluster);
        let manifest = render(
            &coalesced.chart,
            &coalesced.values,
            &facts(),
            &Capabilities::default(),
            &lookup,
            &RenderOptions::default(),
        )
        .unwrap();
        assert_eq!(manifest.to_text(), expected);
    }
    assert_eq!(chart.parsed.lock().len(), 2, "the sets of both choices are kept");
}

struct OneSecret;

impl Lookup for OneSecret {
    fn lookup(
        &self,
        api: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, String> {
        match name {
            "forbidden" => Err("secrets \"forbidden\" is forbidden".to_owned()),
            _ => Ok(
                serde_json::json!({"kind": kind, "apiVersion": api, "at": format!("{namespace}/{name}"), "n": 3}),
            ),
        }
    }
}

#[test]
fn lookup_asks_the_cluster() {
    let ask = |template: &str| render_with(&[("templates/a.yaml", template)], "", Arc::new(OneSecret));
    let found =
        ask(r#"kind: {{ (lookup "v1" "Secret" "ns" "x").at }} {{ typeOf (lookup "v1" "Secret" "" "").n }}"#);
    assert!(found.unwrap().to_text().contains("kind: ns/x int64"));
    let error = ask(r#"{{ lookup "v1" "Secret" "ns" "forbidden" }}"#).unwrap_err();
    assert!(error.ends_with("error calling lookup: secrets \"forbidden\" is forbidden"), "{error}");
}

struct OneHost;

impl Lookup for OneHost {
    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<serde_json::Value, String> {
        Err("there is no cluster".to_owned())
    }

    fn addresses(&self, host: &str) -> Option<Vec<String>> {
        let addresses = if host == "db" { vec!["10.0.0.1", "10.0.0.2"] } else { Vec::new() };
        Some(addresses.into_iter().map(str::to_owned).collect())
    }
}

#[test]
fn hosts_have_addresses_where_names_are_resolved() {
    let ask = |template: &str| render_with(&[("templates/a.yaml", template)], "", Arc::new(OneHost));
    assert!(ask(r#"at: {{ getHostByName "db" }}"#).unwrap().to_text().contains("at: 10.0.0.1\n"));
    let error = ask(r#"at: {{ getHostByName "nobody" }}"#).unwrap_err();
    assert!(error.ends_with("error calling getHostByName: invalid argument to Intn"), "{error}");
}

#[test]
fn budgets_hold() {
    let chart =
        Arc::new(from_texts(&[CHART, ("templates/a.yaml", "{{ range until 100000 }}x{{ end }}")]).unwrap());
    let coalesced = coalesce(&chart, [], CoalesceOptions::default()).unwrap();
    let lookup: Arc<dyn Lookup> = Arc::new(NoCluster);
    for options in [
        RenderOptions { steps: 1000, ..RenderOptions::default() },
        RenderOptions { output_bytes: 1000, ..RenderOptions::default() },
        RenderOptions { deadline: Some(Instant::now()), ..RenderOptions::default() },
    ] {
        let result = render(
            &coalesced.chart,
            &coalesced.values,
            &facts(),
            &Capabilities::default(),
            &lookup,
            &options,
        );
        assert!(matches!(result, Err(RenderError::LimitExceeded { .. })), "{result:?}");
    }
}

/// Each of them may take seconds in which no clock is looked at.
#[test]
fn slow_calls_are_counted() {
    for slow in [r#"genPrivateKey "none""#, r#"htpasswd "a:b" "p""#] {
        let text = format!("{{{{ range until 501 }}}}{{{{ $x := {slow} }}}}{{{{ end }}}}");
        let error = one(&text).unwrap_err();
        assert!(
            error.ends_with("exceeded the maximum number of keys, certificates and password hashes"),
            "{error}"
        );
        assert!(one(&text.replace("501", "500")).is_ok());
    }
}

/// Deep nesting of whatever kind is an error or a result, never the end of the process.
#[test]
fn depth_is_no_danger() {
    let deep = "$d := dict }}{{ range until 20000 }}{{ $d = dict \"d\" $d }}{{ end }}{{";
    let lists = "[".repeat(20_000);
    for template in [
        format!("{{{{ {deep} toYaml $d | len }}}}"),
        format!("{{{{ {deep} toYamlPretty $d | len }}}}"),
        format!("{{{{ {deep} toJson $d | len }}}}"),
        format!("{{{{ {deep} toPrettyJson $d | len }}}}"),
        format!("{{{{ {deep} toToml $d | len }}}}"),
        format!("{{{{ {deep} deepCopy $d | len }}}}"),
        format!("{{{{ {deep} merge (dict) $d | len }}}}"),
        format!("{{{{ {deep} mergeOverwrite (deepCopy $d) $d | len }}}}"),
        format!("{{{{ {deep} deepEqual $d (dict \"d\" $d) }}}}"),
        format!("{{{{ {deep} print $d | len }}}}"),
        format!("{{{{ fromYaml \"a: {lists}\" | len }}}}"),
        format!("{{{{ fromJson \"{{\\\"a\\\":{lists}\" | len }}}}"),
        format!("{{{{ fromToml \"a = {lists}\" | len }}}}"),
        format!("{{{{ regexMatch \"{}\" \"a\" }}}}", "(".repeat(20_000)),
        format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("{}x{}", "{{ if 1 }}".repeat(20_000), "{{ end }}".repeat(20_000)),
    ] {
        // That it ends is what counts.
        let _ = one(&template);
    }
}

#[test]
fn what_cannot_be_repeated_is_named() {
    let files = [(
        "templates/a.yaml",
        "a: {{ randAlpha 5 }}{{ uuidv4 }}{{ randAlpha 1 }}\n# {{ lookup \"v1\" \"Secret\" \"\" \"x\" }}\n\
         # {{ getHostByName \"h\" }}\n# {{ range until 3 }}{{ $.Capabilities.KubeVersion }}{{ end }}\n\
         # {{ if .Capabilities.APIVersions.Has \"v1\" }}{{ end }}\n",
    )];
    let manifest = render_with(&files, "", Arc::new(NoCluster)).unwrap();
    let uses: Vec<_> =
        manifest.impure.iter().map(|one| (one.function.as_str(), one.line, one.occurrence)).collect();
    assert_eq!(
        uses,
        [
            ("randAlpha", 1, 0),
            ("uuidv4", 1, 0),
            ("randAlpha", 1, 0),
            ("lookup", 2, 0),
            ("getHostByName", 3, 0),
            ("Capabilities", 4, 0),
            ("Capabilities", 5, 0),
        ]
    );
    assert_eq!(manifest.impure.iter().filter(|one| one.is_asking()).count(), 4);
}

#[test]
fn a_chart_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Chart>();
    shared::<Values>();
    shared::<Manifest>();
    shared::<RenderError>();
}

#[test]
fn an_error_shows_paths_of_what_was_rendered_but_no_text() {
    let files = BTreeMap::from([("lab/templates/s.yaml".to_owned(), "password: hunter2".to_owned())]);
    let shown = format!("{:?}", error::RenderedFiles(files));
    assert_eq!(shown, r#"["lab/templates/s.yaml"]"#);
}
