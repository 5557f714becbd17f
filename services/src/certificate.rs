//! A certificate for loopback, from an authority that nobody else knows.
//!
//! Must never be a file in the repository: keys are made anew each time, and a server's go away with its folder.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::process::Folder;

/// The names that the certificate is for.
const NAMES: &[&str] = &["localhost", "127.0.0.1"];

/// A certificate for `localhost` and `127.0.0.1`, as texts in PEM.
#[derive(Clone)]
pub struct Certificate {
    /// What a client has to trust.
    pub authority: String,
    /// What a server shows.
    pub chain: String,
    /// What a server keeps to itself.
    pub key: String,
}

impl Certificate {
    /// Makes an authority, and a certificate of it.
    ///
    /// # Errors
    ///
    /// If the machine has no randomness.
    pub fn new() -> Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = params.self_signed(&authority_key)?;
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate()?;
        let mut params =
            CertificateParams::new(NAMES.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, "localhost");
        let chain = params.signed_by(&key, &issuer)?;
        Ok(Self { authority: authority.pem(), chain: chain.pem(), key: key.serialize_pem() })
    }

    /// Writes it into a server's folder.
    pub(crate) fn write(&self, folder: &Folder) -> Result<Files> {
        Ok(Files {
            authority: folder.write("ca.pem", &self.authority)?,
            chain: folder.write("server.pem", &self.chain)?,
            key: folder.write("server.key", &self.key)?,
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// PEM files in a server's folder.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) authority: PathBuf,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}
