//! The log as caches have it (docs/events.md, "JSON beside the playlists").

use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::ticks::Ticks;
use crate::answer;
use crate::flow::Compressed;
use crate::listener::Body;

/// How long a request for the next tick is held.
const HELD: Duration = Duration::from_secs(15);
const FOREVER: &str = "public, max-age=31536000, immutable";
const SHORTLY: &str = "public, max-age=1";

/// Answers what is asked below `/live/STREAM/events/`.
pub(super) async fn answer<B>(request: &Request<B>, what: &str, ticks: &Ticks) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::say(StatusCode::METHOD_NOT_ALLOWED, "The log is only read: use GET.");
    }
    let missing = || {
        answer::say(
            StatusCode::NOT_FOUND,
            "There is no such tick here, or no more: begin at state.json.",
        )
    };
    let found = match what.split_once('/') {
        None if what == "state.json" => Some((ticks.state(), SHORTLY)),
        Some((epoch, file)) if epoch == ticks.epoch() => {
            let Some(name) = file.strip_suffix(".json") else { return missing() };
            if name == "next" {
                match next(request, ticks).await {
                    Ok(text) => Some((text, FOREVER)),
                    Err(response) => return response,
                }
            } else if let Some(number) = name.strip_prefix("snapshot-") {
                number
                    .parse()
                    .ok()
                    .and_then(|tick| ticks.snapshot(tick))
                    .map(|text| (text, FOREVER))
            } else {
                name.parse().ok().and_then(|tick| ticks.tick(tick)).map(|text| (text, FOREVER))
            }
        }
        _ => None,
    };
    let Some((text, cached)) = found else { return missing() };
    let mut response = answer::compressed(request.headers(), &text, "application/json");
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    answer::share(&mut response);
    response
}

/// The tick that is asked for by `_t`, once it is there.
async fn next<B>(request: &Request<B>, ticks: &Ticks) -> Result<Compressed, Response<Body>> {
    let query = request.uri().query().unwrap_or_default();
    let tick = query.split('&').find_map(|pair| pair.strip_prefix("_t=")?.parse::<u64>().ok());
    let mut last = ticks.last();
    let ahead = *last.borrow() + 1;
    let Some(tick) = tick.filter(|&tick| tick > 0 && tick <= ahead) else {
        let sentence = "Ask with _t=N for the tick after the last one you have.";
        return Err(answer::say(StatusCode::BAD_REQUEST, sentence));
    };
    let waited: Result<Result<_, _>, _> = timeout(HELD, last.wait_for(|&last| last >= tick)).await;
    let gone = waited.map_or(true, |there| there.is_err());
    if gone {
        let mut response =
            answer::say(StatusCode::SERVICE_UNAVAILABLE, "Nothing has happened yet: ask again.");
        answer::retry_after(&mut response, 1);
        answer::share(&mut response);
        return Err(response);
    }
    ticks
        .tick(tick)
        .ok_or_else(|| answer::say(StatusCode::NOT_FOUND, "The tick is not kept any more."))
}
