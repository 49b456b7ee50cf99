//! Listeners, what runs beside them, and an end in good order.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::apps::http_app::ServeHttp;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::ServiceWithDependents;
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use pingora::services::listening::Service;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::settings::{Settings, Upstream};
use crate::metadata_api::Api;
use crate::pipeline::panic_isolation::supervise;
use crate::pipeline::services::Services;
use crate::pipeline::{call_policy, job_worker, load_monitor, upstream_health_check};
use crate::server::admin_listener::Operators;
use crate::server::connections::Connections;
use crate::server::gateway::Gateway;
use crate::server::listener_handover;
use crate::server::tls::Tls;
use crate::telemetry::logs;

/// A service that runs in the same process.
pub struct BackgroundTask(Box<dyn ServiceWithDependents>);

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

/// What is done just before the process ends.
pub type AtExit = Box<dyn FnOnce() + Send>;

/// Serves until a signal ends it, and then ends the process.
///
/// # Errors
/// Why it cannot start: an address that is taken, a file that cannot be used.
pub fn serve(
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

    let gateway = Gateway { services: Arc::clone(services), metadata: metadata.clone(), get_policies: Arc::default() };
    let proxy = http_options(http_proxy(&conf, gateway.clone()), settings);
    let tls = settings.tls.as_ref().map(Tls::new).transpose()?;
    let mut proxy = Service::new("proxy".to_owned(), Connections::new(proxy, gateway, tls));
    proxy.add_listener(listener(settings.listen));
    if let Some(tls) = &settings.tls {
        proxy.add_listener(listener(tls.listen));
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

/// The listener for operators, of one thread.
pub fn admin_service<S: ServeHttp + Send + Sync + 'static>(services: &Arc<Services>, app: S) -> BackgroundTask {
    let mut service = Service::new("admin".to_owned(), Operators::new(app, Arc::clone(services)));
    service.add_listener(listener(services.configured().settings.admin_listen));
    service.threads = Some(1);
    BackgroundTask(Box::new(service))
}

/// A listener of one thread for something small.
pub fn small_service<S: ServeHttp + Send + Sync + 'static>(name: &str, listen: SocketAddr, app: S) -> Service<S> {
    let mut service = Service::new(name.to_owned(), app);
    service.add_tcp(&listen.to_string());
    service.threads = Some(1);
    service
}

fn server_conf(settings: &Settings) -> ServerConf {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    ServerConf {
        threads: settings.threads.unwrap_or(processors),
        // `Engine::new` has made sure that it can be used; pingora would panic.
        ca_file: settings.upstream.tls_ca_file.clone(),
        upstream_keepalive_pool_size: UPSTREAM_POOL_SIZE,
        work_stealing: false,
        // We wait for what is in flight ourselves, and end the process before this is over: pingora ends the runtimes
        // then, each for itself, and a listener may be served by one whose socket belongs to another.
        grace_period_seconds: Some(settings.shutdown_timeout.as_secs() + GRACE_SECONDS),
        upgrade_sock: settings.upgrade_socket.clone(),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    }
}

/// Longer than the last words, those about a fatal diagnostic included.
const GRACE_SECONDS: u64 = 30;

/// Unused connections to the upstream that are kept.
const UPSTREAM_POOL_SIZE: usize = 256;

/// Connections have no read buffer of pingora's: they have one of their own while they have a request, and none while they
/// wait.
fn listener(address: SocketAddr) -> ListenerConfig {
    ListenerConfig::tcp(address.to_string()).l4_buffer(L4BufferSettings::default().read(0))
}

