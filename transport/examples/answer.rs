//! A server for measuring this crate: `answer [current|multi] [threads]` prints its address, answers `/` with two
//! bytes, `/wait` with a stream that never says anything, and `/hang` never.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use quorate_transport::acceptor::Plain;
use quorate_transport::connections::Connection;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_server::{Handler, HttpServer};
use quorate_transport::limits::{ServerLimits, raise_open_files_limit};
use quorate_transport::listener::Listener;

enum Answer {
    Text(Option<Bytes>),
    Silence,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Silence => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Silence => SizeHint::default(),
        }
    }
}

struct Echo;

impl Handler for Echo {
    type Body = Answer;

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        _: Connection,
    ) -> Response<Answer> {
        match request.uri().path() {
            "/wait" => Response::new(Answer::Silence),
            "/hang" => std::future::pending().await,
            _ => Response::new(Answer::Text(Some(Bytes::from_static(b"ok")))),
        }
    }
}

fn main() {
    raise_open_files_limit();
    let flavour = std::env::args().nth(1).unwrap_or_default();
    let threads = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut builder = if flavour == "multi" {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.worker_threads(threads).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = Listener::bind(&Endpoint::tcp("127.0.0.1", 0)).await.expect("a port");
        let server = HttpServer::spawn(listener, Plain, Arc::new(Echo), ServerLimits::default());
        let mut out = std::io::stdout();
        std::io::Write::write_all(&mut out, format!("{}\n", server.local_endpoint()).as_bytes())
            .ok();
        tokio::signal::ctrl_c().await.ok();
    });
}
