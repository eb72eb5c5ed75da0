//! Unit: tokens, by the rows of Go's `parse/lex_test.go:lexTests`.
//!
//! The rows are those of Go 1.26: Copyright The Go Authors, BSD-style licence (see the repository's NOTICE).

use crate::lex::{Lexer, Token, TokenKind};

/// Name, text, and the tokens: kind, and the text where it is not the only one possible.
#[rustfmt::skip]
const LEX_TESTS: &[(&str, &str, &str)] = &[
    ("empty", "", "Eof"),
    ("spaces", " \t\n", "Text= \t\n|Eof"),
    ("text", "now is the time", "Text=now is the time|Eof"),
    ("text with comment", "hello-{{/* this is a comment */}}-world", "Text=hello-|Text=-world|Eof"),
    ("punctuation", "{{,@% }}", "LeftDelim|Char=,|Char=@|Char=%|Space|RightDelim|Eof"),
    ("parens", "{{((3))}}", "LeftDelim|LeftParen=(|LeftParen=(|Number=3|RightParen=)|RightParen=)|RightDelim|Eof"),
    ("empty action", "{{}}", "LeftDelim|RightDelim|Eof"),
    ("for", "{{for}}", "LeftDelim|Identifier=for|RightDelim|Eof"),
    ("block", "{{block \"foo\" .}}", "LeftDelim|Block=block|Space|String=\"foo\"|Space|Dot=.|RightDelim|Eof"),
    ("quote", "{{\"abc \\n\\t\\\" \"}}", "LeftDelim|String=\"abc \\n\\t\\\" \"|RightDelim|Eof"),
    ("raw quote", "{{`abc\\n\\t\\\" `}}", "LeftDelim|RawString=`abc\\n\\t\\\" `|RightDelim|Eof"),
    ("raw quote with newline", "{{`now is{{\n}}the time`}}", "LeftDelim|RawString=`now is{{\n}}the time`|RightDelim|Eof"),
    ("numbers", "{{1 02 0x14 0X14 -7.2i 1e3 1E3 +1.2e-4 4.2i 1+2i 1_2 0x1.e_fp4 0X1.E_FP4}}", "LeftDelim|Number=1|Space|Number=02|Space|Number=0x14|Space|Number=0X14|Space|Number=-7.2i|Space|Number=1e3|Space|Number=1E3|Space|Number=+1.2e-4|Space|Number=4.2i|Space|Complex=1+2i|Space|Number=1_2|Space|Number=0x1.e_fp4|Space|Number=0X1.E_FP4|RightDelim|Eof"),
    ("characters", "{{'a' '\\n' '\\'' '\\\\' '\\u00FF' '\\xFF' '\u{672c}'}}", "LeftDelim|CharConstant='a'|Space|CharConstant='\\n'|Space|CharConstant='\\''|Space|CharConstant='\\\\'|Space|CharConstant='\\u00FF'|Space|CharConstant='\\xFF'|Space|CharConstant='\u{672c}'|RightDelim|Eof"),
    ("bools", "{{true false}}", "LeftDelim|Bool=true|Space|Bool=false|RightDelim|Eof"),
    ("dot", "{{.}}", "LeftDelim|Dot=.|RightDelim|Eof"),
    ("nil", "{{nil}}", "LeftDelim|Nil=nil|RightDelim|Eof"),
    ("dots", "{{.x . .2 .x.y.z}}", "LeftDelim|Field=.x|Space|Dot=.|Space|Number=.2|Space|Field=.x|Field=.y|Field=.z|RightDelim|Eof"),
    ("keywords", "{{range if else end with}}", "LeftDelim|Range=range|Space|If=if|Space|Else=else|Space|End=end|Space|With=with|RightDelim|Eof"),
    ("variables", "{{$c := printf $ $hello $23 $ $var.Field .Method}}", "LeftDelim|Variable=$c|Space|Declare=:=|Space|Identifier=printf|Space|Variable=$|Space|Variable=$hello|Space|Variable=$23|Space|Variable=$|Space|Variable=$var|Field=.Field|Space|Field=.Method|RightDelim|Eof"),
    ("variable invocation", "{{$x 23}}", "LeftDelim|Variable=$x|Space|Number=23|RightDelim|Eof"),
    ("pipeline", "intro {{echo hi 1.2 |noargs|args 1 \"hi\"}} outro", "Text=intro |LeftDelim|Identifier=echo|Space|Identifier=hi|Space|Number=1.2|Space|Pipe=||Identifier=noargs|Pipe=||Identifier=args|Space|Number=1|Space|String=\"hi\"|RightDelim|Text= outro|Eof"),
    ("declaration", "{{$v := 3}}", "LeftDelim|Variable=$v|Space|Declare=:=|Space|Number=3|RightDelim|Eof"),
    ("2 declarations", "{{$v , $w := 3}}", "LeftDelim|Variable=$v|Space|Char=,|Space|Variable=$w|Space|Declare=:=|Space|Number=3|RightDelim|Eof"),
    ("field of parenthesized expression", "{{(.X).Y}}", "LeftDelim|LeftParen=(|Field=.X|RightParen=)|Field=.Y|RightDelim|Eof"),
    ("trimming spaces before and after", "hello- {{- 3 -}} -world", "Text=hello-|LeftDelim|Number=3|RightDelim|Text=-world|Eof"),
    ("trimming spaces before and after comment", "hello- {{- /* hello */ -}} -world", "Text=hello-|Text=-world|Eof"),
    ("badchar", "#{{\u{1}}}", "Text=#|LeftDelim|Error=unrecognized character in action: U+0001"),
    ("unclosed action", "{{", "LeftDelim|Error=unclosed action"),
    ("EOF in action", "{{range", "LeftDelim|Range=range|Error=unclosed action"),
    ("unclosed quote", "{{\"\n\"}}", "LeftDelim|Error=unterminated quoted string"),
    ("unclosed raw quote", "{{`xx}}", "LeftDelim|Error=unterminated raw quoted string"),
    ("unclosed char constant", "{{'\n}}", "LeftDelim|Error=unterminated character constant"),
    ("bad number", "{{3k}}", "LeftDelim|Error=bad number syntax: \"3k\""),
    ("unclosed paren", "{{(3}}", "LeftDelim|LeftParen=(|Number=3|Error=unclosed left paren"),
    ("extra right paren", "{{3)}}", "LeftDelim|Number=3|Error=unexpected right paren"),
    ("long pipeline deadlock", "{{|||||}}", "LeftDelim|Pipe=||Pipe=||Pipe=||Pipe=||Pipe=||RightDelim|Eof"),
    ("text with bad comment", "hello-{{/*/}}-world", "Text=hello-|Error=unclosed comment"),
    ("text with comment close separated from delim", "hello-{{/* */ }}-world", "Text=hello-|Error=comment ends before closing delimiter"),
    ("unmatched right delimiter", "hello-{.}}-world", "Text=hello-{.}}-world|Eof"),
];

