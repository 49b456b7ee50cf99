//! The admin listener: `/healthz`, `/readyz`, `/metrics`, `/jobs`.

mod jobs;

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::execute::World;

/// Answers on the admin listener.
pub struct Admin {
    world: Arc<World>,
}

impl Admin {
    /// For the world it tells about.
    #[must_use]
    pub fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str, Vec<u8>) {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, b"only GET and HEAD are served\n".to_vec());
        }
        match path {
            "/healthz" => (StatusCode::OK, TEXT, b"ok\n".to_vec()),
            "/readyz" => match self.world.readiness.check() {
                Ok(()) => (StatusCode::OK, TEXT, b"ready\n".to_vec()),
                Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {reason}\n").into_bytes()),
            },
            "/metrics" => (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.world.metrics.render()),
            _ => (StatusCode::NOT_FOUND, TEXT, b"here are /healthz, /readyz, /metrics and /jobs\n".to_vec()),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let path = head.uri.path();
        let (status, content_type, body) = if path == "/jobs" || path.starts_with("/jobs/") {
            let query = head.uri.query().unwrap_or_default();
            let (status, answer) = jobs::answer(&self.world, &head.method, path, query).await;
            (status, "application/json", format!("{answer}\n").into_bytes())
        } else {
            self.answer(&head.method, path)
        };
        let head = session.req_header();
        let length = body.len();
        let body = if head.method == Method::HEAD { Vec::new() } else { body };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        headers.insert(header::CONTENT_LENGTH, length.into());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
