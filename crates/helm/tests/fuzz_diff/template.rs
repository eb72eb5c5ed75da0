//! Random templates: statements, pipelines, and arguments that fit more often than not.

use crate::functions::{FORMATS, FUNCTIONS, Function, RISKY, TEXTS, literals, wrong};
use crate::quote;
use crate::random::Random;
use crate::tree::{Sort, Tree};
use crate::values::Path;

/// What a place in a template can name.
#[derive(Clone)]
struct Scope {
    variables: Vec<(String, char)>,
    /// The letter of dot; none at the root, whose print differs from run to run (it has pointers in it).
    dot: Option<char>,
    /// Whether `$` is the root.
    rooted: bool,
    in_range: bool,
    depth: usize,
}

/// Writes templates over the values of a chart.
pub struct Writer<'c> {
    pub random: &'c mut Random,
    pub paths: &'c [Path],
    /// The templates of the chart that want the root, and those that take anything.
    pub helpers: &'c [(String, bool)],
    names: usize,
}

const TAGS: [&str; 8] = ["{{", "{{", "{{", "{{- ", "{{-\n", "{{ ", "{{\t", "{{ "];
const ENDS: [&str; 8] = ["}}", "}}", "}}", " -}}", "\n-}}", " }}", "}}", " }}"];
const CHUNKS: &[&str] = &[
    "\n",
    " ",
    "text",
    "  \n\t",
    "a: b\n",
    "- ",
    "\n\n",
    "{ }",
    "}}",
    "é",
    "#",
    "\"",
    "x: |\n  ",
    "\r\n",
    "--",
    "\\",
    "{ ",
    "%",
    "<no value>",
    "\u{a0}",
];
const BUILTINS: &[&str] = &[
    "Release.Name",
    "Release.Namespace",
    "Release.Service",
    "Release.IsInstall",
    "Release.IsUpgrade",
    "Release.Revision",
    "Chart.Name",
    "Chart.Version",
    "Chart.AppVersion",
    "Chart.Description",
    "Chart.Missing",
    "Chart.Keywords",
    "Chart.Annotations",
    "Chart.IsRoot",
    "Template.Name",
    "Template.BasePath",
    "Capabilities.KubeVersion.Major",
    "Capabilities.KubeVersion.Version",
    "Capabilities.KubeVersion.Minor",
    "Files.a",
    "Subcharts",
    "Values.global",
];

impl<'c> Writer<'c> {
    pub fn new(random: &'c mut Random, paths: &'c [Path], helpers: &'c [(String, bool)]) -> Self {
        Self { random, paths, helpers, names: 0 }
    }

    /// The body of a template that is given the root.
    pub fn body(&mut self, statements: usize) -> Tree {
        let mut scope = Scope { variables: Vec::new(), dot: None, rooted: true, in_range: false, depth: 0 };
        self.block(&mut scope, statements)
    }

    /// The body of a template that is given anything.
    pub fn part(&mut self, statements: usize) -> Tree {
        let mut scope =
            Scope { variables: Vec::new(), dot: Some('a'), rooted: false, in_range: false, depth: 1 };
        self.block(&mut scope, statements)
    }

    /// An expression at the root, as an argument or at the head of a pipeline.
    pub fn value(&mut self, kind: char) -> Tree {
        let scope = Scope { variables: Vec::new(), dot: None, rooted: true, in_range: false, depth: 0 };
        self.expression(&scope, kind, 3)
    }

    fn block(&mut self, scope: &mut Scope, statements: usize) -> Tree {
        let mut block = Tree::new(Sort::Fixed);
        let outer = scope.variables.len();
        for _ in 0..statements {
            let statement = self.statement(scope);
            block.push(statement);
        }
        scope.variables.truncate(outer);
        block
    }

    /// `{{`, perhaps with a trim marker.
    fn tag(&mut self, inside: Tree) -> Tree {
        let (open, close) = (*self.random.pick(&TAGS), *self.random.pick(&ENDS));
        // `{{-1}}` is no trim marker, but no number either.
        let open = if inside.write().starts_with('-') { "{{ " } else { open };
        Tree::new(Sort::Fixed).text(open).tree(inside).text(close)
    }

