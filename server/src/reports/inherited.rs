//! `reporting` in the data directory: where a member reports that was told nothing of a discovery service, as another member of its
//! cluster told it; and the asking, as long as nobody knows.
//!
//! Invariant: the file holds a secret: only the member's own user can read it, and nothing of it is shown. It is looked for once the
//! member runs; it is asked for ever more seldom; and flags that name a service come before it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use quorate_transport::http_client::Connector;
use quorate_transport::tls::TlsError;
use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::pauses::{Pauses, scattered};
use crate::peer_api::messages::ReportTarget;
use crate::storage::disk::replace_file;

const NAME: &str = "reporting";
/// Who signs the service's certificate, if the member that told of it had them in a file.
const AUTHORITIES: &str = "reporting-authorities.pem";
/// The file is some hundred bytes; what is larger is not ours.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The first pause: the links to the others are up in a moment.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest: most clusters have no such service, and one that gets one by a change of flags is followed soon enough.
const PAUSE_MAX: Duration = Duration::from_secs(900);

/// Opens connections to a service.
pub type Connect = Box<dyn Fn(&Target) -> Result<Arc<dyn Connector>, TlsError> + Send + Sync>;

/// See the module.
pub struct Inherited {
    dir: PathBuf,
    connect: Connect,
}

/// Whom to ask: the other members.
pub trait Peers: Send + Sync {
    /// What the first of them says that knows; nothing if none does.
    fn ask(&self) -> BoxFuture<'_, Option<ReportTarget>>;
}

#[derive(Deserialize, Serialize)]
struct Contents {
    secret: String,
    prefix: String,
    endpoints: Vec<String>,
    has_authorities: bool,
}

impl Inherited {
    /// What the data directory `dir` holds and will hold.
    #[must_use]
    pub fn new(dir: &Path, connect: Connect) -> Self {
        Self { dir: dir.to_owned(), connect }
    }

    /// What was told before this start.
    pub(super) fn kept(&self) -> Option<(Target, Arc<dyn Connector>)> {
        let target = self.read().unwrap_or_else(|error| {
            tracing::warn!(file = NAME, %error, "where to report is asked for again: the data directory's note cannot be read");
            None
        })?;
        self.connected(target)
    }

    /// Asks until somebody knows, and keeps what was said.
    pub(super) async fn ask(&self, peers: &dyn Peers) -> (Target, Arc<dyn Connector>) {
        let mut pauses = Pauses::between(PAUSE_MIN, PAUSE_MAX);
        loop {
            if let Some(found) = self.ask_once(peers).await {
                return found;
            }
            tokio::time::sleep(scattered(pauses.next())).await;
        }
    }

    /// Asks each of them once.
    pub(super) async fn ask_once(&self, peers: &dyn Peers) -> Option<(Target, Arc<dyn Connector>)> {
        let said = peers.ask().await.filter(|said| !said.secret.is_empty())?;
        match self.keep(said).await {
            Ok(target) => self.connected(target),
            Err(error) => {
                tracing::warn!(%error, "what another member says of the discovery service cannot be used");
                None
            }
        }
    }

    fn connected(&self, target: Target) -> Option<(Target, Arc<dyn Connector>)> {
        match (self.connect)(&target) {
            Ok(connector) => Some((target, connector)),
            Err(error) => {
                tracing::warn!(%error, "nothing is reported to the discovery service that the other members report to");
                None
            }
        }
    }

    /// Forgets what was told: the flags say otherwise now, and a secret that nobody uses is not to lie about.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn forget(dir: &Path) -> io::Result<()> {
        for name in [NAME, AUTHORITIES] {
            match std::fs::remove_file(dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    async fn keep(&self, said: ReportTarget) -> io::Result<Target> {
        let has_authorities = !said.authorities.is_empty();
        let target = self.target(&said, has_authorities)?;
        let dir = self.dir.clone();
        // Files are synced, and clients are served on this thread.
        let written = tokio::task::spawn_blocking(move || write(&dir, said));
        written.await.map_err(io::Error::other)??;
        Ok(target)
    }

    fn read(&self) -> io::Result<Option<Target>> {
        let mut bytes = Vec::new();
        match std::fs::File::open(self.dir.join(NAME)) {
            Ok(file) => {
                io::Read::read_to_end(&mut io::Read::take(file, FILE_BYTES_MAX), &mut bytes)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // The parser's own words may hold a part of what it read.
        let contents: Contents = serde_json::from_slice(&bytes).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "it is not what was written")
        })?;
        let Contents { secret, prefix, endpoints, has_authorities } = contents;
        let said = ReportTarget { secret, prefix, endpoints, authorities: Vec::new() };
        self.target(&said, has_authorities).map(Some)
    }

    fn target(&self, said: &ReportTarget, has_authorities: bool) -> io::Result<Target> {
        let authorities = has_authorities.then(|| self.dir.join(AUTHORITIES));
        Target::of_message(said, authorities)
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
    }
}

fn write(dir: &Path, said: ReportTarget) -> io::Result<()> {
    let ReportTarget { secret, prefix, endpoints, authorities } = said;
    let has_authorities = !authorities.is_empty();
    if has_authorities {
        replace_file(dir, AUTHORITIES, &authorities)?;
    }
    let contents = Contents { secret, prefix, endpoints, has_authorities };
    replace_file(dir, NAME, &serde_json::to_vec(&contents)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use quorate_transport::http_client::PlainConnector;

    use super::*;

    /// Knows from the N-th question on.
    struct Knows(AtomicUsize);

    impl Peers for Knows {
        fn ask(&self) -> BoxFuture<'_, Option<ReportTarget>> {
            let is_known = self.0.fetch_sub(1, Ordering::Relaxed) == 1;
            let said = ReportTarget {
                secret: "secret-of-the-token".to_owned(),
                prefix: String::new(),
                endpoints: vec!["https://d.example:443".to_owned()],
                authorities: b"-----BEGIN".to_vec(),
            };
            Box::pin(std::future::ready(is_known.then_some(said)))
        }
    }

    fn inherited(dir: &Path) -> Inherited {
        Inherited::new(dir, Box::new(|_| Ok(Arc::new(PlainConnector))))
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_until_somebody_knows_and_kept_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let inherited = inherited(dir.path());
        assert!(inherited.kept().is_none());
        let (target, _) = inherited.ask(&Knows(AtomicUsize::new(3))).await;
        let (kept, _) = inherited.kept().unwrap();
        assert!(kept == target);
        assert_eq!(std::fs::read(kept.authorities().unwrap()).unwrap(), b"-----BEGIN");
        for file in [NAME, AUTHORITIES] {
            let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        Inherited::forget(dir.path()).unwrap();
        Inherited::forget(dir.path()).unwrap();
        assert!(inherited.kept().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_note_is_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NAME), r#"{"secret":"x"#).unwrap();
        assert!(inherited(dir.path()).kept().is_none());
    }
}
