//! Files into a chart: which file is what, and the charts in `charts/`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::archive::{self, Budget, RawFile};
use super::metadata::{Lock, Metadata};
use super::{Chart, ChartFile, Error};
use crate::decode::Decoder;
use crate::render::ParsedTemplates;
use crate::values::Values;

/// Sorts files into a chart.
///
/// # Compatibility
/// As Helm v4 `pkg/chart/v2/loader/load.go:LoadFiles`, but for the order of the charts in `charts/`: by name here,
/// random in Go.
pub(super) fn from_files(files: Vec<RawFile>, budget: &mut Budget) -> Result<Chart, Error> {
    if let Some(file) = files.iter().find(|file| file.name == "Chart.yaml") {
        check_api_version(&file.data)?;
    }
    build(files, budget)
}

fn build(files: Vec<RawFile>, budget: &mut Budget) -> Result<Chart, Error> {
    let mut metadata = None;
    for file in files.iter().filter(|file| file.name == "Chart.yaml") {
        let metadata = metadata.get_or_insert_with(Metadata::default);
        read_metadata(metadata, "Chart.yaml", &file.data)?;
        if metadata.api_version.is_empty() {
            // Helm: charts of Helm 2 need not say.
            "v1".clone_into(&mut metadata.api_version);
        }
    }
    let mut chart = Chart {
        metadata: Metadata::default(),
        lock: None,
        templates: Vec::new(),
        files: Vec::new(),
        values: Arc::default(),
        values_text: None,
        schema: None,
        dependencies: Vec::new(),
        parsed: ParsedTemplates::default(),
    };
    let mut inner: BTreeMap<String, Vec<RawFile>> = BTreeMap::new();
    for file in files {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => chart.lock = read_lock("Chart.lock", &file.data)?,
            "values.yaml" => {
                let values = Values::from_yaml(&file.data)
                    .map_err(|error| Error::Parse { file: "values.yaml", message: error.to_string() })?;
                chart.values = Arc::new(values);
                chart.values_text = Some(file.data);
            }
            "values.schema.json" => chart.schema = Some(file.data),
            "requirements.yaml" => {
                let metadata = metadata.get_or_insert_with(Metadata::default);
                read_metadata(metadata, "requirements.yaml", &file.data)?;
                if metadata.api_version == "v1" {
                    chart.files.push(chart_file(file));
                }
            }
            "requirements.lock" => {
                chart.lock = read_lock("requirements.lock", &file.data)?;
                if metadata.get_or_insert_with(Metadata::default).api_version == "v1" {
                    chart.files.push(chart_file(file));
                }
            }
            name if name.starts_with("templates/") => chart.templates.push(chart_file(file)),
            name if name.starts_with("charts/") && !name.ends_with(".prov") => {
                let name = name.strip_prefix("charts/").unwrap_or_default().to_owned();
                let folder = name.split('/').next().unwrap_or_default().to_owned();
                inner.entry(folder).or_default().push(RawFile { name, data: file.data });
            }
            _ => chart.files.push(chart_file(file)),
        }
    }
    chart.metadata = metadata.ok_or(Error::MissingChartYaml)?;
    if chart.metadata.api_version.is_empty() {
        return Err(Error::Invalid("chart.metadata.apiVersion is required".to_owned()));
    }
    chart.metadata.validate()?;
    budget.descend()?;
    for (name, files) in inner {
        if !name.starts_with(['_', '.']) {
            let dependency = inner_chart(&name, files, chart.name(), budget)?;
            chart.dependencies.push(dependency);
        }
    }
    budget.ascend();
    Ok(chart)
}

