//! The objects that a manifest asks for, and those that earlier manifests asked for.
//!
//! Everything that can be said about a manifest without a request is said here: an object without a kind, the
//! same object twice, a kind that nobody serves. Nothing has been changed then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use pintle_helm::chart::Crd;
use pintle_helm::manifest::{Document, Hook, HookEvent, Manifest, Order, compare_kinds};

use super::prune::removal;
use super::{Change, Error, Live, Release, ReleaseKey, Revision};
use crate::api::Reason;
use crate::cluster::{Kind, ObjectRef, Retry, Served};

/// What is known of the server may be this old when a kind is missing.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// An object that a manifest asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetObject {
    /// Its identity.
    pub object: ObjectRef,
    /// Where it is served.
    pub kind: Kind,
    /// The template that it comes from.
    pub source: String,
    /// The object as it was rendered.
    pub content: Value,
}

impl TargetObject {
    /// The object with its namespace and the release's marks: what is applied.
    pub(super) fn marked(&self, key: &ReleaseKey) -> Value {
        super::plan::marked(&self.content, &self.object, &self.kind, key)
    }
}

/// What a release wants, and what it may have left behind.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// The objects of the manifest, in install order.
    pub objects: Vec<TargetObject>,
    /// The definitions of `crds/`.
    pub crds: Vec<TargetObject>,
    /// Hooks, as recorded.
    pub hooks: Vec<Hook>,
    /// What earlier manifests say about an object, newest last.
    pub previous: BTreeMap<ObjectRef, Vec<TargetObject>>,
    /// The objects of earlier manifests that were deployed. One that is only in a manifest that failed may never have
    /// been the release's.
    pub deployed: BTreeSet<ObjectRef>,
    /// Objects of earlier manifests whose kind the server does not serve in any version: nothing can be done to them.
    pub unserved: BTreeSet<ObjectRef>,
}

/// An earlier manifest.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// The manifest.
    pub manifest: Manifest,
    /// Whether it was deployed.
    pub deployed: bool,
}

impl Earlier {
    /// The manifest of a revision.
    ///
    /// # Errors
    /// Its record cannot be read.
    pub fn of(revision: &Revision) -> Result<Self, Error> {
        Ok(Self { manifest: revision.manifest()?, deployed: revision.was_good() })
    }
}

impl Targets {
    /// Reads a manifest and the earlier ones with what the server serves. It is asked again before a kind is said to
    /// be missing: what is known of it can be older than a definition, and the objects of that would be left behind.
    ///
    /// # Errors
    /// As [`Targets::new`], or that the server cannot be asked.
    pub async fn known(cx: &Release<'_>, manifest: &Manifest, previous: &[Earlier]) -> Result<Self, Error> {
        let served = cx.discovery.served().await?;
        match Self::new(cx.key, manifest, previous, &served) {
            Ok(targets) if targets.unserved.is_empty() => Ok(targets),
            Err(error) if error.reason != Reason::KindNotFound => Err(error),
            _ => {
                let served = cx.discovery.refresh(REFRESH_PAUSE).await?;
                Self::new(cx.key, manifest, previous, &served)
            }
        }
    }

    /// As [`Targets::known`], with the live objects.
    ///
    /// # Errors
    /// The same, or that an object cannot be read.
    pub async fn looked_at(
        cx: &Release<'_>,
        manifest: &Manifest,
        previous: &[Earlier],
    ) -> Result<(Self, Live), Error> {
        let targets = Self::known(cx, manifest, previous).await?;
        let live = targets.live(cx).await?;
        if live.unserved.is_empty() {
            return Ok((targets, live));
        }
        // What is known of the server was older than the end of a kind or a version: unless the chart brings it, this
        // says so, and what is there under another version is found.
        let targets = Self::known(cx, manifest, previous).await?;
        let live = targets.live(cx).await?;
        Ok((targets, live))
    }

    /// The live objects. What the watches tell of them is not asked for: that one is as it should be, and whose one is
    /// that is to go. A watch may be behind, or keep silent for a while: a forced action reads them all.
    async fn live(&self, cx: &Release<'_>) -> Result<Live, Error> {
        let mut known = if cx.is_forced { Live::default() } else { self.told(cx) };
        let mut due = self.refs();
        due.retain(|(_, o)| !known.proven.contains(o) && !known.objects.contains_key(o));
        let mut live = super::live(cx, due).await?;
        live.objects.append(&mut known.objects);
        live.proven = known.proven;
        for target in self.objects.iter().filter(|target| self.is_unchanged(target)) {
            if let Some(found) = live.find(&target.object) {
                cx.objects.prove(&target.object, found.value(), &target.marked(cx.key));
            }
        }
        Ok(live)
    }

