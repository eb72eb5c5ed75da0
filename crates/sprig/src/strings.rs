//! Strings: trimming, cutting, padding, quoting, splitting and joining, mostly on bytes as in Go.

use memchr::memmem;
use pintle_gotemplate::{Entries, FuncError, Map, MapType, Value};

use crate::args::Args;
use crate::go::{self, Outcome, failure, text_of};
use crate::{limit, unicode};

/// `hello`.
pub(crate) fn hello(_: &[Value]) -> Outcome {
    Ok("Hello!".into())
}

/// `trim TEXT`.
pub(crate) fn trim(args: &[Value]) -> Outcome {
    Ok(Value::string(trim_matches(args.bytes(0), unicode::is_space)))
}

/// `trimAll CUTSET TEXT`.
pub(crate) fn trim_all(args: &[Value]) -> Outcome {
    let cutset: Vec<char> = unicode::runes(args.bytes(0)).map(|rune| rune.char).collect();
    Ok(Value::string(trim_matches(args.bytes(1), |c| cutset.contains(&c))))
}

/// `trimPrefix PREFIX TEXT`.
pub(crate) fn trim_prefix(args: &[Value]) -> Outcome {
    let text = args.bytes(1);
    Ok(Value::string(text.strip_prefix(args.bytes(0)).unwrap_or(text)))
}

/// `trimSuffix SUFFIX TEXT`.
pub(crate) fn trim_suffix(args: &[Value]) -> Outcome {
    let text = args.bytes(1);
    Ok(Value::string(text.strip_suffix(args.bytes(0)).unwrap_or(text)))
}

fn trim_matches(text: &[u8], drop: impl Fn(char) -> bool) -> &[u8] {
    // Where what stays begins and ends with ASCII, only the ends need a look.
    let stays = |byte: &u8| !byte.is_ascii() || !drop(char::from(*byte));
    if let (Some(first), Some(last)) = (text.iter().position(stays), text.iter().rposition(stays))
        && let Some(kept) = text.get(first..=last)
        && let ([a, ..], [.., z]) = (kept, kept)
        && a.is_ascii()
        && z.is_ascii()
    {
        return kept;
    }
    let (mut at, mut start, mut end) = (0, None, 0);
    for rune in unicode::runes(text) {
        let next = at + rune.width;
        if !drop(rune.char) {
            start.get_or_insert(at);
            end = next;
        }
        at = next;
    }
    start.and_then(|start| text.get(start..end)).unwrap_or_default()
}

/// `upper TEXT`.
pub(crate) fn upper(args: &[Value]) -> Outcome {
    Ok(change_case(args.bytes(0), <[u8]>::to_ascii_uppercase, unicode::to_upper))
}

/// `lower TEXT`.
pub(crate) fn lower(args: &[Value]) -> Outcome {
    Ok(change_case(args.bytes(0), <[u8]>::to_ascii_lowercase, unicode::to_lower))
}

fn change_case(text: &[u8], ascii: fn(&[u8]) -> Vec<u8>, unicode: fn(char) -> char) -> Value {
    if text.is_ascii() { ascii(text).into() } else { unicode::map(text, unicode).into() }
}

/// `title TEXT`: capitals after whatever is not a letter, digit or underscore.
pub(crate) fn title(args: &[Value]) -> Outcome {
    let mut previous = ' ';
    Ok(unicode::map(args.bytes(0), |c| {
        let starts = is_separator(previous);
        previous = c;
        if starts { unicode::to_title(c) } else { c }
    })
    .into())
}

/// Go's `strings.isSeparator`.
fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    !unicode::is_letter(c) && !unicode::is_digit(c) && unicode::is_space(c)
}

/// `untitle TEXT`: the first letter of every word in lower case.
pub(crate) fn untitle(args: &[Value]) -> Outcome {
    let mut starts = true;
    Ok(unicode::map(args.bytes(0), |c| {
        if unicode::is_space(c) {
            starts = true;
            c
        } else if std::mem::take(&mut starts) {
            unicode::to_lower(c)
        } else {
            c
        }
    })
    .into())
}

/// `repeat COUNT TEXT`.
pub(crate) fn repeat(args: &[Value]) -> Outcome {
    Ok(repeated(args.bytes(1), args.int(0))?.into())
}