/// pingora ends the process without a word when an address is taken.
fn check_listeners(settings: &Settings) -> Result<(), String> {
    for address in listen_addresses(settings) {
        if address.port() == 0 {
            return Err(format!("{address}: port 0 cannot be listened on; choose a port"));
        }
        if settings.upgrade {
            // It is in use as long as nobody has handed it over.
            continue;
        }
        TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
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
            let has_looked = services.readiness.has_looked() || started.elapsed() > FIRST_LOOK;
            if has_looked && addresses.iter().all(is_open) {
                if services.fatal.reason().is_none() {
                    print_listening(&services);
                    warn_of_upstream(&services);
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

/// Whoever has mistyped its address learns it now, and not from the first request that fails. One that only starts a
/// moment later is not worth a word.
fn warn_of_upstream(services: &Services) {
    let started = Instant::now();
    let upstream = services.configured().settings.upstream.clone();
    let cause = loop {
        let Err(reason) = services.readiness.upstream() else { return };
        match dial(&upstream) {
            Err(error) if started.elapsed() >= FIRST_LOOK => break error.to_string(),
            // It has been asked again by now.
            Ok(()) if started.elapsed() >= upstream.health_check_interval + FIRST_LOOK => break reason,
            // It may not have been there yet when it was asked.
            Ok(()) | Err(_) => std::thread::sleep(DIAL_INTERVAL),
        }
    };
    tracing::warn!(
        upstream = upstream.url(),
        cause,
        "the upstream does not answer: /readyz says 503, and requests that need it fail until it does"
    );
}

/// How often to look whether an upstream is there by now.
const DIAL_INTERVAL: Duration = Duration::from_millis(250);

fn dial(upstream: &Upstream) -> std::io::Result<()> {
    let mut addresses = (upstream.host.as_str(), upstream.port).to_socket_addrs()?;
    let address = addresses.next().ok_or(std::io::ErrorKind::NotFound)?;
    TcpStream::connect_timeout(&address, upstream.connect_timeout).map(drop)
}

fn listen_addresses(settings: &Settings) -> impl Iterator<Item = SocketAddr> {
    let tls = settings.tls.as_ref().map(|tls| tls.listen);
    [settings.listen, settings.admin_listen].into_iter().chain(tls)
}

/// Who listens everywhere can be reached on loopback.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

fn print_listening(services: &Services) {
    let settings = &services.configured().settings;
    let count = services.snapshot.load().catalog.schema.actions.len();
    println!(
        "pillion is listening: clients on {}, admin on {}, upstream {}{}, {count} action{}",
        settings.listen,
        settings.admin_listen,
        settings.upstream.url(),
        settings.upstream.graphql_path.as_deref().unwrap_or_default(),
        if count == 1 { "" } else { "s" }
    );
}

/// What runs beside the listeners.
struct Background(Arc<Services>, Option<Arc<Api>>);

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, _: ShutdownWatch) {
        let Self(services, metadata) = self;
        let watch_metadata = || async {
            if let Some(api) = metadata {
                api.watch(services).await;
            }
        };
        let traces = || async {
            if let Some(tracer) = &services.tracer {
                tracer.export().await;
            }
        };
        // What belongs together is joined twice, because a future knows eight others at most.
        let around = async {
            tokio::join!(
                supervise(|| upstream_health_check::watch(services)),
                supervise(|| keep_keys_fresh(services)),
                supervise(watch_metadata),
                supervise(traces),
                supervise(|| close_idle_connections(services)),
            )
        };
        tokio::join!(
            around,
            supervise(|| job_worker::work(services)),
            supervise(|| call_policy::remove_idle_limiters(services)),
            supervise(|| load_monitor::watch(services)),
        );
    }
}

/// Whoever checks credentials now has fresh keys; the configuration may bring another one.
async fn keep_keys_fresh(services: &Services) {
    loop {
        let current = Arc::clone(&services.configured().authenticator);
        let is_another = async {
            while Arc::ptr_eq(&current, &services.configured().authenticator) {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = current.keep_keys_fresh() => {}
            () = is_another => {}
        }
    }
}

/// Those that we have opened. Never returns.
async fn close_idle_connections(services: &Services) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        services.upstream.sweep();
        services.configured().handlers.all().filter_map(|client| client.plain.as_ref()).for_each(|pool| pool.sweep());
    }
}

/// How often to look for them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How often to look whether the configuration is another.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Waits for SIGTERM or SIGINT, and then for what is in flight. A second signal ends the wait.
struct Drain(Exit);

/// How often to look whether requests are still in flight.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// pingora is told to end gracefully in every case, and never to end at once: only so do its loops that accept
/// connections end before the runtimes under them do. One that does not writes an error in a busy loop.
#[async_trait]
impl ShutdownSignalWatch for Drain {
    async fn recv(&self) -> ShutdownSignal {
        let Self(exit) = self;
        tokio::select! {
            () = wait_for_signal() => {}
            () = wait_for_handover(&exit.services) => {
                hand_over(exit);
                return ShutdownSignal::GracefulUpgrade;
            }
            () = exit.services.fatal.wait() => {
                exit.soon();
                return ShutdownSignal::GracefulTerminate;
            }
        }
        let drain_delay = exit.services.configured().settings.drain_delay;
        exit.services.readiness.drain();
        let in_flight = exit.services.metrics.requests_in_flight.get();
        tracing::info!(in_flight, ?drain_delay, "shutting down; a second signal ends the wait");
        let wait = async {
            // Whoever sends us requests has yet to learn that we are not ready.
            tokio::time::sleep(drain_delay).await;
            exit.wait_for_requests().await;
        };
        tokio::select! {
            () = wait => {}
            () = wait_for_signal() => {}
        }
        tokio::select! {
            () = exit.finish() => {}
            () = wait_for_signal() => {}
        }
        exit.soon();
        ShutdownSignal::GracefulTerminate
    }
}

/// The end of the process.
#[derive(Clone)]
struct Exit {
    services: Arc<Services>,
    /// Done at last, once.
    last: Arc<Mutex<Option<AtExit>>>,
}

impl Exit {
    /// What is left to be done once nothing is in flight any more.
    async fn finish(&self) {
        job_worker::give_back(&self.services).await;
        if let Some(tracer) = &self.services.tracer {
            tracer.flush().await;
        }
    }

    async fn wait_for_requests(&self) {
        let deadline = Instant::now() + self.services.configured().settings.shutdown_timeout;
        let mut quiet = 0;
        // Twice quiet, so that a request whose connection had just been made is not cut.
        while quiet < 2 && Instant::now() < deadline {
            let is_quiet =
                self.services.metrics.requests_in_flight.get() == 0 && self.services.running_jobs.count() == 0;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            tokio::time::sleep(DRAIN_INTERVAL).await;
        }
    }

    /// Ends the process in a moment, in which the loops that accept connections end. All else that matters has been done.
    fn soon(&self) {
        let exit = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(LAST_MOMENT);
            let reason = exit.services.fatal.reason();
            log_shutdown(reason.map(str::to_owned));
            let last = exit.last.lock().unwrap_or_else(PoisonError::into_inner).take();
            last.into_iter().for_each(|last| last());
            std::process::exit(i32::from(reason.is_some()));
        });
    }
}

