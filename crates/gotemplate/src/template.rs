//! A set of templates that can name each other, as Go's associated templates.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::error::Error;
use crate::exec::{self, Options};
use crate::funcs::Funcs;
use crate::node::Tree;
use crate::parse::{self, Buffers};
use crate::stack::StackGuard;
use crate::value::Value;

/// How much stack parsing may use: half of what a thread has by default.
const PARSE_STACK: usize = 1 << 20;
/// How many layers a set may have before they are copied into one.
const MAX_LAYERS: usize = 16;

/// Templates that can name each other.
///
/// A set can be shared between threads and cloned cheaply: a clone shares what was parsed before, and what is
/// parsed into it afterwards is its own (Helm's `tpl` parses each text into a clone).
///
/// ```
/// use pintle_gotemplate::{Funcs, Options, TemplateSet, Value};
///
/// let funcs = Funcs::builtins();
/// let mut set = TemplateSet::new();
/// set.parse("greeting", r#"{{ define "who" }}{{ . }}{{ end }}hello, {{ template "who" . }}"#, &funcs)?;
/// let text = set.execute("greeting", &Value::string("world"), &funcs, &(), &Options::default())?;
/// assert_eq!(text, b"hello, world");
/// # Ok::<(), pintle_gotemplate::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct TemplateSet {
    top: Arc<Layer>,
}

#[derive(Clone, Default)]
struct Layer {
    trees: HashMap<Arc<str>, Tree>,
    below: Option<Arc<Layer>>,
    height: usize,
}

impl TemplateSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses `text` and adds it as `name`, with the templates that it defines.
    ///
    /// # Compatibility
    /// As Go's `Template.Parse`: a later definition replaces an earlier one, unless its body is empty.
    ///
    /// # Errors
    /// When the text is not a template, names an unknown function, or defines a template twice; the set is then
    /// unchanged.
    pub fn parse(&mut self, name: &str, text: impl AsRef<[u8]>, funcs: &Funcs) -> Result<(), Error> {
        self.parse_all([(name, &text.as_ref().into())], funcs)
    }

    /// As [`TemplateSet::parse`], of many texts in order, with their names; they are not copied.
    ///
    /// # Errors
    /// As there; the texts before the one that fails are in the set.
    pub fn parse_all<'t>(
        &mut self,
        texts: impl IntoIterator<Item = (&'t str, &'t Bytes)>,
        funcs: &Funcs,
    ) -> Result<(), Error> {
        let mut buffers = Buffers::default();
        for (name, text) in texts {
            let trees = parse::parse(name, text, funcs, StackGuard::new(PARSE_STACK), &mut buffers)?;
            self.add(&trees);
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, trees: &[Tree]) {
        for tree in trees {
            if tree.is_empty() && self.contains(&tree.name) {
                continue;
            }
            self.layer().trees.insert(tree.name.clone(), tree.clone());
        }
    }

    /// The layer that this set alone writes to.
    fn layer(&mut self) -> &mut Layer {
        if Arc::get_mut(&mut self.top).is_none() {
            let below = self.top.clone();
            self.top = Arc::new(if below.height + 1 >= MAX_LAYERS {
                Layer { trees: flatten(&below), below: None, height: 0 }
            } else {
                Layer { trees: HashMap::new(), height: below.height + 1, below: Some(below) }
            });
        }
        Arc::make_mut(&mut self.top)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Tree> {
        let mut layer = &self.top;
        loop {
            if let Some(tree) = layer.trees.get(name) {
                return Some(tree);
            }
            layer = layer.below.as_ref()?;
        }
    }

    /// Whether there is a template of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Looks a template up by its name.
    pub fn lookup(&self, name: &str) -> Option<Template<'_>> {
        self.find(name).map(Template)
    }

    /// The names of all templates, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = flatten(&self.top).keys().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Executes the template `name` with `dot` as its data.
    ///
    /// `funcs` must be the functions that the templates were parsed with; nested texts (`tpl`) are parsed with
    /// them. `host` is what functions get from [`State::host`](crate::State::host).
    ///
    /// # Errors
    /// When there is no such template, when it fails, or when a budget runs out.
    pub fn execute(
        &self,
        name: &str,
        dot: &Value,
        funcs: &Funcs,
        host: &dyn Any,
        options: &Options,
    ) -> Result<Vec<u8>, Error> {
        exec::execute(self, name, dot, funcs, host, options)
    }
}

fn flatten(layer: &Arc<Layer>) -> HashMap<Arc<str>, Tree> {
    let mut trees = layer.below.as_ref().map(flatten).unwrap_or_default();
    trees.extend(layer.trees.iter().map(|(name, tree)| (name.clone(), tree.clone())));
    trees
}

/// A template of a set.
#[derive(Clone, Copy)]
pub struct Template<'set>(&'set Tree);

impl<'set> Template<'set> {
    /// Its own name.
    pub fn name(self) -> &'set str {
        &self.0.name
    }

    /// The name under which the text that contains it was parsed.
    pub fn file(self) -> &'set str {
        &self.0.file.name
    }

    /// Whether there is nothing in it but space and comments.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}
