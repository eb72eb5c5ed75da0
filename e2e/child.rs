//! A child process that ends with the runner, however the runner ends.
//!
//! Each program runs below a small shell whose standard input is a pipe that the runner holds. A line on the
//! pipe is the name of a signal to pass on; the end of the pipe, which the kernel brings about even when the
//! runner is killed, kills the program. Shell and program are a process group of their own, so that Ctrl-C in
//! a terminal reaches the runner only, which then stops its children in order.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child as Process, ChildStdin, Command};
use tokio::time::timeout;

/// `$1` is the log, the rest the command. The watching sub-shell outlives a killed shell, so the program goes
/// all the same. The program must not hold the pipe: it would keep nobody alive, yet a grandchild might read it.
const SUPERVISE: &str = r#"
log=$1
shift
exec 3<&0
"$@" </dev/null 3<&- >>"$log" 2>&1 &
pid=$!
(
  while read -r signal <&3; do kill -s "$signal" "$pid"; done
  kill -s KILL "$pid"
) >/dev/null 2>&1 &
watch=$!
echo "$pid"
wait "$pid"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
"#;

/// Removes a folder when the pipe ends and the programs that wrote into it had a moment to be gone.
const SWEEP: &str = r#"read -r _; sleep 1; rm -rf -- "$1""#;

/// Most bytes of a log that are looked at for its tail.
const TAIL_BYTES: u64 = 256 * 1024;

/// What to run.
pub struct Program {
    name: String,
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log: PathBuf,
}

impl Program {
    /// A program, by the path of its executable; it writes into `log`.
    pub fn new(name: &str, path: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self { name: name.to_owned(), path: path.into(), args: Vec::new(), env: Vec::new(), log: log.into() }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Starts it.
    pub async fn start(self) -> anyhow::Result<Child> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(SUPERVISE).arg(&self.name).arg(&self.log).arg(&self.path).args(&self.args);
        command
            .envs(self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut process = command.spawn().with_context(|| format!("failed to start {}", self.name))?;
        let lifeline = process.stdin.take().context("the shell has no standard input")?;
        let output = process.stdout.take().context("the shell has no standard output")?;
        let mut pid = String::new();
        BufReader::new(output).read_line(&mut pid).await.context("failed to read from the shell")?;
        let pid = pid.trim().parse().with_context(|| format!("failed to start {}", self.name))?;
        Ok(Child { name: self.name, pid, log: self.log, process, lifeline: Some(lifeline) })
    }
}

/// A running program; dropping it kills it.
pub struct Child {
    name: String,
    pid: u32,
    log: PathBuf,
    process: Process,
    lifeline: Option<ChildStdin>,
}

impl Child {
    /// Id of the program's process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The log that it writes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails, with the end of its log, when it has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.try_wait().context("failed to ask for a child")? {
            bail!("{} ended ({status}); the end of its log:\n{}", self.name, tail(&self.log, 30));
        }
        Ok(())
    }

    /// Sends a signal, by its name without `SIG`.
    pub async fn signal(&mut self, signal: &str) -> anyhow::Result<()> {
        let lifeline = self.lifeline.as_mut().with_context(|| format!("{} is stopped", self.name))?;
        let sent = lifeline.write_all(format!("{signal}\n").as_bytes()).await;
        sent.with_context(|| format!("failed to send {signal} to {}", self.name))
    }

    /// Asks it to end, waits for at most `patience`, kills it then.
    pub async fn stop(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        // A program that ended by itself took its shell along: the signal has nobody to go to.
        let _ = self.signal("TERM").await;
        match timeout(patience, self.process.wait()).await {
            Ok(status) => status.context("failed to wait for a child"),
            Err(_) => self.kill().await,
        }
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let ended = timeout(within, self.process.wait()).await;
        ended
            .with_context(|| {
                format!(
                    "{} runs on after {within:?}; the end of its log:\n{}",
                    self.name,
                    tail(&self.log, 30)
                )
            })?
            .context("failed to wait for a child")
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        self.lifeline = None;
        let ended = timeout(Duration::from_secs(10), self.process.wait()).await;
        ended
            .with_context(|| format!("{} survives its SIGKILL", self.name))?
            .context("failed to wait for a child")
    }
}

/// Sees to it that `folder` goes when the runner ends, even by SIGKILL.
pub struct Sweeper {
    _process: Process,
}

impl Sweeper {
    /// Begins to watch over `folder`.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(SWEEP).arg("sweeper").arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        // The process holds the writing end of its own standard input: it goes when `self` does.
        Ok(Self { _process: command.spawn().context("failed to start a shell")? })
    }
}

/// The last `lines` lines of a file; what cannot be read says so.
pub fn tail(path: &Path, lines: usize) -> String {
    match read_tail(path) {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("(failed to read {}: {error})", path.display()),
    }
}

fn read_tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
