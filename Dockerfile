# An image with the program, the four libraries that it is linked with, and nothing else: about 34 MB.
#   docker build -t pillion .
# After `make profile` the program is optimized for usual requests. The labels are build arguments: docs/how-to/packages.md.
# `make packages` makes a list of all that is in it (SBOM).
FROM node:24-bookworm-slim AS console
WORKDIR /console
COPY console/package.json console/package-lock.json console/.npmrc ./
RUN npm ci --no-fund --no-audit
COPY console .
RUN node build.mjs

FROM rust:1.95-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# What there is: see .dockerignore.
COPY . .
COPY --from=console /console/dist console/dist
ARG SOURCE_DATE_EPOCH=0
# What has been downloaded and compiled stays for the next time.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    config/image/build.sh /image

FROM scratch
COPY --from=build /image /
ARG VERSION=0.1.0
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
ARG DOCUMENTATION=""
ARG LICENSES=Apache-2.0
LABEL org.opencontainers.image.title="Pillion" \
      org.opencontainers.image.description="A sidecar that adds actions to a GraphQL API you already run" \
      org.opencontainers.image.licenses="${LICENSES}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${DOCUMENTATION}"
USER 65532:65532
# Calls of asynchronous actions are stored here, unless PILLION_JOBS_STORE names a PostgreSQL.
WORKDIR /var/lib/pillion
# Health checks and Prometheus come from outside of the container; do not publish this port.
ENV PILLION_ADMIN_LISTEN=0.0.0.0:8001
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["/usr/local/bin/pillion", "health"]
ENTRYPOINT ["/usr/local/bin/pillion"]
CMD ["serve"]
