//! Splits rendered text into documents.

/// The documents of `text`, without those that are blank.
///
/// A separator is `---` at the start of a line, whatever follows it on the line: `---kind: A` begins a document,
/// and a block scalar with `---` in its first column is cut in two.
///
/// # Compatibility
/// As Helm v4 `pkg/release/v1/util/manifest.go:SplitManifests`: cut at `(?m)^---[ \t]*`, white space trimmed on
/// the left only.
///
/// # Examples
/// ```
/// use pintle_helm::manifest::split;
/// assert_eq!(split("\na: 1\n---\n \n--- # c\nb: 2\n"), ["a: 1\n", "# c\nb: 2\n"]);
/// ```
pub fn split(text: &str) -> Vec<&str> {
    let text = text.trim_start();
    let mut documents = Vec::new();
    let mut start = 0;
    let first = text.starts_with("---").then_some(0);
    let further = memchr::memmem::find_iter(text.as_bytes(), "\n---").map(|at| at + 1);
    for separator in first.into_iter().chain(further) {
        documents.push(text.get(start..separator).unwrap_or_default());
        let rest = text.get(separator + 3..).unwrap_or_default();
        start = text.len() - rest.trim_start_matches([' ', '\t']).len();
    }
    documents.push(text.get(start..).unwrap_or_default());
    documents.into_iter().map(str::trim_start).filter(|document| !document.is_empty()).collect()
}

/// The documents of `text` as Helm 3 cuts it.
///
/// # Compatibility
/// As Helm v3 `pkg/releaseutil/manifest.go:SplitManifests`: cut at `(?:^|\s*\n)---\s*`, white space trimmed on both
/// sides. The blanks after a separator belong to it, so a separator that follows at once is no separator any more.
pub fn split_v3(text: &str) -> Vec<&str> {
    let text = text.trim();
    let (mut documents, mut start, mut from) = (Vec::new(), 0, 0);
    while let Some(found) = text.get(from..).and_then(|rest| rest.find("---")) {
        let at = from + found;
        // A match cannot begin before the end of the last one.
        let before = text.get(start..at).unwrap_or_default();
        if at > 0 && !before.ends_with('\n') {
            from = at + 1;
            continue;
        }
        documents.push(before);
        let rest = text.get(at + 3..).unwrap_or_default();
        start = text.len() - rest.trim_start().len();
        from = start;
    }
    documents.push(text.get(start..).unwrap_or_default());
    documents.into_iter().map(str::trim).filter(|document| !document.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What helm v3.22.0 does with the conformance cases `manifest.split.*`.
    #[test]
    fn texts_are_cut_as_in_helm_3() {
        for (text, expected) in [
            ("kind: A\n---\nkind: B\n", vec!["kind: A", "kind: B"]),
            ("---\n---\n---\nkind: A\n", vec!["---", "kind: A"]),
            ("kind: A\n---\n\n---\nkind: C\n", vec!["kind: A", "---\nkind: C"]),
            ("kind: A\n--- # trailing\nkind: B\n", vec!["kind: A", "# trailing\nkind: B"]),
            ("", vec![]),
        ] {
            assert_eq!(split_v3(text), expected, "{text:?}");
        }
    }

    /// What helm v4.3.1 does with the conformance cases `manifest.split.*`.
    #[test]
    fn texts_are_cut_as_in_helm() {
        for (text, expected) in [
            ("kind: A\n---\nkind: B\n", vec!["kind: A\n", "kind: B\n"]),
            ("---\nkind: A\n", vec!["kind: A\n"]),
            ("kind: A\n---kind: B\n", vec!["kind: A\n", "kind: B\n"]),
            ("kind: A\n----\nkind: B\n", vec!["kind: A\n", "-\nkind: B\n"]),
            ("kind: A\n ---\nkind: B\n", vec!["kind: A\n ---\nkind: B\n"]),
            ("kind: A\n---\n\n---\nkind: C\n", vec!["kind: A\n", "kind: C\n"]),
            ("kind: A\n------\nkind: B", vec!["kind: A\n", "---\nkind: B"]),
            ("\n\n  \n", vec![]),
            ("", vec![]),
            ("---", vec![]),
            ("   \nkind: A   \n\n   ", vec!["kind: A   \n\n   "]),
        ] {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }
}
