//! Go's `fmt` for template values: `Sprint`, `Sprintln`, `Sprintf` with all verbs, flags and error forms.
//!
//! Values can be nested without bound, or contain themselves; where Go would overflow its stack, printing ends. The
//! functions whose names begin with `try_` report that, the others return what was printed until then.
//!
//! Follows Go's `fmt/print.go` and `fmt/format.go` closely: Copyright 2009 The Go Authors, BSD-style licence (see
//! the repository's NOTICE).

mod float;
mod format;
mod quote;

use std::rc::Rc;

pub use float::format_float;
use format::{Formatter, LOWER, UPPER};
pub use quote::quote;

use crate::error::Limit;
use crate::unicode;
use crate::value::{ElemType, List, Map, MapType, Object, Value};

/// How deep values are printed.
const MAX_DEPTH: usize = 500;
/// How much is printed when the caller has set no bound.
const MAX_OUTPUT: usize = 256 << 20;
/// Go's bound of widths, precisions and argument numbers.
const MAX_NUMBER: i64 = 1_000_000;

/// Go's `fmt.Sprint`: a space between operands of which neither is a string.
pub fn sprint(args: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new(Vec::new(), MAX_OUTPUT);
    printer.print(args);
    printer.fmt.out
}

/// Go's `fmt.Sprintln`: a space between all operands, and a newline at the end.
pub fn sprintln(args: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new(Vec::new(), MAX_OUTPUT);
    printer.println(args);
    printer.fmt.out
}

/// Go's `fmt.Sprintf`.
///
/// ```
/// use pintle_gotemplate::{Value, printf::sprintf};
///
/// assert_eq!(sprintf(b"%05.1f|%q", &[Value::Float(3.14159), Value::string("a")]), b"003.1|\"a\"");
/// assert_eq!(sprintf(b"%d", &[Value::Float(5.0)]), b"%!d(float64=5)");
/// ```
pub fn sprintf(format: &[u8], args: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new(Vec::new(), MAX_OUTPUT);
    printer.printf(format, args);
    printer.fmt.out
}

/// What Go's `%v` prints.
pub fn to_text(value: &Value) -> Vec<u8> {
    sprint(std::slice::from_ref(value))
}

/// As [`sprint`], with at most `room` bytes.
///
/// # Errors
/// When the text is longer, or the value nested too deeply.
pub fn try_sprint(args: &[Value], room: usize) -> Result<Vec<u8>, Limit> {
    let mut printer = Printer::new(Vec::new(), room);
    printer.print(args);
    printer.finish()
}

/// As [`sprintln`], with at most `room` bytes.
///
/// # Errors
/// When the text is longer, or a value nested too deeply.
pub fn try_sprintln(args: &[Value], room: usize) -> Result<Vec<u8>, Limit> {
    let mut printer = Printer::new(Vec::new(), room);
    printer.println(args);
    printer.finish()
}

/// As [`sprintf`], with at most `room` bytes.
///
/// # Errors
/// When the text is longer, or a value nested too deeply.
pub fn try_sprintf(format: &[u8], args: &[Value], room: usize) -> Result<Vec<u8>, Limit> {
    let mut printer = Printer::new(Vec::new(), room);
    printer.printf(format, args);
    printer.finish()
}

/// Appends what `%v` prints to `out`, at most `room` bytes.
///
/// # Errors
/// When the text is longer, or the value nested too deeply; `out` then has a part of it.
pub fn print_to(out: &mut Vec<u8>, value: &Value, room: usize) -> Result<(), Limit> {
    let room = room.saturating_add(out.len());
    let mut printer = Printer::new(std::mem::take(out), room);
    printer.print_arg(value, 'v');
    let stopped = printer.stopped;
    *out = printer.fmt.out;
    stopped.map_or(Ok(()), Err)
}

struct Printer {
    fmt: Formatter,
    room: usize,
    stopped: Option<Limit>,
    /// The format used explicit argument numbers.
    reordered: bool,
    good_arg_number: bool,
}

impl Printer {
    fn new(out: Vec<u8>, room: usize) -> Self {
        let fmt = Formatter { out, ..Formatter::default() };
        Self { fmt, room, stopped: None, reordered: false, good_arg_number: true }
    }

