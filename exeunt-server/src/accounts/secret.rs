//! The secret in a link that works once: to set up the server, to reset a password.
//!
//! Must never show but where a link is made, and never be kept other than as a hash (R42, R43).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exeunt::Verifier;
use sha2::{Digest as _, Sha256};

/// 32 random bytes. No Clone, Display or Serialize; Debug prints `LinkSecret(..)`.
pub struct LinkSecret([u8; 32]);

impl LinkSecret {
    #[expect(clippy::disallowed_methods, reason = "the one place of the server that makes a secret")]
    pub(super) fn generate() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system has random bytes");
        Self(bytes)
    }

    /// As it stands in the link: 43 base64url characters.
    #[must_use]
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// All that a database ever has of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// In constant time.
    pub(super) fn is(&self, verifier: [u8; 32]) -> bool {
        Verifier::from_bytes(self.hash()) == Verifier::from_bytes(verifier)
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(..)")
    }
}
