//! Jinja charts: `templates/` rendered by minijinja, for charts whose `Chart.yaml` says `pintle.dev/engine: jinja`.
//!
//! A template sees what a Go template sees (`Values`, `Release`, `Chart`, `Capabilities`, `Files`, `Template`), under
//! the same names, and finds other files of its chart's `templates/` by their path in it. Each chart of a tree has its
//! own engine and its own section of the values. The language is described in `docs/jinja.md`.
//!
//! One budget of fuel holds for the whole render: minijinja charges instructions, bytes and the items that a filter
//! visits, so it bounds time and memory both.

mod context;
mod error;
mod filters;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use pintle_gotemplate::Limit;
use pintle_goyaml::Value as Plain;
use pintle_sprig::impure::{MAX_USES, Use};

use super::{Capabilities, Lookup, ReleaseFacts, RenderError, RenderOptions};
use crate::chart::{Chart, ChartFile};
use crate::values::Values;

/// How many bytes one unit of fuel pays for in minijinja.
const BYTES_PER_FUEL: u64 = 64;
/// What all files of a render may use together. A unit nests a value at most a level deeper, and minijinja drops,
/// compares and prints values recursively: more than this could overflow the stack.
const MAX_FUEL: u64 = 1_000_000;
/// The stack that this needs, at less than a kilobyte a level. What is never touched is never allocated.
pub(super) const STACK: usize = 1 << 30;
/// Files that include and macros that call each other.
const MAX_NESTING: usize = 200;

/// What the functions of all charts of a render share.
pub(super) struct Host {
    lookup: Arc<dyn Lookup>,
    deadline: Option<Instant>,
    uses: Mutex<Vec<Use>>,
    /// The file that is being rendered, and the line on which it names the capabilities, until it looks at them: as in Go
    /// templates, a loop may do so as often as it likes.
    file: Mutex<Option<(String, usize)>>,
}

impl Host {
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Notes a use of what depends on the cluster.
    fn note(&self, function: &str, template: &str, line: usize, arguments: String) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() >= MAX_USES {
            return;
        }
        let is_same =
            |one: &&Use| one.function == function && one.template == template && one.arguments == arguments;
        let before = uses.iter().filter(is_same).count();
        uses.push(Use {
            function: function.to_owned(),
            file: template.to_owned(),
            template: template.to_owned(),
            line,
            arguments,
            occurrence: u32::try_from(before).unwrap_or(u32::MAX),
            value: None,
        });
    }

    /// Notes that the file that is being rendered looked at the capabilities.
    fn note_capabilities(&self) {
        let unnoted = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((file, line)) = unnoted {
            self.note(CAPABILITIES, &file, line, String::new());
        }
    }
}

/// The variable that tells what the cluster can do.
const CAPABILITIES: &str = "Capabilities";

/// The line of a file on which a name stands, from 1; 0 if there is no such line, or more than one: minijinja does not
/// tell where a template is.
fn line_of(name: &str, source: &str) -> usize {
    let mut lines = source.lines().zip(1..).filter(|(line, _)| line.contains(name)).map(|(_, number)| number);
    match (lines.next(), lines.next()) {
        (Some(only), None) => only,
        _ => 0,
    }
}

/// The Jinja charts of a tree.
pub(super) struct Jinja {
    engines: Vec<Engine>,
    host: Arc<Host>,
    fuel: u64,
    room: u64,
}

/// One chart.
struct Engine {
    /// `lab/charts/kid/templates/`.
    base: String,
    environment: Environment<'static>,
    context: BTreeMap<&'static str, Value>,
}

impl Jinja {
    /// Parses the templates of all Jinja charts in the tree of `chart`.
    pub(super) fn new(
        chart: &Chart,
        values: &Values,
        facts: &ReleaseFacts,
        capabilities: &Capabilities,
        lookup: &Arc<dyn Lookup>,
        options: &RenderOptions,
    ) -> Result<Self, RenderError> {
        let host = Arc::new(Host {
            lookup: lookup.clone(),
            deadline: options.deadline,
            uses: Mutex::default(),
            file: Mutex::default(),
        });
        let (fuel, room) = (options.steps.min(MAX_FUEL), options.output_bytes);
        let shared = context::shared(facts, capabilities, options.compat, &host);
        let mut jinja = Self { engines: Vec::new(), host, fuel, room };
        jinja.add(chart, &values.0, &shared, true, chart.name())?;
        Ok(jinja)
    }

