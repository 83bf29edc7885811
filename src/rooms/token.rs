//! Who somebody is: signed tokens, from this server or from an issuer that the configuration names.

use std::fmt;

use anyhow::{Context, Result};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use nowcast_interact::{Role, Viewer};
use serde::{Deserialize, Serialize};

use crate::config::Issuer;
use crate::flow::StreamName;

/// The key id of this server's own tokens.
const OWN: &str = "nowcast";
/// Seconds by which clocks may differ.
const LEEWAY: u64 = 30;

/// What a token says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Claims {
    /// Who.
    pub(super) sub: String,
    /// What others read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// What they may do.
    #[serde(default)]
    pub(super) role: Role,
    /// The only stream it holds for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<String>,
    /// The server knows nothing else of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) anon: bool,
    /// Until when it holds, in Unix seconds.
    pub(super) exp: u64,
}

/// Why a token is not taken. It does not say which part of it was wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unfit {
    Invalid,
    Expired,
    OtherStream,
}

/// Signs and checks tokens.
pub(super) struct Tokens {
    sign: EncodingKey,
    /// By key id: each with the one algorithm it is for.
    keys: Vec<(String, Algorithm, DecodingKey)>,
}

impl Tokens {
    /// With this server's secret and the keys of others.
    pub(super) fn new(secret: &[u8], issuers: &[Issuer]) -> Result<Self> {
        let own = DecodingKey::from_secret(secret);
        let mut keys = vec![(OWN.to_owned(), Algorithm::HS256, own)];
        for issuer in issuers {
            let (algorithm, key) = match issuer {
                Issuer::Hs256 { secret, .. } => {
                    (Algorithm::HS256, DecodingKey::from_secret(secret.as_bytes()))
                }
                Issuer::EdDsa { pem, .. } => {
                    let key = DecodingKey::from_ed_pem(pem.as_bytes());
                    let key = key.with_context(|| {
                        format!(
                            "the key of the issuer “{}” is no Ed25519 public key in PEM",
                            issuer.kid()
                        )
                    })?;
                    (Algorithm::EdDSA, key)
                }
            };
            keys.push((issuer.kid().to_owned(), algorithm, key));
        }
        Ok(Self { sign: EncodingKey::from_secret(secret), keys })
    }

    pub(super) fn mint(&self, claims: &Claims) -> Result<String> {
        let header = Header { kid: Some(OWN.to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, claims, &self.sign).context("the token cannot be signed")
    }

    /// What a token says, if it holds for this stream now. The algorithm is the key's, never the token's.
    pub(super) fn check(&self, token: &str, stream: &StreamName) -> Result<Claims, Unfit> {
        let header = decode_header(token).map_err(|_| Unfit::Invalid)?;
        let kid = header.kid.unwrap_or_default();
        let (_, algorithm, key) =
            self.keys.iter().find(|(id, ..)| *id == kid).ok_or(Unfit::Invalid)?;
        let mut validation = Validation::new(*algorithm);
        validation.leeway = LEEWAY;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let claims =
            decode::<Claims>(token, key, &validation).map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => Unfit::Expired,
                _ => Unfit::Invalid,
            })?;
        let claims = claims.claims;
        if claims.sub.is_empty() || claims.sub.len() > 128 {
            return Err(Unfit::Invalid);
        }
        match &claims.stream {
            Some(only) if only != stream.as_str() => Err(Unfit::OtherStream),
            _ => Ok(claims),
        }
    }
}

impl From<&Claims> for Viewer {
    fn from(claims: &Claims) -> Self {
        Self {
            id: claims.sub.as_str().into(),
            name: claims.name.as_deref().map(Into::into),
            role: claims.role,
            anonymous: claims.anon,
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|(kid, algorithm, _)| (kid, algorithm)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(exp: u64) -> Claims {
        let sub = "v-1".to_owned();
        Claims { sub, name: None, role: Role::Host, stream: Some("live".into()), anon: false, exp }
    }

    #[test]
    fn a_token_holds_for_its_stream_its_time_and_its_key() {
        let issuer =
            Issuer::Hs256 { kid: "them".into(), secret: "their secret, long enough".into() };
        let tokens = Tokens::new(b"ours", &[issuer]).unwrap();
        let live = StreamName::new("live").unwrap();
        let token = tokens.mint(&claims(u64::MAX / 2)).unwrap();
        assert_eq!(tokens.check(&token, &live).unwrap().role, Role::Host);
        let other = StreamName::new("other").unwrap();
        assert_eq!(tokens.check(&token, &other).unwrap_err(), Unfit::OtherStream);
        let expired = tokens.mint(&claims(1)).unwrap();
        assert_eq!(tokens.check(&expired, &live).unwrap_err(), Unfit::Expired);

        let sign = |kid: Option<&str>, algorithm, key: &[u8]| {
            let header = Header { kid: kid.map(Into::into), ..Header::new(algorithm) };
            encode(&header, &claims(u64::MAX / 2), &EncodingKey::from_secret(key)).unwrap()
        };
        let theirs = sign(Some("them"), Algorithm::HS256, b"their secret, long enough");
        assert!(tokens.check(&theirs, &live).is_ok());
        let [_, body, _] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        // {"alg":"none","kid":"nowcast"}
        let unsigned = format!("eyJhbGciOiJub25lIiwia2lkIjoibm93Y2FzdCJ9.{body}.");
        for wrong in [
            unsigned,
            sign(Some("nowcast"), Algorithm::HS256, b"their secret, long enough"),
            sign(Some("nowcast"), Algorithm::HS384, b"ours"),
            sign(None, Algorithm::HS256, b"ours"),
            sign(Some("who"), Algorithm::HS256, b"ours"),
            "garbage".to_owned(),
            String::new(),
        ] {
            assert_eq!(tokens.check(&wrong, &live).unwrap_err(), Unfit::Invalid, "{wrong}");
        }
    }
}
