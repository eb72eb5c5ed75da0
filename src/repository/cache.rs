//! Caches: archives on disk by their digest, parsed charts in memory, and one flight for those who want the same.
//!
//! The disk is a convenience. A full, read-only or damaged one costs a download, never a release: every failure here
//! is counted and logged once, and the work goes on without the cache.

use std::collections::HashMap;
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::digest::Digest;
use super::index::Index;
use super::lock;
use super::spool::{self, Spool, Spooled};

/// Files of a writer that was killed begin with this.
const TEMPORARY: &str = ".part-";
/// Number of notes; the least recently used ones are dropped, half of them at a time.
const MAX_NOTES: usize = 1000;
/// Bytes of a note.
const NOTE_BYTES: u64 = 4 << 20;

/// Bytes on disk under `DIR/sha256/HEX`, the least recently used ones dropped when there are too many.
#[derive(Debug)]
pub(super) struct DiskCache {
    folder: Option<PathBuf>,
    max_bytes: u64,
    used: Mutex<u64>,
    /// The folder of notes, which are small, and how many there are.
    notes: Option<PathBuf>,
    noted: Mutex<usize>,
    errors: AtomicU64,
    reported: AtomicBool,
}

impl DiskCache {
    /// Opens the cache in `dir`, which may hold at most `max_bytes`; `None` caches nothing.
    pub(super) fn open(dir: Option<&Path>, max_bytes: u64) -> Self {
        let mut cache = Self {
            folder: None,
            max_bytes,
            used: Mutex::default(),
            notes: None,
            noted: Mutex::default(),
            errors: AtomicU64::new(0),
            reported: AtomicBool::new(false),
        };
        let Some(folder) = dir.map(|dir| dir.join("sha256")) else { return cache };
        if let Err(error) = fs::create_dir_all(&folder) {
            cache.report(&error);
            return cache;
        }
        let mut used = 0;
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                let _ = fs::remove_file(entry.path());
            } else {
                used += entry.metadata().map_or(0, |meta| meta.len());
            }
        }
        cache.used = Mutex::new(used);
        cache.folder = Some(folder);
        cache.open_notes(dir);
        cache
    }

    fn open_notes(&mut self, dir: Option<&Path>) {
        let Some(notes) = dir.map(|dir| dir.join("notes")) else { return };
        match fs::create_dir_all(&notes) {
            Ok(()) => {
                self.noted = Mutex::new(oldest_first(&notes).len());
                self.notes = Some(notes);
            }
            Err(error) => self.report(&error),
        }
    }

    /// What was noted under that name. Whoever asks has to judge it: nothing says that it is what was written.
    pub(super) fn note(&self, name: Digest) -> Option<Vec<u8>> {
        let file =
            File::options().read(true).append(true).open(self.notes.as_ref()?.join(name.hex())).ok()?;
        let _ = file.set_modified(SystemTime::now());
        let mut bytes = Vec::new();
        file.take(NOTE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Notes something small under that name, if that is possible.
    pub(super) fn write_note(&self, name: Digest, bytes: &[u8]) {
        let Some(notes) = self.notes.as_ref().filter(|_| bytes.len() as u64 <= NOTE_BYTES) else { return };
        if let Err(error) = write_whole(notes, &notes.join(name.hex()), bytes) {
            self.report(&error);
            return;
        }
        let mut noted = lock(&self.noted);
        *noted += 1;
        if *noted > MAX_NOTES {
            let all = oldest_first(notes);
            for path in all.iter().take(all.len().saturating_sub(MAX_NOTES / 2)) {
                let _ = fs::remove_file(path);
            }
            *noted = all.len().min(MAX_NOTES / 2);
        }
    }

    /// The bytes with that digest. Damaged ones are removed.
    pub(super) fn load(&self, digest: Digest) -> Option<Vec<u8>> {
        let path = self.folder.as_ref()?.join(digest.hex());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.report(&error);
                }
                return None;
            }
        };
        if Digest::of(&bytes) != digest {
            self.report(&io::Error::new(io::ErrorKind::InvalidData, format!("{digest} is damaged")));
            self.remove(&path);
            return None;
        }
        // The time of modification is the time of the last use.
        let _ =
            File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Keeps `bytes` under their digest, if that is possible.
    pub(super) fn store(&self, digest: Digest, bytes: &[u8]) {
        let Some(folder) = &self.folder else { return };
        let path = folder.join(digest.hex());
        if bytes.len() as u64 > self.max_bytes || path.exists() {
            return;
        }
        if let Err(error) = write_whole(folder, &path, bytes) {
            self.report(&error);
            return;
        }
        self.grew(bytes.len() as u64);
    }

    /// A file for bytes whose digest is not known yet.
    pub(super) fn spool(&self) -> Spool {
        let file = self.folder.as_ref().and_then(|folder| {
            let file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder);
            file.map_err(|error| self.report(&error)).ok()
        });
        Spool::new(file)
    }

    /// Keeps what was spooled, if that is possible.
    pub(super) fn adopt(&self, spooled: Spooled) {
        let (digest, length) = (spooled.digest, spooled.length);
        let file = match spooled.into_file() {
            Ok(file) => file,
            Err(bytes) => return self.store(digest, &bytes),
        };
        let Some(path) = self.folder.as_ref().map(|folder| folder.join(digest.hex())) else { return };
        if length > self.max_bytes || path.exists() {
            return;
        }
        let kept = file.as_file().sync_all().and_then(|()| file.persist(path).map_err(io::Error::from));
        match kept {
            Ok(_) => self.grew(length),
            Err(error) => self.report(&error),
        }
    }

    /// Reads the index with that digest. A damaged one is removed.
    pub(super) fn load_index(&self, digest: Digest) -> Option<Index> {
        let path = self.folder.as_ref()?.join(digest.hex());
        // Also for writing: the time of modification is the time of the last use.
        let file = File::options().read(true).append(true).open(&path).ok()?;
        match spool::index_of(&file, digest) {
            Ok(index) => {
                let _ = file.set_modified(SystemTime::now());
                Some(index)
            }
            Err(error) => {
                self.report(&io::Error::new(io::ErrorKind::InvalidData, error));
                self.remove(&path);
                None
            }
        }
    }

    fn remove(&self, path: &Path) {
        let length = fs::metadata(path).map_or(0, |meta| meta.len());
        if fs::remove_file(path).is_ok() {
            let mut used = lock(&self.used);
            *used = used.saturating_sub(length);
        }
    }

    /// Counts a file that came; makes room for it.
    fn grew(&self, length: u64) {
        let Some(folder) = &self.folder else { return };
        let full = {
            let mut used = lock(&self.used);
            *used += length;
            *used > self.max_bytes
        };
        if full {
            self.evict(folder);
        }
    }

    /// Number of failures so far.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Removes the least recently used files. The folder is read anew: what it holds is the truth.
    fn evict(&self, folder: &Path) {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Ok(meta) = entry.metadata()
                && !entry.file_name().to_string_lossy().starts_with(TEMPORARY)
            {
                files.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), entry.path()));
            }
        }
        files.sort_unstable();
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in files {
            if total <= self.max_bytes {
                break;
            }
            match fs::remove_file(&path) {
                Ok(()) => total = total.saturating_sub(length),
                Err(error) => self.report(&error),
            }
        }
        *lock(&self.used) = total;
    }

    fn report(&self, error: &io::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if self.reported.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, "the cache on disk failed");
        } else {
            tracing::warn!(%error, "the cache on disk failed; going on without it");
        }
    }
}

