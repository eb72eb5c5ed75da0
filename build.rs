//! How the program is linked.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // At a fixed address, as Go's programs: else every start of the command line relocates 47,000 pointers, which is a
    // fifth of what it takes to render a small chart. The static binary of the Dockerfile (musl) keeps its random address.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bin=pintle=-no-pie");
    }
}
