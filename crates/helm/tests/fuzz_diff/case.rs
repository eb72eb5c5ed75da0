//! A random chart with the arguments it is rendered with.

use std::fs;
use std::io;
use std::path::Path;

use crate::random::Random;
use crate::template::Writer;
use crate::tree::{Sort, Tree};
use crate::values;

/// A chart's files and the flags.
#[derive(Clone)]
pub struct Case {
    files: Vec<(String, Tree)>,
    args: Vec<Tree>,
}

/// Keeps every byte of what the template under test writes: a manifest would be trimmed and read as YAML.
const ENCODED: &str = "out: \"{{ include (print .Template.BasePath \"/_case.tpl\") . | b64enc }}\"
";

impl Case {
    /// The case of a seed.
    pub fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let mut case = Self { files: Vec::new(), args: Vec::new() };
        let kids: &[&str] = match random.below(10) {
            0 | 1 => &["kid"],
            2 => &["kid", "other"],
            _ => &[],
        };
        let paths = case.chart(random, "", "lab", kids);
        for kid in kids {
            // A dependency under another name lives in the folder of its own.
            case.chart(random, &format!("charts/{kid}/"), kid, &[]);
        }
        for _ in 0..random.below(8).saturating_sub(4) {
            case.args.push(values::argument(random, &paths));
        }
        if random.chance(5) {
            case.args.push(Tree::leaf(Sort::Item, "--is-upgrade"));
        }
        case
    }

    fn chart(&mut self, random: &mut Random, folder: &str, name: &str, kids: &[&str]) -> Vec<values::Path> {
        self.file(folder, "Chart.yaml", metadata(random, name, kids));
        let (file, paths) = values::file(random, kids);
        self.file(folder, "values.yaml", file);
        if random.chance(15) {
            for (path, text) in
                [("conf/a.txt", "alpha\n"), ("conf/b.txt", "one\ntwo\r\n\nthree"), ("conf/c.json", "{}")]
            {
                self.file(folder, path, Tree::leaf(Sort::Item, text));
            }
        }
        let helpers: Vec<(String, bool)> =
            (0..random.below(3)).map(|n| (format!("{name}.part{n}"), random.chance(40))).collect();
        let mut library = Tree::new(Sort::Item);
        for (at, (helper, root)) in helpers.iter().enumerate() {
            // Each may call those before it, so that none calls itself.
            let mut writer = Writer::new(random, &paths, helpers.get(..at).unwrap_or_default());
            let body = if *root { writer.body(3) } else { writer.part(3) };
            library.push(
                Tree::leaf(Sort::Item, format!("{{{{ define \"{helper}\" }}}}"))
                    .tree(body)
                    .text("{{ end }}\n"),
            );
        }
        library.push(Tree::leaf(Sort::Item, "{{ define \"empty\" }} {{ end }}"));
        self.file(folder, "templates/_parts.tpl", library);
        let statements = 1 + random.below(7);
        if random.chance(80) {
            let body = Writer::new(random, &paths, &helpers).body(statements);
            self.file(folder, "templates/_case.tpl", Tree::new(Sort::Item).tree(body));
            self.file(folder, "templates/out.yaml", Tree::leaf(Sort::Item, ENCODED));
        }
        if random.chance(35) {
            let manifest = manifest(random, &paths, &helpers);
            self.file(folder, "templates/manifest.yaml", manifest);
        }
        if random.chance(5) {
            let body = Writer::new(random, &paths, &helpers).body(2);
            self.file(folder, "templates/NOTES.txt", Tree::new(Sort::Item).tree(body));
        }
        paths
    }

    fn file(&mut self, folder: &str, path: &str, tree: Tree) {
        self.files.push((format!("{folder}{path}"), tree));
    }

    /// The flags as a user would write them.
    pub fn flags(&self) -> Vec<String> {
        self.args.iter().filter(|arg| !arg.is_empty()).map(Tree::write).collect()
    }

    /// The files that are not left out.
    pub fn files(&self) -> impl Iterator<Item = (&str, String)> {
        let kept = self.files.iter().filter(|(_, tree)| tree.sort != Sort::Item || !tree.is_empty());
        kept.map(|(path, tree)| (path.as_str(), tree.write()))
    }

    /// Lays the chart out in a new folder.
    pub fn lay_out(&self, root: &Path) -> io::Result<()> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        for (path, text) in self.files() {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// Leaves out and simplifies what it can while `differs` still holds.
    pub fn minimise(mut self, mut differs: impl FnMut(&Self) -> bool) -> Self {
        let mut tries = 1_500;
        loop {
            let before = tries;
            let mut changed = false;
            let mut place = 0;
            while let Some(now) = self.at(place).cloned() {
                for smaller in now.smaller() {
                    let mut candidate = self.clone();
                    if let Some(tree) = candidate.at(place) {
                        *tree = smaller;
                    }
                    tries -= 1;
                    if tries == 0 {
                        return self;
                    }
                    if differs(&candidate) {
                        self = candidate;
                        changed = true;
                        break;
                    }
                }
                place += 1;
            }
            if !changed || tries == before {
                return self;
            }
        }
    }

    fn at(&mut self, mut place: usize) -> Option<&mut Tree> {
        for tree in self.files.iter_mut().map(|(_, tree)| tree).chain(&mut self.args) {
            let count = tree.count();
            if place < count {
                return tree.at(place);
            }
            place -= count;
        }
        None
    }
}

