use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Frame, SizeHint};

use super::activity::InFlight;

/// An answer's body: bytes that are there already and are sent without being copied, or a stream of them
/// that lasts.
#[derive(Default)]
pub struct Body {
    next: Bytes,
    rest: vec::IntoIter<Bytes>,
    left: u64,
    stream: Option<Pin<Box<dyn Stream<Item = Bytes> + Send>>>,
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
            ..Self::default()
        }
    }

    /// Chunks that come in their own time. They are asked for when the connection has room for them, so
    /// that a slow reader is the stream's to notice. [`Limits::answer`](super::Limits) does not end it,
    /// [`Limits::stall`](super::Limits) does.
    #[must_use]
    pub fn stream(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self { stream: Some(Box::pin(chunks)), ..Self::default() }
    }

    /// How many bytes are left; of a stream none is known before it comes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.left
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0 && self.stream.is_none()
    }

    /// Whether its length is known only at its end.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Keeps its request in hand until it is sent or dropped.
    pub(super) fn carry(mut self, in_flight: InFlight) -> Self {
        let lasts = self.stream.is_some();
        self.in_flight = Some(if lasts { in_flight } else { in_flight.answer() });
        self
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("left", &self.left).finish_non_exhaustive()
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
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(stream) = &mut self.stream {
            return stream.as_mut().poll_next(cx).map(|next| next.map(Frame::data).map(Ok));
        }
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
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_stream() { SizeHint::default() } else { SizeHint::with_exact(self.left) }
    }
}
