//! Case styles with the word rules of `huandu/xstrings`: `snakecase`, `kebabcase`, `camelcase`.

use pintle_gotemplate::Value;

use crate::args::Args;
use crate::go::Outcome;
use crate::unicode;

/// `snakecase TEXT`.
pub(crate) fn snakecase(args: &[Value]) -> Outcome {
    Ok(lower_case(args.bytes(0), '_').into())
}

/// `kebabcase TEXT`.
pub(crate) fn kebabcase(args: &[Value]) -> Outcome {
    Ok(lower_case(args.bytes(0), '-').into())
}

/// `camelcase TEXT`: `ToPascalCase`; leading connectors stay.
pub(crate) fn camelcase(args: &[Value]) -> Outcome {
    let mut runes = unicode::runes(args.bytes(0)).map(|rune| rune.char);
    let mut out = String::new();
    let mut current = None;
    for c in runes.by_ref() {
        if !is_connector(c) {
            current = Some(c);
            break;
        }
        out.push(c);
    }
    let Some(first) = current else {
        // Go: the loop that looks for the first letter leaves the last connector for a second time.
        let last = out.chars().next_back();
        out.extend(last);
        return Ok(out.into());
    };
    let mut in_upper = unicode::is_upper(first);
    let mut current = unicode::to_upper(first);
    for c in runes {
        let previous = std::mem::replace(&mut current, c);
        if is_connector(c) && is_connector(previous) {
            out.push(previous);
        } else if is_connector(previous) {
            in_upper = unicode::is_upper(c);
            current = unicode::to_upper(c);
        } else {
            if in_upper {
                if unicode::is_upper(c) {
                    current = unicode::to_lower(c);
                } else {
                    in_upper = false;
                }
            }
            out.push(previous);
        }
    }
    out.push(current);
    Ok(out.into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Invalid,
    Number,
    UpperCase,
    Alphabet,
    Connector,
    Punct,
    Other,
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || unicode::is_space(c)
}

/// A letter that is not of a common CJK range.
fn is_alphabet(c: char) -> bool {
    unicode::is_letter(c)
        && !matches!(c, '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}')
}

/// xstrings' `camelCaseToLowerCase`.
fn lower_case(text: &[u8], connector: char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    let put = |out: &mut Vec<u8>| out.extend_from_slice(connector.encode_utf8(&mut [0; 4]).as_bytes());
    let (mut kind, mut word, mut rest) = next_word(text);
    while !rest.is_empty() {
        if kind != Kind::Connector {
            append(&mut out, kind, word, connector);
        }
        let (before, last) = (kind, word);
        (kind, word, rest) = next_word(rest);
        match before {
            Kind::Number => {
                while matches!(kind, Kind::Alphabet | Kind::Number) {
                    append(&mut out, kind, word, connector);
                    (kind, word, rest) = next_word(rest);
                }
                if !matches!(kind, Kind::Invalid | Kind::Punct | Kind::Connector) {
                    put(&mut out);
                }
            }
            Kind::Connector => append(&mut out, before, last, connector),
            Kind::Punct => {}
            _ if kind != Kind::Number => {
                if !matches!(kind, Kind::Connector | Kind::Punct) {
                    put(&mut out);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word, rest) = next_word(rest);
                // A number belongs to the word before it: `Bld4Floor` is `bld4_floor`…
                if kind != Kind::Alphabet {
                    append(&mut out, Kind::Number, number, connector);
                    if !matches!(kind, Kind::Connector | Kind::Punct) {
                        put(&mut out);
                    }
                    continue;
                }
                // …unless lower case follows: `HTTP2xx` is `http_2xx`.
                put(&mut out);
                append(&mut out, Kind::Number, number, connector);
                while matches!(kind, Kind::Alphabet | Kind::Number) {
                    append(&mut out, kind, word, connector);
                    (kind, word, rest) = next_word(rest);
                }
                if !matches!(kind, Kind::Invalid | Kind::Connector | Kind::Punct) {
                    put(&mut out);
                }
            }
        }
    }
    append(&mut out, kind, word, connector);
    out
}

/// Writes a word in lower case.
fn append(out: &mut Vec<u8>, kind: Kind, word: &[u8], connector: char) {
    if !matches!(kind, Kind::UpperCase | Kind::Connector) {
        out.extend_from_slice(word);
        return;
    }
    for rune in unicode::runes(word) {
        let c = match rune.char {
            c if is_connector(c) => connector,
            c if unicode::is_upper(c) => unicode::to_lower(c),
            c => c,
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// The first rune that is not U+FFFD and the bytes up to its end; at the end of the text, `previous`.
fn next_valid(text: &[u8], previous: char) -> (char, usize) {
    let mut size = 0;
    for rune in unicode::runes(text) {
        size += rune.width;
        if rune.char != char::REPLACEMENT_CHARACTER {
            return (rune.char, size);
        }
    }
    (previous, size)
}

/// Splits off the first word: what kind it is, itself, the rest.
fn next_word(text: &[u8]) -> (Kind, &[u8], &[u8]) {
    let from = |at: usize| text.get(at..).unwrap_or_default();
    let split = |kind, at: usize| {
        let (word, rest) = text.split_at(at.min(text.len()));
        (kind, word, rest)
    };
    if text.is_empty() {
        return (Kind::Invalid, text, text);
    }
    let (first, size) = next_valid(text, char::REPLACEMENT_CHARACTER);
    if first == char::REPLACEMENT_CHARACTER {
        return split(Kind::Invalid, size);
    }
    // Runs over runes as long as `more` holds, from `at` on.
    let run = |mut at: usize, mut c: char, more: &dyn Fn(char) -> bool| {
        let mut last = 0;
        while at < text.len() {
            let (next, size) = next_valid(from(at), c);
            c = next;
            if !more(c) {
                break;
            }
            at += size;
            last = size;
        }
        (at, c, last)
    };
    let in_lower = |c: char| is_alphabet(c) && !unicode::is_upper(c);
    if is_connector(first) {
        return split(Kind::Connector, run(size, first, &is_connector).0);
    }
    if unicode::is_punct(first) {
        return split(Kind::Punct, run(size, first, &unicode::is_punct).0);
    }
    if unicode::is_upper(first) {
        if size >= text.len() {
            return split(Kind::UpperCase, size);
        }
        let (second, width) = next_valid(from(size), first);
        if unicode::is_upper(second) {
            let (end, c, last) = run(size + width, second, &unicode::is_upper);
            let last = if last == 0 { width } else { last };
            // `HTTPStatus`: the capital before the lower case starts the next word.
            let end = if end < text.len() && is_alphabet(c) { end - last } else { end };
            return split(Kind::UpperCase, end);
        }
        if is_alphabet(second) {
            return split(Kind::UpperCase, run(size + width, second, &in_lower).0);
        }
        return split(Kind::UpperCase, size);
    }
    if is_alphabet(first) {
        return split(Kind::Alphabet, run(size, first, &in_lower).0);
    }
    if unicode::is_number(first) {
        return split(Kind::Number, run(size, first, &unicode::is_number).0);
    }
    let other =
        |c: char| !(is_connector(c) || is_alphabet(c) || unicode::is_number(c) || unicode::is_punct(c));
    split(Kind::Other, run(size, first, &other).0)
}
