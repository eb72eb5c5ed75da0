//! Unit: reading an index, and choosing from it.

use std::collections::BTreeMap;

use super::super::digest::Digest;
use super::*;

const INDEX: &str = r#"
apiVersion: v1
generated: "2026-01-01T00:00:00Z"
entries:
  alpine:
    - {name: alpine, version: 1.0.0, urls: [alpine-1.0.0.tgz], appVersion: 3.2, created: 2026-01-01T00:00:00Z}
    - {name: alpine, version: 1.10.0, urls: [a.tgz, b.tgz], digest: "sha256:DIGEST"}
    - {name: alpine, version: 1.2.0, url: old.tgz}
    - {name: alpine, version: 2.0.0-rc.1, urls: [rc.tgz]}
    - {name: alpine, version: v1.3, urls: [loose.tgz], digest: nonsense}
    - {name: alpine, version: 1.2.0, urls: [again.tgz]}
    - {name: alpine, version: 1.0.0+build.2, urls: [build.tgz]}
  numbers: [{name: numbers, version: 1.0, urls: [n.tgz]}]
  bad:
    - null
    - text
    - [list]
    - {version: 1.0.0}
    - {name: bad}
    - {name: bad, version: not-a-version}
    - {name: bad, version: {major: 1}}
    - {name: a/b, version: 1.0.0}
    - {name: bad, version: 1.0.0, type: plugin}
    - {name: bad, version: 0.1.0, urls: none, maintainers: 7, dependencies: {a: b}}
  nothing: null
"#;

fn index() -> Index {
    Index::parse(INDEX.replace("DIGEST", &Digest::of(b"x").hex()).as_bytes()).unwrap()
}

#[test]
fn versions_are_sorted_newest_first() {
    let index = index();
    let versions: Vec<_> = index.versions("alpine").unwrap().map(|v| v.version.into_string()).collect();
    // The two of equal precedence stand as they are listed.
    assert_eq!(versions, ["2.0.0-rc.1", "1.10.0", "v1.3", "1.2.0", "1.2.0", "1.0.0", "1.0.0+build.2"]);
    let chosen = index.choose("alpine", Some("1.10.0")).unwrap();
    assert_eq!(chosen.digest, Some(Digest::of(b"x")));
    assert_eq!(chosen.urls.len(), 2);
    assert_eq!(index.choose("alpine", Some("v1.3")).unwrap().digest, None);
    assert_eq!(*index.choose("alpine", Some("1.2.0")).unwrap().urls, ["old.tgz".into()]);
    assert_eq!(index.choose("alpine", Some("1.0.0")).unwrap().app_version.as_deref(), Some("3.2"));
    assert_eq!(index.count(), 4);
    assert_eq!(index.duplicates(), 1);
}

#[test]
fn bad_entries_are_skipped_and_counted() {
    let index = index();
    assert_eq!(index.skipped(), 9);
    let kept: Vec<_> = index.versions("bad").unwrap().collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].urls.is_empty());
    assert_eq!(index.versions("nothing").unwrap().count(), 0);
    assert_eq!(&*index.versions("numbers").unwrap().next().unwrap().version, "1");
}

/// Helm v4 `pkg/repo/v1/index_test.go:TestIndexFile`, and what it leaves out.
#[test]
fn versions_are_chosen_as_helm_chooses_them() {
    let index = index();
    for (constraint, expected) in [
        (None, Some("1.10.0")),
        (Some(""), Some("1.10.0")),
        (Some("*"), Some("1.10.0")),
        (Some(">0.0.0-0"), Some("2.0.0-rc.1")),
        (Some("1.2.0"), Some("1.2.0")),
        (Some("1.0.0+build.2"), Some("1.0.0+build.2")),
        (Some("1.3"), Some("v1.3")),
        (Some("v1.10.0"), Some("1.10.0")),
        (Some("~1.2"), Some("1.2.0")),
        (Some("^1.0"), Some("1.10.0")),
        (Some("<1.10 || >5"), Some("v1.3")),
        (Some(">=1.1 <1.3"), Some("1.2.0")),
        (Some("2.0.0-rc.1"), Some("2.0.0-rc.1")),
        (Some(">=2"), None),
    ] {
        let got = index.choose("alpine", constraint).ok().map(|version| version.version);
        assert_eq!(got.as_deref(), expected, "{constraint:?}");
    }
}