    fn finish(self) -> Result<Vec<u8>, Limit> {
        self.stopped.map_or(Ok(self.fmt.out), Err)
    }

    /// Whether printing has ended because there is too much of it.
    fn is_full(&mut self) -> bool {
        if self.fmt.out.len() > self.room {
            self.stopped = Some(Limit::Output);
        }
        self.stopped.is_some()
    }

    fn text(&mut self, text: &str) {
        self.fmt.out.extend_from_slice(text.as_bytes());
    }

    fn print(&mut self, args: &[Value]) {
        let mut previous = true;
        for (i, arg) in args.iter().enumerate() {
            let string = matches!(arg, Value::String(_));
            if i > 0 && !string && !previous {
                self.text(" ");
            }
            self.print_arg(arg, 'v');
            previous = string;
        }
    }

    fn println(&mut self, args: &[Value]) {
        for (i, arg) in args.iter().enumerate() {
            if i > 0 {
                self.text(" ");
            }
            self.print_arg(arg, 'v');
        }
        self.text("\n");
    }

    fn bad_verb(&mut self, verb: char, value: &Value) {
        self.text("%!");
        self.fmt.out.extend_from_slice(verb.encode_utf8(&mut [0; 4]).as_bytes());
        self.text("(");
        if value.is_nil() {
            self.text("<nil>");
        } else {
            self.text(&value.type_name());
            self.text("=");
            self.print_value(value, 'v', 0);
        }
        self.text(")");
    }

    fn print_arg(&mut self, value: &Value, verb: char) {
        match (verb, value) {
            ('T' | 'v', Value::Nil) => self.fmt.pad(b"<nil>"),
            (_, Value::Nil) => self.bad_verb(verb, value),
            ('T', _) => {
                let name = value.type_name().into_owned();
                self.fmt.string(name.as_bytes());
            }
            ('p', _) => self.pointer(value, verb),
            ('w', Value::Map(_) | Value::Object(_)) => self.bad_verb(verb, value),
            ('w', Value::List(list)) if list.elem != ElemType::Byte => self.bad_verb(verb, value),
            (_, Value::List(list)) if list.elem == ElemType::Byte => {
                self.bytes(value, list, verb, "[]byte", 0)
            }
            ('v', Value::Object(object)) if self.fmt.flags.sharp_v && is_nil_bytes(&**object) => {
                self.text("[]byte(nil)");
            }
            _ => self.print_value(value, verb, 0),
        }
    }

    fn print_value(&mut self, value: &Value, verb: char, depth: usize) {
        if depth > MAX_DEPTH {
            self.stopped = Some(Limit::Depth);
        }
        if self.is_full() {
            return;
        }
        match value {
            Value::Nil if self.fmt.flags.sharp_v => self.text("interface {}(nil)"),
            Value::Nil => self.text("<nil>"),
            Value::Bool(truth) if matches!(verb, 't' | 'v') => {
                self.fmt.pad(if *truth { b"true" } else { b"false" });
            }
            Value::Int(n, kind) => self.integer(value, *n, !kind.is_unsigned(), verb),
            Value::Float(f) if is_float_verb(verb) => self.float(*f, verb),
            Value::Complex(re, im) if is_float_verb(verb) => self.complex(*re, *im, verb),
            Value::String(text) => self.string(value, text.as_bytes(), verb),
            Value::List(list) => self.list(value, list, verb, depth),
            Value::Map(map) => self.map(map, verb, depth),
            Value::Object(object) if object.nil_of().is_some() => {
                if verb == 'v' && self.fmt.flags.sharp_v {
                    self.text(object.type_name());
                    self.text("(nil)");
                } else if let Some(empty) = object.nil_of() {
                    self.print_value(&empty, verb, depth);
                }
            }
            Value::Object(object) => match verb {
                'v' if self.fmt.flags.sharp_v => {
                    let text = object.print();
                    self.fmt.string(&text);
                }
                'v' | 's' | 'x' | 'X' | 'q' => {
                    let text = object.print();
                    self.string(value, &text, verb);
                }
                // A named number, like a duration.
                'd' | 'b' | 'o' | 'O' | 'c' | 'U' => match object.to_plain() {
                    Some(Value::Int(n, kind)) => self.integer(value, n, !kind.is_unsigned(), verb),
                    _ => self.bad_verb(verb, value),
                },
                _ => self.bad_verb(verb, value),
            },
            Value::Bool(_) | Value::Float(_) | Value::Complex(..) => self.bad_verb(verb, value),
        }
    }

