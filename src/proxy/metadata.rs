//! Requests to the metadata API: those about actions are answered here, all others are the engine's.

use http::Method;

use super::body::{self, BodyError};
use super::exchange::Exchange;
use super::phases::{Context, Gate};
use super::screen::{pass, turn_away};
use super::visit::{Visit, send_json};
use crate::client::decode::Encoding;
use crate::metadata::{Api, PATHS};

/// Is this a request to it?
#[must_use]
pub fn is_meant(gate: &Gate, exchange: &Exchange<'_>) -> bool {
    let head = exchange.head();
    gate.metadata.is_some() && head.method == Method::POST && PATHS.contains(&head.uri.path())
}

/// Answers it, or lets it pass.
///
/// # Errors
/// When the connection to the client broke.
pub async fn screen(gate: &Gate, exchange: &mut Exchange<'_>, ctx: &mut Context) -> pingora::Result<bool> {
    let Some(api) = &gate.metadata else { return Ok(false) };
    let bytes_max = gate.world.configured().settings.limits.body_bytes_max;
    let mut share = gate.budget.share();
    let read = async {
        let encoding = Encoding::of(&exchange.head().headers)?;
        let wire = body::read(exchange, bytes_max, &mut share, !gate.world.engine.is_plain()).await?;
        let decoded = match encoding {
            Encoding::Identity => None,
            encoding => Some(encoding.decode(&wire, bytes_max)?),
        };
        Ok((wire, decoded))
    };
    let (wire, decoded) = match read.await {
        Ok(read) => read,
        Err(BodyError::Broken(error)) => return Err(error.into_down()),
        Err(BodyError::Refused(error)) => return turn_away(gate, exchange, ctx, error).await,
    };
    ctx.body_was_read = true;
    let Some(request) = Api::request_of(decoded.as_deref().unwrap_or(&wire)) else {
        return pass(gate, exchange, ctx, wire).await;
    };
    let visit = Visit::of(gate, exchange);
    let answer = api.answer(&gate.world, request, visit.asked()).await;
    send_json(exchange, ctx, &visit, "metadata", answer.status, answer.body).await
}
