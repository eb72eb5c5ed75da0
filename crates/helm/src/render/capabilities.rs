//! What a cluster can do: `.Capabilities`.

use std::any::Any;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::Compat;
use pintle_gotemplate::{Entries, FuncError, Method, Object, Signature, State, Str, Type, Value, YamlForm};
use pintle_sprig::impure;

/// What templates see as `.Capabilities`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The version of the cluster.
    pub kube_version: KubeVersion,
    /// Group versions that are served and, from a cluster, `group/version/Kind` too.
    pub api_versions: Arc<[String]>,
}

/// A version of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVersion {
    /// In full: `v1.33.4-gke.1245000`.
    pub version: String,
    /// `1`.
    pub major: String,
    /// `33`; some clusters say `33+`.
    pub minor: String,
    /// What constraints are checked against, and what `String` says: without what a vendor appended where a user
    /// typed the version, in full where a cluster said it.
    pub comparable: String,
}

impl Default for Capabilities {
    /// What Helm 4.3 assumes without a cluster: the version of its client library, and the groups that this knows.
    fn default() -> Self {
        Self {
            kube_version: KubeVersion {
                version: "v1.37.0".to_owned(),
                major: "1".to_owned(),
                minor: "37".to_owned(),
                comparable: "v1.37.0".to_owned(),
            },
            api_versions: DEFAULT_API_VERSIONS.iter().map(|version| (*version).to_owned()).collect(),
        }
    }
}

impl Capabilities {
    /// Adds versions, as `--api-versions` does.
    #[must_use]
    pub fn with_api_versions(mut self, more: impl IntoIterator<Item = String>) -> Self {
        self.api_versions = self.api_versions.iter().cloned().chain(more).collect();
        self
    }
}

/// As helm v4.3.1 prints them; the test is the conformance case `exec.caps.02`.
const DEFAULT_API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// The text is no version of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid kube version '{version}': {reason}")]
pub struct InvalidKubeVersion {
    version: String,
    reason: String,
}

impl KubeVersion {
    /// Reads what a user types: `1.33`, `v1.33.4-gke.1245000`.
    ///
    /// # Errors
    /// There are less than two numbers.
    ///
    /// # Compatibility
    /// As Kubernetes' `version.ParseGeneric`, which Helm uses.
    pub fn parse(text: &str) -> Result<Self, InvalidKubeVersion> {
        let numbers =
            numbers(text).map_err(|reason| InvalidKubeVersion { version: text.to_owned(), reason })?;
        let number = |i: usize| numbers.get(i).map(ToString::to_string).unwrap_or_default();
        let version = if text.starts_with('v') { text.to_owned() } else { format!("v{text}") };
        let comparable: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        Ok(Self {
            version,
            major: number(0),
            minor: number(1),
            comparable: format!("v{}", comparable.join(".")),
        })
    }

    /// What a cluster says of itself.
    pub fn served(git_version: &str, major: &str, minor: &str) -> Self {
        Self {
            version: git_version.to_owned(),
            major: major.to_owned(),
            minor: minor.to_owned(),
            comparable: git_version.to_owned(),
        }
    }
}

impl fmt::Display for KubeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.comparable)
    }
}

/// The dotted numbers at the start of a version.
fn numbers(text: &str) -> Result<Vec<u64>, String> {
    let trimmed = text.trim_start();
    let trimmed = trimmed.strip_prefix('v').unwrap_or(trimmed);
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    // A dot without a number after it belongs to the rest.
    let head = trimmed.get(..end).unwrap_or_default();
    let head = head.split_once("..").map_or(head, |(head, _)| head).trim_end_matches('.');
    if head.is_empty() || head.starts_with('.') {
        return Err(format!("could not parse {text:?} as version"));
    }
    let parts: Vec<&str> = head.split('.').collect();
    if parts.len() < 2 {
        return Err(format!("illegal version string {text:?}"));
    }
    if let Some(first) = parts.first().filter(|part| part.len() > 1 && part.starts_with('0')) {
        return Err(format!("illegal zero-prefixed version component {first:?} in {text:?}"));
    }
    parts
        .into_iter()
        .map(|part| {
            part.parse().map_err(|_| {
                format!(
                    "illegal non-numeric version component {part:?} in {text:?}: strconv.ParseUint: parsing {part:?}: value out of range"
                )
            })
        })
        .collect()
}

