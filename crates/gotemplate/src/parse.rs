//! Parses templates into trees, as Go's `text/template/parse/parse.go`.
//!
//! What Go finds out when a template is executed is found out here: functions are resolved, and every variable
//! gets its slot in the frame of its template. The order of errors and their texts are Go's.
//!
//! Follows Go's source closely: Copyright 2011 The Go Authors, BSD-style licence (see the repository's NOTICE).

use std::borrow::Cow;
use std::mem;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::error::Error;
use crate::funcs::Funcs;
use crate::lex::{Lexer, Token, TokenKind};
use crate::node::{
    Action, Branch, Chain, Command, Decl, Escaped, Expr, Few, Field, Function, Node, Pipe, Span,
    TemplateCall, Tree, Variable,
};
use crate::number;
use crate::printf;
use crate::stack::StackGuard;

/// Go's limit of nested parentheses.
const MAX_PARENS: usize = 10_000;

/// Parses `text` and returns its trees: those of its definitions, and last its own.
pub(crate) fn parse(
    name: &str,
    text: &Bytes,
    funcs: &Funcs,
    guard: StackGuard,
) -> Result<Vec<Arc<Tree>>, Error> {
    let mut lexer = Lexer::new(text);
    lexer.break_ok = funcs.get("break").is_none();
    lexer.continue_ok = funcs.get("continue").is_none();
    let none = Token::new(TokenKind::Eof, 0, 0);
    let mut parser = Parser {
        source: text,
        text: text.clone(),
        name: name.into(),
        lexer,
        funcs,
        guard,
        token: [none; 3],
        peek_count: 0,
        body: Body::default(),
        nodes: Vec::new(),
        commands: Vec::new(),
        operands: Vec::new(),
        trees: Vec::new(),
    };
    parser.parse_file()?;
    Ok(parser.trees)
}

/// What ends a list of nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    End,
    Else,
}

impl Ending {
    fn text(self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

/// A node, or what ends the list of nodes.
enum Item {
    Node(Node),
    Ending(Ending),
}

/// What is known of the template body that is being parsed.
#[derive(Default)]
struct Body<'t> {
    vars: Vars<'t>,
    /// The left delimiter of the current action.
    action: Option<Token>,
    range_depth: usize,
    paren_depth: usize,
}

/// The variables in scope.
struct Vars<'t> {
    names: Vec<(&'t str, Option<usize>)>,
    /// How many slots are taken.
    slots: usize,
}

impl Default for Vars<'_> {
    fn default() -> Self {
        Self { names: vec![("$", Some(0))], slots: 1 }
    }
}

impl<'t> Vars<'t> {
    /// Whether Go's parser knows the name, and the slot of the innermost variable that has it.
    fn find(&self, name: &str) -> (bool, Option<usize>) {
        let mut same = self.names.iter().rev().filter(|(known, _)| *known == name).peekable();
        (same.peek().is_some(), same.find_map(|(_, slot)| *slot))
    }

    /// Makes the name known without a variable: Go's parser takes `$x` in `$x := $x` for the new one, but the
    /// variable comes into being only when the pipeline has been evaluated.
    fn announce(&mut self, name: &'t str) {
        self.names.push((name, None));
    }

    fn declare(&mut self, name: &'t str) -> usize {
        let slot = self.slots;
        self.slots += 1;
        self.names.push((name, Some(slot)));
        slot
    }
}

/// The variables before the `:=` or `=` of a pipeline.
#[derive(Default)]
struct Declared {
    /// They exist already.
    is_assign: bool,
    variables: Vec<Token>,
}

fn word(source: &[u8], token: Token) -> &str {
    std::str::from_utf8(token.of(source)).unwrap_or_default()
}