/// Go's `strings.Repeat`.
fn repeated(text: &[u8], count: i64) -> Result<Vec<u8>, FuncError> {
    if count < 0 {
        return Err(failure("strings: negative Repeat count"));
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    limit::bytes(text.len().saturating_mul(count))?;
    Ok(text.repeat(count))
}

/// `substr START END TEXT`, by bytes.
pub(crate) fn substr(args: &[Value]) -> Outcome {
    let (start, end, text) = (args.int(0), args.int(1), args.bytes(2));
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    // sprig: a negative start means none, an end out of range means none; the rest is left to Go's bounds check.
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    match range.and_then(|(from, to)| text.get(from..to)) {
        Some(part) => Ok(Value::string(part)),
        None if to < 0 => Err(failure(format!("runtime error: slice bounds out of range [:{to}]"))),
        None if to > length => {
            Err(failure(format!("runtime error: slice bounds out of range [:{to}] with length {length}")))
        }
        None if from > to => Err(failure(format!("runtime error: slice bounds out of range [{from}:{to}]"))),
        None => Err(failure(format!("runtime error: slice bounds out of range [{from}:]"))),
    }
}

/// `trunc COUNT TEXT`: the head, or with a negative count the tail.
pub(crate) fn trunc(args: &[Value]) -> Outcome {
    let (count, text) = (args.int(0), args.bytes(1));
    let magnitude = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let part = if count < 0 {
        text.len().checked_sub(magnitude).and_then(|from| text.get(from..))
    } else {
        text.get(..magnitude)
    };
    Ok(Value::string(part.unwrap_or(text)))
}

/// `abbrev WIDTH TEXT`.
pub(crate) fn abbrev(args: &[Value]) -> Outcome {
    let (width, text) = (args.int(0), args.bytes(1));
    Ok(if width < 4 { Value::string(text) } else { abbreviate(text, 0, width).into() })
}

/// `abbrevboth OFFSET WIDTH TEXT`.
pub(crate) fn abbrev_both(args: &[Value]) -> Outcome {
    let (offset, width, text) = (args.int(0), args.int(1), args.bytes(2));
    let unchanged = width < 4 || offset > 0 && width < 7;
    Ok(if unchanged { Value::string(text) } else { abbreviate(text, offset, width).into() })
}

/// goutils' `AbbreviateFull`; its errors give an empty text.
fn abbreviate(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let Ok(width) = usize::try_from(width) else { return Vec::new() };
    if text.is_empty() || width < 4 {
        return Vec::new();
    }
    if text.len() <= width {
        return text.to_vec();
    }
    let room = width - 3;
    // A negative offset is as good as none: both leave the head.
    let mut offset = usize::try_from(offset).unwrap_or(0).min(text.len());
    if text.len() - offset < room {
        offset = text.len() - room;
    }
    let marker: &[u8] = b"...";
    if offset <= 4 {
        return [text.get(..room).unwrap_or_default(), marker].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + room < text.len() {
        let rest = abbreviate(text.get(offset..).unwrap_or_default(), 0, i64::try_from(room).unwrap_or(0));
        return [marker, &rest].concat();
    }
    [marker, text.get(text.len() - room..).unwrap_or_default()].concat()
}

/// `nospace TEXT`.
pub(crate) fn nospace(args: &[Value]) -> Outcome {
    let text = args.bytes(0);
    if !text.iter().any(|&b| unicode::is_space(b as char)) {
        return Ok(Value::string(text));
    }
    // sprig: goutils reads bytes as characters, so with a blank anywhere all non-ASCII text is mangled.
    Ok(text.iter().map(|&b| b as char).filter(|&c| !unicode::is_space(c)).collect::<String>().into())
}

/// `initials TEXT`.
pub(crate) fn initials(args: &[Value]) -> Outcome {
    let mut gap = true;
    let mut out = String::new();
    // sprig: bytes as characters again.
    for c in args.bytes(0).iter().map(|&b| b as char) {
        if unicode::is_space(c) {
            gap = true;
        } else if std::mem::take(&mut gap) {
            out.push(c);
        }
    }
    Ok(out.into())
}

/// `swapcase TEXT`: upper and title case to lower, lower case to title case at the start of a word, else to upper.
pub(crate) fn swapcase(args: &[Value]) -> Outcome {
    let mut space = true;
    Ok(unicode::map(args.bytes(0), |c| {
        if unicode::is_upper(c) || unicode::is_title(c) {
            space = false;
            unicode::to_lower(c)
        } else if unicode::is_lower(c) {
            if std::mem::take(&mut space) { unicode::to_title(c) } else { unicode::to_upper(c) }
        } else {
            space = unicode::is_space(c);
            c
        }
    })
    .into())
}

/// `wrap WIDTH TEXT`: words longer than the width are left whole.
pub(crate) fn wrap(args: &[Value]) -> Outcome {
    wrapped(args.bytes(1), args.int(0), b"\n", false)
}

/// `wrapWith WIDTH SEPARATOR TEXT`: words longer than the width are cut.
pub(crate) fn wrap_with(args: &[Value]) -> Outcome {
    let separator = args.bytes(1);
    wrapped(args.bytes(2), args.int(0), if separator.is_empty() { b"\n" } else { separator }, true)
}

/// goutils' `WrapCustom`.
fn wrapped(text: &[u8], width: i64, separator: &[u8], cut: bool) -> Outcome {
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let at = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let mut out = Vec::with_capacity(text.len());
    let mut offset = 0;
    while text.len().saturating_sub(offset) > width {
        if text.get(offset) == Some(&b' ') {
            offset += 1;
            continue;
        }
        let end = offset + width;
        // A blank right after the line still ends it.
        if let Some(space) = memchr::memrchr(b' ', at(offset..end + 1)) {
            out.extend_from_slice(at(offset..offset + space));
            offset += space + 1;
        } else if cut {
            out.extend_from_slice(at(offset..end));
            offset = end;
        } else if let Some(space) = memchr::memchr(b' ', at(end..text.len())) {
            out.extend_from_slice(at(offset..end + space));
            offset = end + space + 1;
        } else {
            break;
        }
        out.extend_from_slice(separator);
        limit::bytes(out.len())?;
    }
    out.extend_from_slice(at(offset..text.len()));
    Ok(out.into())
}

/// `contains PART TEXT`.
pub(crate) fn contains(args: &[Value]) -> Outcome {
    Ok(memmem::find(args.bytes(1), args.bytes(0)).is_some().into())
}

/// `hasPrefix PREFIX TEXT`.
pub(crate) fn has_prefix(args: &[Value]) -> Outcome {
    Ok(args.bytes(1).starts_with(args.bytes(0)).into())
}

/// `hasSuffix SUFFIX TEXT`.
pub(crate) fn has_suffix(args: &[Value]) -> Outcome {
    Ok(args.bytes(1).ends_with(args.bytes(0)).into())
}

/// `quote VALUE…`: as Go string literals, nil left out.
pub(crate) fn quote(args: &[Value]) -> Outcome {
    joined(args, |value| Ok(go::quote(&text_of(value)?)))
}

/// `squote VALUE…`: between single quotes, unescaped, nil left out.
pub(crate) fn squote(args: &[Value]) -> Outcome {
    joined(args, |value| Ok([b"'", &go::to_text(value)?[..], b"'"].concat()))
}

/// `cat VALUE…`: separated by blanks, nil left out.
pub(crate) fn cat(args: &[Value]) -> Outcome {
    joined(args, go::to_text)
}

fn joined(args: &[Value], text: impl Fn(&Value) -> Result<Vec<u8>, FuncError>) -> Outcome {
    let mut out = Vec::new();
    for (i, value) in args.iter().filter(|value| !matches!(value, Value::Nil)).enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(&text(value)?);
        limit::bytes(out.len())?;
    }
    Ok(out.into())
}

/// `indent COUNT TEXT`: every line, also empty ones.
pub(crate) fn indent(args: &[Value]) -> Outcome {
    Ok(indented(args, b"")?.into())
}

/// `nindent COUNT TEXT`: the same after a line break.
pub(crate) fn nindent(args: &[Value]) -> Outcome {
    Ok(indented(args, b"\n")?.into())
}

fn indented(args: &[Value], before: &[u8]) -> Result<Vec<u8>, FuncError> {
    let (pad, text) = (repeated(b" ", args.int(0))?, args.bytes(1));
    let breaks = memchr::memchr_iter(b'\n', text).count();
    let size = before.len() + text.len() + pad.len().saturating_mul(breaks + 1);
    limit::bytes(size)?;
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(before);
    out.extend_from_slice(&pad);
    for line in text.split_inclusive(|&b| b == b'\n') {
        out.extend_from_slice(line);
        if line.ends_with(b"\n") {
            out.extend_from_slice(&pad);
        }
    }
    Ok(out)
}

/// `replace OLD NEW TEXT`.
pub(crate) fn replace(args: &[Value]) -> Outcome {
    let (old, new, text) = (args.bytes(0), args.bytes(1), args.bytes(2));
    let mut out = Vec::with_capacity(text.len());
    if old.is_empty() {
        // Go: an empty text is found before every rune and at the end.
        let mut rest = text;
        out.extend_from_slice(new);
        while let Some(rune) = unicode::decode(rest) {
            let (head, tail) = rest.split_at(rune.width.min(rest.len()));
            out.extend_from_slice(head);
            out.extend_from_slice(new);
            limit::bytes(out.len())?;
            rest = tail;
        }
        return Ok(out.into());
    }
    let mut from = 0;
    for at in memmem::find_iter(text, old) {
        out.extend_from_slice(text.get(from..at).unwrap_or_default());
        out.extend_from_slice(new);
        limit::bytes(out.len())?;
        from = at + old.len();
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    Ok(out.into())
}

/// `plural ONE MANY COUNT`.
pub(crate) fn plural(args: &[Value]) -> Outcome {
    Ok(args.value(usize::from(args.int(2) != 1)).clone())
}

/// `toString VALUE`.
pub(crate) fn to_string(args: &[Value]) -> Outcome {
    match args.value(0) {
        text @ Value::String(_) => Ok(text.clone()),
        value => Ok(text_of(value)?.into()),
    }
}

/// `toStrings LIST`: nil elements are left out; what is no list becomes a list of one.
pub(crate) fn to_strings(args: &[Value]) -> Outcome {
    Ok(Value::strings(texts(args.value(0))?))
}

/// sprig's `strslice`.
fn texts(value: &Value) -> Result<Vec<Vec<u8>>, FuncError> {
    match go::elements(value) {
        Ok(items) => items.iter().filter(|item| !matches!(item, Value::Nil)).map(text_of).collect(),
        Err(None) => Ok(Vec::new()),
        Err(Some(_)) => Ok(vec![text_of(value)?]),
    }
}

/// `join SEPARATOR LIST`.
pub(crate) fn join(args: &[Value]) -> Outcome {
    let (separator, texts) = (args.bytes(0), texts(args.value(1))?);
    let size = texts.iter().map(Vec::len).sum::<usize>() + separator.len().saturating_mul(texts.len());
    limit::bytes(size)?;
    Ok(texts.join(separator).into())
}

/// `sortAlpha LIST`.
pub(crate) fn sort_alpha(args: &[Value]) -> Outcome {
    let value = args.value(0);
    let mut texts = if matches!(value, Value::Nil) { vec![text_of(value)?] } else { texts(value)? };
    texts.sort_unstable();
    Ok(Value::strings(texts))
}

/// `split SEPARATOR TEXT`: a map with keys `_0`, `_1`, ….
pub(crate) fn split(args: &[Value]) -> Outcome {
    parts(&cut(args.bytes(1), args.bytes(0), None)?)
}

/// `splitn SEPARATOR COUNT TEXT`.
pub(crate) fn splitn(args: &[Value]) -> Outcome {
    parts(&cut(args.bytes(2), args.bytes(0), Some(args.int(1)))?)
}

/// `splitList SEPARATOR TEXT`.
pub(crate) fn split_list(args: &[Value]) -> Outcome {
    Ok(Value::strings(cut(args.bytes(1), args.bytes(0), None)?))
}

fn parts(texts: &[&[u8]]) -> Outcome {
    let entries: Entries =
        texts.iter().enumerate().map(|(i, text)| (format!("_{i}").into(), Value::string(*text))).collect();
    Ok(Value::Map(Map::typed(MapType::String, entries)))
}

/// Go's `strings.SplitN`; no or a negative count means all.
fn cut<'a>(text: &'a [u8], separator: &[u8], count: Option<i64>) -> Result<Vec<&'a [u8]>, FuncError> {
    let count = match count {
        Some(n) if n >= 0 => usize::try_from(n).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let mut out = Vec::new();
    let mut rest = text;
    if count == 0 {
        return Ok(out);
    }
    if separator.is_empty() {
        while let Some(rune) = unicode::decode(rest) {
            let (head, tail) = rest.split_at(if out.len() + 1 == count { rest.len() } else { rune.width });
            out.push(head);
            limit::items(out.len())?;
            rest = tail;
        }
        return Ok(out);
    }
    let mut from = 0;
    for at in memmem::find_iter(text, separator).take(count - 1) {
        out.push(text.get(from..at).unwrap_or_default());
        limit::items(out.len())?;
        from = at + separator.len();
        rest = text.get(from..).unwrap_or_default();
    }
    out.push(rest);
    Ok(out)
}

/// `fail MESSAGE`, as sprig has it; Helm puts its own in place.
pub(crate) fn fail(args: &[Value]) -> Outcome {
    Err(failure(args.text(0)))
}
