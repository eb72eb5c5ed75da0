//! Splits a stream into documents, as Kubernetes' `YAMLReader` and with it Helm 4 do.
//!
//! It does so by lines, before any YAML is looked at: `---` at the start of a line separates documents even
//! inside of a block scalar.

use std::borrow::Cow;

use crate::Error;

/// Splits `text`; a document that is empty is left out.
///
/// Lines come out with `\n` as their end, whatever it was.
pub(crate) fn split(whole: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, Error> {
    let mut documents = Vec::new();
    let mut current = Vec::new();
    let text = whole.strip_suffix(b"\n").unwrap_or(whole);
    if text.is_empty() {
        return Ok(documents);
    }
    let separated = text.starts_with(b"---") || memchr::memmem::find(text, b"\n---").is_some();
    if !separated && text.len() < whole.len() && memchr::memchr(b'\r', text).is_none() {
        return Ok(vec![Cow::Borrowed(whole)]);
    }
    for line in text.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(rest) = line.strip_prefix(b"---") {
            let rest = String::from_utf8_lossy(rest);
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(Error::Separator(rest.to_owned()));
            }
            if !current.is_empty() {
                documents.push(Cow::Owned(std::mem::take(&mut current)));
                continue;
            }
        }
        // Go: a separator without a document before it becomes part of the next one.
        current.extend_from_slice(line);
        current.push(b'\n');
    }
    if !current.is_empty() {
        documents.push(Cow::Owned(current));
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_by_lines() {
        for (text, expected) in [
            ("", Some(&[][..])),
            ("\n", Some(&[])),
            ("a: 1", Some(&["a: 1\n"])),
            ("a: 1\r\n---\nb: 2\n", Some(&["a: 1\n", "b: 2\n"])),
            ("---\na: 1\n--- # c\nb: 2\n", Some(&["---\na: 1\n", "b: 2\n"])),
            ("---\n---\na: 1\n", Some(&["---\n", "a: 1\n"])),
            ("a: 1\n---b: 2\n", None),
        ] {
            let documents = split(text.as_bytes()).ok().map(|documents| {
                documents
                    .into_iter()
                    .map(|document| String::from_utf8(document.into_owned()).unwrap())
                    .collect::<Vec<_>>()
            });
            assert_eq!(
                documents.as_deref(),
                expected.map(|e| e.iter().map(|s| s.to_string()).collect::<Vec<_>>()).as_deref(),
                "{text:?}"
            );
        }
    }
}
