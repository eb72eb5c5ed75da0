//! The patterns of `.Files.Glob`: `*` and `?` within a path's part, `**` across parts, `[a-z]`, `{a,b}`, `\`.
//!
//! # Compatibility
//! As `github.com/gobwas/glob` with the separator `/`.

/// A pattern.
#[derive(Debug)]
pub(super) struct Glob(Vec<Token>);

#[derive(Debug)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Part,
    /// `**`
    Any,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    Either(Vec<Vec<Token>>),
}

impl Glob {
    /// Reads a pattern; nothing when it is malformed.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut chars = pattern.chars().peekable();
        let tokens = tokens(&mut chars, 0)?;
        chars.next().is_none().then_some(Self(tokens))
    }

    /// Whether the whole of `name` matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        // The budget keeps a hostile pattern from taking exponential time.
        let mut budget = 1_000_000;
        let tokens: Vec<&Token> = self.0.iter().collect();
        matches(&tokens, &name, &mut budget)
    }
}

type Chars<'p> = std::iter::Peekable<std::str::Chars<'p>>;

fn tokens(chars: &mut Chars<'_>, depth: usize) -> Option<Vec<Token>> {
    if depth > 16 {
        return None;
    }
    let mut tokens = Vec::new();
    while let Some(&c) = chars.peek() {
        if depth > 0 && matches!(c, ',' | '}') {
            break;
        }
        chars.next();
        tokens.push(match c {
            '\\' => Token::Char(chars.next()?),
            '?' => Token::One,
            '*' => {
                if chars.next_if_eq(&'*').is_some() {
                    Token::Any
                } else {
                    Token::Part
                }
            }
            '[' => class(chars)?,
            '{' => {
                let mut alternatives = Vec::new();
                loop {
                    alternatives.push(self::tokens(chars, depth + 1)?);
                    match chars.next()? {
                        '}' => break,
                        ',' => {}
                        _ => return None,
                    }
                }
                Token::Either(alternatives)
            }
            c => Token::Char(c),
        });
    }
    Some(tokens)
}

fn class(chars: &mut Chars<'_>) -> Option<Token> {
    let negated = chars.next_if_eq(&'!').is_some();
    let mut ranges = Vec::new();
    loop {
        match chars.next()? {
            ']' if !ranges.is_empty() => return Some(Token::Class { negated, ranges }),
            ']' => return None,
            '\\' => {
                let c = chars.next()?;
                ranges.push((c, c));
            }
            low => {
                let mut ahead = chars.clone();
                let range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
                if range {
                    chars.next();
                    let high = chars.next()?;
                    if high < low {
                        return None;
                    }
                    ranges.push((low, high));
                } else {
                    ranges.push((low, low));
                }
            }
        }
    }
}

fn matches(tokens: &[&Token], name: &[char], budget: &mut u32) -> bool {
    *budget = budget.saturating_sub(1);
    if *budget == 0 {
        return false;
    }
    let Some((token, rest)) = tokens.split_first() else { return name.is_empty() };
    let next = name.split_first();
    match token {
        Token::Char(wanted) => next.is_some_and(|(c, name)| c == wanted && matches(rest, name, budget)),
        Token::One => next.is_some_and(|(c, name)| *c != '/' && matches(rest, name, budget)),
        Token::Class { negated, ranges } => next.is_some_and(|(c, name)| {
            let inside = ranges.iter().any(|(low, high)| low <= c && c <= high);
            inside != *negated && matches(rest, name, budget)
        }),
        Token::Part | Token::Any => {
            let across = matches!(token, Token::Any);
            let end =
                if across { name.len() } else { name.iter().position(|c| *c == '/').unwrap_or(name.len()) };
            (0..=end).any(|taken| matches(rest, name.get(taken..).unwrap_or_default(), budget))
        }
        Token::Either(alternatives) => alternatives.iter().any(|alternative| {
            let joined: Vec<&Token> = alternative.iter().chain(rest.iter().copied()).collect();
            matches(&joined, name, budget)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_helm() {
        for (pattern, name, expected) in [
            ("conf/*", "conf/a.txt", true),
            ("conf/*", "conf/sub/c.txt", false),
            ("conf/**", "conf/sub/c.txt", true),
            ("conf/**.txt", "conf/sub/c.txt", true),
            ("conf/**.txt", "conf/b.yaml", false),
            ("**", "a/b/c", true),
            ("*", "a/b", false),
            ("{a,b}/*.{yml,yaml}", "b/x.yaml", true),
            ("{a,b}/*.{yml,yaml}", "c/x.yaml", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("a\\*", "a*", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(glob.matches(name), expected, "{pattern} on {name}");
        }
        for malformed in ["[", "{a", "[]"] {
            assert!(Glob::parse(malformed).is_none(), "{malformed}");
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let glob = Glob::parse(&"*a".repeat(30)).unwrap();
        assert!(!glob.matches(&"a".repeat(25)));
    }
}
