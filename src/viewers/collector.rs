//! `POST /cmcd`: players' event reports.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE,
    HeaderName, RETRY_AFTER,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::Value as Json;

use super::Viewers;
use super::cmcd::Report;
use crate::flow::Remote;
use crate::listener::{Body, read_body};

/// The longest body: some 200 events.
const MOST_BYTES: usize = 64 << 10;
/// Reports a second, of all clients and of one: a thousand players behind one address report a hundred times.
const MOST_REPORTS: u32 = 5000;
const MOST_OF_ONE: u32 = 200;
/// One in how many players shall report, as an answer says it.
const SAMPLE: HeaderName = HeaderName::from_static("nowcast-sample");

/// Reports in the present second.
#[derive(Debug, Default)]
pub(super) struct Clients {
    second: Option<Instant>,
    all: u32,
    each: HashMap<IpAddr, u32>,
}

impl Clients {
    fn admit(&mut self, client: Option<IpAddr>, now: Instant) -> bool {
        if self.second.is_none_or(|began| now.duration_since(began) >= Duration::from_secs(1)) {
            *self = Self { second: Some(now), ..Self::default() };
        }
        self.all += 1;
        let of_one = client.map(|client| self.each.entry(client).or_default());
        self.all <= MOST_REPORTS
            && of_one.is_none_or(|count| {
                *count += 1;
                *count <= MOST_OF_ONE
            })
    }
}

impl Viewers {
    /// Answers a request to `/cmcd`.
    pub async fn collect<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match *request.method() {
            Method::OPTIONS => return preflight(),
            Method::POST => {}
            _ => {
                let mut refusal = say(StatusCode::METHOD_NOT_ALLOWED, "Reports are sent by POST.");
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
                return refusal;
            }
        }
        let client = request.extensions().get::<Remote>().map(|remote| remote.0);
        if !self.clients().admit(client, Instant::now()) {
            let mut refusal = say(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many reports: send them every ten seconds.",
            );
            refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
            return refusal;
        }
        let bytes = match read_body(request.into_body(), MOST_BYTES).await {
            Ok(bytes) => bytes,
            Err(unread) => return say(unread.status(), &format!("The report {unread}.")),
        };
        match self.take(&bytes) {
            Err(sentence) => say(StatusCode::BAD_REQUEST, &sentence),
            Ok(()) => {
                let mut response = answer(StatusCode::NO_CONTENT, Body::empty());
                let sample = HeaderValue::from(self.sessions().sample());
                response.headers_mut().insert(SAMPLE, sample);
                response
            }
        }
    }

    /// Takes all records of a body, or none.
    fn take(&self, body: &[u8]) -> Result<(), String> {
        let text =
            std::str::from_utf8(body).map_err(|_| "A report is text in UTF-8.".to_owned())?;
        let json: Vec<Json>;
        let reports: Vec<Report<'_>> = if text.trim_start().starts_with(['{', '[']) {
            let values = serde_json::Deserializer::from_str(text).into_iter::<Json>();
            let values: Result<Vec<_>, _> = values.collect();
            json = values.map_err(|error| format!("The report is no JSON: {error}."))?;
            let records = json.iter().flat_map(|value| match value {
                Json::Array(records) => records.as_slice(),
                record => std::slice::from_ref(record),
            });
            numbered(records.map(Report::of_json))?
        } else {
            numbered(text.trim_end().lines().map(Report::parse))?
        };
        let now = Instant::now();
        let streams: Vec<_> = reports.iter().map(|report| self.stream_of(report)).collect();
        let mut sessions = self.sessions();
        for (report, stream) in reports.iter().zip(&streams) {
            sessions.note(report, stream.as_ref(), now);
        }
        Ok(())
    }
}

fn numbered<'a, E: std::fmt::Display>(
    records: impl Iterator<Item = Result<Report<'a>, E>>,
) -> Result<Vec<Report<'a>>, String> {
    let reports: Result<Vec<_>, _> = records
        .enumerate()
        .map(|(at, record)| {
            record.map_err(|fault| {
                format!("Record {} is no CMCD: {fault} (CTA-5004-B, one event a line).", at + 1)
            })
        })
        .collect();
    let reports = reports?;
    if reports.is_empty() {
        return Err(
            "The report is empty: send one event a line, as in sid=\"…\",e=t,ltc=1480.".into()
        );
    }
    Ok(reports)
}

fn preflight() -> Response<Body> {
    let mut response = answer(StatusCode::NO_CONTENT, Body::empty());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn say(status: StatusCode, sentence: &str) -> Response<Body> {
    let mut response = answer(status, Body::from(format!("{sentence}\n")));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// An answer that pages of any origin may read, and no cache keeps.
fn answer(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("Nowcast-Sample, Retry-After");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_does_not_use_up_what_the_others_may_send() {
        let (mut clients, now) = (Clients::default(), Instant::now());
        let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let let_in = (0..300).filter(|_| clients.admit(address(1), now)).count();
        assert_eq!(let_in, 200);
        assert!(clients.admit(address(2), now));
        assert_eq!((0..6000).filter(|_| clients.admit(None, now)).count(), 5000 - 301);
        assert!(clients.admit(address(1), now + Duration::from_secs(1)));
    }
}