    /// What the watches tell.
    fn told(&self, cx: &Release<'_>) -> Live {
        let mut known = Live::default();
        for target in &self.objects {
            if self.is_unchanged(target) && cx.objects.is_proven(&target.object, &target.marked(cx.key)) {
                known.proven.insert(target.object.clone());
            }
        }
        for target in self.leftovers() {
            // Stored manifests may name any object: of one that is not the release's own the tenant learns no more than
            // it may read itself.
            let marks = cx.objects.marks_of(&target.object);
            if let Some(marks) = marks.filter(|marks| removal(cx.key, marks) == Change::Delete) {
                known.objects.insert(target.object.clone(), marks);
            }
        }
        known
    }

    /// Whether every earlier manifest has the object as it is. Every one counts: a failed attempt may have added a
    /// field that the next one dropped.
    pub(super) fn is_unchanged(&self, target: &TargetObject) -> bool {
        let earlier = self.previous.get(&target.object).map(Vec::as_slice).unwrap_or_default();
        !earlier.is_empty() && earlier.iter().all(|earlier| earlier.content == target.content)
    }

    /// Reads a manifest and the earlier ones.
    ///
    /// # Errors
    /// [`Reason::InvalidManifest`], or [`Reason::KindNotFound`] when a kind is neither served nor defined by the
    /// chart; the message names the template.
    pub fn new(
        key: &ReleaseKey,
        manifest: &Manifest,
        previous: &[Earlier],
        served: &Served,
    ) -> Result<Self, Error> {
        Self::among(key, manifest, previous, &|object| served.kind(object).cloned(), &served.api_versions)
    }

    /// The same, with the kinds that are served given as a function.
    pub(super) fn among(
        key: &ReleaseKey,
        manifest: &Manifest,
        previous: &[Earlier],
        served: &dyn Fn(&ObjectRef) -> Option<Kind>,
        api_versions: &BTreeSet<String>,
    ) -> Result<Self, Error> {
        let mut reader = Reader { key, served, api_versions, provided: BTreeMap::new() };
        let mut targets = Self { hooks: manifest.hooks.clone(), ..Self::default() };
        for crd in &manifest.crds {
            for (content, source) in crd_objects(crd)? {
                reader.provide(&content);
                targets.crds.push(reader.read(content, &source)?);
            }
        }
        let mut contents = Vec::new();
        for document in &manifest.documents {
            for content in parse(document)? {
                reader.provide(&content);
                contents.push((content, document.source.as_str()));
            }
        }
        let mut hooks = Vec::new();
        for hook in manifest.hooks.iter().filter(|h| h.events.iter().any(|e| *e != HookEvent::Test)) {
            for content in hook.objects().map_err(|e| invalid(crate::cluster::chain(&e)))? {
                reader.provide(&content);
                hooks.push((content, hook.path.as_str()));
            }
        }
        let mut seen: BTreeMap<ObjectRef, String> = BTreeMap::new();
        for (content, source) in contents {
            let target = reader.read(content, source)?;
            if let Some(first) = seen.insert(target.object.clone(), source.to_owned()) {
                return Err(invalid(format!(
                    "{} is in the manifest twice, from {first} and from {source}; give one of them another name",
                    target.object
                ))
                .about(&target.object));
            }
            targets.objects.push(target);
        }
        // Hooks are applied when their turn comes; that they can be is known before the first write.
        for (content, source) in hooks {
            reader.read(content, source)?;
        }
        targets.objects.sort_by(|a, b| compare_kinds(Order::Install, &a.object.kind, &b.object.kind));
        reader.earlier(previous, &mut targets);
        Ok(targets)
    }

    /// Every object that has to be looked at, each once.
    pub fn refs(&self) -> Vec<(Kind, ObjectRef)> {
        let earlier = self.previous.values().filter_map(|versions| versions.last());
        let all = self.crds.iter().chain(&self.objects).chain(earlier);
        let mut seen = BTreeSet::new();
        all.filter(|t| seen.insert(t.object.clone())).map(|t| (t.kind.clone(), t.object.clone())).collect()
    }

    /// The objects of earlier manifests that the manifest no longer has, as the newest of them says.
    pub fn leftovers(&self) -> Vec<&TargetObject> {
        let wanted: BTreeSet<&ObjectRef> = self.objects.iter().map(|t| &t.object).collect();
        let gone = self.previous.iter().filter(|(object, _)| !wanted.contains(object));
        gone.filter_map(|(_, versions)| versions.last()).collect()
    }
}

/// Reads objects of one release.
struct Reader<'a> {
    key: &'a ReleaseKey,
    served: &'a dyn Fn(&ObjectRef) -> Option<Kind>,
    api_versions: &'a BTreeSet<String>,
    /// Kinds that the chart's own definitions will serve.
    provided: BTreeMap<(String, String, String), Kind>,
}

