# rbuild as one static binary in an otherwise empty image.
#
#   rbuild -t rbuild .                              release build
#   rbuild -t rbuild --build-arg PROFILE=quick .    quicker to build, slower to run
FROM debian:bookworm AS build
RUN --mount=type=secret,id=apt,target=/etc/apt/apt.conf.d/99host \
    apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates cargo-web gcc libc6-dev rustc-web \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG PROFILE=release
RUN --mount=type=cache,target=/root/.cargo/registry \
    --mount=type=cache,target=/src/target \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=cargo,target=/root/.cargo/config.toml \
    cargo build --locked --profile "$PROFILE" --package rbuild \
 && cp "$(ls -t target/*/*/rbuild | head -n 1)" /usr/local/bin/rbuild

FROM scratch
COPY --from=build /usr/local/bin/rbuild /rbuild
ENTRYPOINT ["/rbuild"]
