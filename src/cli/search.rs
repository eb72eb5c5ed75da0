//! `pintle search repo`: charts by words.

use std::io::Write;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::charts::HomeArgs;
use super::output;
use super::table::{Format, write_list, write_table};
use crate::repository::authoring::{IndexFile, Query, search};

/// The arguments of `helm search`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct SearchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Search the repositories that were added
    Repo(RepoArgs),
}

#[derive(Args, Clone, Debug)]
struct RepoArgs {
    /// The words; all charts without any
    #[arg(value_name = "KEYWORD")]
    words: Vec<String>,
    /// Takes the words as a regular expression
    #[arg(short, long)]
    regexp: bool,
    /// Lists all versions
    #[arg(short = 'l', long)]
    versions: bool,
    /// Takes versions that are not released, too
    #[arg(long)]
    devel: bool,
    /// A constraint on versions
    #[arg(long, value_name = "CONSTRAINT")]
    version: Option<String>,
    /// How wide a column may be
    #[arg(long, value_name = "CHARACTERS", default_value_t = 50)]
    max_col_width: usize,
    /// Fails when nothing is found
    #[arg(long)]
    fail_on_no_result: bool,
    /// How they are listed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    home: HomeArgs,
}

/// A chart as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    version: &'a str,
    app_version: &'a str,
    description: &'a str,
}

impl SearchArgs {
    /// Searches.
    ///
    /// # Errors
    /// There is nothing to search, or the words cannot be used.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let Command::Repo(args) = self.command;
        args.run(out)
    }
}

impl RepoArgs {
    fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let home = self.home.home();
        let file = home.repositories()?;
        if file.repositories.is_empty() {
            bail!("no repositories configured");
        }
        let mut indexes = Vec::new();
        for entry in &file.repositories {
            match IndexFile::load(&home.index(&entry.name)) {
                Ok(index) => indexes.push((entry.name.clone(), index)),
                Err(error) => {
                    let why = crate::cluster::chain(&error);
                    output::note(&format!("WARNING: repo {:?} is corrupt or missing: {why}", entry.name));
                }
            }
        }
        let default = if self.devel { ">0.0.0-0" } else { ">0.0.0" };
        let query = Query {
            words: (!self.words.is_empty()).then(|| self.words.join(" ")),
            regexp: self.regexp,
            versions: self.versions,
            constraint: self
                .version
                .filter(|version| !version.is_empty())
                .unwrap_or_else(|| default.to_owned()),
        };
        let hits = search(&indexes, &query)?;
        if hits.is_empty() && self.fail_on_no_result {
            bail!("no results found");
        }
        let listed: Vec<Listed<'_>> = hits
            .iter()
            .map(|hit| Listed {
                name: &hit.name,
                version: &hit.version,
                app_version: &hit.app_version,
                description: &hit.description,
            })
            .collect();
        if self.output != Format::Table {
            return write_list(out, &listed, self.output == Format::Json);
        }
        if hits.is_empty() {
            writeln!(out, "No results found")?;
            return Ok(());
        }
        let mut rows = vec![vec!["NAME", "CHART VERSION", "APP VERSION", "DESCRIPTION"]];
        rows.extend(listed.iter().map(|hit| vec![hit.name, hit.version, hit.app_version, hit.description]));
        Ok(write_table(out, &rows, self.max_col_width)?)
    }
}
