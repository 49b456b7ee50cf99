//! The memory budget: one bound for everything, the accounts of clients and connections, and the shares that are taken
//! of them.
//!
//! A small request costs two relaxed additions: its base is taken of the whole and given back, and what fits into it
//! needs nothing more. Only larger ones are entered in the accounts of their client and their connection, so that there
//! are few accounts, and small requests go on while one client has used up its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use prometheus::{IntCounterVec, IntGauge};

use crate::model::network::{ClientNetworks, Network};
use crate::model::response::RequestError;

/// How much may be held, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// By all together.
    pub all: usize,
    /// By one client address; of version 6, by all that have the same /64, /56 or /48.
    pub client: usize,
    /// By one connection, however many requests are on it.
    pub connection: usize,
}

/// The budget of the process.
pub(crate) struct Budget {
    held: IntGauge,
    rejections: IntCounterVec,
    all: AtomicI64,
    client: AtomicI64,
    connection: AtomicI64,
    /// Of those that hold more than a base.
    accounts: DashMap<Holder, Arc<Account>>,
}

/// Whose memory it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemoryOwner {
    client: Option<IpAddr>,
    connection: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Client(Network),
    Connection(SocketAddr),
}

#[derive(Debug, Default)]
struct Account {
    held: AtomicI64,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// All requests together hold too much.
    #[error("too much memory is held by requests; try again later")]
    Budget,
    /// This client does.
    #[error("too much memory is held by requests of this client; try again later")]
    Client,
    /// This connection does.
    #[error("too much memory is held by requests on this connection; try again later")]
    Connection,
    /// It alone needs more than one client or one connection may hold.
    #[error("the request needs more memory than one client may hold")]
    TooLarge,
}

impl NoRoom {
    /// The label of the metric.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Client => "client",
            Self::Connection => "connection",
            Self::TooLarge => "too_large",
        }
    }

    /// Every label.
    pub const LABELS: [&'static str; 4] = ["budget", "client", "connection", "too_large"];
}

impl From<NoRoom> for RequestError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::TooLarge => Self::new(413, "body-too-large", no_room.to_string()),
            _ => Self::new(503, "busy", no_room.to_string()),
        }
    }
}

impl MemoryOwner {
    /// The peer of a connection.
    #[must_use]
    pub(crate) fn peer(address: SocketAddr) -> Self {
        Self { client: Some(address.ip()), connection: Some(address) }
    }

    /// A client that a trusted proxy has named. The connection is the proxy's, and is not charged.
    #[must_use]
    pub(crate) fn named(address: IpAddr) -> Self {
        Self { client: Some(address), connection: None }
    }

    fn holders(self) -> impl Iterator<Item = Holder> {
        // Half of a budget cannot have multiples: two clients would have all of it.
        let networks = self.client.map(|client| ClientNetworks::of(client).with([(); 3]));
        let clients = networks.into_iter().flatten().map(|(network, ())| Holder::Client(network));
        clients.chain(self.connection.map(Holder::Connection))
    }
}

/// What a request takes before anything is known of it: its head, and the future that serves it. A small body fits into
/// it as well.
const BASE_BYTES: i64 = 16 * 1024;

/// Of the base, what the head and the future take.
const BASE_USED_BYTES: i64 = 8 * 1024;

/// The base of a request whose body is still on its way: its head, and the beginning of the body. Nothing is done with it yet.
const INCOMPLETE_BASE_BYTES: i64 = 8 * 1024;

/// Of that, what the head takes.
const INCOMPLETE_USED_BYTES: i64 = 4 * 1024;

/// Shares grow in steps, so that a body that comes in pieces is not entered piece by piece.
const STEP_BYTES: i64 = 16 * 1024;

/// An eighth of the whole is for the bases of small requests.
const RESERVE_PART: i64 = 8;

