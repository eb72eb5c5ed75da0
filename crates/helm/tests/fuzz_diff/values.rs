//! Random values.yaml files, and what templates may expect at which path.

use crate::random::Random;
use crate::tree::{Sort, Tree};

/// A path below `.Values` and the letter of what is there, see [`crate::functions`].
#[derive(Clone, Debug)]
pub struct Path {
    pub keys: Vec<String>,
    pub kind: char,
}

const KEYS: &[&str] = &[
    "a", "b", "k", "name", "image", "port", "enabled", "list", "map", "nested", "extra", "labels", "tag",
    "x1", "Upper", "_u",
];
const ODD_KEYS: &[&str] = &[
    "key-with-dash",
    "\"1\"",
    "1",
    "true",
    "on",
    "\"a b\"",
    "'q''t'",
    "a.b/c",
    "0x10",
    "1.5",
    "é",
    "1e3",
    "\"\"",
];

const TEXTS: &[&str] = &[
    "plain",
    "hello world",
    "\"double \\u00e9 \\\"q\\\"\"",
    "'single ''q'''",
    "\"\"",
    "\"1\"",
    "'true'",
    "a#b",
    "a # comment",
    "\"line\\nbreak\"",
    "!!str 5",
    "nginx:1.25",
    "http://h:80/p?q=1",
    "\"{{ .Values.a }}\"",
    "'{{ .Release.Name | upper }}'",
    "\"  pad \"",
    "é日本",
    "2001-12-14",
    "12:30:45",
    "\"\\x41\\t\"",
    "1.2.3",
    "a,b,c",
    "=",
    "\"%d\"",
    "x y\n    z",
    "0o8",
    "1.0.0-rc",
    "!custom t",
    "!!binary aGVsbG8=",
    "\"\\U0001F600\"",
];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "3",
    "8080",
    "0x1F",
    "017",
    "0o17",
    "0b11",
    "1_000",
    "+5",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "190:20:30",
    "100000",
    "1000000",
    "123456789",
    "-0",
    "!!int \"7\"",
];
const FLOATS: &[&str] = &[
    "1.5",
    ".5",
    "1e3",
    "1e6",
    "1E-7",
    "-2.50",
    "1e21",
    "1.0",
    "100.0",
    "1.",
    "3.14159265358979",
    "1_0.5",
    "+1.5",
    "!!float 3",
    "6.02e+23",
];
const BOOLS: &[&str] =
    &["true", "false", "yes", "no", "on", "off", "True", "FALSE", "y", "n", "Yes", "!!bool 'true'"];
const NULLS: &[&str] = &["null", "~", "", "Null", "NULL"];
const LISTS: &[&str] = &["[]", "[1, two, 3.0]", "[a, b, c]", "[~, {x: 1}]", "[yes, 0x10, '']"];
const MAPS: &[&str] =
    &["{}", "{x: 1, y: two}", "{a: {b: {c: deep}}}", "{1: one, true: t}", "{a: , b}", "&m {q: 1}"];
const RARE: &[&str] = &[
    ".inf",
    ".nan",
    "-.Inf",
    "*missing",
    "[",
    "\"unclosed",
    "@x",
    "%x",
    "`y",
    "!!int x",
    "{a: 1, a: 2}",
    "&x *x",
    "- 1",
];

const TARGETS: [&str; 14] = [
    "new",
    "new.deep.key",
    "list[0]",
    "list[2].x",
    "a\\.b",
    "map.k",
    "global.g",
    "kid.name",
    "é",
    "list[1]",
    "n\\,x",
    "a[0].b",
    "fresh[1][0]",
    "name.first",
];
const WRONG_TARGETS: [&str; 9] = ["", "x[", "x[-1]", "x[a]", "[0]", "a..b", "a=b", "x[70000]", "a.b[1][0]"];

/// A file, and the paths that are in it.
pub fn file(random: &mut Random, kids: &[&str]) -> (Tree, Vec<Path>) {
    let mut file = Tree::new(Sort::Fixed);
    let mut paths = Vec::new();
    if random.chance(2) {
        file.push(Tree::leaf(
            Sort::Item,
            *random.pick(&["# only\n", "---\n", "--- # c\n", "%YAML 1.1\n---\n", "\u{feff}"]),
        ));
    }
    entries(random, &mut file, &mut paths, &[], 0);
    if random.chance(40) || !kids.is_empty() {
        let mut global = Tree::leaf(Sort::Item, "global:\n");
        entries(random, &mut global, &mut paths, &["global".to_owned()], 1);
        file.push(global);
    }
    for kid in kids {
        if random.chance(70) {
            let mut values = Tree::leaf(Sort::Item, format!("{kid}:\n"));
            entries(random, &mut values, &mut paths, &[(*kid).to_owned()], 1);
            if random.chance(40) {
                values.push(Tree::leaf(Sort::Item, format!("  enabled: {}\n", random.pick(BOOLS))));
            }
            file.push(values);
        }
    }
    if random.chance(10) {
        file.push(Tree::leaf(Sort::Item, "tags:\n  front: true\n  back: false\n"));
    }
    if random.chance(1) {
        file.push(Tree::leaf(Sort::Item, "---\nsecond: 1\n"));
    }
    (file, paths)
}

