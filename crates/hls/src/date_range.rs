/// What EXT-X-DATERANGE says of a span of time (§4.4.5.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DateRange {
    /// ID: no other range of the playlist has it.
    pub id: String,
    /// CLASS.
    pub class: &'static str,
    /// START-DATE, in Unix milliseconds.
    pub start_unix_ms: i64,
    /// DURATION in milliseconds, once it is known. Never changes then.
    pub duration_ms: Option<u64>,
    /// PLANNED-DURATION in milliseconds.
    pub planned_duration_ms: Option<u64>,
    /// `X-…` attributes with their values, quoted strings; one that is there stays as it is, others may follow.
    pub attributes: Vec<(&'static str, String)>,
}