impl Budget {
    /// A budget that is shown by `held`; rejections are counted by their reason.
    #[must_use]
    pub(crate) fn new(held: &IntGauge, rejections: &IntCounterVec, bounds: Bounds) -> Arc<Self> {
        let budget = Self {
            held: held.clone(),
            rejections: rejections.clone(),
            all: AtomicI64::default(),
            client: AtomicI64::default(),
            connection: AtomicI64::default(),
            accounts: DashMap::new(),
        };
        budget.set_bounds(bounds);
        Arc::new(budget)
    }

    /// Sets new bounds; held bytes stay.
    pub(crate) fn set_bounds(&self, bounds: Bounds) {
        self.all.store(signed(bounds.all), Ordering::Relaxed);
        self.client.store(signed(bounds.client), Ordering::Relaxed);
        self.connection.store(signed(bounds.connection), Ordering::Relaxed);
    }

    /// The share of a request, with its base.
    ///
    /// # Errors
    /// [`NoRoom::Budget`].
    pub(crate) fn request(self: &Arc<Self>, owner: MemoryOwner) -> Result<Share, NoRoom> {
        self.based(owner, BASE_BYTES, BASE_USED_BYTES)
    }

    /// The share of a request whose body has not arrived, until [`Share::complete`].
    ///
    /// # Errors
    /// [`NoRoom::Budget`].
    pub(crate) fn incomplete_request(self: &Arc<Self>, owner: MemoryOwner) -> Result<Share, NoRoom> {
        self.based(owner, INCOMPLETE_BASE_BYTES, INCOMPLETE_USED_BYTES)
    }

    fn based(self: &Arc<Self>, owner: MemoryOwner, base: i64, used: i64) -> Result<Share, NoRoom> {
        let share = self.share(owner, base, used);
        self.hold(base).map(|()| share)
    }

    /// Holds so much more of a base.
    fn hold(&self, bytes: i64) -> Result<(), NoRoom> {
        self.held.add(bytes);
        match self.held.get() > self.all.load(Ordering::Relaxed) {
            true => Err(self.reject(NoRoom::Budget)),
            false => Ok(()),
        }
    }

    /// A share of nothing yet.
    #[must_use]
    pub(crate) fn empty(self: &Arc<Self>, owner: MemoryOwner) -> Share {
        self.share(owner, 0, 0)
    }

    fn share(self: &Arc<Self>, owner: MemoryOwner, base: i64, used: i64) -> Share {
        Share {
            budget: Arc::clone(self),
            owner,
            base: AtomicI64::new(base),
            used: AtomicI64::new(used),
            taken: AtomicI64::new(0),
            accounts: OnceLock::new(),
        }
    }

    fn reject(&self, reason: NoRoom) -> NoRoom {
        self.rejections.with_label_values(&[reason.label()]).inc();
        reason
    }

    fn account(&self, holder: Holder) -> Arc<Account> {
        Arc::clone(self.accounts.entry(holder).or_default().value())
    }

    fn bound_of(&self, holder: Holder) -> (i64, NoRoom) {
        match holder {
            Holder::Client(_) => (self.client.load(Ordering::Relaxed), NoRoom::Client),
            Holder::Connection(_) => (self.connection.load(Ordering::Relaxed), NoRoom::Connection),
        }
    }

    /// Removes an account that is no longer used.
    fn close(&self, holder: Holder, account: Arc<Account>) {
        drop(account);
        // The map's own reference is the last one, and no other can be made while the entry is locked.
        self.accounts.remove_if(&holder, |_, account| Arc::strong_count(account) == 1);
    }
}

/// The accounts that a share is entered in, once it is larger than its base.
type Entered = Box<[(Holder, Arc<Account>)]>;

/// A share of the budget; given back when it is dropped.
pub struct Share {
    budget: Arc<Budget>,
    owner: MemoryOwner,
    /// Taken of the whole at the beginning, and in no account.
    base: AtomicI64,
    /// The recorded size.
    used: AtomicI64,
    /// Bytes beyond the base, taken in steps.
    taken: AtomicI64,
    accounts: OnceLock<Entered>,
}

