//! The sample handler: receives a payload and responds, in a few lines.

use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};

use crate::cli::demo::http::{json_response, read_body};

/// The handler as a service.
pub(super) struct Handler;

#[async_trait]
impl ServeHttp for Handler {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let path = session.req_header().uri.path().to_owned();
        let payload: Value = serde_json::from_slice(&read_body(session).await).unwrap_or_default();
        let (status, body) = match path.as_str() {
            "/quote" => quote(&payload),
            "/place-order" => place_order(&payload),
            _ => (404, json!({ "message": "there is no such action here" })),
        };
        json_response(status, body.to_string().into_bytes())
    }
}

const PRICES: [f64; 3] = [890.0, 75.9, 59.0];

fn total(input: &Value) -> Option<f64> {
    let number = |name: &str| input.get(name).and_then(Value::as_u64);
    let price = PRICES.get(usize::try_from(number("productId")?.checked_sub(1)?).ok()?)?;
    let amount = u32::try_from(number("amount")?).ok()?;
    Some((price * f64::from(amount) * 100.0).round() / 100.0)
}

fn quote(payload: &Value) -> (u16, Value) {
    let Some(input) = payload.get("input") else { return no_product() };
    total(input).map_or_else(no_product, |total| {
        let (product_id, amount) = (input.get("productId"), input.get("amount"));
        (200, json!({ "productId": product_id, "amount": amount, "total": total, "currency": "CHF" }))
    })
}

fn place_order(payload: &Value) -> (u16, Value) {
    let total = payload.pointer("/input/order").and_then(total);
    total.map_or_else(no_product, |total| (200, json!({ "id": "4711", "status": "accepted", "total": total })))
}

fn no_product() -> (u16, Value) {
    (400, json!({ "message": "no such product", "extensions": { "code": "no-product" } }))
}
