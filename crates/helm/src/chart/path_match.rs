//! Shell patterns as Go's `path/filepath.Match` reads them: `*`, `?`, `[a-z]` and `\`, never crossing a `/`.

/// The pattern is malformed (Go's `filepath.ErrBadPattern`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Whether the whole of `name` matches `pattern`.
///
/// # Errors
/// The part of the pattern that had to be looked at is malformed.
pub fn path_match(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let (mut pattern, mut name) = (pattern, name);
    'pattern: while !pattern.is_empty() {
        let (star, chunk, rest) = scan_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains('/'));
        }
        if let Some(left) = match_chunk(chunk, name)?
            && (left.is_empty() || !pattern.is_empty())
        {
            name = left;
            continue;
        }
        if star {
            for (at, c) in name.char_indices() {
                if c == '/' {
                    break;
                }
                let tail = name.get(at + c.len_utf8()..).unwrap_or_default();
                if let Some(left) = match_chunk(chunk, tail)? {
                    if pattern.is_empty() && !left.is_empty() {
                        continue;
                    }
                    name = left;
                    continue 'pattern;
                }
            }
        }
        // Go: the rest of the pattern is still checked for its syntax.
        while !pattern.is_empty() {
            let (_, chunk, rest) = scan_chunk(pattern);
            pattern = rest;
            match_chunk(chunk, "")?;
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Splits leading stars and the text up to the next star off.
fn scan_chunk(pattern: &str) -> (bool, &str, &str) {
    let trimmed = pattern.trim_start_matches('*');
    let star = trimmed.len() < pattern.len();
    let (mut in_range, mut escaped) = (false, false);
    for (i, c) in trimmed.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match c {
            '\\' => escaped = true,
            '[' => in_range = true,
            ']' => in_range = false,
            '*' if !in_range => {
                let (chunk, rest) = trimmed.split_at(i);
                return (star, chunk, rest);
            }
            _ => {}
        }
    }
    (star, trimmed, "")
}

/// Matches one chunk at the start of `name`; what is left of the name, or nothing.
fn match_chunk<'n>(chunk: &str, name: &'n str) -> Result<Option<&'n str>, BadPattern> {
    // Go: what cannot match is still read to its end, for the mistakes in it; these have none.
    let is_sound = !chunk.contains(['[', '\\']);
    let mut failed = false;
    let mut pattern = chunk.chars();
    let mut rest = name.chars();
    while let Some(p) = pattern.next() {
        if !failed && rest.as_str().is_empty() {
            failed = true;
        }
        if failed && is_sound {
            return Ok(None);
        }
        match p {
            '[' => {
                let c = if failed { None } else { rest.next() };
                let negated = pattern.as_str().starts_with('^');
                if negated {
                    pattern.next();
                }
                let (mut matched, mut count) = (false, 0);
                loop {
                    if pattern.as_str().starts_with(']') && count > 0 {
                        pattern.next();
                        break;
                    }
                    let low = range_end(&mut pattern)?;
                    let mut high = low;
                    if pattern.as_str().starts_with('-') {
                        pattern.next();
                        high = range_end(&mut pattern)?;
                    }
                    matched |= c.is_some_and(|c| low <= c && c <= high);
                    count += 1;
                }
                failed |= matched == negated;
            }
            '?' => {
                if !failed {
                    failed = rest.next().is_none_or(|c| c == '/');
                }
            }
            _ => {
                let p = if p == '\\' { pattern.next().ok_or(BadPattern)? } else { p };
                if !failed {
                    failed = rest.next() != Some(p);
                }
            }
        }
    }
    Ok((!failed).then_some(rest.as_str()))
}

/// One end of a range, with its escape.
fn range_end(pattern: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    let c = match pattern.next() {
        None | Some('-' | ']') => return Err(BadPattern),
        Some('\\') => pattern.next().ok_or(BadPattern)?,
        Some(c) => c,
    };
    if pattern.as_str().is_empty() { Err(BadPattern) } else { Ok(c) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Go 1.26 `path/filepath/match_test.go`.
    #[test]
    fn matches_as_go_does() {
        for (pattern, name, expected) in [
            ("abc", "abc", Ok(true)),
            ("*", "abc", Ok(true)),
            ("*c", "abc", Ok(true)),
            ("a*", "a", Ok(true)),
            ("a*", "abc", Ok(true)),
            ("a*", "ab/c", Ok(false)),
            ("a*/b", "abc/b", Ok(true)),
            ("a*/b", "a/c/b", Ok(false)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Ok(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", Ok(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Ok(false)),
            ("ab[c]", "abc", Ok(true)),
            ("ab[b-d]", "abc", Ok(true)),
            ("ab[e-g]", "abc", Ok(false)),
            ("ab[^c]", "abc", Ok(false)),
            ("ab[^e-g]", "abc", Ok(true)),
            ("a\\*b", "a*b", Ok(true)),
            ("a\\*b", "ab", Ok(false)),
            ("a?b", "a☺b", Ok(true)),
            ("a[^a]b", "a☺b", Ok(true)),
            ("a???b", "a☺b", Ok(false)),
            ("[a-ζ]*", "α", Ok(true)),
            ("*[a-ζ]", "A", Ok(false)),
            ("a?b", "a/b", Ok(false)),
            ("a*b", "a/b", Ok(false)),
            ("[\\]a]", "]", Ok(true)),
            ("[\\-x]", "x", Ok(true)),
            ("[]a]", "]", Err(BadPattern)),
            ("[-]", "-", Err(BadPattern)),
            ("[x-]", "x", Err(BadPattern)),
            ("[a-b-c]", "a", Err(BadPattern)),
            ("[", "a", Err(BadPattern)),
            ("[^", "a", Err(BadPattern)),
            ("a[", "a", Err(BadPattern)),
            ("a[", "ab", Err(BadPattern)),
            ("a[", "x", Err(BadPattern)),
            ("a/b[", "x", Err(BadPattern)),
            ("*x", "xxx", Ok(true)),
        ] {
            assert_eq!(path_match(pattern, name), expected, "{pattern} on {name}");
        }
    }
}