/// For so long pingora accepts connections beside its successor, after it has handed its listeners over.
const HANDOVER: Duration = Duration::from_secs(6);

/// Waits until somebody asks for it where it is safe: whoever listens on the socket gets the listeners.
async fn wait_for_handover(services: &Services) {
    loop {
        wait_for(SignalKind::quit()).await;
        match listener_handover::check(&services.configured().settings.upgrade_socket) {
            Ok(()) => return,
            Err(reason) => tracing::error!(reason, "the listeners are not handed over"),
        }
    }
}

/// Another Pillion takes the listeners. What is in flight here is finished, on a thread of its own: pingora is only
/// waiting meanwhile.
fn hand_over(exit: &Exit) {
    tracing::info!("the listeners are handed over");
    let exit = exit.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(async {
                tokio::time::sleep(HANDOVER).await;
                exit.services.readiness.drain();
                exit.wait_for_requests().await;
                exit.finish().await;
            });
        }
        exit.soon();
    });
}

/// How long the loops that accept connections may take to end.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// Somebody may have stopped reading them. For a reason to end, more patience is in order than for other lines.
fn log_shutdown(reason: Option<String>) {
    let patience = if reason.is_some() { FATAL_WORDS } else { LAST_WORDS };
    let (done, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        logs::finish();
        if let Some(reason) = reason {
            // Lines that found nobody to read them so far are worth less than this one.
            logs::discard();
            eprintln!("{reason}");
        }
        drop(done);
    });
    let _ = wait.recv_timeout(patience);
}

/// How long they may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the reason for a fatal end may take. Less than [`GRACE_SECONDS`].
const FATAL_WORDS: Duration = Duration::from_secs(20);

async fn wait_for(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

async fn wait_for_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the system's own rules end the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
