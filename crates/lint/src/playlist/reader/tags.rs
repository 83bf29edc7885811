//! What single tags say.

use std::sync::Arc;

use super::super::attributes::{Attributes, decimal, integer};
use super::super::date;
use super::super::faults::{DATE, DATE_RANGE, DATE_ZONE, PART_AFTER_EXTINF, SKIP_ORDER, TAG_VALUE};
use super::super::media::{DateRange, Hint, HintType, Map, Part, Report, ServerControl};
use super::Reader;
use crate::exchange::ByteRange;

impl Reader<'_> {
    pub(super) fn part_inf(&mut self, value: &str, line: usize) {
        let attributes = self.attributes(value, line);
        let target = attributes.seconds("PART-TARGET", &mut self.out.faults);
        self.out.part_target = self.once(self.out.part_target.clone(), target, line);
    }

    pub(super) fn server_control(&mut self, value: &str, line: usize) {
        let attributes = self.attributes(value, line);
        let faults = &mut self.out.faults;
        let control = ServerControl {
            can_block_reload: attributes.yes("CAN-BLOCK-RELOAD"),
            part_hold_back: attributes.seconds("PART-HOLD-BACK", faults),
            hold_back: attributes.seconds("HOLD-BACK", faults),
            can_skip_until: attributes.seconds("CAN-SKIP-UNTIL", faults),
            can_skip_dateranges: attributes.yes("CAN-SKIP-DATERANGES"),
        };
        self.out.server_control = self.once(self.out.server_control.clone(), Some(control), line);
    }

    pub(super) fn skip(&mut self, value: &str, line: usize) {
        let attributes = self.attributes(value, line);
        if self.out.media_sequence.is_none() {
            self.fault(&SKIP_ORDER, line, "EXT-X-MEDIA-SEQUENCE does not precede EXT-X-SKIP: write both sequence numbers first.");
        }
        let removed = attributes.text("RECENTLY-REMOVED-DATERANGES");
        let removed = removed.map(|ids| ids.split('\t').map(str::to_owned).collect::<Vec<_>>());
        let version = if removed.is_some() { 10 } else { 9 };
        self.out.removed_ranges = removed;
        self.needs(version, "EXT-X-SKIP", line);
        let count = attributes.integer("SKIPPED-SEGMENTS", &mut self.out.faults);
        self.out.skipped = self.once(self.out.skipped.clone(), count, line);
    }

    pub(super) fn extinf(&mut self, value: &str, line: usize) {
        let seconds = value.split(',').next().unwrap_or_default();
        match decimal(seconds) {
            Some(duration) => self.segment.duration = duration,
            None => {
                self.fault(&TAG_VALUE, line, "EXTINF has no decimal duration before its comma.");
            }
        }
        if seconds.contains('.') {
            self.needs(3, "EXTINF with a fraction", line);
        }
        self.extinf = Some(line);
    }

    pub(super) fn byte_range(&mut self, value: &str, line: usize) {
        self.needs(4, "EXT-X-BYTERANGE", line);
        let (length, start) = value.split_once('@').unwrap_or((value, ""));
        let range = integer(length).map(|length| (length, integer(start)));
        match range {
            // Without an offset it follows the last range of the same resource, which its URI names.
            Some((length, start)) => {
                self.segment.range =
                    Some(ByteRange { start: start.unwrap_or(u64::MAX), length: Some(length) });
            }
            None => self.fault(&TAG_VALUE, line, "EXT-X-BYTERANGE is not n or n@o."),
        }
    }

    pub(super) fn date(&mut self, value: &str, line: usize) {
        self.before_parts("EXT-X-PROGRAM-DATE-TIME", line);
        match date::parse(value) {
            Some((micros, zoned)) => {
                self.segment.date = Some(micros);
                if !zoned {
                    self.fault(
                        &DATE_ZONE,
                        line,
                        "the date names no time zone: end it with Z, so that it means one instant.",
                    );
                }
            }
            None => self.fault(&DATE, line, "the date is not YYYY-MM-DDThh:mm:ss.mmmZ."),
        }
    }

    pub(super) fn map(&mut self, value: &str, line: usize) {
        self.before_parts("EXT-X-MAP", line);
        let attributes = self.attributes(value, line);
        if !self.out.i_frames_only {
            self.needs(6, "EXT-X-MAP", line);
        }
        let Some(url) = self.url_of(&attributes, line) else { return };
        let range = attributes.text("BYTERANGE").map(str::to_owned);
        let range = range.and_then(|range| self.range(&range, &url, line));
        self.map = Some(Arc::new(Map { url, range }));
    }

    pub(super) fn part(&mut self, value: &str, line: usize) {
        if self.extinf.is_some() {
            self.fault(
                &PART_AFTER_EXTINF,
                line,
                "the part follows its segment's EXTINF: list parts before it.",
            );
        }
        let attributes = self.attributes(value, line);
        let duration = attributes.seconds("DURATION", &mut self.out.faults);
        if duration.is_none() {
            self.missing("DURATION", line);
        }
        let Some(url) = self.url_of(&attributes, line) else { return };
        let range = attributes.text("BYTERANGE").map(str::to_owned);
        let range = range.and_then(|range| self.range(&range, &url, line));
        if self.segment.line == 0 {
            self.segment.line = line;
        }
        self.segment.parts.push(Part {
            line,
            url,
            range,
            duration: duration.unwrap_or_default(),
            independent: attributes.yes("INDEPENDENT"),
            gap: attributes.yes("GAP"),
        });
    }

    pub(super) fn hint(&mut self, value: &str, line: usize) {
        let attributes = self.attributes(value, line);
        let kind = match attributes.text("TYPE") {
            Some("PART") => HintType::Part,
            Some("MAP") => HintType::Map,
            Some(_) => return,
            None => return self.missing("TYPE", line),
        };
        let Some(url) = self.url_of(&attributes, line) else { return };
        let faults = &mut self.out.faults;
        let start = attributes.integer("BYTERANGE-START", faults);
        let length = attributes.integer("BYTERANGE-LENGTH", faults);
        let range = (start.is_some() || length.is_some())
            .then(|| ByteRange { start: start.unwrap_or(0), length });
        self.out.hints.push(Hint { line, kind, url, range });
    }

    pub(super) fn report(&mut self, value: &str, line: usize) {
        let attributes = self.attributes(value, line);
        let Some(url) = self.url_of(&attributes, line) else { return };
        let faults = &mut self.out.faults;
        let last_msn = attributes.integer("LAST-MSN", faults);
        let last_part = attributes.integer("LAST-PART", faults);
        self.out.reports.push(Report { line, url, last_msn, last_part });
    }

    pub(super) fn date_range(&mut self, value: &str, line: usize) {
        let attributes = self.attributes(value, line);
        let Some(id) = attributes.quoted("ID", &mut self.out.faults).map(str::to_owned) else {
            return self.missing("ID", line);
        };
        let start = self.date_of(&attributes, "START-DATE");
        let end = self.date_of(&attributes, "END-DATE");
        let faults = &mut self.out.faults;
        let lasts = attributes.seconds("DURATION", faults);
        attributes.seconds("PLANNED-DURATION", faults);
        let lasts = lasts.and_then(|lasts| i64::try_from(lasts.as_micros()).ok());
        let computed = start.zip(lasts).map(|(start, lasts)| start.saturating_add(lasts));
        let fixed = end.is_some() || lasts.is_some();
        let on_next = attributes.yes("END-ON-NEXT");
        if end.zip(start).is_some_and(|(end, start)| end < start) {
            self.fault(&DATE_RANGE, line, "END-DATE lies before START-DATE.");
        }
        if end.zip(computed).is_some_and(|(end, computed)| end.abs_diff(computed) > 1000) {
            let complaint = "END-DATE is not START-DATE and DURATION: write one of the two.";
            self.fault(&DATE_RANGE, line, complaint);
        }
        if on_next && (fixed || attributes.text("CLASS").is_none()) {
            let complaint =
                "END-ON-NEXT=YES needs CLASS, and stands with neither DURATION nor END-DATE.";
            self.fault(&DATE_RANGE, line, complaint);
        }
        if let Some(name) = attributes.bare_text() {
            let complaint = format!("{name} is neither a quoted string nor a number: quote it.");
            self.fault(&DATE_RANGE, line, complaint);
        }
        let end = end.or(computed);
        self.out.date_ranges.push(DateRange { line, id, start, end, attributes });
    }

    fn date_of(&mut self, attributes: &Attributes, name: &str) -> Option<i64> {
        let text = attributes.quoted(name, &mut self.out.faults)?;
        let date = date::parse(text);
        if date.is_none() {
            self.fault(&DATE, attributes.line, format!("{name} is not YYYY-MM-DDThh:mm:ss.mmmZ."));
        }
        date.map(|(micros, _)| micros)
    }

    pub(super) fn define(&mut self, value: &str, line: usize) {
        let attributes = self.attributes(value, line);
        let (name, value) = match (attributes.text("NAME"), attributes.text("QUERYPARAM")) {
            (Some(name), _) => (name, attributes.text("VALUE").map(str::to_owned)),
            (None, Some(name)) => (name, crate::exchange::directive(self.base, name)),
            // IMPORT speaks of the multivariant playlist, which is not at hand here.
            (None, None) => return,
        };
        self.variables.insert(name.to_owned(), value.unwrap_or_default());
        self.needs(8, "EXT-X-DEFINE", line);
    }

    /// The text with its variables replaced (§4.3).
    pub(super) fn substituted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.variables {
            text = text.replace(&format!("{{${name}}}"), value);
        }
        text
    }
}
