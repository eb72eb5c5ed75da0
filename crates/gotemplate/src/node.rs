//! The syntax tree, as Go's `text/template/parse/node.go`.
//!
//! A tree is immutable and can be executed on many threads. What can be found out when parsing is kept in the
//! nodes: functions are resolved, variables are slots of the frame, constants are converted. Every node knows
//! its position and can print itself, because error messages show it.
//!
//! Names and texts are [`Span`]s of the tree's text: a chart may have a hundred thousand of them, and each would be
//! allocated to be compared with a key or to be copied.

use std::ops::Deref;
use std::slice;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::funcs::NamedFunc;
use crate::printf;
use crate::unicode;

/// A piece of a tree's text; texts of 4 GiB do not exist.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    pub(crate) fn start(self) -> u32 {
        self.start
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Without so many bytes at both ends.
    fn inside(self, bytes: u32) -> Self {
        Self { start: self.start + bytes, end: self.end - bytes }
    }

    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A parsed template: a file or a `define`.
pub(crate) struct Tree {
    /// The template's own name.
    pub name: Arc<str>,
    /// The name under which the text was parsed, for error messages.
    pub parse_name: Arc<str>,
    /// The text, shared by all templates of a file.
    pub text: Bytes,
    pub root: Box<[Node]>,
}

impl Tree {
    /// Line (from 1) and column (bytes, from 0) of a position.
    pub(crate) fn locate(&self, pos: u32) -> (usize, usize) {
        let before = self.text.get(..pos as usize).unwrap_or(&self.text);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count();
        (line, column)
    }

    /// Whether there is nothing but space and comments: such a body never replaces another one.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.iter().all(|node| match node {
            Node::Text(text) => is_blank(text.of(&self.text)),
            _ => false,
        })
    }
}

fn is_blank(text: &[u8]) -> bool {
    unicode::runes(text).all(|(rune, width)| {
        !(rune == unicode::RUNE_ERROR && width == 1) && char::from_u32(rune).is_some_and(char::is_whitespace)
    })
}

/// What stands at the top level of a body.
pub(crate) enum Node {
    /// Text to copy.
    Text(Span),
    /// `{{ pipeline }}`.
    Action(Action),
    If(Box<Branch>),
    With(Box<Branch>),
    Range(Box<Branch>),
    /// `{{ template "name" pipeline }}`, also what is left of a `block`.
    Template(Box<TemplateCall>),
    Break,
    Continue,
}

/// `{{ pipeline }}`.
pub(crate) struct Action {
    pub pos: u32,
    pub pipe: Pipe,
}

/// `if`, `with` or `range`.
pub(crate) struct Branch {
    pub pipe: Pipe,
    pub body: Box<[Node]>,
    pub otherwise: Option<Box<[Node]>>,
}

/// `{{ template "name" pipeline }}`.
pub(crate) struct TemplateCall {
    pub pos: u32,
    pub name: Box<str>,
    pub pipe: Option<Pipe>,
}

/// Commands joined by `|`, whose value may be given to variables.
pub(crate) struct Pipe {
    pub pos: u32,
    /// The variables exist already.
    pub is_assign: bool,
    pub decl: Box<[Decl]>,
    pub cmds: Few<Command>,
}

/// A variable that a pipeline declares or assigns.
pub(crate) struct Decl {
    /// With the `$`.
    pub name: Span,
    /// `None`: an assignment to what was never declared, which fails when it is executed.
    pub slot: Option<usize>,
}

/// A function or value with its arguments.
pub(crate) struct Command {
    pub pos: u32,
    /// At least one; the first is what is called.
    pub args: Few<Expr>,
}

/// A list that nearly always has one element, which is then no allocation of its own.
pub(crate) enum Few<T> {
    One(T),
    /// None, or several.
    Many(Box<[T]>),
}

impl<T> Few<T> {
    /// Takes what lies on a pile from `mark` on.
    pub(crate) fn take(pile: &mut Vec<T>, mark: usize) -> Self {
        if pile.len() == mark + 1
            && let Some(only) = pile.pop()
        {
            return Self::One(only);
        }
        Self::Many(pile.drain(mark..).collect())
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(item) => slice::from_ref(item),
            Self::Many(items) => items,
        }
    }
}

/// An operand.
pub(crate) enum Expr {
    Dot(u32),
    Nil(u32),
    Bool(u32, bool),
    Number(Box<Number>),
    /// A string constant, as written, with its quotes.
    String(Span),
    /// A string constant that is not what stands between its quotes.
    Escaped(Box<Escaped>),
    /// `.a.b`
    Field(Field),
    /// `$x.a.b`
    Variable(Box<Variable>),
    /// `(…).a.b`
    Chain(Box<Chain>),
    /// A function's name.
    Function(Function),
    /// `(…)`
    Pipe(Box<Pipe>),
}

/// A string constant with escapes.
pub(crate) struct Escaped {
    /// As written, with its quotes.
    pub quoted: Span,
    pub text: Box<[u8]>,
}

/// `.a.b`
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub pos: u32,
    /// Every name has its dot in front.
    pub names: Span,
}

/// `$x.a.b`
pub(crate) struct Variable {
    pub pos: u32,
    /// With the `$`.
    pub name: Span,
    pub slot: Option<usize>,
    /// Every name has its dot in front; may be empty.
    pub fields: Span,
}

