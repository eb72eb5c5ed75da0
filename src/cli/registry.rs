//! `pintle registry`: the credentials of registries, in helm's file.

use std::io::{Read, Write};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::charts::HomeArgs;
use crate::repository::authoring::{Fetcher, Login};

/// The arguments of `helm registry`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct RegistryArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Log in to a registry; helm is logged in by this, too
    Login(LogInArgs),
    /// Forget the credentials of a registry
    Logout(LogOutArgs),
}

#[derive(Args, Clone)]
struct LogInArgs {
    /// The registry, without a path
    host: String,
    /// Who asks
    #[arg(short, long, value_name = "NAME", default_value = "", hide_default_value = true)]
    username: String,
    /// The password or token, which others on this machine may see in the list of processes
    #[arg(short, long, value_name = "PASSWORD", default_value = "", hide_default_value = true)]
    password: String,
    /// Reads the password or token from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Takes any certificate
    #[arg(long)]
    insecure: bool,
    /// A client certificate in PEM
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    cert_file: String,
    /// The key of the client certificate
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    key_file: String,
    /// Certificates that are trusted beside the system's
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    ca_file: String,
    /// Talks to the registry without TLS
    #[arg(long)]
    plain_http: bool,
    #[command(flatten)]
    home: HomeArgs,
}

impl std::fmt::Debug for LogInArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogInArgs").field("host", &self.host).finish_non_exhaustive()
    }
}

#[derive(Args, Clone, Debug)]
struct LogOutArgs {
    /// The registry
    host: String,
    #[command(flatten)]
    home: HomeArgs,
}

impl RegistryArgs {
    /// Does what was asked for.
    ///
    /// # Errors
    /// The registry does not take the credentials, or they cannot be kept.
    pub async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            Command::Login(args) => args.run(out).await,
            Command::Logout(LogOutArgs { host, home }) => {
                Fetcher::new(home.home()).log_out(&host)?;
                writeln!(out, "Removing login credentials for {host}")?;
                Ok(())
            }
        }
    }
}

impl LogInArgs {
    async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let password = match self.password_stdin {
            true => password_from_stdin()?,
            false => self.password,
        };
        if password.is_empty() {
            bail!("a password or token is needed: give it to --password-stdin");
        }
        let login = Login {
            username: self.username,
            password,
            cert_file: self.cert_file,
            key_file: self.key_file,
            ca_file: self.ca_file,
            insecure_skip_tls_verify: self.insecure,
            plain_http: self.plain_http,
            ..Login::default()
        };
        Fetcher::new(self.home.home()).log_in(&self.host, &login).await?;
        writeln!(out, "Login Succeeded")?;
        Ok(())
    }
}

/// What somebody pipes in, without the end of its line.
pub fn password_from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("failed to read the password")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
