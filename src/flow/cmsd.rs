use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;

/// What `CMSD-Static` says of a playlist or a part (CTA-5006): rendered once, when it is made.
///
/// The time a request was held, `ht`, is added for that request alone: what measures a network must
/// not take it for the network's.
#[derive(Clone, Debug)]
pub struct Cmsd(HeaderValue);

/// What stands last in every value: the time held goes before it, in the order of the alphabet.
const TYPES: &str = ",ot=";

impl Cmsd {
    /// Of a playlist that is shown now.
    #[must_use]
    pub fn playlist() -> Self {
        Self::new(format!("at={}{TYPES}m,sf=h,st=ll", unix_ms()))
    }

    /// Of a part of so many bytes that is shown now.
    #[must_use]
    pub fn part(duration: Duration, bytes: usize, audio: bool) -> Self {
        let (ms, kind) = (duration.as_millis(), if audio { "a" } else { "v" });
        // Bits a millisecond are kbit/s.
        let kbps = (bytes as u128 * 8).checked_div(ms).unwrap_or(0);
        Self::new(format!("at={},br={kbps},d={ms}{TYPES}{kind},sf=h,st=ll", unix_ms()))
    }

    /// The header's value, for a request that was held for so long, if it was.
    #[must_use]
    pub fn value(&self, held: Option<Duration>) -> HeaderValue {
        let Some(held) = held else { return self.0.clone() };
        let text = self.0.to_str().unwrap_or_default();
        let (first, last) = text.split_at(text.find(TYPES).unwrap_or(text.len()));
        let text = format!("{first},ht={}{last}", held.as_millis());
        header(text).unwrap_or_else(|| self.0.clone())
    }

    fn new(text: String) -> Self {
        Self(header(text).unwrap_or(const { HeaderValue::from_static("sf=h,st=ll") }))
    }
}

fn header(text: String) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_held_stands_among_the_keys_in_their_order() {
        let part = Cmsd::part(Duration::from_millis(200), 50_000, false);
        let told = part.value(None).to_str().unwrap().to_owned();
        assert!(
            told.starts_with("at=1") && told.ends_with(",br=2000,d=200,ot=v,sf=h,st=ll"),
            "{told}"
        );
        let held = part.value(Some(Duration::from_millis(123))).to_str().unwrap().to_owned();
        assert!(held.ends_with(",br=2000,d=200,ht=123,ot=v,sf=h,st=ll"), "{held}");
        let playlist = Cmsd::playlist().value(Some(Duration::ZERO));
        assert!(playlist.to_str().unwrap().ends_with(",ht=0,ot=m,sf=h,st=ll"));
        assert!(Cmsd::part(Duration::ZERO, 1, true).value(None).to_str().unwrap().contains("br=0"));
    }
}