/// The entries of a map, each with a line of its own.
fn entries(random: &mut Random, into: &mut Tree, paths: &mut Vec<Path>, above: &[String], depth: usize) {
    let mut used: Vec<&str> = Vec::new();
    let pad = "  ".repeat(depth);
    for _ in 0..=random.below(if depth == 0 { 9 } else { 4 }) {
        let odd = random.chance(8);
        let key = *random.pick(if odd { ODD_KEYS } else { KEYS });
        if used.contains(&key) && !random.chance(1) {
            continue;
        }
        used.push(key);
        let mut path = above.to_vec();
        path.push(key.to_owned());
        // What cannot be written as a field is not for templates.
        let mut note = |kind: char| {
            if path.iter().all(|key| KEYS.contains(&key.as_str()) || key == "global") {
                paths.push(Path { keys: path.clone(), kind });
            }
        };
        let entry = Tree::leaf(Sort::Item, format!("{pad}{key}:"));
        into.push(match random.below(100) {
            0..20 if depth < 3 => {
                note('d');
                let mut map = entry.text(if random.chance(2) { " &anchor\n" } else { "\n" });
                entries(random, &mut map, paths, &path, depth + 1);
                map
            }
            0..30 => {
                note('l');
                let mut list = entry.text("\n");
                for _ in 0..=random.below(3) {
                    list.push(Tree::leaf(Sort::Item, format!("{pad}- {}\n", scalar(random).1)));
                }
                list
            }
            30..36 => {
                note('s');
                let head = *random.pick(&["|", ">", "|-", ">-", "|+", ">+", "|2", "|+"]);
                let body = *random.pick(&[
                    "one\ntwo\n",
                    "lead\n\n after\n\n",
                    "long words fold\nhere\n  more\nback\n",
                    "t\t\n# no comment\n",
                    "\n\nx",
                ]);
                let indent = format!("{pad}  ");
                let body: String = body.split_inclusive('\n').map(|line| format!("{indent}{line}")).collect();
                entry.text(format!(" {head}\n{body}\n"))
            }
            36..40 => {
                note('l');
                entry.text(format!(" {}\n", random.pick(LISTS)))
            }
            40..46 => {
                note('d');
                entry.text(format!(" {}\n", random.pick(MAPS)))
            }
            46 if random.chance(20) => entry.text(format!(" {}\n", random.pick(RARE))),
            47 if random.chance(10) => entry.text(" *anchor\n"),
            _ => {
                let (kind, text) = scalar(random);
                note(kind);
                entry.text(format!(" {text}{}\n", if random.chance(4) { " # c" } else { "" }))
            }
        });
    }
}

/// A scalar, and what it is.
pub fn scalar(random: &mut Random) -> (char, &'static str) {
    match random.below(20) {
        0..9 => ('s', *random.pick(TEXTS)),
        9..13 => ('i', *random.pick(INTEGERS)),
        13..15 => ('f', *random.pick(FLOATS)),
        15..18 => ('b', *random.pick(BOOLS)),
        _ => ('a', *random.pick(NULLS)),
    }
}

/// An argument of the `--set` family.
pub fn argument(random: &mut Random, paths: &[Path]) -> Tree {
    let flag = *random.pick(&["--set", "--set", "--set", "--set-string", "--set-json", "--set-literal"]);
    let mut argument = Tree::leaf(Sort::Item, format!("{flag}="));
    for n in 0..=random.below(2) {
        let key = match paths {
            [_, ..] if random.chance(60) => random.pick(paths).keys.join("."),
            _ if random.chance(12) => (*random.pick(&WRONG_TARGETS)).to_owned(),
            _ => (*random.pick(&TARGETS)).to_owned(),
        };
        let key = if random.chance(4) { format!("{key}[{}]", random.below(3)) } else { key };
        let value = if flag == "--set-json" {
            *random.pick(&[
                "1",
                "null",
                "\"x\"",
                "[1,2]",
                "{\"a\":1.5}",
                "{",
                "1e3",
                "true",
                "12345678901234567890",
            ])
        } else {
            *random.pick(&[
                "1",
                "x",
                "null",
                "true",
                "{a,b}",
                "{}",
                "",
                "1.5",
                "0x10",
                "007",
                "a\\,b",
                "{x",
                "1e3",
                "-5",
                "a=b",
                "9223372036854775808",
                "\"q\"",
                "{1,null,{x}}",
                "0",
                "TRUE",
                "a b",
                "{a\\,b,c}",
                "x,",
                "nil",
                "é",
                "{a}x",
                "+7",
                "-0",
                "{,}",
            ])
        };
        argument.push(Tree::leaf(Sort::Item, format!("{}{key}={value}", if n == 0 { "" } else { "," })));
    }
    argument
}
