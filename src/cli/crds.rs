//! `pintle crds`: the CustomResourceDefinitions, generated from the types of [`crate::api`].

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::api::{ChartRepository, HelmRelease};

/// Prints the CRDs, or writes each into a file of its own.
#[derive(Debug, Args)]
pub struct CrdsArgs {
    /// Write each CRD into this folder, as GROUP_PLURAL.yaml
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

impl CrdsArgs {
    /// Writes the CRDs.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        for crd in crds() {
            let text = to_yaml(&crd)?;
            match &self.output_dir {
                Some(dir) => {
                    let path = dir.join(file_name(&crd));
                    std::fs::write(&path, text)
                        .with_context(|| format!("failed to write {}", path.display()))?;
                }
                None => write!(out, "---\n{text}")?,
            }
        }
        Ok(())
    }
}

fn crds() -> [CustomResourceDefinition; 2] {
    [ChartRepository::crd(), HelmRelease::crd()]
}

fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural)
}

fn to_yaml(crd: &CustomResourceDefinition) -> anyhow::Result<String> {
    // Through a value, so that fields stand in the order of their names whatever the types do.
    Ok(serde_yaml::to_string(&serde_json::to_value(crd)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_in_crds_are_current() {
        for crd in crds() {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(file_name(&crd));
            let on_disk = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(on_disk == to_yaml(&crd).unwrap(), "{} is stale: run `make generate`", path.display());
        }
    }
}
