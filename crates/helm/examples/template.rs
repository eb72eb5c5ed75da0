//! `helm template` as a program of its own, for the conformance tools.

use std::io::{self, Write};
use std::process::ExitCode;

use pintle_helm::template::Template;

fn main() -> ExitCode {
    let mut stdout = io::stdout().lock();
    match arguments(std::env::args().skip(1))
        .and_then(|template| template.run(&mut stdout).map_err(|error| chain(&error)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn arguments(arguments: impl Iterator<Item = String>) -> Result<Template, String> {
    let mut template = Template::default();
    let mut positional = Vec::new();
    let mut name_template = false;
    let mut rest = arguments.skip_while(|argument| argument == "template");
    while let Some(argument) = rest.next() {
        let (flag, mut inline) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let mut value =
            || inline.take().or_else(|| rest.next()).ok_or_else(|| format!("flag needs an argument: {flag}"));
        let split = |text: String| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match flag.as_str() {
            "-n" | "--namespace" => template.namespace = Some(value()?),
            "-f" | "--values" => template.values.files.extend(split(value()?)),
            "--set" => template.values.set.push(value()?),
            "--set-string" => template.values.strings.push(value()?),
            "--set-json" => template.values.json.push(value()?),
            "--set-file" => template.values.from_files.push(value()?),
            "--set-literal" => template.values.literals.push(value()?),
            "--kube-version" => template.kube_version = Some(value()?),
            "-a" | "--api-versions" => template.api_versions.extend(split(value()?)),
            "-s" | "--show-only" => template.show_only.push(value()?),
            "--output-dir" => template.output_dir = Some(value()?.into()),
            "--name-template" => name_template = !value()?.is_empty(),
            "--release-name" => template.release_folder = true,
            "--include-crds" => template.include_crds = true,
            "--skip-crds" => {}
            "--no-hooks" => template.no_hooks = true,
            "--skip-tests" => template.skip_tests = true,
            "--is-upgrade" => template.is_upgrade = true,
            "--skip-schema-validation" => template.skip_schema_validation = true,
            flag if flag.starts_with('-') => return Err(format!("unknown flag: {flag}")),
            _ => positional.push(flag),
        }
    }
    match positional.as_slice() {
        [chart] => template.chart.clone_from(chart),
        [_, _] if name_template => {
            return Err("cannot set --name-template and also specify a name".to_owned());
        }
        [name, chart] => {
            template.name = Some(name.clone());
            template.chart.clone_from(chart);
        }
        _ => return Err("\"template\" requires at least 1 argument".to_owned()),
    }
    Ok(template)
}
