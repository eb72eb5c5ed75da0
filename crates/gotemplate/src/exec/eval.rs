//! Evaluates pipelines, commands and operands, as the second half of Go's `text/template/exec.go`.
//!
//! Where Go panics, these functions return an error; where Go notes the current node (`s.at`), so do they, since
//! that decides which node and column an error shows.
//!
//! Follows Go's source closely: Copyright 2011 The Go Authors, BSD-style licence (see the repository's NOTICE).

use std::rc::Rc;

use super::{At, MissingKey, Operand, State};
use crate::error::{Error, FuncError};
use crate::funcs::{Signature, Special, Type};
use crate::lex::word;
use crate::node::{Chain, Command, Decl, Expr, Function, Number, Pipe, Span, Variable};
use crate::value::{ElemType, Map, MapType, Method, Object, Value};

/// The arguments of a call: what is written after the function, and what the pipeline brings.
struct Args<'set> {
    /// Go's `args[1:]`.
    rest: &'set [Expr],
    last: Option<Operand>,
}

impl Args<'_> {
    const NONE: Self = Args { rest: &[], last: None };

    fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.last.is_none()
    }

    fn len(&self) -> usize {
        self.rest.len() + usize::from(self.last.is_some())
    }
}

impl<'set> State<'set, '_> {
    pub(super) fn eval_pipeline(&mut self, dot: &Operand, pipe: &'set Pipe) -> Result<Operand, Error> {
        self.at = At::Pipe(pipe);
        let parts = &self.file.parts;
        let mut value = None;
        for command in &parts[pipe.cmds] {
            // The previous value is this one's last argument.
            let mut next = self.eval_command(dot, command, value)?;
            // Go: what is in an interface {} is taken out; a nil interface becomes no value.
            next.boxed = false;
            value = Some(next);
        }
        let value = value.unwrap_or_else(Operand::invalid);
        for decl in &parts[pipe.decl] {
            if pipe.is_assign && !decl.slot.is_some_and(|slot| self.has_var(slot)) {
                return self.undefined(decl.name);
            }
            self.set_var(decl, value.clone())?;
        }
        Ok(value)
    }

    fn has_var(&self, slot: u32) -> bool {
        matches!(self.vars.get(self.base + slot as usize), Some(Some(_)))
    }

    fn undefined<T>(&self, name: Span) -> Result<T, Error> {
        let name = String::from_utf8_lossy(name.of(&self.file.text));
        self.error(format!("undefined variable: {name}"))
    }

    pub(super) fn set_var(&mut self, decl: &Decl, value: Operand) -> Result<(), Error> {
        let Some(slot) = decl.slot else { return self.undefined(decl.name) };
        let index = self.base + slot as usize;
        if index >= self.vars.len() {
            self.vars.resize(index + 1, None);
        }
        if let Some(var) = self.vars.get_mut(index) {
            *var = Some(value);
        }
        Ok(())
    }

    fn eval_command(
        &mut self,
        dot: &Operand,
        command: &'set Command,
        last: Option<Operand>,
    ) -> Result<Operand, Error> {
        let parts = &self.file.parts;
        let Some((first, rest)) = parts[command.args].split_first() else {
            return self.error("empty command");
        };
        let args = Args { rest, last };
        match first {
            Expr::Function(function) => {
                self.at = At::Expr(first);
                return self.eval_function(dot, function, At::Command(command), args);
            }
            Expr::Field(_) | Expr::Chain(_) | Expr::Variable(_) => return self.eval_path(dot, first, args),
            Expr::Pipe(pipe) => {
                self.not_a_function(first, &args)?;
                self.check_stack()?;
                return self.eval_pipeline(dot, &parts[*pipe]);
            }
            _ => {}
        }
        self.at = At::Expr(first);
        self.not_a_function(first, &args)?;
        match first {
            Expr::Dot(_) => Ok(dot.clone()),
            Expr::Nil(_) => self.error("nil is not a command"),
            constant => self.eval_constant(constant),
        }
    }

    fn not_a_function(&self, first: &Expr, args: &Args<'_>) -> Result<(), Error> {
        if args.is_empty() {
            return Ok(());
        }
        self.error(format!("can't give argument to non-function {}", self.text_of(first)))
    }

    fn text_of(&self, expr: &Expr) -> String {
        let mut text = Vec::new();
        expr.write(&mut text, self.file);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A constant where any type will do.
    fn eval_constant(&mut self, expr: &'set Expr) -> Result<Operand, Error> {
        self.at = At::Expr(expr);
        let value = match expr {
            Expr::Bool(_, truth) => Value::Bool(*truth),
            Expr::String(_) | Expr::Escaped(_) => Value::string(expr.string(self.file).unwrap_or_default()),
            Expr::Number(number) => self.ideal_constant(&self.file.parts[*number])?,
            _ => {
                let text = self.text_of(expr);
                return self.error(format!("can't handle assignment of {text} to empty interface argument"));
            }
        };
        Ok(Operand::plain(value))
    }

    /// The value of a number where no type is asked for: the syntax decides, by Go's rules.
    fn ideal_constant(&self, number: &Number) -> Result<Value, Error> {
        let text = String::from_utf8_lossy(number.text.of(&self.file.text));
        if let Some((re, im)) = number.complex {
            return Ok(Value::Complex(re, im));
        }
        let lower = text.to_ascii_lowercase();
        let hex_int = lower.starts_with("0x") && !lower.contains('p');
        let rune = text.starts_with('\'');
        match (number.float, number.int) {
            (Some(float), _) if !hex_int && !rune && text.contains(['.', 'e', 'E', 'p', 'P']) => {
                Ok(Value::Float(float))
            }
            (_, Some(int)) => Ok(Value::int(int)),
            _ => self.error(format!("{text} overflows int")),
        }
    }

    /// A field, variable or chain, the last part of which may be a method that takes the arguments.
    fn eval_path(&mut self, dot: &Operand, expr: &'set Expr, args: Args<'set>) -> Result<Operand, Error> {
        self.at = At::Expr(expr);
        match expr {
            Expr::Field(field) => self.eval_fields(dot, dot, expr, field.names, args),
            Expr::Variable(variable) => self.eval_variable(dot, variable, expr, args),
            Expr::Chain(chain) => {
                let chain = &self.file.parts[*chain];
                let base = self.eval_chain_base(dot, chain)?;
                self.eval_fields(dot, &base, expr, chain.fields, args)
            }
            _ => self.error(format!("can't evaluate command {}", self.text_of(expr))),
        }
    }

    fn eval_chain_base(&mut self, dot: &Operand, chain: &'set Chain) -> Result<Operand, Error> {
        self.at = At::Expr(&chain.base);
        match &chain.base {
            Expr::Pipe(pipe) => {
                self.check_stack()?;
                self.eval_pipeline(dot, &self.file.parts[*pipe])
            }
            base @ Expr::Function(function) => self.eval_function(dot, function, At::Expr(base), Args::NONE),
            base => self.eval_path(dot, base, Args::NONE),
        }
    }

    fn eval_variable(
        &mut self,
        dot: &Operand,
        variable: &'set Variable,
        expr: &'set Expr,
        args: Args<'set>,
    ) -> Result<Operand, Error> {
        let found =
            variable.slot.and_then(|slot| self.vars.get(self.base + slot as usize)).and_then(Option::as_ref);
        let Some(value) = found.cloned() else { return self.undefined(variable.name) };
        if variable.fields().is_empty() {
            if !args.is_empty() {
                return self.error(format!("can't give argument to non-function {}", self.text_of(expr)));
            }
            return Ok(value);
        }
        self.eval_fields(dot, &value, expr, variable.fields(), args)
    }

    /// `.X.Y.Z`, possibly followed by arguments. `dot` is where arguments are evaluated, `receiver` what is walked.
    fn eval_fields(
        &mut self,
        dot: &Operand,
        receiver: &Operand,
        expr: &'set Expr,
        names: Span,
        args: Args<'set>,
    ) -> Result<Operand, Error> {
        let file = self.file;
        // Every name has its dot in front.
        let Some(mut rest) = names.of(&file.text).get(1..) else { return Ok(receiver.clone()) };
        let mut walked = None;
        while let Some(end) = rest.iter().position(|&byte| byte == b'.') {
            let name = rest.get(..end).unwrap_or_default();
            walked =
                Some(self.eval_field(dot, name, expr, Args::NONE, walked.as_ref().unwrap_or(receiver))?);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        self.eval_field(dot, rest, expr, args, walked.as_ref().unwrap_or(receiver))
    }

    fn eval_field(
        &mut self,
        dot: &Operand,
        key: &'set [u8],
        expr: &'set Expr,
        args: Args<'set>,
        receiver: &Operand,
    ) -> Result<Operand, Error> {
        if let Value::Map(map) = &receiver.value {
            return self.eval_key(dot, key, expr, args, map);
        }
        let name = word(key);
        match &receiver.value {
            Value::Object(object) => self.eval_member(dot, name, expr, args, receiver, object),
            Value::Nil if receiver.boxed => {
                self.error(format!("nil pointer evaluating interface {{}}.{name}"))
            }
            Value::Nil => match self.run.options.missing_key {
                MissingKey::Error => self.error(format!("nil data; no entry for key \"{name}\"")),
                _ => Ok(Operand::invalid()),
            },
            _ => self.no_field(name, receiver),
        }
    }

    fn no_field<T>(&self, name: &str, receiver: &Operand) -> Result<T, Error> {
        // Go: the type is the one before the interface was looked into.
        let ty = if receiver.boxed { "interface {}".into() } else { receiver.value.type_name() };
        self.error(format!("can't evaluate field {name} in type {ty}"))
    }

    fn eval_key(
        &mut self,
        dot: &Operand,
        key: &'set [u8],
        expr: &'set Expr,
        args: Args<'set>,
        map: &Map,
    ) -> Result<Operand, Error> {
        if let MapType::Named(named) = map.ty
            && let Some(method) = (named.method)(map, key)
        {
            return self.call_method(dot, word(key), expr, args, &method);
        }
        if !args.is_empty() {
            return self.error(format!("{} is not a method but has arguments", word(key)));
        }
        let boxed = map.ty != MapType::String;
        match map.get(key) {
            Some(value) => {
                if let Value::Object(object) = &value {
                    object.taken(self);
                }
                Ok(Operand { value, boxed })
            }
            None if boxed => self.missing(word(key), Value::Nil),
            None => self.missing(word(key), Value::string("")),
        }
    }

    /// What a map has for a key that is not there; `zero` is the zero value of its elements.
    fn missing(&self, name: &str, zero: Value) -> Result<Operand, Error> {
        match self.run.options.missing_key {
            MissingKey::Default => Ok(Operand::invalid()),
            MissingKey::Zero => Ok(Operand { boxed: zero.is_nil(), value: zero }),
            MissingKey::Error => self.error(format!("map has no entry for key \"{name}\"")),
        }
    }

    fn eval_member(
        &mut self,
        dot: &Operand,
        name: &'set str,
        expr: &'set Expr,
        args: Args<'set>,
        receiver: &Operand,
        object: &Rc<dyn Object>,
    ) -> Result<Operand, Error> {
        if let Some(method) = Rc::clone(object).method(name) {
            return self.call_method(dot, name, expr, args, &method);
        }
        let is_map = object.kind() == "map";
        if is_map && !args.is_empty() {
            return self.error(format!("{name} is not a method but has arguments"));
        }
        match object.field(name) {
            Some(_) if !args.is_empty() => {
                self.error(format!("{name} has arguments but cannot be invoked as function"))
            }
            Some(value) => Ok(Operand::plain(value)),
            None if is_map => self.missing(name, Value::Nil),
            None => self.no_field(name, receiver),
        }
    }

    fn call_method(
        &mut self,
        dot: &Operand,
        name: &str,
        expr: &'set Expr,
        args: Args<'set>,
        method: &Method,
    ) -> Result<Operand, Error> {
        let values = self.eval_args(dot, name, method.signature, args)?;
        self.step()?;
        match (method.call)(&values) {
            Ok(value) => Ok(Operand::plain(value)),
            Err(error) => self.failed(At::Expr(expr), name, error),
        }
    }

    fn failed<T>(&mut self, at: At<'set>, name: &str, error: FuncError) -> Result<T, Error> {
        self.at = at;
        Err(Error::calling(self.place(), name, error))
    }

    /// Calls a function; `at` is the node that a failure names.
    fn eval_function(
        &mut self,
        dot: &Operand,
        function: &'set Function,
        at: At<'set>,
        args: Args<'set>,
    ) -> Result<Operand, Error> {
        let named = function.of(self.file);
        let (name, func) = (named.name, &named.func);
        match func.special {
            Special::None => {}
            Special::And | Special::Or => {
                return self.eval_and_or(dot, name, func.signature, args, func.special);
            }
            Special::Call => return self.eval_call(dot, name, func.signature, at, args),
            Special::Len => return self.eval_len(dot, name, func.signature, at, args),
        }
        let values = self.eval_args(dot, name, func.signature, args)?;
        self.step()?;
        match (func.call)(self, &values) {
            Ok(value) => {
                self.recycle(values);
                Ok(Operand::plain(value))
            }
            Err(error) => self.failed(at, name, error),
        }
    }

    /// `and` and `or` evaluate no more of their arguments than they need, and return the deciding one.
    fn eval_and_or(
        &mut self,
        dot: &Operand,
        name: &str,
        signature: Signature,
        args: Args<'set>,
        special: Special,
    ) -> Result<Operand, Error> {
        self.check_arity(name, signature, &args)?;
        let mut value = Operand::invalid();
        for arg in args.rest {
            value = self.eval_arg(dot, Type::Reflect, arg)?;
            if value.value.truth() == (special == Special::Or) {
                return Ok(value);
            }
        }
        Ok(args.last.unwrap_or(value))
    }

    /// `call` of what is not a function: templates have no values that are.
    fn eval_call(
        &mut self,
        dot: &Operand,
        name: &str,
        signature: Signature,
        at: At<'set>,
        args: Args<'set>,
    ) -> Result<Operand, Error> {
        let callee = match (args.rest.first(), &args.last) {
            (Some(first), _) => self.text_of(first),
            (None, Some(Operand { value: Value::String(text), .. })) => text.to_string_lossy().into_owned(),
            (None, Some(last)) => format!("<{} Value>", last.value.type_name()),
            (None, None) => String::new(),
        };
        let values = self.eval_args(dot, name, signature, args)?;
        let message = match values.first() {
            None | Some(Value::Nil) => "call of nil".to_owned(),
            Some(value) => format!("non-function {callee} of type {}", value.type_name()),
        };
        self.failed(at, name, message.into())
    }

    /// `len` tells no value from a nil interface.
    fn eval_len(
        &mut self,
        dot: &Operand,
        name: &str,
        signature: Signature,
        at: At<'set>,
        args: Args<'set>,
    ) -> Result<Operand, Error> {
        self.check_arity(name, signature, &args)?;
        let operand = match (args.rest.first(), args.last) {
            (Some(arg), _) => self.eval_arg(dot, Type::Reflect, arg)?,
            (None, Some(last)) => last,
            (None, None) => Operand::invalid(),
        };
        let length = match &operand.value {
            Value::String(text) => Some(text.len()),
            Value::List(list) => Some(list.items.len()),
            Value::Map(map) => Some(map.len()),
            Value::Object(object) => object.len(),
            _ => None,
        };
        let message = match length {
            Some(length) => return Ok(Operand::plain(Value::int(i64::try_from(length).unwrap_or(i64::MAX)))),
            None if operand.is_invalid() => "reflect: call of reflect.Value.Type on zero Value".to_owned(),
            None if operand.value.is_nil() => "len of nil pointer".to_owned(),
            None => {
                // Go: one pointer is followed before the kind is looked at.
                let name = operand.value.type_name();
                format!("len of type {}", name.strip_prefix('*').unwrap_or(&name))
            }
        };
        self.failed(at, name, message.into())
    }

    fn check_arity(&self, name: &str, signature: Signature, args: &Args<'_>) -> Result<(), Error> {
        let (want, got) = (signature.params.len(), args.len());
        if signature.variadic {
            let fixed = want.saturating_sub(1);
            if got < fixed {
                // Go: the value from the pipeline is counted when comparing, not in the message.
                let written = args.rest.len();
                return self
                    .error(format!("wrong number of args for {name}: want at least {fixed} got {written}"));
            }
        } else if got != want {
            return self.error(format!("wrong number of args for {name}: want {want} got {got}"));
        }
        Ok(())
    }

    fn eval_args(
        &mut self,
        dot: &Operand,
        name: &str,
        signature: Signature,
        args: Args<'set>,
    ) -> Result<Vec<Value>, Error> {
        self.check_arity(name, signature, &args)?;
        let param = |i: usize| {
            let last = signature.params.len().saturating_sub(1);
            signature.params.get(i.min(last)).copied().unwrap_or(Type::Any)
        };
        let mut values = self.spare.pop().unwrap_or_default();
        values.reserve(args.len());
        for (i, arg) in args.rest.iter().enumerate() {
            values.push(self.eval_arg(dot, param(i), arg)?.value);
        }
        if let Some(last) = args.last {
            values.push(self.validate(last, param(values.len()))?.value);
        }
        Ok(values)
    }

    /// Keeps the memory of an argument list for the next call.
    fn recycle(&mut self, mut values: Vec<Value>) {
        values.clear();
        self.spare.push(values);
    }

    fn eval_arg(&mut self, dot: &Operand, ty: Type, arg: &'set Expr) -> Result<Operand, Error> {
        self.at = At::Expr(arg);
        let value = match arg {
            Expr::Dot(_) => dot.clone(),
            Expr::Nil(_) if can_be_nil(ty) => return Ok(Operand::invalid()),
            Expr::Nil(_) => return self.error(format!("cannot assign nil to {ty}")),
            Expr::Pipe(pipe) => {
                self.check_stack()?;
                self.eval_pipeline(dot, &self.file.parts[*pipe])?
            }
            Expr::Function(function) => self.eval_function(dot, function, At::Expr(arg), Args::NONE)?,
            Expr::Field(_) | Expr::Variable(_) | Expr::Chain(_) => self.eval_path(dot, arg, Args::NONE)?,
            constant => return self.eval_typed_constant(constant, ty),
        };
        self.validate(value, ty)
    }

    /// A constant as an argument: it takes the parameter's type, if it can.
    fn eval_typed_constant(&mut self, expr: &'set Expr, ty: Type) -> Result<Operand, Error> {
        let parts = &self.file.parts;
        let value = match (ty, expr) {
            (Type::Any | Type::Reflect, _) => return self.eval_constant(expr),
            (Type::String, Expr::String(_) | Expr::Escaped(_)) => expr.string(self.file).map(Value::string),
            (Type::Bool, Expr::Bool(_, truth)) => Some(Value::Bool(*truth)),
            (Type::Int, Expr::Number(number)) => parts[*number].int.map(Value::int),
            (Type::Int64, Expr::Number(number)) => parts[*number].int.map(Value::int64),
            // Go: a constant that does not fit is cut, as SetUint does.
            (Type::Uint32, Expr::Number(number)) => {
                let cut = |n: u64| Value::Int((n & 0xffff_ffff) as i64, crate::value::IntKind::Uint32);
                parts[*number].uint.map(cut)
            }
            (Type::Float64, Expr::Number(number)) => parts[*number].float.map(Value::Float),
            _ => None,
        };
        if let Some(value) = value {
            return Ok(Operand::plain(value));
        }
        let text = self.text_of(expr);
        self.error(match ty {
            Type::String => format!("expected string; found {text}"),
            Type::Bool => format!("expected bool; found {text}"),
            Type::Int | Type::Int64 => format!("expected integer; found {text}"),
            Type::Uint32 => format!("expected unsigned integer; found {text}"),
            Type::Float64 => format!("expected float; found {text}"),
            _ => format!("can't handle {text} for arg of type {ty}"),
        })
    }

    /// Makes sure that a value can be an argument of type `ty`.
    fn validate(&self, operand: Operand, ty: Type) -> Result<Operand, Error> {
        let assignable = match (ty, &operand.value) {
            (Type::Any, Value::Object(object)) => {
                return Ok(match object.clone().copied() {
                    Some(copy) => Operand { value: Value::Object(copy), ..operand },
                    None => operand,
                });
            }
            (Type::Any | Type::Reflect, _) => true,
            (_, Value::Nil) if operand.boxed => {
                return self.error(format!("wrong type for value; expected {ty}; got interface {{}}"));
            }
            (_, Value::Nil) if can_be_nil(ty) => true,
            (_, Value::Nil) => return self.error(format!("invalid value; expected {ty}")),
            (Type::String, Value::String(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Float64, Value::Float(_)) => true,
            (Type::Int | Type::Int64 | Type::Uint32, Value::Int(_, kind)) => kind.name() == ty.name(),
            (Type::Map, Value::Map(map)) => match map.ty {
                MapType::Any => true,
                MapType::String => false,
                // Go: the call converts a named map type to the plain one.
                MapType::Named(_) => return Ok(Operand::plain(Value::Map(map.as_any()))),
            },
            (Type::List, Value::List(list)) => list.elem == ElemType::Any,
            (Type::Strings, Value::List(list)) => list.elem == ElemType::String,
            (Type::Map | Type::List | Type::Strings, Value::Object(object)) => {
                object.type_name() == ty.name()
            }
            (Type::Object(name), Value::Object(object)) => {
                // Go: one pointer is followed.
                object.type_name().strip_prefix('*').unwrap_or(object.type_name()) == name
                    || object.type_name() == name
            }
            _ => false,
        };
        if assignable {
            return Ok(operand);
        }
        let got = operand.value.type_name();
        self.error(format!("wrong type for value; expected {ty}; got {got}"))
    }
}

/// Whether a nil can be an argument of type `ty`.
fn can_be_nil(ty: Type) -> bool {
    match ty {
        Type::Any | Type::Map | Type::List | Type::Strings | Type::Reflect => true,
        Type::Object(name) => name.starts_with('*'),
        _ => false,
    }
}
