//! Rendering: a chart and its values become a manifest.
//!
//! Every template of the chart and of the charts below it is one named template of one set; all files but partials
//! are executed, and what they write is sorted into a [`Manifest`]. Pure but for [`Lookup`]: no file, no network, no
//! environment. It may be called from anywhere: where templates are nested deeper than the caller's stack allows,
//! rendering begins anew on a thread with a deep one.

mod capabilities;
mod chart_struct;
mod context;
mod convert;
mod duration;
mod error;
mod files;
mod funcs;
mod glob;
mod jinja;
mod toml;

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use pintle_gotemplate::{Funcs, Limit, MissingKey, Options, RECOMMENDED_STACK, Str, TemplateSet};
use pintle_sprig::Environment;
use pintle_sprig::impure::{MAX_KEPT_BYTES, MAX_USES};

use crate::Compat;
use crate::chart::Chart;
use crate::manifest::Manifest;
use crate::values::Values;

pub use capabilities::{Capabilities, InvalidKubeVersion, KubeVersion};
pub use error::{Place, RenderError, RenderedFiles};
pub use pintle_sprig::impure::{Drawn, Use};

pub(crate) use context::to_template_values;

/// What templates see as `.Release`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// The release's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The revision that is being made.
    pub revision: u32,
    /// Whether there is a revision before it.
    pub is_upgrade: bool,
}

/// Asks the cluster for objects on behalf of a template.
pub trait Lookup: Send + Sync {
    /// The object of that name, or the list of all when `name` is empty; an empty object where there is none.
    ///
    /// # Errors
    /// A message, which fails the template.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, String>;

    /// The addresses of a host; `None` where names are not resolved, so that no chart can send what it knows out by DNS.
    fn addresses(&self, _host: &str) -> Option<Vec<String>> {
        None
    }
}

/// Rendering without a cluster: nothing is ever found.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCluster;

impl Lookup for NoCluster {
    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<serde_json::Value, String> {
        Ok(serde_json::Value::Object(serde_json::Map::new()))
    }
}

/// How far a render may go, and what it leaves out.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// How many nodes of templates may be executed.
    pub steps: u64,
    /// How many bytes may be written, intermediate results included.
    pub output_bytes: u64,
    /// When to stop.
    pub deadline: Option<Instant>,
    /// Whether the notes of subcharts are part of the notes.
    pub subchart_notes: bool,
    /// Which Helm to be like.
    pub compat: Compat,
    /// What earlier renders of the release drew from clock and chance ([`Manifest::impure`]), to be given again in the
    /// same places; with `Some`, a render whose uses are too many to be kept is refused.
    pub freeze: Option<Arc<[Use]>>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        let limits = pintle_gotemplate::Limits::default();
        Self {
            steps: limits.steps,
            output_bytes: limits.output,
            deadline: None,
            subchart_notes: false,
            compat: Compat::default(),
            freeze: None,
        }
    }
}

/// What renders the templates of a chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Engine {
    /// Go's text/template with sprig, as Helm.
    #[default]
    GoTemplate,
    /// minijinja.
    Jinja,
}

/// The annotation of `Chart.yaml` that chooses the engine.
const ENGINE_ANNOTATION: &str = "pintle.dev/engine";

impl Engine {
    /// The engine that a chart asks for; `None` when there is no such engine.
    fn of(chart: &Chart) -> Option<Self> {
        match chart.metadata.annotations.get(ENGINE_ANNOTATION).map(String::as_str) {
            None | Some("gotemplate") => Some(Self::GoTemplate),
            Some("jinja") => Some(Self::Jinja),
            Some(_) => None,
        }
    }

