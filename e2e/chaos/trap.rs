//! A file by which an operator is told to die at a failpoint.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use pintle::telemetry::failpoint::{Failpoint, VARIABLE};

/// One operator's trap. The operator that dies in it removes the file, so that its successor lives.
pub struct Trap {
    path: PathBuf,
    set: Mutex<bool>,
}

impl Trap {
    /// A trap that is not set, in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("failpoint"), set: Mutex::default() }
    }

    /// The variable that shows it to the operator.
    pub fn variable(&self) -> (String, String) {
        (VARIABLE.to_owned(), self.path.display().to_string())
    }

    /// The operator is to die when it reaches `point` for the n-th time.
    pub fn set(&self, (point, n): (Failpoint, u32)) -> anyhow::Result<()> {
        *self.lock() = true;
        std::fs::write(&self.path, format!("{} {n}", point.name())).context("failed to write a failpoint")
    }

    /// Whether an operator died in it since it was set.
    pub fn is_sprung(&self) -> bool {
        *self.lock() && !self.path.exists()
    }

    /// Takes it away; whether an operator died in it.
    pub fn take(&self) -> bool {
        let sprung = self.is_sprung();
        *self.lock() = false;
        // One that sprang has removed the file itself.
        let _ = std::fs::remove_file(&self.path);
        sprung
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
