//! `--post-renderer`: a program that gets what was rendered, and gives what is printed in its place.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use super::Error;
use crate::Compat;

/// A program, as Helm 3 takes one, and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostRenderer {
    /// Its name or path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
}

impl PostRenderer {
    /// Finds the program.
    ///
    /// # Errors
    /// It is not there; or Helm 4 is meant, whose post-renderers are plugins.
    ///
    /// # Compatibility
    /// As Helm v3 `pkg/postrender/exec.go`; Helm 4 takes no programs any more, and Pintle has no plugins.
    pub(super) fn find(&self, compat: Compat) -> Result<PathBuf, Error> {
        let Self { program, .. } = self;
        if compat == Compat::V4 {
            let why = "it names a plugin of Helm 4, and Pintle has no plugins; with --helm-compat v3 it names a program";
            return Err(self.invalid(why));
        }
        let missing = |why: String| self.invalid(&format!("unable to find binary at {program}: exec: {why}"));
        if program.contains('/') {
            let path = Path::new(program);
            let found = path.metadata().ok();
            return match found {
                Some(found) if is_executable(&found) => {
                    Ok(std::path::absolute(path).unwrap_or_else(|_| path.into()))
                }
                Some(_) => Err(missing(format!("{program:?}: permission denied"))),
                None => Err(missing(format!("{program:?}: stat {program}: no such file or directory"))),
            };
        }
        let folders = env::var_os("PATH").unwrap_or_default();
        let mut paths = env::split_paths(&folders).map(|folder| folder.join(program));
        let found = paths.find(|path| path.metadata().is_ok_and(|found| is_executable(&found)));
        found.ok_or_else(|| missing(format!("{program:?}: executable file not found in $PATH")))
    }

    fn invalid(&self, why: &str) -> Error {
        let text = format!("invalid argument {:?} for \"--post-renderer\" flag: {why}", self.program);
        Error::PostRenderer { text }
    }

    /// What the program makes of a text.
    ///
    /// # Errors
    /// The program fails.
    pub(super) fn run(&self, path: &Path, text: String) -> Result<String, Error> {
        let failed = |stderr: &[u8], why: String| Error::PostRenderer {
            text: format!(
                "error while running post render on files: error while running command {}. error output:\n{}: {why}",
                path.display(),
                String::from_utf8_lossy(stderr)
            ),
        };
        let mut command = Command::new(path);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(b"", error.to_string()))?;
        let stdin = child.stdin.take();
        // Beside reading: a program may write before it has read everything. One that does not read to the end is judged
        // by how it ends.
        let writing = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(text.as_bytes())));
        let output = child.wait_with_output().map_err(|error| failed(b"", error.to_string()))?;
        let _ = writing.join();
        if !output.status.success() {
            let why = output
                .status
                .code()
                .map_or_else(|| output.status.to_string(), |code| format!("exit status {code}"));
            return Err(failed(&output.stderr, why));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[cfg(unix)]
fn is_executable(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    found.is_file() && found.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(found: &std::fs::Metadata) -> bool {
    found.is_file()
}

#[cfg(test)]
mod tests {
    //! Unit: programs that are not there, fail, and change something; the texts are those of helm v3.22.

    use super::*;

    fn post(program: &str, args: &[&str]) -> Result<String, String> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let post = PostRenderer { program: program.to_owned(), args };
        let path = post.find(Compat::V3).map_err(|error| error.to_string())?;
        post.run(&path, "kind: A\n".repeat(50_000)).map_err(|error| error.to_string())
    }

    #[test]
    fn programs_change_what_is_printed() {
        let changed = post("sed", &["s/^kind: /kind: X/"]).unwrap();
        assert_eq!(changed, "kind: XA\n".repeat(50_000));
        assert_eq!(post("true", &[]).unwrap(), "", "whatever comes is taken, be it nothing");
    }

    #[test]
    fn what_goes_wrong_is_told() {
        assert_eq!(
            post("no-such-program", &[]).unwrap_err(),
            "invalid argument \"no-such-program\" for \"--post-renderer\" flag: unable to find binary at \
             no-such-program: exec: \"no-such-program\": executable file not found in $PATH"
        );
        let missing = post("/no/such", &[]).unwrap_err();
        assert!(
            missing.ends_with("exec: \"/no/such\": stat /no/such: no such file or directory"),
            "{missing}"
        );
        let failed = post("sh", &["-c", "echo oops >&2; exit 3"]).unwrap_err();
        assert!(
            failed.starts_with("error while running post render on files: error while running command /")
        );
        assert!(failed.ends_with("/sh. error output:\noops\n: exit status 3"), "{failed}");
        let plugin = PostRenderer { program: "sed".to_owned(), args: Vec::new() };
        let plugin = plugin.find(Compat::V4).unwrap_err().to_string();
        assert!(plugin.contains("a plugin of Helm 4") && plugin.contains("--helm-compat v3"), "{plugin}");
    }
}
