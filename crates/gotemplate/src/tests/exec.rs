//! Unit: execution, by rows of Go's `exec_test.go` where its data can be had, and by Helm's own behaviour.
//!
//! The rows are those of Go 1.26: Copyright The Go Authors, BSD-style licence (see the repository's NOTICE).

use super::{check, funcs, map, options, run_with};
use crate::{IntKind, MissingKey, Options, TemplateSet, Value};

/// Go's `cmpTests`: expression, and what it prints; `None` is an error.
#[test]
fn comparisons() {
    #[rustfmt::skip]
    let rows: &[(&str, Option<&str>)] = &[
    ("eq true true", Some("true")),
    ("eq true false", Some("false")),
    ("eq 1+2i 1+2i", Some("true")),
    ("eq 1+2i 1+3i", Some("false")),
    ("eq 1.5 1.5", Some("true")),
    ("eq 1.5 2.5", Some("false")),
    ("eq 1 1", Some("true")),
    ("eq 1 2", Some("false")),
    ("eq `xy` `xy`", Some("true")),
    ("eq `xy` `xyz`", Some("false")),
    ("eq .Uthree .Uthree", Some("true")),
    ("eq .Uthree .Ufour", Some("false")),
    ("eq 3 4 5 6 3", Some("true")),
    ("eq 3 4 5 6 7", Some("false")),
    ("ne true true", Some("false")),
    ("ne true false", Some("true")),
    ("ne 1+2i 1+2i", Some("false")),
    ("ne 1+2i 1+3i", Some("true")),
    ("ne 1.5 1.5", Some("false")),
    ("ne 1.5 2.5", Some("true")),
    ("ne 1 1", Some("false")),
    ("ne 1 2", Some("true")),
    ("ne `xy` `xy`", Some("false")),
    ("ne `xy` `xyz`", Some("true")),
    ("ne .Uthree .Uthree", Some("false")),
    ("ne .Uthree .Ufour", Some("true")),
    ("lt 1.5 1.5", Some("false")),
    ("lt 1.5 2.5", Some("true")),
    ("lt 1 1", Some("false")),
    ("lt 1 2", Some("true")),
    ("lt `xy` `xy`", Some("false")),
    ("lt `xy` `xyz`", Some("true")),
    ("lt .Uthree .Uthree", Some("false")),
    ("lt .Uthree .Ufour", Some("true")),
    ("le 1.5 1.5", Some("true")),
    ("le 1.5 2.5", Some("true")),
    ("le 2.5 1.5", Some("false")),
    ("le 1 1", Some("true")),
    ("le 1 2", Some("true")),
    ("le 2 1", Some("false")),
    ("le `xy` `xy`", Some("true")),
    ("le `xy` `xyz`", Some("true")),
    ("le `xyz` `xy`", Some("false")),
    ("le .Uthree .Uthree", Some("true")),
    ("le .Uthree .Ufour", Some("true")),
    ("le .Ufour .Uthree", Some("false")),
    ("gt 1.5 1.5", Some("false")),
    ("gt 1.5 2.5", Some("false")),
    ("gt 1 1", Some("false")),
    ("gt 2 1", Some("true")),
    ("gt 1 2", Some("false")),
    ("gt `xy` `xy`", Some("false")),
    ("gt `xy` `xyz`", Some("false")),
    ("gt .Uthree .Uthree", Some("false")),
    ("gt .Uthree .Ufour", Some("false")),
    ("gt .Ufour .Uthree", Some("true")),
    ("ge 1.5 1.5", Some("true")),
    ("ge 1.5 2.5", Some("false")),
    ("ge 2.5 1.5", Some("true")),
    ("ge 1 1", Some("true")),
    ("ge 1 2", Some("false")),
    ("ge 2 1", Some("true")),
    ("ge `xy` `xy`", Some("true")),
    ("ge `xy` `xyz`", Some("false")),
    ("ge `xyz` `xy`", Some("true")),
    ("ge .Uthree .Uthree", Some("true")),
    ("ge .Uthree .Ufour", Some("false")),
    ("ge .Ufour .Uthree", Some("true")),
    ("eq .Uthree .Three", Some("true")),
    ("eq .Three .Uthree", Some("true")),
    ("le .Uthree .Three", Some("true")),
    ("le .Three .Uthree", Some("true")),
    ("ge .Uthree .Three", Some("true")),
    ("ge .Three .Uthree", Some("true")),
    ("lt .Uthree .Three", Some("false")),
    ("lt .Three .Uthree", Some("false")),
    ("gt .Uthree .Three", Some("false")),
    ("gt .Three .Uthree", Some("false")),
    ("eq .Ufour .Three", Some("false")),
    ("lt .Ufour .Three", Some("false")),
    ("gt .Ufour .Three", Some("true")),
    ("eq .NegOne .Uthree", Some("false")),
    ("eq .Uthree .NegOne", Some("false")),
    ("ne .NegOne .Uthree", Some("true")),
    ("ne .Uthree .NegOne", Some("true")),
    ("lt .NegOne .Uthree", Some("true")),
    ("lt .Uthree .NegOne", Some("false")),
    ("le .NegOne .Uthree", Some("true")),
    ("le .Uthree .NegOne", Some("false")),
    ("gt .NegOne .Uthree", Some("false")),
    ("gt .Uthree .NegOne", Some("true")),
    ("ge .NegOne .Uthree", Some("false")),
    ("ge .Uthree .NegOne", Some("true")),
    ("eq (index `x` 0) 'x'", Some("true")),
    ("eq (index `x` 0) 'y'", Some("false")),
    ("eq `xy` 1", None),
    ("eq 2 2.0", None),
    ("lt true true", None),
    ("lt 1+0i 1+0i", None),
    ];
    let funcs = funcs();
    let uint = |n| Value::Int(n, IntKind::Uint);
    let data =
        map([("Uthree", uint(3)), ("Ufour", uint(4)), ("NegOne", Value::int(-1)), ("Three", Value::int(3))]);
    for (text, expected) in rows {
        let mut set = TemplateSet::new();
        set.parse("cmp", format!("{{{{{text}}}}}"), &funcs).unwrap();
        let got = set.execute("cmp", &data, &funcs, &(), &options());
        assert_eq!(got.ok().as_deref(), expected.map(str::as_bytes), "{text}");
    }
}

