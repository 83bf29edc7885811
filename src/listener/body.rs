use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::activity::InFlight;

/// An answer's body: bytes that are there already and are sent without being copied.
#[derive(Debug, Default)]
pub struct Body {
    next: Bytes,
    rest: vec::IntoIter<Bytes>,
    left: u64,
    in_flight: Option<InFlight>,
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// These chunks, one after the other.
    #[must_use]
    pub fn chunks(chunks: Vec<Bytes>) -> Self {
        let left = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let mut rest = chunks.into_iter();
        Self {
            next: rest.find(|chunk| !chunk.is_empty()).unwrap_or_default(),
            rest,
            left,
            in_flight: None,
        }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.left
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Keeps its request in hand until it is sent or dropped.
    pub(super) fn carry(mut self, in_flight: InFlight) -> Self {
        self.in_flight = Some(in_flight);
        self
    }
}

/// The end of an answer, which keeps its request in hand until the last byte is sent.
struct Last {
    chunk: Bytes,
    _in_flight: InFlight,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { left: bytes.len() as u64, next: bytes, ..Self::default() }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.next.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(in_flight) = &self.in_flight {
            in_flight.progress();
        }
        let following = self.rest.find(|chunk| !chunk.is_empty()).unwrap_or_default();
        let chunk = mem::replace(&mut self.next, following);
        self.left -= chunk.len() as u64;
        // A connection of many streams takes a chunk long before it may send it.
        let ends = self.left == 0;
        let chunk = match self.in_flight.take_if(|own| ends && own.multiplexed()) {
            Some(in_flight) => Bytes::from_owner(Last { chunk, _in_flight: in_flight }),
            None => chunk,
        };
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
