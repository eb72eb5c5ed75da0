//! Unit: what is read by its lines is what the parser reads.

use proptest::prelude::*;

use super::read;
use crate::{Value, parse_some, reader, whole};

/// What is read by lines, after a look at what the parser reads.
fn known(text: &str) -> Option<Value> {
    let source = reader::decode(text.as_bytes());
    let read = read(&source, |_| true);
    if let Some(read) = &read {
        assert_eq!(Some(read), whole(&source).ok().as_ref(), "{text}");
    }
    read
}

#[test]
fn manifests_are_known() {
    for text in [
        "a: 1\n",
        "# c\na: b # c\n\nc:\n  d: 'it''s'\n  e:\n  - f\n  - g: \"h\\n\"\n    i: {}\n  j: [\"k\", l]\n",
        "a: |\n\n  b: c\n    - d\n\n  e\nf: >-\n g\n",
        "a:\n- - b\n  - c\n- d:\n    e: -1\n",
        "a: |-\n  b\n # c\nd: e\n",
        "a: |-\n  b\n  \n   c\n  \n\n",
        "a: |+\n  b\n  \n \nd: |\n  e\n  \n",
        "a:\n  {}\nb:\n- c:\n    [d] # e\n-\n  []\n",
        "a: .b.c\nd: :e\nf: .5\ng: ..\nh: :\"i\n",
    ] {
        assert!(known(text).is_some(), "{text}");
    }
}

#[test]
fn what_is_wrong_or_cannot_be_cut_is_not_known() {
    for text in [
        "",
        "# c\n",
        "- a\n",
        "a: b: c\n",
        "a: b:\n",
        "a:\n    b:\n  c: 1\n",
        "a:\n  b: 1\n c: 2\n",
        "a: &b c\n",
        "a: *b\n",
        "a: 'b' c\n",
        "a: .inf\n",
        "a: -.inf\n",
        "a: .NaN\n",
        "a:\n  {}\n  b: c\n",
        "a: : b\n",
        "null: a\n",
        "<<: a\n",
        "a: |\n   \n  b\n",
        "a: |\n\tb\n",
        "a:\n- b\n c: d\n",
        "---\na: b\n",
        "a: b\n...\n",
        "a: b\r\n",
        "a: \u{2028}\n",
        "a: - b\n",
        "a: @b\n",
        "? a\n",
        "a\n",
        "a: b\n- c\n",
        "a:\n  - b\n- c\n",
    ] {
        assert!(known(text).is_none(), "{text}");
    }
}

#[test]
fn entries_of_another_kind_go_through_the_parser() {
    for text in [
        "a: b\n  c\n",
        "a: b\n  {}\n",
        "a: !!int 1\n",
        "a: {b: c}\n",
        "a: \"b\n  c\"\n",
        "a: |2\n  b\n",
        "a:\tb\n",
        "a: []# c\n",
        "a: \"b\"# c\n",
        "a: 1\n2: b\nc:\n- {d: e}\n# c\n- f\ng: h\n",
        "a: {\n  b: c}\nd:\n  e: >\n    f\n    g\nh: 1\nd: 2\n",
    ] {
        assert!(known(text).is_some(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the outline accepts, the parser accepts, and finds the same entries.
    #[test]
    fn the_parser_agrees(lines in prop::collection::vec((0usize..5, prop::collection::vec(0usize..PIECES.len(), 1..4)), 1..8)) {
        let mut text = String::new();
        for (indent, pieces) in lines {
            text.push_str(&" ".repeat(indent));
            text.extend(pieces.into_iter().map(|piece| PIECES[piece]));
            text.push('\n');
        }
        let wanted = |key: &str| key == "a" || key == "kind";
        if known(&text).is_some() {
            let mut all = whole(&reader::decode(text.as_bytes())).unwrap();
            if let Value::Object(entries) = &mut all {
                entries.retain(|key, _| wanted(key));
            }
            prop_assert_eq!(parse_some(text.as_bytes(), wanted).unwrap(), all, "{}", text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    /// A block scalar has the text that the parser gives it, wherever its blank lines are and whatever stands in them.
    #[test]
    fn block_scalars_have_their_text(
        head in 0usize..HEADS.len(),
        lines in prop::collection::vec((0usize..5, 0usize..LINES.len()), 1..8),
        is_ended in any::<bool>(),
    ) {
        let mut text = HEADS[head].to_owned();
        for (indent, line) in lines {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            text.push_str(LINES[line]);
        }
        text.push_str(if is_ended { "\n" } else { "" });
        known(&text);
        known(&format!("{text}\nb: c\n"));
    }
}

const HEADS: &[&str] =
    &["a: |", "a: |-", "a: |+", "a: >", "a: >-", "a:\n  b: |", "a:\n- |-", "a:\n  - b: |+"];
const LINES: &[&str] = &["", "", "b", "b  ", "# c", "\t", "\tb", "- d", "e: f"];
const PIECES: &[&str] = &[
    "a: ", "b: ", "a:", "b:", "kind: ", "'q': ", "\"q\":", "- ", "- ", "-", "x", "y z", "'s'", "\"d\\n\"",
    "[]", "{}", "[x, 'y']", "|", "|-", ">", ">+", " # c", "#", "1", "-1", "~", "null", " ", "  ", ": ", "\t",
    "?", "*a", "&a ", "{", "]", ",", "...", "---", "é", "'", "\"", "\\", "yes: ", "1: ", "null: ", ".inf",
    "<<: ", ".x", ".", ":x", ":", "..", ".5", "[",
];
