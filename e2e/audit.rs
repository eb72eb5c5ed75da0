//! What was asked of the API server, by whom: its audit log since a mark.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::cluster::{Kind, Objects, text};

/// Until a request must stand in the log.
const WITHIN: Duration = Duration::from_secs(20);
/// After this a request is not answered any more: the server that had it was killed.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at the log, a file, which offers nothing to wait on.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The audit log of a control plane.
pub struct Audit {
    path: PathBuf,
    objects: Objects,
}

/// A place in the log.
#[derive(Clone, Copy)]
pub struct AuditMark(u64);

/// A request that was answered, or a watch that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// Plural of the kind, with the sub-resource, if any: `deployments`, `helmreleases/status`.
    pub resource: String,
    /// Namespace; empty for what has none.
    pub namespace: String,
    /// Name; empty when the server was to choose it, and for lists.
    pub name: String,
    /// The user, without impersonation.
    pub user: String,
    /// The program, as it names itself.
    pub agent: String,
    /// The address that was asked, with its query.
    pub uri: String,
    /// Status code of the answer.
    pub code: i64,
}

impl Request {
    fn parse(event: &Value) -> Option<Self> {
        let object = &event["objectRef"];
        let verb = text(event, "/verb");
        // A watch is in the log twice, when it begins and when it ends; all else when it is done.
        let stage = if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
        if event["stage"] != stage {
            return None;
        }
        let mut resource = text(object, "/resource");
        if let Some(sub) = object["subresource"].as_str() {
            resource = format!("{resource}/{sub}");
        }
        Some(Self {
            verb,
            resource,
            namespace: text(object, "/namespace"),
            name: text(object, "/name"),
            user: text(event, "/user/username"),
            agent: text(event, "/userAgent"),
            uri: text(event, "/requestURI"),
            code: event["responseStatus"]["code"].as_i64().unwrap_or_default(),
        })
    }

    /// Whether it could change something. A dry run cannot, and a question about rights is created, not kept.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
            && !self.uri.contains("dryRun=")
            && !self.resource.ends_with("reviews")
    }

    /// Whether it is neither a write nor a watch.
    pub fn is_read(&self) -> bool {
        !self.is_write() && self.verb != "watch"
    }

    /// Whether it is one of those that a running operator makes at all times: its leases.
    fn is_lease(&self) -> bool {
        self.resource == "leases"
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}/{} ({})", self.verb, self.resource, self.namespace, self.name, self.code)
    }
}

impl Audit {
    /// The log at `path` of the server that `objects` are of.
    pub fn new(path: &Path, objects: Objects) -> Self {
        Self { path: path.to_owned(), objects }
    }

    /// The place after all that was answered until now.
    pub async fn mark(&self) -> anyhow::Result<AuditMark> {
        let start = self.read(0)?.len() as u64;
        let (_, end) = self.settled(AuditMark(start)).await?;
        Ok(end)
    }

    /// Requests since `mark`, by `user`, in `namespace`; leases apart.
    pub async fn since(&self, mark: AuditMark, user: &str, namespace: &str) -> anyhow::Result<Vec<Request>> {
        let mut requests = self.anybodys_since(mark, namespace).await?;
        requests.retain(|request| request.user == user);
        Ok(requests)
    }

    /// Requests since `mark`, by anybody, in `namespace`; leases apart.
    pub async fn anybodys_since(&self, mark: AuditMark, namespace: &str) -> anyhow::Result<Vec<Request>> {
        let (mut requests, _) = self.settled(mark).await?;
        requests.retain(|request| request.namespace == namespace && !request.is_lease());
        Ok(requests)
    }

    /// Requests since `mark`, by `user`, wherever; leases apart.
    pub async fn all_since(&self, mark: AuditMark, user: &str) -> anyhow::Result<Vec<Request>> {
        let (mut requests, _) = self.settled(mark).await?;
        requests.retain(|request| request.user == user && !request.is_lease());
        Ok(requests)
    }

    /// Of [`Audit::since`] those that write.
    pub async fn writes_since(
        &self,
        mark: AuditMark,
        user: &str,
        namespace: &str,
    ) -> anyhow::Result<Vec<Request>> {
        let mut requests = self.since(mark, user, namespace).await?;
        requests.retain(Request::is_write);
        Ok(requests)
    }

    /// What came in between `mark` and a request of our own, as soon as all of it is answered: the server notes an answer
    /// only after it has been given, and whoever waited for what the request did may be faster.
    async fn settled(&self, mark: AuditMark) -> anyhow::Result<(Vec<Request>, AuditMark)> {
        let name = format!("audit-mark-{:016x}", rand::random::<u64>());
        self.objects.find(Kind::CONFIG_MAP, "default", &name).await?;
        let begin = Instant::now();
        loop {
            let bytes = self.read(mark.0)?;
            if let Some(end) = find_line_end(&bytes, &name) {
                let (requests, are_all) = answered(&bytes, end)?;
                if are_all || begin.elapsed() > ANSWERED_WITHIN {
                    return Ok((requests, AuditMark(mark.0 + end as u64)));
                }
            }
            ensure!(begin.elapsed() < WITHIN, "a request is not in the audit log after {WITHIN:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    fn read(&self, from: u64) -> anyhow::Result<Vec<u8>> {
        let mut file = std::fs::File::open(&self.path).context("failed to open the audit log")?;
        file.seek(SeekFrom::Start(from)).context("failed to read the audit log")?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context("failed to read the audit log")?;
        Ok(bytes)
    }
}

/// The end of the line that holds `word`.
fn find_line_end(bytes: &[u8], word: &str) -> Option<usize> {
    let at = bytes.windows(word.len()).position(|window| window == word.as_bytes())?;
    let rest = bytes[at..].iter().position(|byte| *byte == b'\n')?;
    Some(at + rest + 1)
}

/// The answered requests whose first line is before `end`, in that order, and whether those are all.
fn answered(bytes: &[u8], end: usize) -> anyhow::Result<(Vec<Request>, bool)> {
    let mut received = Vec::new();
    let mut answers = BTreeMap::new();
    let mut position = 0;
    // What is being written may be read before it is whole.
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        let event: Value = serde_json::from_slice(line)
            .with_context(|| format!("the audit log has a broken line: {}", String::from_utf8_lossy(line)))?;
        let id = text(&event, "/auditID");
        if event["stage"] != "RequestReceived" {
            // The first line of a long answer is an answer, too, if not one that counts.
            let request = Request::parse(&event);
            let known: &mut Option<Request> = answers.entry(id).or_default();
            *known = known.take().or(request);
        } else if position < end {
            received.push(id);
        }
        position += line.len();
    }
    let are_all = received.iter().all(|id| answers.contains_key(id));
    Ok((received.iter().filter_map(|id| answers.remove(id)?).collect(), are_all))
}

/// Requests as lines that tell how often each was made.
pub fn counted(requests: &[Request]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests {
        *counts.entry(request.to_string()).or_default() += 1;
    }
    counts.iter().map(|(request, count)| format!("{count} x {request}")).collect::<Vec<_>>().join("\n")
}
