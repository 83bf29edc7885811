//! Languages, as a transport stream codes them and as a playlist names them.

/// A language that a player can name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Language {
    /// RFC 5646 tag: the shortest code there is, two letters for most.
    pub tag: &'static str,
    /// Its English name.
    pub name: &'static str,
}

/// Tag, codes of ISO 639-2 (terminological, then bibliographic), English name.
const LANGUAGES: &str = include_str!("languages.txt");

impl Language {
    /// The language of an ISO 639-2 code, terminological (`deu`) or bibliographic (`ger`), in letters of
    /// either case.
    ///
    /// `None` for a code that says nothing (`und`, `mul`, `zxx`, one for private use) or is none.
    #[must_use]
    pub fn from_iso_639_2(code: [u8; 3]) -> Option<Self> {
        let code = code.map(|letter| letter.to_ascii_lowercase());
        LANGUAGES.lines().find_map(|line| {
            let (tag, rest) = line.split_once(' ')?;
            let (codes, name) = rest.split_once(' ')?;
            codes.split('/').any(|known| known.as_bytes() == code).then_some(Self { tag, name })
        })
    }

    /// The language of a [`tag`](Self::tag).
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        LANGUAGES.lines().find_map(|line| {
            let (known, rest) = line.split_once(' ')?;
            let (_, name) = rest.split_once(' ')?;
            (known == tag).then_some(Self { tag: known, name })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(code: [u8; 3]) -> Option<&'static str> {
        Language::from_iso_639_2(code).map(|language| language.tag)
    }

    #[test]
    fn both_codes_of_a_language_are_read_and_the_shortest_is_written() {
        for (code, expected) in [
            (b"eng", Some("en")),
            (b"deu", Some("de")),
            (b"ger", Some("de")),
            (b"FRE", Some("fr")),
            (b"zho", Some("zh")),
            (b"gsw", Some("gsw")),
            (b"und", None),
            (b"mul", None),
            (b"qaa", None),
            (b"\0\0\0", None),
            (b"e/d", None),
            (b"en ", None),
        ] {
            assert_eq!(tag(*code), expected, "{}", code.escape_ascii());
            let language = Language::from_iso_639_2(*code);
            assert_eq!(expected.and_then(Language::from_tag), language);
        }
    }

    #[test]
    fn the_table_is_whole_and_says_nothing_twice() {
        let mut known = std::collections::BTreeSet::new();
        for line in LANGUAGES.lines() {
            let (tag, rest) = line.split_once(' ').unwrap();
            let (codes, name) = rest.split_once(' ').unwrap();
            assert!(matches!(tag.len(), 2 | 3) && tag.bytes().all(|it| it.is_ascii_lowercase()));
            assert!(name.starts_with(char::is_uppercase) && !name.contains('"'), "{line}");
            for code in codes.split('/') {
                assert!(code.len() == 3 && known.insert(code), "{line}");
            }
            assert!(known.insert(name) && (tag.len() == 3 || known.insert(tag)), "{line}");
        }
    }
}
