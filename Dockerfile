# The program and the GStreamer that it decodes with, on Debian 12.
#
#     docker build -t onward .
#     docker run -v "$PWD/runs:/data/runs" -v /videos:/videos:ro -v "$PWD/my.toml:/data/my.toml:ro" \
#         onward train my.toml
#
# Paths of a config are relative to /data. The user of the container has the number 1000, which must
# be able to write the run's folder. `${NAME}` in a URI is the environment variable NAME, or a
# secret of that name (/run/secrets/NAME).
#
# A health check needs the status page, so it is given with `--listen`. Its --start-period must
# cover the time until the first step is done:
#
#     docker run -p 127.0.0.1:9000:9000 ... --health-start-period 5m --health-cmd "bash -c \
#         'exec 3<>/dev/tcp/127.0.0.1/9000; printf \"GET /healthz HTTP/1.1\r\n\r\n\" >&3; \
#          head -n 1 <&3 | grep -q \" 200 \"'" onward train my.toml --listen 0.0.0.0:9000
#
# Docker only reports an unhealthy container. A crash is restarted with `--restart on-failure`, and
# the run resumes from its last checkpoint.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches make the next build fast; what they hold is no part of an image.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin onward && install -s target/dist/onward /usr/local/bin

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates glib-networking \
        libgstreamer1.0-0 libgstreamer-plugins-base1.0-0 \
        gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
        gstreamer1.0-plugins-ugly gstreamer1.0-libav \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home onward && install -d -o onward -g onward /data /data/runs
COPY --from=build /usr/local/bin/onward /usr/local/bin/onward
USER onward
WORKDIR /data
VOLUME /data/runs
ENV CREDENTIALS_DIRECTORY=/run/secrets
# At the first SIGTERM `train` and `embed` save and end, for which Docker gives them 10 s: use
# `docker stop --time` with as long as a step and a checkpoint take. The program needs no init: as
# process 1 it handles its signals and waits for its decoder processes.
STOPSIGNAL SIGTERM
ENTRYPOINT ["onward"]
CMD ["--help"]