    /// Checks the charts of a tree, and tells whether one of them is a Jinja chart.
    fn check(chart: &Chart) -> Result<bool, RenderError> {
        let Some(engine) = Self::of(chart) else {
            return Err(RenderError::UnknownEngine {
                chart: chart.name().to_owned(),
                engine: chart.metadata.annotations.get(ENGINE_ANNOTATION).cloned().unwrap_or_default(),
            });
        };
        chart
            .dependencies
            .iter()
            .try_fold(engine == Self::Jinja, |jinja, child| Ok(Self::check(child)? || jinja))
    }
}

/// Nested templates; Helm's own guard in `include` stops at a thousand.
const MAX_NESTING: usize = 4_000;

/// The stack that this nesting may need.
const STACK: usize = 4 * RECOMMENDED_STACK;

/// The stack that nearly every chart is content with: less than tokio's threads have. A thread for every render would
/// cost more than rendering a small chart.
const SHALLOW_STACK: usize = 1536 << 10;

/// Renders a chart.
///
/// `chart` and `values` are those of [`Coalesced`](crate::values::Coalesced).
///
/// # Errors
/// A template cannot be parsed or executed, a budget runs out, or what comes out is no manifest.
///
/// # Compatibility
/// As Helm v4 `pkg/action/action.go:renderResources` and `pkg/engine`.
pub fn render(
    chart: &Arc<Chart>,
    values: &Values,
    facts: &ReleaseFacts,
    capabilities: &Capabilities,
    lookup: &Arc<dyn Lookup>,
    options: &RenderOptions,
) -> Result<Manifest, RenderError> {
    let wanted = &chart.metadata.kube_version;
    if !wanted.is_empty() && !crate::values::compatible(wanted, &capabilities.kube_version.comparable) {
        return Err(RenderError::IncompatibleKubeVersion {
            wanted: wanted.clone(),
            found: capabilities.kube_version.version.clone(),
        });
    }
    let deep = if Engine::check(chart)? { jinja::STACK } else { STACK };
    let render = |stack| render_here(chart, values, facts, capabilities, lookup, options, stack);
    if let Some(stack) = stacker::remaining_stack().filter(|&left| left >= SHALLOW_STACK && deep == STACK) {
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| render(stack)))
            .unwrap_or_else(|panic| Err(RenderError::Panicked { message: panic_text(&*panic) }));
        if !matches!(result, Err(RenderError::LimitExceeded { limit: Limit::Depth, .. })) {
            return result;
        }
    }
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("render".to_owned())
            .stack_size(deep)
            .spawn_scoped(scope, || render(deep))
            .map_err(|source| RenderError::Thread { source })?
            .join()
            .map_err(|panic| RenderError::Panicked { message: panic_text(&*panic) })?
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown panic").to_owned()
}

/// The part of a render that a template's functions need.
pub(crate) struct Host {
    lookup: Arc<dyn Lookup>,
    /// How often each name is being included right now.
    included: RefCell<HashMap<Str, usize>>,
}

