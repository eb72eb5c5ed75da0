//! The dependencies of a chart in a folder: what is there, which versions they should be, and getting them.
//!
//! ```text
//! update   Chart.yaml ──indexes──► versions ──archives──► charts/ and Chart.lock
//! build    Chart.lock ───────────► versions ──archives──► charts/
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use k8s_openapi::jiff::Timestamp;
use pintle_helm::chart::{Chart, Dependency, Limits, Lock, load_path};
use pintle_sprig::semver::{Constraint, Version};

use super::super::package::{file_name, package};
use super::super::{Digest, is_registry};
use super::fetch::choose;
use super::{Entry, Error, Fetcher, Login, RepositoriesFile, Signature, Wanted, go_json, write};

const FILE: &str = "file://";
/// How helm names the cached index of a repository that has no name.
const UNNAMED: &str = "helm-manager-";

/// A dependency as `helm dependency list` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Name, version, repository and status.
    pub row: [String; 4],
}

/// The dependencies of one chart.
#[derive(Debug)]
pub struct Dependencies<'a> {
    /// The chart's folder.
    pub folder: PathBuf,
    /// Fetches them; none of it is used for listing.
    pub fetcher: &'a Fetcher,
    /// What is shown to repositories that have no name.
    pub login: Login,
    /// Whether the indexes of repositories are taken as they were last fetched.
    pub skip_refresh: bool,
    /// The keys that must vouch for what is fetched.
    pub keyring: Option<PathBuf>,
}

