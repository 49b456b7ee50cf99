//! A subscription that runs at the upstream and has extension fields: completes each event in order before the client gets it.

use std::sync::Arc;

use crate::memory::MemoryOwner;
use crate::pipeline::subscription::SubscriptionMessage;
use crate::pipeline::upstream_subscription::{SubscriptionStart, UpstreamSubscription, prepare};
use crate::request::context::RequestContext;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::websocket::event::OperationEvents;
use crate::websocket::queue::{Queued, Receiver, queue};
use crate::websocket::upstream_routes::UpstreamMessage;
use crate::websocket::{FORBIDDEN, TRY_AGAIN, UPSTREAM_EVENTS_MAX};

/// Runs one until it ends, or is found to be the upstream's.
pub(super) async fn run(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    (operation, owner): (&RequestContext, MemoryOwner),
    client: &OperationEvents,
) {
    // Boxed: otherwise a waiting subscription carries the size of this future.
    match Box::pin(prepare(services, snapshot, operation, &client.payload)).await {
        SubscriptionStart::Rejected(errors) => {
            client.send(SubscriptionMessage::Rejected(errors)).await;
        }
        SubscriptionStart::Delegated => {
            client.send(SubscriptionMessage::Delegated).await;
        }
        SubscriptionStart::Upstream(subscription) => {
            let (queue, events) = queue(UPSTREAM_EVENTS_MAX, &services.memory, owner);
            if client.subscribe(subscription.upstream_payload(), queue).await {
                complete_all(&subscription, events, client).await;
            }
        }
    }
}

async fn complete_all(
    subscription: &UpstreamSubscription<'_>,
    mut events: Receiver<UpstreamMessage>,
    client: &OperationEvents,
) {
    while let Some((queued, _share)) = events.recv().await {
        let message = match queued {
            Queued::NoRoom => return client.end(TRY_AGAIN).await,
            Queued::Event(_) if subscription.has_expired() => return client.end(FORBIDDEN).await,
            Queued::Event(UpstreamMessage::Next(event)) => {
                // Boxed: otherwise a waiting subscription carries the size of this future.
                SubscriptionMessage::Next(Box::pin(subscription.complete(event)).await)
            }
            Queued::Event(UpstreamMessage::Error(errors)) => {
                SubscriptionMessage::Rejected(subscription.rejected(&errors))
            }
            Queued::Event(UpstreamMessage::Complete) => SubscriptionMessage::Complete,
        };
        let is_last = !matches!(message, SubscriptionMessage::Next(_));
        if !client.send(message).await || is_last {
            return;
        }
    }
}
