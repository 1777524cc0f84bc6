//! How many requests one core answers, HTTP included: run with `cargo test --release -p quorate-server --test api_speed -- --ignored --nocapture`.
//!
//! Client and server share the core, over a pipe in memory with requests sent ahead, so the client's part is small.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod api_fake;

use std::time::Instant;

use api_fake::{Fake, api};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use quorate_server::client_api::{Access, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Requests for each measurement.
const REQUESTS: usize = 200_000;
/// Requests sent before their answers are read.
const AHEAD: usize = 32;
/// What one core has to manage.
const WANTED_PER_SECOND: f64 = 50_000.0;

#[tokio::test]
#[ignore = "a measurement; means something in release builds only"]
async fn one_core_answers_fifty_thousand_requests_a_second() {
    let put = "PUT /v2/keys/a HTTP/1.1\r\nHost: 127.0.0.1:2379\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 70\r\n\r\nvalue=0123456789012345678901234567890123456789012345678901234567890123";
    let get = "GET /v2/keys/a?quorum=false&recursive=false&sorted=false HTTP/1.1\r\nHost: 127.0.0.1:2379\r\n\r\n";
    let quorum = "GET /v2/keys/a?quorum=true HTTP/1.1\r\nHost: 127.0.0.1:2379\r\n\r\n";
    for (name, request) in [("PUT", put), ("GET", get), ("quorum GET", quorum)] {
        let rate = rate(request).await;
        println!("{name}: {rate:.0} requests/s");
        assert!(rate > WANTED_PER_SECOND, "{name}: {rate:.0}");
    }
}

async fn rate(request: &str) -> f64 {
    let fake = Fake::new();
    let (api, _) = api(&fake, Access::default());
    let (mut client, server) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let api = api.clone();
            async move { Ok::<_, std::convert::Infallible>(api.answer(request, &Origin::PLAIN).await) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.title_case_headers(true)
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(server), service)
            .await
    });
    let batch = request.repeat(AHEAD);
    let mut read = vec![0; 1 << 16];
    let started = Instant::now();
    for _ in 0..REQUESTS / AHEAD {
        client.write_all(batch.as_bytes()).await.unwrap();
        let mut answers = 0;
        while answers < AHEAD {
            let count = client.read(&mut read).await.unwrap();
            assert!(count > 0, "closed");
            // Each body is one line of JSON, and nothing else ends so.
            answers += read[..count].windows(2).filter(|pair| pair == b"}\n").count();
        }
    }
    REQUESTS as f64 / started.elapsed().as_secs_f64()
}
