//! Archives back into folders.

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use pintle_helm::chart::{Limits, load_archive};

use super::Error;

/// Unpacks the chart in `bytes` into a new folder of its name in `folder`; gives back where it is.
///
/// Only plain files are written, into a folder that is made for them and gets its name when all of them are there.
///
/// # Errors
/// The archive holds no chart, leaves its folder, or cannot be written; the folder exists.
pub fn unpack(bytes: &[u8], folder: &Path) -> Result<PathBuf, Error> {
    let limits = Limits::default();
    // All rules and limits for archives are checked by loading it.
    let chart = load_archive(bytes, &limits)
        .map_err(|source| Error::Load { chart: "the archive".to_owned(), source })?;
    let target = folder.join(chart.name());
    if target.symlink_metadata().is_ok() {
        return Err(Error::refused(format!(
            "failed to untar: a file or directory with the name {} already exists",
            target.display()
        )));
    }
    let failed = |source| Error::WriteFile { path: target.clone(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let temporary = tempfile::Builder::new().prefix(".pintle-").tempdir_in(folder).map_err(failed)?;
    let content = temporary.path().join("chart");
    fs::create_dir(&content).map_err(failed)?;
    let inflated = MultiGzDecoder::new(bytes).take(limits.decompressed_bytes);
    let mut archive = tar::Archive::new(inflated);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(failed)?.into_owned();
        let Some(path) = inside(&path) else {
            return Err(Error::refused("chart illegally contains content outside the base directory"));
        };
        let path = content.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut file = fs::File::create(&path).map_err(failed)?;
        std::io::copy(&mut entry, &mut file).map_err(failed)?;
    }
    fs::rename(&content, &target).map_err(failed)?;
    Ok(target)
}

/// The path below the chart's folder.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    parts.next().filter(|part| matches!(part, Component::Normal(_)))?;
    let rest: Vec<Component<'_>> = parts.collect();
    let plain = !rest.is_empty() && rest.iter().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| rest.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_charts_folder_are_inside() {
        for (path, expected) in [
            ("web/Chart.yaml", Some("Chart.yaml")),
            ("./web/templates/a.yaml", Some("templates/a.yaml")),
            ("web", None),
            ("/web/a", None),
            ("web/../../a", None),
            ("../a", None),
        ] {
            assert_eq!(inside(Path::new(path)), expected.map(PathBuf::from), "{path}");
        }
    }
}
