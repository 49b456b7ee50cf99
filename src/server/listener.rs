//! Listeners: binds addresses, starts the background tasks, and ends in a graceful shutdown.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pingora::apps::HttpServerOptions;
use pingora::apps::http_app::ServeHttp;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::ServiceWithDependents;
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use pingora::services::listening::Service;

use crate::config::settings::{Settings, Upstream};
use crate::http_client::failure;
use crate::metadata_api::Api;
use crate::model::error_kind::ErrorKind;
use crate::routes::gateway::Gateway;
use crate::runtime::services::Services;
use crate::server::admin_listener::{AdminListener, OperatorApp};
use crate::server::background_tasks::Background;
use crate::server::client_listener::ClientListener;
use crate::server::connection_lifecycle::Connections;
use crate::server::graceful_shutdown::{AtExit, Drain, Exit, GRACE_SECONDS};
use crate::server::listener_handover;
use crate::server::tls::Tls;
use crate::telemetry::logs;

/// A service that runs in the same process.
pub(crate) struct BackgroundTask(Box<dyn ServiceWithDependents>);

impl<S: ServeHttp + Send + Sync + 'static> From<Service<S>> for BackgroundTask {
    fn from(service: Service<S>) -> Self {
        Self(Box::new(service))
    }
}

impl<T: BackgroundService + Send + Sync + 'static> From<GenBackgroundService<T>> for BackgroundTask {
    fn from(service: GenBackgroundService<T>) -> Self {
        Self(Box::new(service))
    }
}

/// Serves until a signal ends it, and then ends the process.
///
/// # Errors
/// Why it cannot start: an address that is taken, a file that cannot be used.
pub(crate) fn serve(
    services: &Arc<Services>,
    metadata: Option<Arc<Api>>,
    beside: Vec<BackgroundTask>,
    at_exit: AtExit,
) -> Result<(), String> {
    let settings = &services.configured().settings;
    check_listeners(settings)?;
    if settings.upgrade {
        listener_handover::prepare(&settings.upgrade_socket)?;
    }
    let conf = server_conf(settings);
    let opt = Opt { upgrade: settings.upgrade, ..Opt::default() };
    let mut server = Server::new_with_opt_and_conf(opt, conf);
    server.bootstrap();
    let conf = Arc::clone(&server.configuration);

    let tls = settings.tls.as_ref().map(Tls::new).transpose()?;
    let clients = client_listener(services, metadata.clone(), &conf, tls);
    let mut proxy = Service::new("proxy".to_owned(), Connections::of(clients));
    proxy.add_listener(listener(settings.listen, UNBUFFERED));
    if let Some(tls) = &settings.tls {
        proxy.add_listener(listener(tls.listen, RECORDS));
    }
    server.add_service(proxy);
    for BackgroundTask(service) in beside {
        server.add_boxed_service(service);
    }
    server.add_service(background_service("watch", Background(Arc::clone(services), metadata)));
    announce(Arc::clone(services));
    let exit = Exit { services: Arc::clone(services), last: Arc::new(Mutex::new(Some(at_exit))) };
    server.run(RunArgs { shutdown_signal: Box::new(Drain(exit)) });
    Ok(())
}

/// What clients connect to.
pub(crate) fn client_listener(
    services: &Arc<Services>,
    metadata: Option<Arc<Api>>,
    conf: &Arc<ServerConf>,
    tls: Option<Tls>,
) -> ClientListener {
    let gateway = Gateway { services: Arc::clone(services), metadata, get_policies: Arc::default() };
    let proxy = http_options(http_proxy(conf, gateway.clone()), &services.configured().settings);
    ClientListener::new(proxy, gateway, tls)
}

fn http_options(mut proxy: HttpProxy<Gateway>, settings: &Settings) -> HttpProxy<Gateway> {
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(settings.keepalive_timeout);
    proxy.server_options = Some(options);
    let mut streams = H2Options::new();
    streams
        .max_concurrent_streams(STREAMS_MAX)
        .max_local_error_reset_streams(Some(RESETS_MAX))
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(settings.limits.max_request_header_size).unwrap_or(u32::MAX));
    proxy.h2_options = Some(streams);
    proxy
}

/// Requests at one time on one connection of HTTP/2.
const STREAMS_MAX: u32 = 100;

/// Bytes of a response that are queued on a stream of HTTP/2 for a client whose window is open but who does not read. Beyond
/// the window, writing waits.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A connection of HTTP/2 ends after so many streams that break its rules.
const RESETS_MAX: usize = 100;

/// A listener for operators, of one thread: that of `name`, admin or metrics.
pub(crate) fn admin_service<S: OperatorApp>(
    services: &Arc<Services>,
    name: &str,
    listen: SocketAddr,
    app: S,
) -> BackgroundTask {
    let mut service = Service::new(name.to_owned(), Connections::of(AdminListener::new(app, Arc::clone(services))));
    service.add_listener(listener(listen, UNBUFFERED));
    service.threads = Some(1);
    BackgroundTask(Box::new(service))
}

/// A listener of one thread for something small.
pub(crate) fn small_service<S: ServeHttp + Send + Sync + 'static>(
    name: &str,
    listen: SocketAddr,
    app: S,
) -> Service<S> {
    let mut service = Service::new(name.to_owned(), app);
    service.add_tcp(&listen.to_string());
    service.threads = Some(1);
    service
}

