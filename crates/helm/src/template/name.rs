//! The release's name: given, made by a template, or Helm's own for those who do not care.

use pintle_gotemplate::{Limits, MissingKey, Options, TemplateSet, Value};
use pintle_sprig::Environment;

use super::{Error, Template};

/// The file that Go's errors name.
const FILE: &str = "name-template";

impl Template {
    /// The name that the release gets.
    ///
    /// # Errors
    /// More than one name is asked for, or the template fails.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/action/install.go:NameAndChart`, called by `helm template` with `release-name` as a name that is
    /// there already, so that `--generate-name` generates none.
    pub(super) fn release_name(&self) -> Result<String, Error> {
        let refuse = |flag| Err(Error::TwoNames { flag });
        match (&self.name, self.name_template.as_deref().filter(|text| !text.is_empty())) {
            (Some(_), _) if self.generate_name => refuse("--generate-name"),
            (Some(_), Some(_)) => refuse("--name-template"),
            (Some(name), None) => Ok(name.clone()),
            (None, Some(template)) => made(template),
            (None, None) => Ok("release-name".to_owned()),
        }
    }
}

/// What a template makes: with sprig's functions, none of Helm's, and no data.
fn made(template: &str) -> Result<String, Error> {
    let funcs = pintle_sprig::funcs();
    let mut set = TemplateSet::new();
    set.parse(FILE, template, &funcs).map_err(Error::NameTemplate)?;
    let options = Options { missing_key: MissingKey::default(), limits: Limits::default() };
    let name = set.execute(FILE, &Value::Nil, &funcs, &Environment::new(), &options);
    Ok(String::from_utf8_lossy(&name.map_err(Error::NameTemplate)?).into_owned())
}

/// Checks a release's name.
///
/// # Errors
/// With Helm's text.
pub fn check_release_name(name: &str) -> Result<(), Error> {
    let label = |part: &str| {
        let bytes = part.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        bytes.iter().all(|b| inner(b) || *b == b'-')
            && bytes.first().is_some_and(inner)
            && bytes.last().is_some_and(inner)
    };
    let reason = if name.is_empty() {
        "no name provided".to_owned()
    } else if name.len() > 53 || !name.split('.').all(label) {
        "invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::ReleaseName { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by helm v4.3.1 `template CHART --name-template …`.
    #[test]
    fn names_are_made_and_refused_as_in_helm() {
        for (template, expected) in [
            (r#"n-{{ "A" | lower }}"#, "n-a"),
            ("n-{{ .x }}", "n-<no value>"),
            ("{{ . }}", "<no value>"),
            ("", "release-name"),
            ("{{ nope }}", r#"template: name-template:1: function "nope" not defined"#),
            ("n-{{", "template: name-template:1: unclosed action"),
            (r#"{{ include "x" . }}"#, r#"template: name-template:1: function "include" not defined"#),
            (
                r#"{{ fail "x" }}"#,
                r#"template: name-template:1:3: executing "name-template" at <fail "x">: error calling fail: x"#,
            ),
            (
                "{{ lower 1 }}",
                r#"template: name-template:1:9: executing "name-template" at <1>: expected string; found 1"#,
            ),
        ] {
            let arguments = Template { name_template: Some(template.to_owned()), ..Template::default() };
            let name = arguments.release_name().unwrap_or_else(|error| error.to_string());
            assert_eq!(name, expected, "{template}");
        }
    }

    #[test]
    fn one_name_is_enough() {
        let given = Template { name: Some("rel".to_owned()), ..Template::default() };
        let generated = Template { generate_name: true, ..Template::default() };
        let both = Template { generate_name: true, ..given.clone() };
        let made = Template { name_template: Some("x".to_owned()), ..given.clone() };
        for (arguments, expected) in [
            (given, "rel"),
            (Template::default(), "release-name"),
            (generated, "release-name"),
            (both, "cannot set --generate-name and also specify a name"),
            (made, "cannot set --name-template and also specify a name"),
        ] {
            let name = arguments.release_name().unwrap_or_else(|error| error.to_string());
            assert_eq!(name, expected);
        }
    }
}
