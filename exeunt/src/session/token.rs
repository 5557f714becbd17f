//! The three names of a session: what the browser holds, what we call it, what stores keep.
//!
//! A [`Token`] must never be printed, cloned, serialized or stored: it is the login itself.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Timestamp;

const SECRET_BYTES: usize = 32;
const TOKEN_BYTES: usize = 8 + SECRET_BYTES;
const TOKEN_TEXT: usize = 54;
const ID_TEXT: usize = 11;
const RANDOM_BITS: u32 = 21;

/// What a browser holds: a session's id and a secret of 32 random bytes (R28).
///
/// It cannot be printed, cloned, compared or serialized; `Debug` shows `Token(..)`. Stores and logs get the
/// [`SessionId`] and the [`Verifier`] instead.
pub struct Token {
    id: SessionId,
    secret: [u8; SECRET_BYTES],
}

impl Token {
    /// A new secret for the session of that id: at its login, or when it is renewed.
    pub(crate) fn generate(id: SessionId) -> Self {
        Self { id, secret: random() }
    }

    /// Reads what [`Token::expose`] wrote. Anything else is `None`, the same whatever is wrong with it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TOKEN_TEXT {
            return None;
        }
        // Mutants: `*` is more room than a token needs, and no more is read into it.
        let mut bytes = [0; TOKEN_BYTES + 2];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (id, rest) = bytes.get(..length)?.split_first_chunk::<8>()?;
        let secret = rest.try_into().ok()?;
        Some(Self { id: SessionId::from_bytes(*id)?, secret })
    }

    /// The text for the cookie: 54 base64url characters. Whoever has it is logged in.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        let (id, secret) = bytes.split_at_mut(8);
        id.copy_from_slice(&self.id.to_bytes());
        secret.copy_from_slice(&self.secret);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The session's public name.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The hash that stores keep of the secret.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier(Sha256::digest(self.secret).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A session's name in stores, logs and pages. Public: nobody can log in with it.
///
/// 42 bits of Unix milliseconds over 21 random bits, strictly rising within a process, so that ids sort by creation
/// and stores can append. Written as 11 base64url characters, in JSON too.
///
/// ```
/// use exeunt::SessionId;
///
/// let id: SessionId = "DNqrr2AAAAE".parse()?;
/// assert_eq!(id.to_string(), "DNqrr2AAAAE");
/// # Ok::<(), exeunt::SessionIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// A text that is no session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 11 base64url characters")]
pub struct SessionIdError;

static LATEST: AtomicU64 = AtomicU64::new(0);

impl SessionId {
    pub(super) fn generate(now: Timestamp) -> Self {
        Self(after(&LATEST, drawn(now, u32::from_le_bytes(random()))))
    }

    /// The id as the non-negative integer that stores sort by.
    #[must_use]
    pub fn to_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Reads [`SessionId::to_i64`] back; a negative number is none.
    #[must_use]
    pub fn from_i64(id: i64) -> Option<Self> {
        u64::try_from(id).ok().map(Self)
    }

    /// When the session was created, to the millisecond.
    #[must_use]
    pub fn time(self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.0 >> RANDOM_BITS).unwrap_or(0).saturating_mul(1_000))
    }

    fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        Self::from_i64(i64::from_be_bytes(bytes))
    }
}

/// The milliseconds over as many of the random bits as there is room for; never negative where it is read as an `i64`.
fn drawn(now: Timestamp, random: u32) -> u64 {
    let random = u64::from(random) & ((1 << RANDOM_BITS) - 1);
    // Mutants: `^` is the same, since the milliseconds have left these bits at zero.
    ((now.as_millis() << RANDOM_BITS) | random) & (i64::MAX as u64)
}

/// `wanted`, or one more than the last one given where that is larger.
fn after(latest: &AtomicU64, wanted: u64) -> u64 {
    let mut given = wanted;
    let step = |last: u64| {
        given = wanted.max(last + 1);
        Some(given)
    };
    // The closure never answers None, so this always succeeds; either way the last `given` is the new one.
    let _ = latest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    given
}

impl SessionId {
    fn text<R>(self, told: impl FnOnce(&str) -> R) -> R {
        let mut text = [0; ID_TEXT];
        let written = URL_SAFE_NO_PAD.encode_slice(self.to_bytes(), &mut text);
        debug_assert_eq!(written, Ok(ID_TEXT));
        told(std::str::from_utf8(&text).expect("base64url is ASCII"))
    }

