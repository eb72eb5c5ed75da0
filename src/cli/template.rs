//! `pintle template`: renders a chart and prints the manifest, as `helm template` does, without a cluster.

use std::cell::OnceCell;
use std::io::Write;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Args};
use kube::config::Kubeconfig;
use pintle_helm::Compat;
use pintle_helm::template::{Disk, Error, Located, PostRenderer, Sources, Template, ValueSources};
use tokio::runtime::Runtime;

use super::charts::ChartArgs;

/// The arguments of `helm template`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct TemplateArgs {
    /// The release's name (left out: `release-name`), and the chart: a directory, an archive, REPOSITORY/CHART or an address
    #[arg(value_names = ["NAME", "CHART"], num_args = 1..=2, required = true)]
    name_and_chart: Vec<String>,

    /// The namespace that templates see; else HELM_NAMESPACE, that of the kubeconfig's context, or `default`
    #[arg(short, long)]
    namespace: Option<String>,

    /// Makes the release's name: a template with sprig's functions
    #[arg(long, value_name = "TEMPLATE")]
    name_template: Option<String>,

    /// Accepted for helm's sake, which takes `release-name` then too
    #[arg(short, long)]
    generate_name: bool,

    /// A file with values, `-` for standard input, or an address; later files win
    #[arg(short = 'f', long = "values", value_name = "FILE", value_delimiter = ',')]
    values: Vec<String>,

    /// Values: `a.b=1,c[0]=x,d={y,z}`
    #[arg(long, value_name = "VALUES")]
    set: Vec<String>,

    /// Values that are texts
    #[arg(long, value_name = "VALUES")]
    set_string: Vec<String>,

    /// Values as JSON: `a={"b":1}`, or one JSON object
    #[arg(long, value_name = "VALUES")]
    set_json: Vec<String>,

    /// Values that are the texts of files: `a=path`
    #[arg(long, value_name = "VALUES")]
    set_file: Vec<String>,

    /// A value that is taken as it is: `a=anything`
    #[arg(long, value_name = "VALUE")]
    set_literal: Vec<String>,

    /// Prints the custom resource definitions of `crds/` too
    #[arg(long)]
    include_crds: bool,

    /// Accepted for helm's sake: definitions are left out unless `--include-crds` is given, which wins
    #[arg(long)]
    skip_crds: bool,

    /// Leaves hooks out
    #[arg(long)]
    no_hooks: bool,

    /// Leaves tests out
    #[arg(long)]
    skip_tests: bool,

    /// Renders as for an upgrade instead of an install
    #[arg(long)]
    is_upgrade: bool,

    /// Does not check the values against the chart's schema
    #[arg(long)]
    skip_schema_validation: bool,

    /// The version of Kubernetes that templates see
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,

    /// More API versions that templates see
    #[arg(short, long, value_name = "VERSIONS", value_delimiter = ',')]
    api_versions: Vec<String>,

    /// Prints only what these templates rendered: `templates/x.yaml`
    #[arg(short, long, value_name = "TEMPLATE")]
    show_only: Vec<String>,

    /// Writes files below this directory instead of printing
    #[arg(long, value_name = "DIRECTORY")]
    output_dir: Option<PathBuf>,

    /// Puts the files into a folder named after the release
    #[arg(long)]
    release_name: bool,

    /// Gets the charts that the chart depends on into its `charts/`, if they are not there
    #[arg(long)]
    dependency_update: bool,

    /// Lets templates ask for the addresses of hosts: without it `getHostByName` gives nothing
    #[arg(long)]
    enable_dns: bool,

    /// A program that gets the manifest and gives the one that is printed; with `--helm-compat v3` only
    #[arg(long, value_name = "PROGRAM", conflicts_with = "output_dir")]
    post_renderer: Option<String>,

    /// An argument of the program
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    post_renderer_args: Vec<String>,

    /// Prints what was rendered, too, where that is no YAML; as HELM_DEBUG does
    #[arg(long)]
    debug: bool,

    /// Which Helm to be like, where they differ: v3 or v4
    #[arg(long, value_name = "VERSION", default_value_t)]
    helm_compat: Compat,

    #[command(flatten)]
    charts: ChartArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    ignored: IgnoredArgs,
}

/// The cluster is never asked for anything; its configuration may name a namespace.
#[derive(Args, Clone, Debug)]
struct ClusterArgs {
    /// The kubeconfig whose context names a namespace
    #[arg(long, value_name = "FILE", hide = true)]
    kubeconfig: Option<PathBuf>,
    /// The context
    #[arg(long, value_name = "CONTEXT", hide = true)]
    kube_context: Option<String>,
    /// Only `client`: nothing is asked of a server
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "client",
        value_parser = PossibleValuesParser::new(["client", "none", "false", "true"]), hide = true)]
    dry_run: Option<String>,
}

