//! What a room lets be said: word lists, links, abuse.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};
use rustrict::{Censor, Type};
use unicode_security::skeleton;

use crate::text;

/// What becomes of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is shown.
    Allow,
    /// It waits for a moderator; why.
    Hold(Cow<'static, str>),
    /// It is refused; why.
    Block(Cow<'static, str>),
}

/// What is done about something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Policy {
    /// Nothing.
    #[default]
    Allow,
    /// A moderator looks at it first.
    Hold,
    /// It is refused.
    Block,
}

impl Policy {
    /// As the configuration names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Block => "block",
        }
    }
}

/// The rules of one room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Words that are refused.
    pub block: Vec<String>,
    /// Words that a moderator looks at first.
    pub hold: Vec<String>,
    /// Messages with an address to open.
    pub links: Policy,
    /// Severe abuse, as far as it can be told from words.
    pub abuse: Policy,
}

/// The rules, ready to be applied.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    block: Option<AhoCorasick>,
    hold: Option<AhoCorasick>,
    links: Policy,
    abuse: Policy,
}

impl Filter {
    pub(crate) fn new(rules: &Rules) -> Self {
        Self {
            block: list(&rules.block),
            hold: list(&rules.hold),
            links: rules.links,
            abuse: rules.abuse,
        }
    }

    /// Judges a cleaned text.
    pub(crate) fn judge(&self, text: &str) -> Verdict {
        let plain = (self.block.is_some() || self.hold.is_some()).then(|| folded(text));
        let listed = |list: &Option<AhoCorasick>| {
            list.as_ref().zip(plain.as_ref()).is_some_and(|(list, plain)| whole_word(list, plain))
        };
        let of = |policy, why: &'static str| match policy {
            Policy::Allow => Verdict::Allow,
            Policy::Hold => Verdict::Hold(why.into()),
            Policy::Block => Verdict::Block(why.into()),
        };
        if listed(&self.block) {
            return Verdict::Block("a word that is not wanted here".into());
        }
        let abuse = || Censor::from_str(text).analyze().is(Type::SEVERE);
        let link = self.links != Policy::Allow && text::has_link(text);
        let verdicts = [
            of(
                if self.abuse != Policy::Allow && abuse() { self.abuse } else { Policy::Allow },
                "abuse",
            ),
            of(if link { self.links } else { Policy::Allow }, "a link"),
        ];
        let refused = verdicts.iter().find(|one| matches!(one, Verdict::Block(_)));
        if let Some(verdict) =
            refused.or_else(|| verdicts.iter().find(|one| **one != Verdict::Allow))
        {
            return verdict.clone();
        }
        if listed(&self.hold) {
            return Verdict::Hold("a word that a moderator looks at first".into());
        }
        Verdict::Allow
    }
}

fn list(words: &[String]) -> Option<AhoCorasick> {
    let words: Vec<_> =
        words.iter().map(|word| folded(word)).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return None;
    }
    AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(words).ok()
}

/// What a text looks like: letters of other scripts and digits that stand for letters are read as those
/// (Unicode TR 39, skeleton), without regard to case.
fn folded(text: &str) -> String {
    skeleton(&text.to_lowercase()).collect::<String>().to_lowercase()
}

/// Words are found whole, so that a part of a harmless one is not taken for it.
fn whole_word(list: &AhoCorasick, text: &str) -> bool {
    list.find_iter(text).any(|found| {
        let before = text[..found.start()].chars().next_back();
        let after = text[found.end()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_through_disguises_and_not_inside_others() {
        let filter = Filter::new(&Rules {
            block: vec!["spoiler".into()],
            hold: vec!["cass".into()],
            links: Policy::Hold,
            abuse: Policy::Block,
        });
        for text in ["a SPOILER!", "sрoilеr", "ｓｐｏｉｌｅｒ".to_owned().as_str(), "spoi1er"]
        {
            let cleaned = text::clean(text, text::Length { graphemes: 99, bytes: 999 }).unwrap();
            assert!(matches!(filter.judge(&cleaned), Verdict::Block(_)), "{text}");
        }
        assert_eq!(filter.judge("spoilers ahead, cassette"), Verdict::Allow);
        assert!(matches!(filter.judge("hi cass"), Verdict::Hold(_)));
        assert!(matches!(filter.judge("www.bad.example"), Verdict::Hold(_)));
        assert!(
            matches!(filter.judge("cass is a spoiler"), Verdict::Block(_)),
            "the stricter one holds"
        );
        assert_eq!(Filter::default().judge("www.bad.example"), Verdict::Allow);
    }
}