    fn integer(&mut self, value: &Value, n: i64, signed: bool, verb: char) {
        let bits = n as u64;
        match verb {
            'v' if self.fmt.flags.sharp_v && !signed => self.hex_with_prefix(bits, true),
            'v' | 'd' => self.fmt.integer(bits, 10, signed, verb, LOWER),
            'b' => self.fmt.integer(bits, 2, signed, verb, LOWER),
            'o' | 'O' => self.fmt.integer(bits, 8, signed, verb, LOWER),
            'x' => self.fmt.integer(bits, 16, signed, verb, LOWER),
            'X' => self.fmt.integer(bits, 16, signed, verb, UPPER),
            'c' => self.fmt.character(bits),
            'q' => self.fmt.quoted_character(bits),
            'U' => self.fmt.unicode(bits),
            _ => self.bad_verb(verb, value),
        }
    }

    fn hex_with_prefix(&mut self, bits: u64, prefix: bool) {
        let sharp = std::mem::replace(&mut self.fmt.flags.sharp, prefix);
        self.fmt.integer(bits, 16, false, 'v', LOWER);
        self.fmt.flags.sharp = sharp;
    }

    fn float(&mut self, f: f64, verb: char) {
        match verb {
            'v' => self.fmt.float(f, 'g', -1),
            'f' | 'F' => self.fmt.float(f, 'f', 6),
            'e' | 'E' => self.fmt.float(f, verb, 6),
            _ => self.fmt.float(f, verb, -1),
        }
    }

    fn complex(&mut self, re: f64, im: f64, verb: char) {
        let plus = self.fmt.flags.plus;
        self.text("(");
        self.float(re, verb);
        // The imaginary part always has a sign.
        self.fmt.flags.plus = true;
        self.float(im, verb);
        self.text("i)");
        self.fmt.flags.plus = plus;
    }

    fn string(&mut self, value: &Value, text: &[u8], verb: char) {
        match verb {
            'v' if self.fmt.flags.sharp_v => self.fmt.quoted(text),
            'v' | 's' => self.fmt.string(text),
            'x' => self.fmt.hex_string(text, LOWER),
            'X' => self.fmt.hex_string(text, UPPER),
            'q' => self.fmt.quoted(text),
            _ => self.bad_verb(verb, value),
        }
    }

    fn bytes(&mut self, value: &Value, list: &List, verb: char, name: &str, depth: usize) {
        match verb {
            's' | 'x' | 'X' | 'q' => {
                let bytes = list.to_bytes();
                self.string(value, &bytes, verb);
            }
            _ if self.fmt.flags.sharp_v => {
                self.text(if verb == 'v' { name } else { list.elem.slice_name() });
                self.elements(list, verb, depth, "{", ", ", "}");
            }
            _ => self.elements(list, verb, depth, "[", " ", "]"),
        }
    }

    fn list(&mut self, value: &Value, list: &List, verb: char, depth: usize) {
        if list.elem == ElemType::Byte && matches!(verb, 's' | 'q' | 'x' | 'X') {
            return self.bytes(value, list, verb, list.elem.slice_name(), depth);
        }
        if self.fmt.flags.sharp_v {
            self.text(list.elem.slice_name());
            return self.elements(list, verb, depth, "{", ", ", "}");
        }
        self.elements(list, verb, depth, "[", " ", "]");
    }

    fn elements(&mut self, list: &List, verb: char, depth: usize, open: &str, between: &str, close: &str) {
        self.text(open);
        for (i, item) in list.items.iter().enumerate() {
            if i > 0 {
                self.text(between);
            }
            self.print_value(item, verb, depth + 1);
            if self.stopped.is_some() {
                return;
            }
        }
        self.text(close);
    }

