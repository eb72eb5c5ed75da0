//! Unit: trees and parse errors, by the rows of Go's `parse/parse_test.go`.
//!
//! The rows are those of Go 1.26: Copyright The Go Authors, BSD-style licence (see the repository's NOTICE).

use crate::lex::TokenKind;
use crate::node::Span;
use crate::stack::StackGuard;
use crate::value::Value;
use crate::{Error, Funcs, TemplateSet, Type, number, parse};

/// Go's `parseTests`: name, text, and the printed tree or the error. The three rows for which Go lowers its limit of nested
/// parentheses are left out; see `hostile`.
#[rustfmt::skip]
const PARSE_TESTS: &[(&str, &str, Result<&str, &str>)] = &[
    ("empty", "", Ok("")),
    ("comment", "{{/*\n\n\n*/}}", Ok("")),
    ("spaces", " \t\n", Ok(" \t\n")),
    ("text", "some text", Ok("some text")),
    ("emptyAction", "{{}}", Err("template: emptyAction:1: missing value for command")),
    ("field", "{{.X}}", Ok("{{.X}}")),
    ("simple command", "{{printf}}", Ok("{{printf}}")),
    ("$ invocation", "{{$}}", Ok("{{$}}")),
    ("variable invocation", "{{with $x := 3}}{{$x 23}}{{end}}", Ok("{{with $x := 3}}{{$x 23}}{{end}}")),
    ("variable with fields", "{{$.I}}", Ok("{{$.I}}")),
    ("multi-word command", "{{printf `%d` 23}}", Ok("{{printf `%d` 23}}")),
    ("pipeline", "{{.X|.Y}}", Ok("{{.X | .Y}}")),
    ("pipeline with decl", "{{$x := .X|.Y}}", Ok("{{$x := .X | .Y}}")),
    ("nested pipeline", "{{.X (.Y .Z) (.A | .B .C) (.E)}}", Ok("{{.X (.Y .Z) (.A | .B .C) (.E)}}")),
    ("field applied to parentheses", "{{(.Y .Z).Field}}", Ok("{{(.Y .Z).Field}}")),
    ("simple if", "{{if .X}}hello{{end}}", Ok("{{if .X}}hello{{end}}")),
    ("if with else", "{{if .X}}true{{else}}false{{end}}", Ok("{{if .X}}true{{else}}false{{end}}")),
    ("if with else if", "{{if .X}}true{{else if .Y}}false{{end}}", Ok("{{if .X}}true{{else}}{{if .Y}}false{{end}}{{end}}")),
    ("if else chain", "+{{if .X}}X{{else if .Y}}Y{{else if .Z}}Z{{end}}+", Ok("+{{if .X}}X{{else}}{{if .Y}}Y{{else}}{{if .Z}}Z{{end}}{{end}}{{end}}+")),
    ("simple range", "{{range .X}}hello{{end}}", Ok("{{range .X}}hello{{end}}")),
    ("chained field range", "{{range .X.Y.Z}}hello{{end}}", Ok("{{range .X.Y.Z}}hello{{end}}")),
    ("nested range", "{{range .X}}hello{{range .Y}}goodbye{{end}}{{end}}", Ok("{{range .X}}hello{{range .Y}}goodbye{{end}}{{end}}")),
    ("range with else", "{{range .X}}true{{else}}false{{end}}", Ok("{{range .X}}true{{else}}false{{end}}")),
    ("range over pipeline", "{{range .X|.M}}true{{else}}false{{end}}", Ok("{{range .X | .M}}true{{else}}false{{end}}")),
    ("range []int", "{{range .SI}}{{.}}{{end}}", Ok("{{range .SI}}{{.}}{{end}}")),
    ("range 1 var", "{{range $x := .SI}}{{.}}{{end}}", Ok("{{range $x := .SI}}{{.}}{{end}}")),
    ("range 2 vars", "{{range $x, $y := .SI}}{{.}}{{end}}", Ok("{{range $x, $y := .SI}}{{.}}{{end}}")),
    ("range with break", "{{range .SI}}{{.}}{{break}}{{end}}", Ok("{{range .SI}}{{.}}{{break}}{{end}}")),
    ("range with continue", "{{range .SI}}{{.}}{{continue}}{{end}}", Ok("{{range .SI}}{{.}}{{continue}}{{end}}")),
    ("constants", "{{range .SI 1 -3.2i true false 'a' nil}}{{end}}", Ok("{{range .SI 1 -3.2i true false 'a' nil}}{{end}}")),
    ("template", "{{template `x`}}", Ok("{{template \"x\"}}")),
    ("template with arg", "{{template `x` .Y}}", Ok("{{template \"x\" .Y}}")),
    ("with", "{{with .X}}hello{{end}}", Ok("{{with .X}}hello{{end}}")),
    ("with with else", "{{with .X}}hello{{else}}goodbye{{end}}", Ok("{{with .X}}hello{{else}}goodbye{{end}}")),
    ("with with else with", "{{with .X}}hello{{else with .Y}}goodbye{{end}}", Ok("{{with .X}}hello{{else}}{{with .Y}}goodbye{{end}}{{end}}")),
    ("with else chain", "{{with .X}}X{{else with .Y}}Y{{else with .Z}}Z{{end}}", Ok("{{with .X}}X{{else}}{{with .Y}}Y{{else}}{{with .Z}}Z{{end}}{{end}}{{end}}")),
    ("trim left", "x \r\n\t{{- 3}}", Ok("x{{3}}")),
    ("trim right", "{{3 -}}\n\n\ty", Ok("{{3}}y")),
    ("trim left and right", "x \r\n\t{{- 3 -}}\n\n\ty", Ok("x{{3}}y")),
    ("trim with extra spaces", "x\n{{-  3   -}}\ny", Ok("x{{3}}y")),
    ("comment trim left", "x \r\n\t{{- /* hi */}}", Ok("x")),
    ("comment trim right", "{{/* hi */ -}}\n\n\ty", Ok("y")),
    ("comment trim left and right", "x \r\n\t{{- /* */ -}}\n\n\ty", Ok("xy")),
    ("block definition", "{{block \"foo\" .}}hello{{end}}", Ok("{{template \"foo\" .}}")),
    ("newline in assignment", "{{ $x \n := \n 1 \n }}", Ok("{{$x := 1}}")),
    ("newline in empty action", "{{\n}}", Err("template: newline in empty action:2: missing value for command")),
    ("newline in pipeline", "{{\n\"x\"\n|\nprintf\n}}", Ok("{{\"x\" | printf}}")),
    ("newline in comment", "{{/*\nhello\n*/}}", Ok("")),
    ("newline in comment", "{{-\n/*\nhello\n*/\n-}}", Ok("")),
    ("spaces around continue", "{{range .SI}}{{.}}{{ continue }}{{end}}", Ok("{{range .SI}}{{.}}{{continue}}{{end}}")),
    ("spaces around break", "{{range .SI}}{{.}}{{ break }}{{end}}", Ok("{{range .SI}}{{.}}{{break}}{{end}}")),
    ("unclosed action", "hello{{range", Err("template: unclosed action:1: unclosed action")),
    ("unmatched end", "{{end}}", Err("template: unmatched end:1: unexpected {{end}}")),
    ("unmatched else", "{{else}}", Err("template: unmatched else:1: unexpected {{else}}")),
    ("unmatched else after if", "{{if .X}}hello{{end}}{{else}}", Err("template: unmatched else after if:1: unexpected {{else}}")),
    ("multiple else", "{{if .X}}1{{else}}2{{else}}3{{end}}", Err("template: multiple else:1: expected end; found {{else}}")),
    ("missing end", "hello{{range .x}}", Err("template: missing end:1: unexpected EOF")),
    ("missing end after else", "hello{{range .x}}{{else}}", Err("template: missing end after else:1: unexpected EOF")),
    ("undefined function", "hello{{undefined}}", Err("template: undefined function:1: function \"undefined\" not defined")),
    ("undefined variable", "{{$x}}", Err("template: undefined variable:1: undefined variable \"$x\"")),
    ("variable undefined after end", "{{with $x := 4}}{{end}}{{$x}}", Err("template: variable undefined after end:1: undefined variable \"$x\"")),
    ("variable undefined in template", "{{template $v}}", Err("template: variable undefined in template:1: unexpected \"$v\" in template clause")),
    ("declare with field", "{{with $x.Y := 4}}{{end}}", Err("template: declare with field:1: undefined variable \"$x\"")),
    ("template with field ref", "{{template .X}}", Err("template: template with field ref:1: unexpected \".X\" in template clause")),
    ("template with var", "{{template $v}}", Err("template: template with var:1: unexpected \"$v\" in template clause")),
    ("invalid punctuation", "{{printf 3, 4}}", Err("template: invalid punctuation:1: unexpected \",\" in operand")),
    ("multidecl outside range", "{{with $v, $u := 3}}{{end}}", Err("template: multidecl outside range:1: too many declarations in with")),
    ("too many decls in range", "{{range $u, $v, $w := 3}}{{end}}", Err("template: too many decls in range:1: too many declarations in range")),
    ("dot applied to parentheses", "{{printf (printf .).}}", Err("template: dot applied to parentheses:1: unexpected <.> in operand")),
    ("adjacent args", "{{printf 3`x`}}", Err("template: adjacent args:1: unexpected \"`x`\" in operand")),
    ("adjacent args with .", "{{printf `x`.}}", Err("template: adjacent args with .:1: unexpected <.> in operand")),
    ("extra end after if", "{{if .X}}a{{else if .Y}}b{{end}}{{end}}", Err("template: extra end after if:1: unexpected {{end}}")),
    ("break outside range", "{{range .}}{{end}} {{break}}", Err("template: break outside range:1: {{break}} outside {{range}}")),
    ("continue outside range", "{{range .}}{{end}} {{continue}}", Err("template: continue outside range:1: {{continue}} outside {{range}}")),
    ("break in range else", "{{range .}}{{else}}{{break}}{{end}}", Err("template: break in range else:1: {{break}} outside {{range}}")),
    ("continue in range else", "{{range .}}{{else}}{{continue}}{{end}}", Err("template: continue in range else:1: {{continue}} outside {{range}}")),
    ("bug0a", "{{$x := 0}}{{$x}}", Ok("{{$x := 0}}{{$x}}")),
    ("bug0b", "{{$x += 1}}{{$x}}", Err("template: bug0b:1: undefined variable \"$x\"")),
    ("bug0c", "{{$x ! 2}}{{$x}}", Err("template: bug0c:1: undefined variable \"$x\"")),
    ("bug0d", "{{$x % 3}}{{$x}}", Err("template: bug0d:1: undefined variable \"$x\"")),
    ("bug0e", "{{range $x := $y := 3}}{{end}}", Err("template: bug0e:1: undefined variable \"$y\"")),
    ("bug1a", "{{$x:=.}}{{$x!2}}", Err("template: bug1a:1: bad character U+0021 '!'")),
    ("bug1b", "{{$x:=.}}{{$x+2}}", Err("template: bug1b:1: bad character U+002B '+'")),
    ("bug1c", "{{$x:=.}}{{$x +2}}", Ok("{{$x := .}}{{$x +2}}")),
    ("bug2a", "{{range $x := 0}}{{$x}}{{end}}", Ok("{{range $x := 0}}{{$x}}{{end}}")),
    ("bug2b", "{{range $x = 0}}{{$x}}{{end}}", Ok("{{range $x = 0}}{{$x}}{{end}}")),
    ("dot after integer", "{{1.E}}", Err("template: dot after integer:1: illegal number syntax: \"1.E\"")),
    ("dot after float", "{{0.1.E}}", Err("template: dot after float:1: unexpected . after term \"0.1\"")),
    ("dot after boolean", "{{true.E}}", Err("template: dot after boolean:1: unexpected . after term \"true\"")),
    ("dot after char", "{{'a'.any}}", Err("template: dot after char:1: unexpected . after term \"'a'\"")),
    ("dot after string", "{{\"hello\".guys}}", Err("template: dot after string:1: unexpected . after term \"\\\"hello\\\"\"")),
    ("dot after dot", "{{..E}}", Err("template: dot after dot:1: unexpected . after term \".\"")),
    ("dot after nil", "{{nil.E}}", Err("template: dot after nil:1: unexpected . after term \"nil\"")),
    ("wrong pipeline dot", "{{12|.}}", Err("template: wrong pipeline dot:1: non executable command in pipeline stage 2")),
    ("wrong pipeline number", "{{.|12|printf}}", Err("template: wrong pipeline number:1: non executable command in pipeline stage 2")),
    ("wrong pipeline string", "{{.|printf|\"error\"}}", Err("template: wrong pipeline string:1: non executable command in pipeline stage 3")),
    ("wrong pipeline char", "{{12|printf|'e'}}", Err("template: wrong pipeline char:1: non executable command in pipeline stage 3")),
    ("wrong pipeline boolean", "{{.|true}}", Err("template: wrong pipeline boolean:1: non executable command in pipeline stage 2")),
    ("wrong pipeline nil", "{{'c'|nil}}", Err("template: wrong pipeline nil:1: non executable command in pipeline stage 2")),
    ("empty pipeline", "{{printf \"%d\" ( ) }}", Err("template: empty pipeline:1: missing value for parenthesized pipeline")),
    ("block definition", "{{block \"foo\"}}hello{{end}}", Err("template: block definition:1: missing value for block clause")),
    ("paren nesting normal", "{{ (( 1 )) }}", Ok("{{((1))}}")),
    ("paren nesting at limit", "{{ ((( 1 ))) }}", Ok("{{(((1)))}}")),
    ("paren nesting in pipeline", "{{ ((( 1 ))) | printf }}", Ok("{{(((1))) | printf}}")),
    ("paren nesting with other constructs", "{{ if ((( true ))) }}YES{{ end }}", Ok("{{if (((true)))}}YES{{end}}")),
];