#[test]
fn a_miss_says_what_there_is() {
    let index = index();
    let newest = ["2.0.0-rc.1", "1.10.0", "v1.3", "1.2.0", "1.2.0"].map(str::to_owned).to_vec();
    for (name, constraint, expected) in [
        ("alpin", None, Miss::Chart { near: vec!["alpine".to_owned()] }),
        ("my-alpine", None, Miss::Chart { near: vec!["alpine".to_owned()] }),
        ("postgres", None, Miss::Chart { near: vec![] }),
        ("alpine", Some("9"), Miss::Version { newest }),
        ("nothing", None, Miss::Version { newest: vec![] }),
        ("alpine", Some("newest"), Miss::Constraint("improper constraint: \"newest\"".to_owned())),
    ] {
        assert_eq!(index.choose(name, constraint), Err(expected), "{name} {constraint:?}");
    }
}

#[test]
fn json_is_read_too() {
    let text = r#" {"apiVersion":"v1","entries":{"a":[{"name":"a","version":"1.0.0","urls":["a.tgz"]},3]}}"#;
    let index = Index::parse(text.as_bytes()).unwrap();
    assert_eq!((index.count(), index.skipped()), (1, 1));
    let flow = "{apiVersion: v1, entries: {a: [{name: a, version: 1.0.0}]}}";
    assert_eq!(Index::parse(flow.as_bytes()).unwrap().count(), 1);
}

#[test]
fn what_is_no_index_is_refused() {
    for (text, message) in [
        ("", Some("empty index.yaml file")),
        (" \n", Some("empty index.yaml file")),
        ("entries: {}", Some("no API version specified")),
        ("apiVersion: ''", Some("no API version specified")),
        ("{}", Some("no API version specified")),
        ("<html>", None),
        ("- a", None),
        ("apiVersion: v1\nentries: [", None),
    ] {
        let error = Index::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(message.unwrap_or(&error), error, "{text}");
    }
    assert_eq!(Index::parse(b"apiVersion: v1").unwrap().count(), 0);
}

#[test]
fn names_are_near_when_a_slip_leads_from_one_to_the_other() {
    for (wanted, known, near) in [
        ("elasticsearch", "elastic", true),
        ("elasticsaerch", "elasticsearch", true),
        ("nginx", "ngnix", true),
        ("nginx", "redis", false),
        ("ab", "abc", true),
        ("a", "z", false),
    ] {
        assert_eq!(distance(wanted, known).is_some(), near, "{wanted} {known}");
    }
}

/// What the full parser makes of the text.
fn full(text: &str) -> Option<Index> {
    let file: File = pintle_goyaml::from_str(text.as_bytes()).ok()?;
    file.api_version.0.filter(|version| !version.is_empty())?;
    Some(Index { table: file.entries.0 })
}

fn content(index: &Index) -> impl PartialEq + std::fmt::Debug + use<> {
    let versions = |name: &str| index.versions(name).unwrap().collect::<Vec<_>>();
    let charts: BTreeMap<_, _> = index.names().map(|name| (name.to_owned(), versions(name))).collect();
    (charts, index.skipped(), index.duplicates())
}

/// Whether the text was read as a stream; if so, as the full parser reads it.
fn is_streamed(text: &str) -> bool {
    let Ok(file) = lines::read(text.as_bytes()).unwrap() else { return false };
    if let Some(expected) = full(text) {
        assert!(file.api_version.0.is_some_and(|version| !version.is_empty()), "{text}");
        assert_eq!(content(&Index { table: file.entries.0 }), content(&expected), "{text}");
    }
    true
}

