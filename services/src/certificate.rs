//! A certificate for loopback, from an authority that nobody else knows.
//!
//! Must never be a file in the repository: keys are made anew for each server and go away with its folder.

use std::path::PathBuf;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::process::Folder;

/// The names that the certificate is for.
const NAMES: &[&str] = &["localhost", "127.0.0.1"];

/// PEM files in a server's folder.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// What a client has to trust.
    pub(crate) authority: PathBuf,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    pub(crate) fn write(folder: &Folder) -> Result<Self> {
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
        Ok(Self {
            authority: folder.write("ca.pem", &authority.pem())?,
            chain: folder.write("server.pem", &chain.pem())?,
            key: folder.write("server.key", &key.serialize_pem())?,
        })
    }
}
