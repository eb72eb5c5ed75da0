//! Fetching indexes and charts for the command line, from helm's list of repositories, addresses and registries.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::Duration;

use pintle_helm::chart::Limits;
use reqwest::Url;

use super::super::credentials::{Credentials, TlsSettings};
use super::super::http::{Access, Error as HttpError, Http, Limits as HttpLimits, Response};
use super::super::index::{ChartVersion, Index, Miss};
use super::super::oci::{self, Choice, Keychain, Reference, Registries, Registry};
use super::super::verify::pgp;
use super::super::{Digest, address, is_registry};
use super::{Entry, Error, Home, write};

/// Bytes of an index: what a person asks for may be larger than what an operator takes from many.
const INDEX_BYTES: u64 = 256 << 20;
/// How long a download may take when nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What is shown to a server, and how it is verified.
#[derive(Clone, Default)]
pub struct Login {
    /// Who asks.
    pub username: String,
    /// With which password.
    pub password: String,
    /// A client certificate in PEM.
    pub cert_file: String,
    /// Its key.
    pub key_file: String,
    /// Certificates that are trusted.
    pub ca_file: String,
    /// Whether any certificate is.
    pub insecure_skip_tls_verify: bool,
    /// Whether other hosts get the credentials too.
    pub pass_credentials: bool,
    /// Whether a registry is talked to without TLS.
    pub plain_http: bool,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(***)")
    }
}

impl From<&Entry> for Login {
    fn from(entry: &Entry) -> Self {
        Self {
            username: entry.username.clone(),
            password: entry.password.clone(),
            cert_file: entry.cert_file.clone(),
            key_file: entry.key_file.clone(),
            ca_file: entry.ca_file.clone(),
            insecure_skip_tls_verify: entry.insecure_skip_tls_verify,
            pass_credentials: entry.pass_credentials_all,
            plain_http: false,
        }
    }
}

impl Login {
    fn credentials(&self) -> Option<Credentials> {
        let given = !self.username.is_empty() && !self.password.is_empty();
        given.then(|| Credentials::basic(self.username.as_bytes(), self.password.as_bytes()))
    }

    pub(super) fn tls(&self) -> Result<TlsSettings, Error> {
        let mut data = BTreeMap::new();
        for (key, path) in
            [("ca.crt", &self.ca_file), ("tls.crt", &self.cert_file), ("tls.key", &self.key_file)]
        {
            if !path.is_empty() {
                let bytes = fs::read(path).map_err(|source| Error::ReadFile { path: path.into(), source })?;
                data.insert(key.to_owned(), bytes);
            }
        }
        if data.is_empty() {
            return Ok(TlsSettings::insecure(self.insecure_skip_tls_verify));
        }
        TlsSettings::parse(&data, self.insecure_skip_tls_verify).map_err(Error::Tls)
    }

    fn access(&self, url: Url, timeout: Duration) -> Result<Access, Error> {
        Ok(Access::new(url, self.credentials(), self.pass_credentials, self.tls()?, timeout))
    }
}

/// A chart that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// `REPOSITORY/CHART`, an address, or with `repository` a name.
    pub reference: &'a str,
    /// A version or a constraint; none is the newest.
    pub version: Option<&'a str>,
    /// The address of a repository that has no name here.
    pub repository: Option<&'a str>,
    /// What is shown to servers.
    pub login: &'a Login,
    /// Whether its provenance file is wanted too.
    pub provenance: bool,
}

/// A chart that came.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// What its archive is called.
    pub file_name: String,
    /// The archive.
    pub bytes: Vec<u8>,
    /// Its provenance file, when it was wanted and there is one.
    pub provenance: Option<Vec<u8>>,
    /// What it is called in the registry that gave it.
    pub pulled: Option<Pulled>,
}

/// A chart of a registry.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Host, path, and tag or digest.
    pub reference: String,
    /// The digest of the manifest.
    pub digest: Digest,
}

/// Fetches things, and pushes them, under the limits that the operator keeps.
#[derive(Debug)]
pub struct Fetcher {
    pub(super) home: Home,
    pub(super) http: Http,
    pub(super) registries: Registries,
    pub(super) timeout: Duration,
}

/// Where an archive is.
struct Place {
    chart: String,
    urls: Vec<Url>,
    access: Access,
    digest: Option<Digest>,
}

impl Fetcher {
    /// A fetcher for the user of `home`.
    pub fn new(home: Home) -> Self {
        Self {
            home,
            http: Http::new(HttpLimits::default()),
            registries: Registries::default(),
            timeout: TIMEOUT,
        }
    }

    /// The same, with another time for each download.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whose fetcher it is.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Fetches the index of a repository into the cache, with the list of its charts.
    ///
    /// # Errors
    /// It cannot be fetched, is no index, or cannot be written.
    pub async fn update(&self, entry: &Entry) -> Result<(), Error> {
        let (bytes, index) = self.index(&entry.url, &Login::from(entry)).await?;
        let mut names: Vec<&str> = index.names().collect();
        names.sort_unstable();
        let mut charts = names.join("\n");
        if !charts.is_empty() {
            charts.push('\n');
        }
        write(&self.home.charts(&entry.name), charts.as_bytes(), 0o644)?;
        write(&self.home.index(&entry.name), &bytes, 0o644)
    }