#[test]
fn what_tools_write_is_read_as_a_stream() {
    for text in [
        // helm repo index: no indentation of lists, long texts folded at eighty columns.
        "apiVersion: v1\nentries:\n  a:\n  - apiVersion: v2\n    appVersion: \"1.10\"\n    created: \"2026-01-01T00:00:00Z\"\n    \
         description: A text that goes on\n      and on\n    digest: 9f8e\n    keywords:\n    - x\n    maintainers:\n    - email: a@b\n      \
         name: n\n    name: a\n    urls:\n    - https://h/a-1.0.0.tgz\n    version: 1.0.0\n  b: []\ngenerated: \"2026-01-01T00:00:00Z\"\n",
        // ChartMuseum.
        "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0.0\n    description: 'it''s\n\n      folded'\n    urls:\n    - charts/a.tgz\n\
         generated: \"2026\"\nserverInfo: {}\n",
        // Artifactory: indented lists.
        "apiVersion: v1\r\nentries:\r\n  a:\r\n    - annotations:\r\n        category: \"x\\\r\n          y\"\r\n      name: a\r\n      version: 1.0.0\r\n      \
         urls:\r\n        - local://a.tgz\r\n",
        // By hand.
        "---\n# An index\n\"apiVersion\": v1\n",
        "---\n# An index\napiVersion: 'v1' # the only one\nannotations:\n  x: y\nentries:\n    # a chart\n    3scale:\n\n        # a version\n        -   \
         name: 3scale\n            version:   1.0\n            description: |\n\n                - name: b\n                  version: 2.0.0\n            \
         sources: [a, 'b]', {c: d}]\n            urls: [u]\n        -\n            name: 3scale\n            version: 2.0.0\n    \"q\\x41\": ~\n",
        "apiVersion: v1\nentries:\n  a:\n  - name: &x\n",
    ] {
        let plain = !text.contains('&') && !text.contains("\"apiVersion\"");
        assert_eq!(is_streamed(text), plain, "{text}");
        assert!(!plain || full(text).is_some(), "{text}");
    }
    assert!(is_streamed(
        &pintle_goyaml::to_string(&pintle_goyaml::parse(INDEX.as_bytes()).unwrap()).unwrap()
    ));
}

#[test]
fn an_entry_that_is_no_yaml_spoils_no_other() {
    let text = "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: \"\\y\"\n  - name: a\n    version: 1.0.0\n";
    assert!(full(text).is_none());
    let index = Index::parse(text.as_bytes()).unwrap();
    assert_eq!((index.versions("a").unwrap().count(), index.skipped()), (1, 1));
}

