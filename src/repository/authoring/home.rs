//! Where helm keeps its files.

use std::ffi::OsString;
use std::path::PathBuf;

/// The places of helm's files.
///
/// # Compatibility
/// As Helm v4 `pkg/cli/environment.go` and `pkg/helmpath/lazypath.go`: a variable for the file itself, then one for its
/// folder, then the XDG one, then the default.
#[derive(Clone, Debug)]
pub struct Home {
    /// The repositories of the user: `repositories.yaml`.
    pub repository_config: PathBuf,
    /// The folder of the indexes of these repositories.
    pub repository_cache: PathBuf,
    /// The credentials of registries, in docker's format.
    pub registry_config: PathBuf,
    /// Docker's own, which count where helm has none.
    pub docker_config: PathBuf,
}

impl Home {
    /// The places that the variables of this process say.
    pub fn from_env() -> Self {
        Self::from(|name| std::env::var_os(name))
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = |helm: &str, xdg: &str, fallback: &str| {
            set(helm).unwrap_or_else(|| {
                set(xdg).unwrap_or_else(|| set("HOME").unwrap_or_default().join(fallback)).join("helm")
            })
        };
        let config = folder("HELM_CONFIG_HOME", "XDG_CONFIG_HOME", ".config");
        let cache = folder("HELM_CACHE_HOME", "XDG_CACHE_HOME", ".cache");
        Self {
            repository_config: set("HELM_REPOSITORY_CONFIG")
                .unwrap_or_else(|| config.join("repositories.yaml")),
            repository_cache: set("HELM_REPOSITORY_CACHE").unwrap_or_else(|| cache.join("repository")),
            registry_config: set("HELM_REGISTRY_CONFIG")
                .unwrap_or_else(|| config.join("registry/config.json")),
            docker_config: set("DOCKER_CONFIG")
                .unwrap_or_else(|| set("HOME").unwrap_or_default().join(".docker"))
                .join("config.json"),
        }
    }

    /// The cached index of a repository.
    pub fn index(&self, repository: &str) -> PathBuf {
        self.repository_cache.join(format!("{repository}-index.yaml"))
    }

    /// The list of a repository's charts, for completion in shells.
    pub fn charts(&self, repository: &str) -> PathBuf {
        self.repository_cache.join(format!("{repository}-charts.txt"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_that_says_most_wins() {
        let home = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
            let home = Home::from(|name| set.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()));
            [home.repository_config, home.repository_cache].map(|path| path.display().to_string())
        };
        for (set, expected) in [
            (&[("HOME", "/u")][..], ["/u/.config/helm/repositories.yaml", "/u/.cache/helm/repository"]),
            (
                &[("HOME", "/u"), ("XDG_CACHE_HOME", "/c"), ("XDG_CONFIG_HOME", "/x")],
                ["/x/helm/repositories.yaml", "/c/helm/repository"],
            ),
            (
                &[("XDG_CACHE_HOME", "/c"), ("HELM_CACHE_HOME", "/hc"), ("HELM_CONFIG_HOME", "/h")],
                ["/h/repositories.yaml", "/hc/repository"],
            ),
            (
                &[
                    ("HELM_CACHE_HOME", "/hc"),
                    ("HELM_REPOSITORY_CACHE", "/r"),
                    ("HELM_REPOSITORY_CONFIG", "/f"),
                ],
                ["/f", "/r"],
            ),
        ] {
            assert_eq!(home(set), expected, "{set:?}");
        }
    }
}
