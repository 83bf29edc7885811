use std::fmt::Write;

use super::{child, u32_at};

/// The name of a sample entry as CODECS writes it (RFC 6381, ISO/IEC 14496-15 Annex E).
pub(super) fn name(entry: &[u8; 4], content: &[u8]) -> String {
    let kind = String::from_utf8_lossy(entry).into_owned();
    let detail = match entry {
        b"avc1" | b"avc3" => content.get(78..).and_then(|rest| child(rest, b"avcC")).and_then(avc),
        b"hvc1" | b"hev1" => content.get(78..).and_then(|rest| child(rest, b"hvcC")).and_then(hevc),
        b"mp4a" => content.get(28..).and_then(|rest| child(rest, b"esds")).and_then(mpeg4_audio),
        _ => None,
    };
    kind + &detail.unwrap_or_default()
}

fn avc(config: &[u8]) -> Option<String> {
    let bytes = config.get(1..4)?;
    Some(format!(".{:02X}{:02X}{:02X}", bytes[0], bytes[1], bytes[2]))
}

fn hevc(config: &[u8]) -> Option<String> {
    let profile = *config.get(1)?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatible = u32_at(config, 2)?.reverse_bits();
    let level = config.get(12)?;
    let mut text = format!(".{space}{}.{compatible:X}.{tier}{level}", profile & 0x1f);
    let constraints = config.get(6..12)?;
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        // Writing to a string cannot fail.
        write!(text, ".{byte:X}").unwrap_or_default();
    }
    Some(text)
}

/// Object type of the decoder configuration, and of what is in it (ISO/IEC 14496-1 §7.2.6.6).
fn mpeg4_audio(esds: &[u8]) -> Option<String> {
    let es = descriptor(esds.get(4..)?, 3)?;
    let flags = *es.get(2)?;
    let mut skip = 3;
    skip += if flags & 0x80 != 0 { 2 } else { 0 };
    skip += if flags & 0x40 != 0 { 1 + usize::from(*es.get(skip)?) } else { 0 };
    skip += if flags & 0x20 != 0 { 2 } else { 0 };
    let config = descriptor(es.get(skip..)?, 4)?;
    let object = *config.first()?;
    let specific = descriptor(config.get(13..)?, 5)?;
    let first = u16::from(*specific.first()?) << 8 | u16::from(*specific.get(1).unwrap_or(&0));
    let kind = match first >> 11 {
        31 => 32 + (first >> 5 & 0x3f),
        kind => kind,
    };
    Some(format!(".{object:x}.{kind}"))
}

/// The content of the first descriptor, which must have this tag.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    if *bytes.first()? != tag {
        return None;
    }
    let mut length = 0_usize;
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return bytes.get(at + 1..at + 1 + length);
        }
    }
    None
}

/// Whether a video sample begins a coded sequence: an IDR picture of H.264 (type 5), an IRAP picture
/// of HEVC (16 to 23). `None` for other codecs, or where it cannot be told (encrypted media).
pub(super) fn begins_sequence(codec: &str, sample: &[u8]) -> Option<bool> {
    let (hevc, known) =
        (codec.starts_with("hvc1") || codec.starts_with("hev1"), codec.starts_with("avc"));
    if !hevc && !known {
        return None;
    }
    let mut rest = sample;
    while !rest.is_empty() {
        let length = u32_at(rest, 0)? as usize;
        let unit = rest.get(4..4 + length)?;
        let first = *unit.first()?;
        let kind = if hevc { first >> 1 & 0x3f } else { first & 0x1f };
        match (hevc, kind) {
            (false, 5) | (true, 16..=23) => return Some(true),
            (false, 1..=4) | (true, 0..=15) => return Some(false),
            _ => {}
        }
        rest = &rest[4 + length..];
    }
    None
}

/// Whether the sample entries of a track say that its samples are encrypted.
pub(super) fn is_encrypted(codec: &str) -> bool {
    codec.starts_with("enc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_named_as_players_expect() {
        assert_eq!(avc(&[1, 0x64, 0, 0x1f]).as_deref(), Some(".64001F"));
        let hvcc = [1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93];
        assert_eq!(hevc(&hvcc).as_deref(), Some(".1.6.L93.B0"));
        let esds =
            [&[0, 0, 0, 0, 3, 22, 0, 0, 0, 4, 17, 0x40, 0x15][..], &[0; 11], &[5, 2, 0x11, 0x90]]
                .concat();
        assert_eq!(mpeg4_audio(&esds).as_deref(), Some(".40.2"));
    }

    #[test]
    fn a_picture_that_decoding_can_begin_at_is_told_from_others() {
        assert_eq!(
            begins_sequence("avc1.64001F", &[0, 0, 0, 1, 0x06, 0, 0, 0, 2, 0x65, 0]),
            Some(true)
        );
        assert_eq!(begins_sequence("avc1.64001F", &[0, 0, 0, 2, 0x41, 0]), Some(false));
        assert_eq!(begins_sequence("hvc1.1.6.L93.B0", &[0, 0, 0, 2, 0x26, 1]), Some(true));
        assert_eq!(begins_sequence("hvc1.1.6.L93.B0", &[0, 0, 0, 2, 0x02, 1]), Some(false));
        assert_eq!(begins_sequence("av01", &[0, 0, 0, 2, 0x02, 1]), None);
        assert_eq!(begins_sequence("avc1", &[0xff; 9]), None);
    }
}
