//! HTTP answers that are no media: sentences, JSON, and who may read them.

use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::flow::Compressed;
use crate::listener::Body;

/// A sentence, which no cache keeps.
#[must_use]
pub fn say(status: StatusCode, sentence: &str) -> Response<Body> {
    text(status, "text/plain; charset=utf-8", "no-store", format!("{sentence}\n"))
}

/// A value, for so long as `cached` says.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, cached: &'static str, value: &T) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(written) => text(status, "application/json", cached, written),
        Err(error) => say(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Text in the form that is understood.
#[must_use]
pub fn compressed(headers: &HeaderMap, written: &Compressed, kind: &'static str) -> Response<Body> {
    let gzip = accepts_gzip(headers) && !written.gzip.is_empty();
    let body = if gzip { &written.gzip } else { &written.plain };
    let mut response = Response::new(Body::from(body.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The answer to the question whether pages of another origin may send these.
#[must_use]
pub fn preflight(methods: &'static str, fields: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::NO_CONTENT, "text/plain", "no-store", String::new());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(fields));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Pages of this origin may read it.
pub fn share_with(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
}

/// Pages of any origin may read it.
pub fn share(response: &mut Response<Body>) {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// It is worth asking again in so many seconds.
pub fn retry_after(response: &mut Response<Body>, seconds: u64) {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
}

/// Text of this kind, for so long as `cached` says.
#[must_use]
pub fn text(
    status: StatusCode,
    kind: &'static str,
    cached: &'static str,
    written: String,
) -> Response<Body> {
    let mut response = Response::new(Body::from(written));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}

/// Whether gzip may be sent (RFC 9110 §12.5.3): named, or meant by `*`, and not with weight 0.
#[must_use]
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for coding in value.to_str().unwrap_or_default().split(',') {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = weight.trim().strip_prefix(['q', 'Q']).and_then(|q| q.strip_prefix('='));
            let allowed =
                weight.and_then(|q| q.trim().parse::<f32>().ok()).is_some_and(|q| q > 0.0);
            match name.trim() {
                name if name.eq_ignore_ascii_case("gzip")
                    || name.eq_ignore_ascii_case("x-gzip") =>
                {
                    return allowed;
                }
                "*" => any = allowed,
                _ => {}
            }
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("deflate, gzip;q=0.5, br", true),
            ("br, *", true),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip; q=1", true),
            ("gzip;q=nan", false),
            ("identity", false),
            ("gzipped", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
