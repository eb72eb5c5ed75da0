//! End to end, without a cluster: the chart authors' commands and the real helm's, on the same files of one home.
//!
//! The whole file is a test; clippy sees that of functions marked as tests only.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A home that both tools share, and a folder of charts.
struct Desk {
    dir: TempDir,
    helm: PathBuf,
}

/// What a command said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    good: bool,
    out: String,
}

/// A server that ends with its test.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PINTLE: &str = env!("CARGO_BIN_EXE_pintle");

impl Desk {
    fn new() -> Self {
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/controlplane/build");
        let built = Command::new(build).stderr(Stdio::inherit()).output().unwrap();
        let bin = String::from_utf8(built.stdout).unwrap();
        let desk = Self { dir: tempfile::tempdir().unwrap(), helm: Path::new(bin.trim()).join("helm") };
        fs::create_dir(desk.path("charts")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn chart(&self, folder: &str, version: &str, further: &str) {
        let name = folder.rsplit('/').next().unwrap();
        self.write(
            &format!("{folder}/Chart.yaml"),
            &format!(
                "apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: \"1.0\"\ndescription: The {name} for \
                 tests, with words that go on for much longer than a column\nkeywords: [blue]\n{further}"
            ),
        );
        self.write(&format!("{folder}/values.yaml"), "# kept\nreplicas: 1\n");
        self.write(&format!("{folder}/README.md"), "# Read me\n");
        self.write(&format!("{folder}/crds/a.yaml"), "kind: CustomResourceDefinition\n");
        self.write(&format!("{folder}/templates/a.yaml"), "kind: ConfigMap\nmetadata: {name: a}\n");
        self.write(&format!("{folder}/.helmignore"), "*.bak\n");
        self.write(&format!("{folder}/old.bak"), "not packaged");
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("HELM_CONFIG_HOME", self.path("config"))
            .env("HELM_CACHE_HOME", self.path("cache"))
            .env("HELM_DATA_HOME", self.path("data"))
            .env("HOME", self.dir.path());
        command
    }

    fn say(&self, program: &Path, arguments: &[&str]) -> (Said, String) {
        let output = self.command(program, arguments).output().unwrap();
        let said =
            Said { good: output.status.success(), out: String::from_utf8_lossy(&output.stdout).into_owned() };
        (said, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn pintle(&self, arguments: &[&str]) -> String {
        let (said, errors) = self.say(Path::new(PINTLE), arguments);
        assert!(said.good, "pintle {arguments:?}: {errors}");
        said.out
    }

    fn helm(&self, arguments: &[&str]) -> String {
        let (said, errors) = self.say(&self.helm, arguments);
        assert!(said.good, "helm {arguments:?}: {errors}");
        said.out
    }

    /// Both tools say the same.
    fn same(&self, arguments: &[&str]) -> String {
        let (ours, ours_errors) = self.say(Path::new(PINTLE), arguments);
        let (theirs, theirs_errors) = self.say(&self.helm, arguments);
        assert_eq!(ours, theirs, "{arguments:?}\npintle: {ours_errors}\nhelm: {theirs_errors}");
        ours.out
    }

    /// Both tools refuse.
    fn refused(&self, arguments: &[&str]) -> String {
        let (ours, errors) = self.say(Path::new(PINTLE), arguments);
        let (theirs, _) = self.say(&self.helm, arguments);
        assert!(!ours.good && !theirs.good, "{arguments:?}: {ours:?} {theirs:?}");
        errors
    }

    fn serve(&self, folder: &str) -> Server {
        let mut command = self.command(Path::new(PINTLE), &["serve", folder, "--address", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        Server { url: url.trim_end_matches(['.', ',', '/']).to_owned(), child }
    }
}

#[test]
fn packages_are_the_same_every_time_and_helm_reads_them() {
    let desk = Desk::new();
    desk.chart("src/web", "1.2.3", "");
    let said = desk.pintle(&["package", "src/web", "-d", "charts"]);
    assert_eq!(said, "Successfully packaged chart and saved it to: charts/web-1.2.3.tgz\n");
    let first = fs::read(desk.path("charts/web-1.2.3.tgz")).unwrap();
    desk.pintle(&["package", "src/web", "-d", "again"]);
    assert!(fs::read(desk.path("again/web-1.2.3.tgz")).unwrap() == first);
    for what in ["all", "chart", "values", "readme", "crds"] {
        desk.same(&["show", what, "charts/web-1.2.3.tgz"]);
        desk.same(&["show", what, "src/web"]);
    }
    desk.pintle(&["package", "src/web", "--version", "2.0.0-rc.1", "--app-version", "9", "-d", "charts"]);
    let shown = desk.same(&["show", "chart", "charts/web-2.0.0-rc.1.tgz"]);
    assert!(shown.contains("appVersion: \"9\"") && shown.contains("version: 2.0.0-rc.1"), "{shown}");
    desk.helm(&["package", "src/web", "-d", "theirs"]);
    desk.same(&["show", "all", "theirs/web-1.2.3.tgz"]);

    desk.chart(
        "src/bad",
        "1.0.0",
        "dependencies: [{name: gone, version: 1.0.0, repository: 'file://../gone'}]\n",
    );
    assert!(desk.refused(&["package", "src/bad"]).contains("pintle dependency build"));
    desk.refused(&["template", "src/bad"]);
    desk.refused(&["package", "src/web", "--version", "x"]);
    desk.refused(&["package", "src/none"]);
}

#[test]
fn both_tools_use_the_same_repositories() {
    let desk = Desk::new();
    for version in ["1.0.0", "1.1.0", "2.0.0-beta.1"] {
        desk.chart("src/web", version, "");
        desk.pintle(&["package", "src/web", "-d", "charts"]);
    }
    desk.chart("src/tool", "0.3.0", "");
    desk.helm(&["package", "src/tool", "-d", "charts"]);
    desk.pintle(&["repo", "index", "charts", "--url", "http://127.0.0.1:1/x"]);
    let index = fs::read_to_string(desk.path("charts/index.yaml")).unwrap();
    desk.helm(&["repo", "index", "charts", "--url", "http://127.0.0.1:1/x"]);
    let theirs = fs::read_to_string(desk.path("charts/index.yaml")).unwrap();
    let timeless = |text: &str| -> Vec<String> {
        let timed = |line: &&str| !line.contains("created: ") && !line.contains("generated: ");
        text.lines().filter(timed).map(str::to_owned).collect()
    };
    assert_eq!(timeless(&index), timeless(&theirs));

    let server = desk.serve("charts");
    desk.refused(&["repo", "update"]);
    desk.refused(&["search", "repo", "web"]);
    let added = desk.pintle(&["repo", "add", "ours", &server.url]);
    assert_eq!(added, "\"ours\" has been added to your repositories\n");
    desk.helm(&["repo", "add", "theirs", &server.url]);
    desk.same(&["repo", "add", "ours", &server.url]);
    desk.same(&["repo", "add", "theirs", &server.url]);
    desk.refused(&["repo", "add", "ours", "http://127.0.0.1:1"]);
    for output in ["table", "json", "yaml"] {
        desk.same(&["repo", "list", "-o", output]);
        for words in
            [&["web"][..], &["blue"], &["^we", "-r"], &["-l"], &["-l", "--devel"], &["nothing"], &["THE"]]
        {
            desk.same(&[&["search", "repo", "-o", output], words].concat());
        }
        desk.same(&["search", "repo", "web", "--version", "~1.0", "-o", output]);
    }
    desk.same(&["search", "repo", "--max-col-width", "12"]);
    desk.same(&["repo", "update", "ours"]);
    assert!(desk.pintle(&["repo", "update"]).ends_with("Update Complete. \u{2388}Happy Helming!\u{2388}\n"));
    desk.refused(&["repo", "update", "none"]);
    let charts = fs::read_to_string(desk.path("cache/repository/ours-charts.txt")).unwrap();
    assert_eq!(charts, "tool\nweb\n");

    let url = format!("{}/web-1.0.0.tgz", server.url);
    for (place, arguments) in [
        ("newest", vec!["ours/web"]),
        ("range", vec!["theirs/web", "--version", "~1.0"]),
        ("devel", vec!["ours/web", "--devel"]),
        ("repo", vec!["tool", "--repo", &server.url]),
        ("url", vec![&url]),
    ] {
        let (ours, theirs) = (format!("{place}-ours"), format!("{place}-theirs"));
        fs::create_dir(desk.path(&theirs)).unwrap();
        desk.pintle(&[&["pull"], &arguments[..], &["-d", &ours]].concat());
        desk.helm(&[&["pull"], &arguments[..], &["-d", &theirs]].concat());
        assert_eq!(files(&desk.path(&ours)), files(&desk.path(&theirs)), "{arguments:?}");
    }
    desk.same(&["show", "values", "theirs/web", "--version", "1.0.0"]);
    desk.refused(&["pull", "ours/none"]);
    desk.refused(&["pull", "none/web"]);
    desk.pintle(&["pull", "ours/web", "--untar", "--untardir", "open"]);
    desk.same(&["show", "all", "open/web"]);
    desk.refused(&["pull", "ours/web", "--untar", "--untardir", "open"]);

    let removed = desk.pintle(&["repo", "remove", "theirs"]);
    assert_eq!(removed, "\"theirs\" has been removed from your repositories\n");
    desk.same(&["repo", "list"]);
    desk.helm(&["repo", "remove", "ours"]);
    desk.refused(&["repo", "remove", "ours"]);
}

#[test]
fn both_tools_use_the_same_lock() {
    let desk = Desk::new();
    for version in ["1.0.0", "1.1.0"] {
        desk.chart("src/web", version, "");
        desk.pintle(&["package", "src/web", "-d", "charts"]);
    }
    desk.chart("src/near", "0.1.0", "");
    let server = desk.serve("charts");
    desk.pintle(&["repo", "add", "ours", &server.url]);
    let further = "dependencies:\n- {name: web, version: \">=1.0.0 <2\", repository: \"@ours\", alias: front, \
                   condition: front.on, tags: [a], import-values: [{child: x, parent: outer}]}\n\
                   - {name: near, version: ~0.1, repository: \"file://../near\"}\n";
    for chart in ["src/ours", "src/theirs"] {
        desk.chart(chart, "1.0.0", further);
        desk.same(&["dependency", "list", chart]);
    }
    let said = desk.pintle(&["dependency", "update", "src/ours"]);
    assert_eq!(said, desk.helm(&["dependency", "update", "src/theirs"]));
    let lock = |chart: &str| -> Vec<String> {
        let text = fs::read_to_string(desk.path(&format!("{chart}/Chart.lock"))).unwrap();
        text.lines().filter(|line| !line.starts_with("generated")).map(str::to_owned).collect()
    };
    assert_eq!(lock("src/ours"), lock("src/theirs"));
    let names = |chart: &str| -> Vec<String> {
        files(&desk.path(&format!("{chart}/charts"))).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names("src/ours"), ["near-0.1.0.tgz", "web-1.1.0.tgz"]);
    assert_eq!(names("src/ours"), names("src/theirs"));
    desk.same(&["dependency", "list", "src/ours"]);

    // Each builds from the other's lock.
    for chart in ["src/ours", "src/theirs"] {
        fs::remove_dir_all(desk.path(&format!("{chart}/charts"))).unwrap();
        desk.same(&["dependency", "list", chart]);
    }
    desk.helm(&["dependency", "build", "src/ours"]);
    desk.pintle(&["dependency", "build", "src/theirs"]);
    assert_eq!(names("src/ours"), names("src/theirs"));
    desk.same(&["template", "src/ours"]);

    // What is outdated goes, what is a stranger is told.
    fs::copy(desk.path("charts/web-1.0.0.tgz"), desk.path("src/ours/charts/web-1.0.0.tgz")).unwrap();
    desk.same(&["dependency", "list", "src/ours"]);
    desk.pintle(&["dependency", "build", "src/ours", "--skip-refresh"]);
    assert_eq!(names("src/ours"), names("src/theirs"));
    desk.chart("src/ours/charts/stranger", "1.0.0", "");
    desk.same(&["dependency", "list", "src/ours"]);

    // Out of sync, and links.
    desk.chart("src/ours", "1.0.0", "dependencies: [{name: web, version: 1.0.0, repository: '@ours'}]\n");
    assert!(desk.refused(&["dependency", "build", "src/ours"]).contains("out of sync"));
    fs::remove_file(desk.path("src/ours/Chart.lock")).unwrap();
    desk.write("victim", "untouched");
    std::os::unix::fs::symlink(desk.path("victim"), desk.path("src/ours/Chart.lock")).unwrap();
    desk.refused(&["dependency", "update", "src/ours"]);
    assert_eq!(fs::read_to_string(desk.path("victim")).unwrap(), "untouched");
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}