    fn words(&mut self, words: &str) -> Tree {
        self.tag(Tree::leaf(Sort::Fixed, words))
    }

    fn statement(&mut self, scope: &mut Scope) -> Tree {
        let item = Tree::new(Sort::Item);
        if scope.depth > 3 {
            return item.text(*self.random.pick(CHUNKS));
        }
        match self.random.below(100) {
            0..18 => item.text(*self.random.pick(CHUNKS)),
            18..58 => {
                let pipeline = self.pipeline(scope, 'a');
                item.tree(self.tag(pipeline))
            }
            58..60 => {
                let comment =
                    *self.random.pick(&["{{/* c */}}", "{{- /* a }} b */ -}}", "{{/*\n*/ -}}", "{{- /**/}}"]);
                item.text(comment)
            }
            60..70 => self.declaration(scope),
            70..78 => self.conditional(scope, item),
            78..83 => self.with(scope, item),
            83..93 => self.range(scope, item),
            93..95 if scope.in_range => {
                let word = *self.random.pick(&["break", "continue"]);
                let condition = self.pipeline(scope, 'b');
                let when = Tree::leaf(Sort::Fixed, "if ").tree(condition);
                item.tree(self.tag(when)).tree(self.words(word)).tree(self.words("end"))
            }
            95..97 if scope.rooted => {
                self.names += 1;
                let name = quote(&format!("block-{}", self.names));
                let given =
                    Tree::leaf(Sort::Fixed, format!("block {name} ")).tree(self.expression(scope, 'a', 2));
                let body = self.part(2);
                item.tree(self.tag(given)).tree(body).tree(self.words("end"))
            }
            _ => {
                let call = self.call_of_template(scope, "template");
                item.tree(self.tag(call))
            }
        }
    }

    fn declaration(&mut self, scope: &mut Scope) -> Tree {
        let item = Tree::new(Sort::Item);
        let kind = *self.random.pick(&['s', 'i', 'd', 'l', 'a', 'f', 'q']);
        if let [_, ..] = scope.variables.as_slice()
            && self.random.chance(35)
        {
            let (name, old) = self.random.pick(&scope.variables).clone();
            let kind = if self.random.chance(90) { old } else { kind };
            let value = self.pipeline(scope, kind);
            return item.tree(self.tag(Tree::leaf(Sort::Fixed, format!("{name} = ")).tree(value)));
        }
        let value = self.pipeline(scope, kind);
        self.names += 1;
        let name = format!("$v{}", self.names);
        scope.variables.push((name.clone(), kind));
        item.tree(self.tag(Tree::leaf(Sort::Fixed, format!("{name} := ")).tree(value)))
    }

    fn conditional(&mut self, scope: &mut Scope, mut item: Tree) -> Tree {
        scope.depth += 1;
        let mut word = "if ";
        for _ in 0..=self.random.below(2) {
            let kind = if self.random.chance(60) { 'b' } else { 'a' };
            let condition = self.pipeline(scope, kind);
            let head = self.tag(Tree::leaf(Sort::Fixed, word).tree(condition));
            let body = self.block(scope, 2);
            item = item.tree(head).tree(body);
            word = "else if ";
        }
        if self.random.chance(50) {
            item = item.tree(self.words("else")).tree(self.block(scope, 2));
        }
        scope.depth -= 1;
        item.tree(self.words("end"))
    }

    fn with(&mut self, scope: &mut Scope, item: Tree) -> Tree {
        let kind = *self.random.pick(&['d', 's', 'a', 'l']);
        let mut inner = Scope { dot: Some(kind), depth: scope.depth + 1, ..scope.clone() };
        let mut head = Tree::leaf(Sort::Fixed, "with ");
        if self.random.chance(30) {
            self.names += 1;
            let name = format!("$w{}", self.names);
            head = head.text(format!("{name} := "));
            inner.variables.push((name, kind));
        }
        let head = head.tree(self.pipeline(scope, kind));
        let mut item = item.tree(self.tag(head)).tree(self.block(&mut inner, 2));
        if self.random.chance(20) {
            let other = self.pipeline(scope, kind);
            item = item
                .tree(self.tag(Tree::leaf(Sort::Fixed, "else with ").tree(other)))
                .tree(self.block(&mut inner, 2));
        }
        if self.random.chance(40) {
            let mut outer = Scope { depth: scope.depth + 1, ..scope.clone() };
            item = item.tree(self.words("else")).tree(self.block(&mut outer, 2));
        }
        item.tree(self.words("end"))
    }