fn server_conf(settings: &Settings) -> ServerConf {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    ServerConf {
        threads: settings.threads.unwrap_or(processors),
        // `Listener::new` has made sure that it can be used; pingora would panic.
        ca_file: settings.upstream.tls_ca_file.clone(),
        upstream_keepalive_pool_size: UPSTREAM_POOL_SIZE,
        work_stealing: false,
        // We drain requests in flight ourselves, and end the process before this is over: pingora ends the runtimes
        // then, each for itself, and a listener may be served by one whose socket belongs to another.
        grace_period_seconds: Some(settings.shutdown_timeout.as_secs() + GRACE_SECONDS),
        upgrade_sock: settings.upgrade_socket.clone(),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    }
}

/// Unused connections to the upstream that are kept.
const UPSTREAM_POOL_SIZE: usize = 256;

/// Connections have no buffers of pingora's, which they would keep while they wait: those of a request are its own, and a
/// response leaves in one piece ([`Http1Session`](crate::downstream::http1_session::Http1Session),
/// [`StrictStream`](crate::downstream::framing_stream::StrictStream)).
const UNBUFFERED: L4BufferSettings = L4BufferSettings { read: Some(0), write: Some(0) };

/// With TLS, the records of a response leave together.
const RECORDS: L4BufferSettings = L4BufferSettings { read: Some(0), write: None };

fn listener(address: SocketAddr, buffers: L4BufferSettings) -> ListenerConfig {
    ListenerConfig::tcp(address.to_string()).l4_buffer(buffers)
}

/// pingora ends the process without a message when an address is taken.
fn check_listeners(settings: &Settings) -> Result<(), String> {
    for (flag, address) in listeners(settings) {
        if address.port() == 0 {
            return Err(format!("{address}: port 0 cannot be listened on; choose a port"));
        }
        if settings.upgrade {
            // It is in use until it has been handed over.
            continue;
        }
        TcpListener::bind(address).map_err(|error| {
            let help = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "another process has this port, perhaps another Pillion: end it, or choose another"
                }
                _ => "choose another address",
            };
            format!("cannot listen on {address}: {error}\n  help: {help} with {flag}")
        })?;
    }
    Ok(())
}

/// How long the line waits for the first look at the upstream, which may show that nothing can be served.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Prints one line once every listener takes connections, and warns if the upstream is not there.
fn announce(services: Arc<Services>) {
    let addresses: Vec<SocketAddr> = listen_addresses(&services.configured().settings).map(reachable).collect();
    std::thread::spawn(move || {
        let started = Instant::now();
        let is_open = |address: &SocketAddr| TcpStream::connect_timeout(address, Duration::from_millis(100)).is_ok();
        while started.elapsed() < Duration::from_secs(10) {
            let has_looked = services.health.readiness.has_looked() || started.elapsed() > FIRST_LOOK;
            if has_looked && addresses.iter().all(is_open) {
                if services.health.fatal.reason().is_none() {
                    print_listening(&services);
                    warn_of_upstream(&services);
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

/// Probes the upstream at start, so that a mistyped address is reported now, and not by the first request that fails.
/// An upstream that only starts a moment later is not worth a message.
fn warn_of_upstream(services: &Services) {
    let started = Instant::now();
    let upstream = services.configured().settings.upstream.clone();
    let cause = loop {
        let Err(unready) = services.health.readiness.upstream() else { return };
        match dial(&upstream) {
            Err(error) if started.elapsed() >= FIRST_LOOK => {
                // The health check may still wait for a connection.
                let has_looked = services.health.readiness.has_looked();
                break if has_looked {
                    unready.reason
                } else {
                    failure::reason_of(&error, ErrorKind::ConnectionFailed)
                };
            }
            // The second probe has run by now.
            Ok(()) if started.elapsed() >= upstream.health_check_interval + FIRST_LOOK => break unready.reason,
            // It may not have been up yet at the first probe.
            Ok(()) | Err(_) => std::thread::sleep(DIAL_INTERVAL),
        }
    };
    services.health.dependencies.upstream.report_absent(&upstream.url(), &cause);
}

/// How often to look whether an upstream is there by now.
const DIAL_INTERVAL: Duration = Duration::from_millis(250);

fn dial(upstream: &Upstream) -> std::io::Result<()> {
    let mut addresses = (upstream.host.as_str(), upstream.port).to_socket_addrs()?;
    let address = addresses.next().ok_or(std::io::ErrorKind::NotFound)?;
    TcpStream::connect_timeout(&address, upstream.connect_timeout).map(drop)
}

fn listen_addresses(settings: &Settings) -> impl Iterator<Item = SocketAddr> {
    listeners(settings).map(|(_, address)| address)
}

/// The address of each listener, and what sets it.
fn listeners(settings: &Settings) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    let tls = settings.tls.as_ref().map(|tls| ("--tls-listen", tls.listen));
    let metrics = settings.admin.metrics_listen.map(|listen| ("admin.metrics_listen", listen));
    let always = [("--listen", settings.listen), ("--admin-listen", settings.admin_listen)];
    always.into_iter().chain(metrics).chain(tls)
}

/// A listener on all addresses is reachable on loopback.
#[must_use]
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// One line on standard output, in the format of the log and at any level of it.
fn print_listening(services: &Services) {
    let configured = services.configured();
    let settings = &configured.settings;
    let actions = services.snapshot.load().catalog.schema.actions.len();
    logs::write_lines(std::io::stdout, settings.log_json, || {
        tracing::info!(
            clients = %settings.listen,
            admin = %settings.admin_listen,
            tls = settings.tls.as_ref().map(|tls| tracing::field::display(tls.listen)),
            upstream = settings.upstream.url() + settings.upstream.graphql_path.as_deref().unwrap_or_default(),
            actions,
            "pillion is listening"
        );
    });
}