impl Share {
    /// Takes `bytes` more.
    ///
    /// # Errors
    /// [`NoRoom`]; then nothing has been taken.
    pub fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        let bytes = signed(bytes);
        let used = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let missing = used - self.base.load(Ordering::Relaxed) - self.taken.load(Ordering::Relaxed);
        if missing <= 0 {
            return Ok(());
        }
        let steps = missing.saturating_add(STEP_BYTES - 1) / STEP_BYTES;
        self.take(steps.saturating_mul(STEP_BYTES)).map_err(|reason| {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            self.budget.reject(reason)
        })
    }

    /// Takes `bytes` more, until what is returned is dropped.
    ///
    /// # Errors
    /// [`NoRoom`]; then nothing has been taken.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Charge<'_>, NoRoom> {
        self.grow(bytes).map(|()| Charge { share: Some(self), bytes })
    }

    /// The body of the request has arrived: from now on it has the base of every request.
    ///
    /// # Errors
    /// [`NoRoom::Budget`].
    pub fn complete(&self) -> Result<(), NoRoom> {
        self.base.fetch_add(BASE_BYTES - INCOMPLETE_BASE_BYTES, Ordering::Relaxed);
        self.used.fetch_add(BASE_USED_BYTES - INCOMPLETE_USED_BYTES, Ordering::Relaxed);
        self.budget.hold(BASE_BYTES - INCOMPLETE_BASE_BYTES)
    }

    /// Enters what every request takes in the accounts of its client and its connection, which small requests are in none of:
    /// for what lives long.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn enter(&self) -> Result<(), NoRoom> {
        let base = self.base.swap(0, Ordering::Relaxed);
        self.budget.held.sub(base);
        self.take(base).map_err(|reason| self.budget.reject(reason))
    }

    /// Holds `bytes` beyond what every request takes, whatever was held before. Never takes more.
    pub fn shrink_to(&self, bytes: usize) {
        let used = signed(bytes).saturating_add(self.base.load(Ordering::Relaxed).min(BASE_USED_BYTES));
        if used >= self.used.load(Ordering::Relaxed) {
            return;
        }
        self.used.store(used, Ordering::Relaxed);
        self.give_back_beyond(used);
    }

    /// Gives `bytes` back that were taken before.
    pub fn release(&self, bytes: usize) {
        let bytes = signed(bytes);
        let used = self.used.fetch_sub(bytes, Ordering::Relaxed).saturating_sub(bytes);
        self.give_back_beyond(used);
    }

    fn give_back_beyond(&self, used: i64) {
        let needed =
            (used - self.base.load(Ordering::Relaxed)).max(0).saturating_add(STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
        let before = self.taken.load(Ordering::Relaxed);
        if needed < before {
            self.taken.store(needed, Ordering::Relaxed);
            self.give_back(before - needed);
        }
    }

    /// Another one of the same owner, for something that lives longer or shorter.
    #[must_use]
    pub fn sibling(&self) -> Self {
        self.budget.empty(self.owner)
    }

    fn entered(&self) -> impl Iterator<Item = &(Holder, Arc<Account>)> {
        let enter = || self.owner.holders().map(|holder| (holder, self.budget.account(holder))).collect();
        self.accounts.get_or_init(enter).iter()
    }

    /// Takes so much beyond the base, or nothing.
    fn take(&self, bytes: i64) -> Result<(), NoRoom> {
        let budget = &self.budget;
        let own = self.taken.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let all = budget.all.load(Ordering::Relaxed);
        let mut rejected = None;
        for (holder, account) in self.entered() {
            let held = account.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
            let (bound, reason) = budget.bound_of(*holder);
            if own > bound {
                rejected = Some(NoRoom::TooLarge);
            } else if held > bound {
                rejected = rejected.or(Some(reason));
            }
        }
        budget.held.add(bytes);
        if own > all {
            rejected = Some(NoRoom::TooLarge);
        } else if budget.held.get() > all - all / RESERVE_PART {
            rejected = rejected.or(Some(NoRoom::Budget));
        }
        let Some(reason) = rejected else { return Ok(()) };
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        self.give_back(bytes);
        Err(reason)
    }

    fn give_back(&self, bytes: i64) {
        self.budget.held.sub(bytes);
        for (_, account) in self.accounts.get().into_iter().flatten() {
            account.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Share").field("used", &self.used).finish_non_exhaustive()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.budget.held.sub(self.base.load(Ordering::Relaxed));
        if taken > 0 {
            self.give_back(taken);
        }
        for (holder, account) in self.accounts.take().into_iter().flatten() {
            self.budget.close(holder, account);
        }
    }
}

/// Bytes of a share that are given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Charge<'s> {
    share: Option<&'s Share>,
    bytes: usize,
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if let Some(share) = self.share {
            share.release(self.bytes);
        }
    }
}

