//! Go's regular expression syntax (`regexp/syntax`), checked with its errors and rewritten for the `regex` crate.
//!
//! The output uses no flags beyond single atoms (`(?i:k)`), no names and no class shorthands, so nothing in which
//! the two dialects differ is left to the crate: classes are written out as ranges, `\b` is asked for as ASCII.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use crate::unicode;

/// A rewritten expression.
pub(super) struct Translated {
    pub pattern: String,
    /// The names of the groups, the first group's first.
    pub names: Vec<Option<String>>,
}

/// Go's text for an error in `expression`.
pub(super) fn message(code: &str, expression: &[u8]) -> String {
    format!("error parsing regexp: {code}: `{}`", String::from_utf8_lossy(expression))
}

type Parsed<T> = Result<T, String>;

#[derive(Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    swap_greed: bool,
}

/// The atom that a repetition would apply to.
#[derive(Clone, Copy)]
struct Atom {
    /// Where it starts in the output.
    start: usize,
    /// The product of the counted repetitions nested in it.
    weight: u64,
    repeated: bool,
}

/// An open group, or the whole expression.
struct Group {
    start: usize,
    flags: Flags,
    heaviest: u64,
    last: Option<Atom>,
}

struct Translator<'a> {
    whole: &'a [u8],
    out: String,
    names: Vec<Option<String>>,
    flags: Flags,
    groups: Vec<Group>,
    current: Group,
}

/// Rewrites `pattern`.
pub(super) fn translate(pattern: &[u8]) -> Parsed<Translated> {
    let mut translator = Translator {
        whole: pattern,
        out: String::with_capacity(pattern.len() * 2),
        names: Vec::new(),
        flags: Flags::default(),
        groups: Vec::new(),
        current: Group { start: 0, flags: Flags::default(), heaviest: 1, last: None },
    };
    translator.run()?;
    Ok(Translated { pattern: translator.out, names: translator.names })
}

impl<'a> Translator<'a> {
    fn run(&mut self) -> Parsed<()> {
        let mut rest = self.whole;
        let mut last_repeat: &[u8] = b"";
        while let Some(&first) = rest.first() {
            let before = rest;
            let tail = rest.get(1..).unwrap_or_default();
            let mut repeat: &[u8] = b"";
            rest = match first {
                b'(' if tail.starts_with(b"?") => self.flags_or_group(rest)?,
                b'(' => {
                    self.names.push(None);
                    self.open("(");
                    tail
                }
                b'|' => {
                    self.out.push('|');
                    self.current.last = None;
                    tail
                }
                b')' => {
                    self.close()?;
                    tail
                }
                b'^' => self.assertion(if self.flags.multi_line { "(?m:^)" } else { r"(?:\A)" }, tail),
                b'$' => self.assertion(if self.flags.multi_line { "(?m:$)" } else { r"(?:\z)" }, tail),
                b'.' => self.assertion(if self.flags.dot_newline { "(?s:.)" } else { "(?-s:.)" }, tail),
                b'[' => self.class(rest)?,
                b'*' | b'+' | b'?' => {
                    repeat = before;
                    self.repeat((first as char).to_string(), None, before, tail, last_repeat)?
                }
                b'{' => match counts(rest) {
                    Some((min, max, after)) => {
                        let bad = min > 1000 || max.is_some_and(|max| max > 1000 || min > max);
                        if bad {
                            return Err(message("invalid repeat count", consumed(before, after)));
                        }
                        repeat = before;
                        let operator = match max {
                            Some(max) => format!("{{{min},{max}}}"),
                            None => format!("{{{min},}}"),
                        };
                        self.repeat(operator, Some((min, max)), before, after, last_repeat)?
                    }
                    None => {
                        self.literal('{');
                        tail
                    }
                },
                b'\\' => self.backslash(rest)?,
                _ => {
                    let (c, after) = next(rest)?;
                    self.literal(c);
                    after
                }
            };
            last_repeat = repeat;
        }
        if self.groups.is_empty() { Ok(()) } else { Err(message("missing closing )", self.whole)) }
    }