struct Parser<'t> {
    source: &'t [u8],
    text: Bytes,
    name: Arc<str>,
    lexer: Lexer<'t>,
    funcs: &'t Funcs,
    guard: StackGuard,
    /// Three tokens of look-ahead, the nearest one last.
    token: [Token; 3],
    peek_count: usize,
    body: Body<'t>,
    // What has been parsed of the lists that are still open, the innermost last: a list gets the memory that it needs
    // when it is complete.
    nodes: Vec<Node>,
    commands: Vec<Command>,
    operands: Vec<Expr>,
    trees: Vec<Arc<Tree>>,
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Token {
        if self.peek_count > 0 {
            self.peek_count -= 1;
        } else {
            self.token[0] = self.lexer.next_token();
        }
        self.token.get(self.peek_count).copied().unwrap_or(self.token[0])
    }

    fn backup(&mut self) {
        self.peek_count += 1;
    }

    fn backup2(&mut self, first: Token) {
        self.token[1] = first;
        self.peek_count = 2;
    }

    fn backup3(&mut self, first: Token, second: Token) {
        self.token[1] = second;
        self.token[2] = first;
        self.peek_count = 3;
    }

    fn peek(&mut self) -> Token {
        let token = self.next();
        self.backup();
        token
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != TokenKind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.backup();
        token
    }

    fn bytes(&self, token: Token) -> &'t [u8] {
        token.of(self.source)
    }

    fn span(token: Token) -> Span {
        Span::new(token.start, token.end)
    }

    /// The text of an identifier, field or variable: the lexer takes nothing else than UTF-8 for one.
    fn word(&self, token: Token) -> &'t str {
        word(self.source, token)
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, Error> {
        Err(Error::parse(&self.name, self.token[0].line(self.source), message.into()))
    }

    fn expect(&mut self, kind: TokenKind, context: &str) -> Result<Token, Error> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(token, context) }
    }

    fn unexpected<T>(&self, token: Token, context: &str) -> Result<T, Error> {
        if token.kind != TokenKind::Error {
            return self.error(format!("unexpected {} in {context}", self.describe(token)));
        }
        let message = &self.lexer.error;
        let line = self.body.action.map(|action| action.line(self.source));
        let Some(line) = line.filter(|line| *line != token.line(self.source)) else {
            return self.error(message.clone());
        };
        // Go: avoids "action in action".
        let joint = if message.ends_with(" action") { "" } else { " in action" };
        self.error(format!("{message}{joint} started at {}:{line}", self.name))
    }

    /// How Go shows a token in messages.
    fn describe(&self, token: Token) -> String {
        let text = self.bytes(token);
        if token.kind == TokenKind::Eof {
            return "EOF".to_owned();
        }
        if token.kind > TokenKind::Keyword {
            return format!("<{}>", String::from_utf8_lossy(text));
        }
        if text.len() > 10 {
            // Go: `%.10q` cuts runes, the condition counts bytes.
            let cut = crate::unicode::runes(text).take(10).map(|(_, width)| width).sum();
            let quoted = printf::quote(text.get(..cut).unwrap_or(text));
            return format!("{}...", String::from_utf8_lossy(&quoted));
        }
        String::from_utf8_lossy(&printf::quote(text)).into_owned()
    }

    fn check_depth(&self) -> Result<(), Error> {
        if self.guard.exceeded() { self.error("max nesting depth exceeded") } else { Ok(()) }
    }

    /// The whole text: like a list of nodes, but with definitions, and up to the end of the input.
    fn parse_file(&mut self) -> Result<(), Error> {
        loop {
            let token = self.peek();
            match token.kind {
                TokenKind::Eof => break,
                TokenKind::LeftDelim => {
                    let delim = self.next();
                    if self.next_non_space().kind == TokenKind::Define {
                        self.parse_definition()?;
                        continue;
                    }
                    self.backup2(delim);
                }
                _ => {}
            }
            match self.text_or_action()? {
                Item::Node(node) => self.nodes.push(node),
                Item::Ending(ending) => return self.error(format!("unexpected {}", ending.text())),
            }
        }
        let (name, root) = (self.name.clone(), self.take_nodes(0));
        self.add(name, root)
    }

    /// The list of nodes that began at `mark`.
    fn take_nodes(&mut self, mark: usize) -> Box<[Node]> {
        self.nodes.drain(mark..).collect()
    }

    /// Adds a tree; a template may be defined once with a body that is not empty.
    fn add(&mut self, name: Arc<str>, root: Box<[Node]>) -> Result<(), Error> {
        let tree = Tree { name, parse_name: self.name.clone(), text: self.text.clone(), root };
        let old = self.trees.iter().position(|old| old.name == tree.name);
        let (keep_old, drop_old) = match old.and_then(|i| self.trees.get(i)) {
            None => (false, false),
            Some(old) if old.is_empty() => (false, true),
            Some(_) if tree.is_empty() => (true, false),
            Some(_) => {
                let quoted = printf::quote(tree.name.as_bytes());
                let quoted = String::from_utf8_lossy(&quoted);
                return self.error(format!("template: multiple definition of template {quoted}"));
            }
        };
        match old {
            // The text's own tree is always the last.
            Some(i) if keep_old && tree.name == self.name => {
                let old = self.trees.remove(i);
                self.trees.push(old);
            }
            Some(_) if keep_old => {}
            Some(i) if drop_old => {
                self.trees.remove(i);
                self.trees.push(Arc::new(tree));
            }
            _ => self.trees.push(Arc::new(tree)),
        }
        Ok(())
    }

    /// A name as a constant string, for `define`, `block` and `template`.
    fn template_name(&mut self, token: Token, context: &str) -> Result<Arc<str>, Error> {
        if !matches!(token.kind, TokenKind::String | TokenKind::RawString) {
            return self.unexpected(token, context);
        }
        match number::unquote(self.bytes(token)) {
            Ok(name) => Ok(String::from_utf8_lossy(&name).into()),
            Err(message) => self.error(message),
        }
    }

    fn parse_definition(&mut self) -> Result<(), Error> {
        const CONTEXT: &str = "define clause";
        let outer = mem::take(&mut self.body);
        let token = self.next_non_space();
        let name = self.template_name(token, CONTEXT)?;
        self.expect(TokenKind::RightDelim, CONTEXT)?;
        self.parse_body(name, CONTEXT)?;
        self.body = outer;
        Ok(())
    }

    /// The body of a `define` or `block` up to its `end`, with variables of its own.
    fn parse_body(&mut self, name: Arc<str>, context: &str) -> Result<(), Error> {
        let (root, ending) = self.item_list()?;
        if ending != Ending::End {
            return self.error(format!("unexpected {} in {context}", ending.text()));
        }
        self.add(name, root)
    }

    fn item_list(&mut self) -> Result<(Box<[Node]>, Ending), Error> {
        self.check_depth()?;
        let mark = self.nodes.len();
        while self.peek_non_space().kind != TokenKind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => self.nodes.push(node),
                Item::Ending(ending) => return Ok((self.take_nodes(mark), ending)),
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Item, Error> {
        let token = self.next_non_space();
        match token.kind {
            TokenKind::Text => Ok(Item::Node(Node::Text(Self::span(token)))),
            TokenKind::LeftDelim => {
                self.body.action = Some(token);
                let item = self.action()?;
                self.body.action = None;
                Ok(item)
            }
            _ => self.unexpected(token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item, Error> {
        let token = self.next_non_space();
        let node = match token.kind {
            TokenKind::Block => self.block_control()?,
            TokenKind::Break | TokenKind::Continue => self.loop_control(token.kind)?,
            TokenKind::Else => {
                // `else if` and `else with`: the keyword stays pending.
                if !matches!(self.peek_non_space().kind, TokenKind::If | TokenKind::With) {
                    self.expect(TokenKind::RightDelim, "else")?;
                }
                return Ok(Item::Ending(Ending::Else));
            }
            TokenKind::End => {
                self.expect(TokenKind::RightDelim, "end")?;
                return Ok(Item::Ending(Ending::End));
            }
            TokenKind::If => Node::If(self.branch("if")?),
            TokenKind::Range => Node::Range(self.branch("range")?),
            TokenKind::With => Node::With(self.branch("with")?),
            TokenKind::Template => self.template_control()?,
            _ => {
                self.backup();
                let pos = self.peek().start;
                // Variables are not popped: they live until the enclosing `end`.
                Node::Action(Action { pos, pipe: self.pipeline("command", TokenKind::RightDelim)? })
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, kind: TokenKind) -> Result<Node, Error> {
        let (node, text) = match kind {
            TokenKind::Break => (Node::Break, "{{break}}"),
            _ => (Node::Continue, "{{continue}}"),
        };
        let token = self.next_non_space();
        if token.kind != TokenKind::RightDelim {
            return self.unexpected(token, text);
        }
        if self.body.range_depth == 0 {
            return self.error(format!("{text} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, context: &'static str) -> Result<Box<Branch>, Error> {
        let (names, slots) = (self.body.vars.names.len(), self.body.vars.slots);
        let branch = self.branch_in_scope(context)?;
        self.body.vars.names.truncate(names);
        self.body.vars.slots = slots;
        Ok(Box::new(branch))
    }

    fn branch_in_scope(&mut self, context: &'static str) -> Result<Branch, Error> {
        let pipe = self.pipeline(context, TokenKind::RightDelim)?;
        let range = usize::from(context == "range");
        self.body.range_depth += range;
        let (body, ending) = self.item_list()?;
        self.body.range_depth -= range;
        let mut otherwise = None;
        if ending == Ending::Else {
            // `{{if a}}_{{else if b}}_{{end}}` is `{{if a}}_{{else}}{{if b}}_{{end}}{{end}}`.
            let next = self.peek().kind;
            otherwise = Some(if context == "if" && next == TokenKind::If {
                self.next();
                [Node::If(self.branch("if")?)].into()
            } else if context == "with" && next == TokenKind::With {
                self.next();
                [Node::With(self.branch("with")?)].into()
            } else {
                let (list, ending) = self.item_list()?;
                if ending != Ending::End {
                    return self.error(format!("expected end; found {}", ending.text()));
                }
                list
            });
        }
        Ok(Branch { pipe, body, otherwise })
    }

    fn block_control(&mut self) -> Result<Node, Error> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, TokenKind::RightDelim)?;
        let outer = mem::take(&mut self.body);
        self.parse_body(name.clone(), CONTEXT)?;
        self.body = outer;
        Ok(Node::Template(Box::new(TemplateCall {
            pos: token.start,
            name: (&*name).into(),
            pipe: Some(pipe),
        })))
    }

    fn template_control(&mut self) -> Result<Node, Error> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().kind != TokenKind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(CONTEXT, TokenKind::RightDelim)?);
        }
        Ok(Node::Template(Box::new(TemplateCall { pos: token.start, name: (&*name).into(), pipe })))
    }

    fn pipeline(&mut self, context: &str, end: TokenKind) -> Result<Pipe, Error> {
        self.check_depth()?;
        let pos = self.peek_non_space().start;
        let mut declared = Declared::default();
        while self.declaration(&mut declared, context)? {}
        let mark = self.commands.len();
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    let cmds = Few::take(&mut self.commands, mark);
                    self.check_pipeline(&cmds, context)?;
                    let Declared { is_assign, variables } = declared;
                    let vars = &mut self.body.vars;
                    let decl = variables.into_iter().map(|variable| {
                        let name = word(self.source, variable);
                        let slot = if is_assign { vars.find(name).1 } else { Some(vars.declare(name)) };
                        Decl { name: Self::span(variable), slot }
                    });
                    return Ok(Pipe { pos, is_assign, decl: decl.collect(), cmds });
                }
                TokenKind::Bool
                | TokenKind::CharConstant
                | TokenKind::Complex
                | TokenKind::Dot
                | TokenKind::Field
                | TokenKind::Identifier
                | TokenKind::Number
                | TokenKind::Nil
                | TokenKind::RawString
                | TokenKind::String
                | TokenKind::Variable
                | TokenKind::LeftParen => {
                    self.backup();
                    let command = self.command()?;
                    self.commands.push(command);
                }
                _ => return self.unexpected(token, context),
            }
        }
    }

    /// Parses a declared variable at the start of a pipeline, if there is one; whether another may follow.
    fn declaration(&mut self, declared: &mut Declared, context: &str) -> Result<bool, Error> {
        let variable = self.peek_non_space();
        if variable.kind != TokenKind::Variable {
            return Ok(false);
        }
        self.next();
        // Since space is a token, three tokens of look-ahead are needed: in `$x foo`, `foo` must be read to know
        // that `$x` is an argument.
        let after = self.peek();
        let next = self.peek_non_space();
        let name = self.word(variable);
        match next.kind {
            TokenKind::Assign | TokenKind::Declare => {
                declared.is_assign = next.kind == TokenKind::Assign;
                self.next_non_space();
                declared.variables.push(variable);
                self.body.vars.announce(name);
                Ok(false)
            }
            TokenKind::Char if self.bytes(next) == b"," => {
                self.next_non_space();
                declared.variables.push(variable);
                self.body.vars.announce(name);
                if context != "range" || declared.variables.len() >= 2 {
                    return self.error(format!("too many declarations in {context}"));
                }
                let follows = self.peek_non_space().kind;
                if !matches!(follows, TokenKind::Variable | TokenKind::RightDelim | TokenKind::RightParen) {
                    return self.error("range can only initialize variables");
                }
                Ok(true)
            }
            _ if after.kind == TokenKind::Space => {
                self.backup3(variable, after);
                Ok(false)
            }
            _ => {
                self.backup2(variable);
                Ok(false)
            }
        }
    }

    fn check_pipeline(&self, cmds: &[Command], context: &str) -> Result<(), Error> {
        if cmds.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        // Only the first command may begin with what cannot be called.
        for (i, command) in cmds.iter().enumerate().skip(1) {
            let constant = matches!(
                command.args.first(),
                Some(
                    Expr::Bool(..)
                        | Expr::Dot(_)
                        | Expr::Nil(_)
                        | Expr::Number(_)
                        | Expr::String(_)
                        | Expr::Escaped(_)
                )
            );
            if constant {
                return self.error(format!("non executable command in pipeline stage {}", i + 1));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, Error> {
        let pos = self.peek_non_space().start;
        let mark = self.operands.len();
        loop {
            self.peek_non_space(); // skips leading spaces
            if let Some(operand) = self.operand()? {
                self.operands.push(operand);
            }
            let token = self.next();
            match token.kind {
                TokenKind::Space => continue,
                TokenKind::RightDelim | TokenKind::RightParen => self.backup(),
                TokenKind::Pipe => {}
                _ => return self.unexpected(token, "operand"),
            }
            break;
        }
        let args = Few::take(&mut self.operands, mark);
        if args.is_empty() {
            return self.error("empty command");
        }
        Ok(Command { pos, args })
    }

    /// A term with the fields that follow it.
    fn operand(&mut self) -> Result<Option<Expr>, Error> {
        let Some(term) = self.term()? else { return Ok(None) };
        let first = self.peek();
        if first.kind != TokenKind::Field {
            return Ok(Some(term));
        }
        let mut last = first;
        while self.peek().kind == TokenKind::Field {
            last = self.next();
        }
        // Go: a chain on a field or variable extends it, and moves its position to the second segment.
        let pos = first.start;
        Ok(Some(match term {
            Expr::Field(field) => Expr::Field(Field { pos, names: Span::new(field.names.start(), last.end) }),
            Expr::Variable(mut variable) => {
                variable.pos = pos;
                variable.fields = Span::new(pos, last.end);
                Expr::Variable(variable)
            }
            Expr::Bool(..)
            | Expr::String(_)
            | Expr::Escaped(_)
            | Expr::Number(_)
            | Expr::Nil(_)
            | Expr::Dot(_) => {
                let mut text = Vec::new();
                term.write(&mut text, self.source);
                let quoted = printf::quote(&text);
                return self.error(format!("unexpected . after term {}", String::from_utf8_lossy(&quoted)));
            }
            base => Expr::Chain(Box::new(Chain { pos, base, fields: Span::new(pos, last.end) })),
        }))
    }

    fn term(&mut self) -> Result<Option<Expr>, Error> {
        let token = self.next_non_space();
        let pos = token.start;
        Ok(Some(match token.kind {
            TokenKind::Identifier => self.function(token)?,
            TokenKind::Dot => Expr::Dot(pos),
            TokenKind::Nil => Expr::Nil(pos),
            TokenKind::Variable => {
                let name = self.word(token);
                let (known, slot) = self.body.vars.find(name);
                if !known {
                    return self.error(format!("undefined variable \"{name}\""));
                }
                let fields = Span::new(token.end, token.end);
                Expr::Variable(Box::new(Variable { pos, name: Self::span(token), slot, fields }))
            }
            TokenKind::Field => Expr::Field(Field { pos, names: Self::span(token) }),
            TokenKind::Bool => Expr::Bool(pos, self.bytes(token) == b"true"),
            TokenKind::CharConstant | TokenKind::Complex | TokenKind::Number => {
                match number::parse_number(pos, self.bytes(token), token.kind) {
                    Ok(number) => Expr::Number(Box::new(number)),
                    Err(message) => return self.error(message),
                }
            }
            TokenKind::LeftParen => {
                if self.body.paren_depth >= MAX_PARENS {
                    return self.error("max expression depth exceeded");
                }
                self.body.paren_depth += 1;
                let pipe = self.pipeline("parenthesized pipeline", TokenKind::RightParen)?;
                self.body.paren_depth -= 1;
                Expr::Pipe(Box::new(pipe))
            }
            TokenKind::String | TokenKind::RawString => {
                let quoted = Self::span(token);
                match number::unquote(self.bytes(token)) {
                    Ok(Cow::Borrowed(_)) => Expr::String(quoted),
                    Ok(Cow::Owned(text)) => Expr::Escaped(Box::new(Escaped { quoted, text: text.into() })),
                    Err(message) => return self.error(message),
                }
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        }))
    }

    fn function(&self, token: Token) -> Result<Expr, Error> {
        let name = self.word(token);
        match self.funcs.get_shared(name) {
            Some(named) => Ok(Expr::Function(Function { pos: token.start, named: named.clone() })),
            None => self.error(format!("function \"{name}\" not defined")),
        }
    }
}
