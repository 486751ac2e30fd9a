# The product alone: one program on a base without a shell, run by a user that is not root.
#
#   docker build -t cdc .
#   docker run --read-only --tmpfs /tmp -v ./cdc.yaml:/etc/cdc/cdc.yaml:ro --env-file cdc.env cdc follow
#
# Rows wait below /tmp on their way into the lake: give it a disk (`-v cdc-spool:/tmp`) where tables are large.

FROM rust:1.94.1-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
RUN cargo build --release --locked --bin cdc

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/cdc /usr/bin/cdc
ENV CDC_CONFIG=/etc/cdc/cdc.yaml
USER 65532:65532
# An ordinary stop is over within 25 s: give it 30, `docker stop --time 30`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/cdc"]
CMD ["follow"]
