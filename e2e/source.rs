//! A source of charts that does as it is told, and so behaves as badly as a test needs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use pintle::repository::Digest;
use tar::EntryType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How often a server that drips sends a byte.
const DRIP: Duration = Duration::from_millis(100);
/// Longest head of a request.
const MAX_HEAD: usize = 16 << 10;

/// What a source does with one request.
#[derive(Clone)]
pub enum Answer {
    /// Sends these bytes and closes.
    Bytes(Arc<[u8]>),
    /// Sends these bytes and then nothing, with the connection open.
    Stall(Arc<[u8]>),
    /// Sends these bytes, and then a byte now and then.
    Drip(Arc<[u8]>),
    /// Sends these bytes, and then zeros without end.
    Endless(Arc<[u8]>),
}

/// A server with an answer for each path; others are not there.
pub struct Source {
    address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Answer>>>,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    /// Starts an empty one.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to listen")?;
        let address = listener.local_addr().context("the source has no address")?;
        let (pages, heads) = (Arc::default(), Arc::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&pages), Arc::clone(&heads)));
        Ok(Self { address, pages, heads, task })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests for `path` like this from now on.
    pub fn put(&self, path: &str, answer: Answer) {
        lock(&self.pages).insert(path.to_owned(), answer);
    }

    /// How many requests had `text` in their head, in lower case.
    pub fn count(&self, text: &str) -> usize {
        lock(&self.heads).iter().filter(|head| head.contains(text)).count()
    }

    /// Is not there any more, whoever asks.
    pub fn vanish(&self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    listener: TcpListener,
    pages: Arc<Mutex<HashMap<String, Answer>>>,
    heads: Arc<Mutex<Vec<String>>>,
) {
    // They end with this task.
    let mut talks = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        talks.spawn(talk(stream, Arc::clone(&pages), Arc::clone(&heads)));
        while talks.try_join_next().is_some() {}
    }
}

async fn talk(
    mut stream: TcpStream,
    pages: Arc<Mutex<HashMap<String, Answer>>>,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    lock(&heads).push(head);
    let answer = lock(&pages).get(&path).cloned().unwrap_or_else(|| status("404 Not Found", ""));
    let (Answer::Bytes(bytes) | Answer::Stall(bytes) | Answer::Drip(bytes) | Answer::Endless(bytes)) =
        &answer;
    if stream.write_all(bytes).await.is_err() {
        return;
    }
    match answer {
        Answer::Bytes(_) => {}
        Answer::Stall(_) => std::future::pending().await,
        Answer::Drip(_) => {
            let mut beat = tokio::time::interval(DRIP);
            while stream.write_all(b"x").await.is_ok() {
                beat.tick().await;
            }
        }
        Answer::Endless(_) => while stream.write_all(&[0; 64 << 10]).await.is_ok() {},
    }
}

/// The head of an answer; `headers` end with a line break each.
pub fn head(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

/// An answer without a body.
pub fn status(status: &str, headers: &str) -> Answer {
    Answer::Bytes(head(status, &format!("Content-Length: 0\r\n{headers}")).into())
}

/// An answer with this body.
pub fn ok(body: &[u8]) -> Answer {
    let mut bytes = head("200 OK", &format!("Content-Length: {}\r\n", body.len()));
    bytes.extend_from_slice(body);
    Answer::Bytes(bytes.into())
}

/// An index of chart `web`: its versions, each with an address and a digest.
pub fn index(versions: &[(&str, &str, Digest)]) -> Vec<u8> {
    let entries: Vec<serde_json::Value> = versions
        .iter()
        .map(|(version, url, digest)| {
            serde_json::json!({"apiVersion": "v2", "name": "web", "version": version, "urls": [url], "digest": digest.hex()})
        })
        .collect();
    serde_json::json!({"apiVersion": "v1", "entries": {"web": entries}}).to_string().into_bytes()
}

/// A gzipped tar of these files; names are written as they are, whatever they lead to.
pub fn archive(files: &[(&str, EntryType, &[u8])]) -> anyhow::Result<Vec<u8>> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (name, kind, data) in files {
        let mut header = tar::Header::new_gnu();
        let place = header.as_old_mut().name.get_mut(..name.len()).context("the name is too long")?;
        place.copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").context("the link cannot be written")?;
        }
        header.set_cksum();
        tar.append(&header, *data).context("the archive cannot be written")?;
    }
    tar.into_inner().and_then(|gzip| gzip.finish()).context("the archive cannot be written")
}

/// A version of chart `web`, whose object says which one it is.
pub fn chart(version: &str) -> anyhow::Result<Vec<u8>> {
    let metadata = format!("apiVersion: v2\nname: web\nversion: {version}\n");
    let objects = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n\
                   data: {version: {{ .Chart.Version | quote }}}\n";
    archive(&[
        ("web/Chart.yaml", EntryType::Regular, metadata.as_bytes()),
        ("web/templates/all.yaml", EntryType::Regular, objects.as_bytes()),
    ])
}
