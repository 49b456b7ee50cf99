//! The sample upstream: a real GraphQL server over a list in memory, with the names that PostGraphile would give it.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, EmptySubscription, InputObject, Object, Request, Schema, SimpleObject};
use async_trait::async_trait;
use http::{Method, Response};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::cli::demo::http::{json_response, read_body};

#[derive(Clone, SimpleObject)]
struct Product {
    id: i32,
    name: String,
    price: String,
}

type Products = Arc<Mutex<Vec<Product>>>;

fn products<'c>(context: &Context<'c>) -> async_graphql::Result<&'c Products> {
    context.data::<Products>()
}

struct Query;

#[Object]
impl Query {
    async fn products(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Product>> {
        Ok(products(context)?.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn product_by_id(&self, context: &Context<'_>, id: i32) -> async_graphql::Result<Option<Product>> {
        let products = products(context)?.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(products.iter().find(|product| product.id == id).cloned())
    }
}

#[derive(InputObject)]
struct NewProduct {
    name: String,
    price: String,
}

#[derive(InputObject)]
struct CreateProductInput {
    product: NewProduct,
}

#[derive(SimpleObject)]
struct CreateProductPayload {
    product: Product,
}

struct Mutation;

/// Products that the sample holds at most.
const PRODUCTS_MAX: usize = 1000;

#[Object]
impl Mutation {
    async fn create_product(
        &self,
        context: &Context<'_>,
        input: CreateProductInput,
    ) -> async_graphql::Result<CreateProductPayload> {
        let mut products = products(context)?.lock().unwrap_or_else(PoisonError::into_inner);
        if products.len() >= PRODUCTS_MAX {
            return Err("the shop is full".into());
        }
        let id = i32::try_from(products.len() + 1)?;
        let product = Product { id, name: input.product.name, price: input.product.price };
        products.push(product.clone());
        Ok(CreateProductPayload { product })
    }
}

/// The upstream as a service.
pub(super) struct DemoUpstream(Schema<Query, Mutation, EmptySubscription>);

impl DemoUpstream {
    /// A shop with three products.
    pub(super) fn new() -> Self {
        let products = [("City bicycle", "890.00"), ("Helmet", "75.90"), ("Lock", "59.00")];
        let products =
            (1..).zip(products).map(|(id, (name, price))| Product { id, name: name.into(), price: price.into() });
        let products: Products = Arc::new(Mutex::new(products.collect()));
        Self(Schema::build(Query, Mutation, EmptySubscription).data(products).finish())
    }
}

#[async_trait]
impl ServeHttp for DemoUpstream {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        if session.req_header().method != Method::POST {
            // A browser asks for a page, and there is none.
            let here = "a GraphQL server, with actions of Pillion in front of it: POST /graphql with a JSON body";
            return json_response(
                404,
                serde_json::json!({ "message": "there is no page here", "here": here }).to_string().into_bytes(),
            );
        }
        let body = read_body(session).await;
        let body = match serde_json::from_slice::<Request>(&body) {
            Ok(request) => serde_json::to_vec(&self.0.execute(request).await).unwrap_or_default(),
            Err(error) => serde_json::json!({ "errors": [{ "message": error.to_string() }] }).to_string().into_bytes(),
        };
        json_response(200, body)
    }
}
