//! Parses templates into trees, as Go's `text/template/parse/parse.go`.
//!
//! What Go finds out when a template is executed is found out here: functions are resolved, and every variable
//! gets its slot in the frame of its template. The order of errors and their texts are Go's.
//!
//! Follows Go's source closely: Copyright 2011 The Go Authors, BSD-style licence (see the repository's NOTICE).

mod pipeline;
mod scope;

use std::mem;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::error::Error;
use crate::funcs::Funcs;
use crate::lex::{self, Lexer, Token, TokenKind};
use crate::node::{Branch, Command, Decl, Expr, File, Id, List, Node, Parts, Span, TemplateCall, Tree};
use crate::number;
use crate::printf;
use crate::stack::StackGuard;
use scope::Scope;

/// Lists that grow while a text is parsed; those of one text serve the next one.
#[derive(Default)]
pub(crate) struct Buffers {
    /// The tokens that were cut last.
    tokens: Vec<Token>,
    // What has been parsed of the lists that are still open, the innermost last: a list goes into the file when it is
    // complete, so that its parts follow each other there.
    nodes: Vec<Node>,
    commands: Vec<Command>,
    operands: Vec<Expr>,
    decls: Vec<Decl>,
    /// Room for the parts that are complete.
    parts: Parts,
}

/// Parses `text` and returns its trees: those of its definitions, and last its own.
pub(crate) fn parse(
    name: &str,
    text: &Bytes,
    funcs: &Funcs,
    guard: StackGuard,
    buffers: &mut Buffers,
) -> Result<Vec<Tree>, Error> {
    let mut lexer = Lexer::new(text);
    lexer.break_ok = funcs.get("break").is_none();
    lexer.continue_ok = funcs.get("continue").is_none();
    let mut open = mem::take(buffers);
    let parts = mem::take(&mut open.parts);
    let file = File { name: name.into(), text: text.clone(), funcs: funcs.table().clone(), parts };
    let mut parser = Parser {
        source: text,
        lexer,
        funcs,
        guard,
        open,
        at: 0,
        seen: 0,
        body: Body::default(),
        file,
        bodies: Vec::new(),
    };
    parser.parse_file()?;
    let Parser { mut open, mut file, bodies, .. } = parser;
    open.tokens.clear();
    let parts = file.parts.take();
    open.parts = mem::replace(&mut file.parts, parts);
    *buffers = open;
    let file = Arc::new(file);
    let tree = |(name, root)| Tree { name, root, file: file.clone() };
    Ok(bodies.into_iter().map(tree).collect())
}

/// How many tokens may be given back in a row.
const MAX_BACKUP: usize = 2;

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
    scope: Scope<'t>,
    /// The left delimiter of the current action.
    action: Option<Token>,
    range_depth: usize,
    paren_depth: usize,
}

struct Parser<'t> {
    source: &'t [u8],
    lexer: Lexer<'t>,
    funcs: &'t Funcs,
    guard: StackGuard,
    open: Buffers,
    /// Which of the tokens comes next.
    at: usize,
    /// How many of them were looked at.
    seen: usize,
    body: Body<'t>,
    file: File,
    /// The names and bodies of the templates that are complete.
    bodies: Vec<(Arc<str>, List<Node>)>,
}

impl<'t> Parser<'t> {
    #[inline]
    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    #[inline]
    fn peek(&mut self) -> Token {
        if self.at >= self.seen {
            if self.at >= self.open.tokens.len() {
                self.cut();
            }
            self.seen = self.at + 1;
        }
        self.open.tokens[self.at]
    }

    /// Cuts more tokens; those that can be given back are kept.
    #[inline(never)]
    fn cut(&mut self) {
        let kept = self.open.tokens.len().min(MAX_BACKUP);
        self.open.tokens.drain(..self.open.tokens.len() - kept);
        self.at = kept;
        self.lexer.cut(&mut self.open.tokens);
    }

    /// Gives the last token back: no more than [`MAX_BACKUP`] in a row.
    #[inline]
    fn backup(&mut self) {
        self.at -= 1;
    }

    /// The last token that was looked at: where an error is, as in Go.
    fn last_seen(&self) -> Token {
        self.open.tokens.get(self.seen.wrapping_sub(1)).copied().unwrap_or(Token::new(TokenKind::Eof, 0, 0))
    }