/// A method without parameters.
pub(super) fn no_args(call: impl Fn() -> Result<Value, FuncError> + 'static) -> Method {
    Method { signature: Signature { params: &[], variadic: false }, call: Box::new(move |_| call()) }
}

/// A method that takes one string.
pub(super) fn one_string(call: impl Fn(&Str) -> Result<Value, FuncError> + 'static) -> Method {
    let call = move |args: &[Value]| match args.first() {
        Some(Value::String(text)) => call(text),
        // The executor has checked the signature.
        _ => Err(FuncError::Message("expected string".to_owned())),
    };
    Method { signature: Signature { params: &[Type::String], variadic: false }, call: Box::new(call) }
}

/// The JSON of a struct, whose fields keep their order.
fn json_struct(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `*common.Capabilities`.
pub(super) struct CapabilitiesObject {
    kube_version: Rc<KubeVersionObject>,
    api_versions: Rc<ApiVersionsObject>,
    compat: Compat,
    /// Whether it is the struct itself, as a template prints it.
    is_struct: bool,
}

impl CapabilitiesObject {
    pub(super) fn value(capabilities: &Capabilities, compat: Compat) -> Value {
        Value::Object(Rc::new(Self {
            kube_version: Rc::new(KubeVersionObject {
                version: capabilities.kube_version.clone(),
                is_copy: false,
                compat,
            }),
            api_versions: Rc::new(ApiVersionsObject(capabilities.api_versions.clone(), compat)),
            compat,
            is_struct: false,
        }))
    }
}

impl Object for CapabilitiesObject {
    fn type_name(&self) -> &str {
        match self.compat {
            Compat::V3 => "*chartutil.Capabilities",
            Compat::V4 => "*common.Capabilities",
        }
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn taken(&self, state: &State<'_, '_>) {
        impure::note_line(state, "Capabilities");
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "KubeVersion" => Some(Value::Object(self.kube_version.clone())),
            "APIVersions" => Some(Value::Object(self.api_versions.clone())),
            "HelmVersion" => Some(Value::Object(Rc::new(HelmVersionObject(self.compat)))),
            _ => None,
        }
    }

    fn print(&self) -> Vec<u8> {
        let mut text = if self.is_struct { b"{".to_vec() } else { b"&{".to_vec() };
        text.extend_from_slice(&self.kube_version.dump());
        text.push(b' ');
        text.extend_from_slice(&self.api_versions.print());
        text.push(b' ');
        text.extend_from_slice(&HelmVersionObject(self.compat).print());
        text.push(b'}');
        text
    }

    fn pointee(&self) -> Option<Rc<dyn Object>> {
        Some(Rc::new(Self {
            kube_version: self.kube_version.clone(),
            api_versions: self.api_versions.clone(),
            compat: self.compat,
            is_struct: true,
        }))
    }

    fn deep_copied(&self) -> Option<Rc<dyn Object>> {
        Some(Rc::new(Self {
            kube_version: Rc::new(self.kube_version.without_comparable(false)),
            api_versions: self.api_versions.clone(),
            compat: self.compat,
            is_struct: false,
        }))
    }

    fn to_plain(&self) -> Option<Value> {
        Some(Value::map(Entries::from([
            ("KubeVersion".into(), self.kube_version.to_plain()?),
            ("APIVersions".into(), self.api_versions.to_plain()?),
            ("HelmVersion".into(), HelmVersionObject(self.compat).to_plain()?),
        ])))
    }

    fn to_yaml(&self) -> Option<YamlForm> {
        Some(YamlForm::Struct(vec![
            ("kubeversion", Value::Object(self.kube_version.clone())),
            ("apiversions", Value::Object(self.api_versions.clone())),
            ("helmversion", Value::Object(Rc::new(HelmVersionObject(self.compat)))),
        ]))
    }

    fn to_json(&self) -> Option<String> {
        Some(json_struct(&[
            ("KubeVersion", self.kube_version.to_json()?),
            ("APIVersions", self.api_versions.to_json()?),
            ("HelmVersion", HelmVersionObject(self.compat).to_json()?),
        ]))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `common.KubeVersion`.
struct KubeVersionObject {
    version: KubeVersion,
    /// Whether Go could not take its address, and so does not find its `String()`.
    is_copy: bool,
    compat: Compat,
}

impl KubeVersionObject {
    /// What `String()` says.
    fn name(&self) -> &str {
        let KubeVersion { version, comparable, .. } = &self.version;
        if comparable.is_empty() { version } else { comparable }
    }

    /// What `deepCopy` leaves of it: it does not see fields that are not exported.
    fn without_comparable(&self, is_copy: bool) -> Self {
        let version = KubeVersion { comparable: String::new(), ..self.version.clone() };
        Self { version, is_copy, compat: self.compat }
    }

    /// The struct as Go dumps it inside another one.
    fn dump(&self) -> Vec<u8> {
        let KubeVersion { version, major, minor, comparable } = &self.version;
        match self.compat {
            Compat::V3 => format!("{{{version} {major} {minor}}}"),
            Compat::V4 => format!("{{{version} {comparable} {major} {minor}}}"),
        }
        .into_bytes()
    }
}

impl Object for KubeVersionObject {
    fn type_name(&self) -> &str {
        match self.compat {
            Compat::V3 => "chartutil.KubeVersion",
            Compat::V4 => "common.KubeVersion",
        }
    }

    fn kind(&self) -> &'static str {
        "struct"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Version" => Some(Value::string(&self.version.version)),
            "Major" => Some(Value::string(&self.version.major)),
            "Minor" => Some(Value::string(&self.version.minor)),
            _ => None,
        }
    }

    fn method(self: Rc<Self>, name: &str) -> Option<Method> {
        match name {
            // Go: these are methods of the pointer only.
            _ if self.is_copy => None,
            "String" => Some(no_args(move || Ok(Value::string(self.name())))),
            "GitVersion" => Some(no_args(move || Ok(Value::string(&self.version.version)))),
            _ => None,
        }
    }

    fn print(&self) -> Vec<u8> {
        if self.is_copy { self.dump() } else { self.name().as_bytes().to_vec() }
    }

    fn copied(self: Rc<Self>) -> Option<Rc<dyn Object>> {
        Some(Rc::new(Self { version: self.version.clone(), is_copy: true, compat: self.compat }))
    }

    fn deep_copied(&self) -> Option<Rc<dyn Object>> {
        Some(Rc::new(self.without_comparable(true)))
    }

    fn to_plain(&self) -> Option<Value> {
        Some(Value::map(Entries::from([
            ("Version".into(), Value::string(&self.version.version)),
            ("Major".into(), Value::string(&self.version.major)),
            ("Minor".into(), Value::string(&self.version.minor)),
        ])))
    }

    fn to_yaml(&self) -> Option<YamlForm> {
        let KubeVersion { version, major, minor, .. } = &self.version;
        let fields = [("version", version), ("major", major), ("minor", minor)];
        Some(YamlForm::Struct(fields.map(|(name, text)| (name, Value::string(text))).into()))
    }

    fn to_json(&self) -> Option<String> {
        let KubeVersion { version, major, minor, .. } = &self.version;
        Some(json_struct(&[("Version", quoted(version)), ("Major", quoted(major)), ("Minor", quoted(minor))]))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| self.version == other.version)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `common.VersionSet`.
struct ApiVersionsObject(Arc<[String]>, Compat);

impl Object for ApiVersionsObject {
    fn type_name(&self) -> &str {
        match self.1 {
            Compat::V3 => "chartutil.VersionSet",
            Compat::V4 => "common.VersionSet",
        }
    }

    fn kind(&self) -> &'static str {
        "slice"
    }

    fn method(self: Rc<Self>, name: &str) -> Option<Method> {
        (name == "Has").then(|| {
            one_string(move |wanted| {
                Ok(Value::Bool(self.0.iter().any(|version| version.as_bytes() == wanted.as_bytes())))
            })
        })
    }

    fn print(&self) -> Vec<u8> {
        format!("[{}]", self.0.join(" ")).into_bytes()
    }

    fn truth(&self) -> bool {
        !self.0.is_empty()
    }

    fn to_plain(&self) -> Option<Value> {
        Some(Value::strings(self.0.iter()))
    }

    fn to_json(&self) -> Option<String> {
        let names: Vec<String> = self.0.iter().map(|name| quoted(name)).collect();
        Some(format!("[{}]", names.join(",")))
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        Some((0..).map(Value::int).zip(self.0.iter().map(Value::string)).collect())
    }

    fn len(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `version.BuildInfo` of the Helm that Pintle stands in for.
struct HelmVersionObject(Compat);

impl HelmVersionObject {
    /// The fields that are not empty; Helm 3 does not have the last one.
    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        let mut fields = vec![("version", helm_version(self.0)), ("go_version", GO_VERSION)];
        if self.0 == Compat::V4 {
            fields.push(("kube_client_version", KUBE_CLIENT_VERSION));
        }
        fields
    }
}

/// The Helm that Pintle stands in for.
pub(super) fn helm_version(compat: Compat) -> &'static str {
    match compat {
        Compat::V3 => "v3.22",
        Compat::V4 => "v4.3",
    }
}

pub(super) const GO_VERSION: &str = "go1.26.8";
pub(super) const KUBE_CLIENT_VERSION: &str = "v1.37";

impl Object for HelmVersionObject {
    fn type_name(&self) -> &str {
        "version.BuildInfo"
    }

    fn kind(&self) -> &'static str {
        "struct"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Version" => Some(Value::string(helm_version(self.0))),
            "GitCommit" | "GitTreeState" => Some(Value::string("")),
            "GoVersion" => Some(Value::string(GO_VERSION)),
            "KubeClientVersion" if self.0 == Compat::V4 => Some(Value::string(KUBE_CLIENT_VERSION)),
            _ => None,
        }
    }

    fn print(&self) -> Vec<u8> {
        match self.0 {
            Compat::V3 => format!("{{{}   {}}}", helm_version(self.0), GO_VERSION),
            Compat::V4 => format!("{{{}   {} {}}}", helm_version(self.0), GO_VERSION, KUBE_CLIENT_VERSION),
        }
        .into_bytes()
    }

    fn to_plain(&self) -> Option<Value> {
        let fields = self.fields().into_iter().map(|(name, text)| (name.into(), Value::string(text)));
        Some(Value::map(fields.collect()))
    }

    fn to_yaml(&self) -> Option<YamlForm> {
        // Go: the names and `omitempty` of tags are those of JSON.
        let mut fields = vec![
            ("version", helm_version(self.0)),
            ("gitcommit", ""),
            ("gittreestate", ""),
            ("goversion", GO_VERSION),
        ];
        if self.0 == Compat::V4 {
            fields.push(("kubeclientversion", KUBE_CLIENT_VERSION));
        }
        Some(YamlForm::Struct(fields.into_iter().map(|(name, text)| (name, text.into())).collect()))
    }

    fn to_json(&self) -> Option<String> {
        let fields: Vec<_> = self.fields().into_iter().map(|(name, text)| (name, quoted(text))).collect();
        Some(json_struct(&fields))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of helm v4.3.1 `template --kube-version`.
    #[test]
    fn versions_are_read_as_in_helm() {
        for (text, expected) in [
            ("1.33", Ok(("v1.33", "1", "33", "v1.33"))),
            ("v1.33.4-gke.1245000", Ok(("v1.33.4-gke.1245000", "1", "33", "v1.33.4"))),
            ("v1.26.4+k3s1", Ok(("v1.26.4+k3s1", "1", "26", "v1.26.4"))),
            ("abc", Err("invalid kube version 'abc': could not parse \"abc\" as version")),
            ("1", Err("invalid kube version '1': illegal version string \"1\"")),
        ] {
            match (KubeVersion::parse(text), expected) {
                (Ok(version), Ok((full, major, minor, normalised))) => {
                    assert_eq!(
                        (version.version.as_str(), version.major.as_str(), version.minor.as_str()),
                        (full, major, minor)
                    );
                    assert_eq!(version.comparable, normalised);
                }
                (Err(error), Err(message)) => assert_eq!(error.to_string(), message),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_default_list_is_helms() {
        assert_eq!(Capabilities::default().api_versions.len(), 57);
    }
}
