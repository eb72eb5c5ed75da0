//! What a registry asks for with its 401: `WWW-Authenticate`.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// Longest list of challenges that is read.
const MAX_LENGTH: usize = 8192;

/// How a registry wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// With the credentials themselves.
    Basic,
    /// With a token that another server gives for them.
    Bearer {
        /// The address of that server.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
        /// What it allows.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The challenge that is met, tokens before passwords.
    pub fn find(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<Self> = texts.filter(|text| text.len() <= MAX_LENGTH).flat_map(parse).collect();
        all.iter().find(|challenge| matches!(challenge, Self::Bearer { .. })).or(all.first()).cloned()
    }
}

/// The challenges of one header: schemes, each followed by its `name="value"` pairs.
fn parse(text: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = text;
    let mut open: Option<(String, Vec<(String, String)>)> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        let Some(value) = after.strip_prefix('=') else {
            challenges.extend(open.take().and_then(finished));
            open = Some((word.to_ascii_lowercase(), Vec::new()));
            rest = after;
            continue;
        };
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = value.find([' ', '\t', ',']).unwrap_or(value.len());
                let (value, after) = value.split_at(end);
                (value.to_owned(), after)
            }
        };
        if let Some((_, pairs)) = &mut open {
            pairs.push((word.to_ascii_lowercase(), value));
        }
        rest = after;
    }
    challenges.extend(open.take().and_then(finished));
    challenges
}

/// The text up to the closing quote, and what follows it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

fn finished((scheme, pairs): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => {
            Some(Challenge::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(texts: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, reqwest::header::HeaderValue::from_static(text));
        }
        Challenge::find(&headers)
    }

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        for (texts, expected) in [
            (
                &[
                    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                ][..],
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:a/b:pull,push"),
                ),
            ),
            (&[r#"bearer  realm="https://h/t" , service=x"#], bearer("https://h/t", Some("x"), None)),
            (&[r#"Basic realm="a \"b\", c", Bearer realm="https://h/t""#], bearer("https://h/t", None, None)),
            (&["Basic realm=\"Registry Realm\""], Some(Challenge::Basic)),
            (&["Basic"], Some(Challenge::Basic)),
            (&["Negotiate", "Basic realm=x"], Some(Challenge::Basic)),
            (&["Bearer service=x"], None),
            (&["", "=\"", "Bearer realm=\"unclosed"], bearer("unclosed", None, None)),
            (&["Negotiate abc=="], None),
            (&[], None),
        ] {
            assert_eq!(find(texts), expected, "{texts:?}");
        }
    }
}
