//! Requests to the metadata API: those about actions are served here, all others are the upstream's.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName};
use http::{Method, header};

use crate::downstream::body::{BodyError, Opened};
use crate::downstream::cors::is_own_or_named;
use crate::downstream::session::DownstreamSession;
use crate::downstream::write_response::ResponseStyle;
use crate::downstream::{body, write_response};
use crate::http_client::decode::{Encoding, too_large};
use crate::memory::{Share, tree_bytes};
use crate::metadata_api;
use crate::metadata_api::command::concerns_actions;
use crate::metadata_api::error::ApiError;
use crate::metadata_api::{Api, PATHS};
use crate::model::limits::Limits;
use crate::model::response::RequestError;
use crate::protocol::media_type::ResponseType;
use crate::protocol::origin::Origins;
use crate::request::context::RequestContext;
use crate::request::response::Response;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::{read_context, send_json};
use crate::routes::passthrough::pass_through;
use crate::routes::reject::reject_and_close;
use crate::telemetry::request_kind::RequestKind;

/// Is this a request to it?
#[must_use]
pub(crate) fn matches(gateway: &Gateway, downstream: &DownstreamSession<'_>) -> bool {
    let head = downstream.head();
    gateway.metadata.is_some() && head.method == Method::POST && PATHS.contains(&head.uri.path())
}

/// Serves it, or lets it pass. The client address is checked first, then the credential, and only then is the body
/// read.
///
/// # Errors
/// When the connection to the client broke.
pub(crate) async fn serve(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: &Share,
) -> pingora::Result<bool> {
    let Some(api) = &gateway.metadata else { return Ok(false) };
    let context = Arc::new(read_context(gateway, downstream, ctx));
    let headers = &context.caller.headers;
    let configured = gateway.services.configured();
    if let Err(error) = check_sender(headers, &configured.settings.cors.origins) {
        return reject(downstream, ctx, &context, error).await;
    }
    let admin = match metadata_api::authenticate(&gateway.services, headers).await {
        Ok(admin) => admin,
        Err(error) => return reject(downstream, ctx, &context, error).await,
    };
    let bytes_max = configured.settings.metadata_body_size_max;
    let limits = Limits { max_request_body_size: bytes_max, ..configured.settings.limits.clone() };
    let read = async {
        let encoding = Encoding::of(&downstream.head().headers)?;
        let wire = body::read(downstream, bytes_max, share, !gateway.services.upstream.is_plain()).await?;
        let decoded = match encoding {
            Encoding::Identity => None,
            encoding => match body::decode(encoding, &wire, &limits, share).await? {
                Opened::Whole(decoded) => Some(decoded),
                Opened::Beginning(decoded) => return Err(too_large(decoded.text.len()).into()),
            },
        };
        Ok((wire, decoded))
    };
    let (wire, decoded) = match read.await {
        Ok(read) => read,
        Err(BodyError::Broken(error)) => return Err(error.into_down()),
        Err(BodyError::Rejected(error)) if error.status == 413 => {
            let message = format!("{} (metadata_api.max_body_size)", error.message);
            return reject_and_close(gateway, downstream, ctx, RequestError { message, ..error }).await;
        }
        Err(BodyError::Rejected(error)) => return reject_and_close(gateway, downstream, ctx, error).await,
    };
    ctx.body_was_read = true;
    if let Err(error) = ctx.admission.body_has_arrived(&gateway.services, share) {
        return reject_and_close(gateway, downstream, ctx, error).await;
    }
    // What cannot be read is the upstream's to reject.
    let text = std::str::from_utf8(decoded.as_ref().map_or(&wire[..], |decoded| &decoded.text)).unwrap_or_default();
    if !concerns_actions(text) {
        return pass_through(gateway, downstream, ctx, wire.clone(), share).await;
    }
    // It is read into a tree of values.
    if let Err(no_room) = share.grow(tree_bytes(text.as_bytes())) {
        return reject_and_close(gateway, downstream, ctx, no_room.into()).await;
    }
    let response = match admin {
        None => metadata_api::not_an_admin().into(),
        Some(admin) => match Api::request_of(&admin, text) {
            None => return pass_through(gateway, downstream, ctx, wire.clone(), share).await,
            Some(request) => api.response(&gateway.services, admin, request, &context).await,
        },
    };
    send_json(downstream, ctx, &context, RequestKind::Metadata, response.status, response.body).await
}

