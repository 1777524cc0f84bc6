//! Connections to members that are kept for the next request.
//!
//! Invariant: nothing is sent twice. A request that a kept connection did not take, since it was closed, is sent on another one;
//! only what was under way when it broke fails, as it does on a new one. Kept ones are few, and are
//! not used any more long before the member would close them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::Mutex;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{ClientError, Connector, KeptConnection};

/// Kept at most for each member: what a burst of requests leaves behind is not all of use.
const KEPT_MAX: usize = 32;
/// Kept without a request for so long: members close idle connections after minutes.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Pool {
    connector: Arc<dyn Connector>,
    kept: Mutex<BTreeMap<Endpoint, Vec<Kept>>>,
}

struct Kept {
    connection: KeptConnection,
    since: Instant,
}

/// A connection whose answer is being read; it is kept if all of it was.
pub(super) struct Lease {
    pool: Arc<Pool>,
    endpoint: Endpoint,
    connection: Option<KeptConnection>,
}

impl Pool {
    /// Opens connections through `connector`.
    pub(super) fn new(connector: Arc<dyn Connector>) -> Self {
        Self { connector, kept: Mutex::default() }
    }

    /// Sends `request` to `endpoint`, and gives the answer once it has begun. On a kept connection only if it may be sent
    /// twice: one that breaks right then leaves open whether the request was carried out.
    pub(super) async fn ask(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        mut request: Request<Bytes>,
        may_repeat: bool,
        timeout: Duration,
    ) -> Result<(Response<Incoming>, Lease), ClientError> {
        while let Some(mut connection) = may_repeat.then(|| self.take(endpoint)).flatten() {
            match connection.send(request, timeout).await {
                Ok(answer) => return Ok((answer, self.lease(endpoint, connection))),
                // It had been closed, and nothing was sent.
                Err((_, Some(unsent))) => request = unsent,
                Err((error, None)) => return Err(error),
            }
        }
        let mut connection = KeptConnection::open(&*self.connector, endpoint, timeout).await?;
        let answer = connection.send(request, timeout).await.map_err(|(error, _)| error)?;
        Ok((answer, self.lease(endpoint, connection)))
    }

    /// The one that was used last, if it may still be used.
    fn take(&self, endpoint: &Endpoint) -> Option<KeptConnection> {
        let mut kept = self.kept.lock();
        let of_member = kept.get_mut(endpoint)?;
        of_member.retain(Kept::is_usable);
        // One that has not finished its last exchange by now is left for the next request.
        let position = of_member.iter().rposition(|it| it.connection.is_idle());
        let taken = position.map(|position| of_member.remove(position).connection);
        if of_member.is_empty() {
            kept.remove(endpoint);
        }
        taken
    }

    fn lease(self: &Arc<Self>, endpoint: &Endpoint, connection: KeptConnection) -> Lease {
        let (pool, endpoint) = (Arc::clone(self), endpoint.clone());
        Lease { pool, endpoint, connection: Some(connection) }
    }
}

impl Kept {
    fn is_usable(&self) -> bool {
        self.since.elapsed() < KEPT_FOR && self.connection.is_open()
    }
}

impl Lease {
    /// All of the answer was read: the connection may serve another request.
    pub(super) fn end(&mut self) {
        let Some(connection) = self.connection.take().filter(KeptConnection::is_open) else {
            return;
        };
        let mut kept = self.pool.kept.lock();
        // Of members that are not asked any more, too.
        kept.retain(|_, of_member| {
            of_member.retain(Kept::is_usable);
            !of_member.is_empty()
        });
        let of_member = kept.entry(self.endpoint.clone()).or_default();
        if of_member.len() < KEPT_MAX {
            of_member.push(Kept { connection, since: Instant::now() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use quorate_transport::body::read_body;
    use quorate_transport::http_client::PlainConnector;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// Answers so many requests on each connection and then closes it without a word; counts the connections.
    async fn member(answers: usize) -> (Endpoint, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::tcp("127.0.0.1", listener.local_addr().unwrap().port());
        let count = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&count);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counting.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    for _ in 0..answers {
                        let mut head = Vec::new();
                        while !head.ends_with(b"\r\n\r\n") {
                            let Ok(byte) = stream.read_u8().await else { return };
                            head.push(byte);
                        }
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        (endpoint, count)
    }

    async fn ask(pool: &Arc<Pool>, endpoint: &Endpoint) {
        let request = Request::put("/").body(Bytes::new()).unwrap();
        let (answer, mut lease) = pool.ask(endpoint, request, true, SOON).await.unwrap();
        assert_eq!(read_body(answer.into_body(), 100).await.unwrap(), "ok");
        lease.end();
    }

    fn settled(pool: &Pool) -> bool {
        let kept = pool.kept.lock();
        kept.values().flatten().all(|it| it.connection.is_idle() || !it.connection.is_open())
    }

    async fn until_settled(pool: &Pool) {
        let settles = async {
            while !settled(pool) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, settles).await.unwrap();
    }

    #[tokio::test]
    async fn one_connection_serves_requests_one_after_the_other() {
        let ((endpoint, count), pool) =
            (member(100).await, Arc::new(Pool::new(Arc::new(PlainConnector))));
        for _ in 0..5 {
            ask(&pool, &endpoint).await;
            until_settled(&pool).await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        // An answer that nobody read to its end frees nothing.
        let request = || Request::get("/").body(Bytes::new()).unwrap();
        drop(pool.ask(&endpoint, request(), true, SOON).await.unwrap());
        ask(&pool, &endpoint).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_the_member_has_closed_is_not_used() {
        let ((endpoint, count), pool) =
            (member(1).await, Arc::new(Pool::new(Arc::new(PlainConnector))));
        for expected in 1..=3 {
            ask(&pool, &endpoint).await;
            let closed = async {
                while pool.kept.lock().values().flatten().any(|it| it.connection.is_open()) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(SOON, closed).await.unwrap();
            assert_eq!(count.load(Ordering::SeqCst), expected);
        }
    }

    #[tokio::test]
    async fn a_burst_leaves_no_more_than_the_bound() {
        let ((endpoint, _), pool) =
            (member(100).await, Arc::new(Pool::new(Arc::new(PlainConnector))));
        let burst = (0..KEPT_MAX * 2).map(|_| ask(&pool, &endpoint));
        futures_util::future::join_all(burst).await;
        let kept = pool.kept.lock().values().map(Vec::len).sum::<usize>();
        assert!((1..=KEPT_MAX).contains(&kept), "{kept}");
    }
}