    fn range(&mut self, scope: &mut Scope, item: Tree) -> Tree {
        let kind = *self.random.pick(&['l', 'd', 'q', 'n', 'l', 'd']);
        let element = match kind {
            'q' => 's',
            'n' => 'i',
            _ => 'a',
        };
        let mut inner = Scope { dot: Some(element), in_range: true, depth: scope.depth + 1, ..scope.clone() };
        self.names += 1;
        let (first, second) = (format!("$k{}", self.names), format!("$e{}", self.names));
        let mut head = Tree::leaf(Sort::Fixed, "range ");
        match self.random.below(3) {
            0 if kind != 'n' => {
                head = head.text(format!("{first}, {second} := "));
                inner.variables.push((first, if kind == 'd' { 's' } else { 'i' }));
                inner.variables.push((second, element));
            }
            1 => {
                head = head.text(format!("{second} := "));
                inner.variables.push((second, element));
            }
            _ => {}
        }
        let head = head.tree(self.pipeline(scope, kind));
        let mut item = item.tree(self.tag(head)).tree(self.block(&mut inner, 2));
        if self.random.chance(25) {
            let mut outer = Scope { depth: scope.depth + 1, ..scope.clone() };
            item = item.tree(self.words("else")).tree(self.block(&mut outer, 2));
        }
        item.tree(self.words("end"))
    }

    /// `template NAME DOT` or `include NAME DOT`.
    fn call_of_template(&mut self, scope: &Scope, word: &str) -> Tree {
        let call = Tree::new(Sort::Fixed);
        let fitting: Vec<&(String, bool)> =
            self.helpers.iter().filter(|(_, root)| scope.rooted || !root).collect();
        if fitting.is_empty() || self.random.chance(1) {
            // Defined or not, as the chart wants; a chart without it fails.
            return call.text(if self.random.chance(10) {
                format!("{word} \"missing\" 1")
            } else {
                format!("{word} \"empty\" 1")
            });
        }
        let (name, root) = *self.random.pick(&fitting);
        let call = call.text(format!("{word} {} ", quote(name)));
        if *root { call.text("$") } else { call.tree(self.expression(scope, 'a', 2)) }
    }

    /// What stands in `{{ }}`: an expression, perhaps piped through functions.
    fn pipeline(&mut self, scope: &Scope, kind: char) -> Tree {
        let whole = Tree::new(Sort::Expression);
        if self.random.chance(35)
            && let Some((name, takes, _)) = self.function(kind)
            && let Some(last) = takes.trim_end_matches('*').chars().last()
        {
            let head = self.pipeline(scope, last);
            let rest = &takes[..takes.trim_end_matches('*').len() - 1];
            return whole.tree(head).text(" | ").tree(self.call(scope, name, rest, 2));
        }
        self.bare(scope, kind, 3)
    }

    /// A function that gives `kind`.
    fn function(&mut self, kind: char) -> Option<Function> {
        let table = if self.random.chance(2) { RISKY } else { FUNCTIONS };
        let gives = |given: char| {
            kind == 'a'
                || given == kind
                || kind == 's' && matches!(given, 'y' | 'j')
                || kind == 'l' && given == 'q'
        };
        let fitting: Vec<&Function> = table.iter().filter(|(_, _, given)| gives(*given)).collect();
        if fitting.is_empty() { None } else { Some(**self.random.pick(&fitting)) }
    }

    /// An expression without parentheses around it.
    fn bare(&mut self, scope: &Scope, kind: char, depth: usize) -> Tree {
        if depth > 0 && kind != 'n' && self.random.chance(65) {
            match self.random.below(40) {
                0 => {
                    let call = self.call_of_template(scope, "include");
                    return Tree::new(Sort::Expression).tree(call);
                }
                1 if scope.depth < 3 => return self.tpl(scope),
                2 | 3 if matches!(kind, 's' | 'a') => return self.printf(scope),
                4 => return self.lookup(scope),
                _ => {}
            }
            if let Some((name, takes, _)) = self.function(kind) {
                return self.call(scope, name, takes, depth - 1);
            }
        }
        self.operand(scope, kind)
    }