/// Rejects a request that is not read any further, and closes the connection.
async fn reject(
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    context: &RequestContext,
    error: ApiError,
) -> pingora::Result<bool> {
    ctx.kind = RequestKind::Metadata;
    let rejection = metadata_api::ApiResponse::from(error);
    let manner = ResponseStyle { response_type: ResponseType::Json, closes: true, ..ResponseStyle::of(context) };
    write_response::write(
        downstream,
        Response::new(rejection.status, rejection.body.into_bytes(), "metadata"),
        manner,
        None,
    )
    .await?;
    Ok(true)
}

/// Rejects requests that a page of another origin can have a browser send: anything that is not declared to be JSON,
/// which takes a preflight, and anything whose fetch metadata names another site. Origins in `cors.allowed_origins` are
/// allowed, a star is not enough.
fn check_sender(headers: &HeaderMap, origins: &Origins) -> Result<(), ApiError> {
    let error =
        |status, code: &str, message: &str| ApiError { status, path: "$".into(), ..ApiError::new(code, message) };
    let text = |name: HeaderName| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        values.collect::<Vec<_>>()
    };
    let media_types = text(header::CONTENT_TYPE);
    let is_json = |media_type: &&str| {
        media_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    };
    if media_types.len() != 1 || !media_types.iter().all(is_json) {
        return Err(error(415, "unsupported-media-type", "the metadata API takes application/json only"));
    }
    let from = text(header::ORIGIN);
    let is_named = !from.is_empty() && from.iter().all(|origin| origins.names(origin));
    let sites = text(FETCH_SITE);
    let is_own_site = sites.iter().all(|site| matches!(*site, "same-origin" | "none"));
    if !from.iter().all(|origin| is_own_or_named(origins, headers, origin)) || !(is_own_site || is_named) {
        let message = "the metadata API is not for pages of other origins, unless cors.allowed_origins names them";
        return Err(error(403, "access-denied", message));
    }
    Ok(())
}

/// Fetch metadata, by which a browser declares where a request comes from: <https://www.w3.org/TR/fetch-metadata/>.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn pages_of_others() {
        let any = Origins::Any;
        let listed = Origins::parse(&["https://console.example".to_owned()]).expect("an origin");
        let status = |origins: &Origins, headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in
                [("host", "api.example:8000"), ("content-type", "application/json")].iter().chain(headers)
            {
                let name = HeaderName::from_static(name);
                let value = HeaderValue::from_static(value);
                if name == "content-type" && map.contains_key(&name) && value != "twice" {
                    map.insert(name, value);
                } else {
                    map.append(name, value);
                }
            }
            check_sender(&map, origins).err().map(|error| error.status)
        };
        for origins in [&any, &listed] {
            for fine in [
                &[][..],
                &[("content-type", "Application/JSON; charset=utf-8")],
                &[("origin", "http://api.example:8000"), ("sec-fetch-site", "same-origin")],
                &[("sec-fetch-site", "none")],
            ] {
                assert_eq!(status(origins, fine), None, "{fine:?}");
            }
            for wrong in [
                &[("content-type", "text/plain")][..],
                &[("content-type", "application/x-www-form-urlencoded")],
                &[("content-type", "application/jsonx")],
                &[("content-type", "")],
                &[("content-type", "twice")],
            ] {
                assert_eq!(status(origins, wrong), Some(415), "{wrong:?}");
            }
            for wrong in [
                &[("origin", "https://evil.example")][..],
                &[("origin", "null")],
                &[("origin", "http://api.example")],
                &[("origin", "http://api.example:8000"), ("sec-fetch-site", "cross-site")],
                &[("sec-fetch-site", "same-site")],
                &[("sec-fetch-site", "cross-site")],
                &[("origin", "http://api.example:8000"), ("origin", "https://evil.example")],
            ] {
                assert_eq!(status(origins, wrong), Some(403), "{wrong:?}");
            }
        }
        let console = [("origin", "https://console.example"), ("sec-fetch-site", "cross-site")];
        assert_eq!((status(&listed, &console), status(&any, &console)), (None, Some(403)));
    }
}
