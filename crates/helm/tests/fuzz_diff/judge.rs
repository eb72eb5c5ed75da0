//! Asks the real Helm: the judge process for every case, the helm program for some.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What `helm template` prints, or says after `Error: `.
pub type Answer = Result<Vec<u8>, String>;

/// A running judge (`e2e/fuzz`).
pub struct Judge {
    program: PathBuf,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Line {
    ok: bool,
    #[serde(default)]
    output: String,
    #[serde(default)]
    error: String,
}

impl Judge {
    pub fn start(program: &Path) -> Self {
        let mut child = Command::new(program)
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the judge that FUZZ_JUDGE names");
        let questions = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { program: program.to_owned(), child, questions, answers }
    }

    /// What Helm does with these arguments. A judge that died of them (Go ends a process that has no stack or memory
    /// left) is replaced, and counts as having failed.
    pub fn ask(&mut self, args: &[String]) -> Answer {
        let mut question = serde_json::json!({ "args": args }).to_string();
        question.push('\n');
        let mut line = String::new();
        let sent = self.questions.write_all(question.as_bytes()).and_then(|()| self.questions.flush());
        if sent.is_err() || !self.answers.read_line(&mut line).is_ok_and(|length| length > 0) {
            let _ = self.child.wait();
            *self = Self::start(&self.program);
            return Err("helm crashed".to_owned());
        }
        let line: Line = serde_json::from_str(&line).expect("an answer of the judge");
        if line.ok { Ok(STANDARD.decode(line.output).expect("base64")) } else { Err(line.error) }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the helm program does with these arguments.
pub fn ask_program(helm: &Path, home: &Path, args: &[String]) -> Answer {
    let output = Command::new(helm)
        .arg("template")
        .args(args)
        .env("TZ", "UTC")
        .env("NO_COLOR", "1")
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .expect("the program that FUZZ_HELM names");
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let at = text.find("Error: ").map_or(0, |at| at + "Error: ".len());
    let text = text.get(at..).unwrap_or_default().trim_end_matches('\n');
    Err(text.strip_suffix("\n\nUse --debug flag to render out invalid YAML").unwrap_or(text).to_owned())
}
