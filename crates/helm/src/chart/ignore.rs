//! `.helmignore`: which files of a chart's directory are left out.
//!
//! Not git's rules: a pattern without `/` looks at the base name only, `**` is refused, and `!pattern` ignores
//! everything that does *not* match it.

use super::Error;
use super::path_match::path_match;

/// The rules of one directory, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    /// Where it is matched: the whole relative path, or the base name.
    whole_path: bool,
    negated: bool,
    directories_only: bool,
}

impl Rules {
    /// Reads the file's text.
    ///
    /// # Errors
    /// A pattern is malformed, or uses `**`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut rules = Self::default();
        for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
            rules.add(line)?;
        }
        Ok(rules)
    }

    /// Adds what Helm always ignores: dot files in `templates/`.
    pub(super) fn with_defaults(mut self) -> Self {
        self.0.push(Pattern {
            text: "templates/.?*".to_owned(),
            whole_path: true,
            negated: false,
            directories_only: false,
        });
        self
    }

    fn add(&mut self, line: &str) -> Result<(), Error> {
        let rule = line.trim();
        if rule.is_empty() || rule.starts_with('#') {
            return Ok(());
        }
        if rule.contains("**") {
            return Err(Error::DoubleStar);
        }
        path_match(rule, "abc").map_err(|_| Error::IgnorePattern)?;
        let (negated, rule) = rule.strip_prefix('!').map_or((false, rule), |rule| (true, rule));
        let (directories_only, rule) = rule.strip_suffix('/').map_or((false, rule), |rule| (true, rule));
        let (rooted, rule) = rule.strip_prefix('/').map_or((false, rule), |rule| (true, rule));
        self.0.push(Pattern {
            text: rule.to_owned(),
            whole_path: rooted || rule.contains('/'),
            negated,
            directories_only,
        });
        Ok(())
    }

    /// Whether the file or directory at `path`, relative to the chart, is left out.
    pub(super) fn ignores(&self, path: &str, is_directory: bool) -> bool {
        if path.is_empty() || path == "." || path == "./" {
            return false;
        }
        for pattern in &self.0 {
            let name = if pattern.whole_path { path } else { path.rsplit('/').next().unwrap_or(path) };
            let matched = path_match(&pattern.text, name).unwrap_or(false);
            if pattern.negated {
                if (pattern.directories_only && !is_directory) || !matched {
                    return true;
                }
            } else if matched && (is_directory || !pattern.directories_only) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Helm v4 `pkg/ignore/rules_test.go`.
    #[test]
    fn ignores_as_helm_does() {
        for (rules, path, is_directory, expected) in [
            ("helm.txt", "helm.txt", false, true),
            ("helm.*", "helm.txt", false, true),
            ("*.txt", "tiller.txt", false, true),
            ("cargo/*.txt", "cargo/a.txt", false, true),
            ("cargo/*.txt", "mast/a.txt", false, false),
            ("/*.txt", "a.txt", false, true),
            ("/*.txt", "cargo/a.txt", false, false),
            ("a.txt", "cargo/a.txt", false, true),
            ("cargo/", "cargo", true, true),
            ("cargo/", "cargo", false, false),
            ("!helm.txt", "helm.txt", false, false),
            ("!helm.txt", "tiller.txt", false, true),
            ("!*.txt", "cargo", true, true),
            ("# comment", "# comment", false, false),
            ("\u{feff}helm.txt", "helm.txt", false, true),
        ] {
            assert_eq!(Rules::parse(rules).unwrap().ignores(path, is_directory), expected, "{rules}: {path}");
        }
    }

    #[test]
    fn refuses_what_helm_refuses() {
        for (rules, message) in
            [("a/**/b", "double-star (**) syntax is not supported"), ("[", "syntax error in pattern")]
        {
            assert_eq!(Rules::parse(rules).unwrap_err().to_string(), message);
        }
    }
}