fn inner_chart(name: &str, files: Vec<RawFile>, parent: &str, budget: &mut Budget) -> Result<Chart, Error> {
    let loaded = if name.ends_with(".tgz") {
        match files.first() {
            Some(file) if file.name == name => {
                archive::read(&file.data, budget).and_then(|files| build(files, budget))
            }
            other => {
                return Err(Error::SubchartArchive {
                    parent: parent.to_owned(),
                    expected: name.to_owned(),
                    found: other.map(|file| file.name.clone()).unwrap_or_default(),
                });
            }
        }
    } else {
        let files = files
            .into_iter()
            .filter_map(|file| {
                let (_, name) = file.name.split_once('/')?;
                Some(RawFile { name: name.to_owned(), data: file.data })
            })
            .collect();
        build(files, budget)
    };
    loaded.map_err(|reason| Error::Subchart {
        name: name.to_owned(),
        parent: parent.to_owned(),
        reason: Box::new(reason),
    })
}

fn read_metadata(metadata: &mut Metadata, file: &'static str, text: &[u8]) -> Result<(), Error> {
    metadata.merge(text).map_err(|message| Error::Parse { file, message })
}

fn read_lock(file: &'static str, text: &[u8]) -> Result<Option<Lock>, Error> {
    Lock::parse(text).map_err(|message| Error::Parse { file, message })
}

/// Reads the field by which Helm chooses a loader, as it does before anything else. Whether there is a loader for what
/// it says depends on the Helm that is asked for: [`Chart::check_installable`] decides that.
pub(super) fn check_api_version(text: &[u8]) -> Result<(), Error> {
    let parse = |message| Error::Parse { file: "Chart.yaml", message };
    // As in Go, case does not matter; for ASCII that is.
    let wanted = |key: &str| !key.is_ascii() || key.eq_ignore_ascii_case("apiVersion");
    let document = pintle_goyaml::parse_some(text, wanted).map_err(|error| parse(error.to_string()))?;
    let mut version = String::new();
    let mut decoder = Decoder::new("chartBase");
    match &document {
        pintle_goyaml::Value::Null => {}
        pintle_goyaml::Value::Object(object) => decoder.string(object, "apiVersion", &mut version),
        other => decoder.not_object(other, "loader.chartBase"),
    }
    decoder.finish().map_err(parse)
}

fn chart_file(file: RawFile) -> ChartFile {
    ChartFile { name: file.name.into(), data: file.data }
}

