//! The syntax tree, as Go's `text/template/parse/node.go`.
//!
//! A tree is immutable and can be executed on many threads. What can be found out when parsing is kept in the
//! nodes: functions are resolved, variables are slots of the frame, constants are converted. Every node knows
//! its position and can print itself, because error messages show it.
//!
//! A chart may have a hundred thousand nodes, so that none of them is an allocation: names and texts are [`Span`]s of
//! the text, and the parts of all trees of a file lie in a few vectors, where a list is a range ([`List`]) and a
//! child an index ([`Id`]). Nearly all of them are plain data, which costs nothing to drop.

use std::marker::PhantomData;
use std::ops::Index;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::funcs::NamedFunc;
use crate::printf;
use crate::unicode;

/// A piece of a file's text; texts of 4 GiB do not exist.
#[derive(Clone, Copy, Debug, Default)]
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

/// Parts of one kind that follow each other: the nodes of a body, the arguments of a command.
pub(crate) struct List<T> {
    start: u32,
    end: u32,
    kind: PhantomData<fn() -> T>,
}

/// One part.
pub(crate) struct Id<T> {
    index: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<T> {}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> List<T> {
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The parts of all trees of a file, a vector a kind.
#[derive(Default)]
pub(crate) struct Parts {
    nodes: Vec<Node>,
    branches: Vec<Branch>,
    calls: Vec<TemplateCall>,
    pipes: Vec<Pipe>,
    decls: Vec<Decl>,
    commands: Vec<Command>,
    exprs: Vec<Expr>,
    chains: Vec<Chain>,
    numbers: Vec<Number>,
    escaped: Vec<Escaped>,
}

/// What has a vector of its own.
pub(crate) trait Part: Sized {
    fn all(parts: &Parts) -> &[Self];
    fn pile(parts: &mut Parts) -> &mut Vec<Self>;
}

macro_rules! parts {
    ($($kind:ident: $field:ident,)*) => {$(
        impl Part for $kind {
            fn all(parts: &Parts) -> &[Self] {
                &parts.$field
            }

            fn pile(parts: &mut Parts) -> &mut Vec<Self> {
                &mut parts.$field
            }
        }
    )*};
}

parts! {
    Node: nodes,
    Branch: branches,
    TemplateCall: calls,
    Pipe: pipes,
    Decl: decls,
    Command: commands,
    Expr: exprs,
    Chain: chains,
    Number: numbers,
    Escaped: escaped,
}

impl Parts {
    /// Takes all parts out, without the room for more: they are kept as long as their chart.
    pub(crate) fn take(&mut self) -> Self {
        fn all<T>(pile: &mut Vec<T>) -> Vec<T> {
            let mut parts = Vec::with_capacity(pile.len());
            parts.append(pile);
            parts
        }
        Self {
            nodes: all(&mut self.nodes),
            branches: all(&mut self.branches),
            calls: all(&mut self.calls),
            pipes: all(&mut self.pipes),
            decls: all(&mut self.decls),
            commands: all(&mut self.commands),
            exprs: all(&mut self.exprs),
            chains: all(&mut self.chains),
            numbers: all(&mut self.numbers),
            escaped: all(&mut self.escaped),
        }
    }

    /// Adds a part.
    pub(crate) fn add<T: Part>(&mut self, part: T) -> Id<T> {
        let pile = T::pile(self);
        pile.push(part);
        Id { index: pile.len() as u32 - 1, kind: PhantomData }
    }

    /// Adds those parts that lie on `open` from `mark` on, and takes them away there.
    pub(crate) fn add_list<T: Part + Copy>(&mut self, open: &mut Vec<T>, mark: usize) -> List<T> {
        let pile = T::pile(self);
        let start = pile.len() as u32;
        pile.extend_from_slice(open.get(mark..).unwrap_or_default());
        open.truncate(mark);
        List { start, end: pile.len() as u32, kind: PhantomData }
    }
}

impl<T: Part> Index<Id<T>> for Parts {
    type Output = T;

    fn index(&self, id: Id<T>) -> &T {
        &T::all(self)[id.index as usize]
    }
}

impl<T: Part> Index<List<T>> for Parts {
    type Output = [T];

    fn index(&self, list: List<T>) -> &[T] {
        &T::all(self)[list.start as usize..list.end as usize]
    }
}

/// A text and what it was parsed into, shared by the trees of all templates that it defines.
pub(crate) struct File {
    /// The name under which it was parsed, for error messages.
    pub name: Arc<str>,
    pub text: Bytes,
    /// The functions that it may call.
    pub funcs: Arc<Vec<NamedFunc>>,
    pub parts: Parts,
}

impl File {
    /// Line (from 1) and column (bytes, from 0) of a position.
    pub(crate) fn locate(&self, pos: u32) -> (usize, usize) {
        let before = self.text.get(..pos as usize).unwrap_or(&self.text);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        (line, column)
    }

    /// Whether there is nothing but space and comments: such a body never replaces another one.
    pub(crate) fn is_blank(&self, body: List<Node>) -> bool {
        self.parts[body].iter().all(|node| match node {
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

/// A parsed template: a file or a `define`.
#[derive(Clone)]
pub(crate) struct Tree {
    /// The template's own name.
    pub name: Arc<str>,
    pub root: List<Node>,
    pub file: Arc<File>,
}

impl Tree {
    pub(crate) fn is_empty(&self) -> bool {
        self.file.is_blank(self.root)
    }
}

/// What stands at the top level of a body.
#[derive(Clone, Copy)]
pub(crate) enum Node {
    /// Text to copy.
    Text(Span),
    /// `{{ pipeline }}`.
    Action(Pipe),
    If(Id<Branch>),
    With(Id<Branch>),
    Range(Id<Branch>),
    /// `{{ template "name" pipeline }}`, also what is left of a `block`.
    Template(Id<TemplateCall>),
    Break,
    Continue,
}

/// `if`, `with` or `range`.
pub(crate) struct Branch {
    pub pipe: Pipe,
    pub body: List<Node>,
    pub otherwise: Option<List<Node>>,
}

/// `{{ template "name" pipeline }}`.
pub(crate) struct TemplateCall {
    pub pos: u32,
    pub name: Arc<str>,
    pub pipe: Option<Pipe>,
}

/// Commands joined by `|`, whose value may be given to variables.
#[derive(Clone, Copy)]
pub(crate) struct Pipe {
    pub pos: u32,
    /// The variables exist already.
    pub is_assign: bool,
    pub decl: List<Decl>,
    pub cmds: List<Command>,
}

/// A variable that a pipeline declares or assigns.
#[derive(Clone, Copy)]
pub(crate) struct Decl {
    /// With the `$`.
    pub name: Span,
    /// Its place in the frame; none for an assignment to what was never declared, which fails when it is executed.
    pub slot: Option<u32>,
}

/// A function or value with its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Command {
    pub pos: u32,
    /// At least one; the first is what is called.
    pub args: List<Expr>,
}

/// An operand.
#[derive(Clone, Copy)]
pub(crate) enum Expr {
    Dot(u32),
    Nil(u32),
    Bool(u32, bool),
    Number(Id<Number>),
    /// A string constant, as written, with its quotes.
    String(Span),
    /// A string constant that is not what stands between its quotes.
    Escaped(Id<Escaped>),
    /// `.a.b`
    Field(Field),
    /// `$x.a.b`
    Variable(Variable),
    /// `(…).a.b`
    Chain(Id<Chain>),
    /// A function's name.
    Function(Function),
    /// `(…)`
    Pipe(Id<Pipe>),
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
#[derive(Clone, Copy)]
pub(crate) struct Variable {
    /// With the `$`.
    pub name: Span,
    /// Where the fields end that follow the name, every one with its dot in front; there may be none.
    pub end: u32,
    /// As [`Decl::slot`].
    pub slot: Option<u32>,
}

impl Variable {
    pub(crate) fn fields(self) -> Span {
        Span::new(self.name.end, self.end)
    }

    /// Go: fields move the position to the first of them.
    fn pos(self) -> u32 {
        if self.fields().is_empty() { self.name.start } else { self.name.end }
    }
}

/// `(…).a.b`
pub(crate) struct Chain {
    pub pos: u32,
    pub base: Expr,
    /// Every name has its dot in front.
    pub fields: Span,
}

/// A function's name, resolved.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    pub pos: u32,
    /// Its place among [`File::funcs`].
    pub index: u32,
}

impl Function {
    pub(crate) fn of(self, file: &File) -> &NamedFunc {
        &file.funcs[self.index as usize]
    }
}

/// A number under all the types that can hold it: Go's ideal constants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Number {
    pub int: Option<i64>,
    pub uint: Option<u64>,
    pub float: Option<f64>,
    pub complex: Option<(f64, f64)>,
    /// As written.
    pub text: Span,
}

impl Expr {
    pub(crate) fn pos(&self, parts: &Parts) -> u32 {
        match self {
            Self::Dot(pos) | Self::Nil(pos) | Self::Bool(pos, _) => *pos,
            Self::Number(number) => parts[*number].text.start,
            Self::String(quoted) => quoted.start,
            Self::Escaped(text) => parts[*text].quoted.start,
            Self::Field(field) => field.pos,
            Self::Variable(variable) => variable.pos(),
            Self::Chain(chain) => parts[*chain].pos,
            Self::Function(function) => function.pos,
            Self::Pipe(pipe) => parts[*pipe].pos,
        }
    }

    /// The text of a string constant.
    pub(crate) fn string<'f>(&self, file: &'f File) -> Option<&'f [u8]> {
        match self {
            Self::String(quoted) => Some(quoted.inside(1).of(&file.text)),
            Self::Escaped(escaped) => Some(&file.parts[*escaped].text),
            _ => None,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, file: &File) {
        let mut copy = |span: Span| out.extend_from_slice(span.of(&file.text));
        match self {
            Self::Dot(_) => out.push(b'.'),
            Self::Nil(_) => out.extend_from_slice(b"nil"),
            Self::Bool(_, truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
            Self::Number(number) => copy(file.parts[*number].text),
            Self::String(quoted) => copy(*quoted),
            Self::Escaped(escaped) => copy(file.parts[*escaped].quoted),
            Self::Field(field) => copy(field.names),
            Self::Variable(variable) => copy(Span::new(variable.name.start, variable.end)),
            Self::Chain(chain) => {
                let chain = &file.parts[*chain];
                chain.base.write_argument(out, file);
                out.extend_from_slice(chain.fields.of(&file.text));
            }
            Self::Function(function) => out.extend_from_slice(function.of(file).name.as_bytes()),
            Self::Pipe(pipe) => file.parts[*pipe].write(out, file),
        }
    }

    /// Prints it as an argument: a pipeline gets its parentheses.
    fn write_argument(&self, out: &mut Vec<u8>, file: &File) {
        if let Self::Pipe(pipe) = self {
            out.push(b'(');
            file.parts[*pipe].write(out, file);
            out.push(b')');
        } else {
            self.write(out, file);
        }
    }
}

impl Command {
    pub(crate) fn write(&self, out: &mut Vec<u8>, file: &File) {
        for (i, arg) in file.parts[self.args].iter().enumerate() {
            if i > 0 {
                out.push(b' ');
            }
            arg.write_argument(out, file);
        }
    }
}

impl Pipe {
    pub(crate) fn write(&self, out: &mut Vec<u8>, file: &File) {
        for (i, decl) in file.parts[self.decl].iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(decl.name.of(&file.text));
        }
        if !self.decl.is_empty() {
            out.extend_from_slice(if self.is_assign { b" = " } else { b" := " });
        }
        for (i, command) in file.parts[self.cmds].iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b" | ");
            }
            command.write(out, file);
        }
    }

