//! The `pintle` binary: parse, run, print the error chain, exit code.

use std::process::ExitCode;

use clap::Parser;
use pintle::cli::{Cli, output};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