#[rustfmt::skip]
#[test]
fn constants() {
    check(&[
        ("{{1}} {{-0}} {{-0.0}} {{1.5}} {{1e3}} {{1e20}} {{0x1F}} {{017}} {{0b101}} {{1_000}}", "1 0 -0 1.5 1000 1e+20 31 15 5 1000"),
        ("{{'a'}} {{1i}} {{1+2i}} {{0x1p4}} {{true}}", "97 (0+1i) (1+2i) 16 true"),
        (r#"{{`raw\n`}}{{"\x41\u00e9"}}"#, "raw\\nA\u{e9}"),
        ("{{ int 2.0 }} {{ int 'a' }}", "2 97"),
        ("{{ 9223372036854775808 }}", r#"template: f:1:3: executing "f" at <9223372036854775808>: 9223372036854775808 overflows int"#),
        ("{{ int 2.5 }}", r#"template: f:1:7: executing "f" at <2.5>: expected integer; found 2.5"#),
        ("{{ nil }}", r#"template: f:1:3: executing "f" at <nil>: nil is not a command"#),
        ("{{ (1) 2 }}", r#"template: f:1:3: executing "f" at <(1) 2>: can't give argument to non-function 1"#),
    ]);
}

#[rustfmt::skip]
#[test]
fn fields() {
    check(&[
        ("{{ .a.b.c }} {{ $.a.b.c }} {{ (.a).b.c }} {{ .zz }}", "deep deep deep <no value>"),
        ("{{ .a.zz.y }}", r#"template: f:1:5: executing "f" at <.a.zz.y>: nil pointer evaluating interface {}.y"#),
        ("{{ (.zz).y }}{{ $x := .zz }}{{ $x.y }}", "<no value><no value>"),
        ("{{ .s.x }}", r#"template: f:1:5: executing "f" at <.s.x>: can't evaluate field x in type interface {}"#),
        ("{{ (list 1 2).a }}", r#"template: f:1:11: executing "f" at <2>: can't evaluate field a in type []interface {}"#),
        ("{{ .s 1 }}", r#"template: f:1:3: executing "f" at <.s>: s is not a method but has arguments"#),
        ("{{ range .l }}{{ .x }}{{ end }}", r#"template: f:1:17: executing "f" at <.x>: can't evaluate field x in type interface {}"#),
    ]);
}

#[test]
fn missing_keys() {
    let with = |missing_key| Options { missing_key, ..Options::default() };
    let run = |text, options| run_with(text, &options).map_err(|error| error.to_string());
    assert_eq!(run("{{ .zz }}{{ .zz.y }}", with(MissingKey::Default)).unwrap(), "<no value><no value>");
    let error = run("{{ .zz }}", with(MissingKey::Error)).unwrap_err();
    assert_eq!(error, r#"template: f:1:3: executing "f" at <.zz>: map has no entry for key "zz""#);
}

#[rustfmt::skip]
#[test]
fn control() {
    check(&[
        ("{{ if $x := 0 }}{{ else }}<{{ $x }}>{{ end }}", "<0>"),
        ("{{ if .e }}a{{ else if .t }}b{{ else }}c{{ end }}", "b"),
        ("{{ with .zz }}a{{ else with $y := 7 }}b{{ . }}{{ $y }}{{ else }}c{{ end }}", "b77"),
        ("{{ range 3 }}{{ . }}{{ end }}{{ range -1 }}x{{ else }}none{{ end }}", "012none"),
        ("{{ range $k, $v := .m }}{{ $k }}={{ $v }};{{ end }}", "j=<no value>;k=v;"),
        ("{{ range $i, $v := .l }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ if eq $i 3 }}{{ break }}{{ end }}{{ $v }},{{ end }}", "1,2.5,"),
        ("{{ $i := 9 }}{{ range $i = list 4 5 }}{{ end }}{{ $i }}", "5"),
        ("{{ range $i, $v := list }}{{ else }}{{ $v }}{{ end }}", "[]"),
        ("{{ range .s }}{{ end }}", r#"template: f:1:9: executing "f" at <.s>: range can't iterate over str"#),
        ("{{ range $i, $v := 3 }}{{ end }}", r#"template: f:1:19: executing "f" at <3>: can't use 3 to iterate over more than one variable"#),
    ]);
}

#[rustfmt::skip]
#[test]
fn variables() {
    check(&[
        ("{{ $x := 1 }}{{ $x := add1 $x }}{{ $x }}", "2"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x = 3 }}{{ end }}{{ $x }}", "1"),
        ("{{ $x := 1 }}{{ with 2 }}{{ $x = . }}{{ end }}{{ $x }}", "2"),
        ("{{ ($x := 3) }}{{ $x }}", "33"),
        ("{{ $x = 1 }}", r#"template: f:1:8: executing "f" at <1>: undefined variable: $x"#),
        ("{{ $x := $x }}", r#"template: f:1:9: executing "f" at <$x>: undefined variable: $x"#),
        ("{{ and false ($x := 1) }}{{ $x }}", r#"template: f:1:28: executing "f" at <$x>: undefined variable: $x"#),
        (r#"{{ $x := 1 }}{{ define "t" }}{{ $ }}{{ end }}{{ template "t" $x }}"#, "1"),
        (r#"{{ $x := 1 }}{{ define "t" }}{{ $x }}{{ end }}"#, r#"template: f:1: undefined variable "$x""#),
    ]);
}

#[rustfmt::skip]
#[test]
fn templates() {
    check(&[
        (r#"{{ define "t" }}[{{ . }}]{{ end }}{{ template "t" 1 }}{{ include "t" 2 }}{{ template "t" }}"#, "[1][2][<no value>]"),
        (r#"{{ block "b" .s }}<{{ . }}>{{ end }}"#, "<str>"),
        (r#"{{ template "zz" 1 }}"#, r#"template: f:1:12: executing "f" at <{{template "zz" 1}}>: template "zz" not defined"#),
        (r#"a{{ include "x" . | printf "%s|%s" (include "x" .) }}{{ define "x" }}<{{ .s }}>{{ end }}"#, "a<str>|<str>"),
        (r#"{{ tpl "{{ define \"in\" }}I{{ end }}{{ include \"in\" . }}{{ .s }}" . }}{{ tpl "plain" . }}"#, "Istrplain"),
        (r#"{{ define "in" }}out{{ end }}{{ tpl "{{ define \"in\" }}I{{ end }}{{ template \"in\" }}" . }}{{ template "in" }}"#, "Iout"),
        ("{{ host }}", "host"),
    ]);
}

#[rustfmt::skip]
#[test]
fn arguments() {
    check(&[
        ("{{ upper 5 }}", r#"template: f:1:9: executing "f" at <5>: expected string; found 5"#),
        ("{{ upper nil }}", r#"template: f:1:9: executing "f" at <nil>: cannot assign nil to string"#),
        ("{{ .n | upper }}", r#"template: f:1:8: executing "f" at <upper>: wrong type for value; expected string; got int"#),
        ("{{ .zz | upper }}", r#"template: f:1:9: executing "f" at <upper>: invalid value; expected string"#),
        ("{{ upper .zz }}", r#"template: f:1:9: executing "f" at <.zz>: wrong type for value; expected string; got interface {}"#),
        ("{{ upper }}", r#"template: f:1:3: executing "f" at <upper>: wrong number of args for upper: want 1 got 0"#),
        (r#"{{ "a" | upper "b" }}"#, r#"template: f:1:9: executing "f" at <upper>: wrong number of args for upper: want 1 got 2"#),
        ("{{ printf }}", r#"template: f:1:3: executing "f" at <printf>: wrong number of args for printf: want at least 1 got 0"#),
        (r#"{{ set 1 "a" 2 }}"#, r#"template: f:1:7: executing "f" at <1>: can't handle 1 for arg of type map[string]interface {}"#),
        (r#"{{ $_ := set .m "new" 1 }}{{ .m.new }}"#, "1"),
    ]);
}

#[rustfmt::skip]
#[test]
fn builtins() {
    check(&[
        (r#"{{ and 1 0 2 }}{{ or 0 "" }}|{{ and 0 (fail "no") }}{{ 3 | and 1 2 }}{{ not .e }}"#, "0|03true"),
        ("{{ len .l }}{{ len .s }}{{ len .m }}", "432"),
        ("{{ len nil }}", r#"template: f:1:3: executing "f" at <len nil>: error calling len: reflect: call of reflect.Value.Type on zero Value"#),
        ("{{ len .zz }}", r#"template: f:1:3: executing "f" at <len .zz>: error calling len: len of nil pointer"#),
        (r#"{{ index .l 1 }}{{ index .a "b" "c" }}{{ index .s 0 }}{{ index .m "zz" }}"#, "xdeep115<no value>"),
        ("{{ index .l 4 }}", r#"template: f:1:3: executing "f" at <index .l 4>: error calling index: reflect: slice index out of range"#),
        ("{{ index .l 5 }}", r#"template: f:1:3: executing "f" at <index .l 5>: error calling index: index out of range: 5"#),
        (r#"{{ index . "zz" "b" }}"#, r#"template: f:1:3: executing "f" at <index . "zz" "b">: error calling index: index of nil pointer"#),
        ("{{ slice .s 1 }} {{ slice .l 1 2 }} {{ slice .s 1 2 }}", "tr [x] t"),
        ("{{ call 1 }}", r#"template: f:1:3: executing "f" at <call 1>: error calling call: non-function 1 of type int"#),
        (r#"{{ html "<a href='x'>&\"" nil }}"#, "&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;no value&gt;"),
        (r#"{{ js "it's <b>&=\n\\" }}"#, r"it\'s \u003Cb\u003E\u0026\u003D\u000A\\"),
        ("{{ urlquery \"a b&c=d/\u{e9}?\" }}", "a+b%26c%3Dd%2F%C3%A9%3F"),
        ("{{ eq (list 1) (list 1) }}", r#"template: f:1:3: executing "f" at <eq (list 1) (list 1)>: error calling eq: non-comparable type [%!s(int=1)]: []interface {}"#),
        (r#"{{ eq .zz nil }}{{ eq .zz "" }}{{ eq 2 2 "x" }}{{ lt "10" "9" }}"#, "truefalsetruetrue"),
    ]);
}

#[test]
fn output_that_is_not_text() {
    let funcs = funcs();
    let mut set = TemplateSet::new();
    set.parse("f", b"\xff{{ \"\\xfe\" }}", &funcs).unwrap();
    assert_eq!(set.execute("f", &Value::Nil, &funcs, &(), &options()).unwrap(), b"\xff\xfe");
}
