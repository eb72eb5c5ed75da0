//! Pipelines, commands and operands.

use std::borrow::Cow;

use super::Parser;
use crate::error::Error;
use crate::lex::{Token, TokenKind};
use crate::node::{Chain, Command, Decl, Escaped, Expr, Field, Function, List, Pipe, Span, Variable};
use crate::number;
use crate::printf;

/// Go's limit of nested parentheses.
const MAX_PARENS: usize = 10_000;

/// The variables before the `:=` or `=` of a pipeline.
#[derive(Default)]
struct Declared {
    /// They exist already.
    is_assign: bool,
    /// Two at most.
    variables: [Option<Token>; 2],
}

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: TokenKind) -> Result<Pipe, Error> {
        self.check_depth()?;
        let pos = self.peek().start;
        let mut declared = Declared::default();
        while self.declaration(&mut declared, context)? {}
        let mark = self.open.commands.len();
        loop {
            let token = self.next();
            match token.kind {
                kind if kind == end => {
                    let cmds = self.file.parts.add_list(&mut self.open.commands, mark);
                    self.check_pipeline(cmds, context)?;
                    let decl = self.declare(&declared);
                    return Ok(Pipe { pos, is_assign: declared.is_assign, decl, cmds });
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
                    self.open.commands.push(command);
                }
                _ => return self.unexpected(token, context),
            }
        }
    }

    /// Puts the variables into the scope.
    fn declare(&mut self, declared: &Declared) -> List<Decl> {
        for variable in declared.variables.into_iter().flatten() {
            let name = self.bytes(variable);
            let scope = &mut self.body.scope;
            let slot = if declared.is_assign { scope.find(name).1 } else { Some(scope.declare(name)) };
            self.open.decls.push(Decl { name: Self::span(variable), slot });
        }
        self.file.parts.add_list(&mut self.open.decls, 0)
    }

    /// Parses a declared variable at the start of a pipeline, if there is one; whether another may follow.
    fn declaration(&mut self, declared: &mut Declared, context: &str) -> Result<bool, Error> {
        let variable = self.peek();
        if variable.kind != TokenKind::Variable {
            return Ok(false);
        }
        self.next();
        // Only the token after it tells whether it is declared or an argument.
        let next = self.peek();
        match next.kind {
            TokenKind::Assign | TokenKind::Declare => {
                declared.is_assign = next.kind == TokenKind::Assign;
                self.next();
                self.announce(declared, variable);
                Ok(false)
            }
            TokenKind::Char if self.bytes(next) == b"," => {
                self.next();
                let second = declared.variables[0].is_some();
                self.announce(declared, variable);
                if context != "range" || second {
                    return self.error(format!("too many declarations in {context}"));
                }
                let follows = self.peek().kind;
                if !matches!(follows, TokenKind::Variable | TokenKind::RightDelim | TokenKind::RightParen) {
                    return self.error("range can only initialize variables");
                }
                Ok(true)
            }
            _ => {
                self.backup();
                Ok(false)
            }
        }
    }

    fn announce(&mut self, declared: &mut Declared, variable: Token) {
        let place = usize::from(declared.variables[0].is_some());
        declared.variables[place] = Some(variable);
        self.body.scope.announce(self.bytes(variable));
    }

    fn check_pipeline(&self, cmds: List<Command>, context: &str) -> Result<(), Error> {
        if cmds.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        // Only the first command may begin with what cannot be called.
        let parts = &self.file.parts;
        for (i, command) in parts[cmds].iter().enumerate().skip(1) {
            let constant = matches!(
                parts[command.args].first(),
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
        let pos = self.peek().start;
        let mark = self.open.operands.len();
        loop {
            let operand = self.operand()?;
            self.open.operands.extend(operand);
            let token = self.next();
            match token.kind {
                TokenKind::RightDelim | TokenKind::RightParen => self.backup(),
                TokenKind::Pipe => {}
                _ if token.spaced && operand.is_some() => {
                    self.backup();
                    continue;
                }
                _ => return self.unexpected(token, "operand"),
            }
            break;
        }
        if self.open.operands.len() == mark {
            return self.error("empty command");
        }
        Ok(Command { pos, args: self.file.parts.add_list(&mut self.open.operands, mark) })
    }

    /// A term with the fields that follow it.
    fn operand(&mut self) -> Result<Option<Expr>, Error> {
        let Some(term) = self.term()? else { return Ok(None) };
        let first = self.peek();
        let continues = |token: Token| token.kind == TokenKind::Field && !token.spaced;
        if !continues(first) {
            return Ok(Some(term));
        }
        let mut last = first;
        while continues(self.peek()) {
            last = self.next();
        }
        // Go: a chain on a field or variable extends it, and moves its position to the second segment.
        let pos = first.start;
        Ok(Some(match term {
            Expr::Field(field) => Expr::Field(Field { pos, names: Span::new(field.names.start(), last.end) }),
            Expr::Variable(variable) => Expr::Variable(Variable { end: last.end, ..variable }),
            Expr::Bool(..)
            | Expr::String(_)
            | Expr::Escaped(_)
            | Expr::Number(_)
            | Expr::Nil(_)
            | Expr::Dot(_) => {
                let mut text = Vec::new();
                term.write(&mut text, &self.file);
                let quoted = printf::quote(&text);
                return self.error(format!("unexpected . after term {}", String::from_utf8_lossy(&quoted)));
            }
            base => {
                let chain = Chain { pos, base, fields: Span::new(pos, last.end) };
                Expr::Chain(self.file.parts.add(chain))
            }
        }))
    }

    fn term(&mut self) -> Result<Option<Expr>, Error> {
        let token = self.next();
        let pos = token.start;
        Ok(Some(match token.kind {
            TokenKind::Identifier => self.function(token)?,
            TokenKind::Dot => Expr::Dot(pos),
            TokenKind::Nil => Expr::Nil(pos),
            TokenKind::Variable => {
                let (known, slot) = self.body.scope.find(self.bytes(token));
                if !known {
                    return self.error(format!("undefined variable \"{}\"", self.word(token)));
                }
                Expr::Variable(Variable { name: Self::span(token), end: token.end, slot })
            }
            TokenKind::Field => Expr::Field(Field { pos, names: Self::span(token) }),
            TokenKind::Bool => Expr::Bool(pos, self.bytes(token) == b"true"),
            TokenKind::CharConstant | TokenKind::Complex | TokenKind::Number => {
                match number::parse_number(Self::span(token), self.bytes(token), token.kind) {
                    Ok(number) => Expr::Number(self.file.parts.add(number)),
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
                Expr::Pipe(self.file.parts.add(pipe))
            }
            TokenKind::String | TokenKind::RawString => {
                let quoted = Self::span(token);
                match number::unquote(self.bytes(token)) {
                    Ok(Cow::Borrowed(_)) => Expr::String(quoted),
                    Ok(Cow::Owned(text)) => {
                        Expr::Escaped(self.file.parts.add(Escaped { quoted, text: text.into() }))
                    }
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
        match self.funcs.find(self.bytes(token)) {
            Some(index) => Ok(Expr::Function(Function { pos: token.start, index })),
            None => self.error(format!("function \"{}\" not defined", self.word(token))),
        }
    }
}
