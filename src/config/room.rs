//! What the audience of a stream may do, and who keeps order.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nowcast_interact::{Policy, Rules};

use super::load::url;
use super::read::Section;
use super::{Moderator, Room};

pub(super) fn read(section: &mut Section<'_, '_>) -> Room {
    let standard = Room::default();
    let word = |text: &str| match text.trim() {
        "" => Err("a word is empty; take it out".to_owned()),
        text => Ok(text.to_owned()),
    };
    Room {
        anonymous: section.flag("anonymous").unwrap_or(standard.anonymous),
        rules: Rules {
            block: section.list("block_words", word).unwrap_or_default(),
            hold: section.list("hold_words", word).unwrap_or_default(),
            links: section.text("links", policy).unwrap_or(standard.rules.links),
            abuse: section.text("abuse", policy).unwrap_or(standard.rules.abuse),
        },
        delay: section.duration("host_delay", ["0s", "30s"]).unwrap_or(standard.delay),
        moderator: moderator(section),
        retention: section.duration("retention", ["1h", "3650d"]).unwrap_or(standard.retention),
    }
}

fn policy(text: &str) -> Result<Policy, String> {
    match text {
        "allow" => Ok(Policy::Allow),
        "hold" => Ok(Policy::Hold),
        "block" => Ok(Policy::Block),
        _ => Err(format!("\"{text}\" is no policy; write \"allow\", \"hold\" or \"block\"")),
    }
}

fn moderator(section: &mut Section<'_, '_>) -> Option<Moderator> {
    let before = section.reader.faults.len();
    let url = section.text("moderator", url);
    let secret = section.text("moderator_secret", secret);
    let on_failure = section.text("moderator_on_failure", |text| match text {
        "allow" => Ok(true),
        "hold" => Ok(false),
        _ => Err(format!("\"{text}\" is neither \"allow\" nor \"hold\"")),
    });
    let whole = section.reader.faults.len() == before;
    if whole && (url.is_some() != secret.is_some() || (url.is_none() && on_failure.is_some())) {
        section.complain_here("`moderator` and `moderator_secret` are needed together");
    }
    Some(Moderator { url: url?, secret: secret?, allow_on_failure: on_failure.unwrap_or(false) })
}

/// As Standard Webhooks writes it: `whsec_` and 24 to 64 bytes in base64.
fn secret(text: &str) -> Result<Vec<u8>, String> {
    let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok();
    bytes.filter(|bytes| (24..=64).contains(&bytes.len())).ok_or_else(|| {
        "write whsec_ and 24 to 64 random bytes in base64: `openssl rand -base64 32`".to_owned()
    })
}