    fn call(&mut self, scope: &Scope, name: &str, takes: &str, depth: usize) -> Tree {
        let mut call = Tree::leaf(Sort::Expression, name);
        let mut letters: Vec<char> = takes.chars().collect();
        if letters.last() == Some(&'*') {
            letters.pop();
            if let Some(last) = letters.last().copied() {
                letters.extend((0..self.random.below(3)).map(|_| last));
            }
        }
        if self.random.chance(1) && self.random.chance(30) {
            // One too few or too many.
            if self.random.chance(50) {
                letters.pop()
            } else {
                letters.push('a');
                None
            };
        }
        for letter in letters {
            let argument = self.expression(scope, letter, depth);
            call = call.text(if self.random.chance(2) { "\n " } else { " " }).tree(argument);
        }
        call
    }

    /// An expression that can be an argument.
    fn expression(&mut self, scope: &Scope, kind: char, depth: usize) -> Tree {
        let tree = self.argument(scope, kind, depth);
        // What must be of its kind must stay so when the case is made smaller.
        if is_strict(kind) { Tree::leaf(Sort::Fixed, tree.write()) } else { tree }
    }

    fn argument(&mut self, scope: &Scope, kind: char, depth: usize) -> Tree {
        if kind == 'W' && self.random.chance(50) {
            return Tree::new(Sort::Expression).text("(deepCopy ").tree(self.operand(scope, 'd')).text(")");
        }
        let strict = is_strict(kind) || kind == 'r';
        // What does not fit mostly ends the template, so it must be rare.
        let kind = if !strict && self.random.chance(2) {
            *self.random.pick(&['a', 's', 'i', 'l', 'd', 'f', 'b'])
        } else {
            kind
        };
        if depth == 0 || self.random.chance(45) {
            return self.operand(scope, kind);
        }
        let inside = self.bare(scope, kind, depth - 1);
        let whole = Tree::new(Sort::Expression).text("(").tree(inside);
        if kind == 'd' && self.random.chance(10) { whole.text(").a") } else { whole.text(")") }
    }

    fn printf(&mut self, scope: &Scope) -> Tree {
        let mut format = String::new();
        let mut call = Tree::new(Sort::Expression);
        let mut arguments = Vec::new();
        for _ in 0..=self.random.below(2) {
            let verb = *self.random.pick(FORMATS);
            format.push_str(verb);
            format.push(' ');
            let kind = match verb.chars().last() {
                Some('d' | 'c' | 'U' | 'o' | 'b') => 'i',
                Some('e' | 'g' | 'f' | 'G' | 'E') => 'f',
                Some('s' | 'q') => 's',
                Some('t') => 'b',
                _ => 'a',
            };
            // `*` takes a width, which must be small.
            let kind = if verb.contains('*') { 'n' } else { kind };
            arguments.push(self.expression(scope, kind, 1));
        }
        call = call.text(format!("printf {}", quote(format.trim_end())));
        for argument in arguments {
            call = call.text(" ").tree(argument);
        }
        call
    }

    fn tpl(&mut self, scope: &Scope) -> Tree {
        if !scope.rooted {
            return self.operand(scope, 's');
        }
        let call = Tree::leaf(Sort::Expression, "tpl ");
        if self.random.chance(25) {
            return call.tree(self.operand(scope, 's')).text(" $");
        }
        let mut inner =
            Scope { variables: Vec::new(), dot: None, rooted: true, in_range: false, depth: scope.depth + 2 };
        let body = self.block(&mut inner, 2);
        call.tree(Tree::new(Sort::Quoted).tree(body)).text(" $")
    }

