use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a request's body was not read, as the end of a sentence about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unread {
    /// It is longer than this.
    TooLong(usize),
    /// Its sender went away.
    CutOff,
    /// It took too long.
    TooSlow,
}

impl Unread {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::CutOff => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(most) => write!(f, "is too long: {} KiB are read", most >> 10),
            Self::CutOff => f.write_str("was cut off"),
            Self::TooSlow => write!(f, "did not arrive in {} s", PATIENCE.as_secs()),
        }
    }
}

/// A request's whole body, at most `most` bytes of it, if it comes in 5 s.
///
/// # Errors
/// See [`Unread`].
pub async fn read_body<B>(body: B, most: usize) -> Result<Bytes, Unread>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match timeout(PATIENCE, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Unread::TooLong(most))
        }
        Ok(Err(_)) => Err(Unread::CutOff),
        Err(_) => Err(Unread::TooSlow),
    }
}
