//! The least that pingora can do: every request goes to one upstream. What Pillion is measured against.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

struct PlainProxy(String);

#[async_trait]
impl ProxyHttp for PlainProxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&self.0, false, String::new())))
    }
}

/// Proxies `listen` to `upstream` on one thread, for ever.
pub fn run(listen: &str, upstream: &str) -> ! {
    // As many as Pillion keeps.
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 4096, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let conf: Arc<ServerConf> = Arc::clone(&server.configuration);
    let mut service = http_proxy_service(&conf, PlainProxy(upstream.to_owned()));
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
