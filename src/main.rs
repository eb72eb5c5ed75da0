//! The `pintle` binary: parse, run, print the error chain, exit code.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use pintle::cli::{Cli, output};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