/// For tests elsewhere in the crate: a chart from texts.
#[cfg(test)]
pub(crate) fn from_texts(files: &[(&str, &str)]) -> Result<Chart, Error> {
    let files = files
        .iter()
        .map(|(name, text)| RawFile { name: (*name).to_owned(), data: text.as_bytes().into() })
        .collect();
    from_files(files, &mut Budget::new(&super::Limits::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compat;

    const CHART: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: lab\nversion: 0.1.0\n");

    /// Texts printed by helm v4.3.1; `chart.NN` are names of conformance cases.
    #[test]
    fn charts_are_refused_in_helms_words() {
        for (name, chart, files, message) in [
            (
                "chart.01",
                "apiVersion: v2\nversion: 0.1.0\n",
                vec![],
                "validation: chart.metadata.name is required",
            ),
            (
                "chart.02",
                "apiVersion: v2\nname: lab\n",
                vec![],
                "validation: chart.metadata.version is required",
            ),
            (
                "chart.03",
                "apiVersion: v2\nname: lab\nversion: abc\n",
                vec![],
                "validation: chart.metadata.version \"abc\" is invalid",
            ),
            (
                "chart.08",
                "apiVersion: v2\nname: ../x\nversion: 0.1.0\n",
                vec![],
                "validation: chart.metadata.name \"../x\" is invalid",
            ),
            (
                "chart.11",
                "apiVersion: v2\nname: ..\nversion: 0.1.0\n",
                vec![],
                "validation: chart.metadata.name \"..\" is not allowed",
            ),
            (
                "chart.14",
                "apiVersion: v2\nname: lab\nversion: 0.1.0\ntype: foo\n",
                vec![],
                "validation: chart.metadata.type must be application or library",
            ),
            (
                "chart.19",
                "apiVersion: v2\nname: lab\nversion: 0.1.0\nmaintainers: [null]\n",
                vec![],
                "validation: maintainers must not contain empty or null nodes",
            ),
            (
                "chart.20",
                "apiVersion: v2\nname: lab\nversion: 0.1.0\ndependencies: [null]\n",
                vec![],
                "validation: dependencies must not contain empty or null nodes",
            ),
            (
                "chart.23",
                "apiVersion: v2\nname: lab\nversion: 0.1.0\nkeywords: x\n",
                vec![],
                "cannot load Chart.yaml: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field Metadata.keywords of type []string",
            ),
            (
                "of several mistakes the first",
                "apiVersion: v2\nname: lab\nmaintainers: [null]\n",
                vec![],
                "validation: chart.metadata.version is required",
            ),
            ("chart.26", " \n", vec![], "validation: chart.metadata.name is required"),
            (
                "chart.30",
                CHART.1,
                vec![("charts/x/foo", "y")],
                "error unpacking subchart x in lab: Chart.yaml file is missing",
            ),
        ] {
            let mut all = vec![("Chart.yaml", chart)];
            all.extend(files);
            assert_eq!(from_texts(&all).unwrap_err().to_string(), message, "{name}");
        }
        assert_eq!(from_texts(&[]).unwrap_err().to_string(), "Chart.yaml file is missing");
    }

    #[test]
    fn files_are_sorted_into_the_chart() {
        let chart = from_texts(&[
            ("Chart.yaml", "apiVersion: v1\nname: lab\nversion: 1.0\nappVersion: 1.10\n"),
            ("values.yaml", "a: 1"),
            ("requirements.yaml", "dependencies: [{name: kid, version: 0.1.0}]\n"),
            ("templates/a.yaml", ""),
            ("crds/b.yaml", "B"),
            ("crds/read.me", "R"),
            ("charts/.keep", "x"),
            ("charts/_x/y", "z"),
            ("charts/kid/Chart.yaml", "name: kid\nversion: 0.1.0\n"),
            ("charts/kid/crds/a.yml", "A"),
            ("charts/kid-0.1.0.tgz.prov", "P"),
        ])
        .unwrap();
        assert_eq!((chart.metadata.version.as_str(), chart.metadata.app_version.as_str()), ("1", "1.1"));
        let names: Vec<_> = chart.files.iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["requirements.yaml", "crds/b.yaml", "crds/read.me", "charts/kid-0.1.0.tgz.prov"]);
        let crds: Vec<_> = chart.crds().into_iter().map(|crd| crd.path).collect();
        assert_eq!(crds, ["lab/crds/b.yaml", "lab/charts/kid/crds/a.yml"]);
        assert_eq!(chart.check_installable(Compat::V4).map_err(|e| e.to_string()), Ok(()));
        assert_eq!(chart.dependencies[0].metadata.api_version, "v1");
    }

    #[test]
    fn what_is_missing_is_named() {
        let chart = from_texts(&[(
            "Chart.yaml",
            "apiVersion: v2\nname: lab\nversion: 0.1.0\ndependencies: [{name: q, version: 1}, {name: r, version: 1}]\n",
        )])
        .unwrap();
        let missing = "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: q, r";
        for (compat, message) in [
            (Compat::V4, missing.to_owned()),
            (Compat::V3, missing.replacen("an error", "An error", 1).replace('\'', "`")),
        ] {
            assert_eq!(chart.check_installable(compat).unwrap_err().to_string(), message);
        }
    }

    /// `chart.06`; Helm 3 installs whatever the version says.
    #[test]
    fn other_formats_are_refused_as_helm_4_does() {
        for (version, message) in [("v3", "invalid chart apiVersion"), ("v9", "unsupported chart version")] {
            let text = format!("apiVersion: {version}\nname: lab\nversion: 0.1.0\n");
            let chart = from_texts(&[("Chart.yaml", &text)]).unwrap();
            assert_eq!(chart.check_installable(Compat::V4).unwrap_err().to_string(), message);
            assert!(chart.check_installable(Compat::V3).is_ok(), "{version}");
        }
    }
}
