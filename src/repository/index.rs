//! The index of a repository: which charts it has, in which versions, and where they are.
//!
//! An index.yaml may have a hundred thousand versions of which a release looks at one, so only what resolving needs
//! is kept, in one table that all releases share. One bad entry does not spoil the others: it is skipped and counted.

use std::collections::{HashMap, HashSet};
use std::fmt;

use pintle_sprig::semver::{Constraint, Version};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::digest::Digest;

/// Longest version that is looked at; semver itself sets none.
const MAX_VERSION: usize = 256;
/// How many versions or names a message lists.
const LISTED: usize = 5;

/// The table of a repository.
#[derive(Debug, Default)]
pub struct Index {
    charts: HashMap<Box<str>, Box<[ChartVersion]>>,
    /// Entries that are empty or break a rule.
    pub skipped: usize,
    /// Versions that a chart lists more than once; the first one counts.
    pub duplicates: usize,
}

/// One version of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartVersion {
    /// Its version, as it is written.
    pub version: Box<str>,
    /// The version of what is inside.
    pub app_version: Option<Box<str>>,
    /// The digest of the archive, when the index names one.
    pub digest: Option<Digest>,
    /// Where the archive is: addresses, or paths below the repository.
    pub urls: Box<[Box<str>]>,
}

impl Index {
    /// Parses an index.yaml or index.json.
    ///
    /// # Errors
    /// The text as a whole is no index.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/repo/v1/index.go:loadIndex`, except that an entry with a field of the wrong type is skipped
    /// where Helm refuses the whole file.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::Empty);
        }
        // Helm: whatever is valid JSON is read as JSON; a flow mapping of YAML begins with a brace too.
        let json = bytes.trim_ascii_start().starts_with(b"{");
        let file: File = match json.then(|| serde_json::from_slice(bytes)) {
            Some(Ok(file)) => file,
            _ => pintle_goyaml::from_str(bytes).map_err(Error::Parse)?,
        };
        if file.api_version.0.is_none_or(|version| version.is_empty()) {
            return Err(Error::NoApiVersion);
        }
        let mut index = Self { skipped: file.entries.skipped, ..Self::default() };
        for (name, entries) in file.entries.charts {
            index.add(name, entries);
        }
        Ok(index)
    }

    fn add(&mut self, name: Box<str>, entries: Vec<Entry>) {
        let listed = entries.len();
        let mut versions: Vec<(Version, ChartVersion)> =
            entries.into_iter().filter_map(Entry::into_version).collect();
        self.skipped += listed - versions.len();
        // Stable, so that of equal versions the one that is listed first comes first.
        versions.sort_by(|(a, _), (b, _)| b.cmp(a));
        let mut seen = HashSet::new();
        self.duplicates += versions.iter().filter(|(_, version)| !seen.insert(&version.version)).count();
        // Helm: a chart whose entries are all bad is still known, in no version.
        self.charts.insert(name, versions.into_iter().map(|(_, version)| version).collect());
    }

    /// Number of charts.
    pub fn count(&self) -> usize {
        self.charts.len()
    }

    /// The names of the charts, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.charts.keys().map(|name| &**name)
    }

    /// The versions of a chart, newest first.
    pub fn versions(&self, name: &str) -> Option<&[ChartVersion]> {
        self.charts.get(name).map(|versions| &**versions)
    }

    /// Chooses the version of `name` that `constraint` asks for.
    ///
    /// # Errors
    /// There is none; see [`Miss`].
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/repo/v1/index.go:Get`: the exact text first, then the newest version that satisfies the
    /// constraint; pre-releases only where the constraint has one.
    pub fn choose(&self, name: &str, constraint: Option<&str>) -> Result<&ChartVersion, Miss> {
        let versions = self.versions(name).ok_or_else(|| Miss::Chart { near: self.near(name) })?;
        let text = constraint.filter(|text| !text.is_empty()).unwrap_or("*");
        let constraint = Constraint::parse(text).map_err(|error| Miss::Constraint(error.to_string()))?;
        let satisfies = |version: &&ChartVersion| {
            Version::parse(&version.version).is_ok_and(|version| constraint.check(&version))
        };
        versions
            .iter()
            .find(|version| &*version.version == text)
            .or_else(|| versions.iter().find(satisfies))
            .ok_or_else(|| Miss::Version {
                newest: versions.iter().take(LISTED).map(|version| version.version.to_string()).collect(),
            })
    }

    /// The names that somebody who wrote `name` may have meant.
    fn near(&self, name: &str) -> Vec<String> {
        let mut near: Vec<(usize, &str)> = self
            .names()
            .filter(|known| known.len() <= 128 && known.chars().all(|c| c.is_ascii_graphic()))
            .filter_map(|known| Some((distance(name, known)?, known)))
            .collect();
        near.sort_unstable();
        near.into_iter().take(LISTED).map(|(_, known)| known.to_owned()).collect()
    }
}

/// How far apart two names are; `None` when nobody would take one for the other.
fn distance(wanted: &str, known: &str) -> Option<usize> {
    let shorter = wanted.len().min(known.len());
    if shorter >= 3 && (known.contains(wanted) || wanted.contains(known)) {
        return Some(0);
    }
    if wanted.len() > 128 || wanted.len().abs_diff(known.len()) > 3 {
        return None;
    }
    let (wanted, known) = (wanted.as_bytes(), known.as_bytes());
    // Levenshtein, one row at a time.
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for (i, a) in wanted.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(known) {
            let next = (diagonal + usize::from(a != b)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
    }
    row.last().copied().filter(|steps| *steps <= 1 + shorter / 4 && *steps < shorter)
}

/// Why an index has not what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No chart of that name.
    Chart {
        /// Names like it.
        near: Vec<String>,
    },
    /// The chart, but in no version that the constraint admits.
    Version {
        /// Its newest versions.
        newest: Vec<String>,
    },
    /// The constraint is none; what the parser says.
    Constraint(String),
}

/// Why a text is no index.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing in it.
    #[error("empty index.yaml file")]
    Empty,
    /// It does not say what it is, so it is probably something else.
    #[error("no API version specified")]
    NoApiVersion,
    /// It is neither YAML nor JSON, or no table.
    #[error(transparent)]
    Parse(pintle_goyaml::Error),
}

#[derive(Default)]
struct File {
    api_version: Text,
    entries: Entries,
}

/// The charts with their entries, and how many of those could not even be looked at.
#[derive(Default)]
struct Entries {
    charts: Vec<(Box<str>, Vec<Entry>)>,
    skipped: usize,
}

/// One entry: the few fields that are kept, whatever their type was.
#[derive(Default)]
struct Entry {
    name: Text,
    version: Text,
    app_version: Text,
    kind: Text,
    digest: Text,
    urls: Vec<Text>,
}

impl Entry {
    /// The version, unless a rule is broken: Helm v4 `pkg/chart/v2/metadata.go:Validate`.
    fn into_version(self) -> Option<(Version, ChartVersion)> {
        let name = self.name.0.filter(|name| !name.is_empty())?;
        if name.contains(['/', '\\']) || matches!(&*name, "." | "..") {
            return None;
        }
        if !matches!(self.kind.0.as_deref(), None | Some("" | "application" | "library")) {
            return None;
        }
        let text = self.version.0.filter(|version| version.len() <= MAX_VERSION)?;
        let version = Version::parse(&text).ok()?;
        let kept = ChartVersion {
            version: text,
            app_version: self.app_version.0,
            digest: self.digest.0.and_then(|digest| Digest::parse(&digest)),
            urls: self.urls.into_iter().filter_map(|url| url.0).filter(|url| !url.is_empty()).collect(),
        };
        Some((version, kept))
    }
}

/// A scalar as text, whatever it was; `None` for everything that is no scalar.
///
/// sigs.k8s.io/yaml makes `version: 1.0` the text `1`, so numbers are no mistake.
#[derive(Default)]
struct Text(Option<Box<str>>);

/// Visitors that accept anything: what they do not want is read to its end and dropped, because an error would end
/// the whole file.
macro_rules! drain {
    (scalars) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        drain!(null);
    };
    (null) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
    };
    (list) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Default::default())
        }
    };
    (map) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Default::default())
        }
    };
}

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = File;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("repo.IndexFile")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<File, A::Error> {
                let mut file = File::default();
                while let Some(key) = map.next_key::<Text>()? {
                    match key.0.as_deref() {
                        Some("apiVersion") => file.api_version = map.next_value()?,
                        Some("entries") => file.entries = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(file)
            }
            drain!(null);
        }
        deserializer.deserialize_any(Fields)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl<'de> Visitor<'de> for Scalar {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("string")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
                Ok(Text(Some(value.to_string().into())))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
                Ok(Text(Some(value.to_string().into())))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
                Ok(Text(Some(value.to_string().into())))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
                Ok(Text(Some(value.to_string().into())))
            }
            fn visit_str<E>(self, value: &str) -> Result<Text, E> {
                Ok(Text(Some(value.into())))
            }
            drain!(null);
            drain!(list);
            drain!(map);
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// A list of anything; everything else is an empty list.
struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(List(elements))
            }
            drain!(scalars);
            drain!(map);
        }
        deserializer.deserialize_any(Elements(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("repo.ChartVersion")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
                let mut entry = Entry::default();
                let mut url = Text::default();
                while let Some(key) = map.next_key::<Text>()? {
                    match key.0.as_deref() {
                        Some("name") => entry.name = map.next_value()?,
                        Some("version") => entry.version = map.next_value()?,
                        Some("appVersion") => entry.app_version = map.next_value()?,
                        Some("type") => entry.kind = map.next_value()?,
                        Some("digest") => entry.digest = map.next_value()?,
                        Some("urls") => entry.urls = map.next_value::<List<Text>>()?.0,
                        // Of old indexes.
                        Some("url") => url = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                if entry.urls.is_empty() {
                    entry.urls.push(url);
                }
                Ok(entry)
            }
            drain!(scalars);
            drain!(list);
        }
        deserializer.deserialize_any(Fields)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Charts;
        impl<'de> Visitor<'de> for Charts {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("map[string]repo.ChartVersions")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Entries::default();
                while let Some(name) = map.next_key::<Text>()? {
                    let versions = map.next_value::<List<Entry>>()?.0;
                    match name.0 {
                        Some(name) => entries.charts.push((name, versions)),
                        None => entries.skipped += versions.len(),
                    }
                }
                Ok(entries)
            }
            drain!(null);
        }
        deserializer.deserialize_any(Charts)
    }
}

#[cfg(test)]
mod tests {
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
        let versions: Vec<&str> = index.versions("alpine").unwrap().iter().map(|v| &*v.version).collect();
        // The two of equal precedence stand as they are listed.
        assert_eq!(versions, ["2.0.0-rc.1", "1.10.0", "v1.3", "1.2.0", "1.2.0", "1.0.0", "1.0.0+build.2"]);
        let chosen = index.choose("alpine", Some("1.10.0")).unwrap();
        assert_eq!(chosen.digest, Some(Digest::of(b"x")));
        assert_eq!(chosen.urls.len(), 2);
        assert_eq!(index.choose("alpine", Some("v1.3")).unwrap().digest, None);
        assert_eq!(*index.choose("alpine", Some("1.2.0")).unwrap().urls, ["old.tgz".into()]);
        assert_eq!(index.choose("alpine", Some("1.0.0")).unwrap().app_version.as_deref(), Some("3.2"));
        assert_eq!(index.count(), 4);
        assert_eq!(index.duplicates, 1);
    }

    #[test]
    fn bad_entries_are_skipped_and_counted() {
        let index = index();
        assert_eq!(index.skipped, 9);
        let kept = index.versions("bad").unwrap();
        assert_eq!(kept.len(), 1);
        assert!(kept[0].urls.is_empty());
        assert_eq!(index.versions("nothing"), Some(&[][..]));
        assert_eq!(&*index.versions("numbers").unwrap()[0].version, "1");
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
            let got = index.choose("alpine", constraint).map(|version| &*version.version);
            assert_eq!(got.ok(), expected, "{constraint:?}");
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
        let text =
            r#" {"apiVersion":"v1","entries":{"a":[{"name":"a","version":"1.0.0","urls":["a.tgz"]},3]}}"#;
        let index = Index::parse(text.as_bytes()).unwrap();
        assert_eq!((index.count(), index.skipped), (1, 1));
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
}
