//! `pintle template`: renders a chart and prints the manifest, as `helm template` does, without a cluster.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use pintle_helm::Compat;
use pintle_helm::template::{Template, ValueSources};

/// The arguments of `helm template`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct TemplateArgs {
    /// The release's name (left out: `release-name`), and the chart: a directory or an archive
    #[arg(value_names = ["NAME", "CHART"], num_args = 1..=2, required = true)]
    name_and_chart: Vec<String>,

    /// The namespace that templates see
    #[arg(short, long, default_value = "default")]
    namespace: String,

    /// A file with values, `-` for standard input; later files win
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

    /// Which Helm to be like, where they differ: v3 or v4
    #[arg(long, value_name = "VERSION", default_value_t)]
    helm_compat: Compat,
}

impl TemplateArgs {
    /// Renders, and writes to `out` what helm would print.
    ///
    /// # Errors
    /// With helm's text.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut name_and_chart = self.name_and_chart;
        let chart = name_and_chart.pop().unwrap_or_default();
        let template = Template {
            name: name_and_chart.pop(),
            chart,
            namespace: Some(self.namespace),
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
            compat: self.helm_compat,
        };
        Ok(template.run(out)?)
    }
}