/// Go's `errorTests`: name, text, error.
#[rustfmt::skip]
const ERROR_TESTS: &[(&str, &str, &str)] = &[
    ("unclosed1", "line1\n{{", "template: unclosed1:2: unclosed action"),
    ("unclosed2", "line1\n{{define `x`}}line2\n{{", "template: unclosed2:3: unclosed action"),
    ("unclosed3", "line1\n{{\"x\"\n\"y\"\n", "template: unclosed3:4: unclosed action started at unclosed3:2"),
    ("unclosed4", "{{\n\n\n\n\n", "template: unclosed4:6: unclosed action started at unclosed4:1"),
    ("var1", "line1\n{{\nx\n}}", "template: var1:3: function \"x\" not defined"),
    ("function", "{{foo}}", "template: function:1: function \"foo\" not defined"),
    ("comment1", "{{/*}}", "template: comment1:1: unclosed comment"),
    ("comment2", "{{/*\nhello\n}}", "template: comment2:1: unclosed comment"),
    ("lparen", "{{.X (1 2 3}}", "template: lparen:1: unclosed left paren"),
    ("rparen", "{{.X 1 2 3 ) }}", "template: rparen:1: unexpected right paren"),
    ("rparen2", "{{(.X 1 2 3", "template: rparen2:1: unclosed action"),
    ("space", "{{`x`3}}", "template: space:1: unexpected \"3\" in operand"),
    ("idchar", "{{a#}}", "template: idchar:1: bad character U+0023 '#'"),
    ("charconst", "{{'a}}", "template: charconst:1: unterminated character constant"),
    ("stringconst", "{{\"a}}", "template: stringconst:1: unterminated quoted string"),
    ("rawstringconst", "{{`a}}", "template: rawstringconst:1: unterminated raw quoted string"),
    ("number", "{{0xi}}", "template: number:1: illegal number syntax: \"0xi\""),
    ("multidefine", "{{define `a`}}a{{end}}{{define `a`}}b{{end}}", "template: multidefine:1: template: multiple definition of template \"a\""),
    ("eof", "{{range .X}}", "template: eof:1: unexpected EOF"),
    ("variable", "{{$x := 23}}{{with $x.y := 3}}{{$x 23}}{{end}}", "template: variable:1: unexpected \":=\" in operand"),
    ("multidecl", "{{$a,$b,$c := 23}}", "template: multidecl:1: too many declarations in command"),
    ("undefvar", "{{$a}}", "template: undefvar:1: undefined variable \"$a\""),
    ("wrongdot", "{{true.any}}", "template: wrongdot:1: unexpected . after term \"true\""),
    ("wrongpipeline", "{{12|false}}", "template: wrongpipeline:1: non executable command in pipeline stage 2"),
    ("emptypipeline", "{{ ( ) }}", "template: emptypipeline:1: missing value for parenthesized pipeline"),
    ("multilinerawstring", "{{ $v := `\n` }} {{", "template: multilinerawstring:2: unclosed action"),
    ("rangeundefvar", "{{range $k}}{{end}}", "template: rangeundefvar:1: undefined variable \"$k\""),
    ("rangeundefvars", "{{range $k, $v}}{{end}}", "template: rangeundefvars:1: undefined variable \"$v\""),
    ("rangemissingvalue1", "{{range $k,}}{{end}}", "template: rangemissingvalue1:1: missing value for range"),
    ("rangemissingvalue2", "{{range $k, $v := }}{{end}}", "template: rangemissingvalue2:1: missing value for range"),
    ("rangenotvariable1", "{{range $k, .}}{{end}}", "template: rangenotvariable1:1: range can only initialize variables"),
    ("rangenotvariable2", "{{range $k, 123 := .}}{{end}}", "template: rangenotvariable2:1: range can only initialize variables"),
];

