//! What all nested executions of one run share: functions, host, options and the budgets.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use crate::error::{Error, Limit};
use crate::funcs::Funcs;
use crate::node::Tree;
use crate::parse::{self, Buffers};
use crate::stack::StackGuard;

/// What a missing key of a map yields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// Go's default: no value, printed as `<no value>`; a field of it is no value either.
    #[default]
    Default,
    /// The zero value of the map's element type; a field of a nil one is an error. What Helm uses.
    Zero,
    /// An error.
    Error,
}

/// The budgets of an execution, nested executions included.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many templates may be nested (`template`, `include` and `tpl` together).
    pub depth: usize,
    /// How many nodes, iterations and calls may be executed.
    pub steps: u64,
    /// How many bytes may be written, intermediate results included.
    pub output: u64,
    /// When to stop.
    pub deadline: Option<Instant>,
    /// How many bytes of stack the execution may use.
    pub stack: usize,
}

/// The stack of a thread on which templates can be nested as deeply as Helm allows.
///
/// Measured: a level of `include` takes 2 KiB of stack in a release build and 6 KiB in a debug build, inside four
/// control structures 5 KiB and 16 KiB. What is never touched is never allocated.
pub const RECOMMENDED_STACK: usize = 64 << 20;

/// What functions and destructors may use beyond [`Limits::stack`].
const STACK_RESERVE: usize = 1 << 20;

impl Default for Limits {
    /// Budgets for a thread with 2 MiB of stack.
    fn default() -> Self {
        Self { depth: 1100, steps: 50_000_000, output: 256 << 20, deadline: None, stack: STACK_RESERVE }
    }
}

impl Limits {
    /// The default budgets for a thread whose stack is `bytes` long.
    #[must_use]
    pub fn for_stack(bytes: usize) -> Self {
        Self { stack: bytes.saturating_sub(STACK_RESERVE).max(bytes / 2), ..Self::default() }
    }
}

/// How to execute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What a missing key of a map yields.
    pub missing_key: MissingKey,
    /// The budgets.
    pub limits: Limits,
}

/// How many bytes of text are kept parsed.
const CACHED_TEXT: usize = 4 << 20;
/// How many steps are made between two looks at the clock.
const STEPS_PER_LOOK: u64 = 1024;

/// The trees of one text.
type Trees = Rc<[Tree]>;

/// The texts of `tpl` that were parsed, with the name under which each was.
#[derive(Default)]
struct ParsedTexts {
    trees: HashMap<Box<[u8]>, (Box<str>, Trees)>,
    size: usize,
    buffers: Buffers,
}

pub(super) struct Run<'run> {
    pub funcs: &'run Funcs,
    pub host: &'run dyn Any,
    pub options: Options,
    pub guard: StackGuard,
    pub depth: Cell<usize>,
    steps: Cell<u64>,
    written: Cell<u64>,
    texts: RefCell<ParsedTexts>,
}

impl<'run> Run<'run> {
    pub(super) fn new(funcs: &'run Funcs, host: &'run dyn Any, options: Options) -> Self {
        Self {
            funcs,
            host,
            options,
            guard: StackGuard::new(options.limits.stack),
            depth: Cell::new(0),
            steps: Cell::new(0),
            written: Cell::new(0),
            texts: RefCell::default(),
        }
    }

    pub(super) fn spend(&self, steps: u64) -> Result<(), Limit> {
        let before = self.steps.get();
        let now = before.saturating_add(steps);
        self.steps.set(now);
        if now > self.options.limits.steps {
            return Err(Limit::Steps);
        }
        if before / STEPS_PER_LOOK != now / STEPS_PER_LOOK
            && self.options.limits.deadline.is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Err(Limit::Time);
        }
        Ok(())
    }

    pub(super) fn charge(&self, bytes: usize) -> Result<(), Limit> {
        let written = self.written.get().saturating_add(bytes as u64);
        self.written.set(written);
        if written > self.options.limits.output { Err(Limit::Output) } else { Ok(()) }
    }

    /// How many bytes may still be written.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.options.limits.output.saturating_sub(self.written.get())).unwrap_or(usize::MAX)
    }

    /// Parses a text, or finds it parsed: charts call `tpl` with the same few values again and again.
    pub(super) fn parse(&self, name: &str, text: &[u8]) -> Result<Trees, Error> {
        if let Some((known, trees)) = self.texts.borrow().trees.get(text)
            && **known == *name
        {
            return Ok(Rc::clone(trees));
        }
        let mut texts = self.texts.borrow_mut();
        let trees = parse::parse(name, &text.into(), self.funcs, self.guard, &mut texts.buffers)?;
        let trees: Trees = trees.into();
        if texts.size + text.len() > CACHED_TEXT {
            *texts = ParsedTexts::default();
        }
        texts.size += text.len();
        texts.trees.insert(text.into(), (name.into(), Rc::clone(&trees)));
        Ok(trees)
    }
}