impl Reader<'_> {
    /// Takes note of the kinds that a definition will serve.
    fn provide(&mut self, crd: &Value) {
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/kind") != "CustomResourceDefinition" {
            return;
        }
        let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
        for version in versions.into_iter().flatten().filter_map(|v| v.get("name")?.as_str()) {
            let kind = Kind {
                group: text("/spec/group").to_owned(),
                version: version.to_owned(),
                kind: text("/spec/names/kind").to_owned(),
                plural: text("/spec/names/plural").to_owned(),
                namespaced: text("/spec/scope") == "Namespaced",
            };
            self.provided.insert((kind.group.clone(), kind.version.clone(), kind.kind.clone()), kind);
        }
    }

    fn kind(&self, object: &ObjectRef) -> Option<Kind> {
        (self.served)(object).or_else(|| self.provided_kind(object))
    }

    fn provided_kind(&self, object: &ObjectRef) -> Option<Kind> {
        self.provided.get(&(object.group.clone(), object.version.clone(), object.kind.clone())).cloned()
    }

    /// Identifies an object of the manifest.
    fn read(&self, content: Value, source: &str) -> Result<TargetObject, Error> {
        let mut object = identify(&content, source)?;
        let Some(kind) = self.kind(&object) else {
            let error = Error::from_template(
                crate::cluster::Error::kind_not_found("find the kind of", object.clone()),
                source,
            );
            return Err(error.about(&object));
        };
        self.settle(&mut object, &kind);
        Ok(TargetObject { object, kind, source: source.to_owned(), content })
    }

    /// Gives an object the namespace that it will have.
    fn settle(&self, object: &mut ObjectRef, kind: &Kind) {
        if !kind.namespaced {
            object.namespace.clear();
        } else if object.namespace.is_empty() {
            object.namespace.clone_from(&self.key.namespace);
        }
    }

    /// Reads the objects of earlier manifests, newest last. What cannot be read is left out.
    ///
    /// What is served counts for more than what a definition of an old chart promises: its version may have been
    /// dropped since, and the object be there under another one.
    fn earlier(&mut self, previous: &[Earlier], targets: &mut Targets) {
        // A definition stays when its chart goes, and with it the objects that it defines.
        for crd in previous.iter().flat_map(|earlier| &earlier.manifest.crds) {
            for (content, _) in crd_objects(crd).unwrap_or_default() {
                self.provide(&content);
            }
        }
        let documents = previous.iter().flat_map(|e| e.manifest.documents.iter().map(|d| (d, e.deployed)));
        for (document, deployed) in documents {
            for content in document.objects().unwrap_or_default() {
                let Ok(mut object) = identify(&content, &document.source) else { continue };
                let served = (self.served)(&object).or_else(|| self.other_version(&object));
                let Some(kind) = served.or_else(|| self.provided_kind(&object)) else {
                    targets.unserved.insert(object);
                    continue;
                };
                self.settle(&mut object, &kind);
                object.version.clone_from(&kind.version);
                if deployed {
                    targets.deployed.insert(object.clone());
                }
                let target = TargetObject { object, kind, source: document.source.clone(), content };
                targets.previous.entry(target.object.clone()).or_default().push(target);
            }
        }
    }

    /// The kind under another version of its group, when its own is no longer served.
    fn other_version(&self, object: &ObjectRef) -> Option<Kind> {
        self.api_versions.iter().find_map(|entry| {
            let rest = if object.group.is_empty() {
                entry.as_str()
            } else {
                entry.strip_prefix(&object.group)?.strip_prefix('/')?
            };
            let (version, kind) = rest.split_once('/')?;
            if kind != object.kind {
                return None;
            }
            (self.served)(&ObjectRef { version: version.to_owned(), ..object.clone() })
        })
    }
}

/// The identity that an object states; the namespace may still be missing.
pub(super) fn identify(content: &Value, source: &str) -> Result<ObjectRef, Error> {
    let text = |pointer: &str| content.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let place = if source.is_empty() { "the manifest" } else { source };
    for (value, field) in [(kind, "kind"), (api_version, "apiVersion")] {
        if value.is_empty() {
            return Err(invalid(format!("an object from {place} has no {field}; every object needs one")));
        }
    }
    if name.is_empty() {
        let advice = if text("/metadata/generateName").is_empty() {
            "every object needs one"
        } else {
            "metadata.generateName would make another object at each upgrade; give it a name"
        };
        return Err(invalid(format!("a {kind} from {place} has no metadata.name; {advice}")));
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Ok(ObjectRef {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        namespace: text("/metadata/namespace").to_owned(),
        name: name.to_owned(),
    })
}

fn parse(document: &Document) -> Result<Vec<Value>, Error> {
    document.objects().map_err(|e| invalid(crate::cluster::chain(&e)))
}

/// The objects of a file of `crds/`, each with its path.
fn crd_objects(crd: &Crd) -> Result<Vec<(Value, String)>, Error> {
    let error =
        |e: pintle_helm::manifest::Error| invalid(format!("{}: {}", crd.path, crate::cluster::chain(&e)));
    let file = Manifest::from_text(&String::from_utf8_lossy(&crd.file.data)).map_err(error)?;
    let mut objects = Vec::new();
    for document in &file.documents {
        objects.extend(document.objects().map_err(error)?.into_iter().map(|o| (o, crd.path.clone())));
    }
    Ok(objects)
}

fn invalid(message: String) -> Error {
    Error::new(Reason::InvalidManifest, Retry::OnChange, message)
}
