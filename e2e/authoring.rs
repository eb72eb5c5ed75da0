//! End to end, without a cluster: the chart authors' commands and the real helm's, on the same files of one home.
//!
//! The whole file is a test; clippy sees that of functions marked as tests only.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pgp::composed::{ArmorOptions, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::ser::Serialize as _;
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
/// The password of a locked registry's user `charts`, and its line of an htpasswd file.
const PASSWORD: &str = "right";
const HTPASSWD: &str = "charts:$2a$10$VPKfOZPnR/L3xmdrz8KuUuNSW3p/Zw94dbuiHKJ.GeNoO0n79eK.2\n";
/// Until a server must listen.
const READY_WITHIN: Duration = Duration::from_secs(60);

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
            .env_remove("DOCKER_CONFIG")
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

    /// Runs a tool with `text` on its standard input.
    fn typed(&self, program: &Path, arguments: &[&str], text: &str) -> Said {
        let mut command = self.command(program, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Said { good: output.status.success(), out: String::from_utf8_lossy(&output.stdout).into_owned() }
    }

    /// A real registry without TLS; its address is host and port. A locked one wants a password.
    fn registry(&self, name: &str, locked: bool) -> Server {
        // Free a moment ago.
        let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{host}\"}}\n",
            self.path(name).display()
        );
        if locked {
            self.write("htpasswd", HTPASSWD);
            let passwords = self.path("htpasswd");
            config.push_str(&format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", passwords.display()));
        }
        let file = format!("{name}.yml");
        self.write(&file, &config);
        let mut command = self.command(&self.helm.with_file_name("registry"), &["serve", &file]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Server { child, url: host };
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(&server.url).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the registry ended");
            assert!(Instant::now() < deadline, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Pulls with both tools, each into a folder of its own; they say the same and get the same. Gives it back.
    fn both_pull(&self, place: &str, arguments: &[&str]) -> Vec<(String, Vec<u8>)> {
        let (ours, theirs) = (format!("{place}-ours"), format!("{place}-theirs"));
        fs::create_dir(self.path(&theirs)).unwrap();
        let said = self.pintle(&[&["pull"], arguments, &["-d", &ours]].concat());
        assert_eq!(said, self.helm(&[&["pull"], arguments, &["-d", &theirs]].concat()), "{arguments:?}");
        let pulled = files(&self.path(&ours));
        assert!(pulled == files(&self.path(&theirs)), "{arguments:?}: the files differ");
        pulled
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
        assert_eq!(desk.both_pull(place, &arguments).len(), 1, "{arguments:?}");
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
fn proxies_come_from_the_environment() {
    let desk = Desk::new();
    desk.chart("src/web", "1.0.0", "");
    desk.pintle(&["package", "src/web", "-d", "charts"]);
    // Our server does not mind whose address stands before the path.
    let server = desk.serve("charts");
    for program in [Path::new(PINTLE), &desk.helm] {
        let pull = |variable: &str| {
            let mut command = desk.command(program, &["pull", "http://charts.invalid/web-1.0.0.tgz"]);
            command.env("HTTP_PROXY", &server.url).env(variable, "charts.invalid").output().unwrap().status
        };
        assert!(pull("OTHER").success() && !pull("NO_PROXY").success(), "{program:?}");
    }
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
                   condition: front.on, tags: [a], import-values: [{child: x, parent: outer}, {child: 1.5, parent: y}, whole, {parent: on, \
                   child: 7, further: <&>}]}\n\
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

#[test]
fn charts_go_to_a_registry_and_back_by_either_tool() {
    let desk = Desk::new();
    let further = "home: https://example.com\nsources: [\"https://a.example/x?a=1&b=2\"]\nannotations: {x: <y>}\n\
                   maintainers: [{name: Ann, email: a@example.com}, {name: Bo}]\n";
    for version in ["1.0.0", "1.1.0+build.5", "2.0.0-rc.1"] {
        desk.chart("src/web", version, further);
        desk.pintle(&["package", "src/web", "-d", "charts"]);
    }
    let registry = desk.registry("registry", false);
    let at = |folder: &str| format!("oci://{}/{folder}", registry.url);
    for version in ["1.0.0", "1.1.0+build.5", "2.0.0-rc.1"] {
        let archive = format!("charts/web-{version}.tgz");
        let ours = desk.pintle(&["push", &archive, &at("ours/"), "--plain-http"]);
        let theirs = desk.helm(&["push", &archive, &at("theirs"), "--plain-http"]);
        assert!(ours.starts_with(&format!("Pushed: {}/ours/web:", registry.url)), "{ours}");
        // The digest of the manifest, too: it is the same to the byte.
        assert_eq!(ours.replace("/ours/", "/theirs/"), theirs);
        desk.pintle(&["push", &archive, &at("ours"), "--plain-http"]);
    }
    let first = fs::read(desk.path("charts/web-1.0.0.tgz")).unwrap();
    for folder in ["ours", "theirs"] {
        let chart = at(&format!("{folder}/web"));
        for (place, rest) in [
            ("newest", &[][..]),
            ("range", &["--version", "^1"]),
            ("version", &["--version", "1.0.0"]),
            ("build", &["--version", "1.1.0+build.5"]),
            ("devel", &["--devel"]),
        ] {
            let arguments = [&[&*chart, "--plain-http"], rest].concat();
            let pulled = desk.both_pull(&format!("{folder}-{place}"), &arguments);
            assert_eq!(pulled.len(), 1, "{arguments:?}");
            assert!(place != "version" || pulled[0].1 == first, "the bytes are another chart's");
        }
        let told = desk.pintle(&["pull", &chart, "--version", "1.0.0", "--plain-http", "-d", "told"]);
        let digest = told.lines().find_map(|line| line.strip_prefix("Digest: ")).unwrap();
        desk.pintle(&[
            "pull",
            &format!("{chart}@{digest}"),
            "--plain-http",
            "-d",
            &format!("{folder}-digest"),
        ]);
        assert!(files(&desk.path(&format!("{folder}-digest")))[0].1 == first);
        desk.refused(&["pull", &chart, "--version", "9.9.9", "--plain-http"]);
    }
    desk.refused(&["pull", &at("ours/none"), "--plain-http"]);
    for (archive, remote) in
        [("charts/none.tgz", at("x")), ("charts", at("x")), ("charts/web-1.0.0.tgz", "host/x".to_owned())]
    {
        let errors = desk.refused(&["push", archive, &remote, "--plain-http"]);
        let told = ["no such file", "cannot push directory", "scheme prefix missing"];
        assert!(told.iter().any(|text| errors.contains(text)), "{errors}");
    }

    // Dependencies come from a registry, too.
    for chart in ["src/one", "src/two"] {
        let further = format!("dependencies: [{{name: web, version: ^1, repository: '{}'}}]\n", at("theirs"));
        desk.chart(chart, "1.0.0", &further);
    }
    desk.pintle(&["dependency", "update", "src/one", "--plain-http"]);
    desk.helm(&["dependency", "update", "src/two", "--plain-http"]);
    let charts = |chart: &str| files(&desk.path(&format!("{chart}/charts")));
    assert!(!charts("src/one").is_empty() && charts("src/one") == charts("src/two"));
    let lock = |chart: &str| -> Vec<String> {
        let text = fs::read_to_string(desk.path(&format!("{chart}/Chart.lock"))).unwrap();
        text.lines().filter(|line| !line.starts_with("generated")).map(str::to_owned).collect()
    };
    assert_eq!(lock("src/one"), lock("src/two"));
}

#[test]
fn who_logs_in_with_one_tool_is_logged_in_with_both() {
    let desk = Desk::new();
    desk.chart("src/web", "1.0.0", "");
    desk.pintle(&["package", "src/web", "-d", "charts"]);
    let registry = desk.registry("locked", true);
    let (host, remote) = (&*registry.url, format!("oci://{}/charts", registry.url));
    let (chart, push) = (format!("{remote}/web"), ["push", "charts/web-1.0.0.tgz", &remote, "--plain-http"]);
    desk.refused(&push);
    desk.refused(&["registry", "login", host, "-u", "charts", "-p", "wrong", "--plain-http"]);
    desk.refused(&push);

    let login = ["registry", "login", host, "-u", "charts", "--password-stdin", "--plain-http"];
    for program in [Path::new(PINTLE), &desk.helm] {
        let said = desk.typed(program, &login, &format!("{PASSWORD}\n"));
        assert_eq!(said, Said { good: true, out: "Login Succeeded\n".to_owned() }, "{program:?}");
        desk.same(&push);
        desk.both_pull(&format!("by-{}", program.ends_with("helm")), &[&chart, "--plain-http"]);
        assert_eq!(
            desk.same(&["registry", "logout", host]),
            format!("Removing login credentials for {host}\n")
        );
        desk.refused(&push);
        desk.refused(&["pull", &chart, "--plain-http"]);
    }
    // As docker keeps it, and as arguments.
    let given = ["--username", "charts", "--password", PASSWORD];
    desk.same(&[&push[..], &given].concat());
    desk.both_pull("given", &[&[&*chart, "--plain-http"], &given[..]].concat());
    desk.typed(Path::new(PINTLE), &login, PASSWORD);
    fs::create_dir(desk.path(".docker")).unwrap();
    fs::rename(desk.path("config/registry/config.json"), desk.path(".docker/config.json")).unwrap();
    desk.same(&push);
}

/// A keyring with a secret key for helm, and the public half of it.
fn keys(desk: &Desk) -> SignedSecretKey {
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(KeyType::Ed25519Legacy).can_sign(true).can_certify(true);
    let key = builder.primary_user_id("Ann <ann@example.com>".to_owned()).build().unwrap();
    let key = key.generate(rand_of_pgp::thread_rng()).unwrap();
    fs::write(desk.path("secret.gpg"), key.to_bytes().unwrap()).unwrap();
    fs::write(desk.path("public.gpg"), key.to_public_key().to_bytes().unwrap()).unwrap();
    key
}

#[test]
fn what_helm_signs_verifies_and_a_changed_byte_does_not() {
    let desk = Desk::new();
    let key = keys(&desk);
    desk.chart("src/web", "1.0.0", "");
    desk.helm(&["package", "src/web", "-d", "signed", "--sign", "--key", "Ann", "--keyring", "secret.gpg"]);
    let archive = "signed/web-1.0.0.tgz";
    let verify = ["verify", archive, "--keyring", "public.gpg"];
    assert!(desk.same(&verify).contains("Signed by: Ann <ann@example.com>"));
    // Armored keys are read by us only.
    let armored = key.to_public_key().to_armored_string(ArmorOptions::default()).unwrap();
    desk.write("public.asc", &armored);
    desk.pintle(&["verify", archive, "--keyring", "public.asc"]);

    // The provenance file goes along: from a folder, and through a registry by either tool.
    let registry = desk.registry("registry", false);
    let server = desk.serve("signed");
    let at = |folder: &str| format!("oci://{}/{folder}", registry.url);
    let ours = desk.pintle(&["push", archive, &at("ours"), "--plain-http"]);
    let theirs = desk.helm(&["push", archive, &at("theirs"), "--plain-http"]);
    assert_eq!(ours.replace("/ours/", "/theirs/"), theirs);
    let signed = files(&desk.path("signed"));
    let url = format!("{}/web-1.0.0.tgz", server.url);
    for (number, place) in [
        vec![&*at("ours/web"), "--plain-http"],
        vec![&*at("theirs/web"), "--plain-http"],
        vec!["web", "--repo", &server.url],
        vec![&*url],
    ]
    .into_iter()
    .enumerate()
    {
        for (how, flags) in [("prov", &["--prov"][..]), ("verify", &["--verify", "--keyring", "public.gpg"])]
        {
            let (folder, theirs) = (format!("{how}-{number}-ours"), format!("{how}-{number}-theirs"));
            fs::create_dir(desk.path(&theirs)).unwrap();
            desk.pintle(&[&["pull"], &place[..], flags, &["-d", &folder]].concat());
            desk.helm(&[&["pull"], &place[..], flags, &["-d", &theirs]].concat());
            assert!(files(&desk.path(&folder)) == signed, "{place:?} {how}");
            assert!(files(&desk.path(&theirs)) == signed, "{place:?} {how}");
        }
    }

    for (_, name) in [(0, archive.to_owned()), (1, format!("{archive}.prov"))] {
        let good = fs::read(desk.path(&name)).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] = if bad[middle] == b'0' { b'1' } else { b'0' };
        fs::write(desk.path(&name), bad).unwrap();
        desk.refused(&verify);
        desk.refused(&["pull", "web", "--repo", &server.url, "--verify", "--keyring", "public.gpg"]);
        fs::write(desk.path(&name), good).unwrap();
    }
    desk.same(&verify);
    fs::remove_file(desk.path("signed/web-1.0.0.tgz.prov")).unwrap();
    desk.refused(&verify);
    desk.refused(&["pull", &url, "--verify", "--keyring", "public.gpg"]);
    desk.pintle(&["pull", &url, "--prov"]);
    desk.helm(&["pull", &url, "--prov"]);
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
