//! `pintle repo`: helm's list of chart repositories, and indexes of folders.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use futures::StreamExt;
use serde::Serialize;

use super::charts::{HomeArgs, LoginArgs};
use super::output;
use super::registry::password_from_stdin;
use super::table::{Format, write_list, write_table};
use crate::repository::authoring::{Entry, Fetcher, IndexFile, RepositoriesFile};

/// Indexes that are fetched at one time.
const AT_ONCE: usize = 8;

/// The arguments of `helm repo`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct RepoArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Add a repository
    Add(AddArgs),
    /// List the repositories
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Fetch the indexes of repositories anew
    #[command(visible_alias = "up")]
    Update(NamedArgs),
    /// Forget repositories
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// Make the index of a folder of archives
    Index(IndexArgs),
}

#[derive(Args, Clone, Debug)]
struct AddArgs {
    /// What it is called here
    name: String,
    /// Its address
    url: String,
    /// Replaces a repository of that name
    #[arg(long)]
    force_update: bool,
    /// Reads the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Shows the credentials to other hosts, too
    #[arg(long)]
    pass_credentials: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    home: HomeArgs,
}

#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// How they are listed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Leaves the names of the columns out
    #[arg(long)]
    no_headers: bool,
    #[command(flatten)]
    home: HomeArgs,
}

#[derive(Args, Clone, Debug)]
struct NamedArgs {
    /// Which; all of them when none is named
    #[arg(value_name = "REPO")]
    names: Vec<String>,
    #[command(flatten)]
    home: HomeArgs,
}

#[derive(Args, Clone, Debug)]
struct RemoveArgs {
    /// Which
    #[arg(value_name = "REPO", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    home: HomeArgs,
}

#[derive(Args, Clone, Debug)]
struct IndexArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The address that stands before the names of archives
    #[arg(long, value_name = "URL", default_value = "")]
    url: String,
    /// An index whose charts are added
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
    /// Writes JSON
    #[arg(long)]
    json: bool,
}

/// A repository as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    url: &'a str,
}

impl RepoArgs {
    /// Does what was asked for.
    ///
    /// # Errors
    /// With helm's text where it has one.
    pub async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            Command::Add(args) => args.run(out).await,
            Command::List(args) => args.run(out),
            Command::Update(args) => args.run(out).await,
            Command::Remove(args) => args.run(out),
            Command::Index(args) => args.run(),
        }
    }
}

impl AddArgs {
    async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let home = self.home.home();
        let mut entry = self.login.entry(self.name.clone(), self.url, self.pass_credentials);
        if !entry.username.is_empty() && entry.password.is_empty() {
            if !self.password_stdin {
                bail!("--username needs --password or --password-stdin");
            }
            entry.password = password_from_stdin()?;
        }
        let name = &self.name;
        let _lock = home.lock()?;
        let mut file = home.repositories()?;
        if name.contains('/') {
            bail!("repository name ({name}) contains '/', please specify a different name without '/'");
        }
        if let Some(known) = file.get(name).filter(|_| !self.force_update) {
            if *known != entry {
                bail!("repository name ({name}) already exists, please specify a different name");
            }
            writeln!(out, "{name:?} already exists with the same configuration, skipping")?;
            return Ok(());
        }
        Fetcher::new(home.clone()).update(&entry).await.with_context(|| {
            // The address may hold a password; its cause shows it without.
            format!("looks like the address of {name:?} is not a valid chart repository or cannot be reached")
        })?;
        file.put(entry);
        file.save(&home.repository_config)?;
        writeln!(out, "{name:?} has been added to your repositories")?;
        Ok(())
    }
}

impl ListArgs {
    fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        // Helm: a file that cannot be read is one without repositories.
        let file = self.home.home().repositories().unwrap_or_default();
        let listed: Vec<Listed<'_>> =
            file.repositories.iter().map(|entry| Listed { name: &entry.name, url: &entry.url }).collect();
        if self.output != Format::Table {
            return write_list(out, &listed, self.output == Format::Json);
        }
        if listed.is_empty() {
            output::note("no repositories to show");
            return Ok(());
        }
        let mut rows = if self.no_headers { Vec::new() } else { vec![vec!["NAME", "URL"]] };
        rows.extend(listed.iter().map(|entry| vec![entry.name, entry.url]));
        Ok(write_table(out, &rows, 0)?)
    }
}

impl NamedArgs {
    async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let home = self.home.home();
        let file = RepositoriesFile::load(&home.repository_config)?.unwrap_or_default();
        if file.repositories.is_empty() {
            bail!("no repositories found. You must add one before updating");
        }
        if let Some(unknown) = self.names.iter().find(|name| file.get(name).is_none()) {
            bail!("no repositories found matching '{unknown}'.  Nothing will be updated");
        }
        let named = |entry: &&Entry| self.names.is_empty() || self.names.contains(&entry.name);
        writeln!(out, "Hang tight while we grab the latest from your chart repositories...")?;
        let fetcher = &Fetcher::new(home);
        let mut updates = futures::stream::iter(file.repositories.iter().filter(named))
            .map(|entry| async move { (entry, fetcher.update(entry).await) })
            .buffer_unordered(AT_ONCE);
        let mut failed = Vec::new();
        while let Some((Entry { name, url, .. }, result)) = updates.next().await {
            match result {
                Ok(()) => writeln!(out, "...Successfully got an update from the {name:?} chart repository")?,
                Err(error) => {
                    let why = crate::cluster::chain(&error);
                    writeln!(
                        out,
                        "...Unable to get an update from the {name:?} chart repository ({url}):\n\t{why}"
                    )?;
                    failed.push(url.as_str());
                }
            }
        }
        if !failed.is_empty() {
            bail!("failed to update the following repositories: [{}]", failed.join(" "));
        }
        writeln!(out, "Update Complete. \u{2388}Happy Helming!\u{2388}")?;
        Ok(())
    }
}

impl RemoveArgs {
    fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let home = self.home.home();
        let _lock = home.lock()?;
        let mut file = home.repositories()?;
        if file.repositories.is_empty() {
            bail!("no repositories configured");
        }
        for name in &self.names {
            if !file.remove(name) {
                bail!("no repo named {name:?} found");
            }
            file.save(&home.repository_config)?;
            home.forget(name)?;
            writeln!(out, "{name:?} has been removed from your repositories")?;
        }
        Ok(())
    }
}

impl IndexArgs {
    fn run(self) -> anyhow::Result<()> {
        let mut index = IndexFile::of_directory(&self.dir, &self.url)?;
        if let Some(merge) = &self.merge {
            if merge.exists() {
                index.merge(IndexFile::load(merge).context("merge failed")?);
            } else {
                // Helm makes the index that it was told to merge.
                IndexFile::default().save(merge, self.json)?;
            }
        }
        Ok(index.save(&self.dir.join("index.yaml"), self.json)?)
    }
}
