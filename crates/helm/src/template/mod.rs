//! What `helm template` does: from arguments to text, without a cluster.

mod error;
mod name;
mod post;
mod print;
mod sources;
mod values;

use std::io::Write;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Compat;
use crate::render::{Capabilities, KubeVersion, Lookup, NoCluster, ReleaseFacts, RenderOptions, render};
use crate::values::{CoalesceOptions, coalesce};

pub use error::Error;
pub use name::check_release_name;
pub use post::PostRenderer;
pub use sources::{Disk, Located, Sources, local};
pub use values::ValueSources;

/// The arguments, as helm has them.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// The release's name; `release-name` when absent.
    pub name: Option<String>,
    /// `--name-template`: makes the name when there is none.
    pub name_template: Option<String>,
    /// `--generate-name`.
    pub generate_name: bool,
    /// The chart: a directory or an archive, or what else the [`Sources`] know.
    pub chart: String,
    /// `--namespace`; `default` when absent.
    pub namespace: Option<String>,
    /// Where values come from.
    pub values: ValueSources,
    /// `--include-crds`.
    pub include_crds: bool,
    /// `--no-hooks`.
    pub no_hooks: bool,
    /// `--skip-tests`.
    pub skip_tests: bool,
    /// `--is-upgrade`.
    pub is_upgrade: bool,
    /// `--skip-schema-validation`.
    pub skip_schema_validation: bool,
    /// `--kube-version`.
    pub kube_version: Option<String>,
    /// `--api-versions`.
    pub api_versions: Vec<String>,
    /// `--show-only`.
    pub show_only: Vec<String>,
    /// `--output-dir`.
    pub output_dir: Option<PathBuf>,
    /// `--release-name`: a folder for the release below the output directory.
    pub release_folder: bool,
    /// `--post-renderer` and `--post-renderer-args`.
    pub post_renderer: Option<PostRenderer>,
    /// `--enable-dns`: templates may ask for the addresses of hosts.
    pub enable_dns: bool,
    /// `--debug`: what is no YAML is printed before the error.
    pub debug: bool,
    /// `--helm-compat`: which Helm to be like.
    pub compat: Compat,
}

/// No cluster, but names of hosts are resolved.
struct Names;

impl Lookup for Names {
    fn lookup(
        &self,
        version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, String> {
        NoCluster.lookup(version, kind, namespace, name)
    }

    fn addresses(&self, host: &str) -> Option<Vec<String>> {
        let found = (host, 0).to_socket_addrs().into_iter().flatten();
        Some(found.map(|address| address.ip().to_string()).collect())
    }
}

impl Template {
    /// Renders with what this machine has, and writes what helm writes to its standard output.
    ///
    /// # Errors
    /// With helm's text.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        self.run_with(&Disk, out)
    }

    /// As [`Template::run`], with charts and values from elsewhere, too.
    ///
    /// # Errors
    /// With helm's text.
    ///
    /// # Compatibility
    /// In the order of Helm v4 `pkg/cmd/install.go:runInstall`, so that of several mistakes the same one is told.
    pub fn run_with(&self, sources: &dyn Sources, out: &mut dyn Write) -> Result<(), Error> {
        // As a flag that cannot be read, before all else.
        let post = match &self.post_renderer {
            Some(post) => Some((post, post.find(self.compat)?)),
            None => None,
        };
        let capabilities = self.capabilities()?;
        let name = self.release_name()?;
        let located = sources.locate(&self.chart, out)?;
        let config = self.values.merge(self.compat, sources)?;
        let in_words = |reason| Error::Chart { reason: Box::new(reason), compat: self.compat };
        let chart = Arc::new(located.load().map_err(in_words)?);
        chart.check_installable(self.compat).map_err(in_words)?;
        check_release_name(&name)?;
        let options =
            CoalesceOptions { skip_schema_validation: self.skip_schema_validation, compat: self.compat };
        let coalesced = coalesce(&chart, [config], options)?;
        let facts = ReleaseFacts {
            name,
            namespace: self.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            revision: 1,
            is_upgrade: self.is_upgrade,
        };
        let lookup: Arc<dyn Lookup> = if self.enable_dns { Arc::new(Names) } else { Arc::new(NoCluster) };
        let render_options = RenderOptions { compat: self.compat, ..RenderOptions::default() };
        let rendered =
            render(&coalesced.chart, &coalesced.values, &facts, &capabilities, &lookup, &render_options);
        let manifest = match rendered {
            Err(error) if self.debug => {
                self.print_rendered(&error, out)?;
                return Err(Error::Rendered(Box::new(error)));
            }
            rendered => rendered?,
        };
        match &self.output_dir {
            None => {
                let post = post.as_ref().map(|(post, path)| |text| post.run(path, text));
                self.print(&manifest, out, post)
            }
            Some(directory) => {
                let folder =
                    if self.release_folder { directory.join(&facts.name) } else { directory.clone() };
                self.write_files(&manifest, directory, &folder, out)
            }
        }
    }

    fn capabilities(&self) -> Result<Capabilities, Error> {
        let mut capabilities = Capabilities::default();
        if let Some(version) = self.kube_version.as_deref().filter(|version| !version.is_empty()) {
            let mut version = KubeVersion::parse(version)?;
            if self.compat == Compat::V3 {
                // Helm 3 forgets what a vendor appended.
                version.version.clone_from(&version.comparable);
            }
            capabilities.kube_version = version;
        }
        Ok(capabilities.with_api_versions(self.api_versions.iter().cloned()))
    }
}