/// `(…).a.b`
pub(crate) struct Chain {
    pub pos: u32,
    pub base: Expr,
    /// Every name has its dot in front.
    pub fields: Span,
}

/// A function's name, resolved.
pub(crate) struct Function {
    pub pos: u32,
    /// The table's own.
    pub named: Arc<NamedFunc>,
}

/// A number under all the types that can hold it: Go's ideal constants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Number {
    pub pos: u32,
    pub int: Option<i64>,
    pub uint: Option<u64>,
    pub float: Option<f64>,
    pub complex: Option<(f64, f64)>,
    /// As written.
    pub text: Box<str>,
}

impl Expr {
    pub(crate) fn pos(&self) -> u32 {
        match self {
            Self::Dot(pos) | Self::Nil(pos) | Self::Bool(pos, _) => *pos,
            Self::Number(number) => number.pos,
            Self::String(quoted) => quoted.start,
            Self::Escaped(text) => text.quoted.start,
            Self::Field(field) => field.pos,
            Self::Variable(variable) => variable.pos,
            Self::Chain(chain) => chain.pos,
            Self::Function(function) => function.pos,
            Self::Pipe(pipe) => pipe.pos,
        }
    }

    /// The text of a string constant.
    pub(crate) fn string<'t>(&'t self, source: &'t [u8]) -> Option<&'t [u8]> {
        match self {
            Self::String(quoted) => Some(quoted.inside(1).of(source)),
            Self::Escaped(escaped) => Some(&escaped.text),
            _ => None,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, source: &[u8]) {
        match self {
            Self::Dot(_) => out.push(b'.'),
            Self::Nil(_) => out.extend_from_slice(b"nil"),
            Self::Bool(_, truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
            Self::Number(number) => out.extend_from_slice(number.text.as_bytes()),
            Self::String(quoted) => out.extend_from_slice(quoted.of(source)),
            Self::Escaped(escaped) => out.extend_from_slice(escaped.quoted.of(source)),
            Self::Field(field) => out.extend_from_slice(field.names.of(source)),
            Self::Variable(variable) => {
                out.extend_from_slice(variable.name.of(source));
                out.extend_from_slice(variable.fields.of(source));
            }
            Self::Chain(chain) => {
                chain.base.write_argument(out, source);
                out.extend_from_slice(chain.fields.of(source));
            }
            Self::Function(function) => out.extend_from_slice(function.named.name.as_bytes()),
            Self::Pipe(pipe) => pipe.write(out, source),
        }
    }

    /// Prints it as an argument: a pipeline gets its parentheses.
    fn write_argument(&self, out: &mut Vec<u8>, source: &[u8]) {
        if let Self::Pipe(pipe) = self {
            out.push(b'(');
            pipe.write(out, source);
            out.push(b')');
        } else {
            self.write(out, source);
        }
    }
}

impl Command {
    pub(crate) fn write(&self, out: &mut Vec<u8>, source: &[u8]) {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                out.push(b' ');
            }
            arg.write_argument(out, source);
        }
    }
}

impl Pipe {
    pub(crate) fn write(&self, out: &mut Vec<u8>, source: &[u8]) {
        for (i, decl) in self.decl.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(decl.name.of(source));
        }
        if !self.decl.is_empty() {
            out.extend_from_slice(if self.is_assign { b" = " } else { b" := " });
        }
        for (i, command) in self.cmds.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b" | ");
            }
            command.write(out, source);
        }
    }
}

impl Node {
    pub(crate) fn pos(&self) -> u32 {
        match self {
            Self::Action(action) => action.pos,
            Self::If(branch) | Self::With(branch) | Self::Range(branch) => branch.pipe.pos,
            Self::Template(call) => call.pos,
            Self::Text(_) | Self::Break | Self::Continue => 0,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, source: &[u8]) {
        match self {
            Self::Text(text) => out.extend_from_slice(text.of(source)),
            Self::Action(action) => {
                out.extend_from_slice(b"{{");
                action.pipe.write(out, source);
                out.extend_from_slice(b"}}");
            }
            Self::If(branch) => branch.write("if", out, source),
            Self::With(branch) => branch.write("with", out, source),
            Self::Range(branch) => branch.write("range", out, source),
            Self::Template(call) => call.write(out, source),
            Self::Break => out.extend_from_slice(b"{{break}}"),
            Self::Continue => out.extend_from_slice(b"{{continue}}"),
        }
    }
}

impl Branch {
    fn write(&self, keyword: &str, out: &mut Vec<u8>, source: &[u8]) {
        out.extend_from_slice(b"{{");
        out.extend_from_slice(keyword.as_bytes());
        out.push(b' ');
        self.pipe.write(out, source);
        out.extend_from_slice(b"}}");
        self.body.iter().for_each(|node| node.write(out, source));
        if let Some(otherwise) = &self.otherwise {
            out.extend_from_slice(b"{{else}}");
            otherwise.iter().for_each(|node| node.write(out, source));
        }
        out.extend_from_slice(b"{{end}}");
    }
}

impl TemplateCall {
    fn write(&self, out: &mut Vec<u8>, source: &[u8]) {
        out.extend_from_slice(b"{{template ");
        out.extend_from_slice(&printf::quote(self.name.as_bytes()));
        if let Some(pipe) = &self.pipe {
            out.push(b' ');
            pipe.write(out, source);
        }
        out.extend_from_slice(b"}}");
    }
}