fn metadata(random: &mut Random, name: &str, kids: &[&str]) -> Tree {
    let mut metadata = Tree::leaf(Sort::Fixed, format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n"));
    for line in [
        "appVersion: \"1.2.3\"\n",
        "description: a chart\n",
        "keywords: [x, y]\n",
        "annotations:\n  a: \"b\"\n",
        "appVersion: 1.10\n",
    ] {
        if random.chance(15) {
            metadata.push(Tree::leaf(Sort::Item, line));
        }
    }
    if kids.is_empty() || random.chance(30) {
        return metadata;
    }
    let mut dependencies = Tree::leaf(Sort::Item, "dependencies:\n");
    for kid in kids {
        let mut dependency = Tree::leaf(Sort::Item, format!("- name: {kid}\n  version: 0.1.0\n"));
        for line in [
            format!("  alias: {kid}\n"),
            "  alias: renamed\n".to_owned(),
            format!("  condition: {kid}.enabled,global.x1\n"),
            "  condition: enabled\n".to_owned(),
            "  tags: [front, back]\n".to_owned(),
            "  tags: [back]\n".to_owned(),
            "  import-values:\n  - map\n".to_owned(),
            "  import-values:\n  - child: nested\n    parent: imported\n".to_owned(),
            "  import-values:\n  - child: map\n    parent: .\n".to_owned(),
        ] {
            if random.chance(12) {
                dependency.push(Tree::leaf(Sort::Item, line));
            }
        }
        dependencies.push(dependency);
    }
    metadata.push(dependencies);
    metadata
}

/// A manifest as charts have them, with expressions in the usual places.
fn manifest(random: &mut Random, paths: &[values::Path], helpers: &[(String, bool)]) -> Tree {
    let mut manifest = Tree::new(Sort::Item);
    for n in 0..=random.below(2) {
        let kind = *random.pick(&["ConfigMap", "Secret", "Service", "Deployment", "Namespace", "Odd", "Job"]);
        let mut object =
            Tree::leaf(Sort::Item, format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: n{n}\n"));
        if random.chance(15) {
            let hook =
                *random.pick(&["pre-install", "post-install,post-upgrade", "test", "unknown", "crd-install"]);
            object.push(Tree::leaf(
                Sort::Item,
                format!(
                    "  annotations:\n    \"helm.sh/hook\": {hook}\n    \"helm.sh/hook-weight\": \"{n}\"\n"
                ),
            ));
        }
        object.push(Tree::leaf(Sort::Fixed, "data:\n"));
        for m in 0..=random.below(3) {
            let mut line = Tree::new(Sort::Item);
            let writer = &mut Writer::new(random, paths, helpers);
            line = match writer.random.below(4) {
                0 => line.text(format!("  k{m}: {{{{ ")).tree(writer.value('s')).text(" | quote }}\n"),
                1 => line
                    .text(format!("  k{m}: {{{{- "))
                    .tree(writer.value('d'))
                    .text(" | toYaml | nindent 4 }}\n"),
                2 => line.text(format!("  k{m}: {{{{ ")).tree(writer.value('i')).text(" }}\n"),
                _ => line
                    .text("  {{- with ")
                    .tree(writer.value('d'))
                    .text(format!(" }}}}\n  k{m}:\n    {{{{- toYaml . | nindent 4 }}}}\n  {{{{- end }}}}\n")),
            };
            object.push(line);
        }
        manifest.push(object);
        if random.chance(60) {
            manifest.push(Tree::leaf(
                Sort::Item,
                *random.pick(&["---\n", "\n--- \n", "---\n---\n", "--- # c\n", "---\n# only\n---\n"]),
            ));
        }
    }
    manifest
}
