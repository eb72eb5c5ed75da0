//! The few fields of an index that are kept, whatever the types of all others are.
//!
//! Serves JSON from a stream and YAML from the full parser alike; charts go into the [`Table`] one by one.

use std::fmt;

use pintle_sprig::semver::Version;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::digest::Digest;
use super::ChartVersion;
use super::table::{Table, Versions};

/// Longest version that is looked at; semver itself sets none.
const MAX_VERSION: usize = 256;

/// The whole of an index.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) api_version: Text,
    pub(super) entries: Entries,
}

/// The charts.
#[derive(Debug, Default)]
pub(super) struct Entries(pub(super) Table);

/// One entry: the few fields that are kept, whatever their type was.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) name: Text,
    pub(super) version: Text,
    pub(super) app_version: Text,
    pub(super) kind: Text,
    pub(super) digest: Text,
    pub(super) urls: Vec<Text>,
}

impl Entry {
    /// The version, unless a rule is broken: Helm v4 `pkg/chart/v2/metadata.go:Validate`.
    pub(super) fn into_version(self) -> Option<(Version, ChartVersion)> {
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
#[derive(Debug, Default)]
pub(super) struct Text(pub(super) Option<Box<str>>);

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
pub(super) struct List<T>(pub(super) Vec<T>);

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
                    let versions: Versions = map.next_value()?;
                    match name.0 {
                        Some(name) => entries.0.add(name, versions),
                        None => entries.0.nameless += versions.listed(),
                    }
                }
                Ok(entries)
            }
            drain!(null);
        }
        deserializer.deserialize_any(Charts)
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Versions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("repo.ChartVersions")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Versions, A::Error> {
                let mut versions = Versions::default();
                while let Some(entry) = list.next_element::<Entry>()? {
                    versions.add(entry.into_version());
                }
                Ok(versions)
            }
            drain!(scalars);
            drain!(map);
        }
        deserializer.deserialize_any(Elements)
    }
}