impl Dependencies<'_> {
    fn load(&self) -> Result<Chart, Error> {
        let shown = self.folder.display();
        match fs::metadata(&self.folder) {
            Err(error) => return Err(Error::refused(format!("could not find {shown}: {error}"))),
            Ok(meta) if !meta.is_dir() => return Err(Error::refused("only unpacked charts can be updated")),
            Ok(_) => {}
        }
        load(&self.folder)
    }

    /// Finds the versions that `Chart.yaml` asks for, gets them, and writes them down in `Chart.lock`.
    ///
    /// # Errors
    /// A dependency is not to be had.
    pub async fn update(&self, out: &mut dyn Write) -> Result<(), Error> {
        let chart = self.load()?;
        let mut wanted = chart.metadata.dependencies.clone();
        if wanted.is_empty() {
            return Ok(());
        }
        let repositories = self.fetcher.home().repositories()?;
        let mut names = self.names(&mut wanted, &repositories)?;
        self.refresh_unnamed(&wanted, &mut names, out).await?;
        self.refresh(&repositories, out).await?;
        let mut locked = Vec::new();
        for dependency in &wanted {
            locked.push(self.lock(dependency, &names).await?);
        }
        let saved = self.save(&mut locked, &repositories, out).await;
        told(saved, out)?;
        let digest = digest(&wanted, &locked)?;
        if chart.lock.is_some_and(|lock| lock.digest == digest) {
            return Ok(());
        }
        let lock = Lock { generated: Timestamp::now().to_string(), digest, dependencies: locked };
        self.write_lock(&lock, is_v1(&chart.metadata.api_version))
    }

    /// Gets the versions that `Chart.lock` says; without one, does what [`Dependencies::update`] does.
    ///
    /// # Errors
    /// The lock does not fit `Chart.yaml`, or a dependency is not to be had.
    pub async fn build(&self, out: &mut dyn Write) -> Result<(), Error> {
        let chart = self.load()?;
        let Some(lock) = chart.lock else { return self.update(out).await };
        let repositories = self.fetcher.home().repositories()?;
        let mut wanted = chart.metadata.dependencies;
        self.names(&mut wanted, &repositories)?;
        if digest(&wanted, &lock.dependencies)? != lock.digest {
            return Err(Error::refused(if is_v1(&chart.metadata.api_version) {
                "the lock file (requirements.lock) is out of sync with the dependencies file (requirements.yaml). \
                 Please update the dependencies"
            } else {
                "the lock file (Chart.lock) is out of sync with the dependencies file (Chart.yaml). \
                 Please update the dependencies with 'pintle dependency update'"
            }));
        }
        let needed = |dependency: &&Dependency| {
            let repository = &dependency.repository;
            !repository.is_empty() && !repository.starts_with(FILE) && !is_registry(repository)
        };
        let unknown: Vec<&str> = lock
            .dependencies
            .iter()
            .filter(needed)
            .filter(|dependency| repositories.at(&dependency.repository).is_none())
            .map(|dependency| dependency.repository.as_str())
            .collect();
        if !unknown.is_empty() {
            return Err(Error::refused(format!(
                "no repository definition for {}. Please add the missing repos via 'pintle repo add'",
                unknown.join(", ")
            )));
        }
        self.refresh(&repositories, out).await?;
        let mut locked = lock.dependencies;
        let saved = self.save(&mut locked, &repositories, out).await;
        told(saved, out)
    }

    /// The names of the repositories of dependencies; aliases of repositories become their addresses.
    fn names(
        &self,
        wanted: &mut [Dependency],
        repositories: &RepositoriesFile,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut names = BTreeMap::new();
        let mut missing = Vec::new();
        for dependency in wanted {
            let repository = dependency.repository.clone();
            if repository.starts_with(FILE) {
                self.local(&repository)?;
            }
            if repository.is_empty() || repository.starts_with(FILE) || is_registry(&repository) {
                continue;
            }
            let alias = repository.strip_prefix('@').or_else(|| repository.strip_prefix("alias:"));
            let known = match alias {
                Some(alias) => repositories.get(alias),
                None => repositories.at(&repository),
            };
            match known {
                Some(entry) => {
                    if alias.is_some() {
                        dependency.repository.clone_from(&entry.url);
                    }
                    names.insert(dependency.name.clone(), entry.name.clone());
                }
                None if repository.contains("://") => {}
                None => missing.push(repository),
            }
        }
        if missing.is_empty() {
            return Ok(names);
        }
        let mut message = format!(
            "no repository definition for {}. Please add them via 'pintle repo add'",
            missing.join(", ")
        );
        if missing.iter().any(|name| !name.starts_with(['@']) && !name.starts_with("alias:")) {
            message.push_str(
                "\nNote that repositories must be URLs or aliases. For example, to refer to the \"example\"\n\
                 repository, use \"https://charts.example.com/\" or \"@example\" instead of\n\
                 \"example\". Don't forget to add the repo, too ('pintle repo add').",
            );
        }
        Err(Error::refused(message))
    }

    /// Fetches the indexes of repositories that have no name.
    async fn refresh_unnamed(
        &self,
        wanted: &[Dependency],
        names: &mut BTreeMap<String, String>,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut unnamed = BTreeMap::new();
        for dependency in wanted {
            let url = &dependency.repository;
            if url.is_empty()
                || url.starts_with(FILE)
                || is_registry(url)
                || names.contains_key(&dependency.name)
            {
                continue;
            }
            let name = format!("{UNNAMED}{}", Digest::of(url.as_bytes()).hex());
            names.insert(dependency.name.clone(), name.clone());
            unnamed.insert(url.clone(), Entry { name, url: url.clone(), ..self.entry() });
        }
        if self.skip_refresh || unnamed.is_empty() {
            return Ok(());
        }
        say(out, "Getting updates for unmanaged Helm repositories...")?;
        for (url, entry) in unnamed {
            match self.fetcher.update(&entry).await {
                Ok(()) => {
                    say(out, &format!("...Successfully got an update from the {url:?} chart repository"))?
                }
                Err(error) => {
                    let why = crate::cluster::chain(&error);
                    say(
                        out,
                        &format!("...Unable to get an update from the {url:?} chart repository:\n\t{why}"),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn entry(&self) -> Entry {
        let login = self.login.clone();
        Entry {
            username: login.username,
            password: login.password,
            cert_file: login.cert_file,
            key_file: login.key_file,
            ca_file: login.ca_file,
            insecure_skip_tls_verify: login.insecure_skip_tls_verify,
            ..Entry::default()
        }
    }

    /// Fetches the indexes of all repositories that have a name.
    async fn refresh(&self, repositories: &RepositoriesFile, out: &mut dyn Write) -> Result<(), Error> {
        if self.skip_refresh || repositories.repositories.is_empty() {
            return Ok(());
        }
        say(out, "Hang tight while we grab the latest from your chart repositories...")?;
        for Entry { name, url, .. } in &repositories.repositories {
            let entry = repositories.get(name).cloned().unwrap_or_default();
            match self.fetcher.update(&entry).await {
                Ok(()) => {
                    say(out, &format!("...Successfully got an update from the {name:?} chart repository"))?
                }
                Err(error) => {
                    let why = crate::cluster::chain(&error);
                    say(
                        out,
                        &format!(
                            "...Unable to get an update from the {name:?} chart repository ({url}):\n\t{why}"
                        ),
                    )?;
                }
            }
        }
        say(out, "Update Complete. \u{2388}Happy Helming!\u{2388}")
    }

    /// The exact version of a dependency.
    async fn lock(&self, wanted: &Dependency, names: &BTreeMap<String, String>) -> Result<Dependency, Error> {
        let constraint = Constraint::parse(&wanted.version).map_err(|error| {
            Error::refused(format!(
                "dependency {:?} has an invalid version/constraint format: {error}",
                wanted.name
            ))
        })?;
        let none = || {
            Error::refused(format!(
                "can't get a valid version for 1 subchart(s): {:?} (repository {:?}, version {:?}). Make sure a \
                 matching chart version exists in the repo, or change the version constraint in Chart.yaml",
                wanted.name, wanted.repository, wanted.version
            ))
        };
        let version = if wanted.repository.is_empty() {
            self.local(&format!("charts/{}", wanted.name))?;
            wanted.version.clone()
        } else if wanted.repository.starts_with(FILE) {
            let version = load(&self.local(&wanted.repository)?)?.metadata.version;
            let fits = Version::parse(&version).is_ok_and(|version| constraint.check(&version));
            fits.then_some(version).ok_or_else(none)?
        } else if is_registry(&wanted.repository) {
            // The registry says which version that is when the chart is pulled.
            wanted.version.clone()
        } else {
            let name = names.get(&wanted.name).ok_or_else(none)?;
            let index = self.fetcher.cached(name)?;
            let versions = index.versions(&wanted.name).ok_or_else(|| {
                Error::refused(format!("{} chart not found in repo {}", wanted.name, wanted.repository))
            })?;
            let fits = versions
                .filter(|version| !version.urls.is_empty())
                .find(|one| Version::parse(&one.version).is_ok_and(|version| constraint.check(&version)));
            fits.ok_or_else(none)?.version.into()
        };
        Ok(Dependency {
            name: wanted.name.clone(),
            version,
            repository: wanted.repository.clone(),
            ..Dependency::default()
        })
    }

    /// The folder of a chart on this machine.
    fn local(&self, repository: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(repository.trim_start_matches(FILE));
        if path.exists() {
            Ok(path)
        } else {
            Err(Error::refused(format!("directory {} not found", path.display())))
        }
    }

    /// Gets the archives into `charts/`: all of them or none.
    async fn save(
        &self,
        locked: &mut [Dependency],
        repositories: &RepositoriesFile,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let target = self.folder.join("charts");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| Error::WriteFile { path, source }
        };
        match target.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => {
                return Err(Error::refused(format!("{:?} is a symbolic link", target.display().to_string())));
            }
            Ok(meta) if !meta.is_dir() => {
                return Err(Error::refused(format!("{:?} is not a directory", target.display().to_string())));
            }
            Ok(_) => {}
            Err(_) => fs::create_dir(&target).map_err(failed(&target))?,
        }
        // Beside its place, so that what is there moves in one step.
        let temporary = tempfile::Builder::new().prefix("tmpcharts-").tempdir_in(&self.folder);
        let temporary = temporary.map_err(failed(&self.folder))?;
        say(out, &format!("Saving {} charts", locked.len()))?;
        let mut files = BTreeSet::new();
        let mut downloaded = BTreeSet::new();
        for dependency in locked.iter_mut() {
            let Dependency { name, repository, version, .. } = &*dependency;
            if repository.is_empty() {
                say(
                    out,
                    &format!(
                        "Dependency {name} did not declare a repository. Assuming it exists in the charts directory"
                    ),
                )?;
                self.check_present(dependency)?;
                continue;
            }
            let (file, bytes) = if repository.starts_with(FILE) {
                let chart = load(&self.local(repository)?)?;
                if !fits(&chart.metadata.version, version) {
                    return Err(Error::refused(format!("can't get a valid version for dependency {name}")));
                }
                (file_name(&chart.metadata), package(&chart)?)
            } else {
                if !downloaded.insert((repository.clone(), name.clone(), version.clone())) {
                    say(out, &format!("Already downloaded {name} from repo {repository}"))?;
                    continue;
                }
                say(out, &format!("Downloading {name} from repo {repository}"))?;
                self.download(dependency, repositories).await?
            };
            let chart = pintle_helm::chart::load_archive(&bytes, &Limits::default())
                .map_err(|source| Error::Load { chart: file.clone(), source })?;
            if repository.starts_with(FILE) || is_registry(repository) {
                dependency.version = chart.metadata.version;
            }
            write(&temporary.path().join(&file), &bytes, 0o644)?;
            files.insert(file);
        }
        for file in &files {
            let path = target.join(file);
            fs::rename(temporary.path().join(file), &path).map_err(failed(&path))?;
        }
        say(out, "Deleting outdated charts")?;
        let local: Vec<&str> = locked
            .iter()
            .filter(|dependency| dependency.repository.is_empty())
            .map(|dependency| dependency.name.as_str())
            .collect();
        for path in entries(&target) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() || files.contains(&name) {
                continue;
            }
            match load(&path) {
                Ok(chart) if local.contains(&chart.name()) => {}
                Ok(_) => fs::remove_file(&path).map_err(failed(&path))?,
                Err(error) => {
                    let why = crate::cluster::chain(&error);
                    let path = path.display();
                    say(out, &format!("Could not verify {path} for deletion: {why} (Skipping)"))?;
                }
            }
        }
        Ok(())
    }

    fn check_present(&self, dependency: &Dependency) -> Result<(), Error> {
        let Dependency { name, version, .. } = dependency;
        let found = load(&self.folder.join("charts").join(name))?.metadata.version;
        if fits(&found, version) {
            return Ok(());
        }
        Err(Error::refused(format!(
            "dependency {name} at version {found} does not satisfy the constraint {version}"
        )))
    }

    /// The archive of a locked dependency, with its name.
    async fn download(
        &self,
        dependency: &Dependency,
        repositories: &RepositoriesFile,
    ) -> Result<(String, Vec<u8>), Error> {
        let Dependency { name, repository, version, .. } = dependency;
        let known = repositories.at(repository);
        // The cached index of a repository with a name says where the archive is; it was just refreshed.
        let reference = known.map_or_else(|| name.clone(), |entry| format!("{}/{name}", entry.name));
        if let Some(entry) = known {
            choose(&self.fetcher.cached(&entry.name)?, &entry.name, name, Some(version))?;
        }
        let wanted = Wanted {
            reference: &reference,
            version: Some(version),
            repository: if known.is_some() { None } else { Some(repository) },
            login: &self.login,
            provenance: self.keyring.is_some(),
        };
        let fetched = self.fetcher.chart(&wanted).await?;
        if let Some(keyring) = &self.keyring {
            let provenance = fetched.provenance.as_deref().unwrap_or_default();
            Signature::check(&fetched.bytes, provenance, keyring)?;
        }
        Ok((fetched.file_name, fetched.bytes))
    }

    fn write_lock(&self, lock: &Lock, v1: bool) -> Result<(), Error> {
        let name = if v1 { "requirements.lock" } else { "Chart.lock" };
        let path = self.folder.join(name);
        if path.is_symlink() {
            let link = fs::read_link(&path).unwrap_or_default();
            let link = link.display().to_string();
            return Err(Error::refused(format!("the {name} file is a symlink to {link:?}")));
        }
        let text = pintle_goyaml::to_string(lock)
            .map_err(|error| Error::Parse { path: path.clone(), why: error.to_string() })?;
        write(&path, text.as_bytes(), 0o644)
    }

    /// The dependencies of the chart at `path`, each with whether it is there; then what is there and is none.
    ///
    /// # Errors
    /// The chart cannot be loaded.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/action/dependency.go:List`.
    pub fn list(path: &Path) -> Result<(Vec<Listing>, Vec<String>), Error> {
        let chart = load(path)?;
        let wanted = &chart.metadata.dependencies;
        let charts = path.join("charts");
        let listings = wanted.iter().map(|one| {
            let status = status(&charts, one, &chart);
            Listing {
                row: [one.name.clone(), one.version.clone(), one.repository.clone(), status.to_owned()],
            }
        });
        let mut warnings = Vec::new();
        for found in entries(&charts) {
            if !found.is_dir() && found.extension().is_none_or(|extension| extension != "tgz") {
                continue;
            }
            let shown = found.display().to_string();
            match load(&found) {
                Err(_) => warnings.push(format!("WARNING: {shown:?} is not a chart.")),
                Ok(chart) if !wanted.iter().any(|one| one.name == chart.name()) => {
                    warnings.push(format!("WARNING: {shown:?} is not in Chart.yaml."));
                }
                Ok(_) => {}
            }
        }
        Ok((listings.collect(), warnings))
    }
}

/// Whether a dependency is there.
fn status(charts: &Path, wanted: &Dependency, parent: &Chart) -> &'static str {
    let prefix = format!("{}-", wanted.name);
    let middle = |path: &PathBuf| -> Option<String> {
        let name = path.file_name()?.to_str()?.strip_suffix(".tgz")?;
        name.strip_prefix(&prefix).map(str::to_owned)
    };
    let mut archives: Vec<(PathBuf, String)> =
        entries(charts).into_iter().filter_map(|path| middle(&path).map(|middle| (path, middle))).collect();
    if archives.len() > 1 {
        archives.retain(|(_, version)| Version::parse_strict(version).is_ok());
        if archives.len() > 1 {
            return "too many matches";
        }
    }
    if let Some((archive, _)) = archives.first() {
        return match load(archive) {
            Err(_) => "corrupt",
            Ok(chart) if chart.name() != wanted.name => "misnamed",
            Ok(chart) => judged(&chart.metadata.version, &wanted.version).unwrap_or("ok"),
        };
    }
    match parent.dependencies.iter().rfind(|chart| chart.name() == wanted.name) {
        None => "missing",
        Some(chart) => judged(&chart.metadata.version, &wanted.version).unwrap_or("unpacked"),
    }
}

