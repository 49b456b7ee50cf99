# An image with the program, the four libraries that it is linked with, and nothing else: about 27 MB.
#   docker build -t pillion .
# A list of all that is in it (SBOM), in the form of CycloneDX:
#   cargo install cargo-cyclonedx && cargo cyclonedx --format json
FROM rust:1.95-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# What there is: see .dockerignore.
COPY . .
ARG SOURCE_DATE_EPOCH=0
# What has been downloaded and compiled stays for the next time.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    config/image/build.sh /image

FROM scratch
LABEL org.opencontainers.image.title="Pillion" \
      org.opencontainers.image.description="A sidecar that adds actions to a GraphQL API you already run" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
USER 65532:65532
# Calls of asynchronous actions are stored here, unless PILLION_JOBS_STORE names a PostgreSQL.
WORKDIR /var/lib/pillion
# Health checks and Prometheus come from outside of the container; do not publish this port.
ENV PILLION_ADMIN_LISTEN=0.0.0.0:8001
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["/usr/local/bin/pillion", "health"]
ENTRYPOINT ["/usr/local/bin/pillion"]
CMD ["serve"]