fn render_here(
    chart: &Arc<Chart>,
    values: &Values,
    facts: &ReleaseFacts,
    capabilities: &Capabilities,
    lookup: &Arc<dyn Lookup>,
    options: &RenderOptions,
    stack: usize,
) -> Result<Manifest, RenderError> {
    let templates = context::templates(chart, values, facts, capabilities, options.compat);
    let funcs = funcs(options.compat);
    let set = chart.parsed.get_or_parse(&templates, funcs, options.compat)?;
    let mut jinja = if Engine::check(chart)? {
        Some(jinja::Jinja::new(chart, values, facts, capabilities, lookup, options)?)
    } else {
        None
    };
    let host = Host { lookup: lookup.clone(), included: RefCell::default() };
    let earlier = options.freeze.as_deref().unwrap_or_default();
    let environment = Environment::new().with_host(host).with_earlier(earlier);
    let limits = pintle_gotemplate::Limits {
        depth: MAX_NESTING,
        steps: options.steps,
        output: options.output_bytes,
        deadline: options.deadline,
        ..pintle_gotemplate::Limits::for_stack(stack)
    };
    let engine_options = Options { missing_key: MissingKey::Zero, limits };
    let mut files = BTreeMap::new();
    let mut notes = Vec::new();
    let root_notes = format!("{}/templates/NOTES.txt", chart.name());
    for template in &templates {
        if template.is_partial() {
            continue;
        }
        let text = match (&mut jinja, template.engine) {
            (Some(jinja), Engine::Jinja) => jinja.render(&template.name, &template.base_path)?,
            _ => {
                template.enter();
                environment.enter(&template.name);
                let written = set
                    .execute(&template.name, &template.dot, funcs, &environment, &engine_options)
                    .map_err(|source| error::of_execution(&source, options.compat))?;
                without_no_value(written)
            }
        };
        if template.name.ends_with("NOTES.txt") {
            if options.subchart_notes || template.name == root_notes {
                notes.push(text);
            }
        } else {
            files.insert(template.name.clone(), text);
        }
    }
    let mut manifest = match Manifest::from_files_as(&files, options.compat) {
        Ok(manifest) => manifest,
        Err(error) => return Err(RenderError::Manifest { error, files: RenderedFiles(files) }),
    };
    manifest.notes = notes.join("\n");
    manifest.crds = chart.crds();
    manifest.impure = environment.used();
    if options.freeze.is_some() && !environment.kept_all() {
        return Err(RenderError::TooMuchToFreeze { bytes: MAX_KEPT_BYTES, uses: MAX_USES });
    }
    manifest.impure.extend(jinja.iter().flat_map(jinja::Jinja::used));
    Ok(manifest)
}

const NO_VALUE: &str = "<no value>";

/// Go prints a missing key as `<no value>`; Helm deletes the words, whoever wrote them.
fn without_no_value(text: Vec<u8>) -> String {
    let text = String::from_utf8(text)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if text.contains(NO_VALUE) { text.replace(NO_VALUE, "") } else { text }
}

/// The function table: Go's, sprig's and Helm's.
fn funcs(compat: Compat) -> &'static Funcs {
    static V3: OnceLock<Funcs> = OnceLock::new();
    static V4: OnceLock<Funcs> = OnceLock::new();
    match compat {
        Compat::V3 => V3.get_or_init(funcs::table_v3),
        Compat::V4 => V4.get_or_init(funcs::table),
    }
}

/// The parsed templates of a chart.
///
/// Which templates a release has depends on its values: they disable subcharts and name them. So there may be several
/// sets; few releases of a chart differ in that.
#[derive(Clone, Default)]
pub(crate) struct ParsedTemplates(Arc<Mutex<Sets>>);

/// Whose functions the templates may call, the names of all templates, and the set of them.
type Sets = Vec<(Compat, Vec<String>, TemplateSet)>;

/// More different sets than this are not kept.
const MAX_SETS: usize = 4;

impl ParsedTemplates {
    fn get_or_parse(
        &self,
        templates: &[context::Template],
        funcs: &Funcs,
        compat: Compat,
    ) -> Result<TemplateSet, RenderError> {
        let templates = || templates.iter().filter(|template| template.engine == Engine::GoTemplate);
        let names: Vec<String> = templates().map(|template| template.name.clone()).collect();
        let same = |set: &&(Compat, Vec<String>, TemplateSet)| set.0 == compat && set.1 == names;
        let known = self.lock().iter().find(same).map(|(_, _, set)| set.clone());
        if let Some(set) = known {
            return Ok(set);
        }
        // Parsed without the lock: another release may do the same work, but none has to wait.
        let mut set = TemplateSet::new();
        let texts = templates().map(|template| (template.name.as_str(), &template.text));
        set.parse_all(texts, funcs).map_err(|source| error::of_parsing(&source))?;
        let mut sets = self.lock();
        if sets.len() >= MAX_SETS {
            sets.remove(0);
        }
        sets.push((compat, names, set.clone()));
        Ok(set)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ParsedTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParsedTemplates({})", self.lock().len())
    }
}

#[cfg(test)]
mod tests;