/// Texts out of what makes YAML hard, in layouts that mostly fit together.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // splitmix64: the same texts on every machine.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((x ^ (x >> 31)) % limit as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn value(&mut self, indentation: usize) -> String {
        let pad = " ".repeat(indentation + self.below(4));
        self.pick(&[
            "1.0.0",
            "2.1.3-rc.1",
            "1.10",
            "v1",
            "~",
            "",
            "null",
            "yes",
            "0x10",
            "1e3",
            "2026-01-01",
            "'1.2.0'",
            "\"1.3.0\"",
            "\"1.\\x34.0\"",
            "'it''s'",
            "text # comment",
            "a#b",
            "a: b",
            "[a, b]",
            "{}",
            "[]",
            "{a: 'b}'}",
            "&x 1.0.0",
            "*x",
            "!!str 1.0",
            "|\n@- name: x\n@  y",
            ">-\n\n@a\n@\n@b: c",
            "|2\n@x",
            "a\n@b c",
            "a\n\n@- b",
            "a\n@b: c",
            "\"a\n@b\"",
            "'a\n- b: ''\n@c'",
            "\"a\\\n@\\ b\" # c",
            "\n@text",
            "\n@- a\n@- 'b'",
            "\n@a: b\n@c:\n@- d",
            "\n@- a: b\n@  c: d",
            "---",
            "# c",
            "-1",
            "- a",
            "ü\u{2028}x",
            "a\tb",
            "\ta",
            "#",
            "https://h/a.tgz#x",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ])
        .replace('@', &pad)
    }

    fn entry(&mut self, dash: usize, text: &mut String) {
        let gap = 1 + self.below(2) * self.below(3);
        let fields = dash + 1 + gap;
        let mut prefix = format!("{}-{}", " ".repeat(dash), " ".repeat(gap));
        if self.below(20) == 0 {
            prefix = format!("{}-\n{}", " ".repeat(dash), " ".repeat(fields));
        }
        for _ in 0..self.below(7) {
            let key = self.pick(&[
                "name",
                "version",
                "appVersion",
                "type",
                "digest",
                "urls",
                "url",
                "description",
                "'name'",
                "x y",
                "<<",
                "1",
            ]);
            let value = match key {
                "name" if self.below(4) > 0 => "web".to_owned(),
                "version" if self.below(3) > 0 => self.pick(&["1.0.0", "1.2.0", "1.0", "'2.0.0'"]).to_owned(),
                "urls" if self.below(3) > 0 => {
                    let pad = " ".repeat(fields + self.below(2) * 2);
                    format!(
                        "\n{pad}- {}\n{pad}- {}",
                        self.pick(&["a.tgz", "'b'", "1", "c\n      d"]),
                        self.value(fields)
                    )
                }
                _ => self.value(fields + 1),
            };
            let space = if value.starts_with('\n') { "" } else { " " };
            text.push_str(&format!("{prefix}{key}:{space}{value}\n"));
            prefix = " ".repeat(fields);
        }
    }

    fn index(&mut self) -> String {
        let mut text = self
            .pick(&[
                "apiVersion: v1\n",
                "apiVersion: v1\n",
                "---\napiVersion: 1\n",
                "# c\napiVersion: 'v1' # d\n",
                "",
            ])
            .to_owned();
        if self.below(4) == 0 {
            text.push_str(&format!("other: {}\n", self.value(1)));
        }
        text.push_str(self.pick(&[
            "entries:\n",
            "entries:\n",
            "entries:\n",
            "entries: # c\n\n",
            "entries: {}\n",
        ]));
        let names = 1 + self.below(3);
        for _ in 0..self.below(4) {
            let name = self.pick(&["web", "db", "3", "1.0", "'q'", "~", "a b", "x:y"]);
            text.push_str(&format!(
                "{}{name}:{}\n",
                " ".repeat(names),
                self.pick(&["", "", "", " []", " x", " # c"])
            ));
            let dash = names + self.below(3);
            for _ in 0..self.below(4) {
                self.entry(dash, &mut text);
            }
        }
        text.push_str(self.pick(&["", "generated: x\n", "a:\n  - b\n", "z: |\n  entries:\n", "..."]));
        // A slip now and then.
        for _ in 0..self.below(3) * self.below(2) {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
            let Some(&place) = places.get(self.below(places.len().max(1))) else { break };
            match self.below(3) {
                0 => text.insert_str(
                    place,
                    self.pick(&[
                        " ", "-", "- ", ":", ": ", "#", " #", "'", "\"", "|", "\n", "  ", "[", "}", "&",
                        "\t", "\r\n",
                    ]),
                ),
                _ => {
                    text.remove(place);
                }
            }
        }
        text
    }
}

#[test]
fn the_stream_and_the_full_parser_agree() {
    let cases = std::env::var("PINTLE_INDEX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4000);
    let (mut streamed, mut valid) = (0, 0);
    for seed in 0..cases {
        let text = Dice(seed).index();
        streamed += usize::from(is_streamed(&text));
        valid += usize::from(full(&text).is_some());
    }
    // Neither of the two is idle.
    let cases = usize::try_from(cases).unwrap();
    assert!(streamed > cases / 4 && valid > cases / 5, "{streamed} and {valid} of {cases}");
}
