//! Values from the command line: files first, then the kinds of `--set` in Helm's order.

use super::{Error, Sources};
use crate::Compat;
use crate::values::{self, Values, strvals};

/// The arguments that set values, in the order in which Helm applies the kinds.
#[derive(Clone, Debug, Default)]
pub struct ValueSources {
    /// `--values`.
    pub files: Vec<String>,
    /// `--set-json`.
    pub json: Vec<String>,
    /// `--set`.
    pub set: Vec<String>,
    /// `--set-string`.
    pub strings: Vec<String>,
    /// `--set-file`.
    pub from_files: Vec<String>,
    /// `--set-literal`.
    pub literals: Vec<String>,
}

impl ValueSources {
    /// Reads and merges them all.
    ///
    /// # Errors
    /// A file cannot be read, or an argument is malformed.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/cli/values/options.go:MergeValues`.
    pub fn merge(&self, compat: Compat, sources: &dyn Sources) -> Result<Values, Error> {
        let mut layers = Vec::new();
        for path in &self.files {
            let layer = Values::from_yaml_as(&sources.read(path)?, compat).map_err(|source| {
                Error::ParseValues { path: path.clone(), message: source.as_helm(compat) }
            })?;
            layers.push(layer);
        }
        let mut values = values::merge_layers(layers);
        for argument in &self.json {
            strvals::set_json_as(&mut values, argument, compat)?;
        }
        for argument in &self.set {
            strvals::set_as(&mut values, argument, compat)?;
        }
        for argument in &self.strings {
            strvals::set_string_as(&mut values, argument, compat)?;
        }
        for argument in &self.from_files {
            let read = |path: &str| match sources.read(path) {
                Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) => Err(error.to_string()),
            };
            strvals::set_file_as(&mut values, argument, &read, compat)?;
        }
        for argument in &self.literals {
            strvals::set_literal_as(&mut values, argument, compat)?;
        }
        Ok(values)
    }
}
