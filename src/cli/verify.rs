//! `pintle verify`: who vouches for an archive.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::charts::keyring;
use crate::repository::authoring::verify_file;

/// The arguments of `helm verify`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The archive; its provenance file lies beside it
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The keys that may have signed
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
}

impl VerifyArgs {
    /// Verifies.
    ///
    /// # Errors
    /// Nobody vouches for it.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        write!(out, "{}", verify_file(&self.path, &keyring(self.keyring.as_deref()))?)?;
        Ok(())
    }
}
