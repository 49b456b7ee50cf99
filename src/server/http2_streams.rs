//! Connections of HTTP/2: each stream is served by a task of its own, the usual request without pingora's proxy.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::Method;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::{Error, ErrorType};

use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::downstream::http2_stream_timeout;
use crate::downstream::session::{DownstreamSession, DownstreamTimeouts, TooSlow};
use crate::memory;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::route::route;

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

impl Http2Streams {
    /// Is it a POST to a GraphQL path, which needs nothing of pingora's proxy?
    fn is_usual(&self, session: &ServerSession) -> bool {
        let head = session.req_header();
        head.method == Method::POST && self.gateway.matches(head.uri.path())
    }

    /// Serves a request without pingora's proxy. `false` if it is to be passed on by that; nothing of it has been read then.
    async fn serve(&self, session: &mut ServerSession) -> bool {
        let gateway = &self.gateway;
        let mut ctx = RequestState::new(gateway);
        let timeouts = DownstreamTimeouts::of(&gateway.services.configured().settings);
        let routed = route(gateway, &mut DownstreamSession::of_http2(session, timeouts), &mut ctx).await;
        let error = match routed {
            Ok(false) => return false,
            Ok(true) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = &error {
            respond_to_failure(session, error).await;
        }
        let status = session.response_written().map(|head| head.status);
        gateway.finish(session.req_header().uri.path(), error.as_deref(), status, &ctx);
        true
    }
}

/// A client whose body does not come, or is none, is told so unless it has disconnected.
async fn respond_to_failure(session: &mut ServerSession, error: &Error) {
    let status = match error.etype() {
        _ if session.response_written().is_some() => return,
        ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed => return,
        ErrorType::ReadTimedout => 408,
        _ => 400,
    };
    // Fails only if the client has disconnected.
    let _ = session.respond_error_with_body(status, Bytes::new()).await;
}

// Without the macro `async_trait`, which would copy the futures of streams into their boxes.
impl HttpServerApp for Http2Streams {
    fn process_new_http<'s, 'w, 'f>(
        self: &'s Arc<Self>,
        mut session: ServerSession,
        shutdown: &'w ShutdownWatch,
    ) -> Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'f>>
    where
        's: 'f,
        'w: 'f,
    {
        memory::boxed(|| async move {
            self.deadline.head_was_read();
            if self.is_usual(&session) && self.serve(&mut session).await {
                return None;
            }
            if session.is_body_done() {
                return self.proxy.process_new_http(session, shutdown).await;
            }
            let served = http2_stream_timeout::watched(self.proxy.process_new_http(session, shutdown)).await;
            if served.is_none() {
                self.gateway.services.metrics.slow_clients.with_label_values(&[TooSlow::Upload.label()]).inc();
            }
            served.flatten()
        })
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

    fn http_cleanup<'s, 'f>(&'s self) -> Pin<Box<dyn Future<Output = ()> + Send + 'f>>
    where
        's: 'f,
    {
        self.proxy.http_cleanup()
    }
}