    /// Writes it behind `text`, as `Display` does.
    #[cfg(feature = "redis")]
    // Mutants: it is not there where this is tried, without the feature; the tests on Redis fail without it.
    pub(crate) fn push_to(self, text: &mut String) {
        self.text(|id| text.push_str(id));
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(|text| f.pad(text))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != ID_TEXT {
            return Err(SessionIdError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SessionIdError)?;
        let bytes = bytes.try_into().map_err(|_| SessionIdError)?;
        Self::from_bytes(bytes).ok_or(SessionIdError)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// SHA-256 of a token's secret: all that a store ever has of it (R29).
///
/// A fast hash is right here: the secret has 256 random bits, so there is nothing to guess. Two verifiers are compared
/// in constant time.
#[derive(Clone, Copy)]
pub struct Verifier([u8; 32]);

impl Verifier {
    /// The hash, for stores.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the hash back, for stores.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Verifier {}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that makes secrets")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::generate(SessionId::generate(Timestamp::from_secs(1_767_225_600)))
    }

    #[test]
    fn a_token_survives_its_cookie_text() {
        let token = token();
        let read = Token::parse(&token.expose()).unwrap();
        assert_eq!(read.id(), token.id());
        assert_eq!(read.verifier(), token.verifier());
    }

    #[test]
    fn what_is_not_exactly_a_token_is_none() {
        // R13
        let good = token().expose();
        assert_eq!(good.len(), 54);
        let too_long = format!("{good}A");
        let padded = format!("{}=", &good[..53]);
        let plus = format!("{}+", &good[..53]);
        let nul = format!("{}\0", &good[..53]);
        let unicode = format!("{}é", &good[..52]);
        // The last character carries two bits that mean nothing; only zeros are accepted there, so that a token has
        // one spelling. The first bit of an id is always 0.
        let spare_bits = format!("{}B", &good[..53]);
        let negative = format!("_{}", &good[1..]);
        for bad in ["", "A", &good[..53], &too_long, &padded, &plus, &nul, &unicode, &spare_bits, &negative] {
            assert!(Token::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn secrets_differ_and_do_not_show() {
        // R28, R30
        let (a, b) = (token(), token());
        assert_ne!(a.verifier(), b.verifier());
        assert_ne!(a.verifier(), Token::generate(a.id()).verifier());
        assert_eq!(format!("{a:?} {:?}", a.verifier()), "Token(..) Verifier(..)");
    }

    #[test]
    fn the_verifier_is_the_sha_256_of_the_secret() {
        let token = Token { id: SessionId(0), secret: *b"0123456789abcdef0123456789abcdef" };
        let expected: [u8; 32] = Sha256::digest(b"0123456789abcdef0123456789abcdef").into();
        assert_eq!(token.verifier().as_bytes(), &expected);
    }

    #[test]
    fn ids_rise_within_one_millisecond_and_tell_their_time() {
        let now = Timestamp::from_secs(1_767_225_600);
        let ids: Vec<_> = (0..1_000).map(|_| SessionId::generate(now)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));

        let first = drawn(now, 0);
        for (random, above) in [(5, 5), (u32::MAX, 0x1f_ffff), (1 << 21, 0), (0x1f_fffe, 0x1f_fffe)] {
            assert_eq!(drawn(now, random), first + above, "of {random:#x} the lowest 21 bits");
            assert_eq!(SessionId(drawn(now, random)).time(), now);
        }
        assert!(SessionId::from_i64(drawn(Timestamp::from_micros(i64::MAX), u32::MAX) as i64).is_some());

        let latest = AtomicU64::new(0);
        let later = (now.as_millis() + 7) << RANDOM_BITS;
        assert_eq!(after(&latest, later), later);
        assert_eq!(after(&latest, 5), later + 1, "a clock behind the last id still gives a later one");
        assert_eq!(SessionId(later).time(), now.plus(std::time::Duration::from_millis(7)));
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = SessionId::generate(Timestamp::from_secs(1_767_225_600));
        let text = id.to_string();
        assert_eq!((text.len(), text.parse()), (11, Ok(id)));
        assert_eq!(format!("{id:?}"), format!("SessionId({text})"));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<SessionId>(&format!("\"{text}\"")).unwrap(), id);
        for bad in ["", "AAAAAAAAAA", "AAAAAAAAAAAA", "AAAAAAAAAA=", "AAAAAAAAAAB", "__________8"] {
            assert_eq!(bad.parse::<SessionId>(), Err(SessionIdError), "{bad:?}");
        }
    }
}
