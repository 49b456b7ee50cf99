//! What our two HTTP clients, for the engine and for handlers, have in common.

use thread_local::ThreadLocal;

/// Why no whole answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection, or TLS failed.
    Connect,
    /// Not in time.
    Timeout,
    /// The connection ended, or what came was not HTTP.
    Broken,
    /// More than is held.
    TooLarge,
}

/// One client for each thread that asks for one. A connection lives on the thread that made it, and a request that had
/// to go through another thread's connection would wait for that thread twice.
pub struct PerThread<C: Send> {
    build: Box<dyn Fn() -> Result<C, String> + Send + Sync>,
    first: C,
    own: ThreadLocal<C>,
}

impl<C: Clone + Send + Sync> PerThread<C> {
    /// Clients that `build` makes.
    ///
    /// # Errors
    /// Why the first one cannot be made.
    pub fn new(build: impl Fn() -> Result<C, String> + Send + Sync + 'static) -> Result<Self, String> {
        let first = build()?;
        Ok(Self { build: Box::new(build), first, own: ThreadLocal::new() })
    }

    /// This thread's client.
    pub fn here(&self) -> &C {
        // What could be made once can be made again; if not, a shared connection is better than none.
        self.own.get_or(|| (self.build)().unwrap_or_else(|_| self.first.clone()))
    }
}
