//! Regular expressions: Go's syntax, errors, replacement templates and empty matches on the `regex` crate.
//!
//! Text that is not UTF-8 differs: Go lets `.` match an invalid byte, here it matches no character class.

mod syntax;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use memchr::memchr;
use pintle_gotemplate::{ElemType, FuncError, Value};
use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::args::Args;
use crate::go::{self, Outcome, failure};
use crate::nil::NilSlice;
use crate::{limit, unicode};

/// The largest program that one expression may compile to.
const SIZE_LIMIT: usize = 10 << 20;

/// How many compiled expressions a thread keeps.
const CACHE_SIZE: usize = 64;

/// A compiled expression; groups are numbered only, their names are Go's.
struct Program {
    regex: Regex,
    names: Vec<Option<String>>,
}

thread_local! {
    static CACHE: RefCell<HashMap<Vec<u8>, Rc<Program>>> = RefCell::default();
}

/// Go's `regexp.Compile`.
fn compile(pattern: &[u8]) -> Result<Rc<Program>, String> {
    if let Some(program) = CACHE.with_borrow(|cache| cache.get(pattern).cloned()) {
        return Ok(program);
    }
    let translated = syntax::translate(pattern)?;
    let mut builder = RegexBuilder::new(&translated.pattern);
    let regex = builder.size_limit(SIZE_LIMIT).build().map_err(|error| {
        let code = match error {
            regex::Error::CompiledTooBig(_) => "expression too large",
            _ => "expression nests too deeply",
        };
        syntax::message(code, pattern)
    })?;
    let program = Rc::new(Program { regex, names: translated.names });
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= CACHE_SIZE {
            cache.clear();
        }
        cache.insert(pattern.to_vec(), Rc::clone(&program));
    });
    Ok(program)
}

/// Go's `regexp.MustCompile`: its panic text.
fn must_compile(pattern: &[u8]) -> Result<Rc<Program>, FuncError> {
    compile(pattern).map_err(|error| {
        let raw = std::str::from_utf8(pattern).ok().filter(|text| can_backquote(text));
        let quoted = raw.map_or_else(
            || String::from_utf8_lossy(&go::quote(pattern)).into_owned(),
            |text| format!("`{text}`"),
        );
        failure(format!("regexp: Compile({quoted}): {error}"))
    })
}

/// Go's `strconv.CanBackquote`.
fn can_backquote(text: &str) -> bool {
    !text.chars().any(|c| c == '\u{feff}' || c < ' ' && c != '\t' || c == '`' || c == '\u{7f}')
}

fn checked_compile(pattern: &[u8]) -> Result<Rc<Program>, FuncError> {
    compile(pattern).map_err(failure)
}

type Compile = fn(&[u8]) -> Result<Rc<Program>, FuncError>;

impl Program {
    /// The first match from `at` on.
    fn find_at(&self, text: &[u8], mut at: usize) -> Option<Range<usize>> {
        loop {
            let range = self.regex.find_at(text, at)?.range();
            // Go: positions are between runes; `\B` as ASCII would hold within one.
            if !range.is_empty() || !is_within_rune(text, range.start) {
                return Some(range);
            }
            at = range.start + 1;
        }
    }

    /// Go's `allMatches`: an empty match right after another one does not count.
    fn matches(&self, text: &[u8], count: i64) -> Result<Vec<Range<usize>>, FuncError> {
        let count = if count < 0 { text.len() + 1 } else { usize::try_from(count).unwrap_or(usize::MAX) };
        let mut found = Vec::new();
        let (mut at, mut end) = (0, None);
        while found.len() < count && at <= text.len() {
            let Some(range) = self.find_at(text, at) else { break };
            let accepted = range.end != at || Some(range.start) != end;
            at = if range.end == at { at + width(text, at) } else { range.end };
            end = Some(range.end);
            if accepted {
                found.push(range);
                limit::items(found.len())?;
            }
        }
        Ok(found)
    }

