//! Walks a parsed template and writes its output, as Go's `text/template/exec.go`.
//!
//! The output goes straight into one buffer; an `include` writes at its end and cuts its result off again.
//! Evaluation of pipelines is in [`eval`]; what all nested executions of one run share (budgets, host, functions)
//! is in [`Run`].
//!
//! Follows Go's source closely: Copyright 2011 The Go Authors, BSD-style licence (see the repository's NOTICE).

mod eval;
mod run;

use std::any::Any;

pub use run::{Limits, MissingKey, Options, RECOMMENDED_STACK};

use crate::error::{Error, FuncError, Limit, Place};
use crate::funcs::Funcs;
use crate::node::{Branch, Command, Decl, Expr, File, Node, Pipe, TemplateCall, Tree};
use crate::printf;
use crate::template::TemplateSet;
use crate::value::{Str, Value};
use run::Run;

/// The name of the root of every set, as error messages show it.
const ROOT_NAME: &str = "gotpl";

/// A value as Go's `reflect` sees it: plain, or inside an `interface {}` (an element of a map or list).
///
/// The difference shows in error texts (`can't evaluate field x in type interface {}`) and in what a nil means:
/// plain it is no value at all, boxed it is a nil interface.
#[derive(Clone)]
struct Operand {
    value: Value,
    boxed: bool,
}

impl Operand {
    fn plain(value: Value) -> Self {
        Self { value, boxed: false }
    }

    /// Go's zero `reflect.Value`.
    fn invalid() -> Self {
        Self::plain(Value::Nil)
    }

    fn is_invalid(&self) -> bool {
        !self.boxed && self.value.is_nil()
    }
}

/// The node that error messages name.
#[derive(Clone, Copy)]
enum At<'set> {
    Nothing,
    Node(&'set Node),
    Action(&'set Pipe),
    Pipe(&'set Pipe),
    Command(&'set Command),
    Expr(&'set Expr),
}

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// The name under which the text was parsed.
    pub file: &'a str,
    /// The template: the file, or a name that it defines.
    pub template: &'a str,
    /// 1-based.
    pub line: usize,
}

/// What a function sees of the running execution: the template set, the budgets, the host's context.
pub struct State<'set, 'run> {
    set: &'set TemplateSet,
    run: &'run Run<'run>,
    tree: &'set Tree,
    /// The tree's.
    file: &'set File,
    at: At<'set>,
    /// The variables of all nested templates; `None`: skipped by a short-circuit.
    vars: Vec<Option<Operand>>,
    /// Where the variables of the current template begin.
    base: usize,
    out: Vec<u8>,
    /// Argument lists to use again.
    spare: Vec<Vec<Value>>,
}

/// Room for the output of most templates, which is about as long as their text.
const TYPICAL_OUTPUT: usize = 64 * 1024;

/// Executes the template `name` of `set`.
pub(crate) fn execute(
    set: &TemplateSet,
    name: &str,
    dot: &Value,
    funcs: &Funcs,
    host: &dyn Any,
    options: &Options,
) -> Result<Vec<u8>, Error> {
    let tree = set.find(name).ok_or_else(|| Error::plain(no_template(name)))?;
    let run = Run::new(funcs, host, *options);
    let mut state = State::new(set, &run, tree);
    state.out.reserve(tree.file.text.len().min(TYPICAL_OUTPUT));
    state.walk_tree(tree, &Operand::plain(dot.clone()))?;
    Ok(state.out)
}

fn no_template(name: &str) -> String {
    let name = printf::quote(name.as_bytes());
    let name = String::from_utf8_lossy(&name);
    format!("template: no template {name} associated with template \"{ROOT_NAME}\"")
}

impl<'run> State<'_, 'run> {
    /// The host's context, if it is a `T`.
    pub fn host<T: Any>(&self) -> Option<&'run T> {
        self.run.host.downcast_ref()
    }

    /// The functions of this execution.
    pub fn funcs(&self) -> &'run Funcs {
        self.run.funcs
    }

    /// The options of this execution.
    pub fn options(&self) -> &'run Options {
        &self.run.options
    }

    /// Where the execution stands.
    pub fn location(&self) -> Location<'_> {
        let line = self.file.locate(self.position()).0;
        Location { file: &self.file.name, template: &self.tree.name, line }
    }

    /// Whether a template of that name is associated.
    pub fn has_template(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    /// Executes an associated template into a buffer: the building block of `include`.
    ///
    /// # Errors
    /// When there is no such template, when it fails (a nested error), or when a budget runs out.
    pub fn include(&mut self, name: &str, dot: &Value) -> Result<Vec<u8>, FuncError> {
        self.include_with(name, dot, <[u8]>::to_vec)
    }

    /// As [`State::include`], for a result that becomes a value: saves a copy.
    ///
    /// # Errors
    /// As [`State::include`].
    pub fn include_str(&mut self, name: &str, dot: &Value) -> Result<Str, FuncError> {
        self.include_with(name, dot, |bytes| Str::from(bytes))
    }

    fn include_with<T>(
        &mut self,
        name: &str,
        dot: &Value,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, FuncError> {
        let Some(tree) = self.set.find(name) else { return Err(no_template(name).into()) };
        let start = self.out.len();
        let result = self.nested(tree, &Operand::plain(dot.clone()));
        let written = self.out.get(start..).map(take);
        self.out.truncate(start);
        result?;
        // The buffer only grew since `start` was taken.
        written.ok_or(FuncError::Limit(Limit::Output))
    }

    /// Parses `text` as the template `name` in a copy of the set and executes it: the building block of `tpl`.
    ///
    /// # Errors
    /// A nested error whose kind is [`ErrorKind::Parse`](crate::ErrorKind::Parse) when the text is not a template,
    /// another one when it fails.
    pub fn execute_text(&mut self, name: &str, text: &[u8], dot: &Value) -> Result<Vec<u8>, FuncError> {
        if memchr::memmem::find(text, b"{{").is_none() {
            self.charge(text.len())?;
            return Ok(text.to_vec());
        }
        self.spend(text.len() as u64 / 16)?;
        let trees = self.run.parse(name, text)?;
        let Some(tree) = trees.last() else { return Ok(Vec::new()) };
        let mut set = self.set.clone();
        set.add(&trees);
        let mut state = State::new(&set, self.run, tree);
        state.nested(tree, &Operand::plain(dot.clone()))?;
        Ok(state.out)
    }

    /// Counts `bytes` of an intermediate result against the output budget: to be called before it is built.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn charge(&mut self, bytes: usize) -> Result<(), FuncError> {
        self.run.charge(bytes).map_err(FuncError::Limit)
    }

    /// How many bytes may still be written.
    pub fn room(&self) -> usize {
        self.run.room()
    }

    /// Counts `steps` of work against the step and time budgets.
    ///
    /// # Errors
    /// When a budget is used up.
    pub fn spend(&mut self, steps: u64) -> Result<(), FuncError> {
        self.run.spend(steps).map_err(FuncError::Limit)
    }
}