    async fn index(&self, repository: &str, login: &Login) -> Result<(Vec<u8>, Index), Error> {
        let access = login.access(address::parse(repository)?, self.timeout)?;
        let shown = address::shown(&access.origin);
        let url = address::join(&access.origin, "index.yaml")?;
        let bytes = self.bytes(&url, &access, INDEX_BYTES).await?;
        let index = Index::parse(&bytes).map_err(|source| Error::Index { repository: shown, source })?;
        Ok((bytes, index))
    }

    async fn bytes(&self, url: &Url, access: &Access, limit: u64) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::Fetch { what: address::shown(url), source };
        match self.http.fetch(url, access, None, limit).await.map_err(failed)? {
            Response::Body { bytes, .. } => Ok(bytes),
            // Never without an ETag.
            Response::NotModified => Err(Error::refused(format!("{} has no body", address::shown(url)))),
        }
    }

    /// Fetches a chart.
    ///
    /// # Errors
    /// It is not there, cannot be fetched, or is another one than its index says.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/downloader/chart_downloader.go`: an archive that is listed at several addresses is taken from the
    /// first that gives it, where Helm tries one.
    pub async fn chart(&self, wanted: &Wanted<'_>) -> Result<Fetched, Error> {
        if is_registry(wanted.reference) {
            return self.pull(wanted.reference, wanted).await;
        }
        if let Some(repository) = wanted.repository.filter(|repository| is_registry(repository)) {
            let reference = format!("{}/{}", repository.trim_end_matches('/'), wanted.reference);
            return self.pull(&reference, wanted).await;
        }
        let place = self.place(wanted).await?;
        let limit = Limits::default().compressed_bytes;
        let mut failure = None;
        for url in &place.urls {
            match self.bytes(url, &place.access, limit).await {
                Ok(bytes) => return self.check(&place, url, bytes, wanted.provenance).await,
                Err(error) => failure.get_or_insert(error),
            };
        }
        Err(failure
            .unwrap_or_else(|| Error::refused(format!("chart {:?} has no downloadable URLs", place.chart))))
    }

    /// Fetches a file that is no chart, such as one with values.
    ///
    /// # Errors
    /// It cannot be fetched, or is larger than an archive may be.
    pub async fn file(&self, address: &str, login: &Login) -> Result<Vec<u8>, Error> {
        let url = address::parse(address)?;
        let access = login.access(url.clone(), self.timeout)?;
        self.bytes(&url, &access, Limits::default().compressed_bytes).await
    }

    async fn check(
        &self,
        place: &Place,
        url: &Url,
        bytes: Vec<u8>,
        provenance: bool,
    ) -> Result<Fetched, Error> {
        let found = Digest::of(&bytes);
        if let Some(expected) = place.digest.filter(|expected| *expected != found) {
            return Err(Error::OtherDigest { chart: place.chart.clone(), found, expected });
        }
        let provenance = if provenance { self.provenance(place, url).await? } else { None };
        Ok(Fetched { file_name: file_name(url)?, bytes, provenance, pulled: None })
    }

    /// The provenance file beside the archive at `url`, if there is one.
    async fn provenance(&self, place: &Place, url: &Url) -> Result<Option<Vec<u8>>, Error> {
        let mut beside = url.clone();
        beside.set_path(&format!("{}.prov", url.path()));
        match self.bytes(&beside, &place.access, pgp::MAX_BYTES).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::Fetch { source: HttpError::Status { status, .. }, .. })
                if matches!(status.as_u16(), 404 | 410) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn place(&self, wanted: &Wanted<'_>) -> Result<Place, Error> {
        let reference = wanted.reference;
        if let Some(repository) = wanted.repository {
            let (_, index) = self.index(repository, wanted.login).await?;
            let version = choose(&index, repository, reference, wanted.version)?;
            return self.listed(reference, &version, repository, wanted.login);
        }
        let repositories = self.home.repositories()?;
        if reference.starts_with("http://") || reference.starts_with("https://") {
            // An archive of a repository that has a name is fetched with what that repository asks for.
            let owner = repositories
                .repositories
                .iter()
                .find(|entry| reference.starts_with(&format!("{}/", entry.url.trim_end_matches('/'))));
            let given = wanted.login.credentials().is_some();
            let login = owner.filter(|_| !given).map_or_else(|| wanted.login.clone(), Login::from);
            let url = address::parse(reference)?;
            let access = login.access(url.clone(), self.timeout)?;
            return Ok(Place { chart: address::shown(&url), urls: vec![url], access, digest: None });
        }
        let (name, chart) = reference.split_once('/').ok_or_else(|| {
            Error::refused(format!(
                "non-absolute URLs should be in form of repo_name/path_to_chart, got: {reference}"
            ))
        })?;
        let entry = repositories.get(name).ok_or_else(|| Error::refused(format!("repo {name} not found")))?;
        let version = choose(&self.cached(name)?, name, chart, wanted.version)?;
        self.listed(chart, &version, &entry.url, &Login::from(entry))
    }

    /// The index of a repository, as it was last fetched.
    pub(super) fn cached(&self, repository: &str) -> Result<Index, Error> {
        let path = self.home.index(repository);
        let mut file = File::open(&path).map_err(|error| {
            Error::refused(format!(
                "no cached repo found. (try 'helm repo update'): open {}: {error}",
                path.display()
            ))
        })?;
        Index::read(&mut file).map_err(|source| Error::Index { repository: repository.to_owned(), source })
    }

    fn listed(
        &self,
        chart: &str,
        version: &ChartVersion,
        repository: &str,
        login: &Login,
    ) -> Result<Place, Error> {
        let access = login.access(address::parse(repository)?, self.timeout)?;
        let joined: Result<Vec<Url>, _> =
            version.urls.iter().map(|url| address::join(&access.origin, url)).collect();
        let chart = format!("{chart}-{}", version.version);
        Ok(Place { chart, urls: joined?, access, digest: version.digest })
    }

    /// Fetches a chart from a registry.
    async fn pull(&self, reference: &str, wanted: &Wanted<'_>) -> Result<Fetched, Error> {
        let failed = |source| Error::Pull { what: reference.to_owned(), source: Box::new(source) };
        let mut place = Reference::parse(reference).map_err(failed)?;
        let choice = match (place.digest.take(), place.tag.take()) {
            (Some(digest), _) => Choice::Digest(digest),
            (None, Some(tag)) => Choice::Tag(tag),
            (None, None) => Choice::Version(wanted.version.map(str::to_owned)),
        };
        let registry = Registry::new(
            place,
            wanted.login.plain_http,
            self.keychain(wanted.login)?,
            wanted.login.tls()?,
            self.timeout,
        );
        let registry = registry.map_err(failed)?;
        let name = registry.name(None).map_err(failed)?;
        let key = format!("{reference} {choice:?}");
        let located = self.registries.locate(&self.http, &registry, &name, &choice, &key).await;
        let (located, _) = located.map_err(failed)?;
        let pull = |blob, limit| self.registries.pull(&self.http, &registry, &name, blob, limit);
        let bytes = pull(located.blobs.archive, Limits::default().compressed_bytes).await.map_err(failed)?;
        let provenance = match located.blobs.provenance.filter(|_| wanted.provenance) {
            Some(blob) => Some(pull(blob, pgp::MAX_BYTES).await.map_err(failed)?),
            None => None,
        };
        let base = name.rsplit('/').next().unwrap_or(&name);
        let full = registry.full_name(&name);
        let (version, reference) = match &located.tag {
            Some(tag) => (oci::version_of(tag), format!("{full}:{tag}")),
            None => (located.manifest.hex(), format!("{full}@{}", located.manifest)),
        };
        let pulled = Some(Pulled { reference, digest: located.manifest });
        Ok(Fetched { file_name: format!("{base}-{version}.tgz"), bytes, provenance, pulled })
    }

    /// The credentials of registries: those that were given, or else those of `helm registry login`, and then docker's.
    pub(super) fn keychain(&self, login: &Login) -> Result<Keychain, Error> {
        if login.credentials().is_some() {
            let data = [("username", &login.username), ("password", &login.password)]
                .map(|(key, text)| (key.to_owned(), text.clone().into_bytes()));
            return Keychain::parse(&data.into()).map_err(Error::Credentials);
        }
        let stored = [&self.home.registry_config, &self.home.docker_config].map(|path| {
            // A file that is not there, or without any login, is no mistake here.
            let config = fs::read(path).ok()?;
            Keychain::parse(&[(".dockerconfigjson".to_owned(), config)].into()).ok()
        });
        let [helm, docker] = stored.map(Option::unwrap_or_default);
        Ok(helm.or(docker))
    }
}

/// The version of `chart` that is wanted, of an index.
pub(super) fn choose(
    index: &Index,
    repository: &str,
    chart: &str,
    version: Option<&str>,
) -> Result<ChartVersion, Error> {
    index.choose(chart, version).map_err(|miss| {
        let asked = version.unwrap_or_default();
        let missing = format!(
            "chart {chart:?} matching {asked} not found in {repository} index. (try 'helm repo update'): "
        );
        Error::refused(match miss {
            Miss::Chart { .. } => format!("{missing}no chart name found"),
            Miss::Version { .. } => format!("{missing}no chart version found for {chart}-{asked}"),
            Miss::Constraint(why) => format!("{missing}{why}"),
        })
    })
}

/// What the file at an address is called.
fn file_name(url: &Url) -> Result<String, Error> {
    let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    let name = String::from_utf8_lossy(&address::percent_decoded(last)).into_owned();
    if name.is_empty() || name.contains(['/', '\\', '\0']) || matches!(&*name, "." | "..") {
        return Err(Error::refused(format!("{} does not end in the name of a file", address::shown(url))));
    }
    Ok(name)
}