    fn add(
        &mut self,
        chart: &Chart,
        values: &BTreeMap<String, Plain>,
        shared: &BTreeMap<&'static str, Value>,
        is_root: bool,
        path: &str,
    ) -> Result<(), RenderError> {
        for child in &chart.dependencies {
            let nothing = BTreeMap::new();
            // As for Go templates: a section that is no map leaves the child without values.
            let section = match values.get(child.name()) {
                Some(Plain::Object(section)) => section,
                _ => &nothing,
            };
            self.add(child, section, shared, false, &format!("{path}/charts/{}", child.name()))?;
        }
        if super::Engine::of(chart) == Some(super::Engine::Jinja) {
            let mut context = shared.clone();
            context.extend(context::of_chart(chart, values, is_root));
            let base = format!("{path}/templates/");
            let environment = self.environment(&base, &chart.templates, &context)?;
            self.engines.push(Engine { base, environment, context });
        }
        Ok(())
    }

    fn environment(
        &self,
        base: &str,
        templates: &[ChartFile],
        context: &BTreeMap<&'static str, Value>,
    ) -> Result<Environment<'static>, RenderError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_syntax(syntax().map_err(|source| error::of_parsing(&source, base))?);
        environment.set_recursion_limit(MAX_NESTING);
        // Names in templates are paths inside templates/; messages show them in full.
        let folder = base.to_owned();
        environment.set_path_join_callback(move |name, _| format!("{folder}{name}").into());
        // They print for people who debug, in a time that no fuel bounds.
        environment.remove_filter("pprint");
        environment.remove_global("debug");
        filters::add_to(&mut environment, &self.host);
        // Globals, so that imported macros see them too.
        for (name, value) in context {
            environment.add_global(*name, value.clone());
        }
        for file in templates {
            let name = format!("{base}{}", file.name.strip_prefix("templates/").unwrap_or(&file.name));
            let text = std::str::from_utf8(&file.data).map_err(|_| error::not_utf8(&name))?;
            environment
                .add_template_owned(name.clone(), text.to_owned())
                .map_err(|source| error::of_parsing(&source, &name))?;
        }
        Ok(environment)
    }

    /// Renders the file `name` of the chart whose templates are in `base_path`.
    pub(super) fn render(&mut self, name: &str, base_path: &str) -> Result<String, RenderError> {
        let is_there = |engine: &&mut Engine| engine.base.strip_suffix('/') == Some(base_path);
        let Some(engine) = self.engines.iter_mut().find(is_there) else {
            return Err(error::limit(name, Limit::Depth));
        };
        if self.host.is_late() {
            return Err(error::limit(name, Limit::Time));
        }
        engine.environment.set_fuel(Some(self.fuel));
        let mut context = engine.context.clone();
        context.insert("Template", context::of_template(name, base_path));
        let mut out = Limited { text: Vec::new(), room: self.room, host: &self.host };
        let fail = |source: minijinja::Error| error::of_execution(&source, name);
        let template = engine.environment.get_template(name).map_err(fail)?;
        *self.host.file.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((name.to_owned(), line_of(CAPABILITIES, template.source())));
        let context = Value::from_pairs(context);
        let rendered = template.render_captured_to(context, &mut out).map_err(fail)?;
        if let Some((_, left)) = rendered.state().fuel_levels() {
            self.fuel = left;
        }
        drop(rendered);
        self.room = out.room;
        Ok(String::from_utf8_lossy(&out.text).into_owned())
    }

    /// The uses of functions whose results depend on the cluster.
    pub(super) fn used(&self) -> Vec<Use> {
        self.host.uses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A line with nothing but a tag on it leaves nothing behind: what is written is YAML.
fn syntax() -> Result<SyntaxConfig, minijinja::Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()
}

/// Takes the output as long as there are room and time.
struct Limited<'h> {
    text: Vec<u8>,
    room: u64,
    host: &'h Host,
}

impl io::Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room = self
            .room
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| io::Error::other(error::Exhausted(Limit::Output)))?;
        if self.host.is_late() {
            return Err(io::Error::other(error::Exhausted(Limit::Time)));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