impl<'set, 'run> State<'set, 'run> {
    fn new(set: &'set TemplateSet, run: &'run Run<'run>, tree: &'set Tree) -> Self {
        Self {
            set,
            run,
            tree,
            file: &tree.file,
            at: At::Nothing,
            vars: Vec::new(),
            base: 0,
            out: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Where the current node stands in the text.
    fn position(&self) -> u32 {
        let parts = &self.file.parts;
        match self.at {
            At::Nothing => 0,
            At::Node(at) => at.pos(parts),
            At::Action(pipe) | At::Pipe(pipe) => pipe.pos,
            At::Command(command) => command.pos,
            At::Expr(expr) => expr.pos(parts),
        }
    }

    /// Where the current node stands, for people.
    fn place(&self) -> Place {
        let (mut node, file) = (Vec::new(), self.file);
        match self.at {
            At::Nothing => {}
            At::Node(at) => at.write(&mut node, file),
            At::Action(pipe) => pipe.write_action(&mut node, file),
            At::Pipe(pipe) => pipe.write(&mut node, file),
            At::Command(command) => command.write(&mut node, file),
            At::Expr(expr) => expr.write(&mut node, file),
        }
        let (line, column) = file.locate(self.position());
        Place {
            template: file.name.clone(),
            line,
            column: Some(column),
            executing: self.tree.name.clone(),
            node: String::from_utf8_lossy(&node).into_owned(),
        }
    }

    #[cold]
    fn error<T>(&self, message: impl Into<String>) -> Result<T, Error> {
        Err(Error::exec(self.place(), message.into()))
    }

    #[cold]
    fn limit(&self, limit: Limit) -> Error {
        Error::limit(self.place(), limit)
    }

    fn step(&self) -> Result<(), Error> {
        self.run.spend(1).map_err(|limit| self.limit(limit))
    }

    fn check_stack(&self) -> Result<(), Error> {
        if self.run.guard.exceeded() { Err(self.limit(Limit::Depth)) } else { Ok(()) }
    }

    /// Executes another template in a frame of its own, and comes back to this one, whatever happens.
    fn nested(&mut self, tree: &'set Tree, dot: &Operand) -> Result<(), FuncError> {
        let depth = self.run.depth.get();
        if depth >= self.run.options.limits.depth || self.run.guard.exceeded() {
            return Err(Limit::Depth.into());
        }
        self.run.depth.set(depth + 1);
        let result = self.walk_tree(tree, dot);
        self.run.depth.set(depth);
        Ok(result?)
    }

    fn go_to(&mut self, tree: &'set Tree) {
        self.tree = tree;
        self.file = &tree.file;
    }

    fn walk_tree(&mut self, tree: &'set Tree, dot: &Operand) -> Result<(), Error> {
        let (outer, at, base, mark) = (self.tree, self.at, self.base, self.vars.len());
        self.go_to(tree);
        self.base = mark;
        self.vars.push(Some(dot.clone()));
        let result = self.walk(dot, &tree.file.parts[tree.root]);
        self.go_to(outer);
        self.at = at;
        self.base = base;
        self.vars.truncate(mark);
        result.map(|_| ())
    }

    fn walk(&mut self, dot: &Operand, nodes: &'set [Node]) -> Result<Flow, Error> {
        self.check_stack()?;
        let file = self.file;
        for node in nodes {
            self.at = At::Node(node);
            self.step()?;
            let flow = match node {
                Node::Text(text) => {
                    self.write(text.of(&file.text))?;
                    Flow::Next
                }
                Node::Action(pipe) => {
                    self.walk_action(dot, pipe)?;
                    Flow::Next
                }
                Node::If(branch) => self.walk_if_or_with(dot, &file.parts[*branch], false)?,
                Node::With(branch) => self.walk_if_or_with(dot, &file.parts[*branch], true)?,
                Node::Range(branch) => self.walk_range(dot, node, &file.parts[*branch])?,
                Node::Template(call) => {
                    self.walk_template(dot, &file.parts[*call])?;
                    Flow::Next
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        self.run.charge(text.len()).map_err(|limit| self.limit(limit))?;
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn walk_action(&mut self, dot: &Operand, pipe: &'set Pipe) -> Result<(), Error> {
        // Variables are not popped: they live until the enclosing `end`.
        let value = self.eval_pipeline(dot, pipe)?.value;
        if !pipe.decl.is_empty() {
            return Ok(());
        }
        self.at = At::Action(pipe);
        let value = match &value {
            Value::Object(object) => object.pointee().map_or(value, Value::Object),
            _ => value,
        };
        match &value {
            Value::String(text) => self.write(text.as_bytes()),
            // Go: a value that is not there has a text of its own; Helm removes it from the rendered file.
            Value::Nil => self.write(b"<no value>"),
            value => {
                let start = self.out.len();
                printf::print_to(&mut self.out, value, self.run.room()).map_err(|limit| self.limit(limit))?;
                self.run.charge(self.out.len() - start).map_err(|limit| self.limit(limit))
            }
        }
    }

    fn walk_if_or_with(&mut self, dot: &Operand, branch: &'set Branch, with: bool) -> Result<Flow, Error> {
        let mark = self.vars.len();
        let flow = self.walk_chain(dot, branch, with);
        self.vars.truncate(mark);
        flow
    }

    /// Walks `if … else if … else if …` in a loop: such chains can be long.
    fn walk_chain(&mut self, dot: &Operand, mut branch: &'set Branch, with: bool) -> Result<Flow, Error> {
        let file = self.file;
        loop {
            let value = self.eval_pipeline(dot, &branch.pipe)?;
            if value.value.truth() {
                return self.walk(if with { &value } else { dot }, &file.parts[branch.body]);
            }
            let Some(otherwise) = branch.otherwise else { return Ok(Flow::Next) };
            match (&file.parts[otherwise], with) {
                ([node @ Node::If(next)], false) | ([node @ Node::With(next)], true) => {
                    self.at = At::Node(node);
                    self.step()?;
                    branch = &file.parts[*next];
                }
                (otherwise, _) => return self.walk(dot, otherwise),
            }
        }
    }

    fn walk_range(&mut self, dot: &Operand, node: &'set Node, branch: &'set Branch) -> Result<Flow, Error> {
        self.at = At::Node(node);
        let mark = self.vars.len();
        let flow = self.range_over(dot, branch);
        self.vars.truncate(mark);
        flow
    }

    fn range_over(&mut self, dot: &Operand, branch: &'set Branch) -> Result<Flow, Error> {
        let value = self.eval_pipeline(dot, &branch.pipe)?.value;
        let (mark, parts) = (self.vars.len(), &self.file.parts);
        let (decl, body) = (&parts[branch.pipe.decl], &parts[branch.body]);
        let mut range = RangeLoop { state: self, decl, body, mark, ran: false };
        match &value {
            Value::Nil => {}
            Value::Int(n, kind) => {
                let count = if kind.is_unsigned() { *n as u64 } else { u64::try_from(*n).unwrap_or(0) };
                if range.decl.len() > 1 {
                    let message =
                        format!("can't use {} to iterate over more than one variable", shown(&value));
                    return range.state.error(message);
                }
                for i in 0..count {
                    let element = Operand::plain(Value::Int(i as i64, *kind));
                    if range.iterate(Operand::invalid(), element)? {
                        break;
                    }
                }
            }
            Value::List(list) => {
                let boxed = list.elem == crate::value::ElemType::Any;
                for (i, item) in list.items.iter().enumerate() {
                    let element = Operand { value: item.clone(), boxed };
                    if range.iterate(Operand::plain(Value::int(i as i64)), element)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                let boxed = map.ty != crate::value::MapType::String;
                // Go: the entries are those at the beginning, whatever the body does to the map.
                for (key, item) in map.snapshot() {
                    let key = Operand::plain(Value::String(key));
                    if range.iterate(key, Operand { value: item, boxed })? {
                        break;
                    }
                }
            }
            Value::Object(object) => {
                let Some(entries) = object.entries() else { return range.state.cannot_range(&value) };
                for (key, item) in entries {
                    if range.iterate(Operand::plain(key), Operand::plain(item))? {
                        break;
                    }
                }
            }
            _ => return range.state.cannot_range(&value),
        }
        if range.ran {
            return Ok(Flow::Next);
        }
        match branch.otherwise {
            Some(otherwise) => self.walk(dot, &parts[otherwise]),
            None => Ok(Flow::Next),
        }
    }

    fn cannot_range<T>(&self, value: &Value) -> Result<T, Error> {
        self.error(format!("range can't iterate over {}", shown(value)))
    }

    fn walk_template(&mut self, dot: &Operand, call: &'set TemplateCall) -> Result<(), Error> {
        let Some(tree) = self.set.find(&call.name) else {
            let name = printf::quote(call.name.as_bytes());
            return self.error(format!("template {} not defined", String::from_utf8_lossy(&name)));
        };
        // Variables that the pipeline declares live on.
        let dot = match &call.pipe {
            Some(pipe) => self.eval_pipeline(dot, pipe)?,
            None => Operand::invalid(),
        };
        self.nested(tree, &dot).map_err(|error| match error {
            FuncError::Nested(error) => *error,
            // Go: says "exceeded maximum template depth".
            _ => self.limit(Limit::Depth),
        })
    }
}

/// A value in a message.
fn shown(value: &Value) -> String {
    // Go: what is formatted is a copy in an interface {}.
    let copy =
        if let Value::Object(object) = value { object.clone().copied().map(Value::Object) } else { None };
    let value = copy.as_ref().unwrap_or(value);
    String::from_utf8_lossy(&printf::to_text(value)).into_owned()
}

/// The iterations of one `range`.
struct RangeLoop<'a, 'set, 'run> {
    state: &'a mut State<'set, 'run>,
    decl: &'set [Decl],
    body: &'set [Node],
    /// The variables that were there before the body.
    mark: usize,
    ran: bool,
}

impl RangeLoop<'_, '_, '_> {
    /// One iteration; whether it ended the loop.
    fn iterate(&mut self, index: Operand, element: Operand) -> Result<bool, Error> {
        self.ran = true;
        let state = &mut *self.state;
        state.step()?;
        // With two variables, the index comes first.
        match self.decl {
            [] => {}
            [only] => state.set_var(only, element.clone())?,
            [first, second, ..] => {
                state.set_var(first, index)?;
                state.set_var(second, element.clone())?;
            }
        }
        let flow = state.walk(&element, self.body);
        state.vars.truncate(self.mark);
        Ok(flow? == Flow::Break)
    }
}