    fn map(&mut self, map: &Map, verb: char, depth: usize) {
        let sharp_v = self.fmt.flags.sharp_v;
        if sharp_v {
            self.text(map.ty.name());
        }
        self.text(if sharp_v { "{" } else { "map[" });
        for (i, (key, item)) in map.entries.borrow().iter().enumerate() {
            if i > 0 {
                self.text(if sharp_v { ", " } else { " " });
            }
            self.print_value(&Value::String(key.clone()), verb, depth + 1);
            self.text(":");
            match item {
                // Go: a string that is not in an interface cannot be nil; there is none such.
                Value::Nil if map.ty == MapType::String => self.string(item, b"", verb),
                item => self.print_value(item, verb, depth + 1),
            }
            if self.stopped.is_some() {
                return;
            }
        }
        self.text(if sharp_v { "}" } else { "]" });
    }

    fn pointer(&mut self, value: &Value, verb: char) {
        let address = match value {
            Value::Map(map) => Rc::as_ptr(&map.entries).addr(),
            Value::List(list) => list.items.as_ptr().addr(),
            Value::Object(object) if matches!(object.kind(), "ptr" | "map" | "slice") => {
                Rc::as_ptr(object).addr()
            }
            _ => return self.bad_verb(verb, value),
        };
        let prefix = !self.fmt.flags.sharp;
        self.hex_with_prefix(address as u64, prefix);
    }

    /// Reads `[n]`; returns the argument's number and whether there was a good one.
    fn arg_number(&mut self, number: usize, format: &mut &[u8], count: usize) -> (usize, bool) {
        if format.first() != Some(&b'[') {
            return (number, false);
        }
        self.reordered = true;
        let Some(close) = format.iter().position(|&byte| byte == b']').filter(|_| format.len() >= 3) else {
            *format = format.get(1..).unwrap_or_default();
            self.good_arg_number = false;
            return (number, false);
        };
        let mut digits = format.get(1..close).unwrap_or_default();
        let parsed = parse_number(&mut digits).filter(|_| digits.is_empty());
        *format = format.get(close + 1..).unwrap_or_default();
        match parsed.and_then(|n| usize::try_from(n - 1).ok()) {
            Some(index) if index < count => (index, true),
            _ => {
                self.good_arg_number = false;
                (number, parsed.is_some())
            }
        }
    }

    fn printf(&mut self, format: &[u8], args: &[Value]) {
        let mut rest = format;
        let mut number = 0;
        self.reordered = false;
        while !rest.is_empty() && !self.is_full() {
            self.good_arg_number = true;
            let percent = rest.iter().position(|&byte| byte == b'%').unwrap_or(rest.len());
            let (text, verb) = rest.split_at(percent);
            self.fmt.out.extend_from_slice(text);
            let Some(verb) = verb.get(1..) else { break };
            rest = verb;
            self.fmt.clear();
            if !self.directive(&mut rest, &mut number, args) {
                break;
            }
        }
        if !self.reordered && number < args.len() && self.stopped.is_none() {
            self.fmt.clear();
            self.text("%!(EXTRA ");
            for (i, arg) in args.iter().skip(number).enumerate() {
                if i > 0 {
                    self.text(", ");
                }
                if !arg.is_nil() {
                    self.text(&arg.type_name());
                    self.text("=");
                }
                self.print_arg(arg, 'v');
            }
            self.text(")");
        }
        self.is_full();
    }

