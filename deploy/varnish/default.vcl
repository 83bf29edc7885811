# Varnish as a cache in front of nowcast. For Debian 12 (Varnish 7.1):
#
#   apt-get install varnish
#   cp default.vcl /etc/varnish/ && systemctl reload varnish
#
# What it does and what it costs: docs/cdn.md. tests/caches.rs runs it as it stands here. Media is small and soon out of
# date: `-s malloc,2G` holds minutes of many streams. HTTP/2 to clients: `-p feature=+http2` behind hitch or another end
# of TLS that speaks ALPN and the PROXY protocol (`-a 127.0.0.1:6086,PROXY`).
vcl 4.1;

import std;

backend nowcast {
    .host = "127.0.0.1";
    .port = "8080";
    # A request is held for three target durations at most, then answered 503.
    .first_byte_timeout = 60s;
    .between_bytes_timeout = 15s;
}

sub vcl_recv {
    # WebSockets, and rooms followed by SSE: what stays open is not looked into.
    if (req.http.Upgrade || req.url ~ "^/api/v1/streams/[^/]+/sse") {
        return (pipe);
    }
    # Pages and the API are not for this cache.
    if (req.url !~ "^/live/" || (req.method != "GET" && req.method != "HEAD")) {
        return (pass);
    }
    # What names an object: the path and, for a playlist, the delivery directives in one order; for the room's next tick,
    # its number. Everything else of a query (CMCD above all) differs from player to player: in the key, it would make each
    # player's request its own object.
    if (req.url ~ "\.m3u8\?") {
        set req.url = regsuball(req.url, "(?<=[?&])(?!_HLS_(?:msn|part)=|_HLS_skip=(?:YES|v2)(?:&|$))[^&]*(?:&|$)", "");
        set req.url = std.querysort(regsub(req.url, "[?&]+$", ""));
    } else if (req.url ~ "/next\.json\?(.*&)?_t=[0-9]") {
        set req.url = regsub(req.url, "\?(?:.*&)?(_t=[0-9]+).*", "?\1");
    } else {
        set req.url = regsub(req.url, "\?.*", "");
    }
    # Nothing here differs from player to player.
    unset req.http.Cookie;
    unset req.http.Authorization;
    return (hash);
}

sub vcl_hash {
    # The path alone: a stream is the same under every host name.
    hash_data(req.url);
    return (lookup);
}

sub vcl_pipe {
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = req.http.Connection;
}

sub vcl_backend_fetch {
    # Asked for many: not to be counted as the one viewer who happened to be first.
    if (!bereq.uncacheable) {
        unset bereq.http.X-Forwarded-For;
    }
}

sub vcl_backend_response {
    if (bereq.uncacheable) {
        return (deliver);
    }
    # An old playlist is worse than none: nothing is served past its time.
    set beresp.grace = 0s;
    # What is not to be stored (400, 503, what comes later) answers those who waited for it, for it came after they asked,
    # and nobody who asks later. Marked uncacheable it would let everybody through to the origin for two
    # minutes, past the moment when the same address becomes good; with no lifetime at all those who waited would
    # be sent to the origin one after the other.
    if (beresp.http.Cache-Control ~ "no-store" || beresp.ttl <= 0s) {
        set beresp.ttl = 1ms / 100;
        set beresp.keep = 1s;
    }
    return (deliver);
}

sub vcl_backend_error {
    # The origin is out of reach: said so, to those who waited.
    set beresp.http.Cache-Control = "no-store";
    set beresp.http.Access-Control-Allow-Origin = "*";
    set beresp.http.Retry-After = "1";
    set beresp.ttl = 1ms / 100;
    set beresp.grace = 0s;
    set beresp.keep = 1s;
}

sub vcl_deliver {
    unset resp.http.Via;
    unset resp.http.X-Varnish;
}
