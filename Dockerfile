# Builds a static-as-possible program and puts nothing else beside it.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY demo demo
COPY tests tests
RUN cargo build --locked --release --bin pillion

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/pillion /usr/local/bin/pillion
USER nonroot
EXPOSE 8000 8001
ENV PILLION_ADMIN_LISTEN=0.0.0.0:8001
ENTRYPOINT ["/usr/local/bin/pillion"]
CMD ["serve"]
