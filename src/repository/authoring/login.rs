//! The credentials of registries, in the file that helm and docker keep them in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::oci::{Keychain, Reference, Registry};
use super::{Error, Fetcher, Login, write};

/// The file as it is; what is not understood stays.
struct RegistryConfig {
    path: PathBuf,
    content: Map<String, Value>,
}

impl RegistryConfig {
    fn load(path: &Path) -> Result<Self, Error> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(Error::ReadFile { path: path.to_owned(), source }),
        };
        if text.trim_ascii().is_empty() {
            return Ok(Self { path: path.to_owned(), content: Map::new() });
        }
        // What serde says quotes the text, so it is not told.
        let wrong =
            || Error::Parse { path: path.to_owned(), why: "it is not docker's config.json".to_owned() };
        let content: Map<String, Value> = serde_json::from_slice(&text).map_err(|_| wrong())?;
        match content.get("auths") {
            None | Some(Value::Null | Value::Object(_)) => Ok(Self { path: path.to_owned(), content }),
            Some(_) => Err(wrong()),
        }
    }

    /// The credentials by registry.
    fn auths(&mut self) -> Option<&mut Map<String, Value>> {
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        if auths.is_null() {
            *auths = json!({});
        }
        auths.as_object_mut()
    }

    /// Says which program keeps the credentials of `server` in place of the file.
    fn keeper(&self, server: &str) -> Option<&str> {
        let own = self.content.get("credHelpers").and_then(|helpers| helpers.get(server));
        own.or(self.content.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    /// Writes the file, for nobody else to read.
    fn save(&self) -> Result<(), Error> {
        let mut text = Vec::new();
        // Go's `json.MarshalIndent(…, "", "\t")`.
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        self.content
            .serialize(&mut serde_json::Serializer::with_formatter(&mut text, tabs))
            .map_err(|error| Error::Parse { path: self.path.clone(), why: error.to_string() })?;
        write(&self.path, &text, 0o600)
    }
}

/// Under which name the file keeps the credentials of a registry.
fn server(host: &str) -> &str {
    match host {
        // Docker's own registry is kept under the address that it had first.
        "docker.io" | "registry-1.docker.io" => "https://index.docker.io/v1/",
        host => host,
    }
}

impl Fetcher {
    /// Logs in to the registry `host`, and keeps the credentials for helm, too.
    ///
    /// # Errors
    /// The registry does not take them, or they cannot be kept.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/registry/client.go:Login`, but for programs that keep credentials, which are not asked.
    pub async fn log_in(&self, host: &str, login: &Login) -> Result<(), Error> {
        let failed = |source| Error::LogIn { host: host.to_owned(), source: Box::new(source) };
        let mut config = RegistryConfig::load(&self.home.registry_config)?;
        if let Some(keeper) = config.keeper(server(host)) {
            return Err(Error::refused(format!(
                "the credentials of {host} are kept by docker-credential-{keeper}, as {} says; log in with helm or docker, \
                 or give --username and --password to each command",
                config.path.display()
            )));
        }
        let place = Reference::parse(&format!("oci://{host}")).map_err(failed)?;
        if !place.path.is_empty() {
            return Err(Error::refused(format!(
                "only a whole registry can be logged in to: leave out what follows {}",
                place.host
            )));
        }
        let pair = format!("{}:{}", login.username, login.password);
        let data = [("username", &login.username), ("password", &login.password)]
            .map(|(key, text)| (key.to_owned(), text.clone().into_bytes()));
        let keychain = Keychain::parse(&data.into()).map_err(Error::Credentials)?;
        let registry = Registry::new(place, login.plain_http, keychain, login.tls()?, self.timeout);
        self.registries.ping(&self.http, &registry.map_err(failed)?).await.map_err(failed)?;
        if let Some(auths) = config.auths() {
            auths.insert(server(host).to_owned(), json!({"auth": STANDARD.encode(pair)}));
        }
        config.save()
    }

    /// Forgets the credentials of the registry `host`.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn log_out(&self, host: &str) -> Result<(), Error> {
        let mut config = RegistryConfig::load(&self.home.registry_config)?;
        match config.auths().and_then(|auths| auths.remove(server(host))) {
            Some(_) => config.save(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_else_stands_in_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry/config.json");
        let mut config = RegistryConfig::load(&path).unwrap();
        config.auths().unwrap().insert("h:1".to_owned(), json!({"auth": "dTpw"}));
        config.save().unwrap();
        let text = "{\n\t\"auths\": {\n\t\t\"h:1\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t}\n\t}\n}";
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        fs::write(&path, r#"{"auths": null, "currentContext": "x", "credHelpers": {"g.io": "gcr"}}"#)
            .unwrap();
        let mut config = RegistryConfig::load(&path).unwrap();
        assert_eq!((config.keeper("g.io"), config.keeper("h:1")), (Some("gcr"), None));
        config.auths().unwrap().insert("h:1".to_owned(), json!({}));
        config.save().unwrap();
        let kept = fs::read_to_string(&path).unwrap();
        assert!(kept.contains("currentContext") && kept.contains("gcr") && kept.contains("h:1"), "{kept}");
    }

    #[test]
    fn a_file_that_is_none_is_told_without_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        for text in ["{\"auths\": \"hunter2\"}", "hunter2", "[]"] {
            fs::write(&path, text).unwrap();
            let error = RegistryConfig::load(&path).err().unwrap().to_string();
            assert!(error.contains("not docker's") && !error.contains("hunter2"), "{error}");
        }
    }
}
