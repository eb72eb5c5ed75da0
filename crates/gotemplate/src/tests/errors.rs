//! Unit: the chain of an error.

use super::run;
use crate::{ErrorKind, FuncError};

const NESTED: &str = r#"{{ define "inner" }}
{{ fail "no: luck" }}{{ end }}{{ define "outer" }}x {{ include "inner" . }}{{ end }}
 {{ include "outer" . }}"#;

#[test]
fn frames_from_the_outside_inwards() {
    let error = run(NESTED).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exec);
    let frames: Vec<_> =
        error.frames().iter().map(|f| (f.line, f.column, f.executing, f.node, f.function)).collect();
    assert_eq!(
        frames,
        [
            (3, Some(4), "f", "include \"outer\" .", Some("include")),
            (2, Some(55), "outer", "include \"inner\" .", Some("include")),
            (2, Some(3), "inner", "fail \"no: luck\"", Some("fail")),
        ]
    );
    assert!(error.frames().iter().all(|frame| frame.template == "f"));
    assert_eq!(error.cause(), "error calling fail: no: luck");
    assert_eq!(error.abort(), Some("no: luck"));
    assert_eq!(
        error.to_string(),
        "template: f:3:4: executing \"f\" at <include \"outer\" .>: error calling include: \
         template: f:2:55: executing \"outer\" at <include \"inner\" .>: error calling include: \
         template: f:2:3: executing \"inner\" at <fail \"no: luck\">: error calling fail: no: luck"
    );
}

#[test]
fn texts_that_do_not_parse_are_told_from_texts_that_fail() {
    let nested = |text: &str| {
        let error = run(text).unwrap_err();
        let nested = error.source_error().and_then(FuncError::nested).unwrap();
        (nested.kind(), nested.to_string())
    };
    let (kind, text) = nested(r#"{{ tpl "{{ nope }}" . }}"#);
    assert_eq!(
        (kind, text.as_str()),
        (ErrorKind::Parse, r#"template: gotpl:1: function "nope" not defined"#)
    );
    let (kind, text) = nested(r#"{{ tpl "{{ .s.x }}" . }}"#);
    assert_eq!(kind, ErrorKind::Exec);
    let expected =
        r#"template: gotpl:1:5: executing "gotpl" at <.s.x>: can't evaluate field x in type interface {}"#;
    assert_eq!(text, expected);
}

#[test]
fn a_context_stands_in_front() {
    let error = FuncError::Abort("inner".into()).context("outer");
    assert_eq!(error.to_string(), "outer: inner");
    assert!(matches!(error.root(), FuncError::Abort(_)));
}

#[test]
fn an_error_is_small() {
    assert_eq!(size_of::<crate::Error>(), size_of::<usize>());
}