/// Flags of `helm install` that `helm template` has, without an effect on what is printed. What has one is no part of this.
#[derive(Args, Clone, Debug)]
#[allow(dead_code, reason = "they are accepted, so that a command line for helm works")]
struct IgnoredArgs {
    #[arg(long, hide = true)]
    create_namespace: bool,
    #[arg(long, hide = true)]
    replace: bool,
    #[arg(long, hide = true)]
    disable_openapi_validation: bool,
    #[arg(long, hide = true)]
    take_ownership: bool,
    #[arg(long, hide = true)]
    hide_notes: bool,
    #[arg(long, hide = true)]
    render_subchart_notes: bool,
    #[arg(long, hide = true)]
    wait_for_jobs: bool,
    #[arg(long, hide = true, alias = "rollback-on-failure")]
    atomic: bool,
    #[arg(long, hide = true, alias = "force-replace")]
    force: bool,
    #[arg(long, hide = true)]
    force_conflicts: bool,
    #[arg(long, hide = true)]
    server_side: bool,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    wait: Option<Option<String>>,
    #[arg(long, hide = true)]
    timeout: Option<String>,
    #[arg(long, hide = true)]
    description: Option<String>,
    #[arg(short = 'l', long, hide = true)]
    labels: Vec<String>,
}

/// Helm v4 `pkg/cli/environment.go:envBoolOr`.
fn is_true(variable: &str) -> bool {
    let value = std::env::var(variable).unwrap_or_default();
    matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True")
}

impl TemplateArgs {
    /// Renders, and writes to `out` what helm would print.
    ///
    /// # Errors
    /// With helm's text.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let namespace = self.namespace();
        let mut name_and_chart = self.name_and_chart;
        let chart = name_and_chart.pop().unwrap_or_default();
        let template = Template {
            name: name_and_chart.pop(),
            name_template: self.name_template,
            generate_name: self.generate_name,
            chart,
            namespace: Some(namespace),
            values: ValueSources {
                files: self.values,
                json: self.set_json,
                set: self.set,
                strings: self.set_string,
                from_files: self.set_file,
                literals: self.set_literal,
            },
            include_crds: self.include_crds,
            no_hooks: self.no_hooks,
            skip_tests: self.skip_tests,
            is_upgrade: self.is_upgrade,
            skip_schema_validation: self.skip_schema_validation,
            kube_version: self.kube_version,
            api_versions: self.api_versions,
            show_only: self.show_only,
            output_dir: self.output_dir,
            release_folder: self.release_name,
            post_renderer: self
                .post_renderer
                .map(|program| PostRenderer { program, args: self.post_renderer_args }),
            enable_dns: self.enable_dns,
            debug: self.debug || is_true("HELM_DEBUG"),
            compat: self.helm_compat,
        };
        let sources = Network {
            charts: self.charts,
            dependency_update: self.dependency_update,
            runtime: OnceCell::new(),
        };
        Ok(template.run_with(&sources, out)?)
    }

    /// Helm v4 `pkg/cli/environment.go:Namespace`.
    fn namespace(&self) -> String {
        let given = || self.namespace.clone().filter(|namespace| !namespace.is_empty());
        let set = || std::env::var("HELM_NAMESPACE").ok().filter(|namespace| !namespace.is_empty());
        given().or_else(set).or_else(|| self.cluster.namespace()).unwrap_or_else(|| "default".to_owned())
    }
}

impl ClusterArgs {
    fn namespace(&self) -> Option<String> {
        let config = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        // Without a readable configuration there is none, as for helm.
        let config = config.ok()?;
        let wanted = self.kube_context.as_ref().or(config.current_context.as_ref())?;
        let context = config.contexts.iter().find(|context| context.name == *wanted)?;
        context.context.as_ref()?.namespace.clone().filter(|namespace| !namespace.is_empty())
    }
}

/// This machine's files, and what can be fetched; the runtime for that is started when something is.
struct Network {
    charts: ChartArgs,
    dependency_update: bool,
    runtime: OnceCell<Runtime>,
}

impl Network {
    fn run<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> Result<T, Error> {
        let failed = |error: anyhow::Error| Error::Source(crate::cluster::chain(error.as_ref()));
        let runtime = match self.runtime.get() {
            Some(runtime) => runtime,
            None => {
                let new = super::runtime().map_err(failed)?;
                self.runtime.get_or_init(|| new)
            }
        };
        runtime.block_on(work).map_err(failed)
    }
}

impl Sources for Network {
    fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let fetched = ["http://", "https://"].iter().any(|scheme| path.starts_with(scheme));
        if fetched { self.run(self.charts.file(path)) } else { Disk.read(path) }
    }

    fn locate(&self, reference: &str, out: &mut dyn Write) -> Result<Located, Error> {
        if self.charts.is_plain()
            && let Some(located) = pintle_helm::template::local(reference)
        {
            self.update(&located, out)?;
            return Ok(located);
        }
        self.run(self.charts.locate(reference))
    }
}

impl Network {
    /// Gets the dependencies of a chart in a directory, when they are wanted and not there.
    fn update(&self, located: &Located, out: &mut dyn Write) -> Result<(), Error> {
        let Located::Path(path) = located else { return Ok(()) };
        if !self.dependency_update || !path.is_dir() {
            return Ok(());
        }
        // A chart that cannot be read is told when it is rendered.
        let missing = located.load().is_ok_and(|chart| chart.check_dependencies().is_err());
        if missing { self.run(self.charts.update_dependencies(path, out)) } else { Ok(()) }
    }
}

/// Makes a flag take what pflag takes: `--flag`, and `--flag=false`.
pub(super) fn go_flag(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .value_parser(|text: &str| match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            _ => Err("must be `true` or `false`"),
        })
}
