//! The flags by which commands find charts, by helm's names.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use pintle_helm::chart::Chart;
use pintle_helm::template::{Located, local};

use crate::repository::authoring::{
    Dependencies, Entry, Fetched, Fetcher, Home, Login, Signature, Wanted, verify_file,
};

/// Where helm's files are, when not where its variables say.
#[derive(Args, Clone, Debug)]
pub struct HomeArgs {
    /// The file with the names of repositories
    #[arg(long, value_name = "FILE")]
    repository_config: Option<PathBuf>,
    /// The folder with the indexes of repositories
    #[arg(long, value_name = "DIR")]
    repository_cache: Option<PathBuf>,
    /// The file with the credentials of registries
    #[arg(long, value_name = "FILE")]
    registry_config: Option<PathBuf>,
}

impl HomeArgs {
    /// Helm's places.
    pub fn home(&self) -> Home {
        let mut home = Home::from_env();
        for (place, given) in [
            (&mut home.repository_config, &self.repository_config),
            (&mut home.repository_cache, &self.repository_cache),
            (&mut home.registry_config, &self.registry_config),
        ] {
            if let Some(given) = given {
                place.clone_from(given);
            }
        }
        home
    }
}

/// What is shown to servers.
#[derive(Args, Clone)]
pub struct LoginArgs {
    /// Who asks
    #[arg(long, value_name = "NAME", default_value = "")]
    username: String,
    /// With which password
    #[arg(long, value_name = "PASSWORD", default_value = "", hide_default_value = true)]
    password: String,
    /// A client certificate in PEM
    #[arg(long, value_name = "FILE", default_value = "")]
    cert_file: String,
    /// The key of the client certificate
    #[arg(long, value_name = "FILE", default_value = "")]
    key_file: String,
    /// Certificates that are trusted beside the system's
    #[arg(long, value_name = "FILE", default_value = "")]
    ca_file: String,
    /// Takes any certificate
    #[arg(long)]
    insecure_skip_tls_verify: bool,
}

impl std::fmt::Debug for LoginArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginArgs(***)")
    }
}

impl LoginArgs {
    /// The same, for a library call.
    pub fn login(&self) -> Login {
        Login {
            username: self.username.clone(),
            password: self.password.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            ca_file: self.ca_file.clone(),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            ..Login::default()
        }
    }

    /// The same, for the list of repositories.
    pub fn entry(&self, name: String, url: String, pass_credentials_all: bool) -> Entry {
        Entry {
            name,
            url,
            username: self.username.clone(),
            password: self.password.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            ca_file: self.ca_file.clone(),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            pass_credentials_all,
        }
    }
}

/// Which chart is meant.
#[derive(Args, Clone, Debug)]
pub struct ChartArgs {
    /// A version or a constraint; without it the newest is taken
    #[arg(long, value_name = "CONSTRAINT")]
    version: Option<String>,
    /// Takes versions that are not released, too
    #[arg(long)]
    devel: bool,
    /// The address of the repository
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// Verifies the archive by its provenance file
    #[arg(long)]
    pub verify: bool,
    /// The keys that may have signed
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,
    /// Talks to a registry without TLS
    #[arg(long)]
    plain_http: bool,
    /// Shows the credentials to other hosts, too
    #[arg(long)]
    pass_credentials: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    home: HomeArgs,
}

impl ChartArgs {
    /// Whether a chart on this machine is taken as it is.
    pub fn is_plain(&self) -> bool {
        self.repo.is_none() && !self.verify
    }

    /// Fetches the chart that `reference` names.
    ///
    /// # Errors
    /// It is not to be had.
    pub async fn fetch(&self, reference: &str, provenance: bool) -> anyhow::Result<Fetched> {
        let login = self.credentials();
        let devel = self.devel.then_some(">0.0.0-0");
        let wanted = Wanted {
            reference: reference.trim(),
            version: self.version.as_deref().filter(|version| !version.is_empty()).or(devel),
            repository: self.repo.as_deref(),
            login: &login,
            provenance: provenance || self.verify,
        };
        Ok(Fetcher::new(self.home.home()).chart(&wanted).await?)
    }

    /// Checks what was fetched.
    ///
    /// # Errors
    /// Nobody vouches for it.
    pub fn check(&self, fetched: &Fetched) -> anyhow::Result<Signature> {
        let Some(provenance) = &fetched.provenance else {
            anyhow::bail!("{} has no provenance file", fetched.file_name);
        };
        Ok(Signature::check(&fetched.bytes, provenance, &keyring(self.keyring.as_deref()))?)
    }

    /// Loads the chart that `reference` names: a path that exists, or one that is fetched.
    ///
    /// # Errors
    /// It is not to be had, or is no chart.
    pub async fn load(&self, reference: &str) -> anyhow::Result<Chart> {
        Ok(self.locate(reference).await?.load()?)
    }

    /// Finds the chart that `reference` names: a path that exists, or one that is fetched.
    ///
    /// # Errors
    /// It is not to be had, or nobody vouches for it.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/action/install.go:LocateChart`.
    pub async fn locate(&self, reference: &str) -> anyhow::Result<Located> {
        let reference = reference.trim();
        if self.repo.is_none() {
            if let Some(located) = local(reference) {
                if self.verify {
                    verify_file(Path::new(reference), &keyring(self.keyring.as_deref()))?;
                }
                return Ok(located);
            }
            if Path::new(reference).is_absolute() || reference.starts_with('.') {
                anyhow::bail!("path {reference:?} not found");
            }
        }
        let fetched = self.fetch(reference, false).await?;
        if self.verify {
            self.check(&fetched)?;
        }
        Ok(Located::Archive(fetched.bytes))
    }

    /// Fetches a file with values, without showing anybody's credentials.
    ///
    /// # Errors
    /// It is not to be had.
    pub async fn file(&self, address: &str) -> anyhow::Result<Vec<u8>> {
        Ok(Fetcher::new(self.home.home()).file(address, &Login::default()).await?)
    }

    /// Gets what the chart in `folder` depends on.
    ///
    /// # Errors
    /// A dependency is not to be had.
    pub async fn update_dependencies(&self, folder: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
        let fetcher = Fetcher::new(self.home.home());
        let dependencies = Dependencies {
            folder: folder.to_owned(),
            fetcher: &fetcher,
            login: self.credentials(),
            skip_refresh: false,
            keyring: None,
        };
        Ok(dependencies.update(out).await?)
    }

    fn credentials(&self) -> Login {
        Login { plain_http: self.plain_http, pass_credentials: self.pass_credentials, ..self.login.login() }
    }
}

/// The file with the keys that may have signed: GnuPG's old one, unless another one is named.
pub fn keyring(given: Option<&Path>) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    given.map(Path::to_owned).unwrap_or_else(|| {
        let folder = set("GNUPGHOME").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".gnupg"));
        folder.join("pubring.gpg")
    })
}
