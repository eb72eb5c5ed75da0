//! The command line: flags in, library call, text out.

mod crds;
pub mod output;
mod run;
mod serve;
mod template;

use clap::{Parser, Subcommand};

/// Helm releases as Kubernetes objects.
#[derive(Debug, Parser)]
#[command(name = "pintle", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator
    Run(run::RunArgs),
    /// Print the CustomResourceDefinitions
    Crds(crds::CrdsArgs),
    /// Render a chart locally, as `helm template`
    Template(template::TemplateArgs),
    /// Serve a folder of charts as a chart repository
    Serve(serve::ServeArgs),
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// Whatever keeps the command from being carried out.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => runtime()?.block_on(args.run()),
            Command::Crds(args) => args.run(&mut output::stdout()),
            Command::Template(args) => args.run(&mut output::stdout()),
            Command::Serve(args) => runtime()?.block_on(args.run(&mut output::stdout())),
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // kube and reqwest share this provider; without a default rustls would have to guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