    fn bytes(&self, token: Token) -> &'t [u8] {
        token.of(self.source)
    }

    fn span(token: Token) -> Span {
        Span::new(token.start, token.end)
    }

    /// A name in a message.
    fn word(&self, token: Token) -> &'t str {
        lex::word(self.bytes(token))
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, Error> {
        Err(Error::parse(&self.file.name, self.last_seen().line(self.source), message.into()))
    }

    fn expect(&mut self, kind: TokenKind, context: &str) -> Result<Token, Error> {
        let token = self.next();
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
        self.error(format!("{message}{joint} started at {}:{line}", self.file.name))
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
                    self.next();
                    if self.next().kind == TokenKind::Define {
                        self.parse_definition()?;
                        continue;
                    }
                    self.backup();
                    self.backup();
                }
                _ => {}
            }
            match self.text_or_action()? {
                Item::Node(node) => self.open.nodes.push(node),
                Item::Ending(ending) => return self.error(format!("unexpected {}", ending.text())),
            }
        }
        let (name, root) = (self.file.name.clone(), self.take_nodes(0));
        self.add(name, root)
    }

    /// The list of nodes that began at `mark`.
    fn take_nodes(&mut self, mark: usize) -> List<Node> {
        self.file.parts.add_list(&mut self.open.nodes, mark)
    }

    /// Adds a template; it may be defined once with a body that is not empty.
    fn add(&mut self, name: Arc<str>, root: List<Node>) -> Result<(), Error> {
        let Some(i) = self.bodies.iter().position(|(old, _)| *old == name) else {
            self.bodies.push((name, root));
            return Ok(());
        };
        let old = self.bodies.remove(i);
        if self.file.is_blank(old.1) {
            self.bodies.push((name, root));
        } else if !self.file.is_blank(root) {
            let quoted = printf::quote(name.as_bytes());
            let quoted = String::from_utf8_lossy(&quoted);
            return self.error(format!("template: multiple definition of template {quoted}"));
        } else if name == self.file.name {
            // The text's own tree is always the last.
            self.bodies.push(old);
        } else {
            self.bodies.insert(i, old);
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
        let token = self.next();
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

    fn item_list(&mut self) -> Result<(List<Node>, Ending), Error> {
        self.check_depth()?;
        let mark = self.open.nodes.len();
        while self.peek().kind != TokenKind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => self.open.nodes.push(node),
                Item::Ending(ending) => return Ok((self.take_nodes(mark), ending)),
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Item, Error> {
        let token = self.next();
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
        let token = self.next();
        let node = match token.kind {
            TokenKind::Block => self.block_control()?,
            TokenKind::Break | TokenKind::Continue => self.loop_control(token.kind)?,
            TokenKind::Else => {
                // `else if` and `else with`: the keyword stays pending.
                if !matches!(self.peek().kind, TokenKind::If | TokenKind::With) {
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
                // Variables are not popped: they live until the enclosing `end`.
                Node::Action(self.pipeline("command", TokenKind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, kind: TokenKind) -> Result<Node, Error> {
        let (node, text) = match kind {
            TokenKind::Break => (Node::Break, "{{break}}"),
            _ => (Node::Continue, "{{continue}}"),
        };
        let token = self.next();
        if token.kind != TokenKind::RightDelim {
            return self.unexpected(token, text);
        }
        if self.body.range_depth == 0 {
            return self.error(format!("{text} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, context: &'static str) -> Result<Id<Branch>, Error> {
        let mark = self.body.scope.mark();
        let branch = self.branch_in_scope(context)?;
        self.body.scope.leave(mark);
        Ok(self.file.parts.add(branch))
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
                self.only(Node::If, "if")?
            } else if context == "with" && next == TokenKind::With {
                self.next();
                self.only(Node::With, "with")?
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

    /// A branch that is the only node of a body.
    fn only(&mut self, node: fn(Id<Branch>) -> Node, context: &'static str) -> Result<List<Node>, Error> {
        let node = node(self.branch(context)?);
        let mark = self.open.nodes.len();
        self.open.nodes.push(node);
        Ok(self.take_nodes(mark))
    }

    fn block_control(&mut self) -> Result<Node, Error> {
        const CONTEXT: &str = "block clause";
        let token = self.next();
        let name = self.template_name(token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, TokenKind::RightDelim)?;
        let outer = mem::take(&mut self.body);
        self.parse_body(name.clone(), CONTEXT)?;
        self.body = outer;
        Ok(self.call(TemplateCall { pos: token.start, name, pipe: Some(pipe) }))
    }

    fn template_control(&mut self) -> Result<Node, Error> {
        const CONTEXT: &str = "template clause";
        let token = self.next();
        let name = self.template_name(token, CONTEXT)?;
        let mut pipe = None;
        if self.next().kind != TokenKind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(CONTEXT, TokenKind::RightDelim)?);
        }
        Ok(self.call(TemplateCall { pos: token.start, name, pipe }))
    }

    fn call(&mut self, call: TemplateCall) -> Node {
        Node::Template(self.file.parts.add(call))
    }
}
