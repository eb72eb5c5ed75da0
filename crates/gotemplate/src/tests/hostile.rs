//! Unit: what would exhaust stack, time or memory ends with an error.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{data, funcs, options, run, run_with};
use crate::{ErrorKind, Limit, Limits, Options, RECOMMENDED_STACK, TemplateSet, Value};

fn on_stack(bytes: usize, f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(bytes).spawn(f).unwrap().join().unwrap();
}

fn limited(text: &str, limits: Limits) -> Option<Limit> {
    let error = run_with(text, &Options { limits, ..options() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    error.limit_reached()
}

#[test]
fn deep_nesting_is_a_parse_error_and_not_an_overflow() {
    on_stack(2 << 20, || {
        let n = 100_000;
        let cases = [
            format!("{{{{ {}1{} }}}}", "(".repeat(n), ")".repeat(n)),
            format!("{{{{ {} }}}}", "(".repeat(n)),
            "{{if true}}".repeat(n),
            format!("{}{}", "{{if true}}".repeat(n), "{{end}}".repeat(n)),
            format!("{}{}", "{{range .l}}{{with .}}".repeat(n), "{{end}}{{end}}".repeat(n)),
            format!("{{{{if false}}}}{}{{{{end}}}}", "{{else if false}}".repeat(n)),
            format!("{}{}", r#"{{block "x" .}}"#.repeat(n), "{{end}}".repeat(n)),
        ];
        for text in cases {
            let error = TemplateSet::new().parse("f", &text, &funcs()).unwrap_err();
            assert!(error.to_string().contains("depth exceeded"), "{error}");
        }
    });
}

/// The deepest text that parses can also be executed (or refused), printed and dropped on the same stack.
#[test]
fn what_parses_can_be_executed() {
    on_stack(2 << 20, || {
        let mut deepest = 0;
        for n in (50..5000).step_by(50) {
            let text = format!("{}x{}", "{{if true}}".repeat(n), "{{end}}".repeat(n));
            if TemplateSet::new().parse("f", &text, &funcs()).is_err() {
                break;
            }
            deepest = n;
            match run(&text) {
                Ok(out) => assert_eq!(out, "x"),
                Err(error) => assert_eq!(error.limit_reached(), Some(Limit::Depth)),
            }
            let open = format!("{}{}", "{{range nil.}}".repeat(n), "{{end}}".repeat(n));
            assert!(TemplateSet::new().parse("f", &open, &funcs()).is_err());
        }
        assert!(deepest >= 200, "{deepest}");
        for n in (50..5000).step_by(50) {
            let text = format!("{{{{ upper {}1{} }}}}", "(".repeat(n), ")".repeat(n));
            if TemplateSet::new().parse("f", &text, &funcs()).is_err() {
                break;
            }
            run(&text).unwrap_err();
        }
    });
}

const RECURSION: &str = r#"{{ define "r" }}{{ if .d }}{{ with . }}{{ range $i, $x := list 1 }}{{ if true -}}
    {{ include "r" (dict "d" (list 1)) | len }}{{ end }}{{ end }}{{ end }}{{ end }}{{ end }}"#;

/// As Helm: 1000 nested includes work, inside any control structure, if the thread is as large as recommended.
#[test]
fn a_thousand_includes_fit_the_recommended_stack() {
    on_stack(RECOMMENDED_STACK, || {
        let text = format!(r#"{RECURSION}{{{{ include "r" (dict "d" 1) }}}}"#);
        let limits = Limits { depth: 1000, ..Limits::for_stack(RECOMMENDED_STACK) };
        assert_eq!(limited(&text, limits), Some(Limit::Depth));
        let error = run_with(&text, &Options { limits, ..options() }).unwrap_err();
        // The limit of 1000 templates was met, not the end of the stack.
        assert_eq!(error.frames().len(), 1001);
        assert!(error.to_string().len() > 50_000);
    });
}

#[test]
fn a_small_stack_is_not_overflown() {
    on_stack(2 << 20, || {
        let text = format!(r#"{RECURSION}{{{{ include "r" (dict "d" 1) }}}}"#);
        assert_eq!(limited(&text, Limits::default()), Some(Limit::Depth));
        let template =
            r#"{{ define "r" }}{{ with . }}{{ template "r" . }}{{ end }}{{ end }}{{ template "r" . }}"#;
        assert_eq!(limited(template, Limits::default()), Some(Limit::Depth));
        let tpl = "{{ tpl .s (dict \"s\" .s) }}"
            .replace(".s ", "\"{{ tpl .t . }}\" ")
            .replace(".s)", "1 \"t\" \"{{ tpl .t . }}\")");
        assert_eq!(limited(&tpl, Limits::default()), Some(Limit::Depth));
    });
}

#[test]
fn deep_values_are_dropped_printed_and_compared() {
    on_stack(2 << 20, || {
        let (mut lists, mut maps) = (Value::Nil, Value::Nil);
        for _ in 0..100_000 {
            lists = Value::list(vec![lists]);
            maps = super::map([("k", maps)]);
        }
        assert!(!crate::printf::to_text(&lists).is_empty());
        assert_eq!(crate::printf::try_sprint(&[maps.clone()], 1 << 20), Err(Limit::Depth));
        let mut other = Value::Nil;
        for _ in 0..100_000 {
            other = Value::list(vec![other]);
        }
        assert!(!crate::deep_equal(&lists, &other));
        drop((lists, maps, other));
        let grow = "{{ $d := dict }}{{ range 50000 }}{{ $d = dict \"d\" $d }}{{ end }}";
        assert_eq!(run(grow).unwrap(), "");
    });
}

#[test]
fn a_map_that_contains_itself_cannot_be_printed() {
    let text = r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $_ := set $d "too" $d }}"#;
    for print in ["{{ $d }}", "{{ print $d }}", "{{ printf \"%v\" $d }}", "{{ html $d }}"] {
        assert_eq!(limited(&format!("{text}{print}"), Limits::default()), Some(Limit::Depth));
    }
}

#[test]
fn budgets() {
    let limits = Limits { steps: 1000, ..Limits::default() };
    assert_eq!(limited("{{ range 1000000 }}x{{ end }}", limits), Some(Limit::Steps));
    assert_eq!(limited("{{ range 9223372036854775807 }}{{ end }}", limits), Some(Limit::Steps));
    let limits = Limits { output: 1000, ..Limits::default() };
    assert_eq!(limited("{{ range 1000000 }}x{{ end }}", limits), Some(Limit::Output));
    assert_eq!(limited("{{ charge 1001 }}", limits), Some(Limit::Output));
    assert_eq!(limited("{{ printf \"%999999d\" 1 }}", limits), Some(Limit::Output));
    let limits = Limits { deadline: Some(Instant::now() + Duration::from_millis(20)), ..Limits::default() };
    assert_eq!(limited("{{ range 1000000000 }}{{ end }}", limits), Some(Limit::Time));
}

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "if ",
        "else ",
        "end",
        "range ",
        "with ",
        "define ",
        "template ",
        "block ",
        "break",
        "\"a\"",
        "`r`",
        "1",
        "2.5",
        "'x'",
        "1+2i",
        "0x1p4",
        "nil",
        ".",
        ".a.b",
        ".l",
        "$",
        "$x",
        "$x := ",
        "$i, $x := ",
        "|",
        "(",
        ")",
        " ",
        "\n",
        "printf \"%[2]*.3v\" ",
        "index ",
        "slice ",
        "eq ",
        "and ",
        "/*",
        "*/",
        ",",
        ":",
        "=",
        "\u{e9}",
        "\u{2028}",
    ]);
    let piece = prop_oneof![8 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 1..4)];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in fragments()) {
        let funcs = funcs();
        let mut set = TemplateSet::new();
        if set.parse("f", &text, &funcs).is_ok() {
            let _ = set.execute("f", &data(), &funcs, &(), &options()).map_err(|error| error.to_string());
        }
    }

    #[test]
    fn no_bytes_panic(text in prop::collection::vec(any::<u8>(), 0..64)) {
        let text = [b"{{".as_slice(), &text, b"}}"].concat();
        let _ = TemplateSet::new().parse("f", &text, &funcs()).map_err(|error| error.to_string());
    }

    #[test]
    fn no_format_panics(format in "[%a-zA-Z0-9#+ .*\\[\\]-]{0,20}", f in any::<f64>(), n in any::<i64>()) {
        let args = [Value::Float(f), Value::int(n), Value::string("é\u{7f}"), Value::Nil, Value::bytes(b"x")];
        let _ = crate::printf::try_sprintf(format.as_bytes(), &args, 1 << 20);
    }
}