    /// Writes an atom.
    fn atom(&mut self, text: &str) {
        self.current.last = Some(Atom { start: self.out.len(), weight: 1, repeated: false });
        self.out.push_str(text);
    }

    fn assertion(&mut self, text: &str, rest: &'a [u8]) -> &'a [u8] {
        self.atom(text);
        rest
    }

    fn literal(&mut self, c: char) {
        let escaped = regex_syntax::escape(c.encode_utf8(&mut [0; 4]));
        if self.flags.fold_case && c.is_alphabetic() {
            self.atom(&format!("(?i:{escaped})"));
        } else {
            self.atom(&escaped);
        }
    }

    fn open(&mut self, text: &str) {
        let group = Group { start: self.out.len(), flags: self.flags, heaviest: 1, last: None };
        self.out.push_str(text);
        self.groups.push(std::mem::replace(&mut self.current, group));
    }

    fn close(&mut self) -> Parsed<()> {
        let outer = self.groups.pop().ok_or_else(|| message("unexpected )", self.whole))?;
        let inner = std::mem::replace(&mut self.current, outer);
        self.out.push(')');
        self.flags = inner.flags;
        self.current.heaviest = self.current.heaviest.max(inner.heaviest);
        self.current.last = Some(Atom { start: inner.start, weight: inner.heaviest, repeated: false });
        Ok(())
    }

    fn repeat(
        &mut self,
        operator: String,
        counts: Option<(u64, Option<u64>)>,
        before: &'a [u8],
        after: &'a [u8],
        last_repeat: &[u8],
    ) -> Parsed<&'a [u8]> {
        let (lazy, after) = match after.strip_prefix(b"?") {
            Some(after) => (true, after),
            None => (false, after),
        };
        if !last_repeat.is_empty() {
            let twice = last_repeat.get(..last_repeat.len().saturating_sub(after.len())).unwrap_or_default();
            return Err(message("invalid nested repetition operator", twice));
        }
        let own = consumed(before, after);
        let atom =
            self.current.last.ok_or_else(|| message("missing argument to repetition operator", own))?;
        if atom.repeated {
            // Go: flags may stand between two repetitions, `a*(?i)?`; the second one applies to the first.
            self.out.insert_str(atom.start, "(?:");
            self.out.push(')');
        }
        let mut weight = atom.weight;
        if let Some((min, max)) = counts {
            weight = match max.unwrap_or(min) {
                0 => 1,
                count => weight.saturating_mul(count),
            };
            if (min >= 2 || max.is_some_and(|max| max >= 2)) && weight > 1000 {
                return Err(message("invalid repeat count", own));
            }
        }
        self.out.push_str(&operator);
        if lazy != self.flags.swap_greed {
            self.out.push('?');
        }
        self.current.heaviest = self.current.heaviest.max(weight);
        self.current.last = Some(Atom { start: atom.start, weight, repeated: true });
        Ok(after)
    }

