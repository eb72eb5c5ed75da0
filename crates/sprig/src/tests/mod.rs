//! Unit: every function through a template, against outputs of the real library.

mod crypto;
mod date;
mod dict;
mod encoding;
mod hostile;
mod list;
mod numeric;
mod regex;
mod semver;
mod strings;

use std::collections::BTreeSet;

use pintle_gotemplate::{Error, Limits, Options, TemplateSet, Value};

use crate::Environment;

/// What a template comes to.
pub(super) enum Expected {
    /// Its output.
    Gives(&'static str),
    /// The end of its error, behind the place.
    Fails(&'static str),
}

/// Renders a template without data.
pub(super) fn render(template: &str, environment: &Environment) -> Result<String, Error> {
    let funcs = crate::funcs();
    let mut set = TemplateSet::new();
    set.parse("t", template, &funcs)?;
    let options = Options { limits: Limits { steps: 2_000_000, ..Limits::default() }, ..Options::default() };
    let output = set.execute("t", &Value::Nil, &funcs, environment, &options)?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Compares a table, reporting all rows that differ.
pub(super) fn check(cases: &[(&str, Expected)]) {
    let mut wrong = Vec::new();
    for (template, expected) in cases {
        let got = render(template, &Environment::new()).map_err(|error| error.to_string());
        let same = match (expected, &got) {
            (Expected::Gives(output), Ok(got)) => got == output,
            (Expected::Fails(text), Err(error)) => error.ends_with(&format!(">: {text}")),
            _ => false,
        };
        if !same {
            wrong.push(format!("{template}\n  {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whoever adds a function adds a row to a table.
#[test]
fn every_function_has_a_case() {
    let tables = [
        include_str!("crypto.rs"),
        include_str!("date.rs"),
        include_str!("dict.rs"),
        include_str!("encoding.rs"),
        include_str!("list.rs"),
        include_str!("numeric.rs"),
        include_str!("regex.rs"),
        include_str!("semver.rs"),
        include_str!("strings.rs"),
        include_str!("hostile.rs"),
    ];
    let words: BTreeSet<&str> =
        tables.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')).collect();
    let mut sprig = pintle_gotemplate::Funcs::default();
    crate::add_to(&mut sprig);
    let missing: Vec<_> = sprig.names().filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unknown: Vec<_> = crate::NON_HERMETIC.iter().filter(|name| sprig.get(name).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// A render repeats when clock and randomness do, and tells what it has drawn.
#[test]
fn an_environment_makes_renders_repeatable() {
    let environment = || {
        let counter = std::cell::Cell::new(7u8);
        Environment::new()
            .with_clock(|| jiff::Timestamp::from_second(1_600_000_000).unwrap())
            .with_time_zone(jiff::tz::TimeZone::get("Europe/Berlin").unwrap())
            .with_random(move |buffer| {
                for byte in buffer {
                    counter.set(counter.get().wrapping_mul(37).wrapping_add(11));
                    *byte = counter.get();
                }
                Ok(())
            })
    };
    let template = r#"{{ now | date "15:04 MST" }} {{ randAlphaNum 8 }} {{ uuidv4 }} {{ bcrypt "x" }}
        {{- genPrivateKey "ed25519" }}{{ genPrivateKey "ecdsa" }}{{ encryptAES "k" "x" }}{{ shuffle "abcdef" }}"#;
    let first = environment();
    let output = render(template, &first).unwrap();
    assert!(output.starts_with("14:26 CEST "), "{output}");
    assert_eq!(output, render(template, &environment()).unwrap());
    assert_eq!(
        first.used().iter().map(|one| one.function.as_str()).collect::<Vec<_>>(),
        [
            "now",
            "randAlphaNum",
            "uuidv4",
            "bcrypt",
            "genPrivateKey",
            "genPrivateKey",
            "encryptAES",
            "shuffle"
        ]
    );
    assert_eq!(Environment::new().with_host(5u8).host::<u8>(), Some(&5));
}