    /// Go's `replaceAll`.
    fn replace(&self, text: &[u8], mut write: impl FnMut(&mut Vec<u8>, &Captures<'_>)) -> Outcome {
        let mut out = Vec::with_capacity(text.len());
        let (mut done, mut at) = (0, 0);
        while at <= text.len() {
            let Some(range) = self.find_at(text, at) else { break };
            let Some(captures) = self.regex.captures_at(text, range.start.max(at)) else { break };
            out.extend_from_slice(text.get(done..range.start).unwrap_or_default());
            if range.end > done || range.start == 0 {
                write(&mut out, &captures);
            }
            limit::bytes(out.len())?;
            done = range.end;
            at = range.end.max(at + width(text, at));
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        Ok(out.into())
    }

    /// Go's `Regexp.Expand`.
    fn expand(&self, out: &mut Vec<u8>, template: &[u8], captures: &Captures<'_>) {
        let mut rest = template;
        while let Some(dollar) = memchr(b'$', rest) {
            let (before, after) = rest.split_at(dollar);
            out.extend_from_slice(before);
            rest = after.get(1..).unwrap_or_default();
            if let Some(after) = rest.strip_prefix(b"$") {
                out.push(b'$');
                rest = after;
                continue;
            }
            let Some((name, after)) = reference(rest) else {
                // Go: what is no reference is a dollar sign.
                out.push(b'$');
                continue;
            };
            rest = after;
            let group = match group_number(name) {
                Some(number) => captures.get(number),
                None => {
                    let named = self.names.iter().enumerate();
                    let own = named.filter(|(_, n)| n.as_deref().map(str::as_bytes) == Some(name));
                    own.filter_map(|(i, _)| captures.get(i + 1)).next()
                }
            };
            out.extend_from_slice(group.map(|group| group.as_bytes()).unwrap_or_default());
        }
        out.extend_from_slice(rest);
    }
}

/// Whether `at` lies within a well-formed rune.
fn is_within_rune(text: &[u8], at: usize) -> bool {
    (1..4).any(|back| {
        let start = at.checked_sub(back);
        start
            .and_then(|start| text.get(start..))
            .and_then(unicode::decode)
            .is_some_and(|rune| rune.width > back)
    })
}

/// How wide the rune at `at` is; one at the end, to get beyond it.
fn width(text: &[u8], at: usize) -> usize {
    text.get(at..).and_then(unicode::decode).map_or(1, |rune| rune.width)
}

/// The name after a dollar sign, in braces or as long as there are letters, digits and underscores.
fn reference(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (braced, body) = match text.strip_prefix(b"{") {
        Some(body) => (true, body),
        None => (false, text),
    };
    let is_word = |c: char| unicode::is_letter(c) || unicode::is_digit(c) || c == '_';
    let length = unicode::runes(body).take_while(|rune| is_word(rune.char)).map(|rune| rune.width).sum();
    let (name, rest) = body.split_at(length);
    if name.is_empty() {
        return None;
    }
    Some((name, if braced { rest.strip_prefix(b"}")? } else { rest }))
}

/// The group that a reference names by number; Go takes `01` and very large ones for names.
fn group_number(name: &[u8]) -> Option<usize> {
    let plain = name.iter().all(u8::is_ascii_digit)
        && name.len() <= 9
        && (name.len() == 1 || !name.starts_with(b"0"));
    plain.then(|| name.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0')))
}

/// `regexMatch PATTERN TEXT`: false for a bad pattern.
pub(crate) fn is_match(args: &[Value]) -> Outcome {
    Ok(compile(args.bytes(0)).is_ok_and(|program| program.regex.is_match(args.bytes(1))).into())
}

/// `mustRegexMatch PATTERN TEXT`.
pub(crate) fn must_is_match(args: &[Value]) -> Outcome {
    Ok(checked_compile(args.bytes(0))?.regex.is_match(args.bytes(1)).into())
}

/// `regexFind PATTERN TEXT`.
pub(crate) fn find(args: &[Value]) -> Outcome {
    first(args, must_compile)
}

/// `mustRegexFind PATTERN TEXT`.
pub(crate) fn must_find(args: &[Value]) -> Outcome {
    first(args, checked_compile)
}

fn first(args: &[Value], compile: Compile) -> Outcome {
    let program = compile(args.bytes(0))?;
    let found = program.regex.find(args.bytes(1)).map(|found| found.as_bytes());
    Ok(Value::string(found.unwrap_or_default()))
}

/// `regexFindAll PATTERN TEXT COUNT`.
pub(crate) fn find_all(args: &[Value]) -> Outcome {
    all(args, must_compile)
}

/// `mustRegexFindAll PATTERN TEXT COUNT`.
pub(crate) fn must_find_all(args: &[Value]) -> Outcome {
    all(args, checked_compile)
}

fn all(args: &[Value], compile: Compile) -> Outcome {
    let text = args.bytes(1);
    let matches = compile(args.bytes(0))?.matches(text, args.int(2))?;
    if matches.is_empty() {
        return Ok(NilSlice::value(ElemType::String));
    }
    Ok(Value::strings(matches.into_iter().map(|range| text.get(range).unwrap_or_default())))
}

/// `regexSplit PATTERN TEXT COUNT`.
pub(crate) fn split(args: &[Value]) -> Outcome {
    pieces(args, must_compile)
}

/// `mustRegexSplit PATTERN TEXT COUNT`.
pub(crate) fn must_split(args: &[Value]) -> Outcome {
    pieces(args, checked_compile)
}

fn pieces(args: &[Value], compile: Compile) -> Outcome {
    let (pattern, text, count) = (args.bytes(0), args.bytes(1), args.int(2));
    let program = compile(pattern)?;
    if count == 0 {
        return Ok(NilSlice::value(ElemType::String));
    }
    if !pattern.is_empty() && text.is_empty() {
        return Ok(Value::strings([""]));
    }
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let mut parts = Vec::new();
    let (mut from, mut end) = (0, 0);
    for range in program.matches(text, count)? {
        if usize::try_from(count).is_ok_and(|count| parts.len() + 1 == count) {
            break;
        }
        end = range.start;
        // Go: nothing comes before an empty match at the start.
        if range.end != 0 {
            parts.push(part(from, end));
        }
        from = range.end;
    }
    if end != text.len() {
        parts.push(part(from, text.len()));
    }
    Ok(Value::strings(parts))
}

/// `regexReplaceAll PATTERN TEXT TEMPLATE`.
pub(crate) fn replace_all(args: &[Value]) -> Outcome {
    replaced(args, must_compile)
}

/// `mustRegexReplaceAll PATTERN TEXT TEMPLATE`.
pub(crate) fn must_replace_all(args: &[Value]) -> Outcome {
    replaced(args, checked_compile)
}

fn replaced(args: &[Value], compile: Compile) -> Outcome {
    let (program, template) = (compile(args.bytes(0))?, args.bytes(2));
    program.replace(args.bytes(1), |out, captures| program.expand(out, template, captures))
}

/// `regexReplaceAllLiteral PATTERN TEXT REPLACEMENT`.
pub(crate) fn replace_all_literal(args: &[Value]) -> Outcome {
    replaced_literally(args, must_compile)
}

/// `mustRegexReplaceAllLiteral PATTERN TEXT REPLACEMENT`.
pub(crate) fn must_replace_all_literal(args: &[Value]) -> Outcome {
    replaced_literally(args, checked_compile)
}

fn replaced_literally(args: &[Value], compile: Compile) -> Outcome {
    let replacement = args.bytes(2);
    compile(args.bytes(0))?.replace(args.bytes(1), |out, _| out.extend_from_slice(replacement))
}

/// `regexQuoteMeta TEXT`.
pub(crate) fn quote_meta(args: &[Value]) -> Outcome {
    let text = args.bytes(0);
    let mut out = Vec::with_capacity(text.len());
    for &b in text {
        if br"\.+*?()|[]{}^$".contains(&b) {
            out.push(b'\\');
        }
        out.push(b);
    }
    Ok(out.into())
}