    /// `(?i)`, `(?i:…)`, `(?P<name>…)`.
    fn flags_or_group(&mut self, text: &'a [u8]) -> Parsed<&'a [u8]> {
        let named = text.strip_prefix(b"(?P<").or_else(|| text.strip_prefix(b"(?<"));
        if let Some(body) = named.filter(|_| text.len() > 4) {
            let Some(end) = body.iter().position(|&b| b == b'>') else {
                check_utf8(text)?;
                return Err(message("invalid named capture", text));
            };
            let (name, rest) = body.split_at(end);
            let rest = rest.get(1..).unwrap_or_default();
            check_utf8(name)?;
            if name.is_empty() || !name.iter().all(|&b| b == b'_' || b.is_ascii_alphanumeric()) {
                return Err(message("invalid named capture", consumed(text, rest)));
            }
            self.names.push(Some(String::from_utf8_lossy(name).into_owned()));
            self.open("(");
            return Ok(rest);
        }
        let mut rest = text.get(2..).unwrap_or_default();
        let (mut flags, mut on, mut seen) = (self.flags, true, false);
        while !rest.is_empty() {
            let (c, after) = next(rest)?;
            rest = after;
            match c {
                'i' => (flags.fold_case, seen) = (on, true),
                'm' => (flags.multi_line, seen) = (on, true),
                's' => (flags.dot_newline, seen) = (on, true),
                'U' => (flags.swap_greed, seen) = (on, true),
                '-' if on => (on, seen) = (false, false),
                ':' | ')' if on || seen => {
                    if c == ':' {
                        self.open("(?:");
                    }
                    self.flags = flags;
                    return Ok(rest);
                }
                _ => break,
            }
        }
        Err(message("invalid or unsupported Perl syntax", consumed(text, rest)))
    }

    fn backslash(&mut self, text: &'a [u8]) -> Parsed<&'a [u8]> {
        let after = text.get(2..).unwrap_or_default();
        match text.get(1) {
            Some(b'A') => return Ok(self.assertion(r"(?:\A)", after)),
            Some(b'z') => return Ok(self.assertion(r"(?:\z)", after)),
            Some(b'b') => return Ok(self.assertion(r"(?-u:\b)", after)),
            Some(b'B') => return Ok(self.assertion(r"(?-u:\B)", after)),
            Some(b'C') => return Err(message("invalid escape sequence", consumed(text, after))),
            Some(b'Q') => {
                let end = memchr::memmem::find(after, br"\E");
                let mut quoted = after.get(..end.unwrap_or(after.len())).unwrap_or_default();
                while !quoted.is_empty() {
                    let (c, rest) = next(quoted)?;
                    self.literal(c);
                    quoted = rest;
                }
                return Ok(end.and_then(|end| after.get(end + 2..)).unwrap_or_default());
            }
            _ => {}
        }
        if let Some((class, rest)) = unicode_class(text, self.flags.fold_case)? {
            self.write_class(&class);
            return Ok(rest);
        }
        if let Some((class, rest)) = perl_class(text, self.flags.fold_case) {
            self.write_class(&class);
            return Ok(rest);
        }
        let (c, rest) = escape(text)?;
        self.literal(c);
        Ok(rest)
    }

    fn write_class(&mut self, class: &ClassUnicode) {
        use std::fmt::Write as _;
        let mut text = String::from("[");
        if class.ranges().is_empty() {
            text.push_str(r"^\x{0}-\x{10FFFF}");
        }
        for range in class.iter() {
            let _ = write!(text, r"\x{{{:X}}}-\x{{{:X}}}", u32::from(range.start()), u32::from(range.end()));
        }
        text.push(']');
        self.atom(&text);
    }

    /// `[…]`.
    fn class(&mut self, text: &'a [u8]) -> Parsed<&'a [u8]> {
        let mut rest = text.get(1..).unwrap_or_default();
        let negated = rest.starts_with(b"^");
        if negated {
            rest = rest.get(1..).unwrap_or_default();
        }
        let fold = self.flags.fold_case;
        let mut class = ClassUnicode::empty();
        let mut first = true;
        while first || !rest.starts_with(b"]") {
            first = false;
            if rest.len() > 2
                && rest.starts_with(b"[:")
                && let Some((named, after)) = posix_class(rest, fold)?
            {
                class.union(&named);
                rest = after;
                continue;
            }
            if let Some((named, after)) = unicode_class(rest, fold)? {
                class.union(&named);
                rest = after;
                continue;
            }
            if let Some((named, after)) = perl_class(rest, fold) {
                class.union(&named);
                rest = after;
                continue;
            }
            let range = rest;
            let (low, mut after) = class_char(rest, text)?;
            let mut high = low;
            if let [b'-', to @ ..] = after
                && to.first().is_some_and(|b| *b != b']')
            {
                (high, after) = class_char(to, text)?;
                if high < low {
                    return Err(message("invalid character class range", consumed(range, after)));
                }
            }
            let mut own = ranges(&[(low, high)]);
            if fold {
                fold_case(&mut own);
            }
            class.union(&own);
            rest = after;
        }
        if negated {
            class.negate();
        }
        self.write_class(&class);
        Ok(rest.get(1..).unwrap_or_default())
    }
}

/// What of `before` has been read when `after` is left.
fn consumed<'t>(before: &'t [u8], after: &[u8]) -> &'t [u8] {
    before.get(..before.len().saturating_sub(after.len())).unwrap_or_default()
}

/// The next character.
fn next(text: &[u8]) -> Parsed<(char, &[u8])> {
    match unicode::decode(text) {
        Some(rune) if !rune.is_invalid() => Ok((rune.char, text.get(rune.width..).unwrap_or_default())),
        _ => Err(message("invalid UTF-8", text)),
    }
}

fn check_utf8(mut text: &[u8]) -> Parsed<()> {
    while !text.is_empty() {
        (_, text) = next(text)?;
    }
    Ok(())
}

/// `{n}`, `{n,}`, `{n,m}`; anything else in braces is text.
fn counts(text: &[u8]) -> Option<(u64, Option<u64>, &[u8])> {
    let (min, rest) = count(text.strip_prefix(b"{")?)?;
    let (max, rest) = match rest {
        [b',', b'}', ..] => (None, rest.get(1..)?),
        [b',', ..] => {
            let (max, rest) = count(rest.get(1..)?)?;
            (Some(max), rest)
        }
        _ => (Some(min), rest),
    };
    Some((min, max, rest.strip_prefix(b"}")?))
}

fn count(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    if digits.is_empty() || digits.len() > 1 && digits.starts_with(b"0") {
        return None;
    }
    let n = digits.iter().fold(0u64, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some((n, rest))
}

fn class_char<'t>(text: &'t [u8], whole: &[u8]) -> Parsed<(char, &'t [u8])> {
    match text.first() {
        None => Err(message("missing closing ]", whole)),
        Some(b'\\') => escape(text),
        Some(_) => next(text),
    }
}

/// A backslash and what it stands for.
fn escape(text: &[u8]) -> Parsed<(char, &[u8])> {
    let body = text.get(1..).unwrap_or_default();
    if body.is_empty() {
        return Err(message("trailing backslash at end of expression", b""));
    }
    let (c, mut rest) = next(body)?;
    let invalid = |rest: &[u8]| Err(message("invalid escape sequence", consumed(text, rest)));
    let plain = match c {
        '1'..='7' if !matches!(rest.first(), Some(b'0'..=b'7')) => return invalid(rest),
        '0'..='7' => {
            let mut n = u32::from(c) - u32::from('0');
            for _ in 0..2 {
                if let [digit @ b'0'..=b'7', after @ ..] = rest {
                    n = n * 8 + u32::from(digit - b'0');
                    rest = after;
                } else {
                    break;
                }
            }
            char::from_u32(n)
        }
        'x' => {
            if rest.is_empty() {
                return invalid(rest);
            }
            let (first, after) = next(rest)?;
            rest = after;
            let mut n = 0u32;
            if first == '{' {
                let mut digits = 0;
                loop {
                    if rest.is_empty() {
                        return invalid(rest);
                    }
                    let (c, after) = next(rest)?;
                    rest = after;
                    match c.to_digit(16) {
                        Some(digit) if n <= 0x10_ffff => (n, digits) = (n << 4 | digit, digits + 1),
                        None if c == '}' && digits > 0 => break,
                        _ => return invalid(rest),
                    }
                    if n > 0x10_ffff {
                        return invalid(rest);
                    }
                }
            } else {
                let (second, after) = next(rest)?;
                rest = after;
                let (Some(high), Some(low)) = (first.to_digit(16), second.to_digit(16)) else {
                    return invalid(rest);
                };
                n = high << 4 | low;
            }
            // A surrogate is no character; Go accepts it, and it matches nothing but U+FFFD there.
            Some(char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER))
        }
        'a' => Some('\x07'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    };
    plain.map_or_else(|| invalid(rest), |c| Ok((c, rest)))
}

fn ranges(pairs: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(pairs.iter().map(|&(low, high)| ClassUnicodeRange::new(low, high)))
}

fn fold_case(class: &mut ClassUnicode) {
    // It fails only where the Unicode tables were left out of the build.
    let _ = class.try_case_fold_simple();
}

fn group(pairs: &[(char, char)], negated: bool, fold: bool) -> ClassUnicode {
    let mut class = ranges(pairs);
    if fold {
        fold_case(&mut class);
    }
    if negated {
        class.negate();
    }
    class
}

/// `\d`, `\s`, `\w` and their opposites, which are ASCII in Go.
fn perl_class(text: &[u8], fold: bool) -> Option<(ClassUnicode, &[u8])> {
    let [b'\\', name, rest @ ..] = text else { return None };
    let pairs: &[(char, char)] = match name.to_ascii_lowercase() {
        b'd' => &[('0', '9')],
        b's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        b'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => return None,
    };
    Some((group(pairs, name.is_ascii_uppercase(), fold), rest))
}

/// `[:alpha:]`; without its end it is no class.
fn posix_class(text: &[u8], fold: bool) -> Parsed<Option<(ClassUnicode, &[u8])>> {
    let Some(end) = memchr::memmem::find(text.get(2..).unwrap_or_default(), b":]") else { return Ok(None) };
    let (whole, rest) = text.split_at(end + 4);
    let name = whole.get(2..end + 2).unwrap_or_default();
    let (negated, name) = name.strip_prefix(b"^").map_or((false, name), |name| (true, name));
    let pairs: &[(char, char)] = match name {
        b"alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        b"alpha" => &[('A', 'Z'), ('a', 'z')],
        b"ascii" => &[('\0', '\x7f')],
        b"blank" => &[('\t', '\t'), (' ', ' ')],
        b"cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        b"digit" => &[('0', '9')],
        b"graph" => &[('!', '~')],
        b"lower" => &[('a', 'z')],
        b"print" => &[(' ', '~')],
        b"punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        b"space" => &[('\t', '\r'), (' ', ' ')],
        b"upper" => &[('A', 'Z')],
        b"word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        b"xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return Err(message("invalid character class range", whole)),
    };
    Ok(Some((group(pairs, negated, fold), rest)))
}

/// `\pN`, `\p{Greek}`, `\P{^Lu}`: general categories and scripts.
fn unicode_class(text: &[u8], fold: bool) -> Parsed<Option<(ClassUnicode, &[u8])>> {
    let [b'\\', sign @ (b'p' | b'P'), body @ ..] = text else { return Ok(None) };
    if body.is_empty() {
        return Err(message("invalid UTF-8", body));
    }
    let (first, after) = next(body)?;
    let (name, rest) = if first == '{' {
        let Some(end) = body.iter().position(|&b| b == b'}') else {
            check_utf8(text)?;
            return Err(message("invalid character class range", text));
        };
        let name = body.get(1..end).unwrap_or_default();
        check_utf8(name)?;
        (name, body.get(end + 1..).unwrap_or_default())
    } else {
        (consumed(body, after), after)
    };
    let (negated, bare) = name.strip_prefix(b"^").map_or((false, name), |name| (true, name));
    let bare = String::from_utf8_lossy(bare);
    let table = unicode_table(&bare);
    let mut class = table.ok_or_else(|| message("invalid character class range", consumed(text, rest)))?;
    if fold {
        fold_case(&mut class);
    }
    if negated != (*sign == b'P') {
        class.negate();
    }
    Ok(Some((class, rest)))
}

fn unicode_table(name: &str) -> Option<ClassUnicode> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b' ');
    if name.is_empty() || !name.bytes().all(word) {
        return None;
    }
    let special = ["any", "assigned", "ascii"].contains(&name.to_ascii_lowercase().as_str());
    let forms = if special {
        vec![format!(r"\p{{{name}}}")]
    } else {
        vec![format!(r"\p{{gc={name}}}"), format!(r"\p{{sc={name}}}")]
    };
    forms.iter().find_map(|form| match regex_syntax::parse(form).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        // A class of one character is a literal.
        HirKind::Literal(literal) => {
            let c = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(ranges(&[(c, c)]))
        }
        _ => None,
    })
}