type Forms = (Option<i64>, Option<u64>, Option<f64>, Option<(f64, f64)>);

/// Go's `numberTests`: text, and its forms as int, uint, float and complex.
#[rustfmt::skip]
const NUMBER_TESTS: &[(&str, Option<Forms>)] = &[
    ("0", Some((Some(0), Some(0), Some(0.0), None))),
    ("-0", Some((Some(0), Some(0), Some(0.0), None))),
    ("73", Some((Some(73), Some(73), Some(73.0), None))),
    ("7_3", Some((Some(73), Some(73), Some(73.0), None))),
    ("0b10_010_01", Some((Some(73), Some(73), Some(73.0), None))),
    ("0B10_010_01", Some((Some(73), Some(73), Some(73.0), None))),
    ("073", Some((Some(59), Some(59), Some(59.0), None))),
    ("0o73", Some((Some(59), Some(59), Some(59.0), None))),
    ("0O73", Some((Some(59), Some(59), Some(59.0), None))),
    ("0x73", Some((Some(115), Some(115), Some(115.0), None))),
    ("0X73", Some((Some(115), Some(115), Some(115.0), None))),
    ("0x7_3", Some((Some(115), Some(115), Some(115.0), None))),
    ("-73", Some((Some(-73), None, Some(-73.0), None))),
    ("+73", Some((Some(73), None, Some(73.0), None))),
    ("100", Some((Some(100), Some(100), Some(100.0), None))),
    ("1e9", Some((Some(1000000000), Some(1000000000), Some(1e09), None))),
    ("-1e9", Some((Some(-1000000000), None, Some(-1e09), None))),
    ("-1.2", Some((None, None, Some(-1.2), None))),
    ("1e19", Some((None, Some(10000000000000000000), Some(1e19), None))),
    ("1e1_9", Some((None, Some(10000000000000000000), Some(1e19), None))),
    ("1E19", Some((None, Some(10000000000000000000), Some(1e19), None))),
    ("-1e19", Some((None, None, Some(-1e19), None))),
    ("0x_1p4", Some((Some(16), Some(16), Some(16.0), None))),
    ("0X_1P4", Some((Some(16), Some(16), Some(16.0), None))),
    ("0x_1p-4", Some((None, None, Some(0.0625), None))),
    ("4i", Some((None, None, None, Some((0.0, 4.0))))),
    ("-1.2+4.2i", Some((None, None, None, Some((-1.2, 4.2))))),
    ("073i", Some((None, None, None, Some((0.0, 73.0))))),
    ("0i", Some((Some(0), Some(0), Some(0.0), Some((0.0, 0.0))))),
    ("-1.2+0i", Some((None, None, Some(-1.2), Some((-1.2, 0.0))))),
    ("-12+0i", Some((Some(-12), None, Some(-12.0), Some((-12.0, 0.0))))),
    ("13+0i", Some((Some(13), Some(13), Some(13.0), Some((13.0, 0.0))))),
    ("0123", Some((Some(83), Some(83), Some(83.0), None))),
    ("-0x0", Some((Some(0), Some(0), Some(0.0), None))),
    ("0xdeadbeef", Some((Some(3735928559), Some(3735928559), Some(3.735928559e09), None))),
    ("'a'", Some((Some(97), Some(97), Some(97.0), None))),
    ("'\\n'", Some((Some(10), Some(10), Some(10.0), None))),
    ("'\\\\'", Some((Some(92), Some(92), Some(92.0), None))),
    ("'\\''", Some((Some(39), Some(39), Some(39.0), None))),
    ("'\\xFF'", Some((Some(255), Some(255), Some(255.0), None))),
    ("'\u{30d1}'", Some((Some(12497), Some(12497), Some(12497.0), None))),
    ("'\\u30d1'", Some((Some(12497), Some(12497), Some(12497.0), None))),
    ("'\\U000030d1'", Some((Some(12497), Some(12497), Some(12497.0), None))),
    ("+-2", None),
    ("0x123.", None),
    ("1e.", None),
    ("0xi.", None),
    ("1+2.", None),
    ("'x", None),
    ("'xx'", None),
    ("'433937734937734969526500969526500'", None),
    ("0xef", Some((Some(239), Some(239), Some(239.0), None))),
];

