//! Between a connection and the client API: requests for keys wait until this member may answer them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use quorate_transport::connections::Connection;
use quorate_transport::http_server::Handler;

use crate::client_api::{ApiBody, ClientApi, Origin, Via};
use crate::node::Node;

/// How long a request waits for a member that is still joining. Clients with several endpoints go on to the next one.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);
/// How often a waiting request looks again.
const JOIN_CHECK: Duration = Duration::from_millis(5);

/// Serves a client listener.
pub(super) struct ClientService {
    api: ClientApi<Node>,
    node: Node,
    via: Via,
    /// Whether the common name of a client's certificate is its user's name.
    names_users: bool,
    /// Set once and for all when the member may serve.
    serves: AtomicBool,
}

impl ClientService {
    /// `names_users` takes the common name of a client's certificate for its user's.
    pub(super) fn new(api: ClientApi<Node>, node: Node, via: Via, names_users: bool) -> Self {
        Self { api, node, via, names_users, serves: AtomicBool::new(false) }
    }

    /// Whether requests for the store may be answered; waits a while for a member that is still joining.
    async fn may_serve(&self, path: &str) -> bool {
        if self.serves.load(Ordering::Relaxed) || !path.starts_with("/v2/") {
            return true;
        }
        let deadline = Instant::now() + JOIN_PATIENCE;
        while !self.node.may_serve() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(JOIN_CHECK).await;
        }
        self.serves.store(true, Ordering::Relaxed);
        true
    }
}

impl Handler for ClientService {
    type Body = ApiBody;

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> Response<ApiBody> {
        if !self.serves.load(Ordering::Relaxed)
            && !Box::pin(self.may_serve(request.uri().path())).await
        {
            let text = &b"{\"message\":\"this member has not joined its cluster yet; ask another member\"}"[..];
            let mut response = Response::new(ApiBody::full(text));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        }
        let far = Some(connection.identity());
        let origin = Origin { via: self.via, far, names_users: self.names_users };
        self.api.answer(request, &origin).await
    }
}

/// Serves a listener for metrics alone.
pub(super) struct MetricsService(ClientApi<Node>);

impl MetricsService {
    pub(super) fn new(api: ClientApi<Node>) -> Self {
        Self(api)
    }
}

impl Handler for MetricsService {
    type Body = ApiBody;

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        _connection: Connection,
    ) -> Response<ApiBody> {
        self.0.answer_metrics(request).await
    }
}
