//! The tags of a repository, page by page, and the version among them that a constraint asks for.

use pintle_sprig::semver::{Constraint, Version};
use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;

use super::error::Error;
use super::reference::version_of;

/// Tags of one page.
pub const PAGE: usize = 1000;
/// Pages that are read; a list that does not end is no list.
pub const MAX_PAGES: usize = 100;
/// Bytes of one page.
pub const PAGE_BYTES: u64 = 4 << 20;
/// How many versions a message lists.
const LISTED: usize = 5;

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

/// The tags of one page.
pub fn parse(bytes: &[u8]) -> Option<Vec<String>> {
    serde_json::from_slice(bytes).ok().map(|page: Page| page.tags.unwrap_or_default())
}

/// Where the next page is, `here` being the address of this one.
///
/// # Errors
/// It is at another server.
pub fn next_page(here: &Url, headers: &HeaderMap) -> Result<Option<Url>, &'static str> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let Some(target) = links.flat_map(|text| text.split(',')).find_map(next_target) else { return Ok(None) };
    let next = here.join(target).map_err(|_| "leads to an address that is none")?;
    if next.origin() == here.origin() { Ok(Some(next)) } else { Err("leads to another server") }
}

/// The target of `<target>; rel="next"`.
fn next_target(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    };
    parameters.split(';').any(next).then_some(target)
}

/// The tag that `constraint` asks for: the newest version that satisfies it. The error lists the newest ones.
///
/// # Errors
/// None does, or the constraint is none.
///
/// # Compatibility
/// As Helm v4 `pkg/registry/client.go:Tags` and `GetTagMatchingVersionOrConstraint`: tags that are no strict semantic
/// versions are no versions of a chart.
pub fn choose(name: &str, tags: &[String], constraint: Option<&str>) -> Result<String, Error> {
    let text = constraint.filter(|text| !text.is_empty()).unwrap_or("*");
    let range = Constraint::parse(text)
        .map_err(|error| Error::Constraint { constraint: text.to_owned(), why: error.to_string() })?;
    let mut versions: Vec<(Version, &String)> =
        tags.iter().filter_map(|tag| Some((Version::parse_strict(&version_of(tag)).ok()?, tag))).collect();
    // Of versions that differ in their build metadata only, the last one in the order of text.
    versions.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| other.cmp(one)));
    let exact = versions.iter().find(|(_, tag)| version_of(tag) == text);
    let chosen = exact.or_else(|| versions.iter().find(|(version, _)| range.check(version)));
    chosen.map(|(_, tag)| (*tag).clone()).ok_or_else(|| Error::NoVersion {
        name: name.to_owned(),
        constraint: text.to_owned(),
        newest: versions.iter().take(LISTED).map(|(_, tag)| version_of(tag)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn the_newest_version_within_the_range_is_chosen() {
        let tags = [
            "latest",
            "1.2.3",
            "v9.9.9",
            "1.10.0",
            "2.0.0-rc.1",
            "1.10.0_b.2",
            "1.10.0_b.1",
            "sha256-ab.sig",
            "1.4",
        ];
        let tags: Vec<String> = tags.map(str::to_owned).to_vec();
        for (constraint, expected) in [
            (None, Some("1.10.0_b.2")),
            (Some(""), Some("1.10.0_b.2")),
            (Some("1.10.0+b.1"), Some("1.10.0_b.1")),
            (Some("~1.2"), Some("1.2.3")),
            (Some(">=2.0.0-0"), Some("2.0.0-rc.1")),
            (Some(">=2"), None),
            (Some("latest"), None),
        ] {
            assert_eq!(choose("h/x", &tags, constraint).ok().as_deref(), expected, "{constraint:?}");
        }
        let Err(Error::NoVersion { newest, .. }) = choose("h/x", &tags, Some("^7")) else { panic!() };
        assert_eq!(newest, ["2.0.0-rc.1", "1.10.0+b.2", "1.10.0+b.1", "1.10.0", "1.2.3"]);
    }

    #[test]
    fn pages_follow_one_another_on_one_server() {
        let here = Url::parse("https://h/v2/x/tags/list?n=2").unwrap();
        for (link, expected) in [
            (r#"</v2/x/tags/list?last=b&n=2>; rel="next""#, Ok(Some("https://h/v2/x/tags/list?last=b&n=2"))),
            (r#"<https://h/a>; rel=prev, <https://h:443/b>; foo; rel=next"#, Ok(Some("https://h/b"))),
            (r#"<https://evil.example/v2>; rel="next""#, Err("leads to another server")),
            (r#"<http://h/v2>; rel="next""#, Err("leads to another server")),
            ("", Ok(None)),
            ("<;>", Ok(None)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, HeaderValue::from_static(link));
            let got = next_page(&here, &headers);
            assert_eq!(
                got.as_ref().map(|url| url.as_ref().map(Url::as_str)),
                expected.as_ref().copied(),
                "{link}"
            );
        }
    }
}
