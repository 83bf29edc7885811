//! What people write, made fit to be shown: plain text that cannot break a line, a layout or a name.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use crate::Refusal;

/// Marks on one letter; Vietnamese has two, more is a tower.
const MARKS: usize = 3;

/// How long a text may be, in what people see as characters and in bytes of UTF-8.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Length {
    /// Grapheme clusters.
    pub graphemes: usize,
    /// Bytes.
    pub bytes: usize,
}

/// A text in the form that is kept: NFKC, one line, single spaces, without controls, directions and
/// invisible characters, and with at most three marks on a letter.
///
/// # Errors
/// Nothing is left, or too much.
pub fn clean(text: &str, most: Length) -> Result<String, Refusal> {
    // Normalising can make text three times as long: what is far too long is not looked at.
    if text.len() > 8 * most.bytes {
        return Err(too_long(text.len(), most));
    }
    let mut kept = String::with_capacity(text.len());
    let (mut marks, mut space) = (0, false);
    for c in text.nfkc() {
        if c.is_whitespace() {
            space = !kept.is_empty();
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        if marks > MARKS {
            continue;
        }
        if std::mem::take(&mut space) {
            kept.push(' ');
        }
        kept.push(c);
    }
    if !kept.chars().any(|c| !is_joiner(c)) {
        let hint = "Write something that can be seen.";
        return Err(Refusal::new("size.text", "There is no text in it.", hint));
    }
    if kept.len() > most.bytes || kept.graphemes(true).count() > most.graphemes {
        return Err(too_long(kept.graphemes(true).count(), most));
    }
    Ok(kept)
}

/// Whether a text is nothing but emoji (and spaces).
#[must_use]
pub fn is_emoji(text: &str) -> bool {
    let mut pictures = text.chars().filter(|&c| !is_joiner(c) && !c.is_whitespace()).peekable();
    pictures.peek().is_some() && pictures.all(is_pictograph)
}

/// Whether a text is one emoji.
#[must_use]
pub fn is_one_emoji(text: &str) -> bool {
    text.len() <= 32 && text.graphemes(true).count() == 1 && is_emoji(text)
}

/// Whether a text has an address that can be opened.
#[must_use]
pub fn has_link(text: &str) -> bool {
    let lower = text.to_lowercase();
    let host = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let name = word.split(['/', '?', '#', ':']).next().unwrap_or_default();
        name.rsplit_once('.').is_some_and(|(before, top)| {
            before.split('.').all(|label| !label.is_empty())
                && (2..=24).contains(&top.len())
                && top.chars().all(char::is_alphabetic)
                && before.chars().all(|c| c.is_alphanumeric() || "-._@".contains(c))
        })
    };
    lower.contains("://") || lower.split_whitespace().any(host)
}

fn too_long(length: usize, most: Length) -> Refusal {
    Refusal::new(
        "size.text",
        format!("The text is too long: {length} characters."),
        format!("Write at most {} characters, {} bytes in all.", most.graphemes, most.bytes),
    )
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' | '\u{20e3}') || is_combining_mark(c)
}

/// Controls, directions, fillers, tags and what else takes no room: names and words hide behind them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

fn is_pictograph(c: char) -> bool {
    matches!(c,
        '\u{231a}'..='\u{23ff}' | '\u{25a0}'..='\u{27bf}' | '\u{2934}'..='\u{2935}'
        | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Length = Length { graphemes: 300, bytes: 1024 };

    #[test]
    fn what_is_kept_is_one_line_of_plain_text() {
        let clean = |text| clean(text, MOST).unwrap();
        assert_eq!(clean("  hi\n\tthere \u{202e}gnp.exe\u{200b}  "), "hi there gnp.exe");
        assert_eq!(clean("ｆｕｌｌ ﬁt"), "full fit");
        let tower = format!("a{}b", "\u{301}".repeat(10_000 / 4));
        assert!(clean(&tower).chars().count() <= 5);
        assert_eq!(
            clean("<script>alert(1)</script>"),
            "<script>alert(1)</script>",
            "text stays text"
        );
        assert_eq!(clean("👩‍👩‍👧 ❤️"), "👩‍👩‍👧 ❤️");
    }

    #[test]
    fn too_much_and_nothing_are_refused() {
        for text in ["", " \u{200b}\u{feff} ", "\u{200d}\u{301}"] {
            assert_eq!(clean(text, MOST).unwrap_err().code, "size.text", "{text:?}");
        }
        assert!(clean(&"x".repeat(300), MOST).is_ok());
        assert_eq!(clean(&"x".repeat(301), MOST).unwrap_err().code, "size.text");
        assert_eq!(clean(&"👩‍👩‍👧".repeat(60), MOST).unwrap_err().code, "size.text");
    }

    #[test]
    fn emoji_and_links_are_told() {
        assert!(
            is_one_emoji("❤") && is_one_emoji("❤️") && is_one_emoji("👩‍👩‍👧") && is_one_emoji("🇩🇪")
        );
        assert!(
            !is_one_emoji("❤❤") && !is_one_emoji("a") && !is_one_emoji("") && !is_one_emoji("1")
        );
        assert!(is_emoji("🎉 🎉") && !is_emoji("go 🎉"));
        for text in ["see https://a", "bad.example/x", "mail me@bad.example", "(www.bad.example)"] {
            assert!(has_link(text), "{text}");
        }
        for text in ["3.5 points", "wait...what", "e.g. this", "v1.2.3", "end.Next"] {
            assert_eq!(has_link(text), text == "end.Next", "{text}");
        }
    }
}
