//! How the pages look for whoever runs this server: name, logo, colour, links, and a folder of templates and texts.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{VERSION, accent};

/// What is to look different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// What the pages call this server. Empty: `exeunt`.
    pub name: String,
    /// An image in place of ours.
    pub logo: Option<PathBuf>,
    /// Red, green and blue, in place of ours.
    pub accent: Option<[u8; 3]>,
    /// At the foot of every page.
    pub links: Vec<Link>,
    /// With `templates/*.html` and `texts/*.ftl`, each in place of ours of that name.
    pub folder: Option<PathBuf>,
    /// What is spoken where nothing else is asked for: a tag such as `de`. Empty: English.
    pub language: String,
}

/// A link at the foot of every page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it says.
    pub text: String,
    /// Where it leads.
    pub url: String,
}

/// Why the pages cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrandError {
    /// A file or folder that was named cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it has to be.
    #[error("{}{}: {reason}", file.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// Where in it.
        line: Option<usize>,
        /// Why.
        reason: String,
    },
    /// Nothing is written in the language that is to be spoken.
    #[error(
        "there are no texts in the language {language:?}: set language to one of {known}, or add texts/{language}.ftl to the brand folder"
    )]
    NoSuchLanguage {
        /// The tag that was set.
        language: String,
        /// The tags that there are.
        known: String,
    },
}

impl BrandError {
    pub(crate) fn template(file: &Path, error: &minijinja::Error) -> Self {
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        Self::Unusable {
            file: file.to_owned(),
            line: error.line(),
            reason: format!("{}{detail}", error.kind()),
        }
    }
}

/// What comes of it, as it is given out.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) style: String,
    pub(super) logo: Vec<u8>,
    pub(super) logo_type: &'static str,
    pub(super) shown: Shown,
}

/// For the templates.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    name: String,
    /// At the end of every address of ours that browsers keep: another one, if what stands there could be another.
    version: String,
    links: Vec<Link>,
}

impl Look {
    pub(super) fn read(brand: &Brand) -> Result<Self, BrandError> {
        let mut style = include_str!("../assets/style.css").to_owned();
        if let Some(colour) = brand.accent {
            style.push_str(&accent::style(colour));
        }
        let (logo_type, logo) = match &brand.logo {
            None => ("image/svg+xml", include_bytes!("../assets/icon.svg").to_vec()),
            Some(file) => (image_type(file)?, read(file)?),
        };
        let name = if brand.name.is_empty() { "exeunt".to_owned() } else { brand.name.clone() };
        let version = format!("{VERSION}-{:08x}", checksum(&[style.as_bytes(), &logo, SCRIPT.as_bytes()]));
        Ok(Self { style, logo, logo_type, shown: Shown { name, version, links: brand.links.clone() } })
    }
}

/// The one script.
pub(crate) const SCRIPT: &str = include_str!("../assets/page.js");

/// Tells one look from another; nothing rests on it. FNV-1a.
fn checksum(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn image_type(file: &Path) -> Result<&'static str, BrandError> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "svg" => Ok("image/svg+xml"),
        "png" => Ok("image/png"),
        "webp" => Ok("image/webp"),
        "jpg" | "jpeg" => Ok("image/jpeg"),
        _ => Err(BrandError::Unusable {
            file: file.to_owned(),
            line: None,
            reason: "a logo is an image named .svg, .png, .webp or .jpg".to_owned(),
        }),
    }
}

/// The files in a folder that need not be there, in the order of their names.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, BrandError> {
    let failed = |source| BrandError::Unreadable { file: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // What editors leave behind is no template.
        if !entry.file_name().to_string_lossy().starts_with('.') {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn read_text(file: &Path) -> Result<String, BrandError> {
    std::fs::read_to_string(file).map_err(|source| BrandError::Unreadable { file: file.to_owned(), source })
}

fn read(file: &Path) -> Result<Vec<u8>, BrandError> {
    std::fs::read(file).map_err(|source| BrandError::Unreadable { file: file.to_owned(), source })
}
