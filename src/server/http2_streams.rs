//! Connections of HTTP/2: each stream is served by a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::downstream::http2_stream_timeout;
use crate::downstream::session::TooSlow;
use crate::routes::gateway::Gateway;

/// A connection of HTTP/2, whose requests have tasks of their own.
pub(crate) struct Http2Streams {
    proxy: Arc<HttpProxy<Gateway>>,
    gateway: Gateway,
    /// Of the connection: the first request is not awaited by the task that knows of it.
    deadline: Arc<ConnectionDeadline>,
    /// Has pingora read the options of h2, and started to read the client's preface?
    is_preface_awaited: AtomicBool,
}

impl Http2Streams {
    /// On a connection with this `deadline`.
    #[must_use]
    pub(crate) fn new(proxy: &Arc<HttpProxy<Gateway>>, gateway: &Gateway, deadline: Arc<ConnectionDeadline>) -> Self {
        Self {
            proxy: Arc::clone(proxy),
            gateway: gateway.clone(),
            deadline,
            is_preface_awaited: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl HttpServerApp for Http2Streams {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.deadline.head_was_read();
        if session.is_body_done() {
            return self.proxy.process_new_http(session, shutdown).await;
        }
        let served = http2_stream_timeout::watched(self.proxy.process_new_http(session, shutdown)).await;
        if served.is_none() {
            self.gateway.services.metrics.slow_clients.with_label_values(&[TooSlow::Upload.label()]).inc();
        }
        served.flatten()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.is_preface_awaited.store(true, Ordering::Relaxed);
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        // pingora calls this once more when the preface has arrived. From then on h2 limits heads, and pingora limits
        // the time without any request. Without this call, the first request would still be awaited in time.
        if self.is_preface_awaited.load(Ordering::Relaxed) {
            self.deadline.head_was_read();
        }
        self.proxy.server_options()
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
