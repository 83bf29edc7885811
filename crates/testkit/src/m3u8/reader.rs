use super::attributes::{Attributes, date, integer, seconds};
use super::{DateRange, Head, MediaPlaylist, Part, Report, Segment};

/// What has been read so far. `None` in the first fields: the tag has not come.
#[derive(Default)]
struct Reader {
    version: Option<u64>,
    target_duration: Option<u64>,
    part_target: Option<u64>,
    /// PART-HOLD-BACK, HOLD-BACK, CAN-SKIP-UNTIL.
    control: Option<(u64, u64, u64)>,
    media_sequence: Option<u64>,
    discontinuity_sequence: Option<u64>,
    skipped: Option<u64>,
    date_ranges: Vec<DateRange>,
    segments: Vec<Segment>,
    /// The segment whose tags are being read.
    next: Segment,
    extinf: Option<u64>,
    init: Option<String>,
    part_hint: Option<String>,
    map_hint: Option<String>,
    reports: Vec<Report>,
    ended: bool,
}

impl MediaPlaylist {
    /// Reads a playlist; refuses unknown tags, tags out of place and anything given twice.
    ///
    /// # Errors
    /// The line, and what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.starts_with('\u{feff}') || text.contains(|c: char| c.is_control() && c != '\n') {
            return Err("a byte order mark or a control character".into());
        }
        let text = text.strip_suffix('\n').ok_or("no line end at the end")?;
        let mut lines = text.split('\n').enumerate();
        if lines.next() != Some((0, "#EXTM3U")) {
            return Err("the first line is not #EXTM3U".into());
        }
        let mut reader = Reader::default();
        for (index, line) in lines {
            reader.line(line).map_err(|fault| format!("line {}: {line:?}: {fault}", index + 1))?;
        }
        reader.finish()
    }
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if self.ended {
            return Err("after EXT-X-ENDLIST".into());
        }
        if !line.starts_with('#') {
            return self.uri(line);
        }
        if self.extinf.is_some() {
            return Err("EXTINF is not followed by its URI".into());
        }
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-VERSION" => self.head(|r| &mut r.version, integer(value)?),
            "#EXT-X-TARGETDURATION" => self.head(|r| &mut r.target_duration, integer(value)?),
            "#EXT-X-MEDIA-SEQUENCE" => self.head(|r| &mut r.media_sequence, integer(value)?),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.head(|r| &mut r.discontinuity_sequence, integer(value)?)
            }
            "#EXT-X-PART-INF" => {
                let mut attributes = Attributes::read(tag, value)?;
                let target = attributes.seconds("PART-TARGET")?;
                attributes.finish()?;
                self.head(|r| &mut r.part_target, target)
            }
            "#EXT-X-SERVER-CONTROL" => self.server_control(Attributes::read(tag, value)?),
            "#EXT-X-SKIP" => {
                if self.media_sequence.is_none() || self.discontinuity_sequence.is_none() {
                    return Err("before the sequence numbers".into());
                }
                let mut attributes = Attributes::read(tag, value)?;
                let count = attributes.integer("SKIPPED-SEGMENTS")?;
                attributes.finish()?;
                self.head(|r| &mut r.skipped, count)
            }
            "#EXT-X-DATERANGE" => self.date_range(Attributes::read(tag, value)?),
            "#EXT-X-DISCONTINUITY" => {
                let twice = self.next.discontinuity;
                self.segment_tag()?.discontinuity = true;
                if twice { Err("twice for one segment".into()) } else { Ok(()) }
            }
            "#EXT-X-MAP" => {
                let mut attributes = Attributes::read(tag, value)?;
                let uri = attributes.quoted("URI")?;
                attributes.finish()?;
                self.segment_tag()?;
                if self.init.replace(uri.clone()) == Some(uri) {
                    return Err("the same init section again".into());
                }
                Ok(())
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                let date = date(value)?;
                match self.segment_tag()?.program_date_time.replace(date) {
                    Some(_) => Err("twice for one segment".into()),
                    None => Ok(()),
                }
            }
            "#EXT-X-PART" => self.part(Attributes::read(tag, value)?),
            "#EXT-X-GAP" => {
                self.body()?;
                self.next.gap = true;
                Ok(())
            }
            "#EXTINF" => {
                self.body()?;
                let duration = value.strip_suffix(',').ok_or("no comma at the end")?;
                self.extinf = Some(seconds(duration)?);
                Ok(())
            }
            "#EXT-X-PRELOAD-HINT" => self.hint(Attributes::read(tag, value)?),
            "#EXT-X-RENDITION-REPORT" => {
                let mut attributes = Attributes::read(tag, value)?;
                self.reports.push(Report {
                    uri: attributes.quoted("URI")?,
                    last_msn: attributes.integer("LAST-MSN")?,
                    last_part: attributes.integer("LAST-PART")?,
                });
                attributes.finish()
            }
            "#EXT-X-ENDLIST" => {
                self.ended = true;
                Ok(())
            }
            _ => Err("unknown tag".into()),
        }
    }

    /// A tag of the head: once, and before any segment.
    fn head<T>(
        &mut self,
        slot: impl Fn(&mut Self) -> &mut Option<T>,
        value: T,
    ) -> Result<(), String> {
        self.before_segments()?;
        match slot(self).replace(value) {
            Some(_) => Err("given twice".into()),
            None => Ok(()),
        }
    }

    fn before_segments(&self) -> Result<(), String> {
        let begun = !self.segments.is_empty() || self.next != Segment::default();
        if begun || self.init.is_some() {
            return Err("after the first segment".into());
        }
        Ok(())
    }

    /// §4.4.5.1, with START-DATE in every tag.
    fn date_range(&mut self, mut attributes: Attributes<'_>) -> Result<(), String> {
        self.body()?;
        self.before_segments()?;
        let range = DateRange {
            id: attributes.quoted("ID")?,
            class: attributes.quoted("CLASS")?,
            start: date(&attributes.quoted("START-DATE")?)?,
            duration: attributes.optional_seconds("DURATION")?,
            planned_duration: attributes.optional_seconds("PLANNED-DURATION")?,
            attributes: attributes.custom()?,
        };
        attributes.finish()?;
        if self.date_ranges.iter().any(|other| other.id == range.id) {
            return Err("a second tag of one ID".into());
        }
        self.date_ranges.push(range);
        Ok(())
    }

    /// Something of a segment: after the head, before hints and reports.
    fn body(&self) -> Result<(), String> {
        if self.media_sequence.is_none() {
            return Err("before EXT-X-MEDIA-SEQUENCE".into());
        }
        if self.part_hint.is_some() || self.map_hint.is_some() || !self.reports.is_empty() {
            return Err("after a hint or a report".into());
        }
        Ok(())
    }

    /// §4.4.4.9: a tag of a segment that must precede its first part.
    fn segment_tag(&mut self) -> Result<&mut Segment, String> {
        self.body()?;
        if !self.next.parts.is_empty() {
            return Err("after the segment's first part".into());
        }
        Ok(&mut self.next)
    }

    fn server_control(&mut self, mut attributes: Attributes<'_>) -> Result<(), String> {
        if !attributes.yes("CAN-BLOCK-RELOAD")? {
            return Err("CAN-BLOCK-RELOAD=YES is missing".into());
        }
        let control = (
            attributes.seconds("PART-HOLD-BACK")?,
            attributes.seconds("HOLD-BACK")?,
            attributes.seconds("CAN-SKIP-UNTIL")?,
        );
        attributes.finish()?;
        self.head(|r| &mut r.control, control)
    }

    fn part(&mut self, mut attributes: Attributes<'_>) -> Result<(), String> {
        self.body()?;
        self.next.parts.push(Part {
            uri: attributes.quoted("URI")?,
            duration: attributes.seconds("DURATION")?,
            independent: attributes.yes("INDEPENDENT")?,
            gap: attributes.yes("GAP")?,
        });
        attributes.finish()
    }

    fn hint(&mut self, mut attributes: Attributes<'_>) -> Result<(), String> {
        let uri = attributes.quoted("URI")?;
        let slot = match attributes.word("TYPE")? {
            "PART" => &mut self.part_hint,
            "MAP" => &mut self.map_hint,
            other => return Err(format!("TYPE={other}")),
        };
        let twice = slot.replace(uri).is_some();
        attributes.finish()?;
        if twice { Err("two hints of one TYPE".into()) } else { Ok(()) }
    }

    fn uri(&mut self, line: &str) -> Result<(), String> {
        let Some(duration) = self.extinf.take() else {
            return Err("a line that is neither a tag nor a segment's URI".into());
        };
        if line.is_empty() || line.contains("://") || line.starts_with('/') {
            return Err("not a relative URI".into());
        }
        let segment =
            Segment { uri: Some(line.into()), duration, ..std::mem::take(&mut self.next) };
        self.push(segment);
        Ok(())
    }

    fn push(&mut self, segment: Segment) {
        let before = self.segments.len() as u64 + self.skipped.unwrap_or(0);
        let msn = self.media_sequence.unwrap_or(0) + before;
        self.segments.push(Segment { msn, init: self.init.clone(), ..segment });
    }

    fn finish(mut self) -> Result<MediaPlaylist, String> {
        if self.extinf.is_some() {
            return Err("EXTINF is not followed by its URI".into());
        }
        let next = std::mem::take(&mut self.next);
        let open = if next == Segment::default() {
            None
        } else if next.parts.is_empty() || next.gap {
            return Err("tags of a segment that has not begun".into());
        } else {
            self.push(next);
            self.segments.pop()
        };
        let (part_hold_back, hold_back, can_skip_until) =
            self.control.ok_or("EXT-X-SERVER-CONTROL is missing")?;
        Ok(MediaPlaylist {
            head: Head {
                version: self.version.ok_or("EXT-X-VERSION is missing")?,
                target_duration: self.target_duration.ok_or("EXT-X-TARGETDURATION is missing")?,
                part_target: self.part_target.ok_or("EXT-X-PART-INF is missing")?,
                part_hold_back,
                hold_back,
                can_skip_until,
            },
            media_sequence: self.media_sequence.ok_or("EXT-X-MEDIA-SEQUENCE is missing")?,
            discontinuity_sequence: self
                .discontinuity_sequence
                .ok_or("EXT-X-DISCONTINUITY-SEQUENCE is missing")?,
            skipped: self.skipped,
            date_ranges: self.date_ranges,
            segments: self.segments,
            open,
            part_hint: self.part_hint,
            map_hint: self.map_hint,
            reports: self.reports,
            ended: self.ended,
        })
    }
}