/// The files of a folder, the least recently used one first; what a killed writer left is removed.
fn oldest_first(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            let _ = fs::remove_file(entry.path());
        } else if let Ok(meta) = entry.metadata() {
            files.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
    }
    files.sort_unstable();
    files.into_iter().map(|(_, path)| path).collect()
}

/// Writes a file so that it is there whole or not at all.
fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Values by digest, the least recently used ones dropped when their weights add up to too much.
#[derive(Debug)]
pub(super) struct MemoryCache<T> {
    max_weight: u64,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    entries: HashMap<Digest, Entry<T>>,
    weight: u64,
    clock: u64,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    weight: u64,
    used: u64,
}

impl<T> MemoryCache<T> {
    /// Holds values of `max_weight` in all.
    pub(super) fn new(max_weight: u64) -> Self {
        Self { max_weight, kept: Mutex::new(Kept { entries: HashMap::new(), weight: 0, clock: 0 }) }
    }

    /// The value of that digest.
    pub(super) fn get(&self, digest: Digest) -> Option<Arc<T>> {
        let mut kept = lock(&self.kept);
        kept.clock += 1;
        let now = kept.clock;
        let entry = kept.entries.get_mut(&digest)?;
        entry.used = now;
        Some(entry.value.clone())
    }

    /// Keeps `value`. One that is there already stays, and is what comes back, so that all share one.
    pub(super) fn insert(&self, digest: Digest, value: Arc<T>, weight: u64) -> Arc<T> {
        let mut kept = lock(&self.kept);
        kept.clock += 1;
        let used = kept.clock;
        if let Some(entry) = kept.entries.get_mut(&digest) {
            entry.used = used;
            return entry.value.clone();
        }
        kept.weight += weight;
        kept.entries.insert(digest, Entry { value: value.clone(), weight, used });
        while kept.weight > self.max_weight && kept.entries.len() > 1 {
            let oldest = kept.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(digest, _)| *digest);
            let Some(entry) = oldest.and_then(|digest| kept.entries.remove(&digest)) else { break };
            kept.weight = kept.weight.saturating_sub(entry.weight);
        }
        value
    }
}

