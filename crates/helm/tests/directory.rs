//! Integration: a chart's folder through the pipeline of `template`; outputs follow helm v4.3.1.

use std::path::Path;

use pintle_helm::template::{Template, ValueSources};

fn chart() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/ignored").to_string_lossy().into_owned()
}

fn run(template: Template) -> Result<String, String> {
    let mut out = Vec::new();
    let template = Template { name: Some("rel".to_owned()), chart: chart(), ..template };
    template.run(&mut out).map_err(|error| error.to_string())?;
    String::from_utf8(out).map_err(|error| error.to_string())
}

const SECRET: &str = "---\n# Source: ignored/charts/kid/templates/s.yaml\nkind: Secret\nsize: 2\n\n";
const CONFIG: &str =
    "---\n# Source: ignored/templates/a.yaml\nkind: ConfigMap\nmetadata:\n  name: rel\nn: 3\nreplicas: 1\n";
const HOOK: &str = "---\n# Source: ignored/templates/hook.yaml\nkind: Job\nmetadata:\n  name: hook\n  annotations:\n    helm.sh/hook: pre-install,test\n\n";
const CRD: &str = "---\n# Source: ignored/crds/c.yaml\nkind: CustomResourceDefinition\nmetadata: {name: {{ not a template }}}\n\n";

#[test]
fn flags_choose_what_is_printed() {
    for (name, template, expected) in [
        ("everything but definitions", Template::default(), format!("{SECRET}{CONFIG}{HOOK}")),
        (
            "definitions come first",
            Template { include_crds: true, ..Template::default() },
            format!("{CRD}{SECRET}{CONFIG}{HOOK}"),
        ),
        ("no hooks", Template { no_hooks: true, ..Template::default() }, format!("{SECRET}{CONFIG}")),
        ("no tests", Template { skip_tests: true, ..Template::default() }, format!("{SECRET}{CONFIG}")),
        (
            "one template",
            Template { show_only: vec!["charts/*/templates/*".to_owned()], ..Template::default() },
            format!("{SECRET}\n"),
        ),
        (
            "values",
            Template {
                values: ValueSources { set: vec!["replicas=3".to_owned()], ..ValueSources::default() },
                no_hooks: true,
                ..Template::default()
            },
            format!("{SECRET}{}", CONFIG.replace("replicas: 1", "replicas: 3")),
        ),
    ] {
        assert_eq!(run(template), Ok(expected), "{name}");
    }
}

#[test]
fn failures_have_helms_text() {
    for (template, expected) in [
        (
            Template { show_only: vec!["templates/nope.yaml".to_owned()], ..Template::default() },
            "could not find template templates/nope.yaml in chart",
        ),
        (
            Template { kube_version: Some("abc".to_owned()), ..Template::default() },
            "invalid kube version 'abc': could not parse \"abc\" as version",
        ),
        (
            Template {
                values: ValueSources { files: vec!["/nonexistent".to_owned()], ..ValueSources::default() },
                ..Template::default()
            },
            "open /nonexistent: no such file or directory",
        ),
    ] {
        assert_eq!(run(template).unwrap_err(), expected);
    }
}

#[test]
fn files_are_written_below_the_output_directory() {
    let directory = std::env::temp_dir().join(format!("pintle-template-{}", std::process::id()));
    let template = Template { output_dir: Some(directory.clone()), ..Template::default() };
    let out = run(template).unwrap();
    assert!(out.contains("ignored/templates/a.yaml"), "{out}");
    assert_eq!(
        std::fs::read_to_string(directory.join("ignored/templates/a.yaml")).unwrap(),
        format!("{CONFIG}\n")
    );
    std::fs::remove_dir_all(directory).unwrap();
}

/// As helm v4.3.1 prints it, but for the order of the files, which is random there.
#[test]
fn with_debug_what_is_no_yaml_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: brk\nversion: 0.1.0\n"),
        ("templates/a.yaml", "kind: A\n \n"),
        ("templates/_p.yaml", "{{ define \"p\" }}{{ end }}"),
        ("templates/x.yaml", "a: b: c\n"),
    ];
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let printed = |debug, show_only: &[&str]| {
        let template = Template {
            chart: folder.path().to_string_lossy().into_owned(),
            show_only: show_only.iter().map(|name| (*name).to_owned()).collect(),
            debug,
            ..Template::default()
        };
        let mut out = Vec::new();
        let error = template.run(&mut out).unwrap_err().to_string();
        (String::from_utf8(out).unwrap(), error)
    };
    let error = "YAML parse error on brk/templates/x.yaml: error converting YAML to JSON: yaml: mapping values are not allowed in this context";
    let a = "---\n# Source: brk/templates/a.yaml\nkind: A\n \n\n";
    let x = "---\n# Source: brk/templates/x.yaml\na: b: c\n";
    assert_eq!(printed(true, &[]), (format!("{a}{x}"), error.to_owned()));
    assert_eq!(printed(true, &["templates/x.yaml"]), (format!("{x}\n"), error.to_owned()));
    let advised = format!("{error}\n\nUse --debug flag to render out invalid YAML");
    assert_eq!(printed(false, &[]), (String::new(), advised));
}