fn signed(bytes: usize) -> i64 {
    // Sums of a few of them stay within an `i64`.
    i64::try_from(bytes).unwrap_or(i64::MAX).min(i64::MAX / 8)
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn budget() -> Arc<Budget> {
        let held = IntGauge::new("held", "held").expect("a name");
        let rejections = IntCounterVec::new(Opts::new("rejections", "rejections"), &["reason"]).expect("a name");
        Budget::new(&held, &rejections, Bounds { all: 8 * MIB, client: 4 * MIB, connection: 2 * MIB })
    }

    fn peer(last: u8, port: u16) -> MemoryOwner {
        MemoryOwner::peer(SocketAddr::from(([10, 0, 0, last], port)))
    }

    #[test]
    fn as_many_requests_are_let_in_as_there_are_bases() {
        assert_eq!(signed(crate::model::limits::REQUEST_BYTES), BASE_BYTES);
    }

    #[test]
    fn shares_are_given_back() {
        let budget = budget();
        let share = budget.request(peer(1, 1)).expect("room");
        assert_eq!((budget.held.get(), budget.accounts.len()), (BASE_BYTES, 0));
        share.grow(8 * 1024).expect("room in the base");
        assert_eq!((budget.held.get(), budget.accounts.len()), (BASE_BYTES, 0));
        share.grow(MIB).expect("room");
        assert_eq!((budget.held.get(), budget.accounts.len()), (BASE_BYTES + signed(MIB), 2));
        assert_eq!(share.grow(2 * MIB), Err(NoRoom::TooLarge));
        assert_eq!(budget.held.get(), BASE_BYTES + signed(MIB));
        share.shrink_to(MIB / 2);
        assert_eq!(budget.held.get(), BASE_BYTES + signed(MIB / 2));
        share.shrink_to(MIB);
        assert_eq!(budget.held.get(), BASE_BYTES + signed(MIB / 2), "it never takes more");
        share.grow(MIB / 2).expect("room");
        share.release(MIB / 2);
        let charge = share.hold(MIB / 2).expect("room");
        assert_eq!(budget.held.get(), BASE_BYTES + signed(MIB));
        drop(charge);
        assert_eq!(budget.held.get(), BASE_BYTES + signed(MIB / 2));
        let sibling = share.sibling();
        sibling.grow(100).expect("room");
        drop(share);
        assert_eq!(budget.held.get(), STEP_BYTES);
        drop(sibling);
        assert_eq!((budget.held.get(), budget.accounts.len()), (0, 0));
    }

    #[test]
    fn a_body_that_is_on_its_way_holds_half_a_base() {
        let budget = budget();
        let share = budget.incomplete_request(peer(1, 1)).expect("room");
        share.grow(2000).expect("room");
        assert_eq!((budget.held.get(), budget.accounts.len()), (INCOMPLETE_BASE_BYTES, 0));
        share.complete().expect("room");
        share.grow(4000).expect("room");
        assert_eq!((budget.held.get(), budget.accounts.len()), (BASE_BYTES, 0));
        drop(share);
        assert_eq!(budget.held.get(), 0);
        let full: Vec<Share> = std::iter::from_fn(|| budget.incomplete_request(peer(1, 1)).ok()).collect();
        assert_eq!(full.len(), 8 * MIB / 8192);
        assert!(full.iter().all(|share| share.complete() == Err(NoRoom::Budget)));
        drop(full);
        assert_eq!(budget.held.get(), 0, "what is rejected is given back as well");
    }

    #[test]
    fn long_lived_shares_are_entered() {
        let budget = budget();
        let streams = |owner: MemoryOwner| {
            let stream = || budget.request(owner).and_then(|share| share.enter().map(|()| share));
            std::iter::from_fn(|| stream().ok()).collect::<Vec<Share>>()
        };
        let all = [streams(peer(1, 1)), streams(peer(1, 2)), streams(peer(2, 1)), streams(peer(3, 1))];
        assert_eq!(all.each_ref().map(Vec::len), [128, 128, 128, 64], "the last eighth is for small requests");
        assert!(budget.request(peer(1, 1)).is_ok());
        drop(all);
        assert_eq!((budget.held.get(), budget.accounts.len()), (0, 0));
    }

    #[test]
    fn no_client_takes_the_whole_budget() {
        let budget = budget();
        let hold = |owner: MemoryOwner, bytes: usize| {
            let share = budget.empty(owner);
            share.grow(bytes).map(|()| share)
        };
        // Streams of one connection count together, and so do connections of one client.
        let first = hold(peer(1, 1), MIB).expect("room");
        let second = hold(peer(1, 1), MIB).expect("room");
        assert_eq!(hold(peer(1, 1), MIB).err(), Some(NoRoom::Connection));
        let third = hold(peer(1, 2), 2 * MIB).expect("room on another connection");
        assert_eq!(hold(peer(1, 3), MIB).err(), Some(NoRoom::Client));
        // The last eighth is for small requests.
        let other = hold(peer(2, 1), 2 * MIB).expect("room for another client");
        assert_eq!(hold(peer(3, 1), 2 * MIB).err(), Some(NoRoom::Budget));
        let small = budget.request(peer(1, 4)).expect("room for a small request");
        assert_eq!(small.grow(MIB), Err(NoRoom::Client));
        for reason in NoRoom::LABELS {
            let times = if reason == "client" { 2 } else { u64::from(reason != "too_large") };
            assert_eq!(budget.rejections.with_label_values(&[reason]).get(), times, "{reason}");
        }
        drop((first, second, third, other, small));
        assert_eq!((budget.held.get(), budget.accounts.len()), (0, 0));
    }

    #[test]
    fn clients_are_told_apart_by_what_they_cannot_choose() {
        let budget = budget();
        let named = |address: &str| MemoryOwner::named(address.parse().expect("an address"));
        let _all = [named("2001:db8::1"), named("2001:db8::ffff:1")].map(|owner| {
            let share = budget.empty(owner);
            share.grow(2 * MIB).expect("room");
            share
        });
        assert_eq!(budget.empty(named("2001:db8::2")).grow(1), Err(NoRoom::Client));
        assert_eq!(budget.empty(named("2001:db8:0:1::1")).grow(1), Err(NoRoom::Client), "in the same /48");
        assert_eq!(budget.empty(named("2001:db8:1::1")).grow(1), Ok(()));
        let holders = |owner: MemoryOwner| owner.holders().collect::<Vec<_>>();
        assert_eq!(holders(named("::ffff:10.0.0.1")), holders(MemoryOwner { connection: None, ..peer(1, 1) }));
    }

    #[test]
    fn other_bounds_count_from_then_on() {
        let budget = budget();
        let share = budget.request(MemoryOwner::default()).expect("room");
        budget.set_bounds(Bounds { all: 0, client: 0, connection: 0 });
        assert_eq!(share.grow(MIB), Err(NoRoom::TooLarge));
        assert_eq!(budget.request(MemoryOwner::default()).err(), Some(NoRoom::Budget));
        drop(share);
        assert_eq!(budget.held.get(), 0);
    }
}
