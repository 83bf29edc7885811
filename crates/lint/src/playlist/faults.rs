//! The rules a single line can break.

use crate::finding::Rule;

pub(super) static FIRST_LINE: Rule = Rule::violation("first-line", "RFC 8216bis §4.4.1.1");
pub(super) static CHARACTERS: Rule = Rule::violation("characters", "RFC 8216bis §4.1");
pub(super) static ATTRIBUTE: Rule = Rule::violation("attribute-list", "RFC 8216bis §4.2");
pub(super) static DUPLICATE_ATTRIBUTE: Rule =
    Rule::violation("attribute-twice", "RFC 8216bis §4.2");
pub(super) static MISSING_ATTRIBUTE: Rule =
    Rule::violation("attribute-missing", "RFC 8216bis §4.4");
pub(super) static TAG_VALUE: Rule = Rule::violation("tag-value", "RFC 8216bis §4.4");
pub(super) static DUPLICATE_TAG: Rule = Rule::violation("tag-twice", "RFC 8216bis §4.4.3");
pub(super) static HEAD_ORDER: Rule =
    Rule::violation("sequence-before-segments", "RFC 8216bis §4.4.3.2");
pub(super) static SKIP_ORDER: Rule =
    Rule::violation("sequence-before-skip", "RFC 8216bis §4.4.5.2; hls.js #7905");
pub(super) static TAG_AFTER_PART: Rule = Rule::violation("tag-after-part", "RFC 8216bis §4.4.4.9");
pub(super) static PART_AFTER_EXTINF: Rule =
    Rule::violation("part-after-extinf", "RFC 8216bis §4.4.4.9");
pub(super) static NO_EXTINF: Rule = Rule::violation("extinf-missing", "RFC 8216bis §4.4.4.1");
pub(super) static URI: Rule = Rule::violation("uri", "RFC 8216bis §4.1");
pub(super) static DATE: Rule = Rule::violation("date", "RFC 8216bis §4.4.4.6");
pub(super) static DATE_ZONE: Rule = Rule::advice("date-zone", "RFC 8216bis §4.4.4.6");
pub(super) static DATE_RANGE: Rule = Rule::violation("date-range", "RFC 8216bis §4.4.5.1");
