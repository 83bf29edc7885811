# The same steps as on any Debian 12 machine: ./x build here, ./x setup run there.
#
#   docker build -t nowcast .
#   docker run --rm -p 9000:9000/udp -p 8080:8080 -v nowcast:/var/lib/nowcast nowcast
#
# The log shows the publish URL of the stream "live". Own configuration: -v ./nowcast.toml:/etc/nowcast.toml and the words
# `--config /etc/nowcast.toml serve`.

FROM rust:1.95.0-bookworm AS build
WORKDIR /nowcast
COPY . .
RUN ./x build

FROM debian:12-slim
WORKDIR /opt/nowcast
COPY x .
RUN ./x setup run \
    && rm -rf x .x /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/nowcast nowcast
COPY --from=build /nowcast/target/release/nowcast /usr/local/bin/nowcast
USER nowcast
VOLUME /var/lib/nowcast
# SRT; pages, playlists and media. The ops listener stays on the container's loopback.
EXPOSE 9000/udp 8080
HEALTHCHECK CMD ["nowcast", "streams"]
ENTRYPOINT ["nowcast"]
CMD ["serve", "--state", "/var/lib/nowcast"]
