//! Charts as archives: the same bytes for the same chart, on every machine and at every time.
//!
//! Files are sorted, times are zero, owners and modes are fixed. `Chart.yaml` and `Chart.lock` are written anew, with
//! sorted keys, as `helm package` does; everything else is copied.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::{Compression, GzBuilder};
use pintle_helm::chart::{Chart, ChartFile, Limits, Metadata, load_path};

/// An archive with what it is called.
#[derive(Clone, Debug)]
pub struct Package {
    /// `Chart.yaml` of the chart inside.
    pub metadata: Metadata,
    /// The archive.
    pub bytes: Vec<u8>,
}

impl Package {
    /// `NAME-VERSION.tgz`.
    pub fn file_name(&self) -> String {
        file_name(&self.metadata)
    }
}

/// `NAME-VERSION.tgz`.
pub(super) fn file_name(metadata: &Metadata) -> String {
    format!("{}-{}.tgz", metadata.name, metadata.version)
}

/// Packages the chart in the folder `dir`, without what its `.helmignore` leaves out.
///
/// # Errors
/// The folder holds no valid chart.
pub fn package_dir(dir: &Path, limits: &Limits) -> Result<Package, Error> {
    let chart = load_path(dir, limits)
        .map_err(|source| Error::Load { path: dir.display().to_string(), source: Arc::new(source) })?;
    Ok(Package { bytes: package(&chart)?, metadata: chart.metadata })
}

/// Packages `chart`, with the charts it depends on as folders inside.
///
/// # Errors
/// A file has a name that an archive cannot hold.
///
/// # Compatibility
/// As Helm v4 `pkg/chart/v2/util/save.go:writeTarContents`: same files in the same order; Helm keeps times.
pub fn package(chart: &Chart) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Write { chart: chart.metadata.name.clone(), source: Arc::new(source) };
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    write_chart(&mut tar, chart, "").map_err(failed)?;
    tar.into_inner().and_then(|gzip| gzip.finish()).map_err(failed)
}

fn write_chart<W: Write>(tar: &mut tar::Builder<W>, chart: &Chart, parent: &str) -> io::Result<()> {
    let folder = format!("{parent}{}/", chart.metadata.name);
    // Helm: a v1 chart keeps its dependencies in requirements.yaml, which is one of the files.
    let v1 = matches!(chart.metadata.api_version.as_str(), "" | "v1");
    let mut metadata = chart.metadata.clone();
    if v1 {
        metadata.dependencies = Vec::new();
    }
    write_file(tar, &folder, "Chart.yaml", yaml(&metadata)?.as_bytes())?;
    if let Some(lock) = chart.lock.as_ref().filter(|_| !v1) {
        write_file(tar, &folder, "Chart.lock", yaml(lock)?.as_bytes())?;
    }
    for (name, data) in [("values.yaml", &chart.values_text), ("values.schema.json", &chart.schema)] {
        if let Some(data) = data {
            write_file(tar, &folder, name, data)?;
        }
    }
    for files in [&chart.templates, &chart.files] {
        let mut files: Vec<&ChartFile> = files.iter().collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        for file in files {
            write_file(tar, &folder, &file.name, &file.data)?;
        }
    }
    let mut dependencies: Vec<&Chart> = chart.dependencies.iter().collect();
    dependencies.sort_by(|a, b| {
        (&a.metadata.name, &a.metadata.version).cmp(&(&b.metadata.name, &b.metadata.version))
    });
    for dependency in dependencies {
        write_chart(tar, dependency, &format!("{folder}charts/"))?;
    }
    Ok(())
}

fn write_file<W: Write>(tar: &mut tar::Builder<W>, folder: &str, name: &str, data: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, format!("{folder}{name}"), data)
}

fn yaml<T: serde::Serialize>(value: &T) -> io::Result<String> {
    pintle_goyaml::to_string(value).map_err(io::Error::other)
}

/// Why a chart could not be packaged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The folder holds no valid chart.
    #[error("failed to load the chart in `{path}`")]
    Load {
        /// The folder.
        path: String,
        /// Why.
        source: Arc<pintle_helm::chart::Error>,
    },
    /// A file cannot stand in an archive.
    #[error("failed to package chart `{chart}`")]
    Write {
        /// The chart.
        chart: String,
        /// Why.
        source: Arc<io::Error>,
    },
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pintle_helm::chart::load_archive;

    use super::*;

    #[test]
    fn a_packaged_folder_is_the_same_chart_and_always_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("templates/{}.yaml", "n".repeat(180));
        for (name, text) in [
            ("Chart.yaml", "version: 0.1.0\nname: web\napiVersion: v2\nappVersion: '1.0'\n"),
            ("values.yaml", "# kept\na: 1\n"),
            (".helmignore", "*.bak\n"),
            ("x.bak", "no"),
            ("crds/c.yaml", "kind: C\n"),
            ("templates/b.yaml", "b"),
            ("templates/a.yaml", "a"),
            (long.as_str(), "long"),
            ("charts/sub/Chart.yaml", "{apiVersion: v2, name: sub, version: 1.0.0}"),
            ("charts/sub/templates/s.yaml", "s"),
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let limits = Limits::default();
        let package = package_dir(dir.path(), &limits).unwrap();
        assert_eq!(package.file_name(), "web-0.1.0.tgz");
        let chart = load_archive(&package.bytes, &limits).unwrap();
        assert_eq!(chart.values_text.as_deref(), Some(&b"# kept\na: 1\n"[..]));
        let names: Vec<&str> = chart.templates.iter().chain(&chart.files).map(|file| &*file.name).collect();
        assert_eq!(names, ["templates/a.yaml", "templates/b.yaml", &long, ".helmignore", "crds/c.yaml"]);
        assert_eq!(chart.dependencies[0].templates[0].name.as_ref(), "templates/s.yaml");

        fs::write(dir.path().join("templates/a.yaml"), "a").unwrap();
        assert_eq!(package_dir(dir.path(), &limits).unwrap().bytes, package.bytes);
        assert_eq!(super::package(&chart).unwrap(), package.bytes);
    }
}