    /// Something of Helm's objects that takes an argument.
    fn lookup(&mut self, scope: &Scope) -> Tree {
        let expression = Tree::new(Sort::Expression);
        if !scope.rooted {
            return expression.text("lookup \"v1\" \"Pod\" \"ns\" \"x\"");
        }
        expression.text(*self.random.pick(&[
            "$.Files.Get \"conf/a.txt\"",
            "$.Files.Get \"none\"",
            "$.Files.Lines \"conf/b.txt\"",
            "($.Files.Glob \"conf/*\").AsConfig",
            "($.Files.Glob \"**.txt\").AsSecrets",
            "$.Capabilities.APIVersions.Has \"apps/v1\"",
            "$.Capabilities.APIVersions.Has \"x/v1\"",
            "lookup \"v1\" \"Pod\" \"ns\" \"x\"",
            "$.Files.GetBytes \"conf/a.txt\"",
            "($.Files.Glob \"none/*\").AsConfig",
            "$.Capabilities.KubeVersion",
            "(semver \"1.2.3-rc.1+b\").Minor",
            "(semver \"v1.2.3\").Compare (semver \"1.3\")",
            "semver \"1.2.3\"",
            "(semver \"1.2.3\").Prerelease",
            "keys (dict \"b\" 1 \"a\" nil) | sortAlpha",
            "keys $.Values | sortAlpha",
            "values (dict \"only\" (list 1 nil))",
            "$.Capabilities.KubeVersion | toPrettyJson",
            "$.Chart",
            "toYaml $.Chart",
            "$.Values.AsMap",
            "$.Values.YAML",
            "($.Values.Table \"map\")",
            "(toDate \"2006-01-02\" \"2024-02-29\").Year",
            "((toDate \"2006-01-02\" \"2024-02-29\").AddDate 0 1 1).YearDay",
            "($.Files.Glob \"**\") | len",
            "$.Files.Get \"conf/c.json\" | fromJson",
        ]))
    }

    /// Something without parts.
    fn operand(&mut self, scope: &Scope, kind: char) -> Tree {
        let strict = is_strict(kind);
        if !strict {
            let fits = |has: char| kind == 'a' || has == kind || kind == 'l' && has == 'q';
            if self.random.chance(25) {
                let variables: Vec<&(String, char)> =
                    scope.variables.iter().filter(|(_, has)| fits(*has)).collect();
                if let [_, ..] = variables.as_slice() {
                    return Tree::leaf(Sort::Expression, self.random.pick(&variables).0.clone());
                }
            }
            if let Some(dot) = scope.dot
                && fits(dot)
                && self.random.chance(40)
            {
                return Tree::leaf(Sort::Expression, ".");
            }
            if scope.rooted && self.random.chance(45) {
                let root = if scope.dot.is_none() && self.random.chance(80) { "" } else { "$" };
                let paths: Vec<&Path> = self.paths.iter().filter(|path| fits(path.kind)).collect();
                if let [_, ..] = paths.as_slice()
                    && self.random.chance(88)
                {
                    let path = self.random.pick(&paths).keys.join(".");
                    return Tree::leaf(Sort::Expression, format!("{root}.Values.{path}"));
                }
                if matches!(kind, 's' | 'a') && self.random.chance(60) {
                    return Tree::leaf(Sort::Expression, format!("{root}.{}", self.random.pick(BUILTINS)));
                }
                if matches!(kind, 'a' | 'd') {
                    let name = *self.random.pick(&["", ".missing", ".a", ".map", ".a.b", ".missing.deep"]);
                    return Tree::leaf(Sort::Expression, format!("{root}.Values{name}"));
                }
            }
        }
        let known = literals(kind);
        let text = match kind {
            's' => self.text(),
            'a' if self.random.chance(40) => {
                let kind = *self.random.pick(&['s', 'i', 'f', 'd', 'l', 'q']);
                return self.operand(
                    &Scope { variables: Vec::new(), dot: None, rooted: false, in_range: false, depth: 0 },
                    kind,
                );
            }
            _ if known.is_empty() => self.text(),
            _ if !wrong(kind).is_empty() && self.random.chance(3) => {
                (*self.random.pick(wrong(kind))).to_owned()
            }
            _ => (*self.random.pick(known)).to_owned(),
        };
        Tree::leaf(Sort::Expression, text)
    }

    fn text(&mut self) -> String {
        let text = *self.random.pick(TEXTS);
        if self.random.chance(10) && !text.contains(['`', '\r']) { format!("`{text}`") } else { quote(text) }
    }
}

/// Whether an argument of that letter is never anything else.
fn is_strict(kind: char) -> bool {
    kind.is_uppercase() || matches!(kind, 'n' | 't' | 'e')
}
