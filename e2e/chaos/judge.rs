//! I6, at any instant: the real helm 4 and helm 3 read the record while the operator works on it, and while it is dead
//! in the middle of its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::ensure;
use futures::future::try_join_all;

use super::faultproxy::FaultProxy;
use super::scenario::NAME;
use crate::cluster::Cluster;
use crate::context::Rig;

/// Requests of the operator between two looks, at least and at most.
const BETWEEN: std::ops::Range<usize> = 8..40;

/// The questions, each as helm's arguments.
const QUESTIONS: [&[&str]; 5] =
    [&["list"], &["status", NAME], &["history", NAME], &["get", "manifest", NAME], &["get", "values", NAME]];

/// What helm may complain of during install and removal. The second text is that of `helm status`, which looks for the
/// objects in the cluster: the record is the first write of an install, the definitions of `crds/` are the next ones.
const ALLOWED: [&str; 2] = ["release: not found", "ensure CRDs are installed first"];

/// Reads one release as its users do.
pub struct Judge {
    rig: Arc<Rig>,
    namespace: String,
    /// Whether the release may be missing, or not whole: during install and removal.
    may_be_missing: AtomicBool,
    asked: AtomicUsize,
}

/// Which helm.
#[derive(Clone, Copy, Debug)]
enum Helm {
    Four,
    Three,
}

impl Judge {
    /// A judge of the release in `namespace`.
    pub fn new(rig: &Arc<Rig>, namespace: &str) -> Self {
        Self {
            rig: Arc::clone(rig),
            namespace: namespace.to_owned(),
            may_be_missing: AtomicBool::new(true),
            asked: AtomicUsize::new(0),
        }
    }

    /// Whether the release may be missing from now on.
    pub fn expect(&self, may_be_missing: bool) {
        self.may_be_missing.store(may_be_missing, Ordering::Relaxed);
    }

    /// How many questions were asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Asks everything at once, of helm 4 and helm 3 in turn: what a dead operator left stands still.
    pub async fn ask_all(&self, turn: usize) -> anyhow::Result<()> {
        let helm = if turn.is_multiple_of(2) { Helm::Four } else { Helm::Three };
        try_join_all(QUESTIONS.map(|question| self.ask(helm, question))).await?;
        Ok(())
    }

    /// Asks one question now and then, as the operator's requests go by. Comes back only with an error.
    pub async fn attend(&self, proxy: &FaultProxy) -> anyhow::Error {
        let mut next = 0;
        loop {
            next += rand::random_range(BETWEEN);
            proxy.reached(next).await;
            let helm = if rand::random() { Helm::Four } else { Helm::Three };
            let question = QUESTIONS[rand::random_range(0..QUESTIONS.len())];
            if let Err(error) = self.ask(helm, question).await {
                return error;
            }
        }
    }

    async fn ask(&self, helm: Helm, question: &[&str]) -> anyhow::Result<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let args = [question, ["-n", &self.namespace].as_slice()].concat();
        let cluster: &Cluster = &self.rig.cluster;
        let printed = match helm {
            Helm::Four => cluster.try_helm(&args).await?,
            Helm::Three => cluster.try_helm3(&args).await?,
        };
        let allowed = self.may_be_missing.load(Ordering::Relaxed)
            && question[0] != "list"
            && ALLOWED.iter().any(|text| printed.stderr.contains(text));
        ensure!(
            printed.success || allowed,
            "I6: helm {helm:?} {}: {}",
            args.join(" "),
            printed.stderr.trim()
        );
        Ok(())
    }
}