fn show(text: &str, token: Token, error: &str) -> String {
    let kind = format!("{:?}", token.kind);
    let value = match token.kind {
        TokenKind::Error => error,
        TokenKind::LeftDelim | TokenKind::RightDelim | TokenKind::Eof => "",
        _ => &text[token.start as usize..token.end as usize],
    };
    if value.is_empty() { kind } else { format!("{kind}={value}") }
}

fn tokens(text: &str) -> Vec<(Token, String)> {
    let mut lexer = Lexer::new(text.as_bytes());
    let mut tokens: Vec<Token> = Vec::new();
    while !tokens.last().is_some_and(|token| matches!(token.kind, TokenKind::Eof | TokenKind::Error)) {
        lexer.cut(&mut tokens);
    }
    let shown = tokens.into_iter().map(|token| {
        let mut shown = show(text, token, &lexer.error);
        if token.spaced {
            // Go: a token of its own.
            shown.insert_str(0, "Space|");
        }
        (token, shown)
    });
    shown.collect()
}

#[test]
fn lex() {
    for (name, text, expected) in LEX_TESTS {
        let shown: Vec<_> = tokens(text).into_iter().map(|(_, shown)| shown).collect();
        assert_eq!(shown.join("|"), *expected, "{name}");
    }
}

/// As Go's `lexPosTests`.
#[test]
fn positions_and_lines() {
    let places = |text: &str| -> Vec<_> {
        tokens(text).iter().map(|(token, _)| (token.start, token.line(text.as_bytes()))).collect()
    };
    assert_eq!(places("{{\n.x}}\ny"), [(0, 1), (3, 2), (5, 2), (7, 2), (9, 3)]);
    assert_eq!(places("a \n {{- 1 -}} \n b"), [(0, 1), (4, 2), (8, 2), (11, 2), (16, 3), (17, 3)]);
    assert_eq!(places("{{/* a\n */}}\n{{1}}"), [(12, 2), (13, 3), (15, 3), (16, 3), (18, 3)]);
}

/// As Go's `TestShutdown`.
#[test]
fn nothing_follows_an_error() {
    let mut lexer = Lexer::new(b"{{ 1 \x01 }} text {{ 1 }}");
    let mut tokens = Vec::new();
    for _ in 0..3 {
        lexer.cut(&mut tokens);
        assert_eq!(tokens.last().map(|token| token.kind), Some(TokenKind::Error));
    }
    assert_eq!(tokens.len(), 5);
}

#[test]
fn a_long_action_is_cut_into_parts() {
    let text = format!("{{{{ {}}}}}", "f ".repeat(1000));
    let (mut lexer, mut tokens) = (Lexer::new(text.as_bytes()), Vec::new());
    lexer.cut(&mut tokens);
    assert!(tokens.len() < 100);
    while tokens.last().is_some_and(|token| token.kind != TokenKind::RightDelim) {
        lexer.cut(&mut tokens);
    }
    assert_eq!(
        tokens.iter().filter(|token| token.kind == TokenKind::Identifier && token.spaced).count(),
        1000
    );
}