/// What is wrong with a version.
fn judged(version: &str, wanted: &str) -> Option<&'static str> {
    if version == wanted {
        return None;
    }
    match (Constraint::parse(wanted), Version::parse(version)) {
        (Ok(constraint), Ok(version)) => (!constraint.check(&version)).then_some("wrong version"),
        _ => Some("invalid version"),
    }
}

fn fits(version: &str, constraint: &str) -> bool {
    judged(version, constraint).is_none()
}

fn is_v1(api_version: &str) -> bool {
    matches!(api_version, "" | "v1")
}

fn load(path: &Path) -> Result<Chart, Error> {
    load_path(path, &Limits::default())
        .map_err(|source| Error::Load { chart: path.display().to_string(), source })
}

/// What lies in a folder, in the order of names; nothing when it cannot be read. Names that begin with a dot count,
/// as with Go's `filepath.Glob`.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn say(out: &mut dyn Write, line: &str) -> Result<(), Error> {
    writeln!(out, "{line}").map_err(|source| Error::WriteFile { path: "standard output".into(), source })
}

/// Helm tells the failure before it ends with it.
fn told(saved: Result<(), Error>, out: &mut dyn Write) -> Result<(), Error> {
    if let Err(error) = &saved {
        say(out, &format!("Save error occurred:  {}", crate::cluster::chain(error)))?;
    }
    saved
}

/// What ties a lock to its chart.
///
/// # Compatibility
/// As Helm v4 `internal/resolver/resolver.go:HashReq`: the digest of what Go's `encoding/json` writes.
fn digest(wanted: &[Dependency], locked: &[Dependency]) -> Result<String, Error> {
    let json = go_json(&[wanted, locked])
        .map_err(|error| Error::refused(format!("failed to write the dependencies: {error}")))?;
    Ok(Digest::of(json.as_bytes()).to_string())
}