/// The functions that Go's parse tests have.
fn funcs() -> Funcs {
    let mut funcs = Funcs::default();
    for name in ["printf", "contains"] {
        funcs.insert_variadic(name, &[Type::Any], |_, _| Ok(Value::Nil));
    }
    funcs
}

fn print(name: &str, text: &str, funcs: &Funcs) -> Result<String, Error> {
    let trees = parse::parse(
        name,
        &text.as_bytes().into(),
        funcs,
        StackGuard::new(1 << 20),
        &mut parse::Buffers::default(),
    )?;
    let mut out = Vec::new();
    let tree = trees.last().unwrap();
    for node in &tree.file.parts[tree.root] {
        node.write(&mut out, &tree.file);
    }
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn parse_tests() {
    for (name, text, expected) in PARSE_TESTS {
        let got = print(name, text, &funcs()).map_err(|error| error.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), *expected, "{name}");
    }
}

#[test]
fn error_tests() {
    for (name, text, expected) in ERROR_TESTS {
        let error = print(name, text, &Funcs::default()).unwrap_err();
        assert_eq!(error.to_string(), *expected, "{name}");
    }
}

#[test]
fn number_tests() {
    for (text, expected) in NUMBER_TESTS {
        let complex = text.len() > 1 && text.ends_with('i') && text[1..].contains(['+', '-']);
        let kind = match text.as_bytes()[0] {
            b'\'' => TokenKind::CharConstant,
            _ if complex && !text.contains("e+") => TokenKind::Complex,
            _ => TokenKind::Number,
        };
        let got = number::parse_number(Span::default(), text.as_bytes(), kind);
        assert_eq!(got.map(|n| (n.int, n.uint, n.float, n.complex)).ok(), *expected, "{text}");
    }
}

