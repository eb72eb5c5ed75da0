//! Searching the indexes of the user's repositories, as `helm search repo`.

use std::collections::{BTreeMap, HashSet};

use pintle_sprig::semver::{Constraint, Version};
use regex::Regex;

use super::{Error, IndexFile};

/// Matches that are worse than this do not count.
const MAX_SCORE: usize = 25;
/// Stands between the fields of what is searched: where a match is says how good it is.
const SEPARATOR: char = '\u{b}';

/// What is searched for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The words; none finds everything.
    pub words: Option<String>,
    /// Whether they are a regular expression.
    pub regexp: bool,
    /// Whether all versions are told, not the newest of each chart.
    pub versions: bool,
    /// Versions that count.
    pub constraint: String,
}

/// A chart that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Repository and chart.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of what is inside.
    pub app_version: String,
    /// What it says of itself.
    pub description: String,
}

/// Finds charts in `indexes`, each by the name of its repository.
///
/// # Errors
/// The expression or the constraint is none.
///
/// # Compatibility
/// As Helm v4 `pkg/cmd/search/search.go` and `pkg/cmd/search_repo.go`.
pub fn search(indexes: &[(String, IndexFile)], query: &Query) -> Result<Vec<Hit>, Error> {
    let constraint = Constraint::parse(&query.constraint)
        .map_err(|error| Error::refused(format!("an invalid version/constraint format: {error}")))?;
    let words = query.words.as_deref();
    let matcher = match words.filter(|_| query.regexp) {
        Some(words) => Some(Regex::new(words).map_err(|error| Error::refused(error.to_string()))?),
        None => None,
    };
    let score = |line: &str| -> Option<usize> {
        let (at, line) = match (&matcher, words) {
            (Some(matcher), _) => (matcher.find(line)?.start(), line.to_owned()),
            (None, Some(words)) => {
                let line = line.to_lowercase();
                (line.find(&words.to_lowercase())?, line)
            }
            (None, None) => return Some(0),
        };
        let score = line.match_indices(SEPARATOR).take_while(|(separator, _)| at > *separator).count();
        (score < MAX_SCORE).then_some(score)
    };
    // By name and version: of two entries for one version the last one counts, as with helm.
    let mut found = BTreeMap::new();
    for (repository, index) in indexes {
        for (name, listed) in index.entries() {
            let keywords = listed.texts("keywords").join(" ");
            let (own, description) = (listed.text("name"), listed.text("description"));
            let full = format!("{repository}/{own}");
            let line =
                [&own, &full, &description, &keywords].map(String::as_str).join(&SEPARATOR.to_string());
            let version = listed.text("version");
            let (Some(score), Ok(parsed)) = (score(&line), Version::parse(&version)) else {
                continue;
            };
            let name = format!("{repository}/{name}");
            let hit = Hit {
                name: name.clone(),
                version: version.clone(),
                app_version: listed.text("appVersion"),
                description,
            };
            found.insert((name, version), (score, parsed, hit));
        }
    }
    let mut found: Vec<(usize, Version, Hit)> = found.into_values().collect();
    found.sort_by(|(a_score, a_version, a), (b_score, b_version, b)| {
        (a_score, &a.name).cmp(&(b_score, &b.name)).then_with(|| b_version.cmp(a_version))
    });
    let mut told = HashSet::new();
    let hits = found.into_iter().filter(|(_, version, hit)| {
        constraint.check(version) && (told.insert(hit.name.clone()) || query.versions)
    });
    Ok(hits.map(|(_, _, hit)| hit).collect())
}