/// Work in progress by name: who asks for the same meanwhile gets the same answer.
///
/// Whoever waits drives the work, so it goes on when the one who began it is cancelled.
pub(super) struct Flights<T: Clone> {
    running: Mutex<HashMap<String, WeakShared<BoxFuture<'static, T>>>>,
}

impl<T: Clone> Default for Flights<T> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl<T: Clone> std::fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights").field("running", &lock(&self.running).len()).finish()
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Waits for the work of that name, beginning it with `begin` when nobody has.
    pub(super) fn join<F>(&self, name: &str, begin: impl FnOnce() -> F) -> Shared<BoxFuture<'static, T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut running = lock(&self.running);
        running.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        if let Some(flight) = running.get(name).and_then(WeakShared::upgrade) {
            return flight;
        }
        let flight = begin().boxed().shared();
        if let Some(weak) = flight.downgrade() {
            running.insert(name.to_owned(), weak);
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn age(dir: &Path, digest: Digest, seconds: u64) {
        let file = File::options().append(true).open(dir.join("sha256").join(digest.hex())).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn the_disk_gives_back_what_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(Some(dir.path()), 100);
        let digest = Digest::of(b"chart");
        assert_eq!(cache.load(digest), None);
        cache.store(digest, b"chart");
        assert_eq!(cache.load(digest).as_deref(), Some(&b"chart"[..]));
        assert_eq!(DiskCache::open(Some(dir.path()), 100).load(digest).as_deref(), Some(&b"chart"[..]));

        fs::write(dir.path().join("sha256").join(digest.hex()), b"chars").unwrap();
        assert_eq!(cache.load(digest), None, "damaged bytes are no hit");
        assert_eq!(cache.errors(), 1);
        assert_eq!(fs::read_dir(dir.path().join("sha256")).unwrap().count(), 0);
    }

    #[test]
    fn the_least_recently_used_files_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(Some(dir.path()), 25);
        let texts: Vec<Vec<u8>> = (0..3_u8).map(|n| vec![n; 10]).collect();
        let digests: Vec<Digest> = texts.iter().map(|text| Digest::of(text)).collect();
        for (text, digest) in texts.iter().zip(&digests).take(2) {
            cache.store(*digest, text);
        }
        age(dir.path(), digests[0], 100);
        age(dir.path(), digests[1], 200);
        cache.store(digests[2], &texts[2]);
        let kept: Vec<bool> = digests.iter().map(|digest| cache.load(*digest).is_some()).collect();
        assert_eq!(kept, [true, false, true]);
        cache.store(Digest::of(&[9; 26]), &[9; 26]);
        assert_eq!(cache.load(Digest::of(&[9; 26])), None, "larger than the whole cache");
    }

    #[test]
    fn a_disk_that_cannot_be_used_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let cache = DiskCache::open(Some(&file), 100);
        cache.store(Digest::of(b"x"), b"x");
        assert_eq!(cache.load(Digest::of(b"x")), None);
        assert_eq!(cache.errors(), 1);

        let cache = DiskCache::open(Some(dir.path()), 100);
        fs::remove_dir(dir.path().join("sha256")).unwrap();
        cache.store(Digest::of(b"x"), b"x");
        assert_eq!(cache.errors(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("sha256").join(format!("{TEMPORARY}abc"));
        fs::create_dir_all(left.parent().unwrap()).unwrap();
        fs::write(&left, b"half").unwrap();
        DiskCache::open(Some(dir.path()), 100);
        assert!(!left.exists());
    }

    #[test]
    fn memory_is_bounded_by_weight() {
        let cache = MemoryCache::new(20);
        let [a, b, c] = [Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c")];
        cache.insert(a, Arc::new('a'), 10);
        cache.insert(b, Arc::new('b'), 10);
        assert_eq!(cache.get(a).as_deref(), Some(&'a'));
        cache.insert(c, Arc::new('c'), 10);
        assert_eq!([a, b, c].map(|digest| cache.get(digest).is_some()), [true, false, true]);
        cache.insert(b, Arc::new('B'), 1000);
        assert_eq!([a, b, c].map(|digest| cache.get(digest).is_some()), [false, true, false]);
        assert_eq!(*cache.insert(b, Arc::new('x'), 1), 'B', "the first one stays");
    }

    #[tokio::test]
    async fn one_flight_serves_all_who_wait_even_when_its_beginner_leaves() {
        let flights = Flights::<u32>::default();
        let begun = Arc::new(AtomicU64::new(0));
        let work = || {
            let begun = begun.clone();
            move || async move {
                begun.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                7
            }
        };
        let first = flights.join("x", work());
        let second = flights.join("x", work());
        let _ = tokio::time::timeout(Duration::from_millis(1), first).await;
        assert_eq!(second.await, 7);
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert_eq!(flights.join("x", work()).await, 7);
        assert_eq!(begun.load(Ordering::SeqCst), 2, "a landed flight is not boarded");
    }
}
