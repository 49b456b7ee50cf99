//! Graceful shutdown: stops accepting, drains requests in flight, then the process ends or hands over its listeners.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::job_runner::worker;
use crate::runtime::services::Services;
use crate::server::listener_handover;
use crate::telemetry::logs;

/// A hook that runs just before the process ends.
pub(crate) type AtExit = Box<dyn FnOnce() + Send>;

/// Waits for SIGTERM or SIGINT, and then drains requests in flight. SIGINT skips the drain delay, and a second signal ends
/// the wait.
pub(crate) struct Drain(pub(crate) Exit);

/// How often to look whether requests are still in flight.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// pingora is shut down gracefully in every case, and never at once: only so do its accept loops end before the
/// runtimes under them do. One that does not writes an error in a busy loop.
#[async_trait]
impl ShutdownSignalWatch for Drain {
    async fn recv(&self) -> ShutdownSignal {
        let Self(exit) = self;
        let signal = tokio::select! {
            signal = wait_for_signal() => signal,
            () = wait_for_handover(&exit.services) => {
                hand_over(exit);
                return ShutdownSignal::GracefulUpgrade;
            }
            () = exit.services.health.fatal.wait() => {
                exit.soon();
                return ShutdownSignal::GracefulTerminate;
            }
        };
        let drain_delay = signal.drain_delay(exit.services.configured().settings.drain_delay);
        exit.services.health.readiness.drain();
        let in_flight = exit.services.metrics.requests_in_flight.get();
        tracing::info!(in_flight, ?drain_delay, "shutting down; a second signal ends the wait");
        let wait = async {
            // The load balancer has yet to see that the process is not ready.
            tokio::time::sleep(drain_delay).await;
            exit.wait_for_requests().await;
        };
        tokio::select! {
            () = wait => {}
            _ = wait_for_signal() => {}
        }
        tokio::select! {
            () = exit.finish() => {}
            _ = wait_for_signal() => {}
        }
        exit.soon();
        ShutdownSignal::GracefulTerminate
    }
}

/// The end of the process.
#[derive(Clone)]
pub(crate) struct Exit {
    pub(crate) services: Arc<Services>,
    /// Done at last, once.
    pub(crate) last: Arc<Mutex<Option<AtExit>>>,
}

impl Exit {
    /// What remains to be done once nothing is in flight any more.
    async fn finish(&self) {
        worker::give_back(&self.services).await;
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
            let reason = exit.services.health.fatal.reason();
            log_shutdown(reason.map(str::to_owned));
            let last = exit.last.lock().unwrap_or_else(PoisonError::into_inner).take();
            last.into_iter().for_each(|last| last());
            std::process::exit(i32::from(reason.is_some()));
        });
    }
}

/// For so long pingora accepts connections beside its successor, after it has handed its listeners over.
const HANDOVER: Duration = Duration::from_secs(6);

/// So long a successor that has just been started may take to prepare the folder of the socket.
const SUCCESSOR: Duration = Duration::from_secs(5);

/// How often the folder is looked for.
const SUCCESSOR_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until another process requests the listeners where it is safe: any process that listens on the socket gets
/// them.
async fn wait_for_handover(services: &Services) {
    loop {
        wait_for(SignalKind::quit()).await;
        let socket = &services.configured().settings.upgrade_socket;
        let deadline = Instant::now() + SUCCESSOR;
        while !listener_handover::is_prepared(socket) && Instant::now() < deadline {
            tokio::time::sleep(SUCCESSOR_INTERVAL).await;
        }
        match listener_handover::check(socket) {
            Ok(()) => return,
            Err(reason) => tracing::error!(reason, "the listeners are not handed over"),
        }
    }
}

/// Another Pillion takes the listeners. Requests in flight here are finished, on a thread of their own: pingora only
/// waits.
pub(crate) fn hand_over(exit: &Exit) {
    tracing::info!("the listeners are handed over");
    let exit = exit.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(async {
                tokio::time::sleep(HANDOVER).await;
                exit.services.health.readiness.drain();
                exit.wait_for_requests().await;
                exit.finish().await;
            });
        }
        exit.soon();
    });
}

/// How long the loops that accept connections may take to end.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// The reader of the logs may have stopped. The reason for an exit is waited for longer than other lines.
fn log_shutdown(reason: Option<String>) {
    let timeout = if reason.is_some() { FATAL_WORDS } else { LAST_WORDS };
    let (done, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        logs::finish();
        if let Some(reason) = reason {
            // Lines that are stuck in the queue are worth less than this one.
            logs::discard();
            eprintln!("{reason}");
        }
        drop(done);
    });
    let _ = wait.recv_timeout(timeout);
}

/// How long they may take.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the reason for a fatal end may take. Less than [`GRACE_SECONDS`].
const FATAL_WORDS: Duration = Duration::from_secs(20);

pub(crate) async fn wait_for(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// What asked the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndSignal {
    /// SIGTERM, from an orchestrator that tells the load balancer at the same time.
    Terminate,
    /// SIGINT, from a person at a terminal (Ctrl-C).
    Interrupt,
}

impl EndSignal {
    /// How long to go on as if nothing had happened. There is no load balancer that has to learn of a Ctrl-C first.
    fn drain_delay(self, configured: Duration) -> Duration {
        match self {
            Self::Terminate => configured,
            Self::Interrupt => Duration::ZERO,
        }
    }
}

async fn wait_for_signal() -> EndSignal {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the system's own rules end the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => EndSignal::Terminate,
        _ = interrupt.recv() => EndSignal::Interrupt,
    }
}

/// Longer than the timeout of other final log lines, fatal errors included.
pub(crate) const GRACE_SECONDS: u64 = 30;