    /// As it stands in the text on its own.
    pub(crate) fn write_action(&self, out: &mut Vec<u8>, file: &File) {
        out.extend_from_slice(b"{{");
        self.write(out, file);
        out.extend_from_slice(b"}}");
    }
}

impl Node {
    pub(crate) fn pos(&self, parts: &Parts) -> u32 {
        match self {
            Self::Action(pipe) => pipe.pos,
            Self::If(branch) | Self::With(branch) | Self::Range(branch) => parts[*branch].pipe.pos,
            Self::Template(call) => parts[*call].pos,
            Self::Text(_) | Self::Break | Self::Continue => 0,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, file: &File) {
        match self {
            Self::Text(text) => out.extend_from_slice(text.of(&file.text)),
            Self::Action(pipe) => pipe.write_action(out, file),
            Self::If(branch) => file.parts[*branch].write("if", out, file),
            Self::With(branch) => file.parts[*branch].write("with", out, file),
            Self::Range(branch) => file.parts[*branch].write("range", out, file),
            Self::Template(call) => file.parts[*call].write(out, file),
            Self::Break => out.extend_from_slice(b"{{break}}"),
            Self::Continue => out.extend_from_slice(b"{{continue}}"),
        }
    }
}

impl Branch {
    fn write(&self, keyword: &str, out: &mut Vec<u8>, file: &File) {
        out.extend_from_slice(b"{{");
        out.extend_from_slice(keyword.as_bytes());
        out.push(b' ');
        self.pipe.write(out, file);
        out.extend_from_slice(b"}}");
        file.parts[self.body].iter().for_each(|node| node.write(out, file));
        if let Some(otherwise) = self.otherwise {
            out.extend_from_slice(b"{{else}}");
            file.parts[otherwise].iter().for_each(|node| node.write(out, file));
        }
        out.extend_from_slice(b"{{end}}");
    }
}

impl TemplateCall {
    fn write(&self, out: &mut Vec<u8>, file: &File) {
        out.extend_from_slice(b"{{template ");
        out.extend_from_slice(&printf::quote(self.name.as_bytes()));
        if let Some(pipe) = &self.pipe {
            out.push(b' ');
            pipe.write(out, file);
        }
        out.extend_from_slice(b"}}");
    }
}