/// As Go's `TestIsEmpty`.
#[test]
fn is_empty() {
    for (text, empty) in [
        ("", true),
        ("hello", false),
        (" \t\n \t\n", true),
        ("{{/* comment */}}", true),
        ("{{define `x`}}something{{end}}", true),
        ("{{define `x`}}something{{end}}\n\n{{define `y`}}something{{end}}\n\n", true),
        ("{{define `x`}}something{{end}}\n\n{{.}}", false),
        ("\u{a0}\u{2003}", true),
    ] {
        let mut set = TemplateSet::new();
        set.parse("root", text, &Funcs::default()).unwrap();
        assert_eq!(set.lookup("root").unwrap().is_empty(), empty, "{text:?}");
    }
}

/// As Go's `TestBlock`, `TestRedefinition` and `TestEmptyTemplate`.
#[test]
fn definitions() {
    let funcs = Funcs::builtins();
    let mut set = TemplateSet::new();
    set.parse("a", "{{define `t`}}one{{end}}{{block `b` .}}B{{end}}", &funcs).unwrap();
    assert_eq!(set.names(), ["a", "b", "t"]);
    let before = set.clone();
    set.parse("b", "{{define `t`}}two{{end}}", &funcs).unwrap();
    set.parse("c", "{{define `t`}} {{/* empty */}} {{end}}", &funcs).unwrap();
    set.parse("d", "{{template `t`}}", &funcs).unwrap();
    let run =
        |set: &TemplateSet, name| set.execute(name, &Value::Nil, &funcs, &(), &crate::Options::default());
    assert_eq!(run(&set, "d").unwrap(), b"two");
    assert_eq!(run(&set, "b").unwrap(), b"B", "an empty file does not replace a block");
    assert_eq!(run(&before, "t").unwrap(), b"one", "a clone does not see what came later");
    let error = set.parse("e", "{{define `t`}}1{{end}}{{define `t`}}2{{end}}", &funcs).unwrap_err();
    assert_eq!(error.to_string(), "template: e:1: template: multiple definition of template \"t\"");
    assert_eq!(run(&set, "t").unwrap(), b"two", "a text that fails adds nothing");
    let error = run(&set, "zz").unwrap_err();
    assert_eq!(error.to_string(), "template: no template \"zz\" associated with template \"gotpl\"");
}

#[test]
fn many_layers() {
    let funcs = Funcs::builtins();
    let mut sets = vec![TemplateSet::new()];
    for i in 0..100 {
        let mut set = sets.last().unwrap().clone();
        set.parse(&format!("t{i}"), format!("{i}"), &funcs).unwrap();
        sets.push(set);
    }
    let last = sets.last().unwrap();
    assert_eq!(last.names().len(), 100);
    assert!((0..100).all(|i| last.contains(&format!("t{i}"))));
    assert_eq!(sets[50].names().len(), 50);
}

#[test]
fn trees_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<TemplateSet>();
    shared::<Error>();
}
