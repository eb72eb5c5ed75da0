//! The command line: flags in, library call, text out.

mod charts;
mod crds;
mod dependency;
pub mod output;
mod package;
mod pull;
mod push;
mod registry;
mod repo;
mod run;
mod search;
mod serve;
mod show;
mod table;
mod template;
mod verify;

use std::io::Write;

use clap::{Parser, Subcommand};

/// Helm releases as Kubernetes objects.
#[derive(Debug, Parser)]
#[command(name = "pintle", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one is made in the life of a process")]
enum Command {
    /// Run the operator
    Run(run::RunArgs),
    /// Print the CustomResourceDefinitions
    Crds(crds::CrdsArgs),
    /// Render a chart locally, as `helm template`
    #[command(mut_args = template::go_flag, args_override_self = true)]
    Template(Box<template::TemplateArgs>),
    /// Serve a folder of charts as a chart repository
    Serve(serve::ServeArgs),
    /// Package charts into archives, as `helm package`; the same chart always has the same bytes
    Package(package::PackageArgs),
    /// Show what a chart says of itself, as `helm show`
    #[command(visible_alias = "inspect")]
    Show(show::ShowArgs),
    /// Keep helm's list of chart repositories, and make indexes, as `helm repo`
    Repo(repo::RepoArgs),
    /// Search the repositories that were added, as `helm search`
    Search(search::SearchArgs),
    /// Keep the dependencies of a chart, as `helm dependency`
    #[command(visible_aliases = ["dep", "dependencies"])]
    Dependency(dependency::DependencyArgs),
    /// Fetch charts from repositories and registries, as `helm pull`
    #[command(visible_alias = "fetch")]
    Pull(pull::PullArgs),
    /// Push an archive to a registry, as `helm push`
    Push(push::PushArgs),
    /// Log in to registries, as `helm registry`
    Registry(registry::RegistryArgs),
    /// Verify an archive by the provenance file beside it, as `helm verify`
    Verify(verify::VerifyArgs),
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// Whatever keeps the command from being carried out.
    pub fn run(self) -> anyhow::Result<()> {
        let out = &mut output::stdout();
        let done = match self.command {
            Command::Run(args) => runtime()?.block_on(args.run()),
            Command::Crds(args) => args.run(out),
            Command::Template(args) => args.run(out),
            Command::Serve(args) => runtime()?.block_on(args.run(out)),
            Command::Package(args) => runtime()?.block_on(args.run(out)),
            Command::Show(args) => runtime()?.block_on(args.run(out)),
            Command::Repo(args) => runtime()?.block_on(args.run(out)),
            Command::Search(args) => args.run(out),
            Command::Dependency(args) => runtime()?.block_on(args.run(out)),
            Command::Pull(args) => runtime()?.block_on(args.run(out)),
            Command::Push(args) => runtime()?.block_on(args.run(out)),
            Command::Registry(args) => runtime()?.block_on(args.run(out)),
            Command::Verify(args) => args.run(out),
        };
        // Dropped, it would lose an error such as a full disk.
        done.and(out.flush().map_err(Into::into))
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // kube and reqwest share this provider; without a default rustls would have to guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