    /// Prints one directive, after its `%`; whether the format goes on.
    fn directive(&mut self, rest: &mut &[u8], number: &mut usize, args: &[Value]) -> bool {
        while let Some(&byte) = rest.first() {
            match byte {
                b'#' => self.fmt.flags.sharp = true,
                b'0' => self.fmt.flags.zero = true,
                b'+' => self.fmt.flags.plus = true,
                b'-' => self.fmt.flags.minus = true,
                b' ' => self.fmt.flags.space = true,
                _ => break,
            }
            *rest = rest.get(1..).unwrap_or_default();
        }
        let mut after_index;
        (*number, after_index) = self.arg_number(*number, rest, args.len());
        after_index = self.width(rest, number, args, after_index);
        after_index = self.precision(rest, number, args, after_index);
        if !after_index {
            (*number, _) = self.arg_number(*number, rest, args.len());
        }
        let (rune, width) = unicode::decode(rest);
        if width == 0 {
            self.text("%!(NOVERB)");
            return false;
        }
        *rest = rest.get(width..).unwrap_or_default();
        let verb = char::from_u32(rune).unwrap_or(char::REPLACEMENT_CHARACTER);
        if verb == '%' {
            self.text("%"); // Go: takes no operand and ignores width and precision.
            return true;
        }
        let Some(arg) = args.get(*number).filter(|_| self.good_arg_number) else {
            self.text("%!");
            self.fmt.out.extend_from_slice(verb.encode_utf8(&mut [0; 4]).as_bytes());
            self.text(if self.good_arg_number { "(MISSING)" } else { "(BADINDEX)" });
            return true;
        };
        if matches!(verb, 'v' | 'w') {
            let flags = &mut self.fmt.flags;
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        self.print_arg(arg, verb);
        *number += 1;
        true
    }

    fn width(&mut self, rest: &mut &[u8], number: &mut usize, args: &[Value], after_index: bool) -> bool {
        if rest.first() == Some(&b'*') {
            *rest = rest.get(1..).unwrap_or_default();
            let width = int_arg(args, number);
            if width.is_none() {
                self.text("%!(BADWIDTH)");
            }
            if width.is_some_and(|width| width < 0) {
                self.fmt.flags.minus = true;
                self.fmt.flags.zero = false; // Go: no zeros to the right.
            }
            self.fmt.width = width.map(|width| usize::try_from(width.unsigned_abs()).unwrap_or(0));
            return false;
        }
        self.fmt.width = parse_number(rest).and_then(|width| usize::try_from(width).ok());
        if after_index && self.fmt.width.is_some() {
            self.good_arg_number = false; // "%[3]2d"
        }
        after_index
    }

    fn precision(&mut self, rest: &mut &[u8], number: &mut usize, args: &[Value], after_index: bool) -> bool {
        if rest.len() < 2 || rest.first() != Some(&b'.') {
            return after_index;
        }
        *rest = rest.get(1..).unwrap_or_default();
        if after_index {
            self.good_arg_number = false; // "%[3].2d"
        }
        let after_index;
        (*number, after_index) = self.arg_number(*number, rest, args.len());
        if rest.first() == Some(&b'*') {
            *rest = rest.get(1..).unwrap_or_default();
            let precision = int_arg(args, number).and_then(|precision| usize::try_from(precision).ok());
            if precision.is_none() {
                self.text("%!(BADPREC)");
            }
            self.fmt.precision = precision;
            return false;
        }
        let precision = parse_number(rest).and_then(|precision| usize::try_from(precision).ok());
        self.fmt.precision = Some(precision.unwrap_or(0));
        after_index
    }
}

/// Go: a slice of bytes has its other name where it is an argument itself.
fn is_nil_bytes(object: &dyn Object) -> bool {
    matches!(object.nil_of(), Some(Value::List(list)) if list.elem == ElemType::Byte)
}

fn is_float_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E')
}

/// Takes a decimal number off the text. Go: one that is too long takes the rest of the text with it.
fn parse_number(text: &mut &[u8]) -> Option<i64> {
    let mut number = None;
    while let Some(digit) = text.first().filter(|byte| byte.is_ascii_digit()) {
        if number.is_some_and(|n| n > MAX_NUMBER) {
            *text = &[];
            return None;
        }
        number = Some(number.unwrap_or(0) * 10 + i64::from(digit - b'0'));
        *text = text.get(1..).unwrap_or_default();
    }
    number
}

/// An argument as width or precision.
fn int_arg(args: &[Value], number: &mut usize) -> Option<i64> {
    let arg = args.get(*number)?;
    *number += 1;
    match arg {
        Value::Int(n, kind) if !(kind.is_unsigned() && *n < 0) => {
            Some(*n).filter(|n| (-MAX_NUMBER..=MAX_NUMBER).contains(n))
        }
        _ => None,
    }
}
